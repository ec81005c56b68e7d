"""How long each measure takes, and how that grows with the samples, beside a plain way to the same figure.

Run: python bench/measure.py

- The scoreboard: two shipped models, one process each, as the Measure page does it; with the most memory each held.
- The groups of measures of one model, on one thread, at 1,000, 2,000 and 5,000 samples.
- What they are made of, on random features, from 1,000 to 20,000 samples. The peers: for the Fréchet distance
  scipy.linalg.sqrtm of the product of the covariances; for neighbours and energy full tables of scipy's cdist, up to
  5,000 samples: at 20,000 such a table is 3.2 GB.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from common import Row, show, show_machine
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from explorer import regularity, statistics, world
from explorer.loaded import Model
from explorer.sandbox import ONE_THREAD

ROOT = Path(__file__).parents[1]
PAIR = ("mnist-ae-16", "mnist-vae-16")
BOARD_S, MEMORY_MB = 45, 600
SIZES, PEER_SIZES = (1000, 5000, 10_000, 20_000), (1000, 5000)
FEATURES = 64


def timed(action: Callable[..., object], *arguments: object) -> float:
    """Milliseconds, the best of two."""
    found = []
    for _ in range(2):
        start = time.perf_counter()
        action(*arguments)
        found.append((time.perf_counter() - start) * 1000)
    return min(found)


def scoreboard_rows() -> list[Row]:
    """Two processes, from their start to their last figure."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "explorer", "measure", "--json"]
    processes = [
        subprocess.Popen(
            [*command, name],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ONE_THREAD},
        )
        for name in PAIR
    ]
    for name, process in zip(PAIR, processes):
        if process.wait():
            sys.exit(f"Measuring {name} ended with status {process.returncode}")
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return [
        Row("both models, 5,000 samples, all figures", seconds, "s", BOARD_S),
        Row("the larger of the two processes, peak RSS", peak, "MB", MEMORY_MB),
    ]


def group_rows(samples: int) -> list[Row]:
    model = Model.load(PAIR[1])
    start = time.perf_counter()
    here = world.make("mnist", samples=samples)
    assert here.near
    assert here.controls
    rows = [Row("real images, noise, controls", (time.perf_counter() - start) * 1000, "ms")]
    codes = regularity.codes_of(model, here)
    groups = (regularity.price, regularity.paths, regularity.neighbours, regularity.stretch, regularity.mismatch)

    def one(group: Callable[..., Iterator[object]], *more: str) -> list[object]:
        return list(group(model, here, codes, *more))

    rows += [Row(group.__name__, timed(one, group), "ms") for group in groups]
    for where in ("prior", "mixture"):
        rows.append(Row(f"completeness and holes, {where}", timed(one, regularity.completeness, where), "ms"))
    return rows


# ---- the parts, beside plain ways


def plain_frechet(a: np.ndarray, b: np.ndarray) -> float:
    product = sqrtm(np.cov(a.T) @ np.cov(b.T))
    apart = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
    return float(apart + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * np.real(product)))


def plain_neighbours(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    radii_a, radii_b = (np.sort(cdist(x, x), axis=1)[:, 5] for x in (a, b))
    between = cdist(a, b)
    return float((between < radii_a[:, None]).any(axis=0).mean()), float((between < radii_b).any(axis=1).mean())


def plain_energy(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * cdist(a, b).mean() - cdist(a, a).mean() - cdist(b, b).mean())


def part_rows() -> list[Row]:
    chance, rows = np.random.default_rng(0), []
    parts: list[tuple[str, Callable[..., object], Callable[..., object] | None]] = [
        ("Fréchet distance", statistics.frechet, plain_frechet),
        ("its interval", interval, None),
        ("precision, recall, density, coverage", statistics.neighbours, plain_neighbours),
        ("energy distance", statistics.energy, plain_energy),
        ("MMD", statistics.mmd, None),
    ]
    for words, ours, plain in parts:
        for n in SIZES:
            pair = [chance.normal(size=(n, FEATURES)).astype(np.float32) for _ in range(2)]
            peer = timed(plain, *pair) if plain and n in PEER_SIZES else None
            rows.append(Row(f"{words}, {n:,}", timed(ours, *pair), "ms", None, peer))
    return rows


def interval(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    return statistics.frechet_interval(a, b, seed=0)


if __name__ == "__main__":
    show_machine()
    show("Scoreboard of two models side by side", scoreboard_rows())
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for count in (1000, 2000, 5000):
            show(f"Groups of measures, {PAIR[1]}, {count:,} samples, one thread", group_rows(count))
        show(f"Parts, {FEATURES} features, one thread", part_rows())
