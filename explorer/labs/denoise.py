"""Denoise: a small convolutional network that is shown noisy clothes and learns to draw the clean ones.

The setting is that of TensorFlow's tutorial "Intro to Autoencoders": filters of 3 by 3, 16 and then 8 channels, each
halving the side, back the same way, Gaussian noise of standard deviation 0.2 cut off at 0 and 1, mean squared error
against the clean image, Adam at 1e-3, batches of 32. Vincent et al. 2008 call it a denoising autoencoder.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from explorer.data import Dataset
from explorer.labs.basic import epochs_of, glorot, mse, unit, weights_of
from explorer.labs.orders import NOISES
from explorer.labs.result import Result, Step
from explorer.models import round_to_half

BATCH = 32
PUBLISHED_MSE = 0.0076  # validation, full Fashion-MNIST, 10 epochs, noise 0.2

LEVEL = 0.2


def build(*, seed: int) -> nn.Sequential:
    """x [N, 1, H, W] -> x_hat of the same shape in [0, 1], for sides that can be halved twice."""

    def up(a: int, b: int) -> nn.Module:
        return nn.ConvTranspose2d(a, b, 3, stride=2, padding=1, output_padding=1)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(16, 8, 3, stride=2, padding=1), nn.ReLU()),
            *(up(8, 8), nn.ReLU()),
            *(up(8, 16), nn.ReLU()),
            *(nn.Conv2d(16, 1, 3, padding=1), nn.Sigmoid()),
        )
        glorot(model)
    return model


def layers() -> list[dict[str, object]]:
    """The network for a reader without torch (stage/decoder.js, stage/classifier.js)."""
    up = {"stride": 2, "padding": 1, "output_padding": 1}
    learned = [
        ("conv", 0, {"stride": 2}),
        ("conv", 2, {"stride": 2}),
        ("conv_transpose", 4, up),
        ("conv_transpose", 6, up),
    ]
    found: list[dict[str, object]] = []
    for kind, index, more in learned:
        found += [{"kind": kind, "weight": f"{index}.weight", "bias": f"{index}.bias", **more}, {"kind": "relu"}]
    return [*found, {"kind": "conv", "weight": "8.weight", "bias": "8.bias"}, {"kind": "sigmoid"}]


def add_noise(x: Tensor, *, noise: str, level: float, seed: int) -> Tensor:
    """Noisy x [N, 1, H, W] in [0, 1].

    gaussian: level is the standard deviation, the sum cut off at 0 and 1. salt and pepper: the share of pixels that are
    set to 0 or 1. occlusion: the side of a black square at a random place, as a share of the image's side.
    """
    made = torch.Generator().manual_seed(seed)
    if noise == "gaussian":
        return (x + level * torch.randn(x.shape, generator=made)).clamp(0, 1)
    if noise == "salt and pepper":
        hit, white = torch.rand(x.shape, generator=made) < level, torch.rand(x.shape, generator=made) < 0.5
        return torch.where(hit, white.float(), x)
    side, (height, width) = round(level * x.shape[-1]), x.shape[-2:]
    top = torch.randint(height - side + 1, (len(x), 1, 1, 1), generator=made)
    left = torch.randint(width - side + 1, (len(x), 1, 1, 1), generator=made)
    row, column = torch.arange(height)[:, None], torch.arange(width)
    covered = (row >= top) & (row < top + side) & (column >= left) & (column < left + side)
    return x.masked_fill(covered, 0)


def run(
    dataset: Dataset, *, noise: str = "gaussian", level: float = LEVEL, epochs: int = 10, seed: int = 0
) -> Iterator[Step | Result]:
    """Train it on dataset with one kind of noise. Arrays: weights by the names in layers(), float16.

    The noise of an image is drawn once, before the training, as the tutorial does. The figures are those of the weights
    as they are kept; errors are against the clean image. noisy_mse: of the noisy image itself, the control.
    """
    x, x_test = unit(dataset.x_train), unit(dataset.x_test)
    noisy, noisy_test = (add_noise(part, noise=noise, level=level, seed=seed + i) for i, part in enumerate((x, x_test)))
    model = build(seed=seed)
    history = []
    for epoch, train_mse in enumerate(epochs_of(model, noisy, x, epochs=epochs, batch=BATCH, seed=seed), start=1):
        history.append({"epoch": epoch, "mse": train_mse, "val_mse": mse(model, noisy_test, x_test)})
        yield Step(epoch, epochs, f"epoch {epoch}", figures=history[-1], arrays=weights_of(model))
    round_to_half(model)
    others = {kind: add_noise(x_test, noise=kind, level=LEVEL, seed=seed + 1) for kind in NOISES}
    record = {
        **dataset.origin,
        "noise": noise,
        "level": level,
        "epochs": epochs,
        "seed": seed,
        "batch_size": BATCH,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "layers": layers(),
        "history": history,
        "val_mse": mse(model, noisy_test, x_test),
        "noisy_mse": float((noisy_test - x_test).square().mean()),
        "clean_mse": mse(model, x_test, x_test),
        "others": {
            kind: {"before": float((given - x_test).square().mean()), "after": mse(model, given, x_test)}
            for kind, given in others.items()
        },
        "published_mse": PUBLISHED_MSE,
    }
    yield Result(record, weights_of(model))
