"""One piece of work for worker processes, as its server knows it: a pair in training, or a lab's run.

What was asked for, what was heard of it, and what its processes are told. With its order and its news, as
explorer.job_files keeps them, a new server makes the same job again.
"""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from explorer import checkpoints, job_files, logs, settings
from explorer.files import public
from explorer.workers import STATES, to_go_on

KINDS = ("ae", "vae")
ENDED = ("done", "stopped", "failed")
KEPT_S = 7 * 86400.0  # ended jobs, from one server to the next
STARTED = time.time() - time.monotonic()
Listener = Callable[[], None]


@dataclass
class Job:
    """Work for one or more processes, each a side. events: all news so far, plain dicts with their side or ""."""

    id: str
    owner: str
    folder: Path
    sides: tuple[str, ...]
    state: str = "waiting"
    events: list[dict[str, Any]] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    workers: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    lost: int = 0
    wish: str | None = None
    taken: float = field(default_factory=time.time)
    started: float = 0.0
    wished: float = field(default_factory=time.monotonic)
    alone_since: float = field(default_factory=time.monotonic)

    def order(self, side: str) -> dict[str, Any]:
        """What the process of a side is told. Raises ValueError if it cannot be done any more."""
        raise NotImplementedError

    def record(self) -> dict[str, Any]:
        """What was asked for, as plain values: with it and its news a new server makes the same job again."""
        return {"owner": self.owner, "taken": self.taken}

    def recall(self, news: dict[str, Any]) -> None:
        """Take note of what a piece of news changes."""
        self.events.append(news)
        if news["kind"] == "state":
            self.state = news["state"]
        elif news["kind"] == "wish":
            self.wish = news["wish"]
        elif news["kind"] in ("trained", "dropped", "result"):
            self.finished.add(news["side"])

    @property
    def undone(self) -> list[str]:
        """The sides that a process has to work on still."""
        over = {news["side"] for news in self.events if news["kind"] in ("drawn", "dropped", "result")}
        return [side for side in self.sides if side not in over]


@dataclass
class Training(Job):
    """A pair in training. earlier: a folder whose models go on from where they stood.

    data_folder: where the visitor's own data set lies (explorer.own_data), if it is one.
    """

    settings: settings.Settings = field(default_factory=settings.Settings)
    full: bool = False
    earlier: Path | None = None
    data_folder: Path | None = None

    def record(self) -> dict[str, Any]:
        told = {"settings": self.settings.record(), "full": self.full}
        folders = {"earlier": self.earlier, "data_folder": self.data_folder}
        return {**super().record(), **told, **{name: str(path) if path else None for name, path in folders.items()}}

    def model_folder(self, kind: str) -> Path:
        return self.folder / f"{self.id[:6]}-{kind}"

    def order(self, side: str) -> dict[str, Any]:
        if self.data_folder and not self.data_folder.is_dir():
            raise ValueError("The data set was removed before the training began: bring it again")
        folder = self.model_folder(side)
        begun = any(folder.glob(STATES))
        told = {
            "model": side,
            "settings": self.settings.record(),
            "folder": str(folder),
            "full": self.full,
            "earlier": str(earlier_folder(self.earlier, side)) if self.earlier and not begun else None,
            "data_folder": str(self.data_folder) if self.data_folder else None,
        }
        folder.mkdir(exist_ok=True)
        moments = sum(news["kind"] == "moment" and news["side"] == side for news in self.events)
        return to_go_on(told, moments=moments, trained=side in self.finished)


@dataclass
class LabRun(Job):
    """A lab at work. chosen: its settings (explorer.labs.orders)."""

    lab: str = ""
    chosen: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        return {**super().record(), "lab": self.lab, "chosen": self.chosen}

    def order(self, side: str) -> dict[str, Any]:
        return {"lab": self.lab, "settings": self.chosen, "folder": str(self.folder)}


def earlier_folder(folder: Path, kind: str) -> Path:
    """The folder of the AE or the VAE among the models in folder. Raises ValueError if there is none."""
    for card in sorted(folder.glob(f"*/{checkpoints.CARD}")):
        if checkpoints.read_card(card.parent).model == kind:
            return card.parent
    raise ValueError(f"There is no {kind.upper()} to go on from")


def new_id() -> str:
    """128 random bits: nobody guesses another's."""
    return secrets.token_hex(16)


def is_id(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{32}", text) is not None


def now() -> float:
    """Seconds since 1970, as the clock was when the server started: who sets it back does not turn news around."""
    return STARTED + time.monotonic()


def restored(folder: Path) -> Job | None:
    """The job whose files are in folder; None if it ended long ago or its order cannot be read."""
    if not (folder / job_files.ORDER).exists():  # its server was killed before it was taken
        shutil.rmtree(folder, ignore_errors=True)
        return None
    try:
        job = ordered(folder, job_files.read_order(folder))
    except (ValueError, KeyError, TypeError) as error:
        logs.warn(f"A job is left out, {logs.named(folder.name)}: {public(str(error))}.")
        return None
    for news in job_files.read_news(folder):
        job.recall(news)
    if job.state in ENDED and now() - job.events[-1]["sent"] > KEPT_S:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return job


def ordered(folder: Path, record: dict[str, Any]) -> Job:
    """The job of a record (see Job.record) before its first news. Raises ValueError, KeyError or TypeError."""
    common: dict[str, Any] = {"id": folder.name, "owner": record["owner"], "folder": folder, "taken": record["taken"]}
    if "lab" in record:
        return LabRun(**common, sides=(record["lab"],), lab=record["lab"], chosen=record["chosen"])
    folders = {name: Path(record[name]) if record[name] else None for name in ("earlier", "data_folder")}
    asked: dict[str, Any] = {"settings": settings.Settings.of(record["settings"]), "full": record["full"], **folders}
    return Training(**common, sides=KINDS, **asked)
