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
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.settings import Settings

if TYPE_CHECKING:
    from explorer.training import EpochStats

HIDDEN, EPOCHS, BATCH_SIZE, LR = (512, 256), 30, 256, 1e-3
CELLS = [(dataset, model, d) for dataset in ("mnist", "fashion-mnist") for d in (2, 16) for model in ("ae", "vae")]
# Fashion's pictures compress less; with 4,500 of them the first view stays under 6 MB over the wire.
HELD_OUT = {"mnist": 10_000, "fashion-mnist": 4_500}


def make(root: Path, dataset_name: str, model_name: str, latent_dim: int) -> str:
    """Train one model and write its folder; a line of its figures."""
    import numpy as np

    from explorer import atlas, cells, checkpoints, sweep
    from explorer.loaded import Model

    sweep.one_thread()  # two models at a time, one core each
    name = f"{dataset_name}-{model_name}-{latent_dim}"
    folder = checkpoints.PRETRAINED / name
    settings = Settings(dataset_name, hidden=HIDDEN, latent_dim=latent_dim, epochs=EPOCHS, batch_size=BATCH_SIZE, lr=LR)

    def tell(stats: EpochStats) -> None:
        print(f"{name} {stats.epoch}/{EPOCHS} recon {stats.test_recon:.2f} kl {stats.test_kl:.2f}", file=sys.stderr)

    card = sweep.train(cells.Cell(model_name, settings), folder, root, tell=tell)
    dataset, shown = sweep.dataset_of(dataset_name, root), slice(0, HELD_OUT[dataset_name])
    made = atlas.build(
        Model.load(folder),
        np.ascontiguousarray(dataset.x_test[shown]),
        dataset.y_test[shown],
        seed=settings.seed,
        order=np.arange(latent_dim),  # sweep.train has numbered them so, by all test images
    )
    atlas.save(made, folder, images_folder=checkpoints.PRETRAINED)
    return f"{name}: recon {card.test_recon:.2f} (sampled {card.test_recon_sampled:.2f}), KL {card.test_kl:.2f}"


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
