"""Training as a generator: one EpochStats after each epoch, nothing printed, nothing saved.

AE and VAE go through the same loop with the same batches in the same order; only the loss differs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.models import AE, recon_loss, vae_loss

EVAL_BATCH = 2000


@dataclass(frozen=True)
class EpochStats:
    """What one epoch came to. All losses in nats an image: recon summed over pixels, kl over dimensions.

    recon, kl and loss are running means over the epoch's batches. test_recon and test_kl are on held-out images with
    z sampled from the posterior (so their sum is a negative ELBO); test_recon_mean_code decodes mu instead and is
    lower, but no bound. seconds is training alone.
    """

    epoch: int
    recon: float
    kl: float
    loss: float
    test_recon: float
    test_kl: float
    test_recon_mean_code: float
    seconds: float


def train(
    model: AE,
    x_train: Tensor,
    x_test: Tensor,
    *,
    beta: float = 1.0,
    epochs: int = 10,
    batch_size: int = 256,
    lr: float = 1e-3,
    seed: int = 0,
) -> Iterator[EpochStats]:
    """Train model in place with Adam on recon + beta * kl.

    x_train, x_test: uint8 [N, C, H, W]; scaled to [0, 1] a batch at a time, so the data stays a byte a pixel.
    Raises ValueError for settings that cannot be trained with, and FloatingPointError when the loss is no number.
    """
    check_settings(n=len(x_train), beta=beta, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    order = torch.Generator().manual_seed(seed)
    noise = torch.Generator().manual_seed(seed + 1)
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        recon, kl = train_epoch(model, x_train, optimizer, beta=beta, batch_size=batch_size, order=order, noise=noise)
        seconds = time.perf_counter() - start
        test_recon, test_kl = evaluate(model, x_test, seed=seed)
        test_recon_mean_code = evaluate_mean_code(model, x_test)
        if not all(map(math.isfinite, (recon, kl, recon + beta * kl, test_recon, test_kl, test_recon_mean_code))):
            raise FloatingPointError(
                f"The loss is no longer a number in epoch {epoch}: try a learning rate below {lr:g}"
            )
        yield EpochStats(
            epoch=epoch,
            recon=recon,
            kl=kl,
            loss=recon + beta * kl,
            test_recon=test_recon,
            test_kl=test_kl,
            test_recon_mean_code=test_recon_mean_code,
            seconds=seconds,
        )


def train_epoch(
    model: AE,
    x_train: Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    beta: float,
    batch_size: int,
    order: torch.Generator,
    noise: torch.Generator,
) -> tuple[float, float]:
    """One pass over x_train. Returns the mean recon and kl in nats an image."""
    model.train()
    totals = torch.zeros(2)
    for batch in torch.randperm(len(x_train), generator=order).split(batch_size):
        x = to_unit(x_train[batch])
        logits, kl = model(x, generator=noise)
        loss = vae_loss(logits, x, kl, beta=beta)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            totals += torch.stack((loss - beta * kl, kl)) * len(x)
    recon, kl_mean = (totals / len(x_train)).tolist()
    return recon, kl_mean


@torch.no_grad()
def evaluate(model: AE, x: Tensor, *, seed: int = 0) -> tuple[float, float]:
    """recon and kl in nats on x (uint8 [N, C, H, W]), with z sampled from the posterior."""
    model.eval()
    noise = torch.Generator().manual_seed(seed)
    totals = torch.zeros(2, dtype=torch.float64)
    for batch in x.split(EVAL_BATCH):
        unit = to_unit(batch)
        logits, kl = model(unit, generator=noise)
        totals += torch.stack((recon_loss(logits, unit), kl)).double() * len(unit)
    recon, kl_mean = (totals / len(x)).tolist()
    return recon, kl_mean


@torch.no_grad()
def evaluate_mean_code(model: AE, x: Tensor) -> float:
    """recon in nats on x (uint8 [N, C, H, W]) when the code itself (a VAE's mu) is decoded."""
    model.eval()
    parts = [recon_loss(model.logits(model.encode(u)), u).double() * len(u) for u in map(to_unit, x.split(EVAL_BATCH))]
    return (torch.stack(parts).sum() / len(x)).item()


def to_unit(x: Tensor) -> Tensor:
    """uint8 0..255 -> float32 in [0, 1]."""
    return x.float().div_(255.0)


def check_settings(*, n: int, beta: float, epochs: int, batch_size: int, lr: float, seed: int) -> None:
    """Raise ValueError, naming the value and what would be right, if one cannot train with these settings."""
    if n == 0:
        raise ValueError("There are no training images")
    if not (math.isfinite(beta) and beta >= 0):
        raise ValueError(f"beta must be a number of at least 0, got {beta}")
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if not (math.isfinite(lr) and 0 < lr <= 1):
        raise ValueError(f"lr must be above 0 and at most 1, got {lr}")
    if not 0 <= seed < 2**32 - 1:
        raise ValueError(f"seed must be at least 0 and below {2**32 - 1}, got {seed}")
