"""The two models and their losses.

An autoencoder (AE) and a variational autoencoder (VAE) of the same architecture. The VAE's only extra weights are
the second half of the encoder's last layer, which gives logvar beside mu. Built from one seed, the two start from the
same decoder and the same encoder body, so a difference between them comes from the loss.

Notation: x [N, C, H, W] in [0, 1]; z [N, latent_dim]; x_hat like x. recon and kl are sums over pixels and over
dimensions, averaged over the batch, in nats.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.settings import DEFAULT_HIDDEN, KERNEL, ImageShape, check_architecture, check_size, inner_shape

LARGE = 64  # products with fewer inputs or outputs gain nothing from bfloat16, and the code needs its digits


class AE(nn.Module):
    """Autoencoder: x -> z -> x_hat.

    hidden: widths of the encoder's layers, mirrored in the decoder (mlp), or its channels, each with half the side of
    the one before (conv). Raises ValueError for an architecture that cannot be built.
    """

    outputs_per_dim = 1

    def __init__(
        self, *, image_shape: ImageShape, latent_dim: int, arch: str = "mlp", hidden: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        hidden = DEFAULT_HIDDEN.get(arch, ()) if hidden is None else tuple(hidden)
        check_architecture(image_shape=image_shape, latent_dim=latent_dim, arch=arch, hidden=hidden)
        self.image_shape, self.latent_dim, self.arch, self.hidden = image_shape, latent_dim, arch, hidden
        build = {"mlp": (mlp_decoder, mlp_encoder), "conv": (conv_decoder, conv_encoder)}[arch]
        # The decoder first, the encoder's last layer last: so AE and VAE draw the same numbers for all they share.
        self.decoder = build[0](image_shape, hidden, latent_dim)
        self.encoder = build[1](image_shape, hidden, latent_dim * self.outputs_per_dim)

    def encode(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] in [0, 1] -> z [N, latent_dim]."""
        return self.encoder(x)

    def logits(self, z: Tensor) -> Tensor:
        """z [N, latent_dim] -> [N, C, H, W], before the sigmoid."""
        return self.decoder(z)

    def decode(self, z: Tensor) -> Tensor:
        """z [N, latent_dim] -> x_hat [N, C, H, W] in [0, 1]."""
        return torch.sigmoid(self.logits(z))

    def forward(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """x -> (logits of x_hat, kl). An AE has no prior: its kl is 0."""
        return self.logits(self.encode(x)), x.new_zeros(())


class VAE(AE):
    """Variational autoencoder: x -> N(mu, diag exp logvar) -> z -> x_hat (Kingma and Welling 2014, arXiv:1312.6114)."""

    outputs_per_dim = 2

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [N, C, H, W] -> mu, logvar, each [N, latent_dim]."""
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, logvar

    def encode(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> mu [N, latent_dim], the posterior's mean."""
        return self.posterior(x)[0]

    def forward(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """x -> (logits of x_hat at one z drawn from the posterior, kl in nats)."""
        mu, logvar = self.posterior(x)
        eps = torch.randn(mu.shape, generator=generator, device=mu.device)
        return self.logits(mu + eps * torch.exp(0.5 * logvar)), kl_to_standard_normal(mu, logvar)


MODELS: dict[str, type[AE]] = {"ae": AE, "vae": VAE}


def recon_loss(logits: Tensor, x: Tensor) -> Tensor:
    """Binary cross-entropy in nats, summed over pixels, mean over the batch: -sum x log x_hat + (1-x) log(1-x_hat).

    For grey pixels its floor is the entropy of x, not 0.
    """
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1).sum() / len(x)


def kl_per_dim(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp logvar) || N(0, 1)) of each image and dimension, [N, latent_dim], in nats."""
    return 0.5 * (mu.square() + logvar.exp() - 1.0 - logvar)


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL to N(0, I) in nats, summed over dimensions, mean over the batch (Kingma and Welling 2014, appendix B)."""
    return kl_per_dim(mu, logvar).sum(1).sum() / len(mu)


def vae_loss(logits: Tensor, x: Tensor, kl: Tensor, *, beta: float) -> Tensor:
    """recon + beta * kl, in nats (beta-VAE: Higgins et al. 2017). With kl = 0 it is the AE's loss."""
    return recon_loss(logits, x) + beta * kl


def build(name: str, *, seed: int, image_shape: ImageShape, latent_dim: int, arch: str, hidden: tuple[int, ...]) -> AE:
    """A fresh "ae" or "vae". Its first weights depend on the seed alone; torch's global random state is left alone.

    Raises ValueError for a model that is unknown, cannot be built or is too large.
    """
    outline(name, image_shape=image_shape, latent_dim=latent_dim, arch=arch, hidden=hidden)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS[name](image_shape=image_shape, latent_dim=latent_dim, arch=arch, hidden=hidden)


