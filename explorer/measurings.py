"""Measuring models in processes, one a model: python -m explorer measure, whose lines a page can read as they come.

Needs no torch. What nobody asks for any more ends.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from explorer import demo
from explorer.files import public
from explorer.sandbox import ONE_THREAD
from explorer.scoreboard import COUNT, Figure

AT_ONCE = max(1, os.cpu_count() or 1)
UNASKED_S = 30.0
LONGEST_S = 900.0
JUDGE = "training a judge"  # as the command calls it on stderr, with a share
SHARE = re.compile(rf"{JUDGE}: +(\d+)%")


@dataclass
class Measuring:
    """The measuring of one model: figures so far; problem: a sentence if it went wrong.

    dataset: where its data set lies, if it is one of one's own. judge: how far its judge is trained, 0 to 1, until the
    first figure comes.
    """

    folder: Path
    dataset: Path | None = None
    figures: list[Figure] = field(default_factory=list)
    problem: str = ""
    ended: bool = False
    started: float | None = None
    first: float | None = None
    judge: float | None = None
    asked: float = field(default_factory=time.monotonic)
    stopped: threading.Event = field(default_factory=threading.Event)
    process: subprocess.Popen[str] | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started if self.started is not None else 0.0

    @property
    def left(self) -> float:
        """About how many seconds more it takes, by the figures so far."""
        assert self.first is not None
        return (time.monotonic() - self.first) / max(1, len(self.figures) - 1) * max(0, COUNT - len(self.figures))

    def stop(self) -> None:
        self.stopped.set()
        if self.process:
            self.process.kill()


class Measurings:
    """All measurings of one server. Every method may be called from any thread."""

    def __init__(self, *, at_once: int = AT_ONCE, unasked_s: float = UNASKED_S) -> None:
        self.room = threading.Semaphore(at_once)
        self.unasked_s = unasked_s
        self.running: dict[Path, Measuring] = {}
        self.lock = threading.Lock()

    def start(self, folder: Path, dataset: Path | None = None) -> Measuring:
        """Measure the model in folder; one that is under way goes on. dataset: the folder of its own data set.

        Raises ValueError where a public demo computes nothing.
        """
        demo.check_work()
        with self.lock:
            there = self.running.get(folder)
            if there is None or there.ended:
                there = self.running[folder] = Measuring(folder, dataset)
                threading.Thread(target=self._run, args=(there,), daemon=True).start()
            return there

    def get(self, folder: Path) -> Measuring | None:
        """The measuring of the model in folder, if there is one. To ask keeps it going."""
        there = self.running.get(folder)
        if there:
            there.asked = time.monotonic()
        return there

    def forget(self, folder: Path) -> None:
        with self.lock:
            there = self.running.pop(folder, None)
        if there:
            there.stop()

    def _run(self, one: Measuring) -> None:
        while not self.room.acquire(timeout=1.0):
            if self._unwanted(one):
                one.ended = True
                return
        try:
            if not self._unwanted(one):
                one.started = time.monotonic()
                self._measure(one)
        finally:
            self.room.release()
            one.ended = True

    def _measure(self, one: Measuring) -> None:
        if one.dataset and not one.dataset.is_dir():
            one.problem = "Its data set was removed before its turn came: bring it again."
            return
        said: deque[str] = deque(maxlen=1)
        one.process = process = start_process(one.folder, one.dataset)
        assert process.stdout is not None
        assert process.stderr is not None
        listener = threading.Thread(target=listen, args=(one, process.stderr, said), daemon=True)
        watcher = threading.Thread(target=self._watch, args=(one, process), daemon=True)
        for thread in (listener, watcher):
            thread.start()
        for line in process.stdout:
            with contextlib.suppress(ValueError):
                one.figures.append(Figure.of(json.loads(line)))
                one.first, one.judge = one.first or time.monotonic(), None
        code = process.wait()
        listener.join()
        if code and not one.stopped.is_set():
            told = said[-1].strip().removeprefix("explorer: ") if code == 2 and said else ""
            one.problem = (
                f"{public(told, one.folder.parent)}." if told else f"The measuring ended by itself (status {code})."
            )

    def _watch(self, one: Measuring, process: subprocess.Popen[str]) -> None:
        while process.poll() is None:
            if self._unwanted(one) or one.seconds > LONGEST_S:
                one.stop()
            time.sleep(0.5)

    def _unwanted(self, one: Measuring) -> bool:
        return one.stopped.is_set() or time.monotonic() - one.asked > self.unasked_s

    def close(self) -> None:
        for one in list(self.running.values()):
            one.stop()


@functools.cache
def here() -> Measurings:
    """The measurings of this server."""
    return Measurings()


def listen(one: Measuring, lines: Iterable[str], said: deque[str]) -> None:
    """Keep the last of what a process says on stderr, and how far it says that its judge is."""
    for line in lines:
        said.append(line)
        if share := SHARE.match(line):
            one.judge = int(share[1]) / 100


def start_process(folder: Path, dataset: Path | None) -> subprocess.Popen[str]:
    own = ["--dataset", str(dataset)] if dataset else []
    return subprocess.Popen(
        [sys.executable, "-m", "explorer", "measure", str(folder), *own, "--json", "--save"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        # Two models side by side on one thread each are done in a third of the time they take on two threads each.
        env={**os.environ, **ONE_THREAD},
    )
