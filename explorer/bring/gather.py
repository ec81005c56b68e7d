"""From items and their labels to a data set: classes, a fifth held out, examples, and what is missing to train."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from explorer import own_data
from explorer.bring.limits import MAX_CLASSES
from explorer.bring.names import NAMELESS, clean, distinct
from explorer.bring.report import ClassCount, Notes, Report
from explorer.data import Dataset, Feature

SEED = 0
HELD_OUT = 0.2
EXAMPLES, EXAMPLES_OF_MANY, MANY = 8, 3, 20
ROWS_SHOWN = 5


@dataclass(frozen=True)
class Brought:
    """The data set, None if there is too little to train on, and the report."""

    dataset: Dataset | None
    report: Report


@dataclass(frozen=True)
class Material:
    """x: uint8 [N, C, H, W]; labels: a text each, None if there are none; the rest as in Report."""

    x: np.ndarray
    labels: Sequence[str] | None
    features: tuple[Feature, ...] = ()
    columns: tuple[str, ...] = ()
    label: str | None = None
    rows_of_numbers: bool = False


def gather(material: Material, notes: Notes, *, title: str, source: str) -> Brought:
    """Raises ValueError for too many classes."""
    x, (classes, y) = material.x, classes_of(material.labels, len(material.x), notes)
    counts = np.bincount(y, minlength=len(classes))
    shown = tuple(
        ClassCount(name, int(count), "" if material.features else examples(x[places_of(y, i, len(classes))]))
        for i, (name, count) in enumerate(zip(classes, counts))
    )
    rows = x[:ROWS_SHOWN, 0, 0] / 255 if material.features else np.empty((0, 0))
    low, high = (np.array([getattr(one, key) for one in material.features]) for key in ("low", "high"))
    channels, height, width = x.shape[1:]
    order, n_train = split(y, counts)
    dataset = None
    if 0 < n_train < len(x):
        x, y = x[order], y[order]
        dataset = own_data.make(
            title=title,
            source=source,
            classes=tuple(classes),
            x_train=x[:n_train],
            y_train=y[:n_train],
            x_test=x[n_train:],
            y_test=y[n_train:],
            features=material.features,
        )
    report = Report(
        name=dataset.name if dataset else "",
        title=title,
        source=source,
        shape=(channels, height, width),
        n_train=n_train,
        n_test=len(x) - n_train,
        classes=shown,
        notes=tuple(notes.sentences),
        problems=notes.problems(),
        missing="" if dataset else "One item is too few to train on: one is learned from, another is held out.",
        features=tuple((one.name, one.low, one.high) for one in material.features),
        rows=tuple(tuple(row) for row in (low + rows * (high - low)).tolist()) if material.features else (),
        columns=material.columns,
        label=material.label,
        rows_of_numbers=material.rows_of_numbers,
    )
    return Brought(dataset, report)


def classes_of(labels: Sequence[str] | None, n: int, notes: Notes) -> tuple[list[str], np.ndarray]:
    """The classes' names and each item's class, uint8 [n]. Names that look the same are one class."""
    if labels is None:
        return ["all"], np.zeros(n, np.uint8)
    cleaned = {label: clean(label, longest=10_000) or NAMELESS for label in dict.fromkeys(labels)}
    names = sorted({*cleaned.values()}, key=order_of)
    if len(names) > MAX_CLASSES:
        raise ValueError(
            f"There are {len(names):,} classes, such as {clean(names[0])} and {clean(names[1])}; "
            f"at most {MAX_CLASSES} can be told apart: choose another label, or none"
        )
    shown = distinct(names)
    for name, one in zip(names, shown):
        spellings = sum(found == name for found in cleaned.values())
        if spellings > 1:
            notes.say(
                f"{spellings} classes are written “{one}”, with other invisible or composed letters: they are one."
            )
        if name == NAMELESS:
            notes.say(f"Items without a class are in the class “{one}”.")
    if len(names) == 1:
        notes.say("All items are in one class: the maps will have one colour.")
    index = {label: names.index(name) for label, name in cleaned.items()}
    return shown, np.array([index[label] for label in labels], np.uint8)


def order_of(name: str) -> tuple[int, float, str]:
    """Numbers by their size, before texts by their letters."""
    try:
        return (0, float(name), name) if name.isascii() and abs(float(name)) < np.inf else (1, 0.0, name)
    except ValueError:
        return (1, 0.0, name.casefold())


def split(y: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, int]:
    """The items in the order train, test, each mixed, and how many the first are: of each class a fifth is held out.

    A class of two or more has an item in both. If all have only one, a fifth of all is held out.
    """
    random = np.random.default_rng(SEED)
    held_out = np.zeros(len(y), bool)
    for i, count in enumerate(counts):
        places = random.permutation(np.flatnonzero(y == i))
        held_out[places[: max(int(count > 1), round(HELD_OUT * int(count)))]] = True
    if not held_out.any() and len(y) > 1:
        held_out[random.permutation(len(y))[: max(1, round(HELD_OUT * len(y)))]] = True
    train, test = (random.permutation(np.flatnonzero(part)) for part in (~held_out, held_out))
    return np.concatenate([train, test]), len(train)


def places_of(y: np.ndarray, i: int, classes: int) -> np.ndarray:
    """Some items of class i, evenly taken."""
    places = np.flatnonzero(y == i)
    wanted = min(len(places), EXAMPLES if classes <= MANY else EXAMPLES_OF_MANY)
    return places[np.linspace(0, len(places) - 1, wanted).astype(int)]


def examples(x: np.ndarray) -> str:
    """Images [N, C, H, W] side by side as a PNG in a data: URL."""
    strip = np.concatenate(list(x), axis=2)
    image = Image.fromarray(strip[0] if len(strip) == 1 else np.ascontiguousarray(strip.transpose(1, 2, 0)))
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
