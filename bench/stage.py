"""How fast the stage answers in a real browser: pointer, slider, switches, beside st.slider + st.image; strokes.

Run: python bench/stage.py

Moves are sent to Chromium as input events at random distances of 18 to 40 ms, so that they fall anywhere in a frame,
and are not awaited. The browser tells the page of a new position by pointerrawupdate at once, where it has that event,
and by pointermove when the next frame begins; both count as one move, made and told when the first of them was.
What is measured of each move, inside the page (watch.js):

- work: from the moment the page is told of the new position to both decoded images' pixels replaced (putImageData).
- pixels: the same from the first event's own timeStamp, when the browser took the input in: work, plus the way into the
  page, plus 0 to 16.7 ms of waiting for a frame if the page decodes on pointermove only.
- frame: from that timeStamp to the end of the work of the next frame, the first that can show those pixels: a message
  posted inside its requestAnimationFrame, handled after style, layout and paint. What the compositor and a screen add
  is not in it.

A move is answered when both images were repainted before the next move. A switch is measured from the click's timeStamp
to the end of that same frame, with both atlases in memory; "all images" is when the last image of the stage (samples,
walk) was painted. The peer's figure is from the release of an st.slider in a fragment to both its st.image loaded: it
sends nothing earlier.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from common import Row, browser, p, show, show_machine, stock_app, until
from launch import serve
from playwright.async_api import BrowserContext, Locator, Page

from explorer import catalogue

POINTS = 10_000
POINTER_MOVES, SLIDER_MOVES = 320, 141  # odd for the slider: no two moves in a row end at the same place
RELEASES = 16
REPEATS = 4
FRAME_MS, SWITCH_MS, STROKE_MS = 16.7, 150.0, 33.0
SETTLE_MS = 700

STOCK = """
import numpy as np
import streamlit as st

import explorer

D = {d}


@st.cache_resource
def models():
    return [explorer.load(f"mnist-{{kind}}-{{D}}") for kind in ("ae", "vae")]


@st.fragment
def decoded():
    z = [st.slider(f"z{{i + 1}}", -4.0, 4.0, 0.0) for i in range(D)]
    for column, model in zip(st.columns(2), models()):
        column.image(model.decode(np.array([z], np.float32))[0, 0], width=200)


