"""Reading in a process of its own, bounded in time and memory, with word of how far it is."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from explorer.bring.limits import AT_ONCE, MEMORY_BYTES, READING_S
from explorer.bring.report import Choices, Report

REPORT = "report.json"
WAIT_S = 0.5
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
room = threading.Semaphore(AT_ONCE)


def read(
    given: Sequence[tuple[Path, str]],
    folder: Path,
    *,
    choices: Choices,
    tell: Callable[[str, int, int], None],
    longest_s: float = READING_S,
) -> Report:
    """Read files, each with the name it had, into folder: the data set as explorer.own_data saves it, and its report.

    tell: called with what is being done, how much of it is done, and of how much. Raises ValueError, in one sentence,
    for what cannot be read.
    """
    order = {"given": [{"path": str(path), "name": name} for path, name in given], "folder": str(folder)}
    while not room.acquire(timeout=WAIT_S):
        tell("Waiting until others' files are read", 0, 0)
    try:
        with started(longest_s) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(OSError):  # one that died at once is told of below
                process.stdin.write(json.dumps({**order, "choices": asdict(choices)}) + "\n")
                process.stdin.close()
            return follow(process.stdout, folder, tell)
    finally:
        room.release()


@contextlib.contextmanager
def started(longest_s: float) -> Iterator[subprocess.Popen[str]]:
    """The process, gone at the end or when its time is up."""
    process = subprocess.Popen(
        [sys.executable, "-m", "explorer.bring"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, **ONE_THREAD},
    )
    timer = threading.Timer(longest_s, process.kill)
    timer.start()
    try:
        with process:
            try:
                yield process
            finally:
                process.kill()
    finally:
        timer.cancel()


def follow(lines: Iterator[str], folder: Path, tell: Callable[[str, int, int], None]) -> Report:
    for line in lines:
        news: dict[str, Any] = json.loads(line)
        if news["kind"] == "progress":
            tell(news["what"], news["done"], news["of"])
        elif news["kind"] == "refused":
            raise ValueError(news["text"])
        else:
            return Report.of(json.loads((folder / REPORT).read_bytes()))
    raise ValueError(
        f"Reading it takes more than one may take here, {MEMORY_BYTES / 1e9:g} GB of memory and {READING_S} seconds: "
        "bring fewer or smaller items"
    )
