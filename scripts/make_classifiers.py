"""Make pretrained/classifiers/: for each data set a small classifier, the judge of generated images, and its card.

    python scripts/make_classifiers.py --root FOLDER_WITH_THE_FULL_SETS [--only NAME ...]

Trained on the full training sets of MNIST and Fashion-MNIST and on the training images of digits, less the part that
is held out to calibrate. Nothing is chosen by the test images: they are looked at once, for the figures in the card.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from explorer.classifier import Record

EPOCHS = {"mnist": 13, "fashion-mnist": 13, "digits": 40}
SEED = 0


def make(root: Path | None, name: str) -> str:
    """Train one classifier and write its folder; a line of its figures. Raises ValueError without the full set."""
    import torch

    from explorer import classifier, data

    torch.set_num_threads(1)  # two classifiers at a time, one core each
    dataset = data.load(name, root=root)
    if dataset.source != "the full set":
        raise ValueError(f"The full set of {name} is needed; get it with: python -m explorer data get {name}")
    trained = classifier.train(
        dataset.x_train,
        dataset.y_train,
        image_shape=dataset.image_shape,
        classes=dataset.classes,
        epochs=EPOCHS[name],
        seed=SEED,
        dataset=name,
        data_source=dataset.source,
        data_sha256=dataset.sha256,
        made=f"python scripts/make_classifiers.py --only {name}",
    )
    trained = classifier.tested(trained, dataset.x_test, dataset.y_test)
    classifier.save(classifier.CLASSIFIERS / name, trained)
    return summary(name, trained.record)


def summary(name: str, record: Record) -> str:
    figures = record.test
    assert figures is not None
    return (
        f"{name}: accuracy {figures.accuracy:.2%}, calibration error {figures.calibration_error:.2%}, "
        f"accepts from {record.accept:.3f}: {figures.real_passing:.1%} of test images, "
        f"{figures.shuffled_passing:.1%} of shuffled ones, {figures.noise_passing:.1%} of noise"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder with the full sets; default: the user's cache folder")
    parser.add_argument("--only", nargs="*", metavar="NAME", choices=list(EPOCHS), help="data sets; default all")
    options = parser.parse_args()
    names = options.only or list(EPOCHS)
    with ProcessPoolExecutor(2) as pool:
        for line in pool.map(make, [options.root] * len(names), names):
            print(line)


if __name__ == "__main__":
    main()
