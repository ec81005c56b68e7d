"""A lab's run in a worker process: loads what it needs, passes on its news, keeps its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from explorer import atlas, data
from explorer.files import write_whole
from explorer.labs.orders import GIVEN
from explorer.labs.result import RESULT, Result, Step, save

Say = Callable[..., None]
News = Iterator[Step | Result]


def basic(folder: Path, *, dataset: str, full: bool, **settings: Any) -> News:
    from explorer.labs import basic

    return basic.run(images(dataset, full), **settings)


def denoise(folder: Path, *, dataset: str, full: bool, **settings: Any) -> News:
    from explorer.labs import denoise

    return denoise.run(images(dataset, full), **settings)


def heartbeats(folder: Path, **settings: Any) -> News:
    from explorer.labs import anomalies

    found = data.load_ecg()
    if len(found.series) == anomalies.PUBLISHED_SERIES:
        settings = {**settings, **anomalies.PUBLISHED_BUDGET}
    return anomalies.run_ecg(found.series, found.labels, **settings)


def odd_one_out(folder: Path, *, dataset: str, **settings: Any) -> News:
    from explorer.labs import anomalies

    return anomalies.run_images(images(dataset, full=False), **settings)


def hashing(folder: Path, *, dataset: str, full: bool, **settings: Any) -> News:
    from explorer.labs import hashing

    return hashing.run(images(dataset, full), **settings)


def documents(folder: Path, *, name: str, **settings: Any) -> News:
    from explorer.labs import documents

    return documents.run_documents(documents.read_documents((folder / GIVEN).read_bytes(), name), **settings)


def projections(folder: Path, *, dataset: str, **settings: Any) -> News:
    from explorer.labs import projections

    return projections.run(dataset, **settings)


RUNS: dict[str, Callable[..., News]] = {
    "basic": basic,
    "denoise": denoise,
    "heartbeats": heartbeats,
    "odd-one-out": odd_one_out,
    "hashing": hashing,
    "documents": documents,
    "projections": projections,
}


def images(name: str, full: bool) -> data.Dataset:
    return (data.load_full if full else data.load_subset)(name)


def run(lab: str, settings: dict[str, Any], folder: Path, say: Say) -> None:
    """Run a lab; its news goes to say, a Step's arrays and its result into folder."""
    for number, news in enumerate(RUNS[lab](folder, **settings)):
        if isinstance(news, Result):
            save(news, folder, RESULT)
            say("result", name=RESULT)
        else:
            name = f"step-{number:05}.safetensors" if news.arrays else None
            if name:
                write_whole(folder / name, atlas.pack(news.arrays), durable=False)
            say("step", done=news.done, total=news.total, text=news.text, figures=news.figures, arrays=name)
