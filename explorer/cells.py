"""What a sweep leaves in its folder: a plan, and a folder for each cell. Needs no torch, so a page can look on.

OUT/sweep.json          the plan: all cells, of which data, when it was started
OUT/CELL/.lock          held by whoever trains this cell; the system lets go of it when that process dies
OUT/CELL/state.json     how far it is while it is trained, or why it could not be
OUT/CELL/...            weights, card, figures, their pictures
OUT/CELL/cell.json      the record, written last, with the sha256 of the files beside it
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from explorer import frontier
from explorer.checkpoints import CARD, MAX_CARD_BYTES, MAX_WEIGHTS_BYTES, WEIGHTS
from explorer.files import (
    DamagedFile,
    UnknownFormat,
    alone,
    lock,
    locked,
    read_checked,
    read_record,
    sha256,
    write_record,
    write_whole,
)
from explorer.scoreboard import FIGURES, MAX_FIGURES_BYTES, MAX_PICTURES_BYTES, PICTURES
from explorer.settings import Settings

FORMAT, PLAN_FORMAT, STATE_FORMAT = 2, 2, 1
PLAN, CELL, STATE, LOCK = "sweep.json", "cell.json", "state.json", ".lock"
MAX_PLAN_BYTES, MAX_CELL_BYTES, MAX_STATE_BYTES = 20_000_000, 200_000, 10_000
FILES = {
    WEIGHTS: MAX_WEIGHTS_BYTES,
    CARD: MAX_CARD_BYTES,
    FIGURES: MAX_FIGURES_BYTES,
    PICTURES: MAX_PICTURES_BYTES,
}


@dataclass(frozen=True)
class Cell:
    """One training of a sweep. An AE has no beta: there is one for each latent_dim and seed, to compare with."""

    model: str
    settings: Settings

    @property
    def name(self) -> str:
        s = self.settings
        short = f"{s.beta:g}"
        beta = f"-beta{short if float(short) == s.beta else repr(s.beta)}" if self.model == "vae" else ""
        return f"{s.dataset}-{self.model}-{s.latent_dim}{beta}-seed{s.seed}"

    def record(self) -> dict[str, Any]:
        settings = self.settings.record()
        return {"model": self.model, **settings, "beta": self.settings.budget(self.model)["beta"]}

    @classmethod
    def of(cls, record: Any) -> Cell:
        """The cell of such a record, which is not believed. Raises ValueError if it is none."""
        if not isinstance(record, dict) or record.get("model") not in ("ae", "vae"):
            raise ValueError("This is no cell of a sweep: a model, ae or vae, and its settings were expected")
        cell = cls(record["model"], Settings.of({key: value for key, value in record.items() if key != "model"}))
        if Path(cell.name).name != cell.name or cell.settings.epochs < 1:
            raise ValueError(f"There is no such cell: {cell.name[:80]!r}")
        return cell

    @property
    def shared(self) -> Settings:
        """What all cells of one sweep have in common: the rest is 0 or empty."""
        return replace(self.settings, dataset="", latent_dim=0, beta=0.0, seed=0)


def grid(
    base: Settings,
    *,
    betas: Sequence[float],
    latent_dims: Sequence[int],
    seeds: int,
    datasets: Sequence[str] | None = None,
) -> list[Cell]:
    """All cells, seed by seed, so that a sweep that is broken off has whole curves. datasets: default that of base.

    Raises ValueError for none.
    """
    if not (betas and latent_dims and seeds >= 1):
        raise ValueError("A sweep needs at least one beta, one number of latent dimensions and one seed")
    kept = asdict(base)
    cells = []
    seeded = range(base.seed, base.seed + seeds)
    for seed, dataset, latent_dim in itertools.product(seeded, datasets or [base.dataset], latent_dims):
        settings = {**kept, "dataset": dataset, "latent_dim": latent_dim, "seed": seed}
        cells.append(Cell("ae", Settings(**{**settings, "beta": 0.0})))
        # + 0.0: there is no other beta called -0
        cells += [Cell("vae", Settings(**{**settings, "beta": beta + 0.0})) for beta in betas]
    return list(dict.fromkeys(cells))


# ---- the plan


@dataclass(frozen=True)
class Plan:
    """All that a sweep is to do. samples: images a measure is taken on. started: seconds since 1970.

    data_sha256: by name, of the data sets that its cells learn.
    """

    cells: tuple[Cell, ...]
    samples: int
    data_sha256: dict[str, str]
    started: float

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets' names, in the order they came."""
        return tuple(self.data_sha256)


