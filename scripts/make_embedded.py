"""Make explorer/embedded/*.npz, the subset that ships: the first 1,000 training and 200 test images of each class.

python scripts/make_embedded.py --root FOLDER_WITH_THE_FULL_SETS
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np

from explorer.data import EMBEDDED, PUBLISHED, load_published
from explorer.files import sha256, write_whole

TRAIN_PER_CLASS, TEST_PER_CLASS = 1000, 200


def first_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices of the first count images of every class, in the set's own order."""
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in np.unique(labels)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    root = parser.parse_args().root
    for name in PUBLISHED:
        full = load_published(name, root)
        train = first_of_each_class(full.y_train, TRAIN_PER_CLASS)
        test = first_of_each_class(full.y_test, TEST_PER_CLASS)
        packed = io.BytesIO()
        np.savez_compressed(
            packed,
            x_train=full.x_train[train],
            y_train=full.y_train[train],
            x_test=full.x_test[test],
            y_test=full.y_test[test],
        )
        content = packed.getvalue()
        write_whole(EMBEDDED / f"{name}.npz", content)
        print(f"{name}: {len(train):,} + {len(test):,} images, {len(content):,} bytes, {sha256(content)}")


if __name__ == "__main__":
    main()
