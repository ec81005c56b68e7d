"""Arrays in an .npz: each head is checked before its values are read, some items at a time. No pickles."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

import numpy as np
from numpy.lib import format as npy

from explorer.bring import archive
from explorer.bring.arrays import Raw, as_text, items_a_block
from explorer.bring.report import Notes

MAX_HEAD_BYTES = 10_000
MAX_LABEL_BYTES = 60_000_000
ITEMS = re.compile(r"(^|_)(x|images?|imgs?|data|features?|pixels|samples?|inputs?)($|_)")
LABELS = re.compile(r"(^|_)(y|labels?|targets?|class|classes)($|_)")
CLASS_NAMES = re.compile(r"^(class_?names?|label_?names?|target_?names?|classes|names)$")
PARTS = re.compile(r"(^|_)(train|training|val|valid|validation|test)($|_)")


def arrays(file: zipfile.ZipFile, notes: Notes) -> dict[str, Raw]:
    """The arrays in an .npz by name, none read yet. Those that cannot be are noted."""
    found = {}
    for info in file.infolist():
        name = archive.name_of(info)
        if not name.endswith(".npy"):
            continue
        try:
            archive.check(info, name)
            found[name.removesuffix(".npy")] = look(file, info)
        except archive.BROKEN as error:
            why = str(error) if isinstance(error, archive.Unfit) else "It is broken or cut off."
            notes.left_out(why, name)
    return found


def look(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Raw:
    """An array as its head says it is. Raises Unfit if that cannot be, or would run code when read."""
    with file.open(info) as stream:
        shape, fortran, dtype = head_of(stream)
        start = stream.tell()
    if dtype.hasobject:
        raise archive.Unfit("It holds Python objects, which could run code: save it as plain numbers.")
    if start + math.prod(shape) * dtype.itemsize != info.file_size:
        raise archive.Unfit("Its head says another size than it has.")
    if dtype.fields or dtype.subdtype:
        raise archive.Unfit("It holds records: save each field as an array of its own.")
    return Raw(archive.name_of(info).removesuffix(".npy"), shape, dtype, lambda: blocks(file, info, fortran=fortran))


def head_of(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether it is in Fortran order, and type. Raises ValueError for what is none."""
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise archive.Unfit("It is in a version of .npy that cannot be read here: 1.0 and 2.0 can.")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream, max_header_size=MAX_HEAD_BYTES)
    if any(side < 0 for side in shape):
        raise archive.Unfit("Its head says another size than it has.")
    return shape, fortran, dtype


def blocks(file: zipfile.ZipFile, info: zipfile.ZipInfo, *, fortran: bool) -> Iterator[np.ndarray]:
    """The array, some items at a time; all at once if items are scattered over the file. Raises ValueError."""
    try:
        with file.open(info) as stream:
            shape, _, dtype = head_of(stream)
            if fortran or not shape:
                values = np.frombuffer(stream.read(), dtype)
                yield values.reshape(shape, order="F" if fortran else "C")
                return
            step = items_a_block(shape, dtype)
            for start in range(0, shape[0], step):
                n = min(step, shape[0] - start)
                content = stream.read(n * math.prod(shape[1:]) * dtype.itemsize)
                yield np.frombuffer(content, dtype).reshape(n, *shape[1:])
    except archive.BROKEN as error:
        raise ValueError(f"The array {archive.name_of(info)} is broken or cut off: save it again") from error


