"""What all contenders of bench/training.py share: the task, its images, the lines they print. Needs numpy alone.

The task: a VAE 784-400-20-400-784 with ReLU, on all of MNIST in grey values. The loss is the binary cross-entropy
summed over pixels plus the KL to N(0, I) summed over dimensions, mean over the batch; Adam, 1e-3, batches of 128 and
what is left of them. Each trains with one z an image, then gives its loss on the test images, z sampled there too.
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

PIXELS, HIDDEN, LATENT = 784, 400, 20
BATCH, TEST_BATCH, LEARNING_RATE = 128, 2000, 1e-3
SEED = 0
HEADER_BYTES = 16


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    return parser


def images(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's training and test images, uint8 [N, 28, 28], from the IDX files below root."""
    train, test = (
        np.fromfile(root / "MNIST" / "raw" / file, np.uint8, offset=HEADER_BYTES).reshape(-1, 28, 28)
        for file in ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte")
    )
    return train, test


def unit_images(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """The same as float32 [N, 784] in [0, 1]."""
    train, test = (x.reshape(-1, PIXELS).astype(np.float32) / 255 for x in images(root))
    return train, test


def report_epoch(epoch: int, seconds: float) -> None:
    """Print one epoch's line. seconds: training alone."""
    print(json.dumps({"epoch": epoch, "seconds": seconds}), flush=True)


def report_end(test_loss: float, *packages: str, products: str = "float32") -> None:
    """Print the last line: nats a test image, the packages that did the work, what their large products are made in."""
    made_with = ", ".join([*(f"{name} {version(name)}" for name in packages), f"{products} products"])
    print(json.dumps({"test_loss": test_loss, "made_with": made_with}), flush=True)
