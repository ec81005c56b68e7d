"""The scoreboard: figures of models, in words, in files, side by side. Needs no torch.

A measured model has its figures in measures.json in its folder, and the pictures they were computed from beside it.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer import tables
from explorer.files import DamagedFile, read_checked, read_record, sha256, write_record, write_whole

if TYPE_CHECKING:
    import numpy as np

FORMAT = 2
LEARNED = 0.2  # of the way from the commonest class to all right: a judge that went less has learned little
FIGURES, PICTURES = "measures.json", "measures.gz"
MAX_FIGURES_BYTES, MAX_PICTURES_BYTES = 1_000_000, 20_000_000

DISTRIBUTIONS = {
    "prior": "N(0, I)",
    "gaussian": "a Gaussian fitted to its codes",
    "mixture": "a mixture of ten Gaussians fitted to its codes",
    "box": "a uniform box around its codes",
}


@dataclass(frozen=True)
class Measure:
    """One measure in words. better: -1 if lower is better, 1 if higher is, 0 if neither."""

    group: str
    title: str
    means: str
    better: int
    digits: int = 2


MEASURES = {
    "frechet": Measure(
        "Completeness",
        "Fréchet distance",
        "How far samples and real images are apart as clouds, in the features of our small classifier.",
        -1,
        1,
    ),
    "precision": Measure("Completeness", "Precision", "The share of samples that look like some real image.", 1),
    "recall": Measure("Completeness", "Recall", "The share of real images that some sample looks like.", 1),
    "density": Measure(
        "Completeness", "Density", "How many real images a sample lies near to, against what is usual (1).", 1
    ),
    "coverage": Measure("Completeness", "Coverage", "The share of real images that have a sample near to them.", 1),
    "accepted": Measure(
        "Completeness",
        "Accepted",
        "The share of samples that the classifier is as sure of as of real images, and that are as near to one.",
        1,
    ),
    "holes": Measure(
        "Completeness",
        "Holes",
        "The share of the distribution that lies farther from any code than 99 % of held-out codes do.",
        -1,
    ),
    "path_step": Measure(
        "Continuity",
        "Largest step on a path",
        "On a straight line between two codes: the largest step's share of the way, beyond an even step's. 0 is even.",
        -1,
        3,
    ),
    "class_flips": Measure(
        "Continuity", "Class changes on a path", "How often the class changes on such a line of 17 images.", -1
    ),
    "neighbour_agreement": Measure(
        "Continuity",
        "Neighbours agree",
        "How often a step of a tenth of the way between two random codes leaves the class as it was.",
        1,
        3,
    ),
    "stretch": Measure(
        "Continuity",
        "Uneven stretch",
        "How much more the decoder stretches in its most stretched twentieth than in its middle. 1 is even.",
        -1,
    ),
    "mmd": Measure("Prior mismatch", "MMD to N(0, I)", "How far the codes are from N(0, I). 0 is no mismatch.", -1, 4),
    "energy": Measure(
        "Prior mismatch", "Energy distance to N(0, I)", "The same by the distances between codes.", -1, 3
    ),
    "recon": Measure("Price", "Reconstruction", "What a copy loses, in nats an image.", -1, 1),
    "kl": Measure("Price", "KL", "What the code may say of an image, in nats.", 0, 1),
    "active_units": Measure("Price", "Active units", "Dimensions that carry something.", 0, 0),
}


JUDGED = (
    "frechet",
    "precision",
    "recall",
    "density",
    "coverage",
    "accepted",
    "class_flips",
    "neighbour_agreement",
)  # need a classifier
DISTRIBUTED = ("frechet", "precision", "recall", "density", "coverage", "accepted", "holes")
COUNT = len(MEASURES) + (len(DISTRIBUTIONS) - 1) * len(DISTRIBUTED)  # figures of a model


@dataclass(frozen=True)
class Examples:
    """What a figure was computed from: rows of images, uint8 [3, K, C, H, W], best, median and worst; what they are."""

    images: np.ndarray
    text: str


@dataclass(frozen=True)
class Figure:
    """One figure of one model.

    value: None if it could not be computed; note says why then, or what else one has to know. low, high: 95 % interval;
    for mmd and energy the band in which the value would lie if codes and N(0, I) were alike. ceiling: what real
    held-out images reach, or the best there can be; floor: what noise does. n: from how many images, codes or paths.
    spread: where each of those has a value of its own, the quantiles of these values at 0, 5, …, 100 %.
    """

    model: str
    measure: str
    distribution: str | None
    value: float | None
    low: float | None
    high: float | None
    ceiling: float | None
    floor: float | None
    n: int
    note: str = ""
    spread: tuple[float, ...] = ()
    examples: Examples | None = None

    @property
    def key(self) -> str:
        """What the figure is of, for one model."""
        return f"{self.measure}/{self.distribution or ''}"

    @property
    def beaten_by_noise(self) -> bool:
        """Whether the floor is as good as the value, or better."""
        better = MEASURES[self.measure].better
        if self.value is None or self.floor is None or not better:
            return False
        return self.floor >= self.value if better > 0 else self.floor <= self.value

    def record(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {**{key: value for key, value in vars(self).items() if key != "examples"}, "spread": list(self.spread)}

    @classmethod
    def of(cls, record: dict[str, Any]) -> Figure:
        """The way back from a record, which may hold more."""
        plain = {key: record[key] for key in cls.__dataclass_fields__ if key != "examples"}
        return cls(**{**plain, "spread": tuple(record["spread"])})


@dataclass(frozen=True)
class Scoreboard:
    """All figures of one model, and how they were made: samples, seed, hashes, versions."""

    figures: tuple[Figure, ...]
    about: dict[str, Any]

    def get(self, measure: str, distribution: str | None = None) -> Figure | None:
        found = (one for one in self.figures if (one.measure, one.distribution) == (measure, distribution))
        return next(found, None)


def title(figure: Figure) -> str:
    """What a figure is, in words."""
    return title_of(figure.key)


def title_of(key: str) -> str:
    """What the figures of "measure/distribution" are, in words."""
    measure, _, where = key.partition("/")
    name = MEASURES[measure].title
    return f"{name}, {DISTRIBUTIONS[where]}" if measure in DISTRIBUTED else name


def save(folder: Path, board: Scoreboard) -> None:
    """Write figures and pictures into a model's folder; the figures last, so that they never lack their pictures."""
    from safetensors.numpy import save as to_bytes

    shown = {one.key: one.examples.images for one in board.figures if one.examples}
    pictures = gzip.compress(to_bytes(shown), compresslevel=9, mtime=0)
    write_whole(folder / PICTURES, pictures)
    record = {
        "format": FORMAT,
        "about": board.about,
        "pictures": {"sha256": sha256(pictures)},
        "figures": [{**one.record(), "picture": one.examples.text if one.examples else None} for one in board.figures],
    }
    write_record(folder / FIGURES, record)


