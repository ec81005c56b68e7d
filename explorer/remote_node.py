"""What runs on a node of a Ray cluster: a worker in a folder of its own, whose news goes back with the files it made.

No disk is shared: what an order's folders hold comes as bytes, and what is new or changed goes as bytes.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from explorer import places
from explorer.labs.orders import GIVEN
from explorer.workers import STATES, start_process, tell

ONCE = "moment-*"  # what nobody reads again here: gone when it is sent
Files = dict[str, bytes]


class Node:
    """One worker. As a Ray actor it needs room for two calls at a time: run, and stop meanwhile."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.wish: dict[str, Any] | None = None

    def ready(self) -> None:
        """Answers when there is a node that has room."""

    def stop(self, wish: dict[str, Any]) -> None:
        """Pass on a wish to stop, {"stop": "keep"} or {"stop": "drop"}; one that comes early waits for the worker."""
        self.wish = wish
        if self.process:
            tell(self.process, wish)

    def run(self, order: dict[str, Any], luggage: dict[str, Files]) -> Iterator[tuple[str, Files]]:
        """Each line that a worker says, and the files that are new or changed since the last.

        luggage: for each of an order's folders what it holds. The last line is "", and its file "code" the exit status.
        """
        here = places.temporary("node-")
        unpack(luggage, here)
        seen = Changes(here / "folder")
        self.process = start_process()
        try:
            tell(self.process, {**order, **{name: str(here / name) for name in luggage}})
            if self.wish:
                tell(self.process, self.wish)
            assert self.process.stdout is not None
            for line in self.process.stdout:
                yield line, seen.take()
            code = self.process.wait()
            yield "", {**seen.take(), "code": str(code).encode()}
        finally:
            self.process.kill()
            self.process.wait()
            shutil.rmtree(here, ignore_errors=True)


class Changes:
    """What changes in a folder from one look to the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[str, tuple[int, int]] = {}
        self.take()

    def take(self) -> Files:
        """The files that are new or changed since the last time, the oldest first."""
        new: dict[str, tuple[int, bytes]] = {}
        for path in self.folder.iterdir():
            if path.name.startswith("."):  # a file that is being written
                continue
            with contextlib.suppress(FileNotFoundError):  # replaced between two looks
                about = path.stat()
                stamp = (about.st_mtime_ns, about.st_size)
                if self.known.get(path.name) != stamp:
                    new[path.name] = (about.st_mtime_ns, path.read_bytes())
                    self.known[path.name] = stamp
            if path.match(ONCE):
                path.unlink()
        return {name: content for name, (_, content) in sorted(new.items(), key=lambda item: item[1][0])}


def unpack(luggage: dict[str, Files], here: Path) -> None:
    for name, files in luggage.items():
        (here / name).mkdir()
        for file, content in files.items():
            (here / name / file).write_bytes(content)


def pack(order: dict[str, Any]) -> dict[str, Files]:
    """What the worker has to have of the order's folders."""
    folder, earlier = Path(order["folder"]), order.get("earlier")
    luggage = {"folder": read(folder, "*") if order.get("trained") else read(folder, GIVEN)}
    if earlier:
        luggage["earlier"] = read(Path(earlier), STATES)
    if order.get("data_folder"):
        luggage["data_folder"] = read(Path(order["data_folder"]), "*")
    return luggage


def read(folder: Path, pattern: str) -> Files:
    found = [path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith(".")]
    return {path.name: path.read_bytes() for path in found if not path.match(ONCE)}
