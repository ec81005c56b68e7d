"""The real app and a real browser, started once for all tests here."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

OpenPage = Callable[..., Page]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_app(**environment: str) -> tuple[subprocess.Popen[bytes], str]:
    """The app in a process of its own, and its address once it answers."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "explorer", "run", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "STREAMLIT_SERVER_HEADLESS": "true", "BROWSER": "true", **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    base = environment.get("STREAMLIT_SERVER_BASE_URL_PATH", "").strip("/")
    address = f"http://127.0.0.1:{port}/{base}".rstrip("/")
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
            return process, address
        except OSError:
            assert process.poll() is None, "the app ended while it started"
            time.sleep(0.25)
    process.kill()
    raise TimeoutError("the app did not answer within 60 s")


@pytest.fixture(scope="session")
def app() -> Iterator[str]:
    process, address = start_app()
    yield address
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from get_browser import find

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, app: str) -> Iterator[OpenPage]:
    """Open the stage with a query and wait until it answers. Any complaint of the browser fails the test."""
    contexts, complaints = [], []

    def open_it(
        query: str = "",
        *,
        address: str = app,
        ready: bool = True,
        quiet: bool = True,
        before: Callable[[Page], object] | None = None,
        **settings: object,
    ) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 950}, **settings})  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        if quiet:
            page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
        if before:
            before(page)
        page.goto(f"{address}/{query}")
        page.locator('[data-ready="true"]' if ready else '[data-role="stage"] > *').first.wait_for(
            state="attached", timeout=30_000
        )
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []
