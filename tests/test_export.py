"""What can be taken along: tables that run nothing, codes and figures as they are."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from damage import flip_a_bit
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.applications import Starlette

from explorer import atlas, catalogue, data, export, figures, frontier, scoreboard, server, tables, visitors
from explorer.files import DamagedFile
from tests.asgi import get

TRIGGERS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
HOSTILE = '<img src=x onerror=alert(1)><a href="https://example.org">x</a>'


def read_back(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


# ---- CSV


@given(st.lists(st.tuples(st.text(), st.floats(allow_nan=False)), min_size=1, max_size=5))
@example([("=1+1", -1.5)])
@example([(' \ufeff=HYPERLINK("https://example.org";"x")', 0.0)])
@example([("\t=1", 0.0), ('"=1"', 0.0), ("a,b\r\n=1", 0.0), ("＝1", 0.0)])
def test_no_text_begins_as_a_formula_does_and_each_comes_back(rows: list[tuple[str, float]]) -> None:
    text = tables.as_csv([{"text": words, "number": number} for words, number in rows])
    header, *back = read_back(text)
    assert header == ["text", "number"]
    assert len(back) == len(rows)
    for (words, number), (cell, digits) in zip(rows, back):
        assert not cell.startswith(TRIGGERS)
        assert not cell.strip(" \ufeff").startswith(TRIGGERS)
        assert cell in (words, f"'{words}")
        assert float(digits) == number


@pytest.mark.parametrize("text", ["ankle boot", "T-shirt/top", "a=b", "9", "", "رقم", "🥾", "'quoted'"])
def test_a_harmless_text_is_left_as_it_is(text: str) -> None:
    assert tables.harmless(text) == text


def test_a_number_below_zero_stays_a_number() -> None:
    assert read_back(tables.as_csv([{"value": -1.5, "none": None}])) == [["value", "none"], ["-1.5", ""]]


@pytest.fixture
def boards() -> list[scoreboard.Scoreboard]:
    return [scoreboard.load(catalogue.shipped().root / f"mnist-{kind}-2") for kind in ("ae", "vae")]


def hostile(board: scoreboard.Scoreboard) -> scoreboard.Scoreboard:
    made = tuple(scoreboard.Figure(**{**vars(one), "model": "=cmd|' /C calc'!A0"}) for one in board.figures)
    return scoreboard.Scoreboard(made, {**board.about, "model": HOSTILE})


def test_measures_of_a_model_with_a_formula_for_a_name_run_nothing(boards: list[scoreboard.Scoreboard]) -> None:
    header, *rows = read_back(scoreboard.as_csv([hostile(board) for board in boards]))
    assert {row[header.index("model")] for row in rows} == {"'=cmd|' /C calc'!A0"}


# ---- Parquet


def test_measures_as_parquet_are_the_same_figures(boards: list[scoreboard.Scoreboard]) -> None:
    table = pq.read_table(io.BytesIO(scoreboard.as_parquet(boards)))
    expected = [one for board in boards for one in board.figures]
    assert table["value"].to_pylist() == [one.value for one in expected]
    assert table["distribution"].to_pylist() == [one.distribution for one in expected]
    assert [str(table.schema.field(key).type) for key in ("model", "value", "ceiling")] == [
        "string",
        "double",
        "double",
    ]
    about = json.loads(table.schema.metadata[b"latent_explorer"])
    assert [one["model"] for one in about["models"]] == ["mnist-ae-2", "mnist-vae-2"]


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_codes_as_parquet_are_the_arrays_of_the_atlas(shipped: Path, kind: str) -> None:
    folder = shipped / f"digits-{kind}-3"
    classes = ["=1+1", "two", "two", *"3456789"]
    table = pq.read_table(io.BytesIO(export.codes_parquet(folder, classes)))
    shown = atlas.load(folder)
    z = np.stack([table[f"z{i + 1}"].to_numpy() for i in range(3)], axis=1)
    assert z.dtype == np.float32
    assert np.array_equal(z, shown.codes["codes"])
    assert np.array_equal(table["label"].to_numpy(), shown.codes["labels"])
    assert table["class"].to_pylist() == [classes[label] for label in shown.codes["labels"]]
    assert table["n"].to_pylist() == list(range(len(z)))
    if kind == "vae":
        logvar = np.stack([table[f"logvar{i + 1}"].to_numpy() for i in range(3)], axis=1)
        assert np.array_equal(logvar, shown.posterior["logvar"].astype(np.float32))
    else:
        assert "logvar1" not in table.column_names
    assert json.loads(table.schema.metadata[b"latent_explorer"])["name"] == folder.name


def test_a_label_without_a_class_has_an_empty_name(shipped: Path) -> None:
    assert set(export.codes(shipped / "digits-ae-3", ["zero"])["class"]) == {"zero", ""}


def test_damaged_codes_are_told(library: Path) -> None:
    flip_a_bit(library / "digits-ae-3" / "codes.gz")
    with pytest.raises(DamagedFile, match=r"codes\.gz"):
        export.codes(library / "digits-ae-3", [])


# ---- the route


ANNA, BEN = "A" * 32, "B" * 32


@pytest.fixture
def app(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Starlette:
    """The server's routes for the models of digits; Anna keeps one of her own."""
    shelf = visitors.Shelf(tmp_path / "shelf")
    own = tmp_path / "own"
    shutil.copytree(shipped / "digits-vae-3", own)
    for images in shipped.glob("images-*.gz"):
        shutil.copy(images, own)
    shelf.keep(ANNA, [own], name="mine")
    monkeypatch.setattr(visitors, "shelf", lambda: shelf)
    return Starlette(routes=server.routes("", catalogue.read(shipped)))


