"""What can be built and trained: the checks, the number of weights, the presets. Needs no torch, so a page can ask."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

MAX_LATENT_DIM = 256
MAX_TYPED = 100  # letters of a list of sizes
MAX_WIDTH = 8192
MAX_SIDE = 1024
MAX_PARAMETERS = 20_000_000
MAX_EPOCHS = 2000  # each leaves a record in the model's card, which must stay below its bound in bytes
DEFAULT_HIDDEN = {"mlp": (512, 256), "conv": (16, 32)}
KERNEL = 4  # of the conv networks, with stride 2 and padding 1: each layer halves the side
ImageShape = tuple[int, int, int]


@dataclass(frozen=True)
class Settings:
    """What an AE and a VAE are trained with: the same for both, but beta, which is the VAE's alone."""

    dataset: str = "mnist"
    arch: str = "mlp"
    hidden: tuple[int, ...] = DEFAULT_HIDDEN["mlp"]
    latent_dim: int = 2
    beta: float = 1.0
    epochs: int = 10
    batch_size: int = 256
    lr: float = 1e-3
    seed: int = 0

    def budget(self, model: str) -> dict[str, Any]:
        """The arguments of training.train for one of the two. An AE has no KL to weigh: its beta is 0."""
        values = {key: getattr(self, key) for key in ("epochs", "batch_size", "lr", "seed")}
        return {**values, "beta": self.beta if model == "vae" else 0.0}

    def check(self, *, image_shape: ImageShape, n: int) -> None:
        """Raise ValueError, in one sentence that says what would be right, if one cannot train with these."""
        architecture = {"arch": self.arch, "hidden": self.hidden, "latent_dim": self.latent_dim}
        check_architecture(image_shape=image_shape, **architecture)  # type: ignore[arg-type]
        check_size(count_parameters("vae", image_shape=image_shape, **architecture))  # type: ignore[arg-type]
        check_budget(n=n, **self.budget("vae"))

    def record(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {**asdict(self), "hidden": list(self.hidden)}

    @classmethod
    def of(cls, record: Any) -> Settings:
        """The settings of such a record, which is not believed. Raises ValueError if it is none."""
        try:
            settings = cls(**{**record, "hidden": tuple(record["hidden"])})
            check_kinds(settings)
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise ValueError(f"These are no settings of a training: {error}") from error
        if len(record) != len(fields(cls)) or not all(type(width) is int for width in settings.hidden):
            raise ValueError(
                "These are no settings of a training: all of them and whole numbers for hidden were expected"
            )
        return settings


def check_kinds(record: Any) -> None:
    """Raise ValueError, naming the field, if an int, float or str field of a dataclass holds anything else.

    Numbers must be finite. Raises OverflowError for a whole number that no float can hold.
    """
    kinds = {"int": int, "float": (int, float), "str": str}
    for field in fields(record):
        value, kind = getattr(record, field.name), kinds.get(str(field.type))
        if kind and (not isinstance(value, kind) or isinstance(value, bool)):  # type: ignore[arg-type]
            raise ValueError(f"{field.name} must be a {field.type}, got {value!r:.40}")
        if isinstance(value, (int, float)) and not math.isfinite(value):
            raise ValueError(f"{field.name} must be a finite number, got {value}")


def check_architecture(*, image_shape: ImageShape, latent_dim: int, arch: str, hidden: tuple[int, ...]) -> None:
    """Raise ValueError, in one sentence that says what would be right, if this network cannot be built."""
    pixels = math.prod(image_shape)
    if not all(1 <= side <= MAX_SIDE for side in image_shape):
        raise ValueError(f"image_shape must be three numbers from 1 to {MAX_SIDE}, got {list(image_shape)}")
    if arch not in DEFAULT_HIDDEN:
        raise ValueError(f"Unknown architecture: {arch!r}. Must be one of: {', '.join(DEFAULT_HIDDEN)}")
    if not 1 <= latent_dim <= min(pixels, MAX_LATENT_DIM):
        raise ValueError(f"latent_dim must be between 1 and {min(pixels, MAX_LATENT_DIM)}, got {latent_dim}")
    if not 1 <= len(hidden) <= 6 or not all(1 <= width <= MAX_WIDTH for width in hidden):
        raise ValueError(
            f"hidden must be 1 to 6 sizes between 1 and {MAX_WIDTH}, got {', '.join(map(str, hidden[:7])) or 'none'}"
        )
    halvings = 2 ** len(hidden)
    if arch == "conv" and (image_shape[1] % halvings or image_shape[2] % halvings):
        raise ValueError(
            f"A conv network of {len(hidden)} layers halves the image {len(hidden)} times; "
            f"{image_shape[1]}x{image_shape[2]} pixels cannot be halved so often, take fewer hidden sizes"
        )


def is_table(shape: tuple[int, ...]) -> bool:
    """Whether items of the shape [C, H, W] are rows of a table."""
    return shape[:2] == (1, 1)


def check_size(parameters: int) -> None:
    if parameters > MAX_PARAMETERS:
        raise ValueError(f"A model may have at most {MAX_PARAMETERS:,} weights, this one has {parameters:,}")


def check_budget(*, n: int, beta: float, epochs: int, batch_size: int, lr: float, seed: int) -> None:
    """Raise ValueError, naming the value and what would be right, if one cannot train with these on n images."""
    if n == 0:
        raise ValueError("There are no training images")
    if not (math.isfinite(beta) and beta >= 0):
        raise ValueError(f"beta must be a number of at least 0, got {beta}")
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    if epochs > MAX_EPOCHS:
        raise ValueError(f"epochs must be at most {MAX_EPOCHS}, got {epochs}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if not (math.isfinite(lr) and 0 < lr <= 1):
        raise ValueError(f"lr must be above 0 and at most 1, got {lr}")
    if not 0 <= seed < 2**32 - 1:
        raise ValueError(f"seed must be at least 0 and below {2**32 - 1}, got {seed}")


def count_parameters(
    model: str, *, image_shape: ImageShape, latent_dim: int, arch: str, hidden: tuple[int, ...]
) -> int:
    """How many weights models.build would give this network; settings must have passed check_architecture."""
    code = latent_dim * (2 if model == "vae" else 1)
    if arch == "mlp":
        widths = (math.prod(image_shape), *hidden)
        body = sum((a + 1) * b + (b + 1) * a for a, b in pairwise(widths))
        return body + (widths[-1] + 1) * code + (latent_dim + 1) * widths[-1]
    channels = (image_shape[0], *hidden)
    body = sum(2 * KERNEL**2 * a * b + a + b for a, b in pairwise(channels))
    inner = math.prod(inner_shape(image_shape, hidden))
    return body + (inner + 1) * code + (latent_dim + 1) * inner


def inner_shape(image_shape: ImageShape, hidden: tuple[int, ...]) -> ImageShape:
    """What the conv layers leave of an image: [channels, height, width]."""
    halvings = 2 ** len(hidden)
    return hidden[-1], image_shape[1] // halvings, image_shape[2] // halvings


def parse_hidden(text: str, *, name: str = "hidden") -> tuple[int, ...]:
    """ "512,256" -> (512, 256). Raises ValueError with an example of what would be right."""
    try:
        if len(text) > MAX_TYPED:
            raise ValueError("too long")
        return tuple(int(width) for width in text.replace(" ", "").split(","))
    except ValueError as error:
        raise ValueError(f"{name} must be whole numbers with commas, such as 512,256, got {text[:60]!r}") from error
