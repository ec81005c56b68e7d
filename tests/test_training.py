from __future__ import annotations

import copy
import math
import re
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer import data, models, training

SMALL: dict[str, Any] = {"image_shape": (1, 8, 8), "latent_dim": 3, "arch": "mlp", "hidden": (24,)}


@pytest.fixture(scope="session")
def x_train(digits: data.Dataset) -> Tensor:
    return torch.from_numpy(digits.x_train[:500].copy())


@pytest.fixture(scope="session")
def x_test(digits: data.Dataset) -> Tensor:
    return torch.from_numpy(digits.x_test[:150].copy())


def run(name: str, x_train: Tensor, x_test: Tensor, **settings: Any) -> tuple[models.AE, list[training.EpochStats]]:
    model = models.build(name, seed=settings.get("seed", 0), **SMALL)
    return model, list(training.train(model, x_train, x_test, **{"epochs": 2, "batch_size": 64, **settings}))


def without_seconds(history: list[training.EpochStats]) -> list[dict[str, float]]:
    return [{key: value for key, value in vars(stats).items() if key != "seconds"} for stats in history]


@pytest.mark.parametrize("name", list(models.MODELS))
def test_one_seed_gives_the_same_model_to_the_last_bit_and_another_does_not(
    name: str, x_train: Tensor, x_test: Tensor
) -> None:
    (one, history), (again, history_again), (other, other_history) = (
        run(name, x_train, x_test, seed=seed) for seed in (4, 4, 5)
    )
    weights, weights_again, other_weights = (model.state_dict() for model in (one, again, other))
    assert all(torch.equal(weights[key], weights_again[key]) for key in weights)
    assert without_seconds(history) == without_seconds(history_again)
    assert not any(torch.equal(weights[key], other_weights[key]) for key in weights)
    assert without_seconds(history) != without_seconds(other_history)


@pytest.mark.parametrize("name", list(models.MODELS))
def test_training_brings_the_loss_down_on_held_out_images_too(name: str, x_train: Tensor, x_test: Tensor) -> None:
    untrained = models.build(name, seed=0, **SMALL)
    recon, kl = training.evaluate(untrained, x_test)
    _, history = run(name, x_train, x_test, epochs=8)
    assert history[-1].loss < history[0].loss
    assert history[-1].test_recon + history[-1].test_kl < 0.85 * (recon + kl)
    assert [stats.epoch for stats in history] == list(range(1, 9))


def test_two_epochs_of_one_batch_are_two_steps_of_adam_on_the_papers_loss(x_train: Tensor, x_test: Tensor) -> None:
    model = models.build("ae", seed=0, **SMALL)
    expected = copy.deepcopy(model)
    list(training.train(model, x_train, x_test, epochs=2, batch_size=len(x_train), lr=1e-2))
    x = x_train / 255
    optimizer = torch.optim.Adam(expected.parameters(), lr=1e-2, foreach=False, fused=False)
    for _ in range(2):
        optimizer.zero_grad()
        (F.binary_cross_entropy(expected.decode(expected.encode(x)), x, reduction="none").sum() / len(x)).backward()
        optimizer.step()
    for trained, by_hand in zip(model.parameters(), expected.parameters()):
        torch.testing.assert_close(trained, by_hand, atol=2e-5, rtol=1e-4)


def test_an_epochs_recon_is_a_mean_over_images_though_the_last_batch_is_smaller(
    x_train: Tensor, x_test: Tensor
) -> None:
    model = models.build("ae", seed=0, **SMALL)
    (stats,) = training.train(model, x_train, x_test, epochs=1, batch_size=333, lr=1e-12)  # hardly moves
    unit = (x_train / 255).double()
    x_hat = model.double().decode(model.encode(unit))
    expected = F.binary_cross_entropy(x_hat, unit, reduction="none").sum(dim=(1, 2, 3)).mean().item()
    assert stats.recon == pytest.approx(expected, rel=1e-5)


