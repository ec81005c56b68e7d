"""The real app and a real browser, started once for all tests here and then gone: other tests want asyncio."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from get_browser import find
from launch import BROWSER_FLAGS, serve

OpenPage = Callable[..., Page]
VIEWPORT = ViewportSize(width=1440, height=950)
LONGEST = ("test_train", "test_own_data", "test_layers_on_map", "test_yours")


@pytest.fixture(scope="package")
def app() -> Iterator[str]:
    with serve() as server:
        yield server.url


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=BROWSER_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def usual(browser: Browser) -> Iterator[BrowserContext]:
    """A browser as most people have it; what it fetched once it keeps."""
    context = browser.new_context(viewport=VIEWPORT)
    yield context
    context.close()


@pytest.fixture
def open_page(browser: Browser, usual: BrowserContext, app: str) -> Iterator[OpenPage]:
    """Open the stage with a query and wait until it answers. Any complaint of the browser fails the test.

    Settings of the browser (viewport, colour scheme, ...) are those of one of its own.
    """
    opened: list[BrowserContext | Page] = []
    complaints: list[str] = []

    def open_it(
        query: str = "",
        *,
        address: str = app,
        ready: bool = True,
        quiet: bool = True,
        before: Callable[[Page], object] | None = None,
        **settings: object,
    ) -> Page:
        context = browser.new_context(**{"viewport": VIEWPORT, **settings}) if settings else usual  # type: ignore[arg-type]
        page = context.new_page()
        opened.append(context if settings else page)
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
    for one in opened:
        one.close()
    assert complaints == []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that none is left for one process alone at the end."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)
