"""What a sweep leaves in its folder: whose turn a cell is, what is believed of its files, what a page may see."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from explorer import cells
from explorer.cells import Cell, Plan
from explorer.files import DamagedFile, UnknownFormat, sha256
from explorer.sweep import Epoch, Failed, Incomplete, News, run
from tests.damage import change_json
from tests.sweep_folder import BASE, FILES, GRID, PLAN, Scripted, finish, record_of

HOLD = """
import sys, time
from pathlib import Path
from explorer import cells
cell = cells.read_plan(Path(sys.argv[1])).cells[0]
file = cells.claim(Path(sys.argv[1]), cell)
print("held" if file else "refused", flush=True)
time.sleep(60)
"""


# ---- sharing the work


def test_two_sweeps_on_one_folder_share_the_cells_and_each_hears_of_all(tmp_path: Path) -> None:
    backends = [Scripted(), Scripted()]
    with ThreadPoolExecutor(2) as threads:
        heard = list(threads.map(lambda backend: list(run(PLAN, tmp_path, backend)), backends))
    started = backends[0].started + backends[1].started
    assert len(started) == len(set(started)) == len(GRID)
    for records in heard:
        assert sorted(json.dumps(record["cell"]) for record in records) == sorted(
            json.dumps(cell.record()) for cell in GRID
        )


def test_a_cell_is_one_process_s_until_it_dies(tmp_path: Path) -> None:
    cells.join(tmp_path, PLAN)
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout
            assert other.stdout.readline() == "held\n"
            assert cells.claim(tmp_path, GRID[0]) is None
            assert cells.is_claimed(tmp_path / GRID[0].name)
        finally:
            other.send_signal(signal.SIGKILL)
    assert not cells.is_claimed(tmp_path / GRID[0].name)
    mine = cells.claim(tmp_path, GRID[0])
    assert mine
    assert cells.claim(tmp_path, GRID[0]) is None
    mine.close()


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(*given: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", none_here)
    with pytest.raises(
        ValueError, match=r"cannot be locked \(operation not supported\): take a folder on a local disk"
    ):
        cells.join(tmp_path, PLAN)


def test_a_cell_that_fails_is_tried_again_three_times_and_the_others_are_done(tmp_path: Path) -> None:
    poor, bad, lucky = GRID[:3]
    lost = Failed(poor, "out of memory", again=True)
    script: dict[Cell, list[News]] = {
        poor: [lost] * 3,
        bad: [Epoch(bad, "here", 1), Failed(bad, "it diverged", again=False)],
        lucky: [replace(lost, cell=lucky)] * 2,
    }
    backend = Scripted(room=1, script=script)
    records = []

    def sweep() -> None:
        for record in run(PLAN, tmp_path, backend):
            records.append(record["cell"])

    with pytest.raises(Incomplete, match="2 of 6 cells could not be trained") as told:
        sweep()
    assert "it diverged" in str(told.value)
    assert [backend.started.count(cell) for cell in (poor, bad, lucky)] == [3, 1, 3]
    assert len(records) == 4
    assert cells.look(tmp_path).failed == (poor, bad)
    assert {record["cell"]["latent_dim"] for record in run(PLAN, tmp_path, Scripted())} == {2, 3}
    assert not cells.look(tmp_path).failed


def test_a_sweep_that_is_stopped_lets_go_of_its_cells(tmp_path: Path) -> None:
    sweep = run(PLAN, tmp_path, Scripted(room=3))
    next(sweep)
    assert len(cells.look(tmp_path).running) == 2
    sweep.close()
    assert not cells.look(tmp_path).running


def test_cells_whose_betas_look_alike_have_folders_of_their_own() -> None:
    found = cells.grid(BASE, betas=[1.0, 1.0000001, 0.0, -0.0, 1e-7, 4.0], latent_dims=[2], seeds=1)
    betas = [cell.name.split("-beta")[1].split("-seed")[0] for cell in found if cell.model == "vae"]
    assert betas == ["1", "1.0000001", "0", "1e-07", "4"]


def test_what_a_killed_sweep_left_unfinished_goes_with_the_next(tmp_path: Path) -> None:
    finish(tmp_path, GRID[0])
    left = tmp_path / GRID[0].name / ".cell.json.x1y2z3"
    left.write_text("cut off")
    finish(tmp_path, GRID[0])
    assert not left.exists()


# ---- what is believed


@pytest.mark.parametrize("name", list(cells.FILES))
def test_a_cell_with_a_file_that_changed_or_is_gone_is_trained_again(tmp_path: Path, name: str) -> None:
    record = finish(tmp_path, GRID[0])
    assert cells.done(GRID[0], tmp_path, PLAN) == record
    (tmp_path / GRID[0].name / name).write_bytes(b"x")
    assert cells.done(GRID[0], tmp_path, PLAN) is None
    (tmp_path / GRID[0].name / name).unlink()
    assert cells.done(GRID[0], tmp_path, PLAN) is None


@pytest.mark.parametrize(
    "damage",
    [{"files": None}, {"files": {}}, {"cell": 3}, {"seconds": -1}, {"recon": "x"}, {"measures": []}, {"samples": 7}],
)
def test_a_record_that_is_none_counts_as_no_cell(tmp_path: Path, damage: dict[str, Any]) -> None:
    finish(tmp_path, GRID[0])
    path = tmp_path / GRID[0].name / cells.CELL
    change_json(path, seconds=3.0)
    assert cells.done(GRID[0], tmp_path, PLAN)
    change_json(path, **damage)
    assert cells.done(GRID[0], tmp_path, PLAN) is None


def test_a_cell_of_another_format_is_left_alone_and_told(tmp_path: Path) -> None:
    finish(tmp_path, GRID[0])
    path = tmp_path / GRID[0].name / cells.CELL
    change_json(path, format=9)
    before = path.read_bytes()
    with pytest.raises(UnknownFormat, match=r"has format 9; .*update Latent Explorer; or take another folder"):
        list(run(PLAN, tmp_path, Scripted()))
    assert path.read_bytes() == before


def test_files_that_a_cell_does_not_have_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="A cell has the files"):
        cells.keep(tmp_path, GRID[0], record_of(GRID[0]), {**FILES, "../x": b""}, plan=PLAN, seconds=1)
    assert not list(tmp_path.rglob("x"))


# ---- the plan


def test_a_plan_grows_by_the_cells_of_a_second_start(tmp_path: Path) -> None:
    cells.join(tmp_path, PLAN)
    more = tuple(cells.grid(BASE, betas=[1.0], latent_dims=[2], seeds=1))
    cells.join(tmp_path, replace(PLAN, cells=more, started=2000.0))
    there = cells.read_plan(tmp_path)
    assert there.cells == (*GRID, more[1])
    assert there.started == 1000


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"samples": 99}, "samples 60 and not 99"),
        ({"data_sha256": {"digits": "e" * 64}}, "digits dddddddddddd and not eeeeeeeeeeee"),
        ({"cells": tuple(cells.grid(replace(BASE, epochs=9), betas=[1.0], latent_dims=[2], seeds=1))}, "epochs 4 and"),
    ],
)
def test_a_folder_holds_one_sweep_only(tmp_path: Path, other: dict[str, Any], told: str) -> None:
    cells.join(tmp_path, PLAN)
    with pytest.raises(ValueError, match=f"holds a sweep with {told}.*: take another folder, or the same settings"):
        cells.join(tmp_path, replace(PLAN, **other))
    assert cells.read_plan(tmp_path) == PLAN


@pytest.mark.parametrize(
    "damage",
    [
        {"format": 9},
        {"cells": []},
        {"cells": [{"model": "gan"}]},
        {"cells": [{**GRID[0].record(), "dataset": "../../x"}]},
        {"cells": [{**GRID[0].record(), "epochs": 0}]},
        {"cells": [GRID[0].record(), {**GRID[1].record(), "epochs": 9}]},
        {"cells": [GRID[0].record(), {**GRID[1].record(), "dataset": "mnist"}]},
        {"data_sha256": "d" * 64},
        {"data_sha256": {}},
        {"samples": "many"},
        {"started": None},
    ],
)
def test_a_plan_that_is_none_is_not_believed(tmp_path: Path, damage: dict[str, Any]) -> None:
    cells.join(tmp_path, PLAN)
    change_json(tmp_path / cells.PLAN, started=3.0)
    assert cells.look(tmp_path).plan == replace(PLAN, started=3.0)
    change_json(tmp_path / cells.PLAN, **damage)
    with pytest.raises(DamagedFile):
        cells.look(tmp_path)


# ---- looking on


def test_who_looks_on_sees_what_is_done_what_runs_and_how_long_it_takes(tmp_path: Path) -> None:
    cells.join(tmp_path, PLAN)
    finish(tmp_path, GRID[0], seconds=10)
    finish(tmp_path, GRID[1], seconds=30)
    claims = [cells.claim(tmp_path, cell) for cell in GRID[2:5]]
    cells.note(tmp_path, GRID[2], where="left", epoch=1, stats={"test_recon": 31.5})
    cells.note(tmp_path, GRID[3], where="right", epoch=3, stats={})
    cells.note(tmp_path, GRID[4])
    seen = cells.look(tmp_path)
    assert len(seen.records) == 2
    assert [(one.cell, one.where, one.epoch) for one in seen.running] == [
        (GRID[2], "left", 1),
        (GRID[3], "right", 3),
        (GRID[4], "", 0),
    ]
    assert seen.running[0].stats == {"test_recon": 31.5}
    assert seen.left == 4
    assert seen.left_s == pytest.approx(20 * (4 - 1 / 4 - 3 / 4) / 2)
    for file in claims:
        assert file
        file.close()
    assert cells.look(tmp_path).left_s is None


def test_a_plan_of_an_older_version_says_so(tmp_path: Path) -> None:
    cells.join(tmp_path, PLAN)
    change_json(tmp_path / cells.PLAN, format=1)
    with pytest.raises(
        UnknownFormat, match="has format 1; this version reads format 2: it is an older version's, make"
    ):
        cells.read_plan(tmp_path)


def test_a_second_data_set_joins_a_sweep_with_cells_of_its_own(tmp_path: Path) -> None:
    cells.join(tmp_path, PLAN)
    more = tuple(cells.grid(BASE, betas=[4.0], latent_dims=[2], seeds=1, datasets=["mnist", "digits"]))
    cells.join(tmp_path, Plan(more, samples=60, data_sha256={"mnist": "e" * 64, "digits": "d" * 64}, started=2000.0))
    there = cells.read_plan(tmp_path)
    assert [cell.name for cell in there.cells[len(GRID) :]] == ["mnist-ae-2-seed0", "mnist-vae-2-beta4-seed0"]
    assert there.data_sha256 == {"digits": "d" * 64, "mnist": "e" * 64}
    finish(tmp_path, more[0], plan=there)
    assert cells.read_cell(tmp_path / more[0].name)["data_sha256"] == "e" * 64
    assert cells.done(more[0], tmp_path, there)
    assert cells.done(more[0], tmp_path, replace(there, data_sha256={"mnist": "f" * 64})) is None


@pytest.mark.parametrize("state", ["", "[]", '{"format": 1, "epoch": "x", "where": 3}', '{"format": 7}'])
def test_a_state_that_is_none_is_as_good_as_no_state(tmp_path: Path, state: str) -> None:
    cells.join(tmp_path, PLAN)
    mine = cells.claim(tmp_path, GRID[0])
    assert mine
    with mine:
        (tmp_path / GRID[0].name / cells.STATE).write_text(state)
        assert cells.look(tmp_path).running == (cells.Running(GRID[0], 0, "", {}),)


def test_a_cell_s_record_has_the_hashes_of_its_files(tmp_path: Path) -> None:
    finish(tmp_path, GRID[0])
    found = cells.read_cell(tmp_path / GRID[0].name)
    assert found["files"] == {name: sha256(name.encode()) for name in cells.FILES}
