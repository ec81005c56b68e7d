"""Make pretrained/frontier/: what beta trades, from a sweep over it.

    python scripts/make_frontier.py --root FOLDER_WITH_THE_FULL_SETS --work FOLDER

The cells are kept in --work, where a sweep that was broken off goes on. 10 betas from 0 to collapse and an AE, at 2 and
16 dimensions, 3 seeds each; a network half as wide as the shipped models', so that its models are small enough to ship.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from explorer import frontier, sweep
from explorer.checkpoints import PRETRAINED
from explorer.settings import Settings

BETAS = (0.0, 0.01, 0.1, 0.3, 1.0, 2.0, 4.0, 10.0, 20.0, 50.0)
BASE = Settings(dataset="mnist", hidden=(256, 128), epochs=10, batch_size=128)
SAMPLES = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder with the full sets; default: the user's cache folder")
    parser.add_argument("--work", type=Path, required=True, help="folder for the cells")
    options = parser.parse_args()
    cells = sweep.grid(BASE, betas=BETAS, latent_dims=(2, 16), seeds=3)
    records = sweep.run(cells, options.work, root=options.root, samples=SAMPLES, at_once=sweep.cores())
    found = frontier.collect(tqdm(records, total=len(cells), unit="cell"))
    frontier.save(PRETRAINED / "frontier" / f"{BASE.dataset}.json", found)


if __name__ == "__main__":
    main()
