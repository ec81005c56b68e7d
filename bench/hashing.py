"""How long a search by code and re-ranking takes, beside exact search over all images in the same run.

Run: python bench/hashing.py [--root FOLDER]

With --root over the 60,000 training images of the full MNIST below FOLDER, else over the 10,000 that ship with the
project. Codes have 32 bits; they are ITQ's, quick to fit, as a code's origin changes no time. One thread. Hash: the
query's code, the 500 nearest by Hamming distance, their ten nearest by Euclidean distance. Exact: one product of all
images with the query, lengths reckoned before, and the ten smallest.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from common import Row, p, show, show_machine
from threadpoolctl import threadpool_limits

from explorer import data
from explorer.labs import hashing

QUERIES, GOAL_MS, SIZE = 500, 5, 32


def measured(dataset: data.Dataset) -> tuple[list[float], list[float], float]:
    """Milliseconds of each query by code and exactly, and the share of the exact ten that the first finds."""
    x, queries = (
        part.reshape(len(part), -1).astype(np.float32) / 255 for part in (dataset.x_train, dataset.x_test[:QUERIES])
    )
    mean, squares = x.mean(axis=0, dtype=np.float64), np.square(x).sum(axis=1)
    planes = hashing.itq(x, mean, hashing.principal(np.cov(x.T), bits=SIZE), seed=0)
    codes = hashing.pack(planes.bits(x))
    hashed, exact, found = [], [], 0
    for query in queries:
        start = time.perf_counter()
        ours = hashing.search(query, hashing.pack(planes.bits(query[None]))[0], codes, x)
        between = time.perf_counter()
        whole = hashing.exact(query, x, squares=squares)
        exact.append(1000 * (time.perf_counter() - between))
        hashed.append(1000 * (between - start))
        found += len(np.intersect1d(ours, whole))
    return hashed, exact, found / (hashing.NEIGHBOURS * len(queries))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, help="folder with the full MNIST; without it the embedded images")
    root = parser.parse_args().root
    show_machine()
    dataset = data.load("mnist", root=root) if root else data.load_subset("mnist")
    with threadpool_limits(1):
        hashed, exact, recall = measured(dataset)
    rows = [
        Row("query by code and re-ranking, median", p(hashed, 50), "ms", GOAL_MS, p(exact, 50)),
        Row("query by code and re-ranking, p95", p(hashed, 95), "ms", GOAL_MS, p(exact, 95)),
    ]
    show(f"Search among {len(dataset.x_train):,} images ({dataset.source}), {SIZE} bits; peer: exact", rows)
    print(f"  Of the exact ten it finds {recall:.1%}")


if __name__ == "__main__":
    main()
