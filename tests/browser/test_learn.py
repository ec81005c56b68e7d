"""Learn in a real browser: every scene opens, asks, computes its answer and stays in the address."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from explorer import catalogue
from explorer.scenes import SCENES
from tests import claims
from tests.browser.conftest import OpenPage
from tests.browser.stage import pixels

pytestmark = pytest.mark.browser
PATIENCE_MS = 30_000
NUMBERS = range(1, len(SCENES) + 1)


class Visits:
    """Pages of Learn; any complaint of the browser fails the test."""

    def __init__(self, open_page: OpenPage) -> None:
        self.open_page = open_page

    def open(self, query: str = "", *, wait: bool = True, **settings: object) -> Page:
        page = self.open_page(f"learn{query}", ready=False, **settings)
        if wait:
            picture(page).wait_for(timeout=PATIENCE_MS)
        return page


@pytest.fixture
def visits(open_page: OpenPage) -> Visits:
    return Visits(open_page)


def picture(page: Page) -> Locator:
    return page.locator('.scene-picture[data-ready="true"], .scene-picture [data-ready="true"]').first


def result(page: Page) -> Locator:
    return page.locator(".result[data-right]")


def query_of(page: Page) -> str:
    return str(page.evaluate("location.search"))


@pytest.mark.parametrize("number", NUMBERS)
def test_a_scene_asks_then_computes_what_is_right(visits: Visits, number: int) -> None:
    scene = SCENES[number - 1]
    page = visits.open(f"?scene={number}")
    expect(page.get_by_role("heading", level=1)).to_have_text(scene.title)
    expect(page.get_by_role("button", name="Show me")).to_be_disabled()
    expect(result(page)).to_have_count(0)
    assert page.locator(".closed").count() == 1
    hidden = page.locator(".scene-picture .telling, [data-hide~='samples'] [aria-label='Samples'], .prose + .hints")
    assert not page.get_by_text(scene.text[1]).is_visible()
    assert not any(one.is_visible() for one in hidden.all())
    page.get_by_role("radio", name=scene.choices[-1], exact=True).check()
    page.get_by_role("button", name="Show me").click()
    expect(result(page)).to_have_attribute("data-right", str(claims.RIGHT[scene.claim] + 1), timeout=15_000)
    as_thought = claims.RIGHT[scene.claim] == len(scene.choices) - 1
    expect(result(page)).to_contain_text("As you thought: " if as_thought else "Not as you thought: ")
    expect(result(page)).to_contain_text(scene.choices[claims.RIGHT[scene.claim]])
    expect(page.get_by_text(scene.text[1])).to_be_visible()
    assert page.locator(".closed").count() == 0
    assert f"answers={'-' * (number - 1)}{len(scene.choices)}" in query_of(page)


def answered(visits: Visits, claim: str) -> str:
    number = next(i for i, scene in enumerate(SCENES, 1) if scene.claim == claim)
    page = visits.open(f"?scene={number}&answers={'-' * (number - 1)}1")
    expect(result(page)).to_have_count(1, timeout=15_000)
    return result(page).inner_text()


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"\d+\.?\d*", text.replace(",", ""))]


def test_the_shares_that_are_read_are_those_of_torch(visits: Visits) -> None:
    shown = [float(found) for found in re.findall(r"(\d+) %", answered(visits, "readable"))]
    assert np.allclose(shown, 100 * np.array(claims.readable()), atol=1.01), "one image in 200 may be read otherwise"


def test_the_errors_of_kept_numbers_are_those_of_numpy(visits: Visits) -> None:
    shown = re.findall(r"0\.\d{4}", answered(visits, "kept"))
    assert np.allclose(np.array(shown, float), claims.kept(), atol=1e-4)


def test_the_linear_ae_ends_where_pca_does(visits: Visits) -> None:
    text = answered(visits, "linear")
    linear, _, pca = (float(found) for found in re.findall(r"0\.\d{5}", text)[:3])
    assert pca == pytest.approx(claims.pca_error(), abs=2e-5)
    assert linear == pytest.approx(pca, rel=0.005)


def test_the_errors_of_what_is_known_by_heart_are_those_of_torch(visits: Visits) -> None:
    text, found = answered(visits, "by_heart"), claims.by_heart()
    share, unsure = claims.blends()
    shown = numbers(text.split("explains ")[1])
    assert abs(shown[0] / 100 - share) < 0.011
    assert abs(shown[1] - unsure) <= 1
    copies, perfect_copies = numbers(text.split("twelve images: ")[1])[:2]
    assert copies == pytest.approx(found["copies"], abs=0.1)
    assert perfect_copies == pytest.approx(found["perfect copies"], abs=0.1)
    others, mean, perfect = numbers(text.split("others: ")[1])[:3]
    assert others == pytest.approx(found["others"], rel=0.01)
    assert (mean, perfect) == pytest.approx((found["mean"], found["perfect"]), abs=1)


def test_the_clouds_and_what_becomes_of_them_are_those_of_numpy(visits: Visits) -> None:
    read, hundred, _, wide = numbers(answered(visits, "cloud"))[:4]
    assert hundred == 100
    assert read / 100 == pytest.approx(claims.cloud(), abs=0.1)
    assert wide / 100 == pytest.approx(claims.cloud(wide=10), abs=0.15)
    free, held = re.findall(r"([\d.]+) %", answered(visits, "shrink"))
    assert float(free) / 100 == pytest.approx(claims.relative_sigma(0), rel=0.05)
    assert float(held) / 100 == pytest.approx(claims.relative_sigma(1), rel=0.05)


def test_measured_figures_are_quoted_as_they_were_measured(visits: Visits) -> None:
    text = answered(visits, "honest")
    for name, key in (("mnist-ae-16", "frechet/prior"), ("mnist-ae-16", "frechet/mixture")):
        figure = claims.figure(name, key)
        assert f"{figure.value:.0f} ({figure.low:.0f} to {figure.high:.0f})" in text
    assert f"At beta 2: a Fréchet distance of {claims.trade()[2]:.0f};" in answered(visits, "compromise")


# ---- the pictures


def test_the_network_shows_what_each_layer_says(visits: Visits) -> None:
    page = visits.open("?scene=1&answers=1")
    layers = page.locator(".layers")
    for size in (32, 1):
        page.get_by_role("radiogroup", name="Size of the code").get_by_role("radio", name=str(size), exact=True).click()
        expect(layers).to_have_attribute("aria-label", re.compile(f"with a code of {size}: "))
        assert page.locator(".code-bars i").count() == size
    page.get_by_role("button", name="Next image").click()
    expect(layers).to_have_attribute("aria-label", re.compile("Image 1, a 2"))
    x = claims.images()[0][1]
    shown = pixels(page, "8 numbers")
    assert np.abs(shown / 255 - claims.copy("mnist-ae-8", x[None])[0]).max() < 0.02


def test_the_line_of_twelve_goes_from_one_to_the_next(visits: Visits) -> None:
    page = visits.open("?scene=4")
    places = page.get_by_role("slider", name="Place on the line")
    page.get_by_role("button", name=re.compile(r"^Image 0 at")).click()
    assert np.abs(pixels(page, "Decoded image") / 255 - claims.images()[0][0]).mean() < 0.01
    before = pixels(page, "Decoded image")
    for _ in range(25):
        places.press("ArrowRight")
    expect(page.get_by_text("between a 7 and a")).to_be_visible()
    assert np.abs(pixels(page, "Decoded image") - before).mean() > 3


def test_mu_sigma_and_epsilon_can_be_pulled(visits: Visits) -> None:
    page = visits.open("?scene=7&answers=------1")
    formula = page.locator(".formula")
    before = formula.inner_text(), pixels(page, "VAE decoded image")
    for name in ("mu 1", "sigma 2", "epsilon 1"):
        page.get_by_role("slider", name=name, exact=True).press("End")
    assert formula.inner_text().startswith("z = mu + sigma · epsilon = (4.00 + ")
    assert not np.array_equal(pixels(page, "VAE decoded image"), before[1])
    page.get_by_role("button", name="Back to its own cloud").click()
    draws = [pixels(page, f"Draw {i}").tobytes() for i in range(1, 11)]
    page.get_by_role("button", name="Draw again").click()
    assert draws != [pixels(page, f"Draw {i}").tobytes() for i in range(1, 11)]
    expect(page.get_by_role("application", name="VAE latent map")).to_be_visible()


def test_the_two_parts_of_the_loss_are_those_of_the_formula(visits: Visits) -> None:
    page = visits.open("?scene=8")
    page.get_by_role("button", name="All KL: the standard Gaussian").click()
    expect(page.locator(".formula")).to_contain_text("+ KL 0.00 =")
    page.get_by_role("slider", name="mu 1", exact=True).press("End")
    expect(page.locator(".formula")).to_contain_text("+ KL 8.00 =")
    expect(page.get_by_text("the sum is least at")).to_be_visible()


def test_the_two_pulls_on_a_cloud_of_a_trained_vae_are_nearly_in_balance(visits: Visits) -> None:
    page = visits.open("?scene=8")
    pulls = page.get_by_text("how hard each part pulls at sigma")
    expect(pulls).to_contain_text("KL 2.00 nats outwards")
    inward = re.search(r"Reconstruction ([\d.]+) nats inwards", pulls.inner_text())
    assert inward
    assert 1 < float(inward[1]) < 4
    assert page.locator(".ellipses polygon").count() == 2
    for _ in range(3):
        page.get_by_role("slider", name="sigma 1", exact=True).press("PageUp")
    expect(pulls).not_to_contain_text(inward[0])
    more = re.search(r"Reconstruction ([\d.]+) nats inwards", pulls.inner_text())
    assert more
    assert float(more[1]) > float(inward[1]), "a wide cloud costs more copies"


# ---- the way through


def test_next_and_back_keep_the_answers_and_leave_the_stage_s_state_behind(visits: Visits) -> None:
    page = visits.open("?scene=5&answers=1---1")
    assert "d=16" in query_of(page)
    page.get_by_role("button", name="Two properties →").click()
    expect(page.locator(".where")).to_have_text("6 of 10")
    assert "d=16" not in query_of(page)
    assert "answers=1---1-----" in query_of(page)
    page.get_by_role("button", name="← Nobody asked for order").click()
    expect(result(page)).to_have_count(1, timeout=15_000)
    page.get_by_role("button", name="Scene 9: The dial").click()
    expect(page.get_by_role("slider", name="Beta dial", exact=True)).to_be_visible()
    expect(page.locator(".dots .answered")).to_have_count(2)


def test_the_keyboard_is_enough(visits: Visits) -> None:
    page = visits.open("?scene=2")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.locator("input[type=radio]:focus").count():
            break
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name=SCENES[1].choices[1])).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(result(page)).to_have_count(1, timeout=15_000)
    page.keyboard.press("PageDown")
    expect(page.get_by_role("heading", level=1)).to_have_text(SCENES[2].title)
    page.keyboard.press("PageUp")
    expect(page.get_by_role("heading", level=1)).to_have_text(SCENES[1].title)


def test_a_teacher_hides_what_is_not_wanted_and_fills_the_screen(visits: Visits) -> None:
    page = visits.open("?scene=10&full=1&hide=text,question,nav")
    for gone in (".prose", ".question", ".scene-nav", ".hints"):
        assert not any(one.is_visible() for one in page.locator(gone).all())
    expect(page.get_by_role("region", name="Samples")).to_be_visible()
    box = page.locator(".learn").bounding_box()
    assert box
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 1440, 950)
    page.get_by_role("button", name="Leave full screen").click()
    expect(page.locator(".fills")).to_have_count(0)
    assert "full" not in query_of(page)


def test_a_narrow_screen_needs_no_sideways_scrolling(visits: Visits) -> None:
    page = visits.open(f"?answers={'1' * len(SCENES)}", viewport={"width": 360, "height": 740})
    for number in NUMBERS:
        expect(page.locator(".where")).to_have_text(f"{number} of 10")
        picture(page).wait_for(timeout=PATIENCE_MS)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        wide = page.locator(".learn").evaluate(
            """host => [...host.querySelectorAll('*')].filter((one) => one.checkVisibility()
                && one.getBoundingClientRect().right > innerWidth + 1
                && getComputedStyle(one).position !== 'absolute').map((one) => one.outerHTML)"""
        )
        assert wide == []
        if number < len(SCENES):
            page.locator(".scene-nav > button").last.click()


@pytest.mark.parametrize("query", ["?scene=11", "?scene=0", "?scene=x", "?scene=2.5"])
def test_a_scene_that_is_none_is_told_and_the_first_is_shown(visits: Visits, query: str) -> None:
    page = visits.open(query)
    expect(page.get_by_role("alert")).to_contain_text("they are numbered 1 to 10")
    expect(page.get_by_role("heading", level=1)).to_have_text(SCENES[0].title)


def test_answers_that_are_none_are_passed_over(visits: Visits) -> None:
    page = visits.open("?scene=2&answers=9x<b>77777777777777777777")
    expect(page.get_by_role("button", name="Show me")).to_be_disabled()


def test_a_file_that_cannot_be_had_is_told_and_the_way_goes_on(browser: Browser, app: str) -> None:
    part = catalogue.shipped().lessons["twelve"]
    context = browser.new_context()
    page = context.new_page()

    def answer(route: Route) -> None:
        route.fulfill(status=500, body="weights.safetensors is not what was written.")

    page.route(f"**/atlas/{part.sha256}", answer)
    page.goto(f"{app}/learn?scene=4&answers=---1")
    expect(page.get_by_role("alert")).to_contain_text("This picture cannot be shown. weights.safetensors is not what")
    expect(page.locator(".result")).to_contain_text("This could not be computed. weights.safetensors is not")
    page.get_by_role("button", name="Nobody asked for order →").click()
    picture(page).wait_for(timeout=PATIENCE_MS)
    context.close()
