"""The Measure page's logic: what is shown at once, what is offered, what a click shows."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from explorer import catalogue, cells, figures, frontier, measurings, scoreboard, visitors
from explorer.files import DamagedFile, read_record, write_whole
from explorer.measurings import Measurings
from tests import pages, sweep_folder
from tests.damage import change_json


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Iterator[Measurings]:
    """Measurings that start nothing but note what was asked for."""
    made = Measurings()
    asked: list[tuple[Path, Path | None]] = []
    monkeypatch.setattr(made, "start", lambda folder, dataset: asked.append((folder, dataset)))
    monkeypatch.setattr(made, "asked", asked, raising=False)
    monkeypatch.setattr(measurings, "here", lambda: made)
    yield made
    made.close()


def open_page(**query: str) -> AppTest:
    return pages.open_page("measure.py", **query)


def chosen(page: AppTest) -> list[str]:
    return [box.value for box in page.selectbox if box.label in ("Left model", "Right model")]


def tables(page: AppTest) -> list[Any]:
    return [table.value for table in page.dataframe]


def test_the_shipped_pair_is_there_at_once_with_its_verdict(many: Measurings) -> None:
    page = open_page(left="mnist-ae-16", right="mnist-vae-16")
    assert chosen(page) == ["mnist-ae-16", "mnist-vae-16"]
    ae, vae = (scoreboard.load(catalogue.shipped().root / name) for name in ("mnist-ae-16", "mnist-vae-16"))
    assert any(scoreboard.verdict(ae, vae) in text.value for text in page.markdown)
    completeness, continuity, mismatch, price = tables(page)
    assert completeness["What"][0] == "Fréchet distance"
    assert completeness["mnist-vae-16"][0] == scoreboard.text_of(vae.get("frechet", "prior"))
    assert (len(continuity), len(mismatch), len(price)) == (4, 2, 3)
    assert not page.button


def test_another_distribution_shows_its_own_figures(many: Measurings) -> None:
    page = open_page()
    before = tables(page)[0]
    page.segmented_control[0].set_value("mixture").run()
    assert not page.exception
    after = tables(page)[0]
    assert "mixture" in " ".join(heading.value for heading in page.subheader)
    assert list(before["mnist-ae-2"]) != list(after["mnist-ae-2"])
    assert list(before["Ceiling"])[:6] == list(after["Ceiling"])[:6]


def test_an_address_brings_back_what_was_chosen(many: Measurings) -> None:
    page = open_page(**{"from": scoreboard.DISTRIBUTIONS["mixture"], "against": "Reconstruction"})
    assert page.segmented_control[0].value == "mixture"
    assert upward(page)[1] == "Reconstruction"
    assert open_page(**{"from": "<b>", "against": "../x"}).segmented_control[0].value == "prior"


@pytest.mark.parametrize("query", [{"left": "nobody"}, {"left": "../../etc", "right": "<b>"}])
def test_an_address_that_names_nothing_shows_the_first_pair(many: Measurings, query: dict[str, str]) -> None:
    assert chosen(open_page(**query)) == ["mnist-ae-2", "mnist-vae-2"]


def test_a_model_beside_itself_has_two_columns(many: Measurings) -> None:
    page = open_page(left="mnist-vae-2", right="mnist-vae-2")
    assert {"mnist-vae-2 (left)", "mnist-vae-2 (right)"} <= set(tables(page)[0].columns)


def test_what_was_not_measured_is_offered(many: Measurings, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = catalogue.read(library)
    monkeypatch.setattr(catalogue, "shipped", lambda: models)
    page = open_page()
    assert "Not measured yet: digits-ae-3 and digits-vae-3" in pages.seen(page.info[0].value)
    (button,) = page.button
    button.click().run()
    assert many.asked == [(library / f"digits-{kind}-3", None) for kind in ("ae", "vae")]  # type: ignore[attr-defined]


def test_figures_of_other_weights_are_not_shown(
    many: Measurings, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = catalogue.read(library)
    monkeypatch.setattr(catalogue, "shipped", lambda: models)
    for kind in ("ae", "vae"):
        shipped = scoreboard.load(Path("pretrained") / f"mnist-{kind}-2")
        scoreboard.save(library / f"digits-{kind}-3", shipped)
    assert "Not measured yet" in open_page().info[0].value


def test_what_beta_trades_is_drawn_from_the_sweep_that_ships(many: Measurings) -> None:
    page = open_page()
    assert "What beta trades" in [heading.value for heading in page.header]
    said = next(text.value for text in page.caption if text.value.startswith("MNIST, 256-128"))
    assert "10 epochs, 3 seeds each, 2,000 samples" in said
    (against,) = (box for box in page.selectbox if box.label == "Against beta")
    assert upward(page) == ["distortion: recon, nats an image", "Fréchet distance, N(0, I)"]
    against.set_value("recon/").run()
    assert not page.exception
    assert upward(page) == ["distortion: recon, nats an image", "Reconstruction"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the charts that were drawn, in order."""
    names: list[str] = []

    def noting(name: str) -> Callable[..., Any]:
        plain = getattr(figures, name)
        return lambda *what: names.append(name) or plain(*what)

    for name in ("by_distribution", "kl_per_dim", "rate_distortion", "against_beta"):
        monkeypatch.setattr(figures, name, noting(name))
    return names


