"""The frontier: what a sweep over beta found, as one file that ships. Needs no torch.

For each latent_dim and beta: rate (kl) against distortion (recon), and every regularity figure, seed by seed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.files import DamagedFile, read_record, write_record

FORMAT = 1
MAX_BYTES = 2_000_000


@dataclass(frozen=True)
class Point:
    """One cell: of an AE beta is 0 and kl is 0. recon and kl in nats, z sampled. figures: by "measure/distribution"."""

    model: str
    latent_dim: int
    beta: float
    seed: int
    recon: float
    kl: float
    figures: dict[str, float | None]

    def value(self, what: str) -> float | None:
        """recon, kl or one of the figures."""
        return {"recon": self.recon, "kl": self.kl}.get(what, self.figures.get(what))


@dataclass(frozen=True)
class Frontier:
    """All points of a sweep; settings: what they share; controls: by figure its ceiling and floor."""

    settings: dict[str, Any]
    points: tuple[Point, ...]
    controls: dict[str, tuple[float | None, float | None]]

    def of(self, model: str, latent_dim: int, beta: float | None = None) -> tuple[Point, ...]:
        found = (one for one in self.points if (one.model, one.latent_dim) == (model, latent_dim))
        return tuple(one for one in found if beta is None or one.beta == beta)

    @property
    def latent_dims(self) -> tuple[int, ...]:
        return tuple(sorted({one.latent_dim for one in self.points}))

    def betas(self, latent_dim: int) -> tuple[float, ...]:
        return tuple(sorted({one.beta for one in self.of("vae", latent_dim)}))


def mean(points: Iterable[Point], what: str) -> tuple[float, float, float] | None:
    """Mean, lowest and highest over the seeds; None if it could not be measured for one of them."""
    values = [one.value(what) for one in points]
    there = [value for value in values if value is not None]
    return (statistics.fmean(there), min(there), max(there)) if there and len(there) == len(values) else None


def collect(records: Iterable[dict[str, Any]]) -> Frontier:
    """From the records of a sweep's cells. Raises ValueError if they do not share their settings."""
    cells = list(records)
    own = ("model", "latent_dim", "beta", "seed")
    shared = [{key: value for key, value in record["cell"].items() if key not in own} for record in cells]
    if not cells or any(each != shared[0] for each in shared):
        raise ValueError("A frontier needs cells of one sweep: the same data, network and budget")
    points = [
        Point(
            **{key: record["cell"][key] for key in own},
            recon=record["recon"],
            kl=record["kl"],
            figures={key_of(one): one["value"] for one in record["measures"]},
        )
        for record in cells
    ]
    controls = {key_of(one): (one["ceiling"], one["floor"]) for one in cells[0]["measures"]}
    settings = {**shared[0], "samples": next(one["n"] for one in cells[0]["measures"] if one["measure"] == "frechet")}
    order = sorted(points, key=lambda one: (one.latent_dim, one.model, one.beta, one.seed))
    return Frontier(settings, tuple(order), controls)


def key_of(record: dict[str, Any]) -> str:
    return f"{record['measure']}/{record['distribution'] or ''}"


def save(path: Path, frontier: Frontier) -> None:
    points = [
        {**vars(one), "figures": {key: rounded(value) for key, value in one.figures.items()}} for one in frontier.points
    ]
    record = {"format": FORMAT, "settings": frontier.settings, "controls": frontier.controls, "points": points}
    write_record(path, record, indent=0)


def rounded(value: float | None) -> float | None:
    """To six digits: none of the figures is surer than that."""
    return None if value is None else float(f"{value:.6g}")


def load(path: Path) -> Frontier:
    """Raises DamagedFile if there is no sound frontier."""
    record = read_record(path, what="a frontier", known_format=FORMAT, max_bytes=MAX_BYTES)
    try:
        points = tuple(Point(**one) for one in record["points"])
        controls = {key: (ends[0], ends[1]) for key, ends in record["controls"].items()}
        sound = all(is_sound(one) for one in points) and isinstance(record["settings"], dict)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise DamagedFile(f"{path} is not a frontier: {error!r}") from error
    if not (sound and points):
        raise DamagedFile(f"{path} is not a frontier: it holds points that are none")
    return Frontier(record["settings"], points, controls)


def is_sound(point: Point) -> bool:
    """Whether a point holds numbers where numbers belong."""
    numbers = [point.latent_dim, point.beta, point.seed, point.recon, point.kl]
    figures = [value for value in point.figures.values() if value is not None]
    return point.model in ("ae", "vae") and all(
        type(value) in (int, float) and math.isfinite(value) for value in (*numbers, *figures)
    )