def read_plan(out: Path) -> Plan:
    """The plan in a sweep's folder. Raises DamagedFile if there is no sound one."""
    path = out / PLAN
    record = read_record(path, what="the plan of a sweep", known_format=PLAN_FORMAT, max_bytes=MAX_PLAN_BYTES)
    try:
        cells = tuple(map(Cell.of, record["cells"]))
        data = {str(name): str(sha) for name, sha in record["data_sha256"].items()}
        plan = Plan(cells, int(record["samples"]), data, float(record["started"]))
        known = {cell.settings.dataset for cell in cells} == data.keys()
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        way_out = "remove it and start the sweep again, which keeps the finished cells"
        raise DamagedFile(f"{path} is not the plan of a sweep: {error}; {way_out}") from error
    if not (known and cells) or len({cell.shared for cell in cells}) > 1:
        raise DamagedFile(
            f"{path} is not the plan of a sweep: cells of known data, the same network and budget were expected"
        )
    return plan


def join(out: Path, plan: Plan) -> Plan:
    """Write the plan, or add its cells to the one that is there; what then stands there.

    Raises ValueError if that is of other data by the same name, another network, budget or number of samples.
    """
    out.mkdir(parents=True, exist_ok=True)
    with alone(out / LOCK):
        if (out / PLAN).exists():
            there = read_plan(out)
            check_same(there, plan, out)
            together = tuple(dict.fromkeys((*there.cells, *plan.cells)))
            plan = replace(there, cells=together, data_sha256={**there.data_sha256, **plan.data_sha256})
        record = {**vars(plan), "format": PLAN_FORMAT, "cells": [cell.record() for cell in plan.cells]}
        write_record(out / PLAN, record, indent=None)
    return plan


def check_same(there: Plan, plan: Plan, out: Path) -> None:
    """Raise ValueError, naming what differs, if the two cannot share a folder."""

    both = there.data_sha256.keys() & plan.data_sha256.keys()

    def told(one: Plan) -> dict[str, Any]:
        own = {"samples": one.samples, **{name: one.data_sha256[name][:12] for name in sorted(both)}}
        return {**own, **one.cells[0].shared.record()}

    before, now = told(there), told(plan)
    other = [f"{key} {before[key]} and not {now[key]}" for key in before if before[key] != now[key]]
    if other:
        raise ValueError(f"{out} holds a sweep with {', '.join(other)}: take another folder, or the same settings")


# ---- whose turn it is


def claim(out: Path, cell: Cell) -> IO[bytes] | None:
    """The right to train a cell, as an open file to be closed after; None if another sweep trains it now."""
    folder = out / cell.name
    folder.mkdir(parents=True, exist_ok=True)
    return locked(folder / LOCK)


def is_claimed(folder: Path) -> bool:
    """Whether a cell is being trained."""
    try:
        with (folder / LOCK).open("rb") as file:
            return not lock(file, shared=True)
    except (OSError, ValueError):
        return False


# ---- a cell's files


def note(out: Path, cell: Cell, **state: Any) -> None:
    """Write how far a cell is, for whoever looks on."""
    write_record(out / cell.name / STATE, {"format": STATE_FORMAT, **state}, indent=None, durable=False)


def keep(
    out: Path, cell: Cell, record: dict[str, Any], files: dict[str, bytes], *, plan: Plan, seconds: float
) -> dict[str, Any]:
    """Write a finished cell, its record last. seconds: how long it took, measuring included. Returns the record.

    Raises ValueError for files that are not those of a cell.
    """
    if files.keys() != FILES.keys():
        raise ValueError(f"A cell has the files {', '.join(FILES)}, got {', '.join(files)}")
    folder = out / cell.name
    (folder / CELL).unlink(missing_ok=True)
    for unfinished in folder.glob(".*.*"):  # of a sweep that was killed
        unfinished.unlink()
    for name, content in files.items():
        write_whole(folder / name, content)
    data = plan.data_sha256[cell.settings.dataset]
    about = {"samples": plan.samples, "seconds": seconds, "data_sha256": data}
    sums = {name: sha256(content) for name, content in files.items()}
    whole = {"format": FORMAT, **about, "files": sums, **record}
    write_record(folder / CELL, whole, indent=None)
    (folder / STATE).unlink(missing_ok=True)
    return record


