"""Arrays of items, read block by block: images [N, H, W], [N, H, W, C], [N, C, H, W], or rows [N, F]."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from explorer.bring.limits import MAX_FEATURES, MAX_ITEMS, MAX_SIDE, MIN_FEATURES, MIN_SIDE
from explorer.bring.names import distinct
from explorer.bring.report import AUTO, PIXELS, Notes
from explorer.bring.scale import Scale, bounded, check_stored, guess_scale
from explorer.data import Feature

NUMBERS = "uifb"
MAX_ROW_BYTES = 600_000_000  # of rows as float64
BLOCK_BYTES = 4_000_000


@dataclass(frozen=True)
class Raw:
    """An array that is there, or is read from a file each time that blocks is called, some items at a time."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Callable[[], Iterator[np.ndarray]]

    @classmethod
    def of(cls, name: str, array: np.ndarray) -> Raw:
        step = items_a_block(array.shape, array.dtype)
        return cls(name, array.shape, array.dtype, lambda: (array[i : i + step] for i in range(0, len(array), step)))


@dataclass(frozen=True)
class Items:
    """x: uint8 [N, C, H, W]; kept: which of the items given these are; features: of rows of a table."""

    x: np.ndarray
    kept: np.ndarray
    features: tuple[Feature, ...] = ()


def items_a_block(shape: tuple[int, ...], dtype: np.dtype) -> int:
    return max(1, BLOCK_BYTES // max(1, math.prod(shape[1:]) * dtype.itemsize))


def read(raws: Sequence[Raw], notes: Notes, *, meaning: str = AUTO, names: Sequence[str] = ()) -> Items:
    """The items of arrays that follow one another. names: of the columns of rows.

    Raises ValueError, naming the array and what would be right, if they are no items.
    """
    first = raws[0]
    for raw in raws:
        if raw.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"{raw.name} holds items of {as_text(raw.shape[1:])}, {first.name} of {as_text(first.shape[1:])}: "
                "all must have one shape"
            )
        if raw.dtype.kind not in NUMBERS:
            raise ValueError(f"{raw.name} holds {raw.dtype}, numbers were expected")
    n = sum(raw.shape[0] for raw in raws)
    if not 0 < n <= MAX_ITEMS:
        raise ValueError(f"{first.name} holds {n:,} items, from 1 to {MAX_ITEMS:,} can be read")
    if len(first.shape) == 2:
        return read_rows(raws, notes, meaning=meaning, names=names)
    return read_images(raws, notes, layout=layout_of(first))


