"""IDX files, as MNIST comes in: a big-endian head (type, number of axes, their sizes), then the values."""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.bring.arrays import Raw
from explorer.bring.limits import MAX_UNPACKED_BYTES

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP = b"\x1f\x8b"
PART = re.compile(r"(images?|labels?|idx\d.*)", re.IGNORECASE)


@dataclass(frozen=True)
class IdxFile:
    """An IDX file's array: items, or labels if it has one axis."""

    name: str
    array: np.ndarray

    @property
    def part(self) -> str:
        """What a file of images and that of their labels share in their names."""
        return PART.split(self.name.rpartition("/")[2])[0].strip("-_. ").lower()


def is_idx(head: bytes) -> bool:
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in TYPES and 1 <= head[3] <= 4


def unpacked(content: bytes, name: str) -> bytes:
    """The content of a .gz file, bounded. Raises ValueError, naming it, if it is broken or a bomb."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = unpacker.decompress(content, MAX_UNPACKED_BYTES + 1)
    except zlib.error as error:
        raise ValueError(f"{name} is broken: no gzip file can be read from it") from error
    if len(found) > MAX_UNPACKED_BYTES:
        raise ValueError(f"Unpacked, {name} has more than {MAX_UNPACKED_BYTES // 1_000_000:,} MB, the most allowed")
    if not unpacker.eof:
        raise ValueError(f"{name} is cut off: get it again")
    return found


def parse(content: bytes, name: str) -> IdxFile:
    """The array in an IDX file. Raises ValueError, naming the file, if its head and its length do not agree."""
    if not is_idx(content[:4]):
        raise ValueError(f"{name} is no IDX file: it must begin with two zero bytes, a type and the number of axes")
    dtype, axes = np.dtype(TYPES[content[2]]), content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise ValueError(f"{name} is cut off: it ends within its head")
    shape = struct.unpack(f">{axes}I", content[4:start])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        size = "×".join(map(str, shape))
        raise ValueError(f"{name} says it holds {size} values, that is {expected:,} bytes, but it has {len(content):,}")
    return IdxFile(name, np.frombuffer(content, dtype, offset=start).reshape(shape))


def pair(files: Sequence[IdxFile]) -> tuple[list[Raw], list[np.ndarray] | None]:
    """The arrays of items and, if there are any, those of their labels, in the same order.

    Files belong together by their names: train-images, train-labels. Raises ValueError if they do not fit.
    """
    images = sorted((file for file in files if file.array.ndim > 1), key=lambda file: file.name)
    labels = {file.part: file for file in files if file.array.ndim == 1}
    if not images:
        raise ValueError("There are labels but no images among the IDX files: choose both")
    if len(labels) < sum(file.array.ndim == 1 for file in files):
        raise ValueError("Two IDX files of labels have one name: name them like their images, such as train-labels")
    if len(images) == len(labels) == 1:
        found = list(labels.values())
    else:
        found = [labels.pop(image.part) for image in images if image.part in labels]
        if found and (len(found) < len(images) or labels):
            raise ValueError(
                "Some IDX files lack their partner: name images and labels alike, such as train-images and train-labels"
            )
        if labels:
            raise ValueError(f"{next(iter(labels.values())).name} has no images of its name, such as train-images")
    for image, label in zip(images, found):
        if len(image.array) != len(label.array):
            raise ValueError(
                f"{image.name} has {len(image.array):,} items, {label.name} has {len(label.array):,} labels: "
                "there must be one for each"
            )
    return [Raw.of(file.name, file.array) for file in images], [file.array for file in found] or None


def is_gzip(head: bytes) -> bool:
    return head[:2] == GZIP
