"""Make pretrained/labs/: what the labs show before anything is computed, and the tables of docs/labs.md.

    python scripts/make_labs.py --root FOLDER_WITH_THE_FULL_SETS [LAB ...]

Basic and denoise are trained on the full set, as the published figures are.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from explorer import data
from explorer.catalogue import LABS
from explorer.checkpoints import PRETRAINED
from explorer.labs import anomalies, basic, denoise, hashing, projections
from explorer.labs.result import Result, Step, save

FOLDER = PRETRAINED / LABS
DOCUMENT = Path(__file__).parents[1] / "docs" / "labs.md"
News = Iterator[Step | Result]
Records = dict[str, dict[str, Any]]


def makers(root: Path | None) -> dict[str, Callable[[], News]]:
    """By name of the result, what makes it."""
    beats, digits = data.load_ecg(), data.load_subset("mnist")
    return {
        "basic": lambda: basic.run(data.load("fashion-mnist", root=root)),
        "denoise": lambda: denoise.run(data.load("fashion-mnist", root=root)),
        "heartbeats": lambda: anomalies.run_ecg(beats.series, beats.labels),
        **{f"odd-{odd}": functools.partial(anomalies.run_images, digits, odd=odd, shown=8) for odd in range(10)},
        "hashing": lambda: hashing.run(digits),
        **{f"projections-{name}": functools.partial(projections.named_grid, name) for name in data.PUBLISHED},
    }


def make(name: str, news: News) -> None:
    with tqdm(desc=name) as bar:
        for one in news:
            if isinstance(one, Result):
                save(one, FOLDER, name)
            else:
                bar.total, bar.n = one.total, one.done
                bar.set_postfix_str(one.text)


# --- docs/labs.md -----------------------------------------------------------------------------------------------------


def renewed(text: str) -> str:
    """docs/labs.md with its tables as they should be."""
    records = {path.stem: json.loads(path.read_bytes()) for path in FOLDER.glob("*.json")}
    for name, table in TABLES.items():
        start, end = f"<!-- {name}: written by scripts/make_labs.py -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = text.partition(start)
        text = f"{before}{start}{lines_of(table(records))}{end}{rest.partition(end)[2]}"
    return text


def lines_of(rows: list[list[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |\n" for row in rows]
    return f"{head}{'|---' * len(rows[0])}|\n{''.join(body)}"


def trained(records: Records) -> list[list[str]]:
    rows = [["", "published", "ours", "control"]]
    basic, denoise = records["basic"], records["denoise"]
    rows.append(
        ["basic", f"{basic['published_mse']:.4f}", f"{basic['val_mse']:.5f}", f"PCA of 64: {basic['pca_mse']:.5f}"]
    )
    rows.append(
        [
            "denoise",
            f"{denoise['published_mse']:.4f}",
            f"{denoise['val_mse']:.5f}",
            f"noisy: {denoise['noisy_mse']:.5f}",
        ]
    )
    for kind, errors in denoise["others"].items():
        if kind != denoise["noise"]:
            row = [f"the same on {kind}, 0.2", "", f"{errors['after']:.5f}", f"noisy: {errors['before']:.5f}"]
            rows.append(row)
    return rows


def heartbeats(records: Records) -> list[list[str]]:
    found = records["heartbeats"]
    names = {"ae": "AE", "vae": "VAE", "vae_elbo": "VAE, −ELBO", "median": "control: median"}
    figures = ("accuracy", "precision_normal", "recall_normal", "precision_anomaly", "recall_anomaly", "auc")
    published = [f"{found['published'].get(name, ''):.3f}" if name in found["published"] else "" for name in figures]
    rows = [["", *(name.replace("_", ", ") for name in figures)], ["published, 5,000 series", *published]]
    for key, name in names.items():
        cells = [found["figures"][key][figure] for figure in figures]
        rows.append([name, *(f"{one['mean']:.3f} ({one['low']:.2f} to {one['high']:.2f})" for one in cells)])
    return rows


def odd(records: Records) -> list[list[str]]:
    found = [records[f"odd-{digit}"]["auc"] for digit in range(10)]
    names = {"ae": "AE", "vae": "VAE", "vae_elbo": "VAE, −ELBO", "ink": "control: ink"}
    head = ["never seen", *map(str, range(10))]
    return [head, *([name, *(f"{one[key]:.2f}" for one in found)] for key, name in names.items())]


def hashed(records: Records) -> list[list[str]]:
    found = records["hashing"]
    names = {"ae": "AE", "itq": "ITQ", "pca": "PCA-sign", "lsh": "LSH", "random": "control: random codes"}
    rows = [["mAP / precision of 100 / recall@10", *(f"{bits} bits" for bits in found["bits"])]]
    for key, name in names.items():
        cells = [found["methods"][key][str(bits)] for bits in found["bits"]]
        keys = ("map", "precision_at_100", "recall_at_10")
        rows.append([name, *(" / ".join(f"{one[figure]:.2f}" for figure in keys) for one in cells)])
    exact = found["exact"]
    return [*rows, ["exact, by pixels", f"{exact['map']:.2f} / {exact['precision_at_100']:.2f} / 1", *[""] * 3]]


def projected(records: Records) -> list[list[str]]:
    keys = {
        "trust": "trust",
        "continuity": "continuity",
        "accuracy": "classes",
        "centroids": "distances",
        "spreads": "sizes",
    }
    rows = [
        [
            "data",
            "space",
            *(f"PCA {name}" for name in keys.values()),
            *(f"UMAP {name}" for name in keys.values()),
            "another seed",
        ]
    ]
    for name in data.PUBLISHED:
        found = records[f"projections-{name}"]
        for space in found["spaces"]:
            umap = found["umap"][space][found["neighbours"].index(15)][found["min_dist"].index(0.1)]
            flat = [f"{found['pca'][space][key]:.2f}" for key in keys]
            curved = [f"{sum(umap[key]) / len(umap[key]):.2f}" for key in keys]
            rows.append([name, space, *flat, *curved, f"{umap['agreement']:.2f}"])
    return rows


TABLES = {"labs": trained, "heartbeats": heartbeats, "odd": odd, "hashing": hashed, "projections": projected}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder with the full sets; default: the user's cache folder")
    parser.add_argument("labs", nargs="*", metavar="LAB", help="which; default: all")
    options = parser.parse_args()
    known = makers(options.root)
    for name in options.labs or known:
        make(name, known[name]())
    DOCUMENT.write_text(renewed(DOCUMENT.read_text()))


if __name__ == "__main__":
    main()
