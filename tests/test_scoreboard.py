"""Figures in words, in files and side by side."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer import figures, scoreboard
from explorer.files import DamagedFile
from explorer.scoreboard import DISTRIBUTED, DISTRIBUTIONS, MEASURES, Examples, Figure, Scoreboard
from tests.damage import unsealed

ABOUT = {"model": "m", "samples": 100, "seed": 0, "weights_sha256": "0" * 64}


def figure(measure: str, value: float | None, distribution: str | None = None, **more: Any) -> Figure:
    ends = {"low": None, "high": None} if value is None else {"low": 0.95 * value, "high": 1.05 * value}
    rest = {"ceiling": 1.0, "floor": 0.0, "n": 100, **ends, **more}
    return Figure("m", measure, distribution, value, **rest)


def board(**values: float | None) -> Scoreboard:
    """By "measure" or "measure_distribution" its value."""
    made = []
    for key, value in values.items():
        measure, _, where = key.rpartition("_")
        made.append(figure(measure, value, where) if where in DISTRIBUTIONS else figure(key, value))
    return Scoreboard(tuple(made), ABOUT)


AE = {"frechet_prior": 901.0, "accepted_prior": 0.02, "frechet_mixture": 14.0, "recon": 75.0}
VAE = {"frechet_prior": 66.0, "accepted_prior": 0.55, "frechet_mixture": 17.0, "recon": 82.0}


# ---- the verdict


def test_the_verdict_says_what_the_vae_wins_and_what_it_pays() -> None:
    assert scoreboard.verdict(board(**AE), board(**VAE)) == (
        "Sampled from N(0, I), the VAE comes nearer to real images: Fréchet distance 66 of the VAE, 901 of the AE "
        "(55 % of its samples pass for real, 2 % of the AE's). The VAE's price: its copies cost 7.0 nats more (82.0 "
        "against 75.0), and an AE with a mixture fitted to its codes samples better than the VAE from N(0, I) "
        "(Fréchet distance 14)."
    )


@pytest.mark.parametrize(
    ("ae", "vae", "said"),
    [
        ({"frechet_prior": 10.0}, {}, "the AE, not the VAE, comes nearer to real images"),
        ({"frechet_prior": 67.0}, {}, "VAE and AE cannot be told apart here"),
        ({"frechet_prior": None}, {}, "How well the two can be sampled from N(0, I) could not be measured."),
        ({"frechet_mixture": 300.0}, {}, "samples worse than the VAE from N(0, I)"),
        ({"frechet_mixture": 65.0}, {}, "samples as well"),
        ({"recon": 90.0}, {}, "its copies are no worse"),
        ({"recon": None, "frechet_mixture": None}, {}, "What the VAE pays for it could not be measured."),
        ({"accepted_prior": None}, {}, "Fréchet distance 66 of the VAE, 901 of the AE."),
    ],
)
def test_the_verdict_follows_the_figures(ae: dict[str, float], vae: dict[str, float], said: str) -> None:
    assert said in scoreboard.verdict(board(**{**AE, **ae}), board(**{**VAE, **vae}))


# ---- files


@pytest.fixture
def whole() -> Scoreboard:
    images = np.arange(3 * 2 * 16, dtype=np.uint8).reshape(3, 2, 1, 4, 4)
    made = [figure("recon", 75.0, examples=Examples(images, "Copies")), figure("kl", None, note="An AE has no KL.")]
    made += [figure(name, 0.5, where) for name in DISTRIBUTED for where in DISTRIBUTIONS]
    return Scoreboard(tuple(made), ABOUT)


def test_a_scoreboard_comes_back_from_its_files(tmp_path: Path, whole: Scoreboard) -> None:
    scoreboard.save(tmp_path, whole)
    again = scoreboard.load(tmp_path)
    assert again.about == whole.about
    assert [one.record() for one in again.figures] == [one.record() for one in whole.figures]
    found = scoreboard.pictures(tmp_path, again.figures[0])
    assert found
    assert found.text == "Copies"
    assert whole.figures[0].examples
    np.testing.assert_array_equal(found.images, whole.figures[0].examples.images)
    assert scoreboard.pictures(tmp_path, again.figures[1]) is None


def test_the_same_figures_give_the_same_files(tmp_path: Path, whole: Scoreboard) -> None:
    for name in ("one", "other"):
        scoreboard.save(tmp_path / name, whole)
    for file in (scoreboard.FIGURES, scoreboard.PICTURES):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_no_scoreboard_is_told(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile):
        scoreboard.load(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        {"format": 99},
        {"figures": "none"},
        {"figures": [{}]},
        {"figures": [{**figure("recon", 1.0).record(), "measure": "beauty", "picture": None}]},
        {"figures": [{**figure("recon", 1.0).record(), "distribution": "elsewhere", "picture": None}]},
        {"figures": [{**figure("recon", 1.0).record(), "value": "much", "picture": None}]},
        {"figures": [{**figure("recon", 1.0).record(), "n": None, "picture": None}]},
        {"figures": [{**figure("recon", 1.0).record(), "spread": [1.0, "2"], "picture": None}]},
        {"figures": [{**figure("recon", 1.0).record(), "spread": None, "picture": None}]},
        {"about": None},
        {"pictures": None},
    ],
)
def test_a_file_that_is_no_scoreboard_is_not_believed(
    tmp_path: Path, whole: Scoreboard, damage: dict[str, Any]
) -> None:
    scoreboard.save(tmp_path, whole)
    record = unsealed((tmp_path / scoreboard.FIGURES).read_bytes())
    (tmp_path / scoreboard.FIGURES).write_text(json.dumps({**record, **damage}))
    with pytest.raises(DamagedFile, match=r"measures\.json"):
        scoreboard.load(tmp_path)


def test_pictures_that_were_changed_are_not_shown(tmp_path: Path, whole: Scoreboard) -> None:
    scoreboard.save(tmp_path, whole)
    content = bytearray((tmp_path / scoreboard.PICTURES).read_bytes())
    content[-1] ^= 1
    (tmp_path / scoreboard.PICTURES).write_bytes(content)
    with pytest.raises(DamagedFile, match=r"measures\.gz"):
        scoreboard.pictures(tmp_path, whole.figures[0])


def test_csv_and_json_hold_every_figure(whole: Scoreboard) -> None:
    rows = list(csv.DictReader(io.StringIO(scoreboard.as_csv([whole, whole]))))
    assert len(rows) == 2 * len(whole.figures)
    assert rows[0]["measure"] == "recon"
    assert float(rows[0]["value"]) == 75.0
    assert json.loads(json.dumps(scoreboard.table([whole])))[1]["note"] == "An AE has no KL."


def test_a_figure_is_told_with_its_interval_and_none_with_a_dash() -> None:
    assert scoreboard.text_of(figure("recon", 75.04)) == "75.0 (71.3 to 78.8)"
    assert scoreboard.text_of(figure("recon", None)) == scoreboard.text_of(None) == "–"
    assert scoreboard.text_of(figure("mmd", 0.5, "prior")) == "0.5000"


@pytest.mark.parametrize(
    ("measure", "value", "floor", "beaten"),
    [
        ("precision", 0.76, 0.89, True),
        ("precision", 0.9, 0.89, False),
        ("frechet", 6460.0, 3592.0, True),
        ("frechet", 500.0, 3592.0, False),
        ("kl", 5.0, 0.0, False),
        ("recon", None, 3.0, False),
        ("stretch", 2.0, None, False),
    ],
)
def test_a_figure_that_noise_outdoes_is_known(
    measure: str, value: float | None, floor: float | None, beaten: bool
) -> None:
    assert figure(measure, value, floor=floor).beaten_by_noise is beaten


def test_every_measure_is_explained_in_a_sentence() -> None:
    for measure in MEASURES.values():
        assert measure.means.endswith(".")
        assert len(measure.means) < 130


# ---- figures


def test_a_contact_sheet_has_a_row_for_each_of_the_three() -> None:
    images = np.zeros((3, 4, 1, 5, 6), np.uint8)
    images[2, 3] = 255
    sheet = figures.contact_sheet(images)
    assert sheet.shape == (3 * 7 - 2, 4 * 8 - 2)
    assert (sheet[-5:, -6:] == 255).all()
    assert (sheet == 255).sum() == 30


def test_a_chart_has_both_models_at_every_distribution(whole: Scoreboard) -> None:
    for measure in DISTRIBUTED:
        left, right = figures.by_distribution([whole, whole], ["left", "right"], ["ae", "vae"], measure).data
        assert (left.name, left.marker.color, right.marker.color) == ("left", *figures.ACCENTS.values())
        assert left.marker.symbol != right.marker.symbol
        assert list(left.y) == [0.5] * 4


def test_the_report_is_one_page_that_asks_nobody_for_anything(whole: Scoreboard) -> None:
    page = figures.report([whole, whole], ["<b>left", "right"], ["ae", "vae"])
    assert "&lt;b&gt;left" in page
    assert "<b>left" not in page.replace("&lt;b&gt;left", "").split("<script")[0]
    assert 'src="http' not in page
    assert "75.0 (71.2 to 78.8)" in page