def load(folder: Path) -> Scoreboard:
    """The scoreboard in a model's folder, without its pictures. Raises DamagedFile if there is no sound one."""
    record = read(folder)
    return Scoreboard(tuple(map(Figure.of, record["figures"])), record["about"])


def read(folder: Path) -> dict[str, Any]:
    """The record of a scoreboard. Raises DamagedFile if it does not hold what its readers rely on."""
    path = folder / FIGURES
    record = read_record(path, what="a scoreboard", known_format=FORMAT, max_bytes=MAX_FIGURES_BYTES)
    told = record.get("figures"), record.get("about"), record.get("pictures")
    if not (isinstance(told[0], list) and isinstance(told[1], dict) and isinstance(told[2], dict)):
        raise DamagedFile(f"{path} is not a scoreboard: figures, about and pictures were expected")
    if not (isinstance(told[2].get("sha256"), str) and all(map(is_sound, told[0]))):
        raise DamagedFile(f"{path} is not a scoreboard: it holds figures that are none")
    return record


def is_sound(one: Any) -> bool:
    """Whether a record is a figure of a measure there is, with numbers where numbers belong."""
    if not isinstance(one, dict) or str(one.get("measure")) not in MEASURES:
        return False
    numbers = [one.get(key, "missing") for key in ("value", "low", "high", "ceiling", "floor")]
    plain = all(value is None or is_finite(value) for value in numbers)
    plain = plain and isinstance(one.get("spread"), list) and all(map(is_finite, one["spread"]))
    words = isinstance(one.get("model"), str) and isinstance(one.get("note"), str)
    where = one.get("distribution", "missing") in (None, *DISTRIBUTIONS)
    return plain and words and where and type(one.get("n")) is int and isinstance(one.get("picture"), (str, type(None)))


