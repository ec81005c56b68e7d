"""How values and sizes are brought to those that are kept: 0 to 255, and 8 to 64 pixels a side."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from explorer.bring.limits import MAX_SIDE, MAX_STORED_BYTES, MIN_SIDE


@dataclass(frozen=True)
class Scale:
    """Brings values to 0 to 255: (value - low) * factor."""

    low: float
    factor: float

    def apply(self, values: np.ndarray) -> np.ndarray:
        if (self.low, self.factor) == (0, 1) and values.dtype == np.uint8:
            return values
        return np.round((values.astype(np.float64) - self.low) * self.factor).astype(np.uint8)


WIDE = Scale(0, 1 / 257)  # 16 bits


def guess_scale(low: float, high: float, *, whole: bool) -> tuple[Scale, str]:
    """How values from low to high stand for 0 to 255, and the sentence that says so."""
    reach = f"Values reach from {low:g} to {high:g}"
    if not math.isfinite(high - low):
        raise ValueError(f"{reach}: that is more than can be scaled")
    if low >= 0 and high <= 1:
        return Scale(0, 255), f"{reach}: 0 was taken as black and 1 as white."
    if low >= 0 and 32 < high <= 255:
        return Scale(0, 1), f"{reach}: 0 was taken as black and 255 as white."
    if low >= 0 and 255 < high <= 65535 and whole:
        return WIDE, f"{reach}: 0 was taken as black and 65535 as white."
    if -1 <= low < 0 and high <= 1 and not whole:
        return Scale(-1, 127.5), f"{reach}: -1 was taken as black and 1 as white."
    factor = 255 / (high - low) if high > low else 0.0
    return Scale(low, factor), f"{reach}: the lowest was taken as black and the highest as white."


def bounded(size: tuple[int, int]) -> tuple[int, int]:
    """The size with its sides in 8 to 64, in proportion as far as they can be.

    Scaled sides are multiples of 4, so that a convolutional network can halve them.
    """
    scale = min(1.0, MAX_SIDE / max(size))
    scale = max(scale, MIN_SIDE / min(size))
    if scale == 1:
        return size
    width, height = (min(MAX_SIDE, max(MIN_SIDE, 4 * round(side * scale / 4))) for side in size)
    return width, height


def check_stored(shape: tuple[int, ...]) -> None:
    """Raise ValueError if images of this shape take more than they may."""
    needed = int(np.prod(shape, dtype=object))
    if needed > MAX_STORED_BYTES:
        text = f"{shape[0]:,} images of {shape[3]}×{shape[2]} pixels"
        raise ValueError(
            f"{text} would take {needed / 1e6:,.0f} MB, at most {MAX_STORED_BYTES // 1_000_000} can be kept: "
            "bring fewer or smaller ones"
        )
