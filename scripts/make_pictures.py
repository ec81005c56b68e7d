"""Make docs/explore.gif, docs/explore-*.png and docs/learn/*.png: the real app in a real browser.

python scripts/make_pictures.py
"""

from __future__ import annotations

import io
import math
from pathlib import Path

from get_browser import find
from launch import BROWSER_FLAGS, ROOT, serve
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from explorer.scenes import SCENES

DOCS = ROOT / "docs"
FRAMES, FRAME_MS, GIF_WIDTH = 44, 110, 860


def open_stage(page: Page, address: str) -> None:
    page.goto(address)
    page.locator('[data-ready="true"]').wait_for(state="attached", timeout=30_000)
    page.wait_for_timeout(800)


def film(page: Page) -> list[Image.Image]:
    """One picture a step of a slow loop over the AE's map."""
    box = page.get_by_role("application", name="AE latent map", exact=True).bounding_box()
    assert box
    frames = []
    for i in range(FRAMES):
        angle = 2 * math.pi * i / FRAMES
        x = box["x"] + box["width"] * (0.52 + 0.33 * math.cos(angle))
        y = box["y"] + box["height"] * (0.45 + 0.3 * math.sin(2 * angle))
        page.mouse.move(x, y)
        page.wait_for_timeout(30)
        shot = Image.open(io.BytesIO(page.screenshot(clip={"x": 0, "y": 0, "width": 1440, "height": 705})))
        frames.append(shot.convert("RGB").resize((GIF_WIDTH, GIF_WIDTH * 705 // 1440), Image.Resampling.LANCZOS))
    return frames


def scenes(page: Page, address: str) -> None:
    """A picture of each scene of Learn with its answer."""
    (DOCS / "learn").mkdir(exist_ok=True)
    for number in range(1, len(SCENES) + 1):
        page.goto(f"{address}/learn?scene={number}&answers={'-' * (number - 1)}1")
        page.locator('.scene-picture[data-ready="true"], .scene-picture [data-ready="true"]').first.wait_for()
        page.locator(".result[data-right]").wait_for(timeout=30_000)
        page.wait_for_timeout(3000)
        save(page, DOCS / "learn" / f"{number}.png", width=960)


def save(page: Page, path: Path, *, width: int = 1440) -> None:
    """What is in sight, in 255 colours."""
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    small = shot.resize((width, round(shot.height * width / shot.width)), Image.Resampling.LANCZOS)
    small.quantize(255, method=Image.Quantize.FASTOCTREE).save(path, optimize=True)


def main() -> None:
    DOCS.mkdir(exist_ok=True)
    with serve() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=BROWSER_FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 950})
        open_stage(page, server.url)
        frames = film(page)
        palette = frames[0].quantize(255, method=Image.Quantize.FASTOCTREE)
        small = [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
        gif = DOCS / "explore.gif"
        small[0].save(gif, save_all=True, append_images=small[1:], duration=FRAME_MS, loop=0, optimize=True)
        for name, query in (("16d", "/?d=16&view=pca"), ("grid", "/?behind=grid")):
            open_stage(page, server.url + query)
            page.wait_for_timeout(2500)
            save(page, DOCS / f"explore-{name}.png")
        scenes(page, server.url)
        browser.close()
    for path in sorted(DOCS.rglob("*.[gp]*")):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
