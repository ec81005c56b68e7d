"""The beta dial in a real browser: which model stands right, what moves with it and what stays."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from explorer import atlas, catalogue, checkpoints
from tests.browser.conftest import OpenPage
from tests.browser.stage import choose, code, latent_map, pixels, slider

pytestmark = pytest.mark.browser

DIAL = checkpoints.PRETRAINED / catalogue.DIAL
BETAS = (0, 0.01, 0.1, 0.3, 1, 2, 4, 10, 20, 50)
AT_ONE = "?left=mnist-ae-2-seed0&right=mnist-vae-2-beta1-seed0"
STEP = """(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input'));
    const panel = slider.getRootNode().querySelector('.panel.vae');
    return panel.querySelector('[role="slider"]').getAttribute('aria-valuemax'); }"""


@functools.cache
def atlas_of(d: int, beta: float) -> atlas.Atlas:
    return atlas.load(DIAL / f"mnist-vae-{d}-beta{beta:g}-seed0")


def decoded(made: atlas.Atlas, z: np.ndarray) -> np.ndarray:
    """[784], 0 to 255: the decoder of an atlas in numpy."""
    h = z.astype(np.float64)
    for layer in made.layers:
        if layer["kind"] == "linear":
            h = made.decoder[str(layer["weight"])].astype(np.float64) @ h + made.decoder[str(layer["bias"])]
        elif layer["kind"] == "relu":
            h = np.maximum(h, 0)
    return 255 / (1 + np.exp(-h))


def dial(page: Page) -> Locator:
    return page.get_by_role("slider", name="Beta dial", exact=True)


def toggle(page: Page) -> Locator:
    return page.get_by_role("button", name="Beta dial", exact=True)


def turn(page: Page, beta: float) -> None:
    dial(page).evaluate(STEP, BETAS.index(beta))
    expect(page.locator(".panel.vae .about").first).to_have_text(f"784·256·128·{d_of(page)}, β = {beta:g}")


def d_of(page: Page) -> int:
    return page.locator(".panel.vae .slider").count()


def right(page: Page) -> str:
    return str(page.get_by_role("combobox", name="Right model").input_value())


def test_the_dial_puts_equals_on_the_stage_and_gives_the_usual_pair_back(open_page: OpenPage) -> None:
    page = open_page()
    expect(dial(page)).to_have_count(0)
    toggle(page).click()
    expect(dial(page)).to_have_attribute("aria-valuetext", "β = 1")
    expect(page.locator(".panel.ae .about").first).to_have_text("784·256·128·2")
    page.wait_for_url("**/?left=mnist-ae-2-seed0&right=mnist-vae-2-beta1-seed0")
    toggle(page).click()
    expect(dial(page)).to_have_count(0)
    expect(page.get_by_role("combobox", name="Right model")).to_have_value("mnist-vae-2")
    expect(page.locator(".panel.ae .about").first).to_have_text("784·512·256·2")


def test_every_step_answers_with_its_own_decoder_and_leaves_the_left_alone(open_page: OpenPage) -> None:
    page = open_page(AT_ONE)
    page.wait_for_load_state("networkidle")
    left, at = pixels(page, "AE decoded image"), code(page, "AE", 2)
    cards = {beta: checkpoints.read_card(DIAL / f"mnist-vae-2-beta{beta:g}-seed0") for beta in BETAS}
    for beta in (0, 50, 0.1, 4):
        turn(page, beta)
        z = code(page, "VAE", 2)
        assert np.abs(pixels(page, "VAE decoded image") - decoded(atlas_of(2, beta), z)).max() <= 1
        assert np.allclose(z, np.median(atlas_of(2, beta).codes["codes"], axis=0), rtol=1e-3, atol=1e-3)
        said = page.locator(".dial output").inner_text()
        assert said == (
            f"β = {beta:g}: reconstruction {cards[beta].test_recon_sampled:.1f} + KL {cards[beta].test_kl:.2f} nats"
        )
        assert right(page) == cards[beta].name
    assert np.array_equal(pixels(page, "AE decoded image"), left)
    assert np.array_equal(code(page, "AE", 2), at)


def test_the_answer_is_there_before_the_next_frame(open_page: OpenPage) -> None:
    page = open_page(AT_ONE)
    page.wait_for_load_state("networkidle")
    before = slider(page, "VAE z1").get_attribute("aria-valuemax")
    assert dial(page).evaluate(STEP, BETAS.index(0)) != before, "the model has changed before the event has ended"


def test_an_image_that_holds_the_probe_holds_it_at_every_beta(open_page: OpenPage) -> None:
    page = open_page(AT_ONE)
    page.wait_for_load_state("networkidle")
    latent_map(page, "AE").focus()
    page.keyboard.press("Enter")
    image = int(page.get_by_text("test image").inner_text().split("test image ")[1].split(",")[0])
    for beta in (0.3, 10):
        turn(page, beta)
        assert np.allclose(code(page, "VAE", 2), atlas_of(2, beta).codes["codes"][image], rtol=1e-5)
    page.wait_for_timeout(300)
    again = open_page(page.url.split("/")[-1])
    assert np.allclose(code(again, "VAE", 2), code(page, "VAE", 2), rtol=1e-5)
    assert np.array_equal(pixels(again, "VAE decoded image"), pixels(page, "VAE decoded image"))


def test_a_held_probe_and_the_walk_keep_their_quantiles(open_page: OpenPage) -> None:
    page = open_page(AT_ONE)
    page.wait_for_load_state("networkidle")
    for key in ["PageUp", "PageUp", "ArrowRight"]:
        slider(page, "VAE z1").press(key)
    page.get_by_role("button", name="A = the probe").click()

    def quantile(beta: float) -> np.ndarray:
        codes = atlas_of(2, beta).codes["codes"]
        return np.array((codes < code(page, "VAE", 2)).mean(axis=0))

    before, ae = quantile(1), code(page, "AE", 2)
    turn(page, 4)
    assert np.allclose(quantile(4), before, atol=0.004)
    assert np.array_equal(code(page, "AE", 2), ae)
    page.wait_for_timeout(400)
    page.get_by_role("button", name="VAE walk frame 1: put the probe here").click()
    assert np.allclose(quantile(4), before, atol=0.004)


def test_keys_turn_it_and_another_number_of_dimensions_keeps_beta(open_page: OpenPage) -> None:
    page = open_page(AT_ONE)
    dial(page).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(dial(page)).to_have_attribute("aria-valuetext", "β = 4")
    choose(page, "Latent dimensions", "16")
    expect(page.locator(".panel.vae .about").first).to_have_text("784·256·128·16, β = 4")
    assert right(page) == "mnist-vae-16-beta4-seed0"
    page.keyboard.press("Tab")
    turn(page, 0)
    assert np.abs(pixels(page, "VAE decoded image") - decoded(atlas_of(16, 0), code(page, "VAE", 16))).max() <= 1


def test_what_has_no_dial_says_so(open_page: OpenPage) -> None:
    page = open_page("?data=fashion-mnist")
    expect(toggle(page)).to_be_disabled()
    expect(toggle(page)).to_have_attribute("title", "There are no models for a dial of Fashion-MNIST at 2 dimensions.")


@pytest.mark.parametrize("view", ["pca", "umap"])
def test_other_views_follow_too(open_page: OpenPage, view: str) -> None:
    page = open_page(f"{AT_ONE}&view={view}&ellipses=on&behind=grid")
    page.wait_for_load_state("networkidle")
    for beta in (0.1, 50):
        turn(page, beta)
        assert np.abs(pixels(page, "VAE decoded image") - decoded(atlas_of(2, beta), code(page, "VAE", 2))).max() <= 1


def test_a_model_that_cannot_be_had_is_told_and_the_dial_goes_back(open_page: OpenPage) -> None:
    parts = json.loads((DIAL / "mnist-vae-2-beta50-seed0" / atlas.MANIFEST).read_bytes())["parts"]

    def refuse(page: Page) -> None:
        def answer(route: Route) -> None:
            route.fulfill(status=500, body="codes.gz is not what was written.")

        page.route(f"**/atlas/{parts['codes']['sha256']}", answer)

    page = open_page(AT_ONE, before=refuse, quiet=False)
    page.wait_for_load_state("networkidle")
    dial(page).evaluate(STEP, BETAS.index(50))
    expect(page.get_by_role("alert")).to_contain_text("mnist-vae-2-beta50-seed0 cannot be shown. codes.gz is not")
    expect(dial(page)).to_have_attribute("aria-valuetext", "β = 1")
    assert right(page) == "mnist-vae-2-beta1-seed0"
    turn(page, 2)
