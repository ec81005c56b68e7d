"""pythae: its BaseTrainer and VAE with an encoder and a decoder of our sizes, which it lets one bring along.

Its callbacks tell the time: an epoch runs from the beginning of the trainer's train_step to its last batch, with the
progress bar it always shows, and without the copy it makes of its best model.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

import numpy as np
import torch
from contest import (
    BATCH,
    HIDDEN,
    LATENT,
    LEARNING_RATE,
    PIXELS,
    SEED,
    TEST_BATCH,
    options,
    report_end,
    report_epoch,
    unit_images,
)
from pythae.data.datasets import BaseDataset  # type: ignore[import-not-found]
from pythae.models import VAE, VAEConfig  # type: ignore[import-not-found]
from pythae.models.base.base_utils import ModelOutput  # type: ignore[import-not-found]
from pythae.models.nn import BaseDecoder, BaseEncoder  # type: ignore[import-not-found]
from pythae.trainers import BaseTrainer, BaseTrainerConfig  # type: ignore[import-not-found]
from pythae.trainers.training_callbacks import TrainingCallback  # type: ignore[import-not-found]
from torch import Tensor, nn


class Encoder(BaseEncoder):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU())
        self.mu, self.logvar = nn.Linear(HIDDEN, LATENT), nn.Linear(HIDDEN, LATENT)

    def forward(self, x: Tensor) -> Any:
        h = self.body(x)
        return ModelOutput(embedding=self.mu(h), log_covariance=self.logvar(h))


class Decoder(BaseDecoder):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS), nn.Sigmoid())

    def forward(self, z: Tensor) -> Any:
        return ModelOutput(reconstruction=self.body(z))


class Clock(TrainingCallback):  # type: ignore[misc]
    """on_train_step_begin comes once an epoch, on_train_step_end after each batch."""

    epoch = 0

    def on_train_step_begin(self, training_config: object, **_: object) -> None:
        self.start = time.perf_counter()

    def on_train_step_end(self, training_config: object, **_: object) -> None:
        self.end = time.perf_counter()

    def on_epoch_end(self, training_config: object, **_: object) -> None:
        self.epoch += 1
        report_epoch(self.epoch, self.end - self.start)


def dataset(x: np.ndarray) -> Any:
    return BaseDataset(torch.from_numpy(x), torch.zeros(len(x)))


@torch.no_grad()
def test(model: Any, x: np.ndarray) -> float:
    model.eval()
    parts = [model({"data": batch}).loss.item() * len(batch) for batch in torch.from_numpy(x).split(TEST_BATCH)]
    return sum(parts) / len(x)


def main() -> None:
    arguments = options().parse_args()
    torch.manual_seed(SEED)
    x_train, x_test = unit_images(arguments.root)
    architecture = VAEConfig(input_dim=(PIXELS,), latent_dim=LATENT, reconstruction_loss="bce")
    model = VAE(architecture, encoder=Encoder(), decoder=Decoder())
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=arguments.epochs,
            learning_rate=LEARNING_RATE,
            per_device_train_batch_size=BATCH,
            optimizer_cls="Adam",
            seed=SEED,
        )
        BaseTrainer(model, dataset(x_train), training_config=config, callbacks=[Clock()]).train()
    report_end(test(model, x_test), "pythae", "torch")


if __name__ == "__main__":
    main()
