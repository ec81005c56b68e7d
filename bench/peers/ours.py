"""Our contender: explorer.training.train, called as a library. --float32 as where bfloat16 products gain nothing."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import torch
from contest import BATCH, HIDDEN, LATENT, LEARNING_RATE, SEED, images, options, report_end, report_epoch

from explorer import models, training


def ours(root: Path, epochs: int) -> float:
    """Train, reporting each epoch. Returns the test loss."""
    x_train, x_test = (torch.from_numpy(x)[:, None] for x in images(root))
    model = models.build("vae", seed=SEED, image_shape=(1, 28, 28), latent_dim=LATENT, arch="mlp", hidden=(HIDDEN,))
    training.prepare("mlp", (HIDDEN,))
    loss = float("nan")
    for stats in training.train(
        model, x_train, x_test, beta=1.0, epochs=epochs, batch_size=BATCH, lr=LEARNING_RATE, seed=SEED
    ):
        report_epoch(stats.epoch, stats.seconds)
        loss = stats.test_recon + stats.test_kl
    return loss


def main() -> None:
    parser = options()
    parser.add_argument("--float32", action="store_true")
    arguments = parser.parse_args()
    half = models.half_products() and not arguments.float32
    with patch.object(models, "half_products", lambda: half), patch.object(training, "half_products", lambda: half):
        loss = ours(arguments.root, arguments.epochs)
    report_end(loss, "torch", products="bfloat16" if half else "float32")


if __name__ == "__main__":
    main()
