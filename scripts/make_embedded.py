"""Make explorer/embedded/*.npz, what ships of the data: the first 1,000 training and 200 test images of each class.

Of ECG5000, its 500 training series.

python scripts/make_embedded.py --root FOLDER_WITH_THE_FULL_SETS
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np

from explorer.data import ECG_ROWS, EMBEDDED, PUBLISHED, load_published, read_ecg
from explorer.files import sha256, write_whole

TRAIN_PER_CLASS, TEST_PER_CLASS = 1000, 200


def first_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices of the first count images of every class, in the set's own order."""
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in np.unique(labels)]))


def embed_images(name: str, root: Path) -> None:
    full = load_published(name, root)
    train = first_of_each_class(full.y_train, TRAIN_PER_CLASS)
    test = first_of_each_class(full.y_test, TEST_PER_CLASS)
    embed(
        name,
        x_train=full.x_train[train],
        y_train=full.y_train[train],
        x_test=full.x_test[test],
        y_test=full.y_test[test],
    )


def embed_ecg(root: Path) -> None:
    name = "ECG5000_TRAIN.txt"
    series, labels = read_ecg(root / "ECG5000" / name, rows=ECG_ROWS[name])
    embed("ecg5000", series=series, labels=labels)


def embed(name: str, **arrays: np.ndarray) -> None:
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    content = packed.getvalue()
    write_whole(EMBEDDED / f"{name}.npz", content)
    lengths = ", ".join(f"{key} {len(array):,}" for key, array in arrays.items())
    print(f"{name}: {lengths}; {len(content):,} bytes, {sha256(content)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    root = parser.parse_args().root
    for name in PUBLISHED:
        embed_images(name, root)
    embed_ecg(root)


if __name__ == "__main__":
    main()
