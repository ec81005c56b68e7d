"""A process that reads what a person brings, where a hostile file can harm no one: python -m explorer.bring.

It reads one line of JSON, the order, and writes lines of JSON: progress, then "done" or "refused". The data set and its
report go into the folder of the order.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from explorer import own_data
from explorer.bring import reading
from explorer.bring.limits import MAX_STORED_BYTES, MEMORY_BYTES, READING_S
from explorer.bring.process import REPORT
from explorer.bring.report import Choices
from explorer.files import write_whole

TOLD_EVERY_S = 0.2
NICE = 5  # the server and the pages it serves come first


def bound() -> None:
    """Take from this process what it does not need: more memory, time and disk than one reading may have."""
    bounds = {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_CPU: READING_S,
        resource.RLIMIT_FSIZE: 2 * MAX_STORED_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in bounds.items():
        with contextlib.suppress(ValueError, OSError):  # some systems lack some of them
            resource.setrlimit(kind, (most, most))


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


def run(order: dict[str, Any]) -> None:
    given = [reading.Given(Path(one["path"]), one["name"]) for one in order["given"]]
    folder = Path(order["folder"])
    brought = reading.read(given, choices=Choices(**order["choices"]), tell=Teller())
    if brought.dataset:
        own_data.save(folder, brought.dataset)
    write_whole(folder / REPORT, json.dumps(brought.report.record()).encode(), durable=False)


def main() -> None:
    bound()
    os.nice(NICE)
    try:
        run(json.loads(sys.stdin.readline()))
    except ValueError as error:
        say("refused", text=" ".join(str(error).split()))
    except MemoryError:
        say("refused", text=f"Reading it takes more than the {MEMORY_BYTES / 1e9:g} GB of memory that one may take")
    except OSError as error:
        say("refused", text=f"The data set cannot be written ({(error.strerror or str(error)).lower()})")
    else:
        say("done")


if __name__ == "__main__":
    main()
