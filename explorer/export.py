"""What can be taken along: the film of a training as a GIF, a model's codes as Parquet."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer import atlas, checkpoints, tables

if TYPE_CHECKING:
    from PIL import Image

SIDE, MARGIN, HEAD = 340, 14, 34
MAX_FRAMES = 60
FRAME_MS, LAST_MS = 120, 2000
PAPER, GROUND, INK = (251, 252, 254), (241, 244, 249), (27, 34, 48)
ACCENTS = {"ae": (192, 74, 18), "vae": (26, 103, 171)}
# Paul Tol's hues, as on the stage (stage/palette.js).
CLASSES = ("4477aa", "ee6677", "228833", "b8a52c", "56b4e0", "aa3377", "7a5230", "ee8866", "222255", "8c8c8c")


@dataclass(frozen=True)
class Scene:
    """One moment of one model: where its codes lie in the plane (float32 [N, 2]) and what to write over it."""

    places: np.ndarray
    text: str


def scene(path: Path, labels: np.ndarray, *, axes: Sequence[int], text: str) -> Scene:
    """From a sketch's file. axes: which two dimensions; a model with one gets a lane for each class."""
    from safetensors.numpy import load_file

    codes = load_file(path)["codes"]
    if codes.shape[1] == 1:
        spread = (np.arange(len(codes)) * 0.618034) % 1
        return Scene(np.stack([codes[:, 0], labels + 0.12 + 0.76 * spread], axis=1), text)
    return Scene(codes[:, list(axes)], text)


def gif(film: dict[str, list[Scene]], labels: np.ndarray) -> bytes:
    """The film as an animated GIF, the two models side by side; at most 60 frames, the first and the last among them.

    film: by "ae" and "vae" as many scenes. labels: uint8 [N].
    """
    count = min(len(scenes) for scenes in film.values())
    chosen = np.unique(np.linspace(0, count - 1, min(count, MAX_FRAMES)).round().astype(int))
    bounds = {kind: extent(scenes[int(chosen[-1])].places) for kind, scenes in film.items()}
    frames = [frame({kind: film[kind][i] for kind in film}, bounds, labels) for i in chosen.tolist()]
    target = io.BytesIO()
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    frames[0].save(target, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=False)
    return target.getvalue()


def extent(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low and high corner of the last picture, with a margin: the film ends with all in sight."""
    low, high = places.min(axis=0), places.max(axis=0)
    margin = np.maximum((high - low) * 0.05, 1e-6)
    return low - margin, high + margin


def frame(
    scenes: dict[str, Scene], bounds: dict[str, tuple[np.ndarray, np.ndarray]], labels: np.ndarray
) -> Image.Image:
    """One picture of the film."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (2 * SIDE + 3 * MARGIN, SIDE + HEAD + MARGIN), PAPER)
    draw = ImageDraw.Draw(image)
    inks = [tuple(bytes.fromhex(colour)) for colour in CLASSES]
    for i, (kind, shown) in enumerate(scenes.items()):
        left = MARGIN + i * (SIDE + MARGIN)
        draw.text((left, 8), kind.upper(), fill=ACCENTS[kind], font_size=16)
        draw.text((left + 44, 10), shown.text, fill=INK, font_size=13)
        draw.rounded_rectangle((left, HEAD, left + SIDE, HEAD + SIDE), 8, fill=GROUND)
        low, high = bounds[kind]
        share = (shown.places - low) / (high - low)
        inside = ((share > 0) & (share < 1)).all(axis=1)
        for (x, y), label in zip(share[inside], labels[inside].tolist()):
            px, py = left + x * SIDE, HEAD + (1 - y) * SIDE
            draw.ellipse((px - 1.5, py - 1.5, px + 1.5, py + 1.5), fill=inks[label % len(inks)])
    return image.quantize(64, dither=Image.Dither.NONE)


# ---- codes


def codes(folder: Path, classes: Sequence[str]) -> dict[str, Any]:
    """By column, the codes of the held-out images that a model shows: n, label, class, z1 to zd; of a VAE logvar too.

    folder: of its card and atlas. z of a VAE is the mean. Raises DamagedFile.
    """
    shown, posterior = atlas.read_part(folder, "codes"), atlas.read_part(folder, "posterior")
    labels, z = shown["labels"], shown["codes"]
    logvar = posterior.get("logvar", np.empty((len(z), 0), np.float32)).astype(np.float32)
    return {
        "n": np.arange(len(z), dtype=np.int32),
        "label": labels,
        "class": [classes[label] if label < len(classes) else "" for label in labels.tolist()],
        **{f"z{i + 1}": each for i, each in enumerate(z.T)},
        **{f"logvar{i + 1}": each for i, each in enumerate(logvar.T)},
    }


def codes_parquet(folder: Path, classes: Sequence[str]) -> bytes:
    """The same as Parquet, with the model's card. Raises DamagedFile."""
    about = dataclasses.asdict(checkpoints.read_card(folder))
    return tables.as_parquet(codes(folder, classes), about=about)