def charts(page: AppTest) -> list[str]:
    return [chart.proto.spec for chart in page.get("plotly_chart")]  # type: ignore[attr-defined]


def test_the_charts_of_what_ships_are_drawn_once_for_everybody(many: Measurings, drawn: list[str]) -> None:
    pairs = [{"left": f"{data}-ae-2", "right": f"{data}-vae-2"} for data in ("mnist", "fashion-mnist")]
    first = [charts(open_page(**pair)) for pair in pairs]
    drawn.clear()
    assert [charts(open_page(**pair)) for pair in pairs] == first
    assert not drawn
    assert len(first[0]) >= 10
    assert first[0] != first[1]


def test_what_ships_is_read_once_for_everybody_and_again_when_it_was_written_anew(
    many: Measurings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(catalogue.shipped().root, tmp_path / "pretrained", copy_function=os.symlink))
    shipped = catalogue.read(root)
    monkeypatch.setattr(catalogue, "shipped", lambda: shipped)
    read: list[str] = []

    def noted(path: Path, **known: Any) -> dict[str, Any]:
        read.append(str(path.relative_to(root)))
        return read_record(path, **known)

    for module in (scoreboard, frontier):
        monkeypatch.setattr(module, "read_record", noted)
    wanted = ["frontier/mnist.json", "mnist-ae-2/measures.json", "mnist-vae-2/measures.json"]
    for _ in range(2):
        open_page(left="mnist-ae-2", right="mnist-vae-2")
        assert sorted(read) == wanted
    figures_file = root / wanted[1]
    write_whole(figures_file, figures_file.read_bytes())
    open_page(left="mnist-ae-2", right="mnist-vae-2")
    assert read[3:] == [wanted[1]]


