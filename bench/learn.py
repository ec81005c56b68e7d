"""How long the scenes of Learn take: first paint with a warm cache, the next scene, the answer.

Run: python bench/learn.py

First paint: from the request of a scene's address to its picture standing there, the browser having seen it once. Next:
from the press on the next scene's name to that scene's picture. Answer: from the press on Show me to the result.
"""

from __future__ import annotations

import time

from common import Row, show, show_machine
from get_browser import find
from launch import BROWSER_FLAGS, serve
from playwright.sync_api import Page, sync_playwright

from explorer.scenes import SCENES

PAINT_MS, NEXT_MS, ANSWER_MS = 1500, 700, 15_000
READY = '.scene-picture[data-ready="true"], .scene-picture [data-ready="true"]'
SETTLE_MS = 1500


def wait_for_scene(page: Page, number: int) -> None:
    page.get_by_text(f"{number} of {len(SCENES)}", exact=True).wait_for()
    page.locator(READY).first.wait_for(timeout=60_000)


def opened(page: Page, address: str, number: int) -> float:
    start = time.perf_counter()
    page.goto(f"{address}/learn?scene={number}")
    wait_for_scene(page, number)
    return time.perf_counter() - start


def gone_on(page: Page, number: int) -> float:
    page.wait_for_timeout(SETTLE_MS)
    start = time.perf_counter()
    page.get_by_role("button", name=f"Scene {number}: ").click()
    wait_for_scene(page, number)
    return time.perf_counter() - start


def answered(page: Page) -> float:
    page.locator(".answer").first.click()
    start = time.perf_counter()
    page.get_by_role("button", name="Show me").click()
    page.locator(".result[data-right]").wait_for(timeout=60_000)
    return time.perf_counter() - start


def main() -> None:
    show_machine()
    paints, nexts, answers = [], [], []
    with serve() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=BROWSER_FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 950})
        for number in range(1, len(SCENES) + 1):
            opened(page, server.url, number)
            paints.append(opened(page, server.url, number))
            answers.append(answered(page))
            if number < len(SCENES):
                nexts.append(gone_on(page, number + 1))
        browser.close()
    rows = [
        *(Row(f"scene {i}, first paint", 1000 * value, "ms", PAINT_MS) for i, value in enumerate(paints, 1)),
        *(Row(f"scene {i}, as the next one", 1000 * value, "ms", NEXT_MS) for i, value in enumerate(nexts, 2)),
        *(Row(f"scene {i}, answer", 1000 * value, "ms", ANSWER_MS) for i, value in enumerate(answers, 1)),
    ]
    show("Learn", rows)


if __name__ == "__main__":
    main()