def is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def pictures(folder: Path, figure: Figure) -> Examples | None:
    """What a figure was computed from. Raises DamagedFile."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    record = read(folder)
    texts = {f"{one['measure']}/{one['distribution'] or ''}": one["picture"] for one in record["figures"]}
    if not texts.get(figure.key):
        return None
    content = read_checked(
        folder / PICTURES, expected_sha256=record["pictures"]["sha256"], max_bytes=MAX_PICTURES_BYTES
    )
    try:
        return Examples(from_bytes(gzip.decompress(content))[figure.key], texts[figure.key])
    except (OSError, EOFError, SafetensorError, KeyError) as error:
        raise DamagedFile(
            f"{folder / PICTURES} does not hold the pictures of the figures beside it: {error}"
        ) from error


def judged_by(board: Scoreboard) -> str:
    """A sentence on the judge that was trained on one's own data; "" for one that ships, and where there is none."""
    told = board.about.get("judge")
    if not (isinstance(told, dict) and all(is_finite(told.get(key)) for key in ("right", "n", "commonest"))):
        return ""
    said = (
        f"Judged by a classifier trained on your data: {100 * told['right']:.0f} % right on "
        f"{told['n']:,} held-out items; to name the commonest class always would be {100 * told['commonest']:.0f} %."
    )
    poor = told["right"] - told["commonest"] < LEARNED * (1 - told["commonest"])
    return f"{said} It has learned little: do not rely on figures that need it." if poor else said


def left_out(boards: Sequence[Scoreboard], measures: Sequence[tuple[str, str | None]]) -> list[str]:
    """For each reason a sentence: which of the measures, each with its distribution, no board has a value of."""
    reasons: dict[str, list[str]] = {}
    for measure, distribution in measures:
        found = [one for board in boards if (one := board.get(measure, distribution))]
        if found and all(one.value is None for one in found):
            for note in dict.fromkeys(one.note for one in found):
                reasons.setdefault(note, []).append(MEASURES[measure].title)
    return [f"Left out: {', '.join(titles)}. {note}" for note, titles in reasons.items()]


def text_of(figure: Figure | None) -> str:
    """A value with its interval, for people."""
    if figure is None or figure.value is None:
        return "–"
    digits = MEASURES[figure.measure].digits
    interval = figure.low is not None and figure.high is not None and figure.low < figure.high
    band = figure.measure in ("mmd", "energy")
    more = f" ({figure.low:.{digits}f} to {figure.high:.{digits}f})" if interval and not band else ""
    return f"{figure.value:.{digits}f}{more}"


def verdict(ae: Scoreboard, vae: Scoreboard) -> str:
    """Two sentences built from the figures: what the VAE's order is worth, and what it costs."""
    return f"{gain(ae, vae)} {cost(ae, vae)}"


def value(board: Scoreboard, measure: str, distribution: str | None = None) -> float | None:
    found = board.get(measure, distribution)
    return found.value if found else None


def apart(one: Figure, other: Figure) -> bool:
    """Whether the intervals of two figures do not touch."""
    assert None not in (one.low, one.high, other.low, other.high)
    return one.high < other.low or other.high < one.low  # type: ignore[operator]


