"""Logs as JSON lines: one line an event, and in none of them what a visitor typed or sent."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from explorer import logs, visitors
from explorer.job import LabRun
from explorer.jobs import Jobs, Limits
from explorer.request_log import RequestLog
from tests.asgi import get

ANNA, BEN = "A" * 32, "B" * 32
MARK = "MARKED-4711"


async def kept(request: Request) -> Response:
    return PlainTextResponse("x" * 123)


async def broken(request: Request) -> Response:
    raise KeyError(MARK)


ROUTES = [Route("/sub/kept/{pair:str}.zip", kept), Route("/sub/health", kept), Route("/sub/broken", broken)]
APP = RequestLog(Starlette(routes=ROUTES), routes=ROUTES, base_path="sub", visitor_of=visitors.visitor_of)


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(logs.SETTING, "json")


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What was logged, each line as it would be read."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_request_is_a_line_that_says_what_was_asked_and_how_it_went(
    as_json: None, capsys: pytest.CaptureFixture[str]
) -> None:
    get(APP, "/sub/health", query=f"left={MARK}", cookie=f"{visitors.COOKIE}={ANNA}", accept=MARK)
    (told,) = said(capsys)
    assert {key: told[key] for key in ("kind", "method", "path", "status", "bytes")} == {
        "kind": "request",
        "method": "GET",
        "path": "/sub/health",
        "status": 200,
        "bytes": 123,
    }
    assert told["ms"] >= 0
    assert MARK not in json.dumps(told)


def test_a_visitors_lines_are_found_by_a_hash_that_tells_nobody_who_it_was(
    as_json: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for visitor in (ANNA, BEN, ANNA):
        get(APP, "/sub/health", cookie=f"{visitors.COOKIE}={visitor}")
    get(APP, "/sub/health")
    first, second, third, nobody = (told["session"] for told in said(capsys))
    assert first == third != second
    assert nobody is None
    assert first not in ANNA
    assert first not in visitors.folder_of(ANNA), "nor where the visitor's files lie"


@pytest.mark.parametrize("path", [f"/sub/kept/{MARK}.zip", f"/{MARK}", f"/sub/health/{MARK}", f"/sub/{MARK}\n{{}}"])
def test_names_in_an_address_are_not_logged(path: str, as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    get(APP, path)
    (told,) = said(capsys)
    assert MARK not in json.dumps(told)
    assert "*" in told["path"]


@given(path=st.text(max_size=80), method=st.text(max_size=10))
def test_whatever_is_asked_for_is_one_line(path: str, method: str) -> None:
    line = logs.line("request", path=path, method=method)
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert json.loads(line)["path"] == path
    public = APP.public(path)
    assert set(public.split("/")) <= {*APP.known, "*", ""}


def test_a_method_of_ones_own_making_is_not_logged(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    get(APP, "/sub/health", method=MARK)
    assert said(capsys)[0]["method"] == "*"


def test_a_request_that_fails_is_logged_as_such(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError):
        get(APP, "/sub/broken")
    (told,) = said(capsys)
    assert told["status"] == 500
    assert MARK not in json.dumps(told)


def test_without_the_setting_nothing_is_added_to_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in (None, "", "text"):
        monkeypatch.delenv(logs.SETTING, raising=False) if value is None else monkeypatch.setenv(logs.SETTING, value)
        get(APP, "/sub/health")
    assert said(capsys) == []


def test_a_log_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(logs.SETTING, "xml")
    with pytest.raises(ValueError, match=r"LATENT_EXPLORER_LOG must be one of: text, json; got 'xml'"):
        logs.is_json()


def test_a_fault_that_a_library_logs_is_one_line_with_its_place_and_without_its_message(
    as_json: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def open_upload() -> None:
        raise ValueError(f"{MARK}\nis no zip")

    with pytest.raises(ValueError, match=MARK) as caught:
        open_upload()
    told = (ValueError, caught.value, caught.value.__traceback__)
    record = logging.LogRecord("streamlit", logging.ERROR, __file__, 1, "Could not read %s", (MARK,), told)
    logs.tell_record(logging.getLogger("streamlit"), record)
    (about,) = said(capsys)
    assert (about["fault"], about["text"], about["logger"]) == ("ValueError", "Could not read %s", "streamlit")
    assert "in open_upload: raise ValueError" in about["traceback"][-1]
    assert MARK not in json.dumps(about)


def test_a_text_that_was_put_together_is_told_by_the_line_that_says_it(
    as_json: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """As asyncio does, which puts a task's whole error into it."""
    record = logging.LogRecord("some.library", logging.ERROR, __file__, 1, f"Task failed: {MARK}", (), None)
    logs.tell_record(logging.getLogger("some.library"), record)
    (about,) = said(capsys)
    assert MARK not in json.dumps(about)
    assert about["text"] == Path(__file__).read_text().splitlines()[0]
    assert about["where"] == f"{__file__}:1"


def test_a_word_to_who_runs_the_server_is_a_line_like_any_other(
    as_json: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.warn("The disk is full.")
    (about,) = said(capsys)
    assert (about["kind"], about["text"]) == ("warning", "The disk is full.")
    monkeypatch.delenv(logs.SETTING)
    logs.warn("The disk is full.")
    assert capsys.readouterr().err == "explorer: The disk is full.\n"


FAULTY = """
import logging, threading, warnings
from explorer import logs
logs.begin()
logging.getLogger("none.of.its.own").error("Careful")
library = logging.getLogger("uvicorn.access")
library.addHandler(logging.StreamHandler())
library.setLevel(logging.INFO)
library.info("GET /MARKED-4711")
warnings.warn("MARKED-4711")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start(); thread.join()
class Worse:
    def __del__(self):
        raise KeyError("MARKED-4711")
Worse()
raise RuntimeError("MARKED-4711")
"""


def test_every_line_of_a_process_that_dies_is_json() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULTY],
        env={logs.SETTING: "json"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(one["kind"], one.get("fault")) for one in told] == [
        ("log", None),
        ("log", None),
        ("fault", "ZeroDivisionError"),
        ("fault", "KeyError"),
        ("fault", "RuntimeError"),
    ]
    assert done.returncode == 1
    assert MARK not in done.stderr
    assert done.stdout == ""


def test_a_run_is_logged_when_it_begins_and_when_it_ends(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = Jobs(Limits(at_once=0))
    try:
        run = jobs.submit_lab(ANNA, "documents", {"name": MARK}, given=MARK.encode())
        assert isinstance(run, LabRun)
        jobs.stop(run, keep=False)
    finally:
        jobs.close()
    (told,) = said(capsys)
    assert (told["kind"], told["state"], told["sides"]) == ("training", "stopped", ["documents"])
    assert told["session"] == logs.named(ANNA)
    text = json.dumps(told)
    assert not any(secret in text for secret in (MARK, ANNA, run.id))
