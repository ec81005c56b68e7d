"""Basic: the autoencoder of the first lesson, 784-64-784, which learns to copy clothes by their squared error.

The setting is that of TensorFlow's tutorial "Intro to Autoencoders": one layer of 64 ReLUs in, one layer with a sigmoid
out, Adam at 1e-3, batches of 32, mean squared error over pixels. PCA with as many components is its control: what the
best linear copy of that size comes to.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.data import Dataset
from explorer.labs.result import Result, Step
from explorer.models import round_to_half

LATENT_DIM, BATCH, LR = 64, 32, 1e-3
PUBLISHED_MSE = 0.0088  # validation, full Fashion-MNIST, 10 epochs
EVAL_BATCH = 2000


def build(pixels: int, *, seed: int) -> nn.Sequential:
    """x [N, pixels] -> x_hat [N, pixels] in [0, 1]. Weights as Keras starts them: Glorot's uniform, biases 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(pixels, LATENT_DIM), nn.ReLU(), nn.Linear(LATENT_DIM, pixels), nn.Sigmoid())
        glorot(model)
    return model


def glorot(model: nn.Module) -> None:
    """Start every layer with weights as Keras does (Glorot and Bengio 2010) and biases of 0."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


def unit(x: np.ndarray) -> Tensor:
    """uint8 [N, C, H, W] -> float32 in [0, 1]."""
    return torch.from_numpy(x).float() / 255


@torch.no_grad()
def mse(model: nn.Module, x: Tensor, target: Tensor) -> float:
    """The mean squared error over all pixels of the copies of x against target."""
    batches = zip(x.split(EVAL_BATCH), target.split(EVAL_BATCH))
    return float(sum(F.mse_loss(model(a), b, reduction="sum").double() for a, b in batches)) / target.numel()


def epochs_of(
    model: nn.Module, x: Tensor, target: Tensor, *, epochs: int, batch: int, seed: int, lr: float = LR
) -> Iterator[float]:
    """Train model in place to turn x into target by Adam on the squared error; yields each epoch's training error."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, eps=1e-7)  # Keras's epsilon
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(x), generator=order).split(batch):
            optimizer.zero_grad()
            loss = F.mse_loss(model(x[chosen]), target[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        yield total / len(x)


def pca_mse(x: np.ndarray, x_test: np.ndarray, components: int = LATENT_DIM) -> float:
    """The error over x_test of the best linear copy with so many numbers, fitted to x; [N, pixels] in [0, 1]."""
    mean = x.mean(axis=0, dtype=np.float64)
    centred = x - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)
    kept = vectors[:, -components:]
    left = x_test - mean
    return float(np.square(left - left @ kept @ kept.T).mean())


def weights_of(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().astype(np.float16) for name, value in model.state_dict().items()}


def run(dataset: Dataset, *, epochs: int = 10, seed: int = 0) -> Iterator[Step | Result]:
    """Train it on dataset. Arrays: "0.weight" [64, pixels], "0.bias", "2.weight" [pixels, 64], "2.bias", float16.

    The figures are those of the weights as they are kept.
    """
    x, x_test = (unit(part).flatten(1) for part in (dataset.x_train, dataset.x_test))
    model = build(x.shape[1], seed=seed)
    history = []
    for epoch, train_mse in enumerate(epochs_of(model, x, x, epochs=epochs, batch=BATCH, seed=seed), start=1):
        history.append({"epoch": epoch, "mse": train_mse, "val_mse": mse(model, x_test, x_test)})
        yield Step(epoch, epochs, f"epoch {epoch}", figures=history[-1], arrays=weights_of(model))
    round_to_half(model)
    record = {
        **dataset.origin,
        "epochs": epochs,
        "seed": seed,
        "batch_size": BATCH,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "history": history,
        "val_mse": mse(model, x_test, x_test),
        "pca_mse": pca_mse(x.numpy(), x_test.numpy()),
        "mean_mse": float((x_test - x.mean(0)).square().mean()),
        "published_mse": PUBLISHED_MSE,
    }
    yield Result(record, weights_of(model))
