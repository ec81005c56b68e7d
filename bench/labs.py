"""How long the labs take: first paint with a warm cache, and what a slider's or a key's answer costs.

Run: python bench/labs.py

First paint: from the request of a lab's address to the lab standing there, the browser having seen it once. Answer: the
script's time from a key on the lab's main control to the last change it makes; it all happens before the next frame.
"""

from __future__ import annotations

import time
from statistics import median, quantiles

from common import Row, show, show_machine
from get_browser import find
from launch import BROWSER_FLAGS, serve
from playwright.sync_api import Page, sync_playwright

PAINT_MS, FRAME_MS = 1500, 33
CONTROLS = {
    "denoise": ('input[aria-label="Noise level"]', "input"),
    "anomalies": (".score-track", "keydown"),
    "hashing": ('input[aria-label="Hamming radius"]', "input"),
}
LABS = ("basic", "denoise", "anomalies", "hashing", "projections")
TURNS, PAINTS = 40, 5
# A slider's value goes up and down; a key goes right and left. Shadow roots are looked into.
ANSWERS = """async ([selector, kind, turns]) => {
    const find = (root) => root.querySelector(selector)
        ?? [...root.querySelectorAll('*')].map((e) => e.shadowRoot && find(e.shadowRoot)).find(Boolean);
    const control = find(document), times = [];
    for (let turn = 0; turn < turns; turn++) {
        await new Promise(requestAnimationFrame);
        const start = performance.now();
        if (kind === 'input') {
            turn % 2 ? control.stepUp(3) : control.stepDown(3);
            control.dispatchEvent(new Event('input', { bubbles: true }));
        } else {
            const key = turn % 2 ? 'ArrowRight' : 'ArrowLeft';
            control.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
        }
        times.push(performance.now() - start);
    }
    return times;
}"""


def opened(page: Page, address: str, lab: str) -> float:
    start = time.perf_counter()
    page.goto(f"{address}/labs?lab={lab}")
    page.locator('[data-ready="true"]').first.wait_for(state="attached", timeout=60_000)
    return time.perf_counter() - start


def main() -> None:
    show_machine()
    rows = []
    with serve() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=BROWSER_FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 950})
        for lab in LABS:
            opened(page, server.url, lab)
            page.wait_for_timeout(1500)
            paints = [opened(page, server.url, lab) for _ in range(PAINTS)]
            rows.append(Row(f"{lab}: first paint, warm, median of {PAINTS}", 1000 * median(paints), "ms", PAINT_MS))
            if lab in CONTROLS:
                times = page.evaluate(ANSWERS, [*CONTROLS[lab], TURNS])
                rows.append(Row(f"{lab}: answer, p95 of {TURNS}", quantiles(times, n=20)[-1], "ms", FRAME_MS))
        browser.close()
    show("Labs", rows)


if __name__ == "__main__":
    main()