def outline(name: str, *, image_shape: ImageShape, latent_dim: int, arch: str, hidden: tuple[int, ...]) -> AE:
    """The model without memory for its weights (on torch's meta device). Raises ValueError as build does."""
    if name not in MODELS:
        raise ValueError(f"Unknown model: {name!r}. Must be one of: {', '.join(MODELS)}")
    with torch.device("meta"):
        model = MODELS[name](image_shape=image_shape, latent_dim=latent_dim, arch=arch, hidden=hidden)
    check_size(sum(parameter.numel() for parameter in model.parameters()))
    return model


def mlp_encoder(image_shape: ImageShape, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    widths = (math.prod(image_shape), *hidden)
    return nn.Sequential(nn.Flatten(), *dense(widths), Linear(widths[-1], outputs))


def mlp_decoder(image_shape: ImageShape, hidden: tuple[int, ...], latent_dim: int) -> nn.Sequential:
    widths = (latent_dim, *reversed(hidden))
    return nn.Sequential(*dense(widths), Linear(widths[-1], math.prod(image_shape)), nn.Unflatten(1, image_shape))


def dense(widths: tuple[int, ...]) -> list[nn.Module]:
    return [layer for a, b in pairwise(widths) for layer in (Linear(a, b), nn.ReLU())]


def conv_encoder(image_shape: ImageShape, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    channels = (image_shape[0], *hidden)
    layers: list[nn.Module] = []
    for a, b in pairwise(channels):
        layers += [nn.Conv2d(a, b, kernel_size=KERNEL, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), Linear(math.prod(inner_shape(image_shape, hidden)), outputs))


def conv_decoder(image_shape: ImageShape, hidden: tuple[int, ...], latent_dim: int) -> nn.Sequential:
    inner = inner_shape(image_shape, hidden)
    channels = (*reversed(hidden), image_shape[0])
    layers: list[nn.Module] = [Linear(latent_dim, math.prod(inner)), nn.Unflatten(1, inner)]
    for a, b in pairwise(channels):
        layers += [nn.ReLU(), nn.ConvTranspose2d(a, b, kernel_size=KERNEL, stride=2, padding=1)]
    return nn.Sequential(*layers)


class Linear(nn.Linear):
    """nn.Linear whose training steps are faster where the processor multiplies bfloat16.

    The large products of a training step are made in bfloat16 (sums are kept in float32, and so are the weights); the
    small ones around the code stay in float32 on one thread, where a sum has one order. Evaluation is float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        steps = self.training and torch.is_grad_enabled() and x.dtype is torch.float32
        if not (steps and half_products()):
            return super().forward(x)
        products = HalfProducts if min(self.weight.shape) >= LARGE else SmallProducts
        result: Tensor = products.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return result


class HalfProducts(torch.autograd.Function):
    """x w^T + b and its gradients with x, w and the incoming gradient rounded to bfloat16 for the products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x, weight = x.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(x, weight)
        return torch.addmm(bias.bfloat16(), x, weight.t()).float()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        rounded = grads[0].bfloat16()
        grad_x = torch.mm(rounded, weight).float() if ctx.needs_input_grad[0] else None
        with one_thread():
            grad_bias = grads[0].sum(0)
        return grad_x, torch.mm(rounded.t(), x).float(), grad_bias


class SmallProducts(torch.autograd.Function):
    """x w^T + b and its gradients in float32, on one thread."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        with one_thread():
            return torch.addmm(bias, x, weight.t())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        with one_thread():
            grad_x = torch.mm(grads[0], weight) if ctx.needs_input_grad[0] else None
            return grad_x, torch.mm(grads[0].t(), x), grads[0].sum(0)


@functools.cache
def half_products() -> bool:
    """Whether this processor multiplies bfloat16 itself; elsewhere that is slower than float32."""
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Work on one thread: a sum that threads share depends in its last bits on how many they are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def reorder(model: AE, order: list[int]) -> None:
    """Renumber the latent dimensions in place: the new dimension i is the old order[i]. What decodes stays the same."""
    last, first = model.encoder[-1], model.decoder[0]
    assert isinstance(last, nn.Linear)
    assert isinstance(first, nn.Linear)
    rows = [block * model.latent_dim + i for block in range(model.outputs_per_dim) for i in order]
    last.weight.copy_(last.weight[rows].clone())
    last.bias.copy_(last.bias[rows].clone())
    first.weight.copy_(first.weight[:, order].clone())


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Round every weight in place to what float16 can hold, so that half-size files give the very same model."""
    for parameter in model.parameters():
        parameter.copy_(parameter.half().float())
