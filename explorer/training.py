"""Training as a generator: a Moment several times an epoch, EpochStats after each, nothing printed, nothing saved.

AE and VAE go through the same loop with the same batches in the same order; only the loss differs. A State says where
a training stands: with it and the model's weights it goes on exactly as if it had not stopped.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from explorer.models import AE, LARGE, half_products, one_thread, recon_loss, vae_loss
from explorer.settings import check_budget

EVAL_BATCH = 2000
GUARD_IMAGES = 200


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


@dataclass(frozen=True)
class Moment:
    """A short stop within an epoch, for whoever wants to look. epoch counts whole ones and the share of this one.

    recon and kl are running means since the epoch began; images and seconds count from there too.
    """

    epoch: float
    recon: float
    kl: float
    images: int
    seconds: float


class Diverged(FloatingPointError):
    """The loss is no longer a number. The model has its last good weights again."""


@dataclass
class State:
    """Where a training stands between two steps: all that going on needs beside the weights.

    epoch: whole epochs done. step: steps done in the one under way. order_at_start: the order generator's state when
    it began, from which its batches come again. recon, kl: sums over its images so far. seconds: its time so far.
    """

    optimizer: torch.optim.Adam
    order: torch.Generator
    noise: torch.Generator
    order_at_start: Tensor
    epoch: int = 0
    step: int = 0
    recon: float = 0.0
    kl: float = 0.0
    seconds: float = 0.0
    history: list[EpochStats] = field(default_factory=list)


def begin(model: AE, *, lr: float, seed: int) -> State:
    """The state before the first step."""
    order = torch.Generator().manual_seed(seed)
    return State(
        optimizer=torch.optim.Adam(model.parameters(), lr=lr, fused=True),
        order=order,
        noise=torch.Generator().manual_seed(seed + 1),
        order_at_start=order.get_state(),
    )


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
    state: State | None = None,
) -> Iterator[EpochStats]:
    """Train model in place with Adam on recon + beta * kl, until epochs are done in all.

    x_train, x_test: uint8 [N, C, H, W]; scaled to [0, 1] a batch at a time, so the data stays a byte a pixel.
    state: where an earlier training stood; it is kept up to date.
    Raises ValueError for settings that cannot be trained with, and Diverged when the loss is no number.
    """
    budget = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed}
    for news in moments(model, x_train, x_test, beta=beta, state=state, **budget):  # type: ignore[arg-type]
        if isinstance(news, EpochStats):
            yield news


def moments(
    model: AE,
    x_train: Tensor,
    x_test: Tensor,
    *,
    beta: float,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
    state: State | None = None,
    every: int | None = None,
) -> Iterator[Moment | EpochStats]:
    """As train, with a Moment after every so many steps and after an epoch's last. Looking changes no number."""
    check_budget(n=len(x_train), beta=beta, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed)
    if not len(x_test):
        raise ValueError("There are no held-out images")
    state = begin(model, lr=lr, seed=seed) if state is None else state
    whole = good = weights_of(model)
    while state.epoch < epochs:
        batches = batches_of(state, len(x_train), batch_size)
        while state.step < len(batches):
            last = len(batches) if every is None else min(len(batches), state.step + every)
            advance(model, x_train, batches[state.step : last], state, beta=beta, good=good)
            if not is_sound(model, x_test[:GUARD_IMAGES]):
                raise diverged(model, good, state, what=f"what the model makes of images after step {state.step}")
            good = weights_of(model)
            images = min(state.step * batch_size, len(x_train))
            yield Moment(
                epoch=state.epoch + images / len(x_train),
                recon=state.recon / images,
                kl=state.kl / images,
                images=images,
                seconds=state.seconds,
            )
        stats = measure(model, x_test, state, n=len(x_train), beta=beta, seed=seed)
        if not all(map(math.isfinite, vars(stats).values())):
            raise diverged(model, whole, state, what=f"the loss on held-out images after step {state.step}")
        whole = good
        close_epoch(state, stats)
        yield stats


