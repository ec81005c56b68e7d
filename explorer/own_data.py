"""A data set of one's own in a folder: its arrays as safetensors, and a record that says what they are."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from explorer.data import About, Dataset, Feature
from explorer.described import MAX_BOUND, MAX_TEXT, is_about
from explorer.files import DamagedFile, make_whole, read_checked, read_record, sha256, sha256_of, write_record

FORMAT = 1
ARRAYS, RECORD = "data.safetensors", "data.json"
PREFIX = "own-"
NAME = re.compile(rf"{PREFIX}[0-9a-f]{{12}}")
OS_ERROR = re.compile(r"os error (\d+)")
MAX_RECORD_BYTES = 2_000_000
MAX_ARRAY_BYTES = 1_300_000_000  # 100,000 items of 3 * 64 * 64 bytes, and their labels
KEYS = ("x_train", "y_train", "x_test", "y_test")


def make(
    *,
    title: str,
    source: str,
    classes: tuple[str, ...],
    x_train: np.ndarray,
    y_train: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
    features: tuple[Feature, ...] = (),
) -> Dataset:
    """A data set named after its items, labels and classes. x_*: uint8 [N, C, H, W]; y_*: uint8 [N], of classes.

    Raises ValueError, saying what would be right, if the arrays do not fit together.
    """
    arrays = dict(zip(KEYS, (x_train, y_train, x_test, y_test)))
    check(arrays, classes, features)
    kept = {key: np.ascontiguousarray(part) for key, part in arrays.items()}
    shapes = [[*part.shape] for part in kept.values()]
    meaning = json.dumps([shapes, classes, [asdict(feature) for feature in features]]).encode()
    digest = sha256(b"".join([meaning, *(sha256(part.tobytes()).encode() for part in kept.values())]))
    name = PREFIX + digest[:12]
    return Dataset(name, title, source, digest, classes, **kept, features=features)


def check(arrays: dict[str, np.ndarray], classes: tuple[str, ...], features: tuple[Feature, ...]) -> None:
    """Raise ValueError unless the arrays are those of a data set with these classes and features."""
    shapes = {arrays[key].shape[1:] for key in ("x_train", "x_test")}
    if any(arrays[key].dtype != np.uint8 for key in KEYS) or len(shapes) != 1 or len(shapes.pop()) != 3:
        raise ValueError("Items must be bytes [N, C, H, W] of one shape and labels bytes [N]")
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if y.shape != (len(x),) or not len(x) or y.max() >= len(classes):
            raise ValueError("There must be an item in each part, a label for each item and a class for each label")
    if features and (arrays["x_train"].shape[1:] != (1, 1, len(features))):
        raise ValueError("Rows of a table must be items [N, 1, 1, F] with F features")
    if not all(-MAX_BOUND <= f.low <= f.high <= MAX_BOUND for f in features):
        raise ValueError(f"A feature must have bounds within {MAX_BOUND:g} of 0, the low one first")
    if not is_about(json.loads(json.dumps(asdict(About("a title", classes, features))))):
        raise ValueError(f"Names of classes and features must be of 1 to {MAX_TEXT} characters on one line")


def save(folder: Path, dataset: Dataset) -> None:
    """Write a data set into folder, whole or not at all: the record comes last."""
    make_whole(folder / ARRAYS, lambda unfinished: write_arrays(unfinished, dataset), durable=False)
    record = {
        "format": FORMAT,
        "title": dataset.title,
        "source": dataset.source,
        "classes": dataset.classes,
        "features": [asdict(feature) for feature in dataset.features],
        "sha256": sha256_of(folder / ARRAYS),
    }
    write_record(folder / RECORD, record, durable=False)


def write_arrays(path: Path, dataset: Dataset) -> None:
    """Raises OSError, as other writers do, where the library has an error of its own."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file({key: np.ascontiguousarray(getattr(dataset, key)) for key in KEYS}, path)
    except SafetensorError as error:
        code = OS_ERROR.search(str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from error


def read_about(folder: Path) -> dict[str, Any]:
    """The record in folder: title, source, classes, features, sha256. Raises DamagedFile."""
    what = "a record of a data set"
    record = read_record(folder / RECORD, what=what, known_format=FORMAT, max_bytes=MAX_RECORD_BYTES)
    try:
        texts = [record["title"], record["source"], record["sha256"], *record["classes"]]
        record["features"] = tuple(Feature(**feature) for feature in record["features"])
    except (TypeError, KeyError) as error:
        raise DamagedFile(f"{folder / RECORD} is not {what}: {error}") from error
    numbers = [bound for feature in record["features"] for bound in (feature.low, feature.high)]
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(n, (int, float)) for n in numbers):
        raise DamagedFile(f"{folder / RECORD} is not {what}: names and bounds of the wrong kind")
    return record


def read_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The arrays' shapes by name, from the head of their file alone. Raises DamagedFile."""
    path = folder / ARRAYS
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            head = json.loads(file.read(min(length, MAX_RECORD_BYTES)))
        return {key: tuple(head[key]["shape"]) for key in KEYS}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedFile(f"{path} is not a data set: {error}") from error


def load(folder: Path) -> Dataset:
    """The data set in folder, checked by hash. Raises DamagedFile, naming the file, if it is not sound."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    about, path = read_about(folder), folder / ARRAYS
    content = read_checked(path, expected_sha256=about["sha256"], max_bytes=MAX_ARRAY_BYTES)
    try:
        arrays = from_bytes(content)
        return make(
            title=about["title"],
            source=about["source"],
            classes=tuple(about["classes"]),
            features=about["features"],
            **{key: arrays[key] for key in KEYS},
        )
    except (SafetensorError, KeyError, ValueError) as error:
        raise DamagedFile(f"{path} is not a data set: {error}") from error