def done(cell: Cell, out: Path, plan: Plan) -> dict[str, Any] | None:
    """The record of a cell that was finished as the plan has it, with all its files as they were written.

    None for one that is missing or damaged, which is to be trained again. Raises UnknownFormat.
    """
    folder = out / cell.name
    try:
        found = read_cell(folder)
        for name, max_bytes in FILES.items():
            read_checked(folder / name, expected_sha256=found["files"][name], max_bytes=max_bytes)
    except UnknownFormat as error:
        raise UnknownFormat(f"{error}; or take another folder") from error
    except DamagedFile:
        return None
    wanted = (cell.record(), plan.samples, plan.data_sha256[cell.settings.dataset])
    same = (found["cell"], found["samples"], found["data_sha256"]) == wanted
    return {key: found[key] for key in ("cell", "recon", "kl", "measures")} if same else None


def read_cell(folder: Path) -> dict[str, Any]:
    """The record of a finished cell with its seconds and hashes; the files beside it are not looked at.

    Raises DamagedFile if there is no sound one.
    """
    path = folder / CELL
    record = read_record(path, what="a cell of a sweep", known_format=FORMAT, max_bytes=MAX_CELL_BYTES)
    try:
        sound = all(map(frontier.is_sound, frontier.collect([record]).points))
        hashed = record["files"].keys() == FILES.keys() and all(
            isinstance(one, str) for one in record["files"].values()
        )
        known = isinstance(record["samples"], int) and isinstance(record["data_sha256"], str)
        timed = 0 <= float(record["seconds"]) < float("inf")
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise DamagedFile(f"{path} is not a cell of a sweep: {error!r}") from error
    if not (sound and hashed and known and timed):
        raise DamagedFile(f"{path} is not a cell of a sweep: it holds values that are none")
    return record


# ---- looking on


@dataclass(frozen=True)
class Running:
    """A cell in training. epoch: whole ones done; stats: figures of the last (explorer.training.EpochStats).

    where: the machine; "" while it waits for a place on one.
    """

    cell: Cell
    epoch: int
    where: str
    stats: dict[str, float]


@dataclass(frozen=True)
class Look:
    """Where a sweep stands. records: of its finished cells. failed: cells that could not be trained."""

    name: str
    plan: Plan
    records: tuple[dict[str, Any], ...]
    running: tuple[Running, ...]
    failed: tuple[Cell, ...]

    @property
    def left(self) -> int:
        return len(self.plan.cells) - len(self.records) - len(self.failed)

    @property
    def left_s(self) -> float | None:
        """About how many seconds more it takes, by the cells that are finished; None if that cannot be told."""
        at_once = sum(bool(one.where) for one in self.running)
        if not (self.records and at_once):
            return None
        under_way = sum(one.epoch / one.cell.settings.epochs for one in self.running)
        return statistics.fmean(one["seconds"] for one in self.records) * max(0.0, self.left - under_way) / at_once


def look(out: Path, *, read: Callable[[Path], dict[str, Any]] = read_cell) -> Look:
    """Where the sweep in a folder stands. read: as read_cell, or from memory. Raises DamagedFile without a plan."""
    plan = read_plan(out)
    records, running, failed = [], [], []
    for cell in plan.cells:
        folder = out / cell.name
        try:
            record = read(folder)
            if record["cell"] != cell.record():
                raise DamagedFile(f"{folder} holds another cell")
            records.append(record)
        except DamagedFile:
            state = read_state(folder)
            if is_claimed(folder):
                running.append(Running(cell, state.get("epoch", 0), state.get("where", ""), state["stats"]))
            elif "problem" in state:
                failed.append(cell)
    return Look(out.name, plan, tuple(records), tuple(running), tuple(failed))


def read_state(folder: Path) -> dict[str, Any]:
    """How far a cell is, of what is known of that; stats are there always."""
    try:
        state = read_record(
            folder / STATE, what="the state of a cell", known_format=STATE_FORMAT, max_bytes=MAX_STATE_BYTES
        )
    except DamagedFile:
        return {"stats": {}}
    kinds = {"epoch": int, "where": str, "stats": dict, "problem": str}
    found = {key: state[key] for key, kind in kinds.items() if isinstance(state.get(key), kind)}
    stats = {key: value for key, value in found.get("stats", {}).items() if type(value) in (int, float)}
    return {**found, "stats": stats}


def sweeps(root: Path) -> Iterator[Path]:
    """The folders in root that hold a sweep, by name."""
    return (path.parent for path in sorted(root.glob(f"*/{PLAN}")))
