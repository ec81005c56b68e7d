"""What the measurements share: a browser of its own, an app to compare with, a table. Puts scripts/ on the path."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.async_api import BrowserContext, Page, ViewportSize, async_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from get_browser import find
from launch import BROWSER_FLAGS, Server, serve

WATCH = Path(__file__).parent / "watch.js"
VIEWPORT = ViewportSize(width=1440, height=950)


@dataclass(frozen=True)
class Row:
    """One line of a table: a figure, what it should not exceed, and the same figure of the peer in the same run."""

    what: str
    figure: float
    unit: str
    goal: float | None = None
    peer: float | None = None


def show(title: str, rows: Sequence[Row]) -> None:
    """Print rows as a table. A missed goal is printed as missed."""
    print(f"\n{title}\n  {'':58}{'figure':>10}       {'goal':>8}         {'peer':>8}  {'ratio':>7}")
    for row in rows:
        goal = "" if row.goal is None else f"{row.goal:g}"
        verdict = "" if row.goal is None else "met" if row.figure <= row.goal else "MISSED"
        peer = "" if row.peer is None else f"{row.peer:.1f}"
        print(f"  {row.what:58}{row.figure:>10.1f} {row.unit:5} {goal:>8} {verdict:7} {peer:>8}  {ratio(row):>7}")


def show_machine() -> None:
    """Print how busy others keep the machine: figures mean what they say on a quiet one only."""
    before = cpu_ticks()
    time.sleep(2)
    total, idle = (now - then for now, then in zip(cpu_ticks(), before))
    print(f"{os.cpu_count()} cores, {1 - idle / total:.0%} busy with other work before the start")


def cpu_ticks() -> tuple[int, int]:
    """All ticks and the idle ones since boot, of all cores."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


def process_tree(pid: int) -> list[int]:
    """pid and all that descend from it."""
    tree = [pid]
    for parent in tree:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            tree += [int(child) for child in children.read_text().split()]
    return tree


def ratio(row: Row) -> str:
    return f"{row.figure / row.peer:.3f}" if row.peer else ""


def p(values: Sequence[float], share: float) -> float:
    """A percentile, share in 0…100; NaN of nothing."""
    return float(np.percentile(values, share)) if values else float("nan")


async def until(page: Page, expression: str) -> Any:
    """The expression's value once it is one; wait_for_function would need eval, which the app's pages forbid."""
    end = time.monotonic() + 30
    while not (found := await page.evaluate(expression)):
        assert time.monotonic() < end, f"{expression} is not so"
        await asyncio.sleep(0.01)
    return found


@contextlib.contextmanager
def stock_app(script: str) -> Iterator[Server]:
    """A small Streamlit app, written to a folder of its own and served."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "app.py").write_text(script)
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", "{port}"]
        with serve(command, folder=Path(folder)) as server:
            yield server


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[BrowserContext]:
    """A headless Chromium with a fresh profile; watch.js runs in each of its pages."""
    path = await asyncio.to_thread(find)  # it may start Playwright's synchronous half, which no event loop may hold
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(
                profile, executable_path=path, args=BROWSER_FLAGS, viewport=VIEWPORT
            )
            try:
                await context.add_init_script(path=WATCH)
                yield context
            finally:
                await context.close()
