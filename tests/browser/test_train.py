from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from launch import serve
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect

from explorer.settings import count_parameters
from tests.browser.stage import code, latent_map, no_drawing, pixels, slider, wait_until

pytestmark = pytest.mark.browser
SLOW = 60_000
Person = Callable[[], BrowserContext]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server for this file: one training at a time, as on two cores."""
    with serve(LATENT_EXPLORER_AT_ONCE="1") as started:
        yield started.url


@pytest.fixture
def person(browser: Browser) -> Iterator[Person]:
    """A new browser profile: someone else."""
    contexts: list[BrowserContext] = []

    def arrive() -> BrowserContext:
        contexts.append(browser.new_context(viewport={"width": 1440, "height": 950}))
        return contexts[-1]

    yield arrive
    for context in contexts:
        context.close()


def stage(page: Page) -> dict[str, str]:
    return dict(page.locator('[data-role="stage"]').evaluate("element => ({...element.dataset})"))


def start(context: BrowserContext, server: str, *, epochs: int, dataset: str = "MNIST, 10,000 images") -> Page:
    """Open Train and start a pair; the page shows its first news."""
    page = context.new_page()
    page.goto(f"{server}/train")
    page.get_by_role("combobox", name=re.compile("Data")).click(timeout=SLOW)
    page.get_by_role("option", name=dataset, exact=True).click()
    expect(page.get_by_text("weights in the AE")).to_be_visible()
    page.get_by_role("spinbutton", name="Epochs").fill(str(epochs))
    page.get_by_role("button", name="Start", exact=True).click()  # which ends the typing, too
    page.wait_for_url(re.compile(r"job=\w+"))
    return page


def map_pixels(page: Page, kind: str) -> np.ndarray:
    points = latent_map(page, kind).locator("canvas").nth(1)
    return np.array(points.evaluate("c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"))


def wait_for_state(page: Page, *states: str) -> None:
    wanted = ", ".join(f'[data-state="{state}"]' for state in states)
    try:
        page.locator(wanted).first.wait_for(state="attached", timeout=SLOW)
    except Error as error:
        raise AssertionError(f"wanted {states}, the stage says {stage(page)} and {page.inner_text('body')}") from error


def shown_after(page: Page, moment: int) -> None:
    wait_until(
        page,
        """moment => { const find = (root) => root.querySelector('[data-role="stage"]')
            ?? [...root.querySelectorAll('*')].map((e) => e.shadowRoot && find(e.shadowRoot)).find(Boolean);
            return Number(find(document)?.dataset.shownvae) > moment; }""",
        moment,
        timeout_ms=SLOW,
    )


def decode_at(page: Page, kind: str, z: list[str]) -> np.ndarray:
    for i, value in enumerate(z):
        box = page.get_by_role("textbox", name=f"{kind} z{i + 1} value", exact=True)
        box.fill(value)
        box.press("Enter")
    return pixels(page, f"{kind} decoded image")


def test_a_reload_finds_the_training_again_and_the_film_has_all_of_it(server: str, person: Person) -> None:
    page = start(person(), server, epochs=200)
    page.locator('[data-ready="true"]').wait_for(state="attached", timeout=SLOW)
    shown_after(page, 4)
    seen = int(stage(page)["shownvae"])
    page.reload()
    page.locator('[data-ready="true"]').wait_for(state="attached", timeout=SLOW)
    shown_after(page, seen)
    assert stage(page)["state"] == "training"
    film = page.get_by_role("slider", name="Moment of the training")
    assert int(film.get_attribute("max") or 0) >= seen
    film.fill("0")
    page.wait_for_timeout(500)
    first = pixels(page, "VAE decoded image")
    page.get_by_role("button", name="Newest").click()
    page.wait_for_timeout(500)
    assert np.abs(pixels(page, "VAE decoded image") - first).max() > 20
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for_state(page, "stopped")


@pytest.mark.soak
def test_a_page_goes_on_by_itself_when_its_server_was_killed_and_started_again(person: Person, tmp_path: Path) -> None:
    with serve(LATENT_EXPLORER_STATE=str(tmp_path / "state")) as first:
        page = start(person(), first.url, epochs=200, dataset="Digits 8×8, 1,438 images")
        page.locator('[data-ready="true"]').wait_for(state="attached", timeout=SLOW)
        shown_after(page, 12)
        os.kill(first.pid, signal.SIGKILL)
    expect(page.get_by_text("The connection is lost; the training goes on")).to_be_visible(timeout=SLOW)
    seen, port = int(stage(page)["shownvae"]), int(first.url.rpartition(":")[2])
    with serve(port=port):  # as behind a proxy, where another server answers meanwhile
        expect(page.get_by_text("It may be starting again: this page asks for")).to_be_visible(timeout=SLOW)
    with serve(port=port, LATENT_EXPLORER_STATE=str(tmp_path / "state")):
        expect(page.get_by_text("The server was started again.")).to_be_visible(timeout=SLOW)
        shown_after(page, seen + 3)
        assert stage(page)["state"] == "training"
        expect(page.get_by_text("There is no such training of yours on this server")).to_have_count(0, timeout=SLOW)
        page.get_by_role("button", name="Stop", exact=True).click()
        wait_for_state(page, "stopped")


SHORT_PATIENCE = """
const later = window.setTimeout, Source = window.EventSource;
window.setTimeout = (act, ms, ...given) => later(act, ms === 40000 ? 1500 : ms, ...given);
window.sources = [];
window.EventSource = class extends Source {
  constructor(...given) { super(...given); window.sources.push(this); }
};
"""


def test_a_connection_that_was_cut_without_a_word_is_made_anew(server: str, person: Person) -> None:
    anna = person()
    anna.add_init_script(SHORT_PATIENCE)
    page = start(anna, server, epochs=200, dataset="Digits 8×8, 1,438 images")
    page.locator('[data-ready="true"]').wait_for(state="attached", timeout=SLOW)
    shown_after(page, 4)
    seen = page.evaluate("() => { window.sources.at(-1).close(); return window.sources.length; }")
    shown = int(stage(page)["shownvae"])
    wait_until(page, "seen => window.sources.length > seen", seen)
    shown_after(page, shown + 2)
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for_state(page, "stopped")


def test_two_people_wait_for_one_another_and_see_nothing_of_each_other(server: str, person: Person) -> None:
    anna, ben = person(), person()
    hers = start(anna, server, epochs=200)
    hers.locator('[data-ready="true"]').wait_for(state="attached", timeout=SLOW)
    his = start(ben, server, epochs=1, dataset="Digits 8×8, 1,438 images")
    expect(his.get_by_text("Waiting: place 1 in the queue")).to_be_visible()

    spy = ben.new_page()
    spy.goto(hers.url)
    expect(spy.get_by_text("There is no such training of yours on this server")).to_be_visible(timeout=SLOW)
    expect(spy.locator('[data-role="stage"]')).to_be_hidden(timeout=SLOW)
    job = re.search(r"job=(\w+)", hers.url)
    assert job
    stop = """async (job) => (await fetch(`jobs/${job}/stop`, {method: 'POST',
        body: '{"keep": false}'})).status"""
    assert spy.evaluate(stop, job.group(1)) == 404
    assert spy.evaluate("async (job) => (await fetch(`jobs/${job}/events`)).status", job.group(1)) == 404
    assert stage(hers)["state"] == "training"

    hers.get_by_role("button", name="Stop", exact=True).click()
    wait_for_state(hers, "stopped")
    wait_for_state(his, "drawing", "done")


def test_one_dimension_is_a_strip_that_answers(server: str, person: Person) -> None:
    page = person().new_page()
    page.goto(f"{server}/train")
    page.get_by_role("button", name="One dimension").click(timeout=SLOW)
    network = {"image_shape": (1, 28, 28), "arch": "mlp", "hidden": (512, 256)}
    ae = count_parameters("ae", latent_dim=1, **network)  # type: ignore[arg-type]
    expect(page.get_by_text(f"{ae:,} weights in the AE")).to_be_visible()
    page.get_by_role("combobox", name=re.compile("Data")).click()
    page.get_by_role("option", name=re.compile("Digits")).click()
    expect(page.get_by_text("weights in the AE")).to_be_visible()
    page.get_by_role("button", name="Start", exact=True).click()
    page.locator('[data-ready="true"]').wait_for(state="attached", timeout=SLOW)
    wait_for_state(page, "drawing", "done")
    no_drawing(server)
    box = latent_map(page, "AE").bounding_box()
    assert box
    codes = []
    for share in (0.3, 0.8):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        page.wait_for_timeout(100)
        codes.append(code(page, "AE", 1)[0])
    assert codes[1] > codes[0]
    assert slider(page, "VAE z1").count() == 1
    assert slider(page, "VAE z2").count() == 0


def test_from_start_to_another_installation(server: str, app: str, person: Person, tmp_path: Path) -> None:
    """Start, watch, stop and keep, explore, download, load elsewhere: the same image at the same code.

    It is the last here: what it trained goes on to draw UMAP, which ends with the server.
    """
    page = start(person(), server, epochs=200)
    page.locator('[data-ready="true"]').wait_for(state="attached", timeout=SLOW)
    before, seen = map_pixels(page, "VAE"), int(stage(page)["shownvae"])
    shown_after(page, seen + 3)
    assert (map_pixels(page, "VAE") != before).mean() > 0.001
    under_way = page.get_by_text(re.compile(r"epoch \d+\.\d of 200 · [\d,]+ images/s · about"))
    try:
        expect(under_way).to_have_count(2, timeout=SLOW)
    except AssertionError as error:
        raise AssertionError(f"no training under way in {page.inner_text('body')}, stage {stage(page)}") from error

    page.get_by_role("button", name="Stop and keep").click()
    wait_for_state(page, "drawing", "done")
    no_drawing(server)
    page.get_by_role("textbox", name="Name of the pair").fill("first.try")
    page.get_by_role("button", name="Keep", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as one file").click()
    download.value.save_as(tmp_path / "pair.zip")
    page.get_by_role("link", name="Open in Explore").click()
    latent_map(page, "AE").wait_for(timeout=SLOW)
    assert "left=first.try-ae" in page.url
    here = {kind: decode_at(page, kind, ["0.5", "-0.25"]) for kind in ("AE", "VAE")}
    assert here["VAE"].max() > 50

    other = person().new_page()
    other.goto(f"{app}/train")
    other.get_by_text("Your models: load a file").click(timeout=SLOW)
    other.locator('input[type="file"]').set_input_files(tmp_path / "pair.zip")
    expect(other.get_by_text("Loaded as pair-ae and pair-vae")).to_be_visible(timeout=SLOW)
    other.goto(f"{app}/?left=pair-ae&right=pair-vae")
    latent_map(other, "AE").wait_for(timeout=SLOW)
    other.locator('[data-ready="true"]').wait_for(state="attached", timeout=SLOW)
    there = {kind: decode_at(other, kind, ["0.5", "-0.25"]) for kind in ("AE", "VAE")}
    for kind in ("AE", "VAE"):
        assert np.array_equal(here[kind], there[kind])
