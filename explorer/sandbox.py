"""Processes for what came from outside, where a hostile file can harm no one: bounded, heard, ended in time."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

TOLD_EVERY_S = 0.2
NICE = 5  # the server and the pages it serves come first
WAIT_S = 0.5
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
PROJECT = Path(__file__).parents[1]
Tell = Callable[[str, int, int], None]


# ---- in the process


def bound(*, memory: int, cpu_s: int, file_bytes: int) -> None:
    """Take from this process what it does not need: more memory, time and disk than its work may have, and a life of
    its own: it ends when whoever started it does.
    """
    bounds = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in bounds.items():
        with contextlib.suppress(ValueError, OSError):  # some systems lack some of them
            resource.setrlimit(kind, (most, most))
    os.nice(NICE)
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()


def end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


class Teller:
    """Says how far it is, not more often than can be read."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if now - self.last > TOLD_EVERY_S:
            self.last = now
            say("progress", what=what, done=done, of=of)


def say(kind: str, **values: Any) -> None:
    print(json.dumps({"kind": kind, **values}), flush=True)


# ---- beside it


def start(module: str, *, cwd: Path, text: bool = True) -> subprocess.Popen[Any]:
    """python -m module, on one thread, to be talked to through its standard input and output."""
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=text,
        cwd=cwd,
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(PROJECT)},
    )


def follow(
    module: str, order: dict[str, Any], *, tell: Tell, longest_s: float, cwd: Path = PROJECT
) -> dict[str, Any] | None:
    """Give a process its order, pass on its progress, and return what it says in the end; None if it died.

    It is gone afterwards, and when its time is up. Raises ValueError with its own sentence if it refused.
    """
    process = start(module, cwd=cwd)
    timer = threading.Timer(longest_s, process.kill)
    timer.start()
    try:
        with process:
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                with contextlib.suppress(OSError):  # one that died at once says nothing below
                    process.stdin.write(json.dumps(order) + "\n")
                    process.stdin.close()
                return hear(process.stdout, tell)
            finally:
                process.kill()
    finally:
        timer.cancel()


class Room:
    """So many places for processes; nobody has more than one, or waits for more than one, at a time."""

    def __init__(self, places: int) -> None:
        self.places = threading.Semaphore(places)
        self.inside: set[str] = set()
        self.lock = threading.Lock()

    @contextlib.contextmanager
    def turn(self, who: str, *, waiting: str, tell: Tell) -> Iterator[None]:
        """A place, for as long as this lasts; until there is one, waiting is told. Raises ValueError for a second."""
        with self.lock:
            if who in self.inside:
                raise ValueError(
                    "Something of yours is being read already, perhaps in another tab: wait until it is done"
                )
            self.inside.add(who)
        try:
            while not self.places.acquire(timeout=WAIT_S):
                tell(waiting, 0, 0)
            try:
                yield
            finally:
                self.places.release()
        finally:
            self.inside.discard(who)


def hear(lines: Iterable[str], tell: Tell) -> dict[str, Any] | None:
    for news in parsed(lines):
        if news["kind"] == "progress":
            tell(news["what"], news["done"], news["of"])
        elif news["kind"] == "refused":
            raise ValueError(news["text"])
        else:
            return news
    return None


def parsed(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The lines that are news; a process that is killed may leave half a line."""
    for line in lines:
        with contextlib.suppress(ValueError):
            yield json.loads(line)