decoded()
"""


@dataclass(frozen=True)
class Record:
    """What watch.js noted: events with the times made, told, pixels, frame (0: never), and the starts of frames."""

    events: list[dict[str, float]]
    frames: list[float]
    last_paint: float

    def answered(self) -> list[dict[str, float]]:
        return [event for event in self.events if event["frame"]]

    def spans(self, start: str, end: str) -> list[float]:
        return [event[end] - event[start] for event in self.answered()]

    def frame_intervals(self) -> list[float]:
        return [after - before for before, after in zip(self.frames, self.frames[1:])]


async def recorded(page: Page, kind: str) -> Record:
    found: dict[str, Any] = await page.evaluate("bench.stop()")
    return Record([event for event in found["events"] if event["type"] == kind], found["frames"], found["lastPaint"])


def check_points() -> None:
    """The figures are for maps of POINTS points; say so if the shipped atlases hold another number."""
    counts = {entry.card.name: entry.manifest["n"] for entry in catalogue.read().entries}
    for name in (f"mnist-{kind}-{d}" for kind in ("ae", "vae") for d in (2, 16)):
        assert counts.get(name) == POINTS, f"{name} has {counts.get(name)} points a map, {POINTS} were expected"


# --- gestures ---


async def box_of(part: Locator) -> tuple[float, float, float, float]:
    """Left, top, width and height of a part of the page, scrolled into view."""
    await part.scroll_into_view_if_needed()
    box = await part.bounding_box()
    assert box, f"{part} is not on the page"
    return box["x"], box["y"], box["width"], box["height"]


async def move_along(page: Page, path: Iterator[tuple[float, float]]) -> None:
    """Send a move for every point, at random distances in time, without waiting for the page."""
    chance = random.Random(0)
    sent = []
    for x, y in path:
        sent.append(asyncio.create_task(page.mouse.move(x, y)))
        await asyncio.sleep(chance.uniform(0.018, 0.040))
    await asyncio.gather(*sent)


async def pointer_record(page: Page) -> Record:
    left, top, width, height = await box_of(page.get_by_role("application", name="AE latent map", exact=True))
    turns = [2 * math.pi * (i + 0.5) / POINTER_MOVES for i in range(POINTER_MOVES)]
    path = (
        (left + width * (0.5 + 0.36 * math.sin(3 * t)), top + height * (0.5 + 0.36 * math.sin(4 * t))) for t in turns
    )
    await page.mouse.move(left + width / 2, top + height / 2)
    await page.evaluate("bench.start()")
    await move_along(page, path)
    await page.wait_for_timeout(200)
    return await recorded(page, "move")


async def slider_record(page: Page) -> Record:
    left, top, width, height = await box_of(page.get_by_role("slider", name="AE z1", exact=True))
    turns = [2 * math.pi * (i + 0.5) / SLIDER_MOVES for i in range(SLIDER_MOVES)]
    path = ((left + width * (0.5 + 0.45 * math.sin(3 * t)), top + height / 2) for t in turns)
    return await dragged_record(page, (left + width / 2, top + height / 2), path)


async def dragged_record(page: Page, start: tuple[float, float], path: Iterator[tuple[float, float]]) -> Record:
    """What was recorded while the pointer, pressed at start, went along path."""
    await page.mouse.move(*start)
    await page.mouse.down()
    await page.evaluate("bench.start()")
    await move_along(page, path)
    await page.wait_for_timeout(200)
    record = await recorded(page, "move")
    await page.mouse.up()
    return record


async def switch_once(page: Page, group: str, choice: str) -> tuple[float, float]:
    """Milliseconds from a click on a switch to the painted frame, and to the last image of the stage."""
    await page.evaluate("bench.start()")
    await page.get_by_role("radiogroup", name=group).get_by_role("radio", name=choice, exact=True).click()
    await until(page, "bench.events.some(({ type, frame }) => type === 'click' && frame)")
    await page.wait_for_timeout(SETTLE_MS)
    record = await recorded(page, "click")
    click = record.answered()[0]
    return click["frame"] - click["made"], record.last_paint - click["made"]


async def switch_rows(page: Page, group: str, choices: list[str], *, title: str) -> list[Row]:
    """Each choice in turn, over and over; the first round brings the atlases into memory and is not counted."""
    found = [await switch_once(page, group, choice) for _ in range(1 + REPEATS) for choice in choices][len(choices) :]
    painted, whole = zip(*found)
    return [
        Row(f"{title}: p50 of {len(found)}", p(painted, 50), "ms"),
        Row(f"{title}: max", max(painted), "ms", SWITCH_MS),
        Row(f"{title}: all images, max", max(whole), "ms"),
    ]


# --- what is printed ---


def gesture_rows(record: Record, sent: int, stock: list[float]) -> list[Row]:
    peer = {share: p(stock, share) for share in (50, 95)}
    rows = [
        Row(
            f"{name} p{share}",
            p(record.spans(*span), share),
            "ms",
            FRAME_MS if name == "pixels" and share == 95 else None,
            peer[share],
        )
        for name, span in {"work": ("told", "pixels"), "pixels": ("made", "pixels"), "frame": ("made", "frame")}.items()
        for share in (50, 95)
    ]
    intervals = record.frame_intervals()
    return [
        *rows,
        Row("frame interval p50 while moving", p(intervals, 50), "ms"),
        Row("frame interval p95 while moving", p(intervals, 95), "ms"),
        Row(f"moves without a decoded frame, of {sent}", sent - len(record.answered()), ""),
    ]


async def stock_release_ms(context: BrowserContext, d: int) -> list[float]:
    """Release of the stock app's slider -> both its images loaded, for each of RELEASES drags."""
    with stock_app(STOCK.format(d=d)) as server:
        page = await context.new_page()
        await page.goto(server.url)
        await page.locator('[data-testid="stImage"] img').nth(1).wait_for(timeout=60_000)
        await page.wait_for_timeout(1000)
        found = [await stock_release_once(page, i) for i in range(RELEASES + 1)][1:]
        await page.close()
    assert all(found), "the stock app did not answer a release"
    return found


