"""The server's log: as Streamlit writes it, or each event as one JSON line on stderr (LATENT_EXPLORER_LOG=json).

A JSON line holds nothing that a visitor typed, sent or may be found by: of an address only words of the project's own
routes, of a visitor a one-way hash, of a fault its kind and where in the code, without its message.
"""

from __future__ import annotations

import hashlib
import json
import linecache
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, TextIO

SETTING = "LATENT_EXPLORER_LOG"
KINDS = ("text", "json")
MOST_TEXT = 500
TOLD_BETTER_HERE = ("uvicorn", "websockets")  # they name whole addresses


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


def warn(text: str) -> None:
    """What whoever runs this server should know, in words that are fit for anybody who may read logs."""
    if is_json():
        say("warning", text=text)
    else:
        print(f"explorer: {text}", file=sys.stderr)


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


def begin() -> None:
    """From now on each line of this process on stderr is JSON, if that was asked for; may be called again.

    Taken where all records pass: Streamlit gives each of its loggers a handler of its own, and makes them anew, with
    uvicorn's record of each full address, whenever its configuration file is touched.
    """
    if not is_json():
        return
    logging.Logger.callHandlers = tell_record  # type: ignore[assignment, method-assign]
    warnings.showwarning = tell_warning
    sys.excepthook = uncaught
    sys.unraisablehook = lambda told: uncaught(told.exc_type, told.exc_value, told.exc_traceback)
    threading.excepthook = lambda told: uncaught(told.exc_type, told.exc_value, told.exc_traceback)


def tell_record(logger: logging.Logger, record: logging.LogRecord) -> None:
    """A record as one line, with the text as the library wrote it and without its values.

    A text without places for values may have been put together with them: then the line of code that says it is told.
    """
    if record.levelno < logging.WARNING and record.name.split(".")[0] in TOLD_BETTER_HERE:
        return
    error = record.exc_info[1] if record.exc_info else None
    about = fault(error) if error else {}
    text = str(record.msg) if record.args else linecache.getline(record.pathname, record.lineno).strip()
    where = f"{record.pathname}:{record.lineno}"
    say("log", level=record.levelname, logger=record.name, text=text[:MOST_TEXT], where=where, **about)


def tell_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """What the warnings module would print, in its own parameters; where it comes from says enough."""
    say("log", level="WARNING", logger="warnings", text=category.__name__, where=f"{filename}:{lineno}")


def uncaught(kind: type[BaseException], error: BaseException | None, where: TracebackType | None) -> None:
    say("fault", **fault((error or kind()).with_traceback(where)))
