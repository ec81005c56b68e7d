from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, distributions, nn

from explorer import models

MLP: dict[str, Any] = {"image_shape": (1, 6, 4), "latent_dim": 4, "arch": "mlp", "hidden": (12, 7)}
CONV: dict[str, Any] = {"image_shape": (3, 8, 12), "latent_dim": 5, "arch": "conv", "hidden": (4, 6)}
ARCHITECTURES = pytest.mark.parametrize("about", [MLP, CONV], ids=["mlp", "conv"])
MODELS = pytest.mark.parametrize("name", list(models.MODELS))


def images(about: dict[str, Any], count: int = 9, *, seed: int = 0) -> Tensor:
    return torch.rand(count, *about["image_shape"], generator=torch.Generator().manual_seed(seed))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_kl_is_that_of_torch_distributions() -> None:
    mu, logvar = 3 * normal(50, 7), 2 * normal(50, 7, seed=1)
    posterior = distributions.Normal(mu, logvar.mul(0.5).exp())
    expected = distributions.kl_divergence(posterior, distributions.Normal(torch.zeros(()), torch.ones(())))
    torch.testing.assert_close(models.kl_per_dim(mu, logvar), expected)
    torch.testing.assert_close(models.kl_to_standard_normal(mu, logvar), expected.sum(dim=1).mean())


def test_recon_is_the_binary_cross_entropy_summed_over_pixels() -> None:
    logits, x = 4 * normal(6, 1, 5, 5), normal(6, 1, 5, 5, seed=1).sigmoid()
    expected = F.binary_cross_entropy(logits.sigmoid(), x, reduction="none").sum(dim=(1, 2, 3)).mean()
    torch.testing.assert_close(models.recon_loss(logits, x), expected)


def test_recon_stays_finite_where_the_sigmoid_saturates() -> None:
    logits = torch.tensor([[[[200.0, -200.0]]]])
    assert models.recon_loss(logits, torch.tensor([[[[0.0, 1.0]]]])).item() == pytest.approx(400)


def test_no_decoder_beats_the_entropy_of_grey_pixels() -> None:
    x = images(MLP).double()
    floor = distributions.Bernoulli(probs=x).entropy().sum(dim=(1, 2, 3)).mean()
    torch.testing.assert_close(models.recon_loss(torch.logit(x), x), floor)
    assert models.recon_loss(torch.logit(x) + 0.1, x) > floor


def test_beta_weighs_the_kl_alone() -> None:
    logits, x, kl = normal(4, 1, 3, 3), normal(4, 1, 3, 3, seed=1).sigmoid(), torch.tensor(7.0)
    by_beta = [models.vae_loss(logits, x, kl, beta=beta).item() for beta in (0, 1, 4)]
    assert by_beta[1] - by_beta[0] == pytest.approx(7)
    assert by_beta[2] - by_beta[0] == pytest.approx(28)


def test_the_negative_elbo_bounds_the_evidence_by_the_gap_to_the_true_posterior() -> None:
    """With one latent dimension both log p(x) and KL(q || p(z given x)) are sums over a fine grid."""
    about: dict[str, Any] = {"image_shape": (1, 2, 3), "latent_dim": 1, "arch": "mlp", "hidden": (8,)}
    vae = models.build("vae", seed=3, **about).double()
    assert isinstance(vae, models.VAE)
    x = images(about, 1).round().double()
    with torch.no_grad():
        mu, logvar = vae.posterior(x)
        z = torch.linspace(-12, 12, 2_001, dtype=torch.float64)[:, None]
        step = (z[1] - z[0]).item()
        likelihood = distributions.Bernoulli(probs=vae.decode(z)).log_prob(x).sum(dim=(1, 2, 3))
        joint = likelihood + distributions.Normal(0.0, 1.0).log_prob(z[:, 0])
        log_q = distributions.Normal(mu[0], logvar[0].mul(0.5).exp()).log_prob(z)[:, 0]
        log_p_x = torch.logsumexp(joint, dim=0) + torch.tensor(step).log()
        recon = torch.stack([models.recon_loss(logits[None], x) for logits in vae.logits(z)])
        negative_elbo = (log_q.exp() * recon).sum() * step + models.kl_to_standard_normal(mu, logvar)
        gap = (log_q.exp() * (log_q - joint + log_p_x)).sum() * step
    assert gap > 1e-3
    torch.testing.assert_close(negative_elbo, gap - log_p_x, atol=1e-6, rtol=0)


