"""The server's log: as Streamlit writes it, or each event as one JSON line on stderr (LATENT_EXPLORER_LOG=json).

A JSON line holds nothing that a visitor typed, sent or may be found by: of an address only words of the project's own
routes, of a visitor a one-way hash, of a fault its kind and where in the code, without its message.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterable
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

SETTING = "LATENT_EXPLORER_LOG"
KINDS = ("text", "json")
MOST_TEXT = 500


def is_json() -> bool:
    """Whether JSON lines were asked for. Raises ValueError for a kind of log that there is not."""
    asked = os.environ.get(SETTING) or KINDS[0]
    if asked not in KINDS:
        raise ValueError(f"{SETTING} must be one of: {', '.join(KINDS)}; got {asked[:40]!r}")
    return asked == "json"


def say(kind: str, **values: Any) -> None:
    """One line, where JSON was asked for. The values must be fit for anybody who may read logs."""
    if is_json():
        print(line(kind, **values), file=sys.stderr, flush=True)


def line(kind: str, **values: Any) -> str:
    """JSON has no bare newline, so whatever the values hold, this is one line."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return json.dumps({"time": now, "kind": kind, **values})


def named(secret: str) -> str | None:
    """A short name by which lines about the same visitor or training are found, and from which nobody can tell it."""
    return hashlib.sha256(f"log {secret}".encode()).hexdigest()[:12] if secret else None


def fault(error: BaseException) -> dict[str, Any]:
    """What went wrong and where, innermost last. Its message may hold what a visitor sent, so it is left out."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "fault": type(error).__name__,
        "traceback": [f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in frames],
    }


# ---- trainings


def tell_of_job(job_id: str, owner: str, sides: Iterable[str], news: dict[str, Any], *, seconds: float) -> None:
    """A line when a training or a lab begins, ends, or fails. Other news is for its page alone."""
    if news["kind"] == "state" and news["state"] != "waiting":
        about = {"job": named(job_id), "session": named(owner), "sides": list(sides)}
        say("training", **about, state=news["state"], seconds=round(seconds, 1))


# ---- what libraries and faults say


class JsonLines(logging.Formatter):
    """A record of the logging module as one JSON line: the text as the library wrote it, without its values."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        about = fault(error) if error else {}
        return line("log", level=record.levelname, logger=record.name, text=str(record.msg)[:MOST_TEXT], **about)


def begin() -> None:
    """From now on each line of this process on stderr is JSON, if that was asked for; may be called again.

    Each logger of Streamlit has a handler of its own, so each is given the format. uvicorn's remarks on websockets name
    their addresses, which Requests tells better.
    """
    if not is_json():
        return
    for name in ("", *logging.root.manager.loggerDict):
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(JsonLines())
    for name in ("uvicorn", "uvicorn.error", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = uncaught
    threading.excepthook = lambda told: uncaught(told.exc_type, told.exc_value, told.exc_traceback)


def uncaught(kind: type[BaseException], error: BaseException | None, where: TracebackType | None) -> None:
    say("fault", **fault((error or kind()).with_traceback(where)))
