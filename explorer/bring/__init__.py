"""Data sets that a person brings: what is read, what is refused, what is repaired. Nothing is unpacked to the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from explorer.bring.gather import Brought
    from explorer.bring.report import Choices
    from explorer.data import Dataset


def read(paths: Sequence[Path], *, choices: Choices | None = None) -> Brought:
    """The data set in files that belong together, or in one folder of images, and the report of how it was read.

    paths: a zip of images in class folders, images, an .npz, IDX files (.gz too), a CSV, or such a folder.
    Raises ValueError, in one sentence, for what cannot be one.
    """
    from explorer.bring import reading

    return reading.read([reading.Given(path, path.name) for path in paths], choices=choices)


def load(path: Path, *, say: Callable[[str], object]) -> Dataset:
    """The data set at path: a folder that explorer.own_data saved, or what read takes. Raises ValueError.

    say: called with each sentence about what was scaled, repaired or left out.
    """
    from explorer import own_data

    if (path / own_data.RECORD).is_file():
        return own_data.load(path)
    found = read([path])
    for sentence in (*found.report.notes, *map(str, found.report.problems)):
        say(sentence)
    if found.dataset is None:
        raise ValueError(f"{path}: {found.report.missing.rstrip('.')}")
    return found.dataset
