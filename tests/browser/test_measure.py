from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from launch import serve
from playwright.sync_api import Browser, Page, expect

from explorer import cells, scoreboard
from tests import sweep_folder

pytestmark = pytest.mark.browser
SLOW = 90_000


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve() as started:
        yield started.url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1800})
    yield context.new_page()
    context.close()


def test_the_shipped_figures_are_there_at_once_and_can_be_taken_along(server: str, page: Page, tmp_path: Path) -> None:
    page.goto(f"{server}/measure?left=mnist-ae-16&right=mnist-vae-16")
    expect(page.get_by_text("Sampled from N(0, I), the VAE comes nearer to real images")).to_be_visible(timeout=SLOW)
    page.get_by_text("a uniform box around its codes", exact=True).click()
    expect(page.get_by_text("Completeness: sampled from a uniform box")).to_be_visible(timeout=SLOW)
    expect(page).to_have_url(re.compile(r"from=a\+uniform\+box"))
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    download.value.save_as(tmp_path / "figures.json")
    models = json.loads((tmp_path / "figures.json").read_bytes())["models"]
    assert [model["about"]["model"] for model in models] == ["mnist-ae-16", "mnist-vae-16"]
    assert all(len(model["figures"]) == scoreboard.COUNT for model in models)
    with page.expect_download() as download:
        page.get_by_role("button", name="Report").click()
    download.value.save_as(tmp_path / "report.html")
    page.goto((tmp_path / "report.html").as_uri())
    expect(page.get_by_role("heading", name="mnist-ae-16 and mnist-vae-16")).to_be_visible()
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=SLOW)


@pytest.mark.soak
def test_a_sweep_that_starts_or_ends_while_the_page_is_open_is_noticed(page: Page, tmp_path: Path) -> None:
    with serve(LATENT_EXPLORER_SWEEPS=str(tmp_path)) as started:
        page.goto(f"{started.url}/measure")
        expect(page.get_by_role("heading", name="What beta trades")).to_be_visible(timeout=SLOW)
        out = tmp_path / "mine"
        cells.join(out, sweep_folder.PLAN)
        claim = cells.claim(out, sweep_folder.GRID[0])
        assert claim
        with claim:
            cells.note(out, sweep_folder.GRID[0], where="here", epoch=1)
            expect(page.get_by_text("mine: 0 of 6 cells done")).to_be_visible(timeout=SLOW)
            sweep_folder.finish(out, sweep_folder.GRID[1])
            expect(page.get_by_text("mine: 1 of 6 cells done")).to_be_visible(timeout=SLOW)
        expect(page.get_by_text("nothing runs now")).to_be_visible(timeout=SLOW)


def test_a_click_on_a_row_shows_what_it_was_computed_from(server: str, page: Page) -> None:
    page.goto(f"{server}/measure?left=mnist-ae-16&right=mnist-vae-16")
    table = page.get_by_test_id("stDataFrame").first
    table.wait_for(timeout=SLOW)
    examples = page.get_by_text(re.compile("nearest to the other side, in the middle, farthest"))
    for _ in range(3):  # a table that is just being drawn does not feel the pointer yet
        page.wait_for_timeout(1000)
        box = table.bounding_box()
        assert box
        page.mouse.click(box["x"] + 16, box["y"] + 52)
        with contextlib.suppress(AssertionError):
            expect(examples).to_have_count(2, timeout=SLOW / 4)
            break
    expect(examples).to_have_count(2)
    expect(page.get_by_test_id("stImage")).to_have_count(2)


def test_a_click_on_a_point_of_the_frontier_puts_its_model_on_the_stage(server: str, page: Page) -> None:
    page.goto(f"{server}/measure")
    charts = page.get_by_test_id("stPlotlyChart")
    point = charts.nth(-2).locator(".scatterlayer .trace").first.locator("path.point").nth(6)
    point.wait_for(timeout=SLOW)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    dial = page.get_by_role("slider", name="Beta dial", exact=True)
    expect(dial).to_have_attribute("aria-valuetext", "β = 4", timeout=SLOW)
    expect(page.get_by_role("combobox", name="Right model")).to_have_value("mnist-vae-2-beta4-seed0")
    expect(page.get_by_role("combobox", name="Left model")).to_have_value("mnist-ae-2-seed0")