def test_the_seed_decides_the_noise_too(x_train: Tensor, x_test: Tensor) -> None:
    start = models.build("vae", seed=0, **SMALL)
    settings: dict[str, Any] = {"epochs": 1, "batch_size": len(x_train)}  # one batch: its order matters to no sum
    one, two = (next(training.train(copy.deepcopy(start), x_train, x_test, seed=n, **settings)) for n in (1, 2))
    assert one.kl == pytest.approx(two.kl, rel=1e-5)
    assert abs(one.recon - two.recon) > 1e-3


def test_both_models_see_the_same_batches_in_the_same_order(x_train: Tensor, x_test: Tensor) -> None:
    seen: dict[str, list[Tensor]] = {"ae": [], "vae": []}
    for name, batches in seen.items():
        model = models.build(name, seed=0, **SMALL)
        model.register_forward_pre_hook(
            lambda module, inputs, batches=batches: batches.append(inputs[0].clone()) if module.training else None
        )
        list(training.train(model, x_train, x_test, epochs=2, batch_size=200, seed=1))
    assert [len(batch) for batch in seen["ae"]] == [200, 200, 100] * 2
    assert all(torch.equal(a, b) for a, b in zip(seen["ae"], seen["vae"], strict=True))
    first, second = torch.cat(seen["ae"][:3]), torch.cat(seen["ae"][3:])
    assert not torch.equal(first, second), "the second epoch must be shuffled anew"
    sums = [(epoch * 255).sum(dim=(1, 2, 3)).round().sort().values for epoch in (first, second, x_train / 255)]
    assert torch.equal(sums[0], sums[1])
    assert torch.equal(sums[0], sums[2])


def test_a_larger_beta_pays_for_less_kl_with_worse_images(x_train: Tensor, x_test: Tensor) -> None:
    by_beta = [run("vae", x_train, x_test, beta=beta, epochs=8)[1][-1] for beta in (0.0, 1.0, 8.0)]
    assert by_beta[0].test_kl > by_beta[1].test_kl > by_beta[2].test_kl
    assert by_beta[0].test_recon < by_beta[2].test_recon


def test_an_ae_has_no_kl_and_one_recon(x_train: Tensor, x_test: Tensor) -> None:
    for stats in run("ae", x_train, x_test)[1]:
        assert stats.kl == stats.test_kl == 0
        assert stats.loss == stats.recon
        assert stats.test_recon == pytest.approx(stats.test_recon_mean_code)


def test_a_vaes_mean_code_reconstructs_better_than_a_sampled_one(x_train: Tensor, x_test: Tensor) -> None:
    for stats in run("vae", x_train, x_test)[1]:
        assert stats.test_recon_mean_code < stats.test_recon
        assert stats.loss == pytest.approx(stats.recon + stats.kl)


