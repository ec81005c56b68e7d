"""Bad days in the browser: one that is too old, no scripts, a file that does not come, a server that goes and comes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from launch import APP, ROOT, answers, free_port, serve
from playwright.sync_api import Browser, Page, Route

from tests.browser.conftest import OpenPage
from tests.browser.stage import code, move

pytestmark = pytest.mark.browser
READY = '[data-ready="true"]'
PAGES = {
    "train": "h2:has-text('Train')",
    "measure": "h2:has-text('Measure')",
    "learn": READY,
    "labs": READY,
    "yours": READY,
}
SAYS_SO = """() => [...document.querySelectorAll('[role="dialog"] *')].some((one) =>
    getComputedStyle(one, '::after').content.includes('The server does not answer. Close this'))"""


def test_a_browser_that_lacks_something_says_what_and_what_would_be_right(open_page: OpenPage) -> None:
    def older(page: Page) -> None:
        page.add_init_script("delete window.DecompressionStream; delete window.OffscreenCanvas")

    page = open_page(before=older, ready=False)
    (said,) = page.locator('[data-role="stage"]').get_by_role("alert").all_inner_texts()
    assert said == (
        "This browser cannot show this page: it has no OffscreenCanvas, no DecompressionStream. "
        "Use Chrome, Edge or Firefox from 2023 on, or Safari 16.4 or newer."
    )


def test_without_scripts_the_page_asks_for_them(browser: Browser, app: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(app)
    assert "enable JavaScript" in page.inner_text("noscript")
    context.close()


def failing(times: int, seen: list[str]) -> object:
    """Breaks off the first fetches of what it is asked for."""

    def route(one: Route) -> None:
        seen.append(one.request.url)
        if seen.count(one.request.url) <= times:
            one.abort()
        else:
            one.continue_()

    return route


@pytest.mark.parametrize("times", [1, 9], ids=["once", "always"])
def test_a_file_that_does_not_come_is_asked_for_again_and_then_told(open_page: OpenPage, times: int) -> None:
    seen: list[str] = []
    page = open_page(
        "?data=fashion-mnist",
        ready=times == 1,
        quiet=False,
        before=lambda page: page.route("**/atlas/*", failing(times, seen)),
        viewport={"width": 1400, "height": 950},  # a browser of its own, which has nothing of it yet
    )
    if times == 9:
        page.get_by_text("The server does not answer. Check the connection, then choose again.").first.wait_for()
    assert {seen.count(url) for url in seen} == {2}


def test_a_stage_whose_modules_do_not_come_says_so(open_page: OpenPage) -> None:
    page = open_page(
        ready=False,
        quiet=False,
        before=lambda page: page.route("**/stage/*/stage.js", lambda route: route.abort()),
        viewport={"width": 1400, "height": 950},
    )
    (said,) = page.locator('[data-role="stage"]').get_by_role("alert").all_inner_texts()
    assert said.startswith("This page could not be fetched whole. Check the connection, then reload it")


def start(port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [part.format(port=port) for part in APP],
        cwd=ROOT,
        env={**os.environ, "STREAMLIT_SERVER_HEADLESS": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert answers(port, process)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.soak
def test_a_page_outlives_its_server_says_so_and_finds_the_next_one(open_page: OpenPage) -> None:
    port = free_port()
    server = start(port)
    try:
        page = open_page(address=f"http://127.0.0.1:{port}", quiet=False, viewport={"width": 1400, "height": 950})
        end(server)
        dialog = page.get_by_role("dialog")
        dialog.wait_for(timeout=30_000)
        page.wait_for_function(SAYS_SO)
        assert "streamlit run" not in dialog.inner_text()
        dialog.get_by_role("button", name="Close").click()
        move(page, "AE", 0.3, 0.3)
        before = code(page, "AE", 2)
        move(page, "AE", 0.6, 0.6)
        assert (code(page, "AE", 2) != before).all(), "the stage goes on"
        server = start(port)
        page.get_by_role("link", name="Measure").click()
        page.get_by_role("heading", name="Measure").wait_for(timeout=60_000)
    finally:
        end(server)


NO_WAY_OUT = """
import os, socket
ask, connect = socket.getaddrinfo, socket.socket.connect
HERE = ("127.0.0.1", "localhost", "::1", "0.0.0.0", "", None)
def refuse(host):
    with open(os.environ["TRIED"], "a") as file:
        print(host, file=file)
    raise OSError(101, "Network is unreachable")
def asked(host, *about, **more):
    return ask(host, *about, **more) if host in HERE else refuse(host)
def connected(self, address):
    inside = not isinstance(address, tuple) or address[0] in HERE or self.type == socket.SOCK_DGRAM  # sends nothing
    return connect(self, address) if inside else refuse(address[0])
socket.getaddrinfo, socket.socket.connect = asked, connected
"""


@pytest.mark.soak
def test_no_page_needs_or_tries_the_network(open_page: OpenPage, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_WAY_OUT)
    tried, outside = tmp_path / "tried", []
    assert subprocess.run(
        [sys.executable, "-c", "import socket; socket.create_connection(('192.0.2.1', 80))"],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "TRIED": str(tried)},
        capture_output=True,
        check=False,
    ).returncode
    assert tried.read_text() == "192.0.2.1\n", "who tries is caught"
    tried.unlink()

    def watch(page: Page) -> None:
        page.on("request", lambda one: one.url.startswith((server.url, "data:", "blob:")) or outside.append(one.url))

    with serve(PYTHONPATH=str(tmp_path), TRIED=str(tried)) as server:
        page = open_page(address=server.url, before=watch)
        for name, there in PAGES.items():
            page.goto(f"{server.url}/{name}")
            page.locator(there).first.wait_for(state="attached")
        page.close()
    assert not (tried.exists() and tried.read_text())
    assert outside == []
