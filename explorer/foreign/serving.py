"""Decoding on the server while one explores: a process for each model in use, started at the first wish.

The process is told once where its model lies. Then, both ways: a head of two whole numbers (1 for an answer, 0 for a
sentence that says why there is none; how many bytes follow), and float32 codes [n, latent_dim] or items [n, C, H, W].
"""

from __future__ import annotations

import contextlib
import functools
import json
import struct
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from explorer import sandbox
from explorer.foreign.limits import DECODING_S, IDLE_S, SERVED_AT_ONCE
from explorer.settings import ImageShape

HEAD = struct.Struct("<II")


class Unanswered(ValueError):
    """There is no image for these codes; the message says why."""


@dataclass(frozen=True)
class Model:
    """A model that is decoded here: its file, what its items look like and what its numbers stand for."""

    decoder: Path
    image_shape: ImageShape
    units: str


@dataclass
class Served:
    """A process that decodes one model. One answer at a time; lock is held meanwhile."""

    process: subprocess.Popen[bytes]
    used: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, codes: bytes, *, longest_s: float) -> bytes:
        """Raises Unanswered, and OSError or EOFError if the process is gone."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        timer = threading.Timer(longest_s, self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(HEAD.pack(1, len(codes)) + codes)
            self.process.stdin.flush()
            good, size = HEAD.unpack(exactly(self.process.stdout, HEAD.size))
            content = exactly(self.process.stdout, size)
        finally:
            timer.cancel()
            self.used = time.monotonic()
        if not good:
            raise Unanswered(content.decode())
        return content

    def end(self) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError, AttributeError):
                pipe.close()  # type: ignore[union-attr]
        self.process.wait()


class Decoders:
    """All the processes that decode on one server. Every method may be called from any thread."""

    def __init__(self, *, at_once: int = SERVED_AT_ONCE, idle_s: float = IDLE_S, longest_s: float = DECODING_S) -> None:
        self.at_once, self.idle_s, self.longest_s = at_once, idle_s, longest_s
        self.running: dict[Path, Served] = {}
        self.lock = threading.Lock()
        self.closed = threading.Event()
        self.watching = False

    def decode(self, model: Model, codes: np.ndarray) -> bytes:
        """x_hat float32 [n, C, H, W], as bytes, for codes float32 [n, latent_dim]. Raises Unanswered.

        A process that has died is started anew, once.
        """
        content = np.ascontiguousarray(codes, np.float32).tobytes()
        for _ in range(2):
            served = self._served(model)
            begun = time.monotonic()
            try:
                with served.lock:
                    return served.answer(content, longest_s=self.longest_s)
            except (OSError, EOFError, ValueError) as error:
                if isinstance(error, Unanswered):
                    raise
                self._drop(model.decoder, served)
            if time.monotonic() - begun >= self.longest_s:
                raise Unanswered(f"The model takes longer than {self.longest_s:g} seconds for an answer")
        raise Unanswered("The model's process has ended by itself twice: it needs more memory than one may take")

    def close(self) -> None:
        self.closed.set()
        with self.lock:
            gone = list(self.running.values())
            self.running.clear()
        for served in gone:
            served.end()

    def _served(self, model: Model) -> Served:
        with self.lock:
            there = self.running.get(model.decoder)
            if there and there.process.poll() is None:
                return there
            self._make_room()
            self.running[model.decoder] = new = Served(start(model))
            if not self.watching:
                self.watching = True
                threading.Thread(target=self._watch, daemon=True).start()
            return new

    def _make_room(self) -> None:
        """The one that was not asked for longest goes, if all places are taken."""
        while len(self.running) >= self.at_once:
            oldest = min(self.running, key=lambda path: self.running[path].used)
            self.running.pop(oldest).end()

    def _drop(self, path: Path, served: Served) -> None:
        with self.lock:
            if self.running.get(path) is served:
                del self.running[path]
        served.end()

    def _watch(self) -> None:
        while not self.closed.wait(min(1.0, self.idle_s)):
            now = time.monotonic()
            with self.lock:
                idle = [path for path, one in self.running.items() if now - one.used > self.idle_s]
                gone = [self.running.pop(path) for path in idle if not self.running[path].lock.locked()]
            for served in gone:
                served.end()


@functools.cache
def here() -> Decoders:
    """The processes of this server."""
    return Decoders()


def start(model: Model) -> subprocess.Popen[bytes]:
    process = sandbox.start("explorer.foreign", cwd=model.decoder.parent, text=False)
    order = {"do": "serve", "decoder": str(model.decoder), "image_shape": model.image_shape, "units": model.units}
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # one that died at once is noticed when it is asked
        process.stdin.write((json.dumps(order) + "\n").encode())
        process.stdin.flush()
    return process


def exactly(pipe: IO[bytes], size: int) -> bytes:
    """size bytes. Raises EOFError if the pipe ends before."""
    content = pipe.read(size)
    if len(content) < size:
        raise EOFError
    return content
