"""How a sweep grows with the machines: cells a minute on one and two nodes of a Ray cluster, what the cluster adds.

Run: python bench/scale.py [--rounds 5]

Nodes are raylets on this machine's loopback with one core each; the peer is the same cells in as many plain processes,
in the same run. Cells are small (digits, 64-16-3 and back, 20 epochs, about a second), so what the cluster adds to each
shows. After a run that warms both up (what is imported once counts as the first cells' time), cluster and processes
take turns, four cells each, and figures are of the fastest round: others' work on the machine can only add to a time.
Empty cells train nothing and bring back 2 MB, as a cell of MNIST does: with them one sees how many cells a second a
driver hands out, receives and writes (fsynced) at most. docs/cluster.md reckons with these figures.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import Row, show, show_machine

from explorer import cells, data, sweep
from explorer.cells import Cell
from explorer.checkpoints import WEIGHTS
from explorer.data import Dataset
from explorer.settings import Settings
from explorer.sweep import Backend, Datasets, Made, News
from explorer.sweep_ray import Cluster

SMALL = Settings(dataset="digits", hidden=(16,), epochs=20, batch_size=64)
SAMPLES, EMPTY, CELL_BYTES = 60, 200, 2_000_000
NODE = {"num_cpus": 1, "object_store_memory": 200_000_000}


@dataclass(frozen=True)
class Taken:
    """Seconds for the cells that warm up, and for a cell in the fastest round."""

    first: float
    a_cell: float

    @property
    def a_minute(self) -> float:
        return 60 / self.a_cell


def seconds(grid: list[Cell], datasets: Datasets, backend: Backend) -> float:
    """How long a sweep takes on a backend."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        for _ in sweep.run(sweep.make_plan(grid, datasets, samples=SAMPLES), Path(out), backend):
            pass
    return time.perf_counter() - start


def in_turns(grid: list[Cell], datasets: Datasets, backends: list[Backend], *, rounds: int) -> list[Taken]:
    """Each backend does the same cells in each round, one after the other."""
    first = [seconds(grid, datasets, backend) for backend in backends]
    each = [[seconds(grid, datasets, backend) / len(grid) for backend in backends] for _ in range(rounds)]
    return [Taken(warm, min(times)) for warm, times in zip(first, zip(*each))]


def empty(cell: Cell, dataset: Dataset, samples: int, code: str) -> Iterator[News]:
    """A cell that trains nothing."""
    import numpy as np

    figure = {"measure": "frechet", "distribution": "prior", "value": 1.0, "ceiling": 1.0, "floor": 1.0, "n": samples}
    weights = np.random.default_rng(cell.settings.seed).bytes(CELL_BYTES)
    files = {name: weights if name == WEIGHTS else b"x" for name in cells.FILES}
    yield Made(cell, {"cell": cell.record(), "recon": 1.0, "kl": 1.0, "measures": [figure]}, files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of four cells each (default: 5)")
    rounds = parser.parse_args().rounds
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster as Nodes

    show_machine()
    digits = {"digits": data.load("digits")}
    grid = cells.grid(SMALL, betas=[1.0], latent_dims=[3], seeds=2)
    nothing = cells.grid(SMALL, betas=[1.0], latent_dims=[3], seeds=EMPTY // 2)
    found: dict[int, list[Taken]] = {}
    start = time.perf_counter()
    nodes: Any = Nodes(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    up = time.perf_counter() - start
    try:
        with Cluster(digits, samples=SAMPLES, address=nodes.address) as cluster:
            for n in (1, 2):
                if n == 2:
                    nodes.add_node(**NODE)
                with sweep.Processes(digits, samples=SAMPLES, at_once=n) as processes:
                    found[n] = in_turns(grid, digits, [cluster, processes], rounds=rounds)
            cluster.task = cluster.ray.remote(num_returns="streaming", num_cpus=1)(empty)
            seconds(nothing[:4], digits, cluster)
            driver = seconds(nothing, digits, cluster) / EMPTY
    finally:
        nodes.shutdown()
    rows = []
    for n, (there, here) in found.items():
        added = n * (there.a_cell - here.a_cell)
        rows += [
            Row(f"cells a minute, nodes: {n}", there.a_minute, "/min", peer=here.a_minute),
            Row(f"the first {len(grid)} cells, imports and all, nodes: {n}", there.first, "s", peer=here.first),
            Row(f"the cluster adds to a cell, nodes: {n}", 1000 * added, "ms"),
        ]
    growth = [found[2][i].a_minute / found[1][i].a_minute for i in (0, 1)]
    rows += [
        Row("a second node: times the cells a minute", growth[0], "x", peer=growth[1]),
        Row(f"{EMPTY} empty cells of 2 MB: a cell costs the driver", 1000 * driver, "ms"),
        Row("the head is up after", up, "s"),
    ]
    show("small cells; peer: the same cells in as many plain processes", rows)


if __name__ == "__main__":
    main()
