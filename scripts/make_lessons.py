"""Make pretrained/lessons/: the small models that the scenes of Learn show beside the shipped ones.

    python scripts/make_lessons.py --root FOLDER_WITH_THE_FULL_SETS

- mnist-ae-1, -2, -8, -32: AEs that differ in latent_dim alone, the network and budget of the beta dial.
- twelve: a deep AE with one latent dimension that saw twelve images, and those only, until it knew them by heart.
- pixels.safetensors: the best few pixels of an image, and the best few features that are sums of pixels (PCA).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from explorer import atlas, cells, checkpoints, data, models, sweep, training
from explorer.catalogue import LESSONS
from explorer.checkpoints import PRETRAINED
from explorer.files import sha256, write_record, write_whole
from explorer.settings import Settings

SIZES = (1, 2, 8, 32)
BASE = Settings(dataset="mnist", hidden=(256, 128), epochs=10, batch_size=128, beta=0.0)
TWELVE, STEPS, LR = 12, 3000, 1e-3
KEPT = 32


def make_sizes(folder: Path, root: Path | None) -> None:
    """An AE for each number of latent dimensions."""
    for latent_dim in tqdm(SIZES, unit="model"):
        settings = Settings(**{**vars(BASE), "latent_dim": latent_dim})
        sweep.train(cells.Cell("ae", settings), folder / f"mnist-ae-{latent_dim}", root)


def make_twelve(folder: Path) -> None:
    """An AE of twelve held-out images, one latent dimension, trained on nothing else."""
    import torch

    dataset = data.load_subset("mnist")
    images, _ = atlas.held_out("mnist")
    x, x_test = (training.to_unit(torch.from_numpy(part)) for part in (images[:TWELVE], images[TWELVE:]))
    module = models.build("ae", seed=0, image_shape=(1, 28, 28), latent_dim=1, arch="mlp", hidden=(512, 256, 128))
    optimiser = torch.optim.Adam(module.parameters(), lr=LR)
    for _ in tqdm(range(STEPS), unit="step"):
        optimiser.zero_grad()
        recon = models.recon_loss(module.logits(module.encode(x)), x)
        recon.backward()
        optimiser.step()
    models.round_to_half(module)
    with torch.no_grad():
        parts = (x, x_test)
        copied, test_recon = (float(models.recon_loss(module.logits(module.encode(part)), part)) for part in parts)
    print(f"twelve images {copied:.1f} nats, others {test_recon:.1f}")
    checkpoints.save(
        folder,
        module.eval(),
        half=True,
        name=folder.name,
        model="ae",
        test_recon=test_recon,
        test_recon_sampled=test_recon,
        test_kl=0.0,
        history=({"epoch": STEPS, "recon": copied},),
        versions=checkpoints.library_versions(),
        epochs=STEPS,
        batch_size=TWELVE,
        lr=LR,
        seed=0,
        beta=0.0,
        **{**dataset.origin, "n_train": TWELVE, "n_test": len(x_test)},
    )


def make_pixels(folder: Path) -> None:
    """mean [784]; components [32, 784] of PCA; pixels [32], each the one that tells most beside those before it.

    For each size k guess_k [k, 784]: what each of the first k pixels, less its mean, adds to all of them.
    """
    x = data.load_subset("mnist").x_train.reshape(-1, 784).astype(np.float64) / 255
    mean = x.mean(axis=0)
    centred = x - mean
    covariance = centred.T @ centred / len(x)
    _, vectors = np.linalg.eigh(covariance)
    pixels = best_pixels(covariance)
    guesses = {}
    for k in SIZES:
        chosen = pixels[:k]
        guesses[f"guess_{k}"] = np.linalg.solve(covariance[np.ix_(chosen, chosen)], covariance[chosen])
    arrays = {
        "mean": mean.astype(np.float32),
        "components": vectors.T[::-1][:KEPT].astype(np.float32),
        "pixels": np.array(pixels, np.int32),
        **{name: guess.astype(np.float32) for name, guess in guesses.items()},
    }
    content = atlas.pack(arrays)
    write_whole(folder / "pixels.safetensors", content)
    write_record(folder / "pixels.json", {"format": 1, "sha256": sha256(content)})


def best_pixels(covariance: np.ndarray) -> list[int]:
    """One after another, the pixel from which, with those before it, most of the others' variance can be told."""
    left, chosen = covariance.copy(), []
    for _ in range(KEPT):
        told = np.where(np.diag(left) > 1e-9, (left**2).sum(axis=0) / np.maximum(np.diag(left), 1e-9), 0)
        best = int(told.argmax())
        chosen.append(best)
        left -= np.outer(left[:, best], left[best]) / left[best, best]
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder with the full sets; default: the user's cache folder")
    options = parser.parse_args()
    folder = PRETRAINED / LESSONS
    make_pixels(folder)
    make_twelve(folder / "twelve")
    make_sizes(folder, options.root)


if __name__ == "__main__":
    main()
