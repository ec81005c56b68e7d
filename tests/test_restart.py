"""A server ends, by force or not, and the next one goes on with all that it had."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from explorer import checkpoints, job_files, jobs, places
from explorer.job import ENDED, KEPT_S, KINDS, Job, LabRun, Training, now
from explorer.jobs import Jobs, Limits, Refused
from explorer.settings import Settings
from explorer.visitors import DataShelf, Shelf
from tests.test_jobs import (
    ACTOR,
    BRIEF,
    PATIENT,
    SMALL,
    assert_same_bits,
    by_command_line,
    heard,
    no_drawing,
    states,
    wait_for,
    wait_until,
)

LONG = Settings(**{**vars(SMALL), "epochs": 40})
SERVER = f"""
import pathlib, sys, time
from explorer import places, settings
from explorer.jobs import *
many = Jobs(Limits(at_once=1), place=places.take(pathlib.Path(sys.argv[1])))
job = many.submit("anna", settings.Settings.of({LONG.record()!r}))
second = many.submit("ben", settings.Settings())
while not all(any(e["kind"] == "epoch" and e["side"] == kind for e in list(job.events)) for kind in KINDS):
    time.sleep(0.01)
print(job.id, second.id, *(worker.pid for worker in job.workers.values()), flush=True)
time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Jobs, list[str]]]:
    """The jobs of a server that came after one that was killed, and what that one said."""
    state = tmp_path_factory.mktemp("state")
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(state)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    said = server.stdout.readline().split()
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    made = Jobs(Limits(at_once=1, grace_s=600), place=places.take(state))
    yield made, said
    made.close()


def test_the_processes_of_a_killed_server_do_not_live_on(killed: tuple[Jobs, list[str]]) -> None:
    _, (_, _, *pids) = killed
    wait_until(lambda: not any(is_alive(int(pid)) for pid in pids))


def test_after_a_kill_a_training_goes_on_under_its_name_to_the_same_weights(
    killed: tuple[Jobs, list[str]], tmp_path: Path
) -> None:
    many, (name, *_) = killed
    job = many.get(name, "anna")
    assert isinstance(job, Training)
    wait_for(job, "drawing", *ENDED)
    no_drawing(job)
    assert next(e["text"] for e in heard(job, "warning")) == jobs.STARTED_AGAIN[Training]
    assert all(0 < len(heard(job, "model", kind)[-1]["done"]) < LONG.epochs for kind in KINDS)
    for kind in KINDS:
        files = [e["file"] for e in heard(job, "moment", kind)]
        assert len(files) == len(set(files))
    wanted = by_command_line(LONG, "vae", tmp_path)
    assert_same_bits(load_file(job.model_folder("vae") / checkpoints.WEIGHTS), wanted)


def test_after_a_kill_who_waited_comes_next(killed: tuple[Jobs, list[str]]) -> None:
    many, (first, second, *_) = killed
    waited = many.get(second, "ben")
    assert waited
    assert list(many.jobs) == [first, second]
    assert states(waited)[0] == "waiting"
    wait_until(lambda: waited.state == "training")
    many.stop(waited, keep=False)


# ---- with actors, and a server that ends in order


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Jobs]]:
    """The next server on the same place, whose processes are actors; the one before ends first."""
    made: list[Jobs] = []
    pipe, orders = subprocess.PIPE, tmp_path / "orders"
    keeping = ACTOR.replace("chosen = ", f"open({str(orders)!r}, 'a').write(json.dumps(order) + chr(10))\nchosen = ")
    command = [sys.executable, "-S", "-c", keeping]
    monkeypatch.setattr(jobs, "start_process", lambda _: subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))

    def make(**limits: Any) -> Jobs:
        for former in made:
            former.close()
        place = places.take(tmp_path / "state")
        made.append(Jobs(Limits(**{"at_once": 1, "grace_s": 600, **limits}), place=place))
        return made[-1]

    yield make
    made[-1].close()


def again(many: Jobs, job: Job) -> Job:
    found = many.get(job.id, job.owner)
    assert found
    return found


def test_a_server_that_is_ended_leaves_its_trainings_to_the_next(serve: Callable[..., Jobs]) -> None:
    first = serve()
    running, waiting = first.submit("anna", PATIENT), first.submit("ben", PATIENT)
    wait_until(lambda: len(heard(running, "begun")) == 2)
    next_one = serve()
    found = again(next_one, running)
    wait_until(lambda: len(heard(found, "begun")) == 4)
    assert not heard(found, "failed")
    assert states(found) == ["training", "training"]
    assert again(next_one, waiting).state == "waiting"
    assert next_one.get(running.id, "ben") is None


def test_a_wish_to_stop_outlives_the_server_that_heard_it(serve: Callable[..., Jobs]) -> None:
    first = serve()
    job = first.submit("anna", PATIENT)
    wait_until(lambda: len(heard(job, "begun")) == 2)
    first._tell(job, "", {"kind": "wish", "wish": "drop"})  # heard, and not yet passed on
    found = again(serve(), job)
    wait_for(found, *ENDED)
    assert found.state == "stopped"


