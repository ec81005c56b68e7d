"""Make pretrained/: for each data set, an AE and a VAE at 2 and at 16 dimensions, and their atlases.

    python scripts/make_pretrained.py --root FOLDER_WITH_THE_FULL_SETS [--only NAME ...]

The two of a pair share architecture, data (all 60,000 images), epochs, batches, optimiser and seed. After training the
latent dimensions are numbered by activity and the weights rounded to float16; every figure in the card is of the model
after that, on all 10,000 test images.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.checkpoints import Card
    from explorer.data import Dataset
    from explorer.models import AE

HIDDEN, EPOCHS, BATCH_SIZE, LR, SEED = (512, 256), 30, 256, 1e-3, 0
CELLS = [(dataset, model, d) for dataset in ("mnist", "fashion-mnist") for d in (2, 16) for model in ("ae", "vae")]
# Fashion's pictures compress less; with 4,500 of them the first view stays under 6 MB over the wire.
HELD_OUT = {"mnist": 10_000, "fashion-mnist": 4_500}


def make(root: Path, dataset_name: str, model_name: str, latent_dim: int) -> str:
    """Train one model and write its folder; a line of its figures."""
    import numpy as np
    import torch

    from explorer import atlas, checkpoints, data
    from explorer.loaded import Model

    torch.set_num_threads(1)  # two models at a time, one core each
    name = f"{dataset_name}-{model_name}-{latent_dim}"
    dataset = data.load(dataset_name, root=root)
    module, history = train(name, dataset, model_name, latent_dim)
    card = save(name, dataset, model_name, module, history)
    shown = slice(0, HELD_OUT[dataset_name])
    made = atlas.build(
        Model(module.eval(), card),
        np.ascontiguousarray(dataset.x_test[shown]),
        dataset.y_test[shown],
        seed=SEED,
        order=np.arange(latent_dim),  # train() has numbered them so, by all test images
    )
    atlas.save(made, checkpoints.PRETRAINED / name, images_folder=checkpoints.PRETRAINED)
    return f"{name}: recon {card.test_recon:.2f} (sampled {card.test_recon_sampled:.2f}), KL {card.test_kl:.2f}"


def train(name: str, dataset: Dataset, model_name: str, latent_dim: int) -> tuple[AE, list[dict[str, Any]]]:
    """The trained model, its dimensions numbered by activity and its weights rounded to float16, and its history."""
    import torch

    from explorer import latent, models, training

    x_train, x_test = torch.from_numpy(dataset.x_train.copy()), torch.from_numpy(dataset.x_test.copy())
    module = models.build(
        model_name, seed=SEED, image_shape=dataset.image_shape, latent_dim=latent_dim, arch="mlp", hidden=HIDDEN
    )
    history = []
    for stats in training.train(module, x_train, x_test, epochs=EPOCHS, batch_size=BATCH_SIZE, lr=LR, seed=SEED):
        history.append(asdict(stats))
        print(f"{name} {stats.epoch}/{EPOCHS} recon {stats.test_recon:.2f} kl {stats.test_kl:.2f}", file=sys.stderr)

    with torch.no_grad():
        codes = module.encode(training.to_unit(x_test)).numpy()
    models.reorder(module, latent.by_activity(codes).tolist())
    models.round_to_half(module)
    return module, history


def save(name: str, dataset: Dataset, model_name: str, module: AE, history: list[dict[str, Any]]) -> Card:
    """Measure module on all test images and write its weights and card."""
    import torch

    from explorer import checkpoints, training

    x_test = torch.from_numpy(dataset.x_test.copy())
    test_recon_sampled, test_kl = training.evaluate(module, x_test, seed=SEED)
    return checkpoints.save(
        checkpoints.PRETRAINED / name,
        module,
        half=True,
        name=name,
        dataset=dataset.name,
        data_source=dataset.source,
        data_sha256=dataset.sha256,
        n_train=len(dataset.x_train),
        n_test=len(x_test),
        model=model_name,
        beta=1.0 if model_name == "vae" else 0.0,
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        lr=LR,
        seed=SEED,
        test_recon=training.evaluate_mean_code(module, x_test),
        test_recon_sampled=test_recon_sampled,
        test_kl=test_kl,
        history=tuple(history),
        versions=checkpoints.library_versions(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder with the full sets; default: the user's cache folder")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="names such as mnist-vae-2; default all eight")
    options = parser.parse_args()
    cells = [cell for cell in CELLS if not options.only or "{}-{}-{}".format(*cell) in options.only]
    with ProcessPoolExecutor(2) as pool:
        for line in pool.map(make, [options.root] * len(cells), *zip(*cells)):
            print(line)


if __name__ == "__main__":
    main()
