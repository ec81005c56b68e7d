"""The scenes of Learn: each claim holds on the models that are shown, with its control; texts are short."""

from __future__ import annotations

import re

import numpy as np
import pytest

from explorer import catalogue, scenes
from explorer.checkpoints import PRETRAINED
from explorer.scenes import SCENES, Scene
from tests import claims

EACH = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.claim)
DOCS = PRETRAINED.parent / "docs"


def right(scene: Scene, value: float) -> int:
    """The choice that a number makes right."""
    return next((i for i, bound in enumerate(scene.bounds) if value < bound), len(scene.bounds))


def scene_of(claim: str) -> Scene:
    return next(scene for scene in SCENES if scene.claim == claim)


def check(claim: str, value: float) -> None:
    assert right(scene_of(claim), value) == claims.RIGHT[claim]


# ---- as texts


@EACH
def test_a_scene_is_short_and_asks_before_it_shows(scene: Scene) -> None:
    assert 30 <= scene.words <= scenes.MOST_WORDS
    assert len(scene.text) == 2
    assert 2 <= len(scene.choices) <= 4
    assert len(set(scene.choices)) == len(scene.choices) == len(scene.bounds) + 1
    assert list(scene.bounds) == sorted(scene.bounds)
    assert scene.question.endswith("?")
    assert scene.picture or scene.stage
    assert "<" not in " ".join((*scene.text, scene.question, *scene.choices, scene.tries, scene.look))


def test_there_are_ten_each_with_its_own_claim() -> None:
    assert len(SCENES) == 10
    assert {scene.claim for scene in SCENES} == set(claims.RIGHT)
    assert len({scene.title for scene in SCENES}) == 10


def test_the_right_answer_is_not_always_in_the_same_place() -> None:
    assert len(set(claims.RIGHT.values())) == 3


def test_every_scene_and_every_source_is_in_the_docs() -> None:
    told = (DOCS / "sources.md").read_text("utf-8")
    for number, scene in enumerate(SCENES, 1):
        assert f"{number} {scene.title}" in told
        assert (DOCS / "learn" / f"{number}.png").is_file()
    for work in ("Semantic Hashing", "Intro to Autoencoders", "Understanding Variational Autoencoders"):
        assert work in told


def test_all_that_the_scenes_need_ships() -> None:
    given = scenes.for_browser(catalogue.shipped())
    assert set(given["files"]) == {*(f"mnist-ae-{d}" for d in claims.SIZES), "twelve", "pixels"}
    assert all(set(figures) == set(scenes.MEASURED) for figures in given["figures"].values())
    assert [one["beta"] for one in given["frontier"]] == sorted(claims.trade())
    names = {entry.card.name for entry in (*catalogue.shipped().entries, *catalogue.shipped().dial)}
    for scene in SCENES:
        assert {(scene.stage or {}).get(side, "mnist-ae-2") for side in ("left", "right")} <= names


def test_stage_scenes_name_only_parts_that_the_styles_can_hide() -> None:
    styles = (PRETRAINED.parent / "explorer" / "stage" / "stage.css").read_text("utf-8")
    known = set(re.findall(r'data-hide~="([\w-]+)"', styles))
    for scene in SCENES:
        assert set(f"{scene.hide} {scene.later}".split()) <= known


# ---- as claims


def test_eight_numbers_are_enough_to_read_nine_copies_in_ten() -> None:
    *shares, originals = claims.readable()
    check("readable", next(d for d, share in zip(claims.SIZES, shares) if share >= 0.9))
    assert shares == sorted(shares)
    assert originals >= 0.98


def test_eight_features_keep_more_than_eight_pixels_and_a_deep_code_most() -> None:
    pixels, pca, deep, mean = claims.kept()
    check("kept", float(np.argmin([pixels, pca, deep])))
    assert deep < pca < pixels < mean
    for k in claims.SIZES:
        pixels, pca, deep, mean = claims.kept(k)
        assert pca < pixels < mean
        assert deep < pixels


