"""A sweep's cells on a Ray cluster: a task a cell, on any machine that has this very code. No disk is shared.

A data set goes to each machine once, through Ray's object store; a cell's epochs and files come back the same way.
The tasks of a machine that is lost run again on another. See docs/cluster.md.
"""

from __future__ import annotations

import functools
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from explorer import sweep
from explorer.cells import Cell
from explorer.files import sha256, sha256_of
from explorer.sweep import Datasets, Failed, Made, News

if TYPE_CHECKING:
    from ray import ObjectRefGenerator

    from explorer.data import Dataset

RETRIES = 3  # of a cell whose machine or process is lost
CONNECT_S = 5.0
AHEAD = 2  # cells that wait on the cluster, so that no core waits for the next one


class Cluster:
    """Cells on the cluster at an address, "auto" for the one on this machine. One core each.

    Raises ValueError if Ray is not installed, ConnectionError if there is no cluster.
    """

    def __init__(self, datasets: Datasets, *, samples: int, address: str = "auto") -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))  # Ray's own is without end
        try:
            import ray
        except ImportError as error:
            raise ValueError("Ray is not installed: pip install -e '.[cluster]'") from error
        self.ray = ray
        try:
            check_answers(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError) as error:
            way_out = "start one with: ray start --head, or name its address, such as --address 10.0.0.1:6379"
            raise ConnectionError(f"There is no Ray cluster at {address}: {way_out}") from error
        self.task = ray.remote(num_returns="streaming", num_cpus=1, max_retries=RETRIES)(work_there)
        self.data = {name: ray.put(dataset) for name, dataset in datasets.items()}
        self.given = samples, code_sha256()
        self.running: dict[ObjectRefGenerator, Cell] = {}
        self.told = False

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *raised: object) -> None:
        for one in self.running:
            self.ray.cancel(one, force=True)
        self.ray.shutdown()

    def room(self) -> int:
        there = int(self.ray.cluster_resources().get("CPU", 0))  # type: ignore[no-untyped-call]
        if not (there or self.told):
            print("explorer: No machine of the cluster has a processor for this: it waits for one.", file=sys.stderr)
            self.told = True
        return there + AHEAD - len(self.running)

    def start(self, cell: Cell) -> None:
        self.running[self.task.remote(cell, self.data[cell.settings.dataset], *self.given)] = cell

    def news(self, timeout: float) -> list[News]:
        waiting = list(self.running)
        if not waiting:
            time.sleep(timeout)
            return []
        self.ray.wait(waiting, num_returns=1, timeout=timeout)
        ready, _ = self.ray.wait(waiting, num_returns=len(waiting), timeout=0)
        return [self._hear(one) for one in ready]

    def _hear(self, one: ObjectRefGenerator) -> News:
        cell = self.running[one]
        try:
            news: News = self.ray.get(next(one))
        except (self.ray.exceptions.RayError, StopIteration) as error:
            first = str(error).strip().splitlines()[:1]
            news = Failed(cell, f"it was lost on the cluster ({type(error).__name__}{': '.join(['', *first])})", True)
        if isinstance(news, Made | Failed):
            del self.running[one]
        return news


def check_answers(address: str) -> None:
    """Raise OSError or ValueError if nothing listens at host:port. Ray itself would wait for minutes."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()


def work_there(cell: Cell, dataset: Dataset, samples: int, code: str) -> Iterator[News]:
    """As sweep.work, on a machine of the cluster, unless its code is other than the driver's."""
    if code_sha256() != code:
        yield Failed(
            cell, f"{socket.gethostname()} has other code of Latent Explorer: update it to the same commit", True
        )
        return
    yield from sweep.work(cell, dataset, samples)


@functools.cache
def code_sha256() -> str:
    """The hash of this package's modules."""
    here = Path(__file__).parent
    sums = [f"{path.relative_to(here)} {sha256_of(path)}" for path in sorted(here.rglob("*.py"))]
    return sha256("\n".join(sums).encode())
