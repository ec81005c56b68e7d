"""The VAE that pytorch/examples has under vae/main.py, in our own words: its network, its loader, its training loop.

As people run it: torchvision's MNIST with ToTensor behind a DataLoader without workers (its setting for a CPU),
the loss read after every step. Left out are its log lines and pictures; the loss is divided by the batch.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
import torch.nn.functional as F
from contest import BATCH, HIDDEN, LATENT, LEARNING_RATE, PIXELS, SEED, TEST_BATCH, options, report_end, report_epoch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


class VAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(PIXELS, HIDDEN)
        self.mu, self.logvar = nn.Linear(HIDDEN, LATENT), nn.Linear(HIDDEN, LATENT)
        self.widen = nn.Linear(LATENT, HIDDEN)
        self.pixels = nn.Linear(HIDDEN, PIXELS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = F.relu(self.hidden(x.view(-1, PIXELS)))
        mu, logvar = self.mu(h), self.logvar(h)
        std = torch.exp(0.5 * logvar)
        z = mu + torch.randn_like(std) * std
        return torch.sigmoid(self.pixels(F.relu(self.widen(z)))), mu, logvar


def loss_of(model: VAE, x: Tensor) -> Tensor:
    x_hat, mu, logvar = model(x)
    recon = F.binary_cross_entropy(x_hat, x.view(-1, PIXELS), reduction="sum")
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (recon + kl) / len(x)


def train_epoch(model: VAE, loader: DataLoader, optimizer: torch.optim.Optimizer) -> float:
    """Returns the sum of all images' losses."""
    model.train()
    total = 0.0
    for x, _ in loader:
        optimizer.zero_grad()
        loss = loss_of(model, x)
        loss.backward()
        total += loss.item() * len(x)
        optimizer.step()
    return total


@torch.no_grad()
def test(model: VAE, loader: DataLoader) -> float:
    model.eval()
    losses, counts = zip(*((loss_of(model, x).item() * len(x), len(x)) for x, _ in loader))
    return float(sum(losses) / sum(counts))


def mnist(root: Path) -> list[Dataset]:
    """The training and the test set, as torchvision gives them."""
    # A CPU-only torch lacks two operators that a CUDA-linked torchvision looks for when it is imported.
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{operator}", signature)
    from torchvision import datasets, transforms

    return [datasets.MNIST(root, train=train, transform=transforms.ToTensor()) for train in (True, False)]


def main() -> None:
    arguments = options().parse_args()
    torch.manual_seed(SEED)
    train_set, test_set = mnist(arguments.root)
    loader = DataLoader(train_set, batch_size=BATCH, shuffle=True)
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    for epoch in range(1, arguments.epochs + 1):
        start = time.perf_counter()
        train_epoch(model, loader, optimizer)
        report_epoch(epoch, time.perf_counter() - start)
    report_end(test(model, DataLoader(test_set, batch_size=TEST_BATCH)), "torch", "torchvision")


if __name__ == "__main__":
    main()
