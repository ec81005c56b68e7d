"""Two servers under a path behind nginx, configured as docs/hosting.md says: each visitor stays at one."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import get_nginx
import numpy as np
import pytest
from launch import nginx, serve, sticky
from playwright.sync_api import BrowserContext, expect

from explorer import logs
from explorer.visitors import COOKIE, HOST_COOKIE
from tests.browser.conftest import OpenPage
from tests.browser.stage import move, pixels

pytestmark = [pytest.mark.browser, pytest.mark.soak]
BASE = "explorer"
FILE_MARK, CONTENT_MARK = "MARKED-FILE-4711", "MARKED-CONTENT-4711"
PATIENCE_MS, PATIENCE_S = 30_000, 20.0
COMMAND = 'exec "$0" -m explorer run --port {port} 2>"$1"'


@dataclass(frozen=True)
class Process:
    """One of the servers behind nginx. log: where its stderr goes."""

    pid: int
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def sessions(self) -> set[str]:
        return {line["session"] for line in self.lines() if line.get("session")}


@dataclass(frozen=True)
class House:
    """What stands behind one address. elsewhere: where the servers' calls to other hosts would arrive."""

    elsewhere: socket.socket
    port: int
    processes: tuple[Process, Process]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/{BASE}"

    def ask(
        self, path: str, *, method: str = "GET", visitor: str = "", planted: str = "", **headers: str
    ) -> http.client.HTTPResponse:
        """planted: a cookie beside that of a visitor who came by https."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        own = f"{COOKIE}={planted}; {HOST_COOKIE}={visitor}" if planted else f"{COOKIE}={visitor}"
        cookie = {"Cookie": own} if visitor else {}
        connection.request(method, f"/{BASE}{path}", headers={**cookie, **headers})
        return connection.getresponse()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    program = get_nginx.find()
    if program is None:
        pytest.skip(get_nginx.MISSING)
    made = [tmp_path_factory.mktemp("server") / "log" for _ in range(2)]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as both:
        elsewhere = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        elsewhere.setblocking(False)
        proxy = "http://127.0.0.1:{1}".format(*elsewhere.getsockname())
        outside = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy)
        settings = {**outside, "no_proxy": "", "LATENT_EXPLORER_LOG": "json", "STREAMLIT_SERVER_BASE_URL_PATH": BASE}
        commands = [("sh", "-c", COMMAND, sys.executable, str(log)) for log in made]
        servers = list(both.map(lambda command: stack.enter_context(serve(command, **settings)), commands))
        ports = [int(server.url.rsplit(":", 1)[1]) for server in servers]
        front = stack.enter_context(nginx(program, sticky(ports)))
        port = int(front.url.rsplit(":", 1)[1])
        yield House(elsewhere, port, tuple(Process(server.pid, log) for server, log in zip(servers, made)))  # type: ignore[arg-type]


def table(path: Path) -> Path:
    """A CSV larger than nginx would take by itself, 1 MB, whose columns are marked."""
    rows = np.random.default_rng(0).random((3000, 60))
    np.savetxt(path, rows, "%.5f", ",", header=",".join(f"{CONTENT_MARK}-{i}" for i in range(60)), comments="")
    assert path.stat().st_size > 1_000_000
    return path


def next_event(stream: http.client.HTTPResponse, kind: str) -> dict[str, Any]:
    """The next event of this kind; waits for it as long as the connection may be quiet."""
    while line := stream.readline():
        if line.startswith(b"data: "):
            event = json.loads(line.removeprefix(b"data: "))
            if event.get("kind") == kind:
                return dict(event)
    raise AssertionError(f"The stream ended before {kind}")


def has_ended(pid: int) -> bool:
    """Whether the process ends in time: it is our child's, so it stays as a zombie until that is asked."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_two_servers_behind_one_address_are_one_to_their_visitors(
    house: House, open_page: OpenPage, usual: BrowserContext, tmp_path: Path
) -> None:
    bare = house.ask("?d=16")
    assert (bare.status, bare.getheader("Location")) == (308, f"/{BASE}/?d=16")

    # the stage, over the websocket and under the path
    page = open_page("", address=house.address)
    move(page, "AE", 0.3, 0.6)
    first = pixels(page, "AE decoded image")
    move(page, "AE", 0.7, 0.3)
    assert not np.array_equal(pixels(page, "AE decoded image"), first)

    # an upload
    page.get_by_role("link", name="Yours").click()
    page.get_by_role("tab", name="A data set").click()
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(table(tmp_path / f"{FILE_MARK}.csv"))
    expect(page.get_by_text("3,000 rows of 60 features")).to_be_visible(timeout=PATIENCE_MS)
    page.close()

    # a running lab's events come one by one
    visitor = next(cookie["value"] for cookie in usual.cookies(house.address) if cookie["name"] == COOKIE)
    path = "/labs/basic/run?settings=%7B%22epochs%22:50%7D"
    job = json.load(house.ask(path, method="POST", visitor=visitor, **{"X-Latent-Explorer": "1"}))["id"]
    stream = house.ask(f"/jobs/{job}/events", visitor=visitor)
    assert next_event(stream, "step")["done"] == 1

    # each visitor is always at the same process
    crowd = [secrets.token_urlsafe(24) for _ in range(12)]
    for number, someone in enumerate(crowd * 2):
        planted = crowd[number // 2] if number >= len(crowd) else ""
        assert house.ask("/health", visitor=someone, planted=planted).status == 200
    assert house.ask(f"/jobs/{job}/events", visitor=crowd[0]).status == 404
    at = [process.sessions() for process in house.processes]
    assert not at[0] & at[1]
    assert {logs.named(someone) for someone in [visitor, *crowd]} <= at[0] | at[1]
    assert all(sessions & {logs.named(someone) for someone in crowd} for sessions in at)

    # one is asked to end: it lets its listeners go, and its visitors meet the other, which says what it has not
    home = house.processes[0 if logs.named(visitor) in at[0] else 1]
    os.kill(home.pid, signal.SIGTERM)
    assert b"event: end" not in stream.read()
    assert has_ended(home.pid)
    lost = house.ask(f"/jobs/{job}/events", visitor=visitor)
    assert lost.status == 404
    assert json.load(lost)["problem"].startswith("There is no such training of yours.")
    assert json.load(house.ask("/health", visitor=visitor))["trainings"] == {"running": 0, "waiting": 0}
    again = usual.new_page()
    again.goto(f"{house.address}/train?job={job}")
    expect(again.get_by_text("There is no such training of yours on this server")).to_be_visible(timeout=PATIENCE_MS)
    again.close()

    # nobody else was told or asked anything
    with pytest.raises(BlockingIOError):
        house.elsewhere.accept()

    # what was logged
    told = [line for process in house.processes for line in process.lines()]
    uploads = [
        line for line in told if line.get("path") == f"/{BASE}/_stcore/upload_file/*/*" and line["method"] == "PUT"
    ]
    assert [line["status"] for line in uploads] == [204]
    states = [line["state"] for line in told if line["kind"] == "training"]
    assert states[0] == "training"
    assert {"ready", "closed"} <= {line["state"] for line in home.lines() if line["kind"] == "server"}
    text = "".join(process.log.read_text() for process in house.processes)
    assert not any(secret in text for secret in (FILE_MARK, CONTENT_MARK, visitor, job, *crowd))
