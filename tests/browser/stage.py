"""What a test sees of the stage: by the names that screen readers see too."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from playwright.sync_api import Locator, Page

READ = """canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)
    .filter((_, i) => i % 4 === 0)"""


def pixels(page: Page, name: str) -> np.ndarray:
    """[H * W], 0 to 255: the grey values of the image of this name."""
    return np.array(page.get_by_role("img", name=name, exact=True).evaluate(READ))


def wait_until(page: Page, expression: str, arg: object = None, *, timeout_ms: int = 30_000) -> None:
    """As page.wait_for_function, which needs eval: the page's policy forbids that."""
    end = time.monotonic() + timeout_ms / 1000
    while not page.evaluate(expression, arg):
        assert time.monotonic() < end, f"{expression} is not so"
        page.wait_for_timeout(20)


def latent_map(page: Page, kind: str) -> Locator:
    return page.get_by_role("application", name=f"{kind} latent map", exact=True)


def slider(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=name, exact=True)


def code(page: Page, kind: str, d: int) -> np.ndarray:
    """The code that a model's sliders show."""
    return np.array([float(slider(page, f"{kind} z{i + 1}").get_attribute("aria-valuenow") or "nan") for i in range(d)])


def move(page: Page, kind: str, across: float, up: float) -> None:
    """Move the pointer to a place on a map, as shares of its width (from the left) and height (from the bottom)."""
    box = latent_map(page, kind).bounding_box()
    assert box
    page.mouse.move(box["x"] + across * box["width"], box["y"] + (1 - up) * box["height"])


def press(page: Page, kind: str, across: float, up: float) -> None:
    move(page, kind, across, up)
    page.mouse.down()
    page.mouse.up()


def scale(page: Page, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """offset, slope: a raw 2-d map's code is offset + slope * (across, up). Read off by moving the pointer."""
    move(page, kind, 0.3, 0.3)
    first = code(page, kind, 2)
    move(page, kind, 0.7, 0.7)
    slope = (code(page, kind, 2) - first) / 0.4
    return first - 0.3 * slope, slope


def choose(page: Page, switch: str, option: str) -> None:
    page.get_by_role("radiogroup", name=switch).get_by_role("radio", name=option, exact=True).click()


@contextlib.contextmanager
def another_origin(body: str = "") -> Iterator[tuple[str, list[str]]]:
    """The address of a server that answers everything with this page, and the paths that it was asked for."""
    asked: list[str] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(f"<!DOCTYPE html><link rel=icon href=data:,>{body}".encode())

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()
    server.server_close()


def no_drawing(url: str) -> None:
    """End the processes of the server at this address that draw UMAP, which a test has no need of and takes long."""
    port = url.rpartition(":")[2]
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if "explorer.worker" in words_of(folder) and port in words_of(Path("/proc", parent)):
                os.kill(int(folder.name), signal.SIGKILL)


def words_of(process: Path) -> list[str]:
    return (process / "cmdline").read_text().split("\0")
