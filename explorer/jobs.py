"""Trainings in worker processes: a pair or a lab's run is a job, jobs queue, news is kept to be heard again.

Needs no torch. A job belongs to the visitor who started it; who asks for it with another name is told there is none.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from explorer import checkpoints, settings
from explorer.files import unwritten, write_whole
from explorer.labs.orders import GIVEN

KINDS = ("ae", "vae")
FOLDER_PREFIX = "latent-explorer-"
ENDED = ("done", "stopped", "failed")
STARTED = time.time() - time.monotonic()
Listener = Callable[[], None]


@dataclass(frozen=True)
class Limits:
    """What one server grants. Times in seconds."""

    at_once: int = max(1, (os.cpu_count() or 2) // 2)
    waiting: int = 20
    active_a_visitor: int = 3
    kept_jobs: int = 40
    training_s: float = 3600
    grace_s: float = 120
    idle_s: float = 600
    max_bytes: int = 1_500_000_000
    film_bytes: int = 150_000_000


def limits_here() -> Limits:
    """The limits, where the environment does not say otherwise (see README)."""
    names = {"at_once": int, "grace_s": float, "training_s": float}
    given = {name: os.environ.get(f"LATENT_EXPLORER_{name.upper()}") for name in names}
    return Limits(**{name: names[name](value) for name, value in given.items() if value})


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
    wish: str | None = None
    started: float = 0.0
    alone_since: float = field(default_factory=time.monotonic)

    def order(self, side: str) -> dict[str, Any]:
        """What the process of a side is told. Raises ValueError if it cannot be done any more."""
        raise NotImplementedError


@dataclass
class Training(Job):
    """A pair in training. earlier: a folder whose models go on from where they stood.

    data_folder: where the visitor's own data set lies (explorer.own_data), if it is one.
    """

    settings: settings.Settings = field(default_factory=settings.Settings)
    full: bool = False
    earlier: Path | None = None
    data_folder: Path | None = None

    def model_folder(self, kind: str) -> Path:
        return self.folder / f"{self.id[:6]}-{kind}"

    def order(self, side: str) -> dict[str, Any]:
        if self.data_folder and not self.data_folder.is_dir():
            raise ValueError("The data set was removed before the training began: bring it again")
        earlier = str(earlier_folder(self.earlier, side)) if self.earlier else None
        folder = self.model_folder(side)
        folder.mkdir()
        told = {"model": side, "settings": self.settings.record(), "folder": str(folder)}
        data_folder = str(self.data_folder) if self.data_folder else None
        return {**told, "full": self.full, "earlier": earlier, "data_folder": data_folder}


@dataclass
class LabRun(Job):
    """A lab at work. chosen: its settings (explorer.labs.orders)."""

    lab: str = ""
    chosen: dict[str, Any] = field(default_factory=dict)

    def order(self, side: str) -> dict[str, Any]:
        return {"lab": self.lab, "settings": self.chosen, "folder": str(self.folder)}


def now() -> float:
    """Seconds since 1970, as the clock was when the server started: who sets it back does not turn news around."""
    return STARTED + time.monotonic()


class Refused(ValueError):
    """An order that cannot be taken now; the message says why and what to do."""


class Jobs:
    """All jobs of one server. Every method may be called from any thread."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        remove_left_over()
        self.root = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-"))
        self.lock = threading.RLock()
        self.jobs: dict[str, Job] = {}
        self.spares: list[subprocess.Popen[str]] = []
        self.wanted = time.monotonic()
        self.closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    # --- orders -----------------------------------------------------------------------------------------------------

    def warm(self) -> None:
        """Someone may start a training soon: have processes ready that hold torch already."""
        with self.lock:
            self.wanted = time.monotonic()
            self.spares = [spare for spare in self.spares if spare.poll() is None]
            while len(self.spares) < len(KINDS) and not self.closed.is_set():
                self.spares.append(start_process())

    def submit(
        self,
        owner: str,
        chosen: settings.Settings,
        *,
        full: bool = False,
        earlier: Path | None = None,
        data_folder: Path | None = None,
    ) -> Training:
        """Take an order for a pair. Raises Refused.

        earlier: a folder whose models go on from where they stood. data_folder: the visitor's own data set, in place of
        one that ships.
        """
        name, folder = self._new_place()
        job = Training(name, owner, folder, KINDS, settings=chosen, full=full, earlier=earlier, data_folder=data_folder)
        self._take(job)
        return job

    def submit_lab(self, owner: str, lab: str, chosen: dict[str, Any], *, given: bytes = b"") -> LabRun:
        """Take an order for a lab. given: a file that belongs to it. Raises Refused."""
        name, folder = self._new_place()
        job = LabRun(name, owner, folder, (lab,), lab=lab, chosen=chosen)
        self._take(job, given)
        return job

    def _new_place(self) -> tuple[str, Path]:
        name = secrets.token_urlsafe(12).replace("_", "x").replace("-", "y")
        return name, self.root / "jobs" / name

    def _take(self, job: Job, given: bytes = b"") -> None:
        with self.lock:
            active = [other for other in self.jobs.values() if other.state not in ENDED]
            if sum(other.owner == job.owner for other in active) >= self.limits.active_a_visitor:
                raise Refused(f"You have {self.limits.active_a_visitor} trainings already: stop one of them first")
            if sum(other.state == "waiting" for other in active) >= self.limits.waiting:
                raise Refused("The queue is full: try again in some minutes")
            try:
                job.folder.mkdir(parents=True)
                if given:
                    write_whole(job.folder / GIVEN, given, durable=False)
            except OSError as error:
                shutil.rmtree(job.folder, ignore_errors=True)
                raise Refused(unwritten(error, then="start again").removesuffix(".")) from error
            self.jobs[job.id] = job
            self._forget_old()
            self._advance()

    def get(self, job_id: str, owner: str) -> Job | None:
        """The job, for its owner alone."""
        job = self.jobs.get(job_id)
        return job if job and secrets.compare_digest(job.owner, owner) else None

    def of(self, owner: str) -> list[Job]:
        with self.lock:
            return [job for job in self.jobs.values() if job.owner == owner]

    def has_own_data(self, owner: str) -> bool:
        """Whether there is a training on data that its owner brought."""
        return any(isinstance(job, Training) and job.data_folder for job in self.of(owner))

    def forget_own_data(self, owner: str) -> None:
        """End and remove the trainings on data that their owner brought, since they hold some of it."""
        with self.lock:
            for job in self.of(owner):
                if isinstance(job, Training) and job.data_folder:
                    if job.state not in ENDED:
                        self._end(job, "stopped")
                    del self.jobs[job.id]
                    shutil.rmtree(job.folder, ignore_errors=True)

    def stop(self, job: Job, *, keep: bool) -> None:
        """End a training: what it has learned is kept or dropped. A lab has nothing to keep before its end."""
        with self.lock:
            if job.state == "waiting" or (isinstance(job, LabRun) and job.state == "training"):
                self._end(job, "stopped")
            elif job.state == "training":
                job.wish = "keep" if keep else "drop"
                for worker in job.workers.values():
                    tell(worker, {"stop": job.wish})

    def listen(self, job: Job, listener: Listener) -> None:
        with self.lock:
            job.listeners.append(listener)

    def unlisten(self, job: Job, listener: Listener) -> None:
        with self.lock:
            job.listeners.remove(listener)
            job.alone_since = time.monotonic()

    def close(self) -> None:
        """End all processes and remove all files."""
        self.closed.set()
        with self.lock:
            workers = [*self.spares, *(worker for job in self.jobs.values() for worker in job.workers.values())]
        for worker in workers:
            worker.kill()
            worker.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    # --- the course of a job ----------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Start what waits while there is room, and tell the others their place."""
        while not self.closed.is_set():
            waiting = [job for job in self.jobs.values() if job.state == "waiting"]
            training = sum(job.state == "training" for job in self.jobs.values())
            if not waiting or training >= self.limits.at_once:
                break
            self._start(waiting[0])
        else:
            return
        for place, job in enumerate(waiting, start=1):
            if not job.events or job.events[-1].get("place") != place:
                self._tell(job, "", {"kind": "state", "state": "waiting", "place": place})

    def _start(self, job: Job) -> None:
        try:
            orders = {side: job.order(side) for side in job.sides}
        except (ValueError, OSError) as error:  # removed while the job waited, or a full disk
            text = unwritten(error, then="start again") if isinstance(error, OSError) else f"{error}."
            self._tell(job, "", {"kind": "failed", "text": text})
            self._end(job, "failed")
            return
        job.state, job.started = "training", time.monotonic()
        self._tell(job, "", {"kind": "state", "state": "training"})
        for side, order in orders.items():
            worker = self._take_worker()
            job.workers[side] = worker
            tell(worker, {**order, "max_bytes": self.limits.max_bytes})
            threading.Thread(target=self._follow, args=(job, side, worker), daemon=True).start()

    def _take_worker(self) -> subprocess.Popen[str]:
        while self.spares:
            spare = self.spares.pop(0)
            if spare.poll() is None:
                return spare
        return start_process()

    def _follow(self, job: Job, kind: str, worker: subprocess.Popen[str]) -> None:
        """Pass on what a worker says until it ends."""
        assert worker.stdout is not None
        for line in worker.stdout:
            with contextlib.suppress(ValueError):
                news = json.loads(line)
                if news["kind"] != "ready":
                    self._heard(job, kind, news)
        code = worker.wait()
        if kind not in job.finished:
            how = f"signal {-code}" if code < 0 else f"status {code}"
            who = f"{kind.upper()}: the training" if isinstance(job, Training) else "The"
            text = f"{who} process ended by itself ({how})."
            self._heard(job, kind, {"kind": "failed", "text": text})
        with self.lock:
            job.workers.pop(kind, None)
            if job.state == "drawing" and not job.workers:
                self._end(job, "done")

    def _heard(self, job: Job, kind: str, news: dict[str, Any]) -> None:
        with self.lock:
            if job.state in ENDED:
                return
            self._tell(job, kind, news)
            if news["kind"] == "failed":
                self._end(job, "failed")
            elif news["kind"] in ("trained", "dropped"):
                job.finished.add(kind)
                if job.finished == set(job.sides):
                    if job.wish == "drop":  # one of the two may have been past stopping
                        self._end(job, "stopped")
                    else:
                        job.state = "drawing"
                        self._tell(job, "", {"kind": "state", "state": "drawing"})
                        self._advance()
            elif news["kind"] == "result":
                job.finished.add(kind)
                self._end(job, "done")
            elif news["kind"] == "moment" and isinstance(job, Training):
                self._thin(job, kind)

    def _end(self, job: Job, state: str) -> None:
        job.state = state
        for worker in job.workers.values():
            if state != "done":
                worker.kill()
        self._tell(job, "", {"kind": "state", "state": state})
        self._advance()

    def _tell(self, job: Job, side: str, news: dict[str, Any]) -> None:
        with self.lock:
            job.events.append({**news, "side": side, "sent": now()})
            listeners = list(job.listeners)
        for listener in listeners:
            listener()

    def _thin(self, job: Training, kind: str) -> None:
        """Keep the film within its bound: when it is full, every second picture goes."""
        folder = job.model_folder(kind)
        files = sorted(folder.glob("moment-*"))
        if len(files) > 2 and sum(file.stat().st_size for file in files) > self.limits.film_bytes // len(KINDS):
            for file in files[1:-1:2]:
                file.unlink(missing_ok=True)

    # --- the watch --------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self.closed.wait(1.0):
            with self.lock:
                for job in list(self.jobs.values()):
                    self._watch_job(job, time.monotonic())
                if time.monotonic() - self.wanted > self.limits.idle_s:
                    for spare in self.spares:
                        spare.kill()
                    self.spares.clear()

    def _watch_job(self, job: Job, now: float) -> None:
        if job.state in ENDED or job.state == "drawing" or job.wish:
            return
        kept = " and kept" if isinstance(job, Training) else ""
        if not job.listeners and now - job.alone_since > self.limits.grace_s:
            self._tell(job, "", {"kind": "warning", "text": f"The page was closed, so this was ended{kept}."})
            self.stop(job, keep=True)
        elif job.state == "training" and now - job.started > self.limits.training_s:
            minutes = self.limits.training_s / 60
            text = f"This was ended{kept} after {minutes:g} minutes, the most that one may take here."
            self._tell(job, "", {"kind": "warning", "text": text})
            self.stop(job, keep=True)

    def _forget_old(self) -> None:
        """The oldest ended jobs make room."""
        ended = [job for job in self.jobs.values() if job.state in ENDED]
        for job in ended[: max(0, len(self.jobs) - self.limits.kept_jobs)]:
            del self.jobs[job.id]
            shutil.rmtree(job.folder, ignore_errors=True)


@functools.cache
def here() -> Jobs:
    """The jobs of this server."""
    return Jobs(limits_here())


def earlier_folder(folder: Path, kind: str) -> Path:
    """The folder of the AE or the VAE among the models in folder. Raises ValueError if there is none."""
    for card in sorted(folder.glob(f"*/{checkpoints.CARD}")):
        if checkpoints.read_card(card.parent).model == kind:
            return card.parent
    raise ValueError(f"There is no {kind.upper()} to go on from")


def remove_left_over() -> None:
    """Remove the folders of servers that were killed before they could tidy up."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*-*"):
        pid = folder.name.removeprefix(FOLDER_PREFIX).split("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)


def start_process() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "explorer.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )


def tell(worker: subprocess.Popen[str], message: dict[str, Any]) -> None:
    """One JSON line to a worker; one that is gone is noticed by whoever follows it."""
    assert worker.stdin is not None
    with contextlib.suppress(OSError):
        worker.stdin.write(json.dumps(message) + "\n")
        worker.stdin.flush()
