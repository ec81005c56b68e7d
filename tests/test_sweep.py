"""A sweep: which cells there are, what each says of itself, and that a broken-off one goes on."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import explorer
from explorer import cells, checkpoints, cli, data, scoreboard, sweep
from explorer.cells import Cell
from explorer.settings import Settings
from explorer.sweep import Epoch, Made, News
from tests import sweep_folder
from tests.sweep_folder import BASE

SMALL = ["--dataset", "digits", "--hidden", "16", "--epochs", "2", "--batch-size", "64", "--samples", "60"]


def run(capsys: pytest.CaptureFixture[str], out: Path, *more: str) -> list[dict[str, Any]]:
    options = [*SMALL, "--betas", "0,4", "--latent-dims", "3", "--seeds", "1", "--json", "--out", str(out), *more]
    cli.main(["sweep", *options])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture(scope="module", autouse=True)
def plain_main() -> Iterator[None]:
    """A sweep's processes import the main module; Streamlit's AppTest leaves the app behind as that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", sys.modules[__name__])
        yield


def test_a_grid_has_an_ae_beside_every_curve_and_whole_curves_first() -> None:
    grid = cells.grid(Settings(), betas=[0, 1, 1], latent_dims=[2, 16], seeds=2)
    assert [cell.name for cell in grid[:6]] == [
        "mnist-ae-2-seed0",
        "mnist-vae-2-beta0-seed0",
        "mnist-vae-2-beta1-seed0",
        "mnist-ae-16-seed0",
        "mnist-vae-16-beta0-seed0",
        "mnist-vae-16-beta1-seed0",
    ]
    assert len({cell.name for cell in grid}) == len(grid) == 12


def test_a_grid_of_several_data_sets_has_all_of_a_seed_before_the_next() -> None:
    grid = cells.grid(Settings(), betas=[1], latent_dims=[2], seeds=2, datasets=["mnist", "digits", "mnist"])
    assert [cell.name for cell in grid[:5]] == [
        "mnist-ae-2-seed0",
        "mnist-vae-2-beta1-seed0",
        "digits-ae-2-seed0",
        "digits-vae-2-beta1-seed0",
        "mnist-ae-2-seed1",
    ]
    assert len(grid) == 8


@pytest.mark.parametrize("empty", [{"betas": []}, {"latent_dims": []}, {"seeds": 0}])
def test_a_grid_of_nothing_is_told(empty: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="A sweep needs at least one beta"):
        cells.grid(Settings(), **{"betas": [1.0], "latent_dims": [2], "seeds": 1, **empty})


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three cells; the process of the first one was killed on the way."""
    out, digits, killed = tmp_path_factory.mktemp("swept"), {"digits": data.load("digits")}, []
    base = Settings(dataset="digits", hidden=(16,), epochs=2, batch_size=64)
    plan = sweep.make_plan(cells.grid(base, betas=[0.0, 4.0], latent_dims=[3], seeds=1), digits, samples=60)

    def harm(news: sweep.News) -> None:
        if not killed:
            ((_, process),) = (one for one in backend.busy.values() if one[0] == news.cell)
            process.kill()
        if isinstance(news, sweep.Failed) or not killed:
            killed.append(news)

    with sweep.Processes(digits, samples=60, at_once=2) as backend:
        records = list(sweep.run(plan, out, backend, tell=harm))
    first, lost = killed
    assert lost == sweep.Failed(first.cell, "its process was ended from outside (-9)", again=True)
    assert len(records) == 3
    return out


def test_each_cell_says_what_it_is_and_was_measured(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys, swept)
    assert [(line["cell"]["model"], line["cell"]["beta"]) for line in lines] == [("ae", 0), ("vae", 0), ("vae", 4)]
    for line in lines:
        assert set(line) == {"cell", "recon", "kl", "measures"}
        assert len(line["measures"]) == scoreboard.COUNT
        assert line["cell"]["hidden"] == [16]
    ae, free, dear = lines
    assert ae["kl"] == 0
    assert free["kl"] > dear["kl"] > 0
    assert free["recon"] < dear["recon"]


def test_a_cell_is_a_model_like_any_other(swept: Path) -> None:
    folder = swept / "digits-vae-3-beta4-seed0"
    model = explorer.load(folder)
    assert model.card.beta == 4
    assert model.card.test_recon_sampled == json.loads((folder / cells.CELL).read_bytes())["recon"]
    assert scoreboard.load(folder).about["weights_sha256"] == model.card.sha256


def test_cells_that_are_done_are_not_done_again_and_others_are(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def weights() -> dict[str, int]:
        return {path.parent.name: path.stat().st_mtime_ns for path in swept.glob(f"*/{checkpoints.WEIGHTS}")}

    before, lines = weights(), run(capsys, swept)
    assert weights() == before
    (swept / "digits-vae-3-beta0-seed0" / cells.CELL).unlink()
    again = run(capsys, swept)
    assert [name for name in before if weights()[name] != before[name]] == ["digits-vae-3-beta0-seed0"]
    figures = {line["cell"]["beta"]: line["recon"] for line in lines if line["cell"]["model"] == "vae"}
    assert figures == {line["cell"]["beta"]: line["recon"] for line in again if line["cell"]["model"] == "vae"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--betas", "a"], "--betas must be numbers with commas, such as 1,4, got 'a'"),
        (["--betas=-1"], "beta must be a number of at least 0"),
        (["--betas", "nan"], "beta must be a number of at least 0"),
        (["--latent-dims", "2,1000"], "latent_dim must be between 1 and 64"),
        (["--latent-dims", "2.5"], "--latent-dims must be numbers with commas"),
        (["--seeds", "0"], "A sweep needs at least one beta"),
        (["--epochs", "0"], "epochs must be at least 1"),
        (["--backend", "cloud"], "invalid choice"),
        (["--address", "auto"], "--address is a cluster's: give it with --backend ray"),
    ],
)
def test_a_sweep_that_cannot_be_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["sweep", *SMALL, *options, "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_process_that_is_killed_while_it_waits_ends_no_sweep() -> None:
    digits = data.load("digits")
    first, second = cells.grid(BASE, betas=[0.0, 4.0], latent_dims=[2], seeds=1)[1:]
    with sweep.Processes({"digits": digits}, samples=60, at_once=1) as backend:
        assert isinstance(last_of(backend, first), Made)
        ((_, idle),) = backend.idle
        idle.kill()
        idle.join()
        assert isinstance(last_of(backend, second), Made)


def last_of(backend: sweep.Processes, cell: Cell) -> News:
    backend.start(cell)
    while True:
        for news in backend.news(timeout=1):
            if not isinstance(news, Epoch):
                return news


def test_what_a_backend_prints_is_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Chatty(sweep_folder.Scripted):
        def news(self, timeout: float) -> list[sweep.News]:
            print("(raylet) a node was lost")
            return super().news(timeout)

    monkeypatch.setattr(sweep, "Processes", lambda dataset, samples: contextlib.nullcontext(Chatty()))
    assert len(run(capsys, tmp_path)) == 3


def test_without_ray_its_backend_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemExit) as ended:
        cli.main(["sweep", *SMALL, "--backend", "ray", "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert "Ray is not installed: pip install -e '.[cluster]'" in capsys.readouterr().err
