"""How soon a visitor can play, and what it costs: cold start, reload, bytes over the wire, the server's memory.

Run: python bench/start.py

Cold start is `python -m explorer run`, which `make run` calls when all is installed, seen by a Chromium with a fresh
profile that is already open: from the making of the process to both decoded images repainted because of a pointer move.
The pointer is moved over the left map's place, 60 times a second, from the moment the page is asked for. Python's own
files may be in the system's file cache. A reload is measured the same way, from its navigation's start.

A first visit is made with a fresh profile, the second one right after it; each counts until the page has been quiet.
Bytes are what Chromium counts (encodedDataLength: as sent, compressed if the server did so, headers included) plus the
payload of websocket frames. The goal is for all of them; "ours" are the atlases, the stage's modules and the websocket
(it carries the catalogue), the rest is Streamlit's page. Memory is the sum over the server's processes, after reloads.
The peer is a Streamlit app of three widgets: its first paint, its bytes, its memory.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import statistics
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import VIEWPORT, Row, browser, process_tree, show, show_machine, stock_app, until
from launch import Server, serve
from playwright.async_api import BrowserContext, Page

COLD_STARTS, RELOADS = 3, 7
COLD_MS, RELOAD_MS = 3000, 600
FIRST_KB, SECOND_KB = 6000, 100
MEMORY_MB = 250
VIEWS = ("", "?d=16", "?data=fashion-mnist", "?data=fashion-mnist&d=16")
HEAVY = re.compile(r"torch|umap|sklearn|scikit_learn|numba|llvmlite")
OURS = re.compile(r"/atlas/|/_stcore/bidi-components/|^ws:")
QUIET_MS = 1500

STOCK = """
import streamlit as st

