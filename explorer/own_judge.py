"""A judge for a data set of one's own: the classifier of explorer.classifier, trained on the set when it is measured.

What it may cost is bounded in work, not in seconds, so that two models of one set have the very same judge.
"""

from __future__ import annotations

import numpy as np

from explorer import classifier
from explorer.classifier import Classifier, Watch
from explorer.data import Dataset
from explorer.statistics import CannotMeasure

PASSES, PIXELS = 50_000, 150_000_000  # items shown in all, and their pixels: less than a minute on one core
FEWEST_EPOCHS, MOST_EPOCHS = 5, 100


def train(own: Dataset, *, seed: int, watch: Watch = iter) -> Classifier:
    """The judge of own, with its figures on the held-out items.

    watch: passes the epochs on, one by one, and may tell of them. Raises CannotMeasure where nothing can be learned.
    """
    check_classes(own)
    if len(own.x_train) < classifier.MIN_IMAGES:
        raise CannotMeasure(
            f"A classifier needs at least {classifier.MIN_IMAGES} items to learn from, and there are {len(own.x_train)}"
        )
    _, height, width = own.image_shape
    n, epochs = budget(len(own.x_train), pixels=height * width)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(own.x_train))[:n])
    trained = classifier.train(
        own.x_train[chosen],
        own.y_train[chosen],
        image_shape=own.image_shape,
        classes=own.classes,
        epochs=epochs,
        seed=seed,
        dataset=own.name,
        data_source=own.source,
        data_sha256=own.sha256,
        made="explorer.own_judge.train",
        watch=watch,
    )
    return classifier.tested(trained, own.x_test, own.y_test)


def check_classes(own: Dataset) -> None:
    """Raises CannotMeasure for items of one class. Of pixels alone, a blur passes for real: that would be no judge."""
    if len(np.unique(own.y_train)) < 2:
        raise CannotMeasure("A classifier is needed, and all items to learn from are of one class")


def budget(items: int, *, pixels: int) -> tuple[int, int]:
    """From how many of the items the judge learns, and how often it sees them."""
    passes = min(PASSES, PIXELS // pixels)
    n = min(items, passes // FEWEST_EPOCHS)
    return n, min(MOST_EPOCHS, passes // n)