def test_a_chart_of_ones_own_models_is_kept_nowhere(
    many: Measurings, drawn: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = catalogue.shipped().root
    own = tuple(Path(shutil.copytree(root / f"mnist-{kind}-2", tmp_path / f"my-{kind}")) for kind in ("ae", "vae"))
    for folder in own:
        change_json(folder / "card.json", name=folder.name)
    pair = visitors.Pair("my", own, tuple(map(catalogue.read_both_halves, own)))
    monkeypatch.setattr(visitors.Shelf, "pairs", lambda self, visitor: {"my": pair})
    for _ in range(2):
        drawn.clear()
        open_page(left="my-ae", right="my-vae")
        assert drawn.count("by_distribution") == len(scoreboard.DISTRIBUTED)
        assert drawn.count("kl_per_dim") == 1


def upward(page: AppTest) -> list[str]:
    """What the upward axes of the last two charts, which are the frontier's, are called."""
    charts: list[Any] = list(page.get("plotly_chart"))[-2:]
    return [json.loads(chart.proto.spec)["layout"]["yaxis"]["title"]["text"] for chart in charts]


def test_a_frontier_that_is_damaged_is_told_and_the_figures_stay(
    many: Measurings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(path: Path) -> frontier.Frontier:
        raise DamagedFile(f"{path} is not a frontier: it holds points that are none")

    monkeypatch.setattr(frontier, "load", damaged)
    st.cache_resource.clear()  # it was read before, by another page
    page = open_page()
    assert len(tables(page)) == 4
    (told,) = page.warning
    assert pages.seen(told.value) == (
        "What beta trades cannot be shown. "
        "pretrained/frontier/mnist.json is not a frontier: it holds points that are none."
    )


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sweep whose name is no markup: one cell of each model is done, one runs, one failed."""
    monkeypatch.setenv("LATENT_EXPLORER_SWEEPS", str(tmp_path))
    out = tmp_path / "<b>one **x**"
    cells.join(out, sweep_folder.PLAN)
    for cell in sweep_folder.GRID[:2]:
        sweep_folder.finish(out, cell, seconds=90)
    cells.note(out, sweep_folder.GRID[3], problem="it diverged")
    return out


def test_a_running_sweep_is_shown_with_its_cells_and_its_frontier_as_it_fills(many: Measurings, sweeps: Path) -> None:
    claim = cells.claim(sweeps, sweep_folder.GRID[2])
    assert claim
    cells.note(sweeps, sweep_folder.GRID[2], where="<i>there", epoch=1, stats={"test_recon": 31.456})
    with claim:
        page = open_page()
    assert page.header[-1].value == "Sweeps on this server"
    (told,) = (text.value for text in page.text)
    assert told == "<b>one **x**: 2 of 6 cells done, about 4 min left"
    running, failed = tables(page)[-1].to_dict("records")
    assert (running["Cell"], running["Epoch"], running["Machine"]) == ("digits-vae-2-beta4-seed0", "1 of 4", "<i>there")
    assert running["Reconstruction"] == "31.46"
    assert failed["Cell"] == "digits-ae-3-seed0"
    assert upward(page) == ["distortion: recon, nats an image", "Fréchet distance, N(0, I)"]
    points = json.loads(list(page.get("plotly_chart"))[-2].proto.spec)["data"][0]
    assert points["name"] == "VAE, 2 dimensions"


def test_a_sweep_of_two_data_sets_shows_one_at_a_time(many: Measurings, sweeps: Path) -> None:
    others = tuple(cells.grid(sweep_folder.BASE, betas=[4.0], latent_dims=[2], seeds=1, datasets=["mnist"]))
    plan = cells.join(sweeps, replace(sweep_folder.PLAN, cells=others, data_sha256={"mnist": "e" * 64}))
    sweep_folder.finish(sweeps, others[1], plan=plan)
    page = open_page()
    (box,) = (box for box in page.selectbox if box.label == "Data")
    assert box.options == ["digits", "mnist"]
    before = charts(page)[-2]
    box.select("mnist").run()
    assert not page.exception
    assert charts(page)[-2] != before


def test_a_sweep_that_was_broken_off_says_how_to_go_on(many: Measurings, sweeps: Path) -> None:
    (told,) = (text.value for text in open_page().text)
    assert told.endswith("2 of 6 cells done; nothing runs now: start the same command again to go on")


def test_a_damaged_sweep_is_told_and_no_sweep_is_no_word(
    many: Measurings, sweeps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sweeps / cells.PLAN).write_text("{")
    page = open_page()
    assert page.warning[-1].value == "This sweep cannot be shown."
    assert "<b>one **x**/sweep.json is not the plan of a sweep" in page.text[-1].value
    monkeypatch.delenv("LATENT_EXPLORER_SWEEPS")
    page = open_page()
    assert page.header[-1].value == "What beta trades"
    assert not page.warning
