"""A sweep's folder filled by hand, and a backend that trains nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from explorer import cells
from explorer.cells import Cell, Plan
from explorer.settings import Settings
from explorer.sweep import Epoch, Made, News

BASE = Settings(dataset="digits", hidden=(16,), epochs=4)
GRID = tuple(cells.grid(BASE, betas=[0.0, 4.0], latent_dims=[2, 3], seeds=1))
PLAN = Plan(GRID, samples=60, data_sha256={"digits": "d" * 64}, started=1000.0)
FILES = {name: name.encode() for name in cells.FILES}


def record_of(cell: Cell) -> dict[str, Any]:
    figure = {"measure": "frechet", "distribution": "prior", "value": 5.0, "ceiling": 1.0, "floor": 9.0, "n": 60}
    return {"cell": cell.record(), "recon": 30.0, "kl": 2.0, "measures": [figure]}


def finish(out: Path, cell: Cell, *, plan: Plan = PLAN, seconds: float = 10.0) -> dict[str, Any]:
    return cells.keep(out, cell, record_of(cell), FILES, plan=plan, seconds=seconds)


class Scripted:
    """A backend that trains nothing: each start of a cell has the next outcome of its script, usually Made."""

    def __init__(self, *, room: int = 2, script: dict[Cell, list[News]] | None = None) -> None:
        self.places, self.script = room, {cell: list(news) for cell, news in (script or {}).items()}
        self.started: list[Cell] = []
        self.busy: list[Cell] = []

    def room(self) -> int:
        return self.places - len(self.busy)

    def start(self, cell: Cell) -> None:
        self.started.append(cell)
        self.busy.append(cell)

    def news(self, timeout: float) -> list[News]:
        if not self.busy:
            time.sleep(0.001)
            return []
        script = self.script.get(self.busy[0])
        one = script.pop(0) if script else Made(self.busy[0], record_of(self.busy[0]), FILES)
        if not isinstance(one, Epoch):
            self.busy.pop(0)
        return [one]