@pytest.mark.parametrize("size", [7, 150, 1000])
def test_figures_do_not_depend_on_how_the_images_are_batched(
    size: int, x_test: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models.build("vae", seed=0, **SMALL).double()
    unit = (x_test.float() / 255).double()
    mean, logvar = model.encoder(unit).chunk(2, dim=1)
    posterior = torch.distributions.Normal(mean, logvar.mul(0.5).exp())
    prior = torch.distributions.Normal(0.0, 1.0)
    kl = torch.distributions.kl_divergence(posterior, prior).sum(dim=1).mean().item()
    recon = F.binary_cross_entropy(model.decode(mean), unit, reduction="none").sum(dim=(1, 2, 3)).mean().item()
    monkeypatch.setattr(training, "EVAL_BATCH", size)
    model.float()
    assert training.evaluate(model, x_test)[1] == pytest.approx(kl, rel=1e-5)
    assert training.evaluate_mean_code(model, x_test) == pytest.approx(recon, rel=1e-5)


def test_training_leaves_the_images_and_torchs_own_randomness_alone(x_train: Tensor, x_test: Tensor) -> None:
    before, state = (x_train.clone(), x_test.clone()), torch.get_rng_state()
    run("vae", x_train, x_test, epochs=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x_train, before[0])
    assert torch.equal(x_test, before[1])


def test_a_loss_that_is_no_number_ends_the_training_with_advice(x_train: Tensor, x_test: Tensor) -> None:
    told = r"the loss at step 1 of epoch 1 is no longer a number.*try a learning rate below 0\.5"
    with pytest.raises(training.Diverged, match=told):
        run("vae", x_train, x_test, beta=1e39, lr=0.5)


@pytest.mark.parametrize("every", [None, 1, 3])
@pytest.mark.parametrize("name", list(models.MODELS))
def test_a_training_that_diverged_has_its_last_good_weights_again(
    name: str, every: int | None, x_train: Tensor, x_test: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, model = (models.build(name, seed=0, **SMALL) for _ in range(2))
    budget: dict[str, Any] = {"beta": 1.0, "batch_size": 100, "lr": 0.02, "seed": 0, "every": every}
    steps = {None: 5, 1: 7, 3: 5}[every]  # the last stop before the eighth step, of 5 an epoch
    stops = training.moments(good, x_train, x_test, epochs=2, **budget)
    while not (isinstance(news := next(stops), training.Moment) and round(news.epoch * 5) == steps):
        pass
    loss, calls = training.vae_loss, iter(range(10**6))

    def spoil(*about: Any, **more: Any) -> Tensor:
        return loss(*about, **more) * (1 if next(calls) < 7 else math.inf)

    monkeypatch.setattr(training, "vae_loss", spoil)
    told = (
        r"^The training diverged: the loss at step 3 of epoch 2 is no longer a number\. "
        r"The last good weights are kept; try a learning rate below 0\.02$"
    )
    with pytest.raises(training.Diverged, match=told):
        list(training.moments(model, x_train, x_test, epochs=2, **budget))
    weights, expected = model.state_dict(), good.state_dict()
    assert all(torch.equal(weights[key], expected[key]) for key in expected)


def test_weights_that_are_no_numbers_after_a_step_are_noticed_and_put_back(
    x_train: Tensor, x_test: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models.build("vae", seed=0, **SMALL)
    before = copy.deepcopy(model.state_dict())
    advance = training.advance

    def overflowing(model: models.AE, *about: Any, **more: Any) -> None:
        advance(model, *about, **more)
        next(model.parameters()).data[0] = math.nan

    monkeypatch.setattr(training, "advance", overflowing)
    with pytest.raises(training.Diverged, match=r"what the model makes of images after step 8 of epoch 1 is no longer"):
        list(training.train(model, x_train, x_test, batch_size=64))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_figures_that_are_no_numbers_bring_the_last_whole_epoch_back(
    x_train: Tensor, x_test: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run("vae", x_train, x_test, epochs=1)
    model = models.build("vae", seed=0, **SMALL)
    state = training.begin(model, lr=1e-3, seed=0)
    mean_code = training.evaluate_mean_code
    monkeypatch.setattr(training, "evaluate_mean_code", lambda *about: math.nan if state.epoch else mean_code(*about))
    with pytest.raises(training.Diverged, match=r"the loss on held-out images after step 8 of epoch 2 is no longer"):
        list(training.train(model, x_train, x_test, epochs=2, batch_size=64, state=state))
    assert [stats.epoch for stats in state.history] == [1]
    assert all(torch.equal(value, whole.state_dict()[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", list(models.MODELS))
def test_looking_changes_no_number(name: str, x_train: Tensor, x_test: Tensor) -> None:
    budget: dict[str, Any] = {"beta": 2.0, "epochs": 2, "batch_size": 64, "lr": 1e-3, "seed": 3}
    weights, histories = [], []
    for every in (None, 1, 3):
        model = models.build(name, seed=0, **SMALL)
        news = list(training.moments(model, x_train, x_test, every=every, **budget))
        looks = [moment for moment in news if isinstance(moment, training.Moment)]
        assert len(looks) == 2 * math.ceil(8 / (every or 8))
        weights.append(model.state_dict())
        histories.append(without_seconds([stats for stats in news if isinstance(stats, training.EpochStats)]))
    assert histories[0] == histories[1] == histories[2]
    assert all(torch.equal(weights[0][key], other[key]) for other in weights[1:] for key in other)


def test_a_moment_says_how_far_the_epoch_is_and_its_means_so_far(x_train: Tensor, x_test: Tensor) -> None:
    model = models.build("vae", seed=0, **SMALL)
    budget: dict[str, Any] = {"beta": 2.0, "epochs": 2, "batch_size": 200, "lr": 1e-3, "seed": 3}
    news = list(training.moments(model, x_train, x_test, every=1, **budget))
    kinds = [type(one) for one in news]
    assert kinds == 2 * [*3 * [training.Moment], training.EpochStats]
    looks = [moment for moment in news if isinstance(moment, training.Moment)]
    assert [moment.images for moment in looks] == 2 * [200, 400, 500]
    assert [moment.epoch for moment in looks] == pytest.approx([0.4, 0.8, 1.0, 1.4, 1.8, 2.0])
    for last, stats in ((news[2], news[3]), (news[6], news[7])):
        assert isinstance(last, training.Moment)
        assert isinstance(stats, training.EpochStats)
        assert (last.recon, last.kl, last.seconds) == (stats.recon, stats.kl, stats.seconds)
    assert all(0 < before.seconds < after.seconds for before, after in pairwise(looks[:3]))


def test_a_weight_of_the_kl_changes_the_weights_of_the_vae(x_train: Tensor, x_test: Tensor) -> None:
    one, other = (run("vae", x_train, x_test, epochs=1, beta=beta)[0].state_dict() for beta in (1.0, 1.1))
    assert not any(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.skipif(not models.half_products(), reason="float32 products depend on the number of threads")
@pytest.mark.parametrize("name", list(models.MODELS))
def test_a_wide_mlp_gets_the_same_bits_on_any_number_of_threads(name: str, x_train: Tensor, x_test: Tensor) -> None:
    before, trained = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            model = models.build(name, seed=0, image_shape=(1, 8, 8), latent_dim=5, arch="mlp", hidden=(100,))
            history = list(training.train(model, x_train, x_test, epochs=3, batch_size=100))
            trained.append((model.state_dict(), without_seconds(history)))
    finally:
        torch.set_num_threads(before)
    (one, history), (two, history_of_two) = trained
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert history == history_of_two


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": -0.1}, "beta must be a number of at least 0, got -0.1"),
        ({"beta": float("nan")}, "beta must be a number of at least 0, got nan"),
        ({"beta": float("inf")}, "beta must be a number of at least 0, got inf"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"epochs": 2001}, "epochs must be at most 2000, got 2001"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be above 0 and at most 1, got 0.0"),
        ({"lr": float("nan")}, "lr must be above 0 and at most 1, got nan"),
        ({"seed": -1}, "seed must be at least 0 and below 4294967295, got -1"),
        ({"seed": 2**70}, "seed must be at least 0 and below 4294967295"),
    ],
)
def test_a_setting_one_cannot_train_with_is_named(
    settings: dict[str, Any], message: str, x_train: Tensor, x_test: Tensor
) -> None:
    model = models.build("vae", seed=0, **SMALL)
    with pytest.raises(ValueError, match=re.escape(message)):
        next(training.train(model, x_train, x_test, **settings))


def test_no_images_at_all_is_told_in_words(x_train: Tensor, x_test: Tensor) -> None:
    with pytest.raises(ValueError, match="There are no training images"):
        next(training.train(models.build("ae", seed=0, **SMALL), x_train[:0], x_test))
    with pytest.raises(ValueError, match="There are no held-out images"):
        next(training.train(models.build("ae", seed=0, **SMALL), x_train, x_test[:0]))


@pytest.mark.parametrize("name", ["ae", "vae"])
def test_images_that_are_all_the_same_can_be_learned(name: str, x_train: Tensor) -> None:
    same = x_train[:1].expand(64, -1, -1, -1)
    history = list(training.train(models.build(name, seed=0, **SMALL), same, same, epochs=20, batch_size=16, lr=1e-2))
    assert history[-1].test_recon < history[0].test_recon
    assert history[-1].test_kl < 1.0