def pair(found: Mapping[str, Raw], notes: Notes) -> tuple[list[Raw], list[Raw] | None, Raw | None]:
    """Arrays of items, those of their labels in the same order if there are any, and the names of the classes.

    They are found by their names (x, images, x_train, ...; y, labels, ...), else by their shapes. Raises ValueError.
    """
    names = {
        key: raw
        for key, raw in found.items()
        if CLASS_NAMES.match(key.lower()) and raw.dtype.kind == "U" and len(raw.shape) == 1
    }
    rest = {key: raw for key, raw in found.items() if key not in names and raw.shape}
    items = {part_of(key): raw for key, raw in rest.items() if ITEMS.search(key.lower()) and len(raw.shape) > 1}
    labels = {part_of(key): raw for key, raw in rest.items() if LABELS.search(key.lower()) and len(raw.shape) <= 2}
    if not items:
        items, labels = by_shape(rest, labels)
    if not items:
        there = ", ".join(f"{raw.name} ({as_text(raw.shape)})" for raw in list(found.values())[:6]) or "none"
        raise ValueError(
            f"There is no array of items in the .npz{notes.because()}; its arrays: {there}. "
            "Right would be images (items × height × width, or with channels) and labels"
        )
    paired = [labels[part] for part in items if part in labels]
    if paired and len(paired) < len(items):
        missing = next(raw.name for part, raw in items.items() if part not in labels)
        raise ValueError(f"The array {missing} has no labels, others have: give all of them labels or none")
    for raw, label in zip(items.values(), paired):
        if raw.shape[0] != label.shape[0]:
            raise ValueError(
                f"{raw.name} has {raw.shape[0]:,} items, {label.name} has {label.shape[0]:,} labels: "
                "there must be one for each"
            )
    return list(items.values()), paired or None, next(iter(names.values()), None)


def part_of(key: str) -> str:
    """ "train", "test", ... if the name of an array says so."""
    match = PARTS.search(key.lower())
    return match.group(2) if match else ""


def by_shape(rest: Mapping[str, Raw], labels: dict[str, Raw]) -> tuple[dict[str, Raw], dict[str, Raw]]:
    """The largest array with more than one axis, and labels: those known, or the first array of one as long."""
    many = [raw for raw in rest.values() if len(raw.shape) > 1]
    if not many:
        return {}, labels
    items = max(many, key=lambda raw: math.prod(raw.shape))
    alike = [raw for raw in rest.values() if raw.shape == items.shape[:1]]
    return {"": items}, labels or dict.fromkeys([""], alike[0]) if alike else labels


def labels_of(raws: Sequence[Raw], names: Raw | None, notes: Notes) -> list[str]:
    """The label of each item as text. Raises ValueError, naming the array, for what are no labels."""
    values = np.concatenate([whole(raw) for raw in raws])
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        ones = (values == 0) | (values == 1)
        if not ones.all() or not (values.sum(axis=1) == 1).all():
            raise ValueError(f"{raws[0].name} has {values.shape[1]} columns: one label an item was expected")
        notes.say("The labels are rows with a single 1: the place of that 1 was taken as the class.")
        values = values.argmax(axis=1)
    texts = as_labels(values, raws[0].name)
    if names is None:
        return texts
    known = whole(names).tolist()
    numbers = [int(text) if text.isdigit() else -1 for text in texts]
    if min(numbers) < 0 or max(numbers) >= len(known):
        notes.say(f"The names in {names.name} do not fit the labels: the labels themselves were taken.")
        return texts
    return [known[number] for number in numbers]


def as_labels(values: np.ndarray, name: str) -> list[str]:
    """Values of one axis as texts. Raises ValueError if they are neither texts nor whole numbers."""
    if values.dtype.kind == "S":
        return [value.decode("utf-8", "replace") for value in values.tolist()]
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or (values != np.round(values)).any():
            raise ValueError(f"{name} holds fractions: labels are whole numbers or names")
        values = values.astype(np.int64)
    if values.dtype.kind not in "uibU":
        raise ValueError(f"{name} holds {values.dtype}: labels are whole numbers or names")
    return [str(int(value)) if values.dtype.kind == "b" else str(value) for value in values.tolist()]


def whole(raw: Raw) -> np.ndarray:
    if math.prod(raw.shape) * raw.dtype.itemsize > MAX_LABEL_BYTES:
        raise ValueError(f"{raw.name} has more than {MAX_LABEL_BYTES // 1_000_000} MB: too much for labels")
    return np.concatenate([*raw.blocks()]) if raw.shape[0] else np.empty(raw.shape, raw.dtype)
