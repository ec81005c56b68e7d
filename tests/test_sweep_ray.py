"""A sweep on a real cluster of two nodes on this machine, and what it does when nodes, processes and drivers die."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from explorer import cells, checkpoints, cli, data, sweep
from explorer.settings import Settings
from explorer.sweep import Epoch, Failed, News

SMALL = ["--dataset", "digits", "--hidden", "16", "--epochs", "20", "--batch-size", "64", "--samples", "60"]
GRID = ["--betas", "0", "--latent-dims", "3", "--seeds", "2"]
BASE = Settings(dataset="digits", hidden=(16,), epochs=20, batch_size=64)
NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A head with one core. To it come the nodes that a test adds."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


def sweep_there(nodes: Any, out: Path, grid: list[cells.Cell], tell: Callable[[News], object]) -> list[dict[str, Any]]:
    from explorer.sweep_ray import Cluster

    digits = data.load("digits")
    with Cluster({"digits": digits}, samples=60, address=nodes.address) as backend:
        return list(sweep.run(sweep.make_plan(grid, {"digits": digits}, samples=60), out, backend, tell=tell))


def each_once(records: list[dict[str, Any]], grid: list[cells.Cell]) -> bool:
    found = Counter(json.dumps(record["cell"]) for record in records)
    return found == Counter(json.dumps(cell.record()) for cell in grid)


def workers(nodes: Any) -> list[int]:
    """The processes on the head that are at a cell."""
    (raylet,) = (info.process.pid for info in nodes.head_node.all_processes["raylet"])
    children = Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split()
    return [int(pid) for pid in children if b"work_there" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.cluster
def test_cells_of_a_node_that_is_lost_are_done_elsewhere_with_the_figures_that_processes_give(
    nodes: Any, tmp_path: Path
) -> None:
    second = nodes.add_node(**NODE)
    seen: set[cells.Cell] = set()

    def lose_it_in_the_middle(news: News) -> None:
        if isinstance(news, Epoch) and 0 < news.epoch < 20 and len(seen) < 2:
            seen.add(news.cell)
            if len(seen) == 2:
                nodes.remove_node(second, allow_graceful=False)

    grid = cells.grid(BASE, betas=[0.0, 4.0], latent_dims=[3], seeds=1)
    records = sweep_there(nodes, tmp_path / "there", grid, lose_it_in_the_middle)
    assert len(seen) == 2
    assert each_once(records, grid)
    digits = data.load("digits")
    with sweep.Processes({"digits": digits}, samples=60, at_once=1) as backend:
        here = list(sweep.run(sweep.make_plan(grid[:2], {"digits": digits}, samples=60), tmp_path / "here", backend))
    assert here == [next(one for one in records if one["cell"] == cell.record()) for cell in grid[:2]]
    for cell in grid[:2]:
        one, other = ((tmp_path / where / cell.name / checkpoints.WEIGHTS).read_bytes() for where in ("here", "there"))
        assert one == other


@pytest.mark.cluster
def test_a_cell_whose_process_is_killed_or_has_no_memory_is_tried_again(nodes: Any, tmp_path: Path) -> None:
    killed: list[int] = []
    starved: list[int] = []
    failed: list[Failed] = []

    def harm(news: News) -> None:
        if isinstance(news, Failed):
            failed.append(news)
            for pid in starved:
                resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        elif isinstance(news, Epoch) and news.epoch == 1:
            (pid,) = workers(nodes)
            if not killed:
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)
            elif not starved and pid not in killed:
                starved.append(pid)
                resource.prlimit(pid, resource.RLIMIT_AS, (1 << 20, resource.RLIM_INFINITY))

    grid = cells.grid(BASE, betas=[0.0, 4.0], latent_dims=[3], seeds=1)
    records = sweep_there(nodes, tmp_path, grid, harm)
    assert killed
    assert starved
    assert each_once(records, grid)
    assert all(one.again for one in failed)


@pytest.mark.cluster
def test_a_sweep_whose_driver_is_killed_goes_on_where_it_was(
    nodes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["sweep", *SMALL, *GRID, "--backend", "ray", "--address", nodes.address, "--out", str(out), "--json"]
    driver = subprocess.Popen([sys.executable, "-m", "explorer", *command], stderr=subprocess.DEVNULL, text=True)
    end = time.monotonic() + 120
    while not list(out.glob(f"*/{cells.CELL}")) and time.monotonic() < end:
        time.sleep(0.02)
    driver.kill()
    driver.wait()
    finished = {path: path.stat().st_mtime_ns for path in out.glob(f"*/{cells.CELL}")}
    assert 0 < len(finished) < 4
    look = cells.look(out)
    assert not look.running
    assert look.left == 4 - len(finished)
    cli.main(command)
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert each_once(records, cells.grid(BASE, betas=[0.0], latent_dims=[3], seeds=2))
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


def test_where_there_is_no_cluster_one_line_says_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there_is_none = ["--backend", "ray", "--address", "127.0.0.1:1"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["sweep", *SMALL, *GRID, *there_is_none, "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert "There is no Ray cluster at 127.0.0.1:1" in capsys.readouterr().err
