"""All jobs of a server: they queue for worker processes, are followed, stopped, and taken over by the next server.

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
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from explorer import demo, job_files, logs, places, settings
from explorer.files import check_room, unwritten, write_whole
from explorer.job import ENDED, KINDS, Job, LabRun, Listener, Training, new_id, now, restored
from explorer.labs.orders import GIVEN
from explorer.workers import BACKENDS, HERE, ON_RAY, chosen, ended_by_itself, start_process, tell

LOST_AT_MOST = 5
GIVEN_LIMITS: dict[str, Callable[[str], float]] = {"at_once": int, "grace_s": float, "training_s": float}


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
    patience_s: float = 300
    max_bytes: int = 1_500_000_000
    film_bytes: int = 150_000_000


def limits_here() -> Limits:
    """The limits, where the environment does not say otherwise (see README). Raises ValueError for what is none."""
    limits = Limits(**{name: number for name in GIVEN_LIMITS if (number := number_here(name)) is not None})
    if not demo.mode():
        return limits
    training_s = min(limits.training_s, demo.TRAINING_S)
    return replace(limits, training_s=training_s, active_a_visitor=demo.ACTIVE_A_VISITOR)


def number_here(limit: str) -> Any:
    """The number that the environment gives for a limit; None if it gives none."""
    name, kind = f"LATENT_EXPLORER_{limit.upper()}", GIVEN_LIMITS[limit]
    if not (given := os.environ.get(name)):
        return None
    try:
        if not 0 < (number := kind(given)) < float("inf"):
            raise ValueError("no such limit")
    except ValueError as error:
        what = "whole number" if kind is int else "number of seconds"
        raise ValueError(f"{name} must be a {what} above 0, got {given[:40]!r}") from error
    return number


class Refused(ValueError):
    """An order that cannot be taken now; the message says why and what to do."""


class Jobs:
    """All jobs of one server. Every method may be called from any thread."""

    def __init__(
        self, limits: Limits | None = None, *, module: str = HERE, place: places.Place | None = None, problem: str = ""
    ) -> None:
        """module: which of explorer.workers works for them. place: where they outlive this server; None: nowhere.

        problem: why there can be none here, told to who orders one.
        """
        self.limits = limits or Limits()
        self.module = module
        self.place = place
        self.problem = problem
        self.root = place.root if place else places.temporary()
        self.lock = threading.RLock()
        self.jobs: dict[str, Job] = {}
        self.spares: list[subprocess.Popen[str]] = []
        self.wanted = time.monotonic()
        self.ending = threading.Event()
        self.closed = threading.Event()
        self._restore()
        threading.Thread(target=self._watch, daemon=True).start()

    # --- orders -----------------------------------------------------------------------------------------------------

    def warm(self) -> None:
        """Someone may start a training soon: have processes ready that hold torch already."""
        if demo.mode() == demo.LOOK:
            return
        with self.lock:
            self.wanted = time.monotonic()
            self.spares = [spare for spare in self.spares if spare.poll() is None]
            while len(self.spares) < len(KINDS) and not self.closed.is_set():
                self.spares.append(start_process(self.module))

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
        try:
            demo.check_training(chosen, shipped=not (full or earlier or data_folder))
        except ValueError as error:
            raise Refused(str(error)) from None
        name, folder = self._new_place()
        job = Training(name, owner, folder, KINDS, settings=chosen, full=full, earlier=earlier, data_folder=data_folder)
        self._take(job)
        return job

    def submit_lab(self, owner: str, lab: str, chosen: dict[str, Any], *, given: bytes = b"") -> LabRun:
        """Take an order for a lab. given: a file that belongs to it. Raises Refused."""
        try:
            demo.check_lab(chosen, given=bool(given))
        except ValueError as error:
            raise Refused(str(error)) from None
        name, folder = self._new_place()
        job = LabRun(name, owner, folder, (lab,), lab=lab, chosen=chosen)
        self._take(job, given)
        return job

    def _new_place(self) -> tuple[str, Path]:
        name = new_id()
        return name, self.root / "jobs" / name

    def _take(self, job: Job, given: bytes = b"") -> None:
        if self.problem:
            raise Refused(self.problem)
        try:
            check_room(self.root)
        except ValueError as error:
            raise Refused(str(error)) from None
        with self.lock:
            active = [other for other in self.jobs.values() if other.state not in ENDED]
            if sum(other.owner == job.owner for other in active) >= self.limits.active_a_visitor:
                most = self.limits.active_a_visitor
                many = "a training already: stop it" if most == 1 else f"{most} trainings already: stop one of them"
                raise Refused(f"You have {many} first")
            if sum(other.state == "waiting" for other in active) >= self.limits.waiting:
                raise Refused("The queue is full: try again in some minutes")
            try:
                job.folder.mkdir(parents=True)
                if given:
                    write_whole(job.folder / GIVEN, given, durable=False)
                job_files.write_order(job.folder, job.record())
            except OSError as error:
                shutil.rmtree(job.folder, ignore_errors=True)
                raise Refused(unwritten(error, then="start again")) from error
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

    def owners(self) -> set[str]:
        with self.lock:
            return {job.owner for job in self.jobs.values()}

    @property
    def backend(self) -> str:
        """Which of explorer.workers.BACKENDS works for them."""
        return next(name for name, module in BACKENDS.items() if module == self.module)

    def counts(self) -> dict[str, int]:
        """How many are at work, and how many wait."""
        with self.lock:
            states = [job.state for job in self.jobs.values() if job.state not in ENDED]
        waiting = states.count("waiting")
        return {"running": len(states) - waiting, "waiting": waiting}

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
                job.wished = time.monotonic()
                self._tell(job, "", {"kind": "wish", "wish": "keep" if keep else "drop"})
                for worker in job.workers.values():
                    tell(worker, {"stop": job.wish})

    def listen(self, job: Job, listener: Listener) -> None:
        with self.lock:
            job.listeners.append(listener)

    def unlisten(self, job: Job, listener: Listener) -> None:
        with self.lock:
            job.listeners.remove(listener)
            job.alone_since = time.monotonic()

    def hang_up(self) -> None:
        """The server is asked to end, which it cannot while pages listen: let them ask again."""
        self.ending.set()
        with self.lock:
            listeners = [listener for job in self.jobs.values() for listener in job.listeners]
        for listener in listeners:
            listener()

    def close(self) -> None:
        """End all processes. What is to outlive this server stays where it is; else all files go."""
        self.closed.set()
        with self.lock:
            workers = [*self.spares, *(worker for job in self.jobs.values() for worker in job.workers.values())]
        for worker in workers:
            worker.kill()
            worker.wait()
        if self.place:
            self.place.leave()
        else:
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
            orders = {side: job.order(side) for side in job.undone}
        except (ValueError, OSError) as error:  # removed while the job waited, or a full disk
            text = unwritten(error, then="start again") if isinstance(error, OSError) else f"{error}"
            self._tell(job, "", {"kind": "failed", "text": f"{text}."})
            self._end(job, "failed")
            return
        if job.state != "drawing":
            job.started = time.monotonic()
            self._tell(job, "", {"kind": "state", "state": "training"})
        for side, order in orders.items():
            self._begin(job, side, order)

    def _begin(self, job: Job, side: str, order: dict[str, Any]) -> None:
        """Give a side's order to a process, and a wish to stop that came before it."""
        worker = job.workers[side] = self._take_worker()
        tell(worker, {**order, "max_bytes": self.limits.max_bytes})
        if job.wish:
            job.wished = time.monotonic()
            tell(worker, {"stop": job.wish})
        threading.Thread(target=self._follow, args=(job, side, worker), daemon=True).start()

    def _take_worker(self) -> subprocess.Popen[str]:
        while self.spares:
            spare = self.spares.pop(0)
            if spare.poll() is None:
                return spare
        return start_process(self.module)

    def _follow(self, job: Job, kind: str, worker: subprocess.Popen[str]) -> None:
        """Pass on what a worker says until it ends."""
        assert worker.stdout is not None
        for line in worker.stdout:
            with contextlib.suppress(ValueError):
                news = json.loads(line)
                if news["kind"] != "ready":
                    self._heard(job, kind, news)
        code = worker.wait()
        with self.lock:
            job.workers.pop(kind, None)
            if self.closed.is_set() or self._takes_up(job, kind, code):
                return
            if kind not in job.finished:
                self._heard(job, kind, {"kind": "failed", "text": ended_by_itself(kind, code)})
            if job.state == "drawing" and not job.workers:
                self._end(job, "done")

    def _takes_up(self, job: Job, side: str, code: int) -> bool:
        """Begin a side again whose process went down with its cluster; whether that was so."""
        if job.state in ENDED or side in job.finished or code == 0 or self.module != ON_RAY or job.lost >= LOST_AT_MOST:
            return False
        job.lost += 1
        text = "The connection to the cluster was lost. This goes on from what has come back."
        self._tell(job, side, {"kind": "warning", "text": text})
        try:
            self._begin(job, side, job.order(side))
        except ValueError:  # what it needs was removed meanwhile
            return False
        return True

    def _heard(self, job: Job, kind: str, news: dict[str, Any]) -> None:
        with self.lock:
            if job.state in ENDED:
                return
            self._tell(job, kind, news)
            if news["kind"] == "failed":
                self._end(job, "failed")
            elif news["kind"] in ("trained", "dropped") and job.finished == set(job.sides):
                self._both_trained(job)
            elif news["kind"] == "result":
                self._end(job, "done")
            elif news["kind"] == "moment" and isinstance(job, Training):
                self._thin(job, kind)

    def _both_trained(self, job: Job) -> None:
        if job.wish == "drop":  # one of the two may have been past stopping
            self._end(job, "stopped")
            return
        self._tell(job, "", {"kind": "state", "state": "drawing"})
        self._advance()

    def _end(self, job: Job, state: str) -> None:
        for worker in job.workers.values():
            if state != "done":
                worker.kill()
        self._tell(job, "", {"kind": "state", "state": state})
        self._advance()

    def _tell(self, job: Job, side: str, news: dict[str, Any]) -> None:
        with self.lock:
            if self.closed.is_set():
                return
            told = {**news, "side": side, "sent": now()}
            if self.place:
                job_files.add_news(job.folder, told)
            job.recall(told)
            listeners = list(job.listeners)
        logs.tell_of_job(job.id, job.owner, job.sides, news, seconds=job.started and time.monotonic() - job.started)
        for listener in listeners:
            listener()

    def _thin(self, job: Training, kind: str) -> None:
        """Keep the film within its bound: when it is full, every second picture goes."""
        folder = job.model_folder(kind)
        files = sorted(folder.glob("moment-*"))
        if len(files) > 2 and sum(file.stat().st_size for file in files) > self.limits.film_bytes // len(KINDS):
            for file in files[1:-1:2]:
                file.unlink(missing_ok=True)

    # --- after another server ---------------------------------------------------------------------------------------

    def _restore(self) -> None:
        """Take over the jobs of the server that had this place before: what it did not end goes on."""
        with self.lock:
            found = [job for folder in self.root.glob("jobs/*") if (job := restored(folder))]
            self.jobs = {job.id: job for job in sorted(found, key=lambda job: job.taken)}
            for job in self.jobs.values():
                if job.state in ENDED:
                    continue
                if job.finished == set(job.sides):
                    self._both_trained(job)
                    self._draw_again(job)
                elif job.state == "training":
                    self._tell(job, "", {"kind": "warning", "text": STARTED_AGAIN[type(job)]})
                    job.state = "waiting"
            self._advance()

    def _draw_again(self, job: Job) -> None:
        if job.state == "drawing" and job.undone:
            self._start(job)
        elif job.state == "drawing":
            self._end(job, "done")

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
        if job.state in ENDED or job.state == "drawing":
            return
        if job.wish:
            if job.state == "training" and now - job.wished > self.limits.patience_s:
                self._give_up(job)
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

    def _give_up(self, job: Job) -> None:
        """A process does not do what it was told: it hangs, and others wait."""
        if job.wish == "drop":
            self._end(job, "stopped")
            return
        sides = " and ".join(side.upper() for side in job.sides if side not in job.finished)
        self._tell(job, "", {"kind": "failed", "text": f"{sides}: the training did not end when it should."})
        self._end(job, "failed")

    def _forget_old(self) -> None:
        """The oldest ended jobs make room."""
        ended = [job for job in self.jobs.values() if job.state in ENDED]
        for job in ended[: max(0, len(self.jobs) - self.limits.kept_jobs)]:
            del self.jobs[job.id]
            shutil.rmtree(job.folder, ignore_errors=True)


STARTED_AGAIN = {
    Training: "The server was started again. The training goes on from the last whole epoch.",
    LabRun: "The server was started again, and so is this.",
}


@functools.cache
def here() -> Jobs:
    """The jobs of this server. What is wrong with its settings is told once, and the rest of the app works."""
    module, problem, place = HERE, "", None
    try:
        module = chosen()
    except ValueError as error:
        problem = f"No training can be started here: {error}"
        logs.warn(f"{problem}.")
    try:
        place = places.take(places.state_folder())
    except ValueError as error:
        logs.warn(f"{error}. What is trained and kept will go with this server.")
    return Jobs(limits_here(), module=module, place=place, problem=problem)
