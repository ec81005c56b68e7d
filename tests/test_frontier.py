"""What a sweep over beta found, as a file; its charts; and what the shipped one has to show."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from explorer import catalogue, figures, frontier
from explorer.checkpoints import PRETRAINED
from explorer.files import DamagedFile
from explorer.frontier import Frontier
from tests.damage import unsealed

SHIPPED = PRETRAINED / "frontier" / "mnist.json"


def cell(
    model: str, beta: float, seed: int, *, d: int = 2, value: float | None = 1.0, epochs: int = 3
) -> dict[str, Any]:
    figure = {"measure": "frechet", "distribution": "prior", "value": value, "ceiling": 9.0, "floor": 900.0, "n": 60}
    settings = {"dataset": "digits", "hidden": [16], "epochs": epochs}
    own = {"model": model, "latent_dim": d, "beta": beta, "seed": seed}
    return {"cell": {**own, **settings}, "recon": 80.0 + beta + seed, "kl": 20.0 - beta, "measures": [figure]}


@pytest.fixture
def found() -> Frontier:
    cells = [cell("vae", beta, seed, d=d) for beta in (1.0, 0.0) for seed in (0, 1) for d in (16, 2)]
    return frontier.collect([*cells, cell("ae", 0.0, 0), cell("ae", 0.0, 0, d=16)])


def test_points_are_found_by_what_they_are(found: Frontier) -> None:
    assert found.latent_dims == (2, 16)
    assert found.betas(2) == (0.0, 1.0)
    assert [one.seed for one in found.of("vae", 2, 1.0)] == [0, 1]
    assert len(found.of("ae", 16)) == 1
    assert found.settings == {"dataset": "digits", "hidden": [16], "epochs": 3, "samples": 60}
    assert found.controls == {"frechet/prior": (9.0, 900.0)}


def test_a_mean_has_its_range_and_is_none_where_a_seed_has_none(found: Frontier) -> None:
    assert frontier.mean(found.of("vae", 2, 1.0), "recon") == (81.5, 81.0, 82.0)
    assert frontier.mean(found.of("vae", 2, 1.0), "frechet/prior") == (1.0, 1.0, 1.0)
    one_lacks = frontier.collect([cell("vae", 1.0, 0), cell("vae", 1.0, 1, value=None)])
    assert frontier.mean(one_lacks.points, "frechet/prior") is None
    assert frontier.mean([], "recon") is None


def test_cells_of_different_budgets_make_no_frontier() -> None:
    for cells in ([], [cell("vae", 1.0, 0), cell("vae", 1.0, 1, epochs=9)]):
        with pytest.raises(ValueError, match="A frontier needs cells of one sweep"):
            frontier.collect(cells)


def test_a_frontier_comes_back_from_its_file(found: Frontier, tmp_path: Path) -> None:
    frontier.save(tmp_path / "f.json", found)
    assert frontier.load(tmp_path / "f.json") == found


@pytest.mark.parametrize(
    "damage",
    [
        {"format": 9},
        {"points": []},
        {"points": "many"},
        {"points": [{"model": "vae"}]},
        {"controls": [1]},
        {"controls": {"frechet/prior": 3}},
        {"settings": []},
    ],
)
def test_a_file_that_is_no_frontier_is_not_believed(found: Frontier, tmp_path: Path, damage: dict[str, Any]) -> None:
    frontier.save(tmp_path / "f.json", found)
    record = unsealed((tmp_path / "f.json").read_bytes())
    (tmp_path / "f.json").write_text(json.dumps({**record, **damage}))
    with pytest.raises(DamagedFile):
        frontier.load(tmp_path / "f.json")


@pytest.mark.parametrize("change", [{"beta": "x"}, {"recon": None}, {"model": "gan"}, {"figures": {"a/": "b"}}])
def test_a_point_that_is_none_is_not_believed(found: Frontier, tmp_path: Path, change: dict[str, Any]) -> None:
    frontier.save(tmp_path / "f.json", found)
    record = unsealed((tmp_path / "f.json").read_bytes())
    record["points"][0].update(change)
    (tmp_path / "f.json").write_text(json.dumps(record))
    with pytest.raises(DamagedFile):
        frontier.load(tmp_path / "f.json")


def test_the_charts_have_a_point_for_each_beta(found: Frontier) -> None:
    chart = figures.rate_distortion(found)
    (two,) = (trace for trace in chart.data if trace.name == "VAE, 2 dimensions")
    assert list(two.x) == [20.0, 19.0]
    assert list(two.y) == [80.5, 81.5]
    beta = figures.against_beta(found, "recon", "Reconstruction")
    (two,) = (trace for trace in beta.data if trace.name == "VAE, 2 dimensions")
    assert list(two.x) == [figures.ZERO, 1.0]
    assert list(two.error_y.array) == [0.5, 0.5]
    assert list(beta.layout.xaxis.ticktext) == ["0", "1"]


# ---- the one that ships


@pytest.fixture(scope="module")
def shipped() -> Frontier:
    return frontier.load(SHIPPED)


def test_the_shipped_frontier_goes_from_an_ae_with_noise_to_collapse_with_three_seeds(shipped: Frontier) -> None:
    assert shipped.latent_dims == (2, 16)
    for d in shipped.latent_dims:
        betas = shipped.betas(d)
        assert betas[0] == 0
        assert all(len(shipped.of("vae", d, beta)) >= 3 for beta in betas)
        assert len(shipped.of("ae", d)) >= 3
        last = frontier.mean(shipped.of("vae", d, betas[-1]), "kl")
        assert last
        assert last[2] < 0.5


def test_more_beta_buys_less_rate_with_more_distortion(shipped: Frontier) -> None:
    for d in shipped.latent_dims:
        for what, sign in (("kl", -1), ("recon", 1)):
            means = [frontier.mean(shipped.of("vae", d, beta), what) for beta in shipped.betas(d) if beta >= 0.1]
            values = [sign * each[0] for each in means if each]
            assert all(after > before - 0.5 for before, after in pairwise(values)), (d, what, values)


def test_without_kl_the_codes_are_far_from_the_prior_and_with_it_they_are_near(shipped: Frontier) -> None:
    for d in shipped.latent_dims:
        free, usual = (frontier.mean(shipped.of("vae", d, beta), "mmd/prior") for beta in (0.0, 1.0))
        assert free
        assert usual
        assert free[1] > 10 * usual[2]


def test_samples_from_the_prior_are_best_at_a_beta_in_between(shipped: Frontier) -> None:
    for d in shipped.latent_dims:
        means = {beta: frontier.mean(shipped.of("vae", d, beta), "frechet/prior") for beta in shipped.betas(d)}
        values = {beta: each[0] for beta, each in means.items() if each}
        assert min(values, key=lambda beta: values[beta]) in (1.0, 2.0, 4.0)
        assert values[50.0] > 2 * min(values.values())


def test_every_point_has_its_model_on_the_dial(shipped: Frontier) -> None:
    models = catalogue.shipped()
    figures_of = {(one.latent_dim, one.model, one.beta): (one.recon, one.kl) for one in shipped.points if one.seed == 0}
    for entry in models.dial:
        card = entry.card
        assert figures_of.pop((card.latent_dim, card.model, card.beta)) == (card.test_recon_sampled, card.test_kl)
        pair = models.dial_pair(card.latent_dim, card.beta)
        assert pair
        assert card.name in (pair["left"], pair["right"])
    assert not figures_of
    assert models.dial_pair(2, 3.0) is None
    assert models.dial_pair(3, 1.0) is None
