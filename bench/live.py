"""How live the Train page is: a pair trains on the server, a browser on the same machine looks on and touches.

Run: python bench/live.py [--root FOLDER]

FOLDER holds MNIST as torchvision lays it out; with it a pair is also trained on all 60,000 images, for its memory.

- First map: from the click on Start to both maps answering, once the page has been open for a while.
- News: from the moment the server heard of a picture to the map drawn from it (the page notes it for each).
- Done: from the click on Start to both models trained, measured and ready to keep; UMAP comes later.
- Pointer and frames: as in stage.py, over the live map, while both models learn.
- Rerun: from a click on a preset to the new sentence below it; the peer is the same page while nothing trains.
- Memory: the most that each training process held (VmHWM), and what both held together at once (PSS).

The browser draws without a graphics card and shares the machine's cores with server and trainings: where it is on
another machine, it takes nothing from them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import re
import time
from pathlib import Path
from typing import Any

from common import Row, browser, p, process_tree, show, show_machine
from launch import serve
from playwright.async_api import BrowserContext, Page

FIRST_MAP_MS, NEWS_MS, DONE_S = 3000, 100, 20
FRAME_MS, RERUN_MS, MEMORY_MB = 16.7, 300, 700
WARM_MS, RERUNS, POINTER_MOVES = 8000, 7, 240
NOTE_NEWS = """() => {
  const find = (root) => root.querySelector('[data-role="stage"]')
    ?? [...root.querySelectorAll('*')].map((e) => e.shadowRoot && find(e.shadowRoot)).find(Boolean);
  window.news = [];
  window.noting = setInterval(() => {
    const element = find(document), { dataset } = element ?? { dataset: {} };
    if (!dataset.ready) return;
    clearInterval(window.noting);
    new MutationObserver((changes) => {
      for (const { attributeName: name } of changes) {
        if (name.startsWith('data-delay')) window.news.push(Number(element.getAttribute(name)));
      }
    }).observe(element, { attributes: true });
  }, 20);
}"""
SENTENCE = "weights in the AE"
WAIT_FOR_NEW_SENTENCE = """async ([name, part]) => {
  const read = () => [...document.querySelectorAll('[data-testid="stCaptionContainer"]')]
    .map((e) => e.textContent).find((text) => text.includes(part));
  const before = read(), start = performance.now();
  [...document.querySelectorAll('button')].find((button) => button.textContent.trim() === name).click();
  while (read() === before) await new Promise(requestAnimationFrame);
  return performance.now() - start;
}"""


async def open_train(context: BrowserContext, url: str) -> Page:
    page = await context.new_page()
    await page.goto(f"{url}/train")
    await page.get_by_text(SENTENCE).wait_for(timeout=60_000)
    await page.wait_for_timeout(WARM_MS)
    return page


async def press_start(page: Page) -> float:
    await page.get_by_role("button", name="Start", exact=True).click()
    return time.monotonic()


async def reach(page: Page, mark: str) -> float:
    await page.locator(mark).first.wait_for(state="attached", timeout=300_000)
    return time.monotonic()


async def reruns(page: Page) -> list[float]:
    """The presets to and fro, each a rerun of the page's script."""
    found = []
    for turn in range(RERUNS + 1):
        name = "Back to the defaults" if turn % 2 else "One dimension"
        found.append(float(await page.evaluate(WAIT_FOR_NEW_SENTENCE, [name, SENTENCE])))
        await page.wait_for_timeout(300)
    return found


async def watch_a_training(context: BrowserContext, url: str) -> tuple[list[Row], list[float]]:
    """Start, first map, news and end of a training that nobody disturbs; and reruns before it began."""
    page = await open_train(context, url)
    idle = await reruns(page)
    await page.evaluate(NOTE_NEWS)
    started = await press_start(page)
    first_map = await reach(page, '[data-ready="true"]') - started
    done = await reach(page, '[data-state="drawing"], [data-state="done"]') - started
    news: list[float] = await page.evaluate("window.news")
    await page.close()
    return [
        Row("Start -> both maps answer", first_map * 1000, "ms", FIRST_MAP_MS),
        Row(f"news -> on the screen, p50 of {len(news)}", p(news, 50), "ms"),
        Row("news -> on the screen, p95", p(news, 95), "ms", NEWS_MS),
        Row("Start -> both models trained and measured", done, "s", DONE_S),
    ], idle


