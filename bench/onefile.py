"""How soon the one file answers the pointer after it was opened from the disk, and how large it is.

Run: python bench/onefile.py

From the start of the navigation to both decoded images repainted for a pointer that moves over the maps all the time,
in a browser with a fresh profile and the network off.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from common import Row, browser, p, show, show_machine, until
from playwright.async_api import Page
from start import moving_pointer

from explorer import catalogue, data, onefile

PAIR = ("mnist-ae-2", "mnist-vae-2")
OPENINGS = 8
ANSWER_MS, MEGABYTES = 1500, 8


def write_file(path: Path) -> None:
    models = catalogue.shipped()
    left, right = (next(entry for entry in models.entries if entry.card.name == name) for name in PAIR)
    path.write_bytes(onefile.one_file(left, right, models=models, titles=data.titles()))


async def answer_ms(page: Page, address: str) -> float:
    async with moving_pointer(page):
        await page.goto(address, wait_until="commit")
        return float(await until(page, "window.bench && bench.answered && bench.answered - performance.timeOrigin"))


async def opened(address: str) -> float:
    async with browser() as context:
        await context.set_offline(True)
        return await answer_ms(context.pages[0], address)


async def main() -> None:
    show_machine()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "view.html"
        write_file(path)
        found = [await opened(path.as_uri()) for _ in range(OPENINGS)]
        rows = [
            Row(f"opened -> answers the pointer, p50 of {OPENINGS}", p(found, 50), "ms"),
            Row("opened -> answers the pointer, slowest", max(found), "ms", ANSWER_MS),
            Row("size", path.stat().st_size / 1e6, "MB", MEGABYTES),
        ]
    show(f"One file, {' and '.join(PAIR)}", rows)


if __name__ == "__main__":
    asyncio.run(main())
