"""The measures of a model: scale, distribution and confidence as traps; the controls; what cannot be measured."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import explorer
from explorer import atlas, regularity, statistics, world
from explorer.loaded import Model
from explorer.regularity import Codes, codes_of, measure
from explorer.scoreboard import COUNT, DISTRIBUTED, DISTRIBUTIONS, MEASURES, Figure
from explorer.statistics import CannotMeasure
from explorer.world import World

SAMPLES = 150
SPREAD = {"recon", "kl", "path_step", "class_flips", "stretch"}
EACH_KIND = pytest.mark.parametrize("kind", ["ae", "vae"])


@pytest.fixture(scope="module")
def here() -> World:
    return world.make("digits", samples=SAMPLES)


@pytest.fixture(scope="module")
def models(trained: dict[str, Path]) -> dict[str, Model]:
    return {kind: explorer.load(folder) for kind, folder in trained.items()}


@pytest.fixture(scope="module")
def measured(models: dict[str, Model], here: World) -> dict[str, dict[str, Figure]]:
    return {kind: {one.key: one for one in measure(model, here)} for kind, model in models.items()}


def changed(model: Model) -> Model:
    """A copy whose weights may be changed."""
    return Model(copy.deepcopy(model.module), model.card)


def is_close(one: Figure, other: Figure, *, relative: float = 1e-4) -> bool:
    if one.value is None or other.value is None:
        return one.value is other.value
    near = relative * max(abs(one.value), *map(abs, one.spread), 1e-9)
    return abs(one.value - other.value) <= relative * max(abs(one.value), 1e-9) and bool(
        np.allclose(one.spread, other.spread, rtol=0, atol=near)
    )


# ---- what is there


@EACH_KIND
def test_every_measure_is_there_once_with_all_that_is_said_of_it(
    measured: dict[str, dict[str, Figure]], kind: str
) -> None:
    figures = measured[kind]
    assert len(figures) == COUNT
    assert {one.measure for one in figures.values()} == set(MEASURES)
    for name in DISTRIBUTED:
        assert [one.distribution for one in figures.values() if one.measure == name] == list(DISTRIBUTIONS)
    for one in figures.values():
        keys = ["model", "measure", "distribution", "value", "low", "high", "ceiling", "floor", "n", "note"]
        assert list(one.record()) == [*keys, "spread"]
        assert len(one.spread) == (21 if one.measure in SPREAD and one.value is not None else 0)
        assert list(one.spread) == sorted(one.spread)
        if one.spread and one.measure != "stretch":
            assert one.value is not None
            assert one.spread[0] <= one.value <= one.spread[-1]
        assert one.model == f"digits-{kind}-3"
        if one.measure == "kl" and kind == "ae":
            assert one.value is None
            assert one.note == "An AE has no posterior, so no KL."
            continue
        assert one.value is not None, one
        assert one.n > 0
        assert one.low is not None
        assert one.high is not None
        if one.measure not in ("mmd", "energy"):
            assert one.low <= one.value <= one.high


@EACH_KIND
def test_pictures_are_the_best_the_middle_and_the_worst(measured: dict[str, dict[str, Figure]], kind: str) -> None:
    shown = [one for one in measured[kind].values() if one.examples]
    assert {one.measure for one in shown} == set(MEASURES) - {"mmd", "energy", "kl", "active_units"}
    for one in shown:
        assert one.examples
        assert one.examples.images.dtype == np.uint8
        assert one.examples.images.shape[0] == 3
        assert one.examples.images.shape[2:] == (1, 8, 8)


def test_the_same_seed_gives_the_same_figures(models: dict[str, Model], measured: dict[str, dict[str, Figure]]) -> None:
    again = world.make("digits", samples=SAMPLES)
    for one in measure(models["vae"], again):
        assert one.record() == measured["vae"][one.key].record()


# ---- the scale of the codes


def scaled(model: Model, s: float) -> Model:
    """The same model with all codes multiplied by s, which its decoder's input is divided by."""
    made = changed(model)
    d = made.module.latent_dim
    last, first = made.module.encoder[-1], made.module.decoder[0]
    with torch.no_grad():
        last.weight[:d] *= s
        last.bias[:d] *= s
        last.bias[d:] += 2 * np.log(s)  # a VAE's logvar
        first.weight /= s
    return made