def test_a_vae_decodes_draws_from_its_posterior() -> None:
    vae = models.build("vae", seed=0, **MLP)
    assert isinstance(vae, models.VAE)
    x = images(MLP, 1)
    mu, logvar = vae.posterior(x)
    vae.decoder = nn.Sequential(nn.Identity())
    draws, _ = vae(x.expand(40_000, -1, -1, -1), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(draws.mean(dim=0), mu[0], atol=0.03, rtol=0)
    torch.testing.assert_close(draws.var(dim=0), logvar[0].exp(), atol=0.05, rtol=0)
    torch.testing.assert_close(torch.corrcoef(draws.T), torch.eye(4), atol=0.03, rtol=0)


def test_the_gradient_reaches_both_halves_of_the_posterior() -> None:
    vae = models.build("vae", seed=0, **MLP)
    logits, kl = vae(images(MLP), generator=torch.Generator().manual_seed(0))
    models.vae_loss(logits, images(MLP), kl, beta=0.0).backward()
    last = vae.encoder[-1]
    assert isinstance(last, nn.Linear)
    assert last.weight.grad is not None
    assert (last.weight.grad.abs().sum(dim=1) > 0).all()


def test_the_kl_of_beta_0_moves_nothing_and_that_of_beta_1_does() -> None:
    vae = models.build("vae", seed=0, **MLP)
    gradients: list[list[Tensor]] = []
    for beta in (0.0, 1.0):
        logits, kl = vae(images(MLP), generator=torch.Generator().manual_seed(0))
        loss = models.vae_loss(logits, images(MLP), kl, beta=beta)
        gradients.append(list(torch.autograd.grad(loss, list(vae.encoder.parameters()))))
    logits, _ = vae(images(MLP), generator=torch.Generator().manual_seed(0))
    of_recon = torch.autograd.grad(models.recon_loss(logits, images(MLP)), list(vae.encoder.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(gradients[0], of_recon, strict=True))
    assert all(not torch.equal(one, other) for one, other in zip(gradients[1], of_recon, strict=True))


def test_the_losses_gradients_are_those_of_finite_differences() -> None:
    logits, x = normal(3, 1, 2, 2).requires_grad_(), normal(3, 1, 2, 2, seed=1).sigmoid().requires_grad_()
    mu, logvar = normal(3, 4, seed=2).requires_grad_(), normal(3, 4, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(models.recon_loss, (logits, x))
    assert torch.autograd.gradcheck(models.kl_to_standard_normal, (mu, logvar))


@ARCHITECTURES
@MODELS
def test_a_models_gradients_are_those_of_finite_differences_in_every_weight(name: str, about: dict[str, Any]) -> None:
    model = models.build(name, seed=0, **about).double()
    x = images(about, 2).double()
    names = [key for key, _ in model.named_parameters()]

    def loss(*weights: Tensor) -> Tensor:
        noise = torch.Generator().manual_seed(0)
        logits, kl = torch.func.functional_call(model, dict(zip(names, weights)), (x,), {"generator": noise})
        return models.vae_loss(logits, x, kl, beta=0.7)

    assert torch.autograd.gradcheck(loss, tuple(model.parameters()), fast_mode=True)


@pytest.mark.parametrize("product", [models.HalfProducts, models.SmallProducts])
def test_fast_products_and_their_gradients_are_near_those_in_float32(product: type[torch.autograd.Function]) -> None:
    values = [normal(*shape, seed=seed).float() for seed, shape in enumerate([(50, 80), (70, 80), (70,)])]
    incoming = normal(50, 70, seed=3).float()
    found, expected = ([value.clone().requires_grad_() for value in values] for _ in range(2))
    results = product.apply(*found), F.linear(*expected)
    for result in results:
        result.backward(incoming)
    tolerance = 2e-2 if product is models.HalfProducts else 1e-5
    pairs = [results, *((one.grad, other.grad) for one, other in zip(found, expected, strict=True))]
    for one, other in pairs:
        assert (one - other).norm() <= tolerance * other.norm()


@pytest.mark.parametrize("product", [models.HalfProducts, models.SmallProducts])
def test_fast_products_make_no_gradient_for_images(product: type[torch.autograd.Function]) -> None:
    x, weight, bias = normal(5, 8).float(), normal(7, 8).float().requires_grad_(), normal(7).float().requires_grad_()
    product.apply(x, weight, bias).sum().backward()
    assert x.grad is None
    assert weight.grad is not None


@ARCHITECTURES
@MODELS
def test_an_image_goes_to_a_code_and_back_to_an_image(name: str, about: dict[str, Any]) -> None:
    model = models.build(name, seed=0, **about)
    z = model.encode(images(about))
    x_hat = model.decode(z)
    assert z.shape == (9, about["latent_dim"])
    assert x_hat.shape == (9, *about["image_shape"])
    assert 0 <= x_hat.min() <= x_hat.max() <= 1


@ARCHITECTURES
def test_ae_and_vae_of_one_seed_start_equal_in_all_they_share(about: dict[str, Any]) -> None:
    ae, vae = (models.build(name, seed=5, **about).state_dict() for name in ("ae", "vae"))
    assert ae.keys() == vae.keys()
    last = [key for key in ae if ae[key].shape != vae[key].shape]
    assert len(last) == 2, "only the encoder's last weight and bias may differ in shape"
    assert all(torch.equal(ae[key], vae[key]) for key in ae if key not in last)
    assert all(vae[key].shape[0] == 2 * ae[key].shape[0] for key in last)


@MODELS
def test_the_seed_alone_decides_the_first_weights(name: str) -> None:
    torch.manual_seed(1)
    one = models.build(name, seed=0, **MLP).state_dict()
    torch.manual_seed(2)
    again, other = (models.build(name, seed=seed, **MLP).state_dict() for seed in (0, 1))
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not any(torch.equal(one[key], other[key]) for key in one)


def test_building_leaves_torchs_own_randomness_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    models.build("vae", seed=9, **MLP)
    assert torch.equal(torch.rand(3), expected)


@ARCHITECTURES
@MODELS
@given(data=st.data())
def test_renumbering_the_dimensions_changes_no_image(name: str, about: dict[str, Any], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(about["latent_dim"])))
    model, renumbered = (models.build(name, seed=0, **about) for _ in range(2))
    models.reorder(renumbered, list(order))
    x = images(about)
    torch.testing.assert_close(renumbered.encode(x), model.encode(x)[:, order])
    torch.testing.assert_close(renumbered.decode(renumbered.encode(x)), model.decode(model.encode(x)))
    if isinstance(model, models.VAE) and isinstance(renumbered, models.VAE):
        torch.testing.assert_close(renumbered.posterior(x)[1], model.posterior(x)[1][:, order])


@MODELS
def test_rounding_to_half_is_exact_in_half_size_and_is_done_once(name: str) -> None:
    model = models.build(name, seed=0, **MLP)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    models.round_to_half(model)
    once = {key: value.clone() for key, value in model.state_dict().items()}
    models.round_to_half(model)
    for key, value in model.state_dict().items():
        assert torch.equal(value, once[key])
        assert torch.equal(value.half().float(), value)
        torch.testing.assert_close(value, before[key], rtol=2**-11, atol=2**-24)
    assert any(not torch.equal(once[key], before[key]) for key in before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be between 1 and 24, got 0"),
        ({"latent_dim": -3}, "latent_dim must be between 1 and 24, got -3"),
        ({"latent_dim": 25}, "latent_dim must be between 1 and 24, got 25"),
        ({"hidden": ()}, "hidden must be 1 to 6 sizes between 1 and 8192, got none"),
        ({"hidden": (12, 0)}, "hidden must be 1 to 6 sizes between 1 and 8192, got 12, 0"),
        ({"hidden": (9000,)}, "hidden must be 1 to 6 sizes between 1 and 8192, got 9000"),
        ({"hidden": (8,) * 7}, "hidden must be 1 to 6 sizes"),
        ({"hidden": (8192, 8192)}, "A model may have at most 20,000,000 weights, this one has 134,"),
        ({"arch": "transformer"}, "Unknown architecture: 'transformer'. Must be one of: mlp, conv"),
        ({"arch": "conv"}, "6x4 pixels cannot be halved so often, take fewer hidden sizes"),
        ({"image_shape": (-1, -6, 4)}, "image_shape must be three numbers from 1 to 1024, got [-1, -6, 4]"),
        ({"image_shape": (1, 10**12, 10**12)}, "image_shape must be three numbers from 1 to 1024"),
    ],
)
def test_a_network_that_cannot_be_is_refused_with_what_would_be_right(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        models.build("ae", seed=0, **{**MLP, **changes})


def test_an_unknown_model_is_told_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"Unknown model: 'gan'\. Must be one of: ae, vae"):
        models.build("gan", seed=0, **MLP)


def test_an_outline_takes_no_memory_for_its_weights() -> None:
    largest = models.outline("vae", image_shape=(1, 32, 32), latent_dim=2, arch="mlp", hidden=(4000, 1000))
    assert {parameter.device.type for parameter in largest.parameters()} == {"meta"}