async def stock_release_once(page: Page, i: int) -> float:
    """Take the thumb where it stands after i drags and let it go one step further on the track."""
    slider = page.get_by_test_id("stSlider").first
    left, _, width, _ = await box_of(slider)
    _, thumb, _, height = await box_of(slider.get_by_role("slider"))
    first, last = ((0.1 + 0.8 * step / (RELEASES + 1)) * width for step in (i, i + 1))
    await page.evaluate("bench.start()")
    await page.mouse.move(left + first, thumb + height / 2)
    await page.mouse.down()
    await page.mouse.move(left + last, thumb + height / 2, steps=5)
    await page.mouse.up()
    await page.wait_for_timeout(2 * SETTLE_MS)
    releases = (await recorded(page, "click")).answered()  # made when the button was let go
    return releases[0]["pixels"] - releases[0]["made"] if releases else 0.0


async def open_stage(context: BrowserContext, url: str) -> tuple[Page, list[object]]:
    """A page with the stage ready, and the list to which each websocket frame it sends from now on is added."""
    page, sent = await context.new_page(), list[object]()
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    await page.goto(url)
    await page.locator('[data-ready="true"]').wait_for(timeout=30_000)
    await page.wait_for_timeout(1500)
    assert sent, "the page's websocket was not seen"
    sent.clear()
    return page, sent


async def measure_gestures(context: BrowserContext, url: str, d: int) -> None:
    page, sent = await open_stage(context, f"{url}/?d={d}")
    pointer, slider = await pointer_record(page), await slider_record(page)
    await page.wait_for_timeout(500)
    await page.close()
    stock = await stock_release_ms(context, d)
    show(
        f"{d} dimensions, pointer over the left map ({len(pointer.events)} moves)",
        gesture_rows(pointer, POINTER_MOVES, stock),
    )
    show(
        f"{d} dimensions, drag of the slider AE z1 ({len(slider.events)} moves)",
        gesture_rows(slider, SLIDER_MOVES, stock),
    )
    show(f"{d} dimensions, both", [Row("messages to the server (each a rerun)", len(sent), "", 0)])


async def measure_switches(context: BrowserContext, url: str) -> None:
    page, sent = await open_stage(context, url)
    rows = await switch_rows(page, "View", ["PCA", "UMAP", "raw z"], title="View, 2 dimensions")
    rows += await switch_rows(page, "Data", ["Fashion-MNIST", "MNIST"], title="Data, 2 dimensions")
    rows += await switch_rows(page, "Latent dimensions", ["16", "2"], title="Latent dimensions")
    await switch_once(page, "Latent dimensions", "16")
    rows += await switch_rows(page, "View", ["PCA", "UMAP", "raw z"], title="View, 16 dimensions")
    await page.close()
    show("Switches, click -> painted frame", [*rows, Row("messages to the server (each a rerun)", len(sent), "", 0)])


async def measure_strokes(context: BrowserContext, url: str, d: int) -> None:
    """A stroke on the pad of Yours -> both encoded, both reconstructions' pixels replaced."""
    page, sent = await open_stage(context, f"{url}/yours?d={d}")
    await page.evaluate("bench.shown = ['AE reconstruction', 'VAE reconstruction']")
    left, top, width, height = await box_of(page.get_by_role("application", name="Your drawing"))
    turns = [2 * math.pi * (i + 0.5) / SLIDER_MOVES for i in range(SLIDER_MOVES)]
    path = (
        (left + width * (0.5 + 0.3 * math.sin(3 * t)), top + height * (0.5 + 0.35 * math.sin(4 * t))) for t in turns
    )
    record = await dragged_record(page, (left + width / 2, top + height / 2), path)
    await page.close()
    title = "stroke to both codes and reconstructions"
    rows = [
        Row(f"{title}, p50", p(record.spans("made", "pixels"), 50), "ms"),
        Row(f"{title}, p95", p(record.spans("made", "pixels"), 95), "ms", STROKE_MS),
        Row("the same to the painted frame, p95", p(record.spans("made", "frame"), 95), "ms"),
        Row(f"strokes without an answer, of {SLIDER_MOVES}", SLIDER_MOVES - len(record.answered()), ""),
        Row("messages to the server (each a rerun)", len(sent), "", 0),
    ]
    show(f"Yours, {d} dimensions", rows)


async def main() -> None:
    check_points()
    show_machine()
    with serve() as server:
        async with browser() as context:
            for d in (2, 16):
                await measure_gestures(context, server.url, d)
            await measure_switches(context, server.url)
            for d in (2, 16):
                await measure_strokes(context, server.url, d)
    print("\nPeer: release of an st.slider in a fragment -> both st.image loaded; the same decoders in torch.")


if __name__ == "__main__":
    asyncio.run(main())