def batches_of(state: State, n: int, batch_size: int) -> tuple[Tensor, ...]:
    """The batches of the epoch under way, as indices; the same again when it is taken up in its middle."""
    state.order.set_state(state.order_at_start)
    return torch.randperm(n, generator=state.order).split(batch_size)


def advance(
    model: AE, x_train: Tensor, batches: tuple[Tensor, ...], state: State, *, beta: float, good: dict[str, Tensor]
) -> None:
    """One step of Adam for each batch of indices. Raises Diverged, with the good weights put back."""
    model.train()
    start = time.perf_counter()
    for batch in batches:
        x = to_unit(x_train.index_select(0, batch))
        logits, kl = model(x, generator=state.noise)
        loss = vae_loss(logits, x, kl, beta=beta)
        value, kl_value = loss.item(), kl.item()
        if not math.isfinite(value):
            raise diverged(model, good, state, what=f"the loss at step {state.step + 1}")
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state.optimizer.step()
        state.recon += (value - beta * kl_value) * len(x)
        state.kl += kl_value * len(x)
        state.step += 1
    state.seconds += time.perf_counter() - start


def measure(model: AE, x_test: Tensor, state: State, *, n: int, beta: float, seed: int) -> EpochStats:
    """What the epoch under way, with all its steps done, came to."""
    test_recon, test_kl = evaluate(model, x_test, seed=seed)
    recon, kl = state.recon / n, state.kl / n
    return EpochStats(
        epoch=state.epoch + 1,
        recon=recon,
        kl=kl,
        loss=recon + beta * kl,
        test_recon=test_recon,
        test_kl=test_kl,
        test_recon_mean_code=evaluate_mean_code(model, x_test),
        seconds=state.seconds,
    )


def close_epoch(state: State, stats: EpochStats) -> None:
    """Turn to the next epoch."""
    state.epoch, state.step, state.recon, state.kl, state.seconds = state.epoch + 1, 0, 0.0, 0.0, 0.0
    state.order_at_start = state.order.get_state()
    state.history.append(stats)


def weights_of(model: AE) -> dict[str, Tensor]:
    """A copy of the weights."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def is_sound(model: AE, x: Tensor) -> bool:
    """Whether the weights and what they make of a few images are finite numbers."""
    finite = all(bool(value.isfinite().all()) for value in model.state_dict().values())
    return finite and (len(x) == 0 or all(map(math.isfinite, evaluate(model, x))))


def diverged(model: AE, good: dict[str, Tensor], state: State, *, what: str) -> Diverged:
    """Put the good weights back; the error says what is no number, in which epoch, and what to try."""
    model.load_state_dict(good)
    lr = state.optimizer.param_groups[0]["lr"]
    return Diverged(
        f"The training diverged: {what} of epoch {state.epoch + 1} is no longer a number. "
        f"The last good weights are kept; try a learning rate below {lr:g}"
    )


@torch.no_grad()
def evaluate(model: AE, x: Tensor, *, seed: int = 0) -> tuple[float, float]:
    """recon and kl in nats on x (uint8 [N, C, H, W]), with z sampled from the posterior."""
    model.eval()
    noise = torch.Generator().manual_seed(seed)
    totals = torch.zeros(2, dtype=torch.float64)
    with one_thread():
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
    with one_thread():
        units = map(to_unit, x.split(EVAL_BATCH))
        parts = [recon_loss(model.logits(model.encode(unit)), unit).double() * len(unit) for unit in units]
    return (torch.stack(parts).sum() / len(x)).item()


def to_unit(x: Tensor) -> Tensor:
    """uint8 0..255 -> float32 in [0, 1]."""
    return x.float().div_(255.0)


def prepare(arch: str, hidden: tuple[int, ...], *, threads: int | None = None) -> None:
    """Set this process up to train: as many threads as leave the result the same to the last bit, unless given.

    With bfloat16 products the steps of a wide mlp give the same bits on any number of threads; conv layers and float32
    products do not.
    """
    free = arch == "mlp" and min(hidden) >= LARGE and half_products()
    torch.set_num_threads(threads or (os.cpu_count() or 1 if free else 1))
