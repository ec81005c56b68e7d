"""Make pretrained/frontier/ and pretrained/dial/: what beta trades, from a sweep over it, and models to see it on.

    python scripts/make_frontier.py --root FOLDER_WITH_THE_FULL_SETS --work FOLDER

The cells are kept in --work, where a sweep that was broken off goes on. 10 betas from 0 to collapse and an AE, at 2 and
16 dimensions, 3 seeds each; a network half as wide as the shipped models', so that its models are small enough to ship.
The dial has the models of the first seed, each with its card and atlas (float16 decoder, 2,000 images), without the
encoder.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from explorer import atlas, cells, data, frontier, sweep
from explorer.catalogue import DIAL
from explorer.checkpoints import CARD, PRETRAINED
from explorer.files import write_whole
from explorer.loaded import Model
from explorer.settings import Settings

BETAS = (0.0, 0.01, 0.1, 0.3, 1.0, 2.0, 4.0, 10.0, 20.0, 50.0)
BASE = Settings(dataset="mnist", hidden=(256, 128), epochs=10, batch_size=128)
SAMPLES, SHOWN = 2000, 2000


def make_dial(grid: Sequence[cells.Cell], work: Path) -> None:
    """An atlas and a card for each model of the first seed."""
    images, labels = atlas.held_out(BASE.dataset)
    for cell in tqdm([cell for cell in grid if cell.settings.seed == BASE.seed], unit="atlas"):
        folder = PRETRAINED / DIAL / cell.name
        model = Model.load(work / cell.name)
        order = np.arange(cell.settings.latent_dim)  # the sweep has numbered them by activity
        made = atlas.build(model, images[:SHOWN], labels[:SHOWN], order=order)
        atlas.save(made, folder, images_folder=folder.parent)
        write_whole(folder / CARD, (work / cell.name / CARD).read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder with the full sets; default: the user's cache folder")
    parser.add_argument("--work", type=Path, required=True, help="folder for the cells")
    options = parser.parse_args()
    grid = cells.grid(BASE, betas=BETAS, latent_dims=(2, 16), seeds=3)
    datasets = {BASE.dataset: data.load(BASE.dataset, root=options.root)}
    with sweep.Processes(datasets, samples=SAMPLES) as backend:
        records = sweep.run(sweep.make_plan(grid, datasets, samples=SAMPLES), options.work, backend)
        found = frontier.collect(tqdm(records, total=len(grid), unit="cell"))
    frontier.save(PRETRAINED / "frontier" / f"{BASE.dataset}.json", found)
    make_dial(grid, options.work)


if __name__ == "__main__":
    main()
