"""Reading in a process of its own, bounded in time and memory, with word of how far it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from explorer import sandbox
from explorer.bring.limits import AT_ONCE, MEMORY_BYTES, READING_S
from explorer.bring.report import Choices, Report

REPORT = "report.json"
room = sandbox.Room(AT_ONCE)


def read(
    given: Sequence[tuple[Path, str]],
    folder: Path,
    *,
    visitor: str,
    choices: Choices,
    tell: sandbox.Tell,
    longest_s: float = READING_S,
) -> Report:
    """Read files, each with the name it had, into folder: the data set as explorer.own_data saves it, and its report.

    tell: called with what is being done, how much of it is done, and of how much. Raises ValueError, in one sentence,
    for what cannot be read, and for a second reading of the visitor's at a time.
    """
    order = {"given": [{"path": str(path), "name": name} for path, name in given], "folder": str(folder)}
    whole = {**order, "choices": asdict(choices)}
    with room.turn(visitor, waiting="Waiting until others' files are read", tell=tell):
        done = sandbox.follow("explorer.bring", whole, tell=tell, longest_s=longest_s)
    if done is None:
        raise ValueError(
            f"Reading it takes more than one may take here, {MEMORY_BYTES / 1e9:g} GB of memory and {READING_S} "
            "seconds: bring fewer or smaller items"
        )
    return Report.of(json.loads((folder / REPORT).read_bytes()))