def gain(ae: Scoreboard, vae: Scoreboard) -> str:
    """From N(0, I), which of the two is nearer to real images, and by how much."""
    one, other = ae.get("frechet", "prior"), vae.get("frechet", "prior")
    if not (one and other and one.value is not None and other.value is not None):
        return "How well the two can be sampled from N(0, I) could not be measured."
    accepted = [100 * share for board in (vae, ae) if (share := value(board, "accepted", "prior")) is not None]
    both = len(accepted) == 2
    shares = f" ({accepted[0]:.0f} % of its samples pass for real, {accepted[1]:.0f} % of the AE's)" if both else ""
    figures = f"Fréchet distance {other.value:.0f} of the VAE, {one.value:.0f} of the AE"
    if not apart(one, other):
        return f"Sampled from N(0, I), VAE and AE cannot be told apart here: {figures}{shares}."
    nearer = "the VAE comes" if other.value < one.value else "the AE, not the VAE, comes"
    return f"Sampled from N(0, I), {nearer} nearer to real images: {figures}{shares}."


def cost(ae: Scoreboard, vae: Scoreboard) -> str:
    """What the VAE pays, and whether the AE with a mixture does without."""
    parts = []
    recon = [value(board, "recon") for board in (ae, vae)]
    if None not in recon:
        more = recon[1] - recon[0]  # type: ignore[operator]
        parts.append(
            f"its copies cost {more:.1f} nats more ({recon[1]:.1f} against {recon[0]:.1f})"
            if more > 0
            else f"its copies are no worse ({recon[1]:.1f} nats against {recon[0]:.1f})"
        )
    mixture, prior = ae.get("frechet", "mixture"), vae.get("frechet", "prior")
    if mixture and prior and mixture.value is not None and prior.value is not None:
        if mixture.value < prior.value:
            said = "samples better than the VAE from N(0, I)" if apart(mixture, prior) else "samples as well"
        else:
            said = "samples worse than the VAE from N(0, I)" if apart(mixture, prior) else "samples as well"
        parts.append(f"an AE with a mixture fitted to its codes {said} (Fréchet distance {mixture.value:.0f})")
    if not parts:
        return "What the VAE pays for it could not be measured."
    return f"The VAE's price: {', and '.join(parts)}."


def table(boards: Sequence[Scoreboard]) -> list[dict[str, Any]]:
    """All figures as plain records, for JSON and CSV."""
    return [figure.record() for board in boards for figure in board.figures]


def as_text(board: Scoreboard) -> str:
    """The figures as a table to read in a terminal."""
    names = [f"{one.measure} {one.distribution or ''}".strip() for one in board.figures]
    lines = [f"{board.about['model']}, {board.about['samples']:,} samples, seed {board.about['seed']}"]
    if said := judged_by(board):
        lines.append(f"  {said}")
    for name, one in zip(names, board.figures):
        digits = MEASURES[one.measure].digits
        ends = [f"{end:.{digits}f}" if end is not None else "–" for end in (one.ceiling, one.floor)]
        lines.append(f"  {name:32}{text_of(one):>28}   ceiling {ends[0]:>8}   floor {ends[1]:>8}   {one.note}".rstrip())
    return "\n".join(lines)


def rows(boards: Sequence[Scoreboard]) -> list[dict[str, Any]]:
    """All figures, a row each; their spreads are in the JSON."""
    return [{key: value for key, value in record.items() if key != "spread"} for record in table(boards)]


def as_csv(boards: Sequence[Scoreboard]) -> str:
    """All figures, a line each."""
    return tables.as_csv(rows(boards))


def as_parquet(boards: Sequence[Scoreboard]) -> bytes:
    """The same as Parquet, with how each model was measured."""
    made = rows(boards)
    columns = {key: [row[key] for row in made] for key in made[0]}
    return tables.as_parquet(columns, about={"models": [board.about for board in boards]})