@EACH_KIND
@pytest.mark.parametrize("s", [0.01, 100.0])
def test_the_scale_of_the_codes_moves_no_figure_but_those_about_the_prior(
    models: dict[str, Model], here: World, measured: dict[str, dict[str, Figure]], kind: str, s: float
) -> None:
    for one in measure(scaled(models[kind], s), here):
        about_prior = one.distribution == "prior" or (kind == "vae" and one.measure in ("kl", "active_units"))
        if not about_prior:
            assert is_close(measured[kind][one.key], one), one


@EACH_KIND
def test_where_the_prior_is_named_the_scale_counts(
    models: dict[str, Model], here: World, measured: dict[str, dict[str, Figure]], kind: str
) -> None:
    wide = {one.key: one for one in measure(scaled(models[kind], 100.0), here)}
    for key in ("mmd/prior", "energy/prior"):
        assert not is_close(measured[kind][key], wide[key], relative=0.1)


def test_turning_the_codes_moves_no_figure_that_is_about_the_decoder(
    models: dict[str, Model], here: World, measured: dict[str, dict[str, Figure]]
) -> None:
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    made = changed(models["ae"])
    last, first = made.module.encoder[-1], made.module.decoder[0]
    with torch.no_grad():
        last.weight.copy_(turn @ last.weight)
        last.bias.copy_(turn @ last.bias)
        first.weight.copy_(first.weight @ turn.T)
    turned = {one.key: one for one in measure(made, here)}
    for name in ("recon", "path_step", "class_flips", "stretch"):
        assert is_close(measured["ae"][f"{name}/"], turned[f"{name}/"]), name


# ---- the controls


def test_other_real_images_reach_the_ceiling() -> None:
    """A third draw of held-out images, of which neither reference nor ceiling has one."""
    here = world.make("mnist", samples=1000)
    images, _ = atlas.held_out("mnist")
    others = np.random.default_rng(here.seed).permutation(len(images))[2000:3000]
    best = here.likeness(here.sitting.ceiling)
    for name, like in here.likeness(here.see(world.unit(images[others]))).items():
        assert like.low <= best[name].high, (name, like.score, best[name].score)
        assert best[name].low <= like.high, (name, like.score, best[name].score)
        assert abs(like.score - best[name].score) < 0.1 * abs(best[name].score - here.controls[name][1]) + 0.02


@pytest.mark.parametrize("make", [world.noise_like, world.shuffled])
def test_noise_sits_at_the_floor(here: World, make: object) -> None:
    noise = here.see(make(here.images, np.random.default_rng(99)))  # type: ignore[operator]
    for name, like in here.likeness(noise).items():
        ceiling, floor = here.controls[name]
        assert abs(like.score - floor) < abs(like.score - ceiling), name


def test_ceiling_and_floor_are_far_apart_for_every_measure_but_precision(here: World) -> None:
    """An outlier among the real images has a ball so wide that noise lies in it (Naeem et al. 2020, figure 2)."""
    for name, (ceiling, floor) in here.controls.items():
        if name == "frechet":
            assert floor > 3 * ceiling
        else:
            assert ceiling > floor + (0 if name == "precision" else 0.3), name


@pytest.mark.parametrize("make", [world.noise_like, world.shuffled])
@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist", "digits"])
def test_noise_that_the_classifier_takes_for_real_is_not_accepted(dataset: str, make: Any) -> None:
    """Of Fashion-MNIST, confidence and features alone let 85 % of it pass; dense bags still look a little like it."""
    there = world.make(dataset, samples=SAMPLES)
    noise = there.see(make(there.images, np.random.default_rng(3)))
    found = statistics.neighbours(there.judged.features, noise.judged.features)
    assert there.accepted(noise, found).mean() < 0.15
    assert there.controls["accepted"][0] > 0.8


