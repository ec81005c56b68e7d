"""A sweep's folder, filled by hand: nothing in it was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from explorer import cells
from explorer.cells import Cell, Plan
from explorer.settings import Settings

BASE = Settings(dataset="digits", hidden=(16,), epochs=4)
GRID = tuple(cells.grid(BASE, betas=[0.0, 4.0], latent_dims=[2, 3], seeds=1))
PLAN = Plan(GRID, samples=60, data_sha256="d" * 64, started=1000.0)
FILES = {name: name.encode() for name in cells.FILES}


def record_of(cell: Cell) -> dict[str, Any]:
    figure = {"measure": "frechet", "distribution": "prior", "value": 5.0, "ceiling": 1.0, "floor": 9.0, "n": 60}
    return {"cell": cell.record(), "recon": 30.0, "kl": 2.0, "measures": [figure]}


def finish(out: Path, cell: Cell, *, plan: Plan = PLAN, seconds: float = 10.0) -> dict[str, Any]:
    return cells.keep(out, cell, record_of(cell), FILES, plan=plan, seconds=seconds)
