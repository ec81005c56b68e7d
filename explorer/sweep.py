"""Train and measure a grid of betas, latent dimensions and seeds: what more order costs, cell by cell.

Each cell has a folder with its weights, card, figures and the record cell.json, written last: a sweep that was broken
off goes on with the cells that lack it.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.files import DamagedFile, read_record, write_record
from explorer.settings import Settings

if TYPE_CHECKING:
    from explorer.checkpoints import Card
    from explorer.data import Dataset
    from explorer.training import EpochStats
    from explorer.world import World

FORMAT = 1
CELL = "cell.json"
MAX_CELL_BYTES = 200_000
FROM_PRIOR = ("frechet", "prior")


@dataclass(frozen=True)
class Cell:
    """One training of a sweep. An AE has no beta: there is one for each latent_dim and seed, to compare with."""

    model: str
    settings: Settings

    @property
    def name(self) -> str:
        s = self.settings
        beta = f"-beta{s.beta:g}" if self.model == "vae" else ""
        return f"{s.dataset}-{self.model}-{s.latent_dim}{beta}-seed{s.seed}"

    def record(self) -> dict[str, Any]:
        settings = self.settings.record()
        return {"model": self.model, **settings, "beta": self.settings.budget(self.model)["beta"]}


def grid(base: Settings, *, betas: Sequence[float], latent_dims: Sequence[int], seeds: int) -> list[Cell]:
    """All cells, seed by seed, so that a sweep that is broken off has whole curves. Raises ValueError for none."""
    if not (betas and latent_dims and seeds >= 1):
        raise ValueError("A sweep needs at least one beta, one number of latent dimensions and one seed")
    kept = asdict(base)
    cells = []
    for seed in range(base.seed, base.seed + seeds):
        for latent_dim in dict.fromkeys(latent_dims):
            settings = {**kept, "latent_dim": latent_dim, "seed": seed}
            cells.append(Cell("ae", Settings(**{**settings, "beta": 0.0})))
            cells += [Cell("vae", Settings(**{**settings, "beta": beta})) for beta in dict.fromkeys(betas)]
    return cells


def run(cells: Sequence[Cell], out: Path, *, root: Path | None, samples: int, at_once: int) -> Iterator[dict[str, Any]]:
    """The record of each cell as it is done; cells that are there already come first."""
    left = []
    for cell in cells:
        there = done(cell, out, samples)
        if there:
            yield there
        else:
            left.append(cell)
    if not left:
        return
    with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn"), initializer=one_thread) as pool:
        futures = [pool.submit(run_cell, cell, out, root=root, samples=samples) for cell in left]
        try:
            yield from (future.result() for future in as_completed(futures))
        finally:
            pool.shutdown(cancel_futures=True)


def done(cell: Cell, out: Path, samples: int) -> dict[str, Any] | None:
    """The record of a cell that was finished with these very settings."""
    try:
        record = read_record(
            out / cell.name / CELL, what="a cell of a sweep", known_format=FORMAT, max_bytes=MAX_CELL_BYTES
        )
    except DamagedFile:
        return None
    same = record.get("cell") == cell.record() and record.get("samples") == samples
    return {key: record[key] for key in ("cell", "recon", "kl", "measures")} if same else None


def one_thread() -> None:
    """Of a process of the pool: there are as many of them as cores."""
    import torch

    torch.set_num_threads(1)


def run_cell(cell: Cell, out: Path, *, root: Path | None, samples: int) -> dict[str, Any]:
    """Train and measure one cell. recon and kl: of the test images, z sampled, nats."""
    from explorer import regularity, scoreboard
    from explorer.loaded import Model

    folder = out / cell.name
    train(cell, folder, root)
    model, here = Model.load(folder), world_of(cell.settings.dataset, samples)
    figures = tuple(regularity.measure(model, here))
    scoreboard.save(folder, scoreboard.Scoreboard(figures, regularity.about(model, here)))
    record = {
        "cell": cell.record(),
        "recon": model.card.test_recon_sampled,
        "kl": model.card.test_kl,
        "measures": [figure.record() for figure in figures],
    }
    write_record(folder / CELL, {"format": FORMAT, "samples": samples, **record}, indent=None)
    return record


def train(
    cell: Cell, folder: Path, root: Path | None, *, tell: Callable[[EpochStats], object] = lambda stats: None
) -> Card:
    """Train a cell's model and save it in folder, its dimensions numbered by activity, its weights as float16.

    tell: hears of each epoch. Every figure in the card is of the model as it is saved, on all test images.
    """
    import torch

    from explorer import checkpoints, latent, models, training

    dataset, s = dataset_of(cell.settings.dataset, root), cell.settings
    x_train, x_test = torch.from_numpy(dataset.x_train), torch.from_numpy(dataset.x_test)
    module = models.build(
        cell.model,
        seed=s.seed,
        image_shape=dataset.image_shape,
        latent_dim=s.latent_dim,
        arch=s.arch,
        hidden=s.hidden,
    )
    budget = s.budget(cell.model)
    history = []
    for stats in training.train(module, x_train, x_test, **budget):
        history.append(asdict(stats))
        tell(stats)
    with torch.no_grad():
        codes = torch.cat([module.encode(training.to_unit(part)) for part in x_test.split(1000)]).numpy()
    models.reorder(module, latent.by_activity(codes).tolist())
    models.round_to_half(module)
    test_recon_sampled, test_kl = training.evaluate(module, x_test, seed=s.seed)
    return checkpoints.save(
        folder,
        module,
        half=True,
        name=folder.name,
        model=cell.model,
        test_recon=training.evaluate_mean_code(module, x_test),
        test_recon_sampled=test_recon_sampled,
        test_kl=test_kl,
        history=tuple(history),
        versions=checkpoints.library_versions(),
        **dataset.origin,
        **budget,
    )


@functools.cache
def dataset_of(name: str, root: Path | None) -> Dataset:
    from explorer import data

    return data.load(name, root=root)


@functools.cache
def world_of(dataset: str, samples: int) -> World:
    from explorer import world

    return world.make(dataset, samples=samples)


def as_text(record: dict[str, Any]) -> str:
    """A finished cell in a line."""
    cell = record["cell"]
    beta = f" beta {cell['beta']:g}" if cell["model"] == "vae" else ""
    frechet = next(one["value"] for one in record["measures"] if (one["measure"], one["distribution"]) == FROM_PRIOR)
    distance = "no Fréchet distance" if frechet is None else f"Fréchet distance {frechet:.0f}"
    return (
        f"{cell['model']} {cell['latent_dim']} dimensions{beta} seed {cell['seed']}: recon {record['recon']:.1f}, "
        f"KL {record['kl']:.2f}, {distance} from N(0, I)"
    )


def cores() -> int:
    return max(1, os.cpu_count() or 1)