def test_what_was_trained_is_drawn_by_the_next_server_and_not_trained_again(
    serve: Callable[..., Jobs], tmp_path: Path
) -> None:
    first = serve()
    job = first.submit("anna", PATIENT)
    wait_until(lambda: len(heard(job, "begun")) == 2)
    first.stop(job, keep=True)
    wait_for(job, "drawing")
    found = again(serve(), job)
    wait_until(lambda: len(found.workers) == 2)
    assert found.state == "drawing"
    wait_until(lambda: len((tmp_path / "orders").read_text().splitlines()) == 4)
    told = [json.loads(line)["trained"] for line in (tmp_path / "orders").read_text().splitlines()]
    assert told == [False, False, True, True]
    no_drawing(found)


def test_what_has_ended_is_there_with_all_its_news_until_it_is_old(
    serve: Callable[..., Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = serve().submit("anna", BRIEF)
    wait_for(job, "done")
    news = list(job.events)
    assert again(serve(), job).events == news
    later = now() + KEPT_S + 60
    monkeypatch.setattr("explorer.job.now", lambda: later)
    assert serve().get(job.id, "anna") is None
    assert not job.folder.exists()


def test_a_clock_that_was_set_back_changes_nothing(serve: Callable[..., Jobs], monkeypatch: pytest.MonkeyPatch) -> None:
    first = serve()
    job = first.submit("anna", PATIENT)
    wait_until(lambda: len(heard(job, "begun")) == 2)
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    found = again(serve(), job)
    wait_until(lambda: len(heard(found, "begun")) == 4)
    assert found.state == "training"


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line.replace(b'"state"', b'"stade"'),
        lambda line: line.replace(b'"side": ""', b'"side": []'),
        lambda line: line.replace(b'"sent": 1', b'"sent": "'),
        lambda line: line[:-9],
        lambda line: b"\xff" + line,
        lambda line: line.partition(b" ")[2],
    ],
)
def test_news_that_was_damaged_is_left_out_and_the_rest_counts(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    told = [{"kind": "state", "state": state, "side": "", "sent": 1.5} for state in ("waiting", "training", "done")]
    for news in told:
        job_files.add_news(tmp_path, news)
    assert job_files.read_news(tmp_path) == told
    path = tmp_path / job_files.NEWS
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    path.write_bytes(b"\n".join([lines[0], damage(lines[1]), lines[2]]))
    assert job_files.read_news(tmp_path) == [told[0], told[2]]


def test_after_a_line_that_was_cut_off_the_next_one_counts(tmp_path: Path) -> None:
    told = [{"kind": "state", "state": state, "side": "", "sent": 1.5} for state in ("waiting", "training")]
    job_files.add_news(tmp_path, told[0])
    with (tmp_path / job_files.NEWS).open("ab") as file:
        file.write(b'0123 {"kind": "sta')  # as a full disk leaves it
    job_files.add_news(tmp_path, told[1])
    assert job_files.read_news(tmp_path) == told


def test_lines_that_were_cut_off_and_orders_that_cannot_be_read_harm_nothing_else(
    serve: Callable[..., Jobs], capsys: pytest.CaptureFixture[str]
) -> None:
    first = serve(at_once=0)
    whole, damaged = first.submit("anna", PATIENT), first.submit("ben", PATIENT)
    first.close()
    with (whole.folder / job_files.NEWS).open("ab") as file:
        file.write(b'{"kind": "state", "sta')
    (damaged.folder / job_files.ORDER).write_text('{"format": 99}')
    unfinished = whole.folder.parent / ("0" * 32)
    unfinished.mkdir()
    found = Jobs(Limits(at_once=0), place=places.take(whole.folder.parents[2]))
    assert list(found.jobs) == [whole.id]
    assert "update Latent Explorer" in capsys.readouterr().err
    assert not unfinished.exists()
    found.close()
    serve()


def test_a_lab_begins_anew_with_its_file(serve: Callable[..., Jobs]) -> None:
    given = b"a text"
    job = serve(at_once=0).submit_lab("anna", "documents", {"bits": 8}, given=given)
    found = again(serve(at_once=0), job)
    assert isinstance(found, LabRun)
    assert (found.order("documents")["settings"], (found.folder / "given").read_bytes()) == ({"bits": 8}, given)


# ---- a server that cannot write


def test_where_nothing_can_be_written_orders_are_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "temporary", lambda: places.NOWHERE)
    many = Jobs(Limits(at_once=0))
    with pytest.raises(Refused, match=r"The files cannot be written \(not a directory\)"):
        many.submit("anna", PATIENT)
    assert many.of("anna") == []
    with pytest.raises(ValueError, match=r"The files cannot be written \(not a directory\).*keep it again"):
        DataShelf(many.root / "data").place("A" * 32)
    many.close()


def test_a_state_folder_that_cannot_be_used_is_told_once_and_the_rest_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(places.STATE, str(tmp_path / "file" / "state"))
    many = jobs.here.__wrapped__()
    assert capsys.readouterr().err.count("\n") == 1
    assert many.root.is_dir()
    assert Shelf(many.root / "shelf").of("anna") == ()
    many.close()
    assert not many.root.exists()


def test_a_backend_that_is_not_there_is_told_to_who_orders(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LATENT_EXPLORER_JOBS", "cloud")
    many = jobs.here.__wrapped__()
    assert "LATENT_EXPLORER_JOBS must be one of: processes, ray" in capsys.readouterr().err
    with pytest.raises(Refused, match="No training can be started here: LATENT_EXPLORER_JOBS must be one of"):
        many.submit("anna", PATIENT)
    many.close()
