"""Train and measure a grid of betas, latent dimensions, seeds and data sets: what more order costs, cell by cell.

run() hands out cells to a backend (processes here, or explorer.sweep_ray: a cluster) and alone writes what comes back,
so a cell is whole or not there. It holds a lock on each cell that it hands out: sweeps on one folder share the work.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import shutil
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from explorer import cells, places
from explorer.cells import FILES, Cell, Plan

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from explorer.checkpoints import Card
    from explorer.data import Dataset
    from explorer.training import EpochStats
    from explorer.world import World

FROM_PRIOR = ("frechet", "prior")
TRIES = 3
POLL_S = 0.5
TOLD = 3  # failed cells that a message names


# ---- what is heard of a cell


@dataclass(frozen=True)
class Epoch:
    """A cell is this many epochs far, on the machine called where. stats: of the last one (training.EpochStats)."""

    cell: Cell
    where: str
    epoch: int = 0
    stats: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """A cell is done: its record and its files."""

    cell: Cell
    record: dict[str, Any]
    files: dict[str, bytes]


@dataclass(frozen=True)
class Failed:
    """A cell could not be done. again: whether another try may go better."""

    cell: Cell
    why: str
    again: bool


News = Epoch | Made | Failed
Datasets = Mapping[str, "Dataset"]  # by name


class Backend(Protocol):
    """Where cells are trained. For each that was started there is news until it is Made or Failed."""

    def room(self) -> int:
        """How many more cells it takes now."""

    def start(self, cell: Cell) -> None: ...

    def news(self, timeout: float) -> list[News]:
        """What is new; waits for it at most timeout seconds."""


class Incomplete(ValueError):
    """A sweep is over, but some cells could not be trained."""


# ---- the sweep


def make_plan(grid: Sequence[Cell], datasets: Datasets, *, samples: int) -> Plan:
    return Plan(tuple(grid), samples, {name: dataset.sha256 for name, dataset in datasets.items()}, time.time())


def run(
    plan: Plan, out: Path, backend: Backend, *, tell: Callable[[News], object] = lambda news: None
) -> Iterator[dict[str, Any]]:
    """The record of each cell of the plan as it is done; cells that are there already come first.

    tell: hears of each epoch and of each failure. Another sweep on the same folder does some of the cells; their
    records come too. Raises ValueError if the folder holds another sweep, Incomplete in the end if cells failed.
    """
    cells.join(out, plan)
    left, lost = deque(plan.cells), Counter[Cell]()
    held: dict[Cell, tuple[IO[bytes], float]] = {}
    problems: dict[Cell, str] = {}
    try:
        yield from finished(left, plan, out)
        while left or held:
            yield from hand_out(left, held, plan, out, backend)
            for news in backend.news(POLL_S):
                tell(news)
                if isinstance(news, Epoch):
                    cells.note(out, news.cell, where=news.where, epoch=news.epoch, stats=news.stats)
                    continue
                file, since = held.pop(news.cell)
                with file:
                    if isinstance(news, Made):
                        seconds = time.monotonic() - since
                        yield cells.keep(out, news.cell, news.record, news.files, plan=plan, seconds=seconds)
                        continue
                    lost[news.cell] += 1
                    if news.again and lost[news.cell] < TRIES:
                        left.append(news.cell)
                    else:
                        problems[news.cell] = news.why
                        cells.note(out, news.cell, problem=news.why)
    finally:
        for file, _ in held.values():
            file.close()
    if problems:
        raise Incomplete(as_sentence(problems, len(plan.cells)))


def finished(left: deque[Cell], plan: Plan, out: Path) -> Iterator[dict[str, Any]]:
    """The records of the cells that are done, which are taken out of left."""
    for _ in range(len(left)):
        cell = left.popleft()
        there = cells.done(cell, out, plan)
        if there:
            yield there
        else:
            left.append(cell)


def hand_out(
    left: deque[Cell], held: dict[Cell, tuple[IO[bytes], float]], plan: Plan, out: Path, backend: Backend
) -> Iterator[dict[str, Any]]:
    """Give the backend as many cells as it takes; the records of those that another sweep has done meanwhile."""
    room = backend.room()
    for _ in range(len(left)):
        if room <= 0:
            return
        cell = left.popleft()
        file = cells.claim(out, cell)
        if file is None:
            left.append(cell)
            continue
        held[cell] = file, time.monotonic()
        there = cells.done(cell, out, plan)
        if there:
            held.pop(cell)[0].close()
            yield there
            continue
        cells.note(out, cell)
        backend.start(cell)
        room -= 1


def as_sentence(problems: dict[Cell, str], total: int) -> str:
    """What to tell of cells that failed."""
    some = "; ".join(f"{cell.name}: {why}" for cell, why in list(problems.items())[:TOLD])
    more = f"; and {len(problems) - TOLD} more" if len(problems) > TOLD else ""
    return (
        f"{len(problems)} of {total} cells could not be trained ({some}{more}). "
        "The others are kept: start the sweep again to try these once more"
    )


# ---- one cell


def work(cell: Cell, dataset: Dataset, samples: int) -> Iterator[News]:
    """Train and measure a cell in this process, on one thread; what goes wrong is news too."""
    where = socket.gethostname()
    yield Epoch(cell, where)
    try:
        one_thread()
        with scratch() as place:
            folder = place / cell.name
            for stats in trained(cell, folder, dataset):
                yield Epoch(cell, where, stats.epoch, asdict(stats))
            record = measured(cell, folder, samples)
            yield Made(cell, record, {name: (folder / name).read_bytes() for name in FILES})
    except (ValueError, FloatingPointError) as error:
        yield Failed(cell, str(error), again=False)
    except Exception as error:  # as out of memory, which torch tells as a RuntimeError: another time or place may do
        yield Failed(cell, f"{type(error).__name__} on {where}: {error}", again=True)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for as long as this lasts; those of processes that were killed go with it."""
    folder = places.temporary("cell-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def one_thread() -> None:
    """Of a process that trains cells: there are as many of them as cores, and the figures are the same everywhere."""
    import torch
    from threadpoolctl import threadpool_limits

    from explorer import regularity

    assert regularity  # what it brings is limited too
    torch.set_num_threads(1)
    threadpool_limits(1)


def measured(cell: Cell, folder: Path, samples: int) -> dict[str, Any]:
    """The record of a cell trained in folder. recon and kl: of the test images, z sampled, nats."""
    from explorer import regularity, scoreboard
    from explorer.loaded import Model

    model, here = Model.load(folder), world_of(cell.settings.dataset, samples)
    figures = tuple(regularity.measure(model, here))
    scoreboard.save(folder, scoreboard.Scoreboard(figures, regularity.about(model, here)))
    return {
        "cell": cell.record(),
        "recon": model.card.test_recon_sampled,
        "kl": model.card.test_kl,
        "measures": [figure.record() for figure in figures],
    }


def train(
    cell: Cell, folder: Path, root: Path | None, *, tell: Callable[[EpochStats], object] = lambda stats: None
) -> Card:
    """As trained, on the data set below root; tell hears of each epoch. Returns the model's card."""
    from explorer import checkpoints

    for stats in trained(cell, folder, dataset_of(cell.settings.dataset, root)):
        tell(stats)
    return checkpoints.read_card(folder)


def trained(cell: Cell, folder: Path, dataset: Dataset) -> Iterator[EpochStats]:
    """Train a cell's model and save it in folder, its dimensions numbered by activity, its weights as float16.

    Every figure in the card is of the model as it is saved, on all test images.
    """
    import torch

    from explorer import checkpoints, latent, models, training

    s = cell.settings
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
        yield stats
    with torch.no_grad():
        codes = torch.cat([module.encode(training.to_unit(part)) for part in x_test.split(1000)]).numpy()
    models.reorder(module, latent.by_activity(codes).tolist())
    models.round_to_half(module)
    test_recon_sampled, test_kl = training.evaluate(module, x_test, seed=s.seed)
    checkpoints.save(
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
        f"{cell['dataset']} {cell['model']} {cell['latent_dim']} dimensions{beta} seed {cell['seed']}: "
        f"recon {record['recon']:.1f}, KL {record['kl']:.2f}, {distance} from N(0, I)"
    )


# ---- processes on this machine


class Processes:
    """Cells in processes of this machine, one thread each, which end with this one however that ends."""

    def __init__(self, datasets: Datasets, *, samples: int, at_once: int | None = None) -> None:
        self.given = dict(datasets), samples
        self.at_once = at_once or cores()
        self.idle: list[tuple[Connection, SpawnProcess]] = []
        self.busy: dict[Connection, tuple[Cell, SpawnProcess]] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *raised: object) -> None:
        for process in [*(process for _, process in self.idle), *(process for _, process in self.busy.values())]:
            process.kill()
            process.join()

    def room(self) -> int:
        return self.at_once - len(self.busy)

    def start(self, cell: Cell) -> None:
        ours, process = self.idle.pop() if self.idle else self._new()
        try:
            ours.send(cell)
        except OSError:  # it was ended from outside while it waited
            ours.close()
            ours, process = self._new()
            ours.send(cell)
        self.busy[ours] = cell, process

    def _new(self) -> tuple[Connection, SpawnProcess]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, *self.given), daemon=True)
        process.start()
        theirs.close()
        return ours, process

    def news(self, timeout: float) -> list[News]:
        return [self._hear(ours) for ours in wait(list(self.busy), timeout) if isinstance(ours, Connection)]

    def _hear(self, ours: Connection) -> News:
        """What a process has to say. One that failed is replaced: it may be what went wrong."""
        cell, process = self.busy[ours]
        try:
            news = ours.recv()
        except (EOFError, OSError):
            process.join()
            news = Failed(cell, f"its process was ended from outside ({process.exitcode})", again=True)
        if isinstance(news, Made):
            self.busy.pop(ours)
            self.idle.append((ours, process))
        elif isinstance(news, Failed):
            self.busy.pop(ours)
            ours.close()
            process.kill()
        return news


def serve(orders: Connection, datasets: Datasets, samples: int) -> None:
    """Of such a process: do the cells that it is given. Ctrl-C is its parent's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    while True:
        cell = orders.recv()
        for news in work(cell, datasets[cell.settings.dataset], samples):
            orders.send(news)


def end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def cores() -> int:
    return max(1, os.cpu_count() or 1)