async def touch_a_training(context: BrowserContext, url: str, idle: list[float]) -> list[Row]:
    """The pointer over the live map, and reruns, while both models learn."""
    page = await open_train(context, url)
    epochs = page.get_by_role("spinbutton", name="Epochs")
    await epochs.fill("200")
    await epochs.press("Enter")
    await page.wait_for_timeout(1000)
    await press_start(page)
    await reach(page, '[data-ready="true"]')
    await page.wait_for_timeout(2000)
    record = await move_over_the_map(page)
    await page.get_by_text("What to train", exact=True).click()
    await page.wait_for_timeout(1000)
    busy = await reruns(page)
    await page.get_by_role("button", name="Stop", exact=True).click()
    await reach(page, '[data-state="stopped"]')
    await page.close()
    answered = [event for event in record["events"] if event["type"] == "move" and event["frame"]]
    pixels = [event["pixels"] - event["made"] for event in answered]
    intervals = [after - before for before, after in zip(record["frames"], record["frames"][1:])]
    return [
        Row("pointer -> both images' pixels, p50", p(pixels, 50), "ms"),
        Row("pointer -> both images' pixels, p95", p(pixels, 95), "ms", FRAME_MS),
        Row("frame interval, p50", p(intervals, 50), "ms", FRAME_MS + 0.1),
        Row("frame interval, p95", p(intervals, 95), "ms"),
        Row("frames a second, mean", 1000 * len(intervals) / sum(intervals), ""),
        Row(f"rerun, p50 of {len(busy)}", p(busy, 50), "ms", RERUN_MS, p(idle, 50)),
        Row("rerun, slowest", max(busy), "ms", RERUN_MS, max(idle)),
    ]


async def move_over_the_map(page: Page) -> dict[str, Any]:
    place = page.get_by_role("application", name="AE latent map", exact=True)
    await place.scroll_into_view_if_needed()
    box = await place.bounding_box()
    assert box, "the map is not on the page"
    await page.evaluate("bench.start()")
    sent = []
    for i in range(POINTER_MOVES):
        turn = 2 * math.pi * (i + 0.5) / POINTER_MOVES
        x, y = 0.5 + 0.36 * math.sin(3 * turn), 0.5 + 0.36 * math.sin(4 * turn)
        sent.append(asyncio.create_task(page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)))
        await asyncio.sleep(0.029)
    await asyncio.gather(*sent)
    found: dict[str, Any] = await page.evaluate("bench.stop()")
    return found


# --- memory -----------------------------------------------------------------------------------------------------------


def workers_of(pid: int) -> list[int]:
    tree = process_tree(pid)
    return [one for one in tree if b"explorer.worker" in Path(f"/proc/{one}/cmdline").read_bytes()]


def megabytes(text: str, key: str) -> float:
    found = re.search(rf"^{key}:\s+(\d+) kB", text, re.M)
    return int(found[1]) / 1024 if found else 0.0


async def measure_memory(context: BrowserContext, url: str, pid: int) -> list[Row]:
    """A pair on the full set, for two epochs."""
    page = await open_train(context, url)
    await page.get_by_role("combobox", name=re.compile("Data")).click()
    await page.get_by_role("option", name="MNIST, all 60,000", exact=True).click()
    epochs = page.get_by_role("spinbutton", name="Epochs")
    await epochs.fill("2")
    await epochs.press("Enter")
    await page.wait_for_timeout(1000)
    spare = set(workers_of(pid))
    await press_start(page)
    peaks: dict[int, float] = {}
    together = 0.0
    end = asyncio.create_task(reach(page, '[data-state="drawing"], [data-state="done"]'))
    while not end.done():
        with contextlib.suppress(OSError):
            at_work = [one for one in workers_of(pid) if one in spare]
            for one in at_work:
                peaks[one] = megabytes(Path(f"/proc/{one}/status").read_text(), "VmHWM")
            texts = [Path(f"/proc/{one}/smaps_rollup").read_text() for one in at_work]
            together = max(together, sum(megabytes(text, "Pss") for text in texts))
        await asyncio.sleep(0.2)
    await end
    await page.close()
    return [
        Row("the larger of the two training processes, peak RSS", max(peaks.values()), "MB", MEMORY_MB),
        Row("both at once, PSS", together, "MB"),
    ]


async def main(root: Path | None) -> None:
    show_machine()
    if root:
        os.environ["LATENT_EXPLORER_DATA"] = str(root.resolve())
    with serve() as server:
        async with browser() as context:
            rows, idle = await watch_a_training(context, server.url)
            show("Both default models, 10 epochs of 10,000 images", rows)
    with serve() as server:
        async with browser() as context:
            show("While they train", await touch_a_training(context, server.url, idle))
    if root:
        with serve() as server:
            async with browser() as context:
                show("All 60,000 images", await measure_memory(context, server.url, server.pid))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="the folder that has MNIST/raw")
    asyncio.run(main(parser.parse_args().root))