def as_text(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "one number"


def layout_of(raw: Raw) -> tuple[int, ...]:
    """The axes in the order N, C, H, W, where -1 is one that is missing. Raises ValueError for no images."""
    shape = raw.shape
    if len(shape) == 3:
        return (0, -1, 1, 2)
    if len(shape) == 4 and shape[3] in (1, 3, 4):
        return (0, 3, 1, 2)
    if len(shape) == 4 and shape[1] in (1, 3):
        return (0, 1, 2, 3)
    raise ValueError(
        f"{raw.name} is {as_text(shape)}; images are items × height × width, with 1 or 3 channels first or last, "
        "and rows of numbers items × columns"
    )


def read_images(raws: Sequence[Raw], notes: Notes, *, layout: tuple[int, ...]) -> Items:
    """Images of arrays, in 8 bits and within the sizes that are kept."""
    shape = raws[0].shape
    height, width = shape[layout[2]], shape[layout[3]]
    if not height or not width:
        raise ValueError(f"{raws[0].name} is {as_text(shape)}: its images have no pixels")
    size = bounded((width, height))
    if size != (width, height):
        notes.say(f"The images are {width}×{height} pixels and were scaled to {size[0]}×{size[1]}.")
    found = shape[layout[1]] if layout[1] >= 0 else 1
    if found == 4:
        notes.say("The images have a fourth channel, which was taken as transparency and laid on white.")
    n = sum(raw.shape[0] for raw in raws)
    channels = 3 if found == 4 else found
    check_stored((n, channels, size[1], size[0]))
    scale, kept = scale_of(raws, notes)
    x = np.empty((int(kept.sum()), channels, size[1], size[0]), np.uint8)
    done = start = 0
    for block in (block for raw in raws for block in raw.blocks()):
        keep = kept[start : start + len(block)]
        start += len(block)
        ordered = block[:, None] if layout[1] < 0 else block.transpose(layout)
        images = opaque(scale.apply(ordered[keep]))
        x[done : done + len(images)] = images if size == (width, height) else resized(images, size)
        done += len(images)
    return Items(x, kept)


def opaque(images: np.ndarray) -> np.ndarray:
    """uint8 [N, 1 or 3, H, W]: a fourth channel says how much of the colour there is, the rest is white."""
    if images.shape[1] != 4:
        return images
    alpha = images[:, 3:] / np.float32(255)
    return np.round(images[:, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def resized(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    planes = images.reshape(-1, *images.shape[2:])
    scaled = [np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC)) for plane in planes]
    return np.array(scaled, np.uint8).reshape(*images.shape[:2], size[1], size[0])


def scale_of(raws: Sequence[Raw], notes: Notes) -> tuple[Scale, np.ndarray]:
    """What the range of the values says about them, and which items hold finite values only."""
    low, high, whole, kept = math.inf, -math.inf, True, []
    for block in (block for raw in raws for block in raw.blocks()):
        flat = block.reshape(len(block), -1)
        finite = np.isfinite(flat).all(axis=1) if block.dtype.kind == "f" else np.ones(len(block), bool)
        kept.append(finite)
        if finite.any():
            low, high = min(low, float(flat[finite].min())), max(high, float(flat[finite].max()))
            whole = whole and (block.dtype.kind != "f")
    good = np.concatenate(kept)
    note_not_finite(good, notes)
    scale, sentence = guess_scale(low, high, whole=whole)
    notes.say(sentence)
    return scale, good


def note_not_finite(good: np.ndarray, notes: Notes) -> None:
    """Name the items with values that are no numbers. Raises ValueError if they are over half."""
    for index in np.flatnonzero(~good):
        notes.left_out("It has values that are no finite numbers.", f"item {index}")
    if 2 * good.sum() < len(good) or not good.any():
        raise ValueError(f"{(~good).sum():,} of {len(good):,} items have values that are no finite numbers")


# ---- rows of numbers


def read_rows(raws: Sequence[Raw], notes: Notes, *, meaning: str, names: Sequence[str]) -> Items:
    """Rows as pixels of square images, or as features: what they look like, or what was chosen."""
    n, columns = sum(raw.shape[0] for raw in raws), raws[0].shape[1]
    square = square_of(columns)
    if meaning == PIXELS and not square:
        raise ValueError(
            f"{columns:,} numbers are no square image of {MIN_SIDE}×{MIN_SIDE} to {MAX_SIDE}×{MAX_SIDE} pixels, "
            "grey or in three colours: choose features"
        )
    if square and (meaning == PIXELS or (meaning == AUTO and all(map(is_bytes, raws)))):
        channels, side = square
        kind = "grey" if channels == 1 else "colour"
        notes.say(f"Each row has {columns:,} numbers: they were read as a {kind} image of {side}×{side} pixels.")
        return read_pixels(raws, notes, channels=channels, side=side)
    if not MIN_FEATURES <= columns <= MAX_FEATURES:
        raise ValueError(f"A table has {MIN_FEATURES} to {MAX_FEATURES:,} columns of numbers, this one has {columns:,}")
    if n * columns * 8 > MAX_ROW_BYTES:
        most = MAX_ROW_BYTES // (8 * columns)
        raise ValueError(f"With {columns:,} columns at most {most:,} rows can be read, there are {n:,}")
    values, done = np.empty((n, columns)), 0
    for block in (block for raw in raws for block in raw.blocks()):
        values[done : done + len(block)] = block
        done += len(block)
    good = np.asarray(np.isfinite(values).all(axis=1))
    note_not_finite(good, notes)
    x, features = scale_features(values[good], distinct(names or [f"column {i + 1}" for i in range(columns)]), notes)
    return Items(x[:, None, None], good, features)


def square_of(columns: int) -> tuple[int, int] | None:
    """Channels and side of the square image that has so many numbers."""
    for channels in (1, 3):
        side = math.isqrt(columns // channels)
        if channels * side * side == columns and MIN_SIDE <= side <= MAX_SIDE:
            return channels, side
    return None


def is_bytes(raw: Raw) -> bool:
    """Whether all values are whole numbers from 0 to 255."""
    if raw.dtype == np.uint8:
        return True
    return all(bool(((block >= 0) & (block <= 255) & (np.mod(block, 1) == 0)).all()) for block in raw.blocks())


def read_pixels(raws: Sequence[Raw], notes: Notes, *, channels: int, side: int) -> Items:
    """Rows of pixels as images. Colours come one plane after the other or pixel by pixel: the smoother reading wins."""
    if channels == 1:
        shaped = [reshaped(raw, (side, side)) for raw in raws]
        return read_images(shaped, notes, layout=(0, -1, 1, 2))
    sample = next(raws[0].blocks())[:200].astype(np.float64)
    planes = np.abs(np.diff(sample.reshape(-1, 3, side, side), axis=3)).mean()
    pixels = np.abs(np.diff(sample.reshape(-1, side, side, 3), axis=2)).mean()
    if planes <= pixels:
        notes.say("The colours come one after the other, all red first: so neighbouring pixels are more alike.")
        return read_images([reshaped(raw, (3, side, side)) for raw in raws], notes, layout=(0, 1, 2, 3))
    notes.say("The colours come pixel by pixel: so neighbouring pixels are more alike.")
    return read_images([reshaped(raw, (side, side, 3)) for raw in raws], notes, layout=(0, 3, 1, 2))


def reshaped(raw: Raw, item: tuple[int, ...]) -> Raw:
    return Raw(raw.name, (raw.shape[0], *item), raw.dtype, lambda: (block.reshape(-1, *item) for block in raw.blocks()))


def scale_features(values: np.ndarray, names: Sequence[str], notes: Notes) -> tuple[np.ndarray, tuple[Feature, ...]]:
    """uint8 [N, F] from float [N, F], each column from its lowest value to its highest; and what the columns are."""
    low, high = values.min(axis=0), values.max(axis=0)
    with np.errstate(over="ignore"):
        span = high - low
    for name in (names[int(i)] for i in np.flatnonzero(~np.isfinite(span))):
        raise ValueError(f"The column “{name}” has values too far apart to be scaled")
    steps = np.divide(255, span, out=np.zeros_like(span), where=span > 255 / np.finfo(float).max)
    x = np.round((values - low) * steps).astype(np.uint8)
    notes.say("Each column was scaled: its lowest value is 0 and its highest 1, in 256 steps.")
    constant = [names[int(i)] for i in np.flatnonzero(span == 0)]
    if constant:
        more = f" and {len(constant) - 5} more" if len(constant) > 5 else ""
        notes.say(f"Always the same value: {', '.join(constant[:5])}{more}. Such a column tells the models nothing.")
    return x, tuple(Feature(name, float(a), float(b)) for name, a, b in zip(names, low, high))