def ask(app: Starlette, model: str, visitor: str = BEN) -> Any:
    return get(app, "/codes", query=f"model={model}", cookie=f"{visitors.COOKIE}={visitor}")


def test_codes_come_as_a_file_under_the_models_name(app: Starlette) -> None:
    answer = ask(app, "digits-vae-3")
    assert answer.status == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="digits-vae-3-codes.parquet"'
    assert pq.read_table(io.BytesIO(answer.body))["class"][0].as_py() in data.titles()["digits"][1]


def test_codes_of_a_kept_model_are_for_its_owner_alone(app: Starlette) -> None:
    assert ask(app, "mine-vae", ANNA).status == 200
    refused = ask(app, "mine-vae")
    assert (refused.status, refused.body) == (404, b"There is no model of that name to take codes from.")
    assert ask(app, "../digits-vae-3").status == 404


def test_codes_that_are_damaged_are_told_without_the_servers_folders(library: Path) -> None:
    app = Starlette(routes=server.routes("", catalogue.read(library)))
    flip_a_bit(library / "digits-ae-3" / "codes.gz")
    answer = ask(app, "digits-ae-3")
    assert answer.status == 500
    assert b"codes.gz" in answer.body
    assert str(library).encode() not in answer.body


# ---- interactive figures


def charts_in(page: str) -> str:
    """All of a page but Plotly itself, which holds anything."""
    return "".join(part for part in page.split("<script") if len(part) < 1_000_000)


def test_the_frontiers_page_works_offline_and_has_both_figures() -> None:
    found = frontier.load(catalogue.shipped().root / "frontier" / "mnist.json")
    page = figures.frontier_page(found, "frechet/prior", f"Fréchet {HOSTILE}", "MNIST & more")
    assert 'src="http' not in page
    assert page.count("plotly-graph-div") >= 2
    assert 4e6 < len(page) < 6e6
    assert "distortion: recon" in charts_in(page)
    assert "<img" not in charts_in(page)


def test_the_report_shows_a_hostile_name_as_text(boards: list[scoreboard.Scoreboard]) -> None:
    page = charts_in(figures.report([hostile(board) for board in boards], [HOSTILE, "b"], ["ae", "vae"]))
    assert "<img" not in page
    assert "How the values are spread" in page
    # what Plotly gets is a name whose tags are text to it, too
    chart = figures.by_distribution(boards, [HOSTILE, "b"], ["ae", "vae"], "frechet")
    assert chart.data[0].name.startswith("&lt;img")
