"""The static site in a real browser, under a path of a plain web server that knows nothing of us."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from launch import serve
from playwright.sync_api import BrowserContext, Page, Route, expect

from explorer import checkpoints, cli
from explorer.scenes import SCENES
from tests import claims
from tests.browser.conftest import OpenPage
from tests.browser.stage import choose, code, latent_map, move, pixels
from tests.browser.test_explore import torch_pixels

pytestmark = pytest.mark.browser
PATH = "some/where"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("web")
    cli.main(["export", "--site", str(root / PATH)])
    with serve([sys.executable, "-m", "http.server", "{port}", "--bind", "127.0.0.1"], folder=root) as server:
        yield f"{server.url}/{PATH}"


@pytest.fixture
def outside(usual: BrowserContext, address: str) -> Iterator[None]:
    """All but the site is out of reach, and nothing may ask for it."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        if route.request.url.startswith(f"{address}/"):
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    usual.route(re.compile("^https?:"), answer)
    yield
    usual.unroute_all()
    assert asked == []


def check_decoded(page: Page, data: str, d: int) -> None:
    for kind in ("AE", "VAE"):
        expected = torch_pixels(f"{data}-{kind.lower()}-{d}", code(page, kind, d))
        assert np.abs(pixels(page, f"{kind} decoded image") - expected).max() <= 1


def test_both_maps_answer_for_every_pair_and_a_lesson_computes_its_answer(
    open_page: OpenPage, outside: None, address: str
) -> None:
    page = open_page("", address=address)
    move(page, "AE", 0.3, 0.6)
    check_decoded(page, "mnist", 2)
    for switch, option, data, d in (
        ("Latent dimensions", "16", "mnist", 16),
        ("Data", "Fashion-MNIST", "fashion-mnist", 16),
    ):
        choose(page, switch, option)
        for kind in ("ae", "vae"):
            recon = checkpoints.read_card(checkpoints.PRETRAINED / f"{data}-{kind}-{d}").test_recon
            expect(page.locator(f".panel.{kind} > header")).to_contain_text(f"reconstruction {recon:.1f} nats")
            expect(latent_map(page, kind.upper())).to_be_visible()
        move(page, "VAE", 0.6, 0.4)
        check_decoded(page, data, d)

    # what needs a server of ours is not offered; what does not is
    take = page.get_by_role("region", name="Take along")
    assert take.get_by_role("link").count() == 0
    with page.expect_download() as coming:
        take.get_by_role("button", name="CSV").first.click()
    assert coming.value.suggested_filename == "fashion-mnist-ae-16-codes.csv"
    page.get_by_text("Embed in a page").click()
    frame = page.get_by_label("The frame as text").input_value()
    assert re.search(rf'src="{re.escape(address)}/\?[^"]*left=fashion-mnist-ae-16[^"]*embed=true"', frame)

    # a scene with a picture of its own, by keyboard from the menu, and one over the stage
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Learn").press("Enter")
    page.locator('.scene-picture[data-ready="true"]').wait_for(timeout=30_000)
    expect(page.get_by_role("link", name="Learn")).to_have_attribute("aria-current", "page")
    for number in (3, 10):
        page.get_by_role("button", name=f"Scene {number}: ").click()
        right = claims.RIGHT[SCENES[number - 1].claim]
        page.get_by_role("radio", name=SCENES[number - 1].choices[right], exact=True).check()
        page.get_by_role("button", name="Show me").click()
        expect(page.locator(f'.result[data-right="{right + 1}"]')).to_contain_text("As you thought", timeout=30_000)

    # a held-out image of Yours goes on to Explore
    page.get_by_role("link", name="Yours").click()
    page.locator('[data-ready="true"]').wait_for()
    expect(page.get_by_text("The classifier reads 7")).to_be_visible()
    page.get_by_role("link", name="Explore from here").click()
    page.wait_for_url(f"{address}/?*z=*")
    page.locator('[data-ready="true"]').wait_for()
    check_decoded(page, "mnist", 2)


@pytest.mark.parametrize("file", ["", "learn.html", "yours.html"])
def test_an_older_browser_is_told_what_it_lacks(open_page: OpenPage, address: str, file: str) -> None:
    def older(page: Page) -> None:
        page.add_init_script("delete window.DecompressionStream")

    page = open_page(file, address=address, before=older, ready=False, color_scheme="light")
    expect(page.get_by_text("This browser cannot show this page: it has no DecompressionStream.")).to_be_visible()


def test_a_link_of_the_app_shows_the_same_on_the_site(open_page: OpenPage, app: str, address: str) -> None:
    query = "?embed=true&data=fashion-mnist&d=16&view=pca&z=" + ",".join(f"{i / 4}" for i in range(16))
    shown = []
    for where in (app, address):
        page = open_page(query, address=where, color_scheme="dark", viewport={"width": 360, "height": 740})
        shown.append((code(page, "VAE", 16).tobytes(), pixels(page, "VAE decoded image").tobytes()))
        assert page.get_by_role("navigation", name="Pages").count() == 0, "a frame has no menu"
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert latent_map(page, "VAE").evaluate("map => map.closest('.stage').dataset.theme") == "dark"
    assert shown[0] == shown[1]