def test_pixel_distances_are_those_to_the_nearest_image(here: World) -> None:
    images = world.unit(here.train[:30])
    apart = images.reshape(30, 1, -1).astype(np.float64) - here.images.reshape(1, here.n, -1)
    wanted = np.sqrt(np.square(apart).sum(axis=2)).min(axis=1)
    np.testing.assert_allclose(here.see(images).away, wanted, atol=1e-3)


# ---- single measures against what is known


def test_even_steps_have_no_largest_and_one_jump_has_all() -> None:
    even = np.linspace(0, 1, 17)[None, :, None] * np.ones((1, 1, 5))
    jump = np.zeros((1, 17, 5))
    jump[:, 9:] = 1
    still = np.zeros((1, 17, 5))
    steps = regularity.largest_steps(np.concatenate([even, jump, still]))
    np.testing.assert_allclose(steps[:2], [0, 1 - 1 / 16], atol=1e-12)
    assert np.isnan(steps[2])


def test_changes_of_class_are_counted_path_by_path() -> None:
    classes = np.array([[1] * 17, [1, 2] * 8 + [1], [3] * 8 + [4] * 9])
    assert regularity.class_changes(classes).tolist() == [0, 16, 1]


def test_stretch_is_that_of_small_steps(models: dict[str, Model], here: World) -> None:
    model = models["vae"]
    codes = codes_of(model, here)
    z, step = codes.held_out[:20].astype(np.float64), 1e-2
    squares = np.zeros(20)
    for column in codes.spread.T:
        ahead, behind = (model.decode((z + sign * step * column).astype(np.float32)) for sign in (1, -1))
        squares += np.square((ahead - behind).reshape(20, -1) / (2 * step)).sum(axis=1)
    wanted = np.sqrt(squares / 3)
    found = regularity.stretches(model, codes.held_out[:20], codes.spread)
    assert np.isclose(found, wanted, rtol=1e-4).mean() > 0.9  # but where a ReLU bends within the step