def test_the_guess_from_the_kept_pixels_is_the_best_linear_one() -> None:
    from explorer import data

    x = data.load_subset("mnist").x_train.reshape(-1, 784).astype(np.float64) / 255
    table = claims.table()
    centred = x - x.mean(axis=0)
    chosen = table["pixels"][:8]
    best = np.linalg.lstsq(centred[:, chosen], centred, rcond=None)[0]
    assert np.allclose(table["guess_8"], best, atol=1e-4)
    some = np.random.default_rng(0).choice(np.flatnonzero(centred.var(axis=0) > 0.05), size=(20, 8))
    losses = [np.linalg.lstsq(centred[:, others], centred, rcond=None)[1].sum() for others in some]
    assert ((centred - centred[:, chosen] @ best) ** 2).sum() < min(losses), "chosen better than at random"


def test_a_linear_ae_ends_at_the_error_of_pca_in_its_plane_on_other_axes() -> None:
    pca = claims.pca_error()
    found = [claims.linear_error(seed) for seed in range(3)]
    for error, angles in found:
        check("linear", error / pca)
        assert max(angles) < 2
    x = claims.images()[0][:500]
    assert ((claims.copy("mnist-ae-2", x) - x) ** 2).mean() < 0.85 * pca, "the deep one bends"


def test_what_was_learned_by_heart_is_of_no_use_for_others() -> None:
    found = claims.by_heart()
    assert found["copies"] - found["perfect copies"] < 0.5
    check("by_heart", (found["others"] - found["perfect"]) / (found["mean"] - found["perfect"]))
    share, unsure = claims.blends()
    assert share > 0.75
    assert unsure >= 3


def test_codes_from_the_prior_mean_nothing_to_an_ae() -> None:
    passed = claims.figure("mnist-ae-16", "accepted/prior")
    assert passed.value is not None
    assert passed.ceiling
    check("disorder", passed.value)
    assert passed.ceiling > 0.75
    recon = claims.figure("mnist-ae-16", "recon/")
    assert recon.value is not None
    assert recon.floor
    assert recon.value < 0.5 * recon.floor


def test_the_vae_of_two_dimensions_walks_evener_and_the_ae_of_sixteen_does() -> None:
    ae, vae = (claims.figure(f"mnist-{kind}-2", "path_step/") for kind in ("ae", "vae"))
    assert ae.value
    assert vae.value
    assert vae.high is not None
    assert ae.low is not None
    assert vae.high < ae.low
    check("properties", vae.value / ae.value)
    accepted = [claims.figure(f"mnist-{kind}-2", "accepted/prior").value or 0 for kind in ("ae", "vae")]
    assert accepted[0] < accepted[1]
    more = [claims.figure(f"mnist-{kind}-16", "path_step/").value or 0 for kind in ("ae", "vae")]
    assert more[0] < more[1]


def test_a_cloud_is_one_digit_and_a_wide_one_is_not() -> None:
    share, wide = claims.cloud(), claims.cloud(wide=10)
    check("cloud", share)
    assert wide < share - 0.1


def test_without_kl_the_clouds_shrink() -> None:
    check("shrink", claims.relative_sigma(0) / claims.relative_sigma(1))


def test_the_best_samples_are_at_a_beta_in_between() -> None:
    found = claims.trade()
    check("compromise", min(found, key=lambda beta: found[beta]))
    copies = [one["recon"] for one in scenes.trade()]
    assert copies == sorted(copies), "the copies have another taste"


def test_an_ae_with_a_fitted_mixture_samples_best() -> None:
    rows = [("mnist-ae-16", "prior"), ("mnist-ae-16", "mixture"), ("mnist-vae-16", "prior")]
    values = [claims.figure(name, f"frechet/{where}").value for name, where in rows]
    assert None not in values
    check("honest", float(np.argmin(np.array(values, float))))


# ---- when something is missing


def test_without_figures_there_are_no_numbers_to_quote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "PRETRAINED", PRETRAINED / "nowhere")
    assert scenes.measured("mnist-ae-2") == {}
    assert scenes.trade() == []