st.slider("A number", 0, 10)
st.selectbox("A choice", ["one", "two"])
st.button("A button")
"""
STOCK_WIDGETS = '[data-testid="stSlider"], [data-testid="stButton"]'


@dataclass(frozen=True)
class Kilobytes:
    ours: float
    streamlits: float

    @property
    def total(self) -> float:
        return self.ours + self.streamlits


@dataclass(frozen=True)
class Megabytes:
    rss: float
    pss: float


# --- time -------------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def moving_pointer(page: Page) -> AsyncIterator[None]:
    """The pointer moves to and fro over the place of the left map, whether or not it is there yet."""

    async def move() -> None:
        for step in range(10_000):
            x = VIEWPORT["width"] * (0.22 + 0.01 * (step % 8))
            await page.mouse.move(x, VIEWPORT["height"] * 0.45)
            await asyncio.sleep(0.016)

    task = asyncio.create_task(move())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def answer_time(page: Page) -> float:
    """When the stage first answered the pointer, milliseconds since 1970."""
    return float(await until(page, "window.bench && bench.answered"))


async def stock_time(page: Page) -> float:
    return float(await page.evaluate("selector => bench.seen(selector)", STOCK_WIDGETS))


async def cold_start_ms(server: Server, context: BrowserContext, *, stock: bool) -> tuple[float, float]:
    """Process made -> it takes connections, and -> the stage answers (or the stock app's widgets are painted)."""
    page = context.pages[0]
    async with moving_pointer(page):
        await page.goto(server.url, wait_until="commit")
        answered = await (stock_time if stock else answer_time)(page)
    return (server.listening - server.started) * 1000, answered - server.started * 1000


async def reload_ms(page: Page, *, stock: bool) -> float:
    async with moving_pointer(page):
        await page.reload(wait_until="commit")
        answered = await (stock_time if stock else answer_time)(page)
    return answered - float(await page.evaluate("performance.timeOrigin"))


async def reloads(context: BrowserContext, url: str, *, stock: bool) -> list[float]:
    page = context.pages[0]
    await page.goto(url)
    await page.wait_for_timeout(QUIET_MS)
    found = []
    for _ in range(RELOADS):
        found.append(await reload_ms(page, stock=stock))
        await page.wait_for_timeout(500)
    return found


# --- bytes ------------------------------------------------------------------------------------------------------------


async def visit_kilobytes(context: BrowserContext, url: str) -> Kilobytes:
    """What a visit moves, until the page has been quiet."""
    page = await context.new_page()
    moved = await count_bytes(page)
    await page.goto(url)
    await page.wait_for_load_state("networkidle")
    await page.wait_for_timeout(QUIET_MS)
    await page.close()
    ours = sum(size for address, size in moved.items() if OURS.search(address))
    return Kilobytes(ours / 1000, (moved.total() - ours) / 1000)


async def count_bytes(page: Page) -> Counter[str]:
    """The bytes moved by address, filled in while the page loads."""
    moved: Counter[str] = Counter()
    addresses: dict[str, str] = {}

    def asked(event: dict[str, Any]) -> None:
        addresses[event["requestId"]] = event["request"]["url"]

    def finished(event: dict[str, Any]) -> None:
        moved[re.sub(r"^https?://[^/]*", "", addresses.get(event["requestId"], ""))] += int(event["encodedDataLength"])

    def framed(event: dict[str, Any]) -> None:
        frame = event["response"]
        text = frame["payloadData"]
        moved["ws:"] += len(base64.b64decode(text)) if frame["opcode"] == 2 else len(text.encode())

    client = await page.context.new_cdp_session(page)
    client.on("Network.requestWillBeSent", asked)
    client.on("Network.loadingFinished", finished)
    client.on("Network.webSocketFrameReceived", framed)
    client.on("Network.webSocketFrameSent", framed)
    await client.send("Network.enable")
    return moved


async def visits(url: str) -> tuple[Kilobytes, Kilobytes]:
    """First and second visit of a view with a fresh profile."""
    async with browser() as context:
        return await visit_kilobytes(context, url), await visit_kilobytes(context, url)


# --- memory -----------------------------------------------------------------------------------------------------------


def memory(pid: int) -> Megabytes:
    texts = [Path(f"/proc/{process}/smaps_rollup").read_text() for process in process_tree(pid)]

    def total(key: str) -> float:
        return sum(int(number) for text in texts for number in re.findall(rf"^{key}: +(\d+) kB", text, re.M)) / 1024

    return Megabytes(total("Rss"), total("Pss"))


def heavy_files(pid: int) -> set[str]:
    """Files that the server has mapped and that belong to a library the first screen must not need."""
    lines = [line for process in process_tree(pid) for line in Path(f"/proc/{process}/maps").read_text().splitlines()]
    return {parts[5] for line in lines if len(parts := line.split(maxsplit=5)) == 6 and HEAVY.search(parts[5])}


# --- what is printed --------------------------------------------------------------------------------------------------


async def measure_start() -> None:
    """The peer is measured between the runs, so that both have the machine in the same state."""
    ours, stock = [], []
    for _ in range(COLD_STARTS):
        async with browser() as context:
            with serve() as server:
                ours.append(await cold_start_ms(server, context, stock=False))
        async with browser() as context:
            with stock_app(STOCK) as server:
                stock.append(await cold_start_ms(server, context, stock=True))
    listening, answered = (list(times) for times in zip(*ours))
    peer_listening, peer_painted = (statistics.median(times) for times in zip(*stock))
    rows = [
        Row("process -> takes connections, median", statistics.median(listening), "ms", None, peer_listening),
        Row(
            f"process -> answers the pointer, median of {COLD_STARTS}",
            statistics.median(answered),
            "ms",
            COLD_MS,
            peer_painted,
        ),
        Row("process -> answers the pointer, slowest", max(answered), "ms", None, peer_painted),
    ]
    show("Cold start (peer: three stock widgets, painted)", rows)


async def measure_running(server: Server, stock: Server) -> None:
    async with browser() as context:
        ours = await reloads(context, server.url, stock=False)
        used, heavy = memory(server.pid), heavy_files(server.pid)
    async with browser() as context:
        peer = await reloads(context, stock.url, stock=True)
        peer_used = memory(stock.pid)
    peer_reload = statistics.median(peer)
    rows = [
        Row(
            f"reload -> answers the pointer, median of {RELOADS}", statistics.median(ours), "ms", RELOAD_MS, peer_reload
        ),
        Row("reload -> answers the pointer, slowest", max(ours), "ms", None, max(peer)),
        Row("server's memory after the first screen, RSS", used.rss, "MB", MEMORY_MB, peer_used.rss),
        Row("server's memory after the first screen, PSS", used.pss, "MB", MEMORY_MB, peer_used.pss),
        Row("mapped files of torch, umap, sklearn, numba, llvmlite", len(heavy), "", 0),
    ]
    show("The server at work", rows)
    for path in sorted(heavy)[:5]:
        print(f"    mapped: {path}")


async def measure_bytes(server: Server, stock: Server) -> None:
    peer_first, peer_second = await visits(stock.url)
    rows = []
    for view in VIEWS:
        first, second = await visits(f"{server.url}/{view}")
        rows += [
            Row(f"/{view} first visit, all", first.total, "kB", FIRST_KB, peer_first.total),
            Row(f"/{view} first visit, ours", first.ours, "kB"),
            Row(f"/{view} first visit, Streamlit's", first.streamlits, "kB"),
            Row(f"/{view} second visit, all", second.total, "kB", SECOND_KB, peer_second.total),
        ]
    show("Bytes over the wire", rows)


async def main() -> None:
    show_machine()
    await measure_start()
    with serve() as server, stock_app(STOCK) as stock:
        await measure_running(server, stock)
        await measure_bytes(server, stock)


if __name__ == "__main__":
    asyncio.run(main())