def test_a_linear_decoder_stretches_evenly(
    models: dict[str, Model], here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = changed(models["ae"])
    weight = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(model.module, "decode", lambda z: (0.5 + 1e-3 * z @ weight).reshape(-1, 1, 8, 8))
    (found,) = regularity.stretch(model, here, codes_of(model, here))
    assert found.value == pytest.approx(1.0, abs=1e-3)
    assert found.spread == pytest.approx([1.0] * 21, abs=1e-3)


def codes_at(train: np.ndarray, held_out: np.ndarray) -> Codes:
    return Codes(train, held_out, regularity.root(train), train, held_out, None)


@pytest.mark.parametrize(("shift", "inside"), [(0.0, True), (0.5, False)])
def test_codes_from_the_prior_lie_in_the_band_and_shifted_ones_do_not(
    models: dict[str, Model], here: World, shift: float, inside: bool
) -> None:
    normal = (np.random.default_rng(5).normal(size=(600, 4)) + shift).astype(np.float32)
    for one in regularity.mismatch(models["vae"], here, codes_at(normal, normal)):
        assert one.value is not None
        assert one.low is not None
        assert one.high is not None
        assert (one.low <= one.value <= one.high) is inside, one


def test_each_distribution_is_what_it_is_called() -> None:
    chance = np.random.default_rng(0)
    train = np.concatenate([chance.normal(c, 0.3, size=(2000, 2)) for c in (-4, 0, 7)]).astype(np.float32)
    codes = codes_at(train, train[:500])
    drawn = {name: regularity.draw(codes, name, 20_000, seed=1) for name in DISTRIBUTIONS}
    np.testing.assert_allclose(drawn["prior"].mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(drawn["prior"].T), np.eye(2), atol=0.05)
    for name in ("gaussian", "mixture"):
        np.testing.assert_allclose(drawn[name].mean(axis=0), train.mean(axis=0), atol=0.15)
        np.testing.assert_allclose(np.cov(drawn[name].T), np.cov(train.T), rtol=0.05)
    empty = (np.abs(drawn["mixture"] - np.array([3.5, 3.5])) < 1).all(axis=1)
    assert empty.mean() < 0.001
    assert (np.abs(drawn["gaussian"] - np.array([3.5, 3.5])) < 1).all(axis=1).mean() > 0.02
    low, high = np.quantile(train, [0.01, 0.99], axis=0)
    assert (drawn["box"] >= low - 1e-5).all()
    assert (drawn["box"] <= high + 1e-5).all()
    np.testing.assert_allclose(drawn["box"].mean(axis=0), (low + high) / 2, atol=0.1)


def test_holes_are_where_no_codes_are(here: World) -> None:
    chance = np.random.default_rng(0)
    train, held_out = (chance.normal(size=(n, 2)).astype(np.float32) for n in (5000, 2000))
    codes = codes_at(train, held_out)
    near = regularity.holes(codes, chance.normal(size=(SAMPLES, 2)).astype(np.float32), "prior", here.images, seed=0)
    far = regularity.holes(codes, np.full((SAMPLES, 2), 9, np.float32), "prior", here.images, seed=0)
    assert near.value is not None
    assert near.value < 0.06
    assert near.ceiling is not None
    assert near.ceiling < 0.03
    assert far.value == 1.0


# ---- what cannot be measured


def broken(model: Model, how: str) -> Iterator[tuple[str, Model]]:
    made = changed(model)
    with torch.no_grad():
        if how == "codes that are no numbers":
            made.module.encoder[-1].weight[:] = torch.nan
        elif how == "codes in one place":
            made.module.encoder[-1].weight[:] = 0
        elif how == "one image everywhere":
            made.module.decoder[0].weight[:] = 0
        elif how == "one dimension that says nothing":
            made.module.encoder[-1].weight[0] = 0
    yield how, made


BROKEN = (
    "codes that are no numbers",
    "codes in one place",
    "one image everywhere",
    "one dimension that says nothing",
)


@EACH_KIND
@pytest.mark.parametrize("how", BROKEN)
def test_what_cannot_be_computed_says_why_and_the_others_stand(
    models: dict[str, Model], here: World, kind: str, how: str
) -> None:
    ((_, model),) = broken(models[kind], how)
    figures = list(measure(model, here))
    assert len(figures) == COUNT
    assert [(one.measure, one.distribution) for one in figures] == [
        (one.measure, one.distribution) for one in measure(models[kind], here)
    ]
    for one in figures:
        if one.value is None:
            assert one.note.endswith(".")
            assert one.note[0].isupper()
        else:
            assert np.isfinite([one.value, one.low, one.high]).all(), one
    missing = {one.measure for one in figures if one.value is None} - {"kl"}
    if how == BROKEN[0]:
        assert missing >= set(MEASURES) - {"kl"}
    else:
        assert missing <= {"path_step", "class_flips", "stretch", "holes", "frechet", *DISTRIBUTED}
        assert any(one.value is not None for one in figures)


def test_a_class_that_is_missing_hinders_nothing(models: dict[str, Model], here: World) -> None:
    keep = here.classes != 3
    judged = replace(here.judged, features=here.judged.features[keep], probabilities=here.judged.probabilities[keep])
    without = replace(here, images=here.images[keep], court=replace(here.sitting, judged=judged))
    assert all(one.value is not None for one in measure(models["vae"], without))


@pytest.mark.parametrize("samples", [0, 3, 19])
def test_too_few_samples_are_told(samples: int) -> None:
    with pytest.raises(CannotMeasure, match=f"At least 20 samples are needed, got {samples}"):
        world.make("digits", samples=samples)
