"""The one file in a real browser: opened from the disk, with the network off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from explorer import atlas, catalogue, onefile
from tests.browser.conftest import OpenPage
from tests.browser.stage import choose, code, latent_map, move, pixels, press
from tests.browser.test_explore import codes_of, torch_pixels

pytestmark = pytest.mark.browser

OpenFile = Callable[..., Page]
HOSTILE = "</script><img src=x onerror=alert(1)>"
AT_HOME = ("file:", "data:", "blob:")


@pytest.fixture
def open_file(browser: Browser) -> Iterator[OpenFile]:
    """Open a file offline and wait until it answers. Any complaint of the browser or word to the outside fails."""
    contexts, complaints = [], []

    def open_it(path: Path, query: str = "", *, before: str = "", **settings: object) -> Page:
        context = browser.new_context(viewport={"width": 1440, "height": 950}, **settings)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_offline(True)
        context.on("request", lambda asked: asked.url.startswith(AT_HOME) or complaints.append(asked.url[:200]))
        page = context.new_page()
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.add_init_script(before)
        page.goto(f"{path.as_uri()}{query}")
        page.locator('[data-ready="true"]').wait_for(state="attached", timeout=30_000)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []


def check_decoded(page: Page) -> None:
    for kind in ("AE", "VAE"):
        expected = torch_pixels(f"mnist-{kind.lower()}-2", code(page, kind, 2))
        assert np.abs(pixels(page, f"{kind} decoded image") - expected).max() <= 1


def test_what_the_link_downloads_is_the_stage_as_it_stood_and_works_without_a_server(
    open_page: OpenPage, open_file: OpenFile, tmp_path: Path
) -> None:
    app = open_page("?view=pca")
    press(app, "AE", 0.1, 0.9)
    held = code(app, "AE", 2)
    with app.context.expect_event("download") as coming:
        app.get_by_role("link", name="Download as one file").click()
    assert coming.value.suggested_filename == "mnist-ae-2-and-mnist-vae-2.html"
    path = tmp_path / "view.html"
    coming.value.save_as(path)

    page = open_file(path)
    assert page.get_by_role("link", name="Download").count() == 0
    expect(page.get_by_role("radio", name="PCA", exact=True)).to_have_attribute("aria-checked", "true")
    assert np.allclose(code(page, "AE", 2), held, rtol=1e-3)
    check_decoded(page)

    # the pointer, in every view
    latent_map(page, "AE").focus()
    page.keyboard.press("Escape")
    seen = []
    for view in ("PCA", "UMAP", "raw z"):
        choose(page, "View", view)
        for place in ((0.3, 0.4), (0.6, 0.55)):
            move(page, "VAE", *place)
            check_decoded(page)
            seen.append(pixels(page, "VAE decoded image").tobytes())
        if view == "UMAP":
            assert (np.abs(codes_of("mnist-vae-2") - code(page, "VAE", 2)).max(axis=1) < 1e-4).any()
    assert len(set(seen)) == len(seen)

    # walk, samples, the images, the posteriors, the classifier
    for kind in ("AE", "VAE"):
        for frame, image in ((1, 0), (11, 1)):
            expected = torch_pixels(f"mnist-{kind.lower()}-2", codes_of(f"mnist-{kind.lower()}-2")[image])
            assert np.abs(pixels(page, f"{kind} walk frame {frame}") - expected).max() <= 1
    name = "AE sample 3 from a mixture fitted to its codes"
    page.get_by_role("button", name=f"{name}: put the probe here", exact=True).click()
    assert np.array_equal(pixels(page, name), pixels(page, "AE decoded image"))
    check_decoded(page)
    assert np.array_equal(pixels(page, "Original image"), atlas.held_out("mnist")[0][0].ravel())
    page.get_by_role("button", name="Ellipses").click()
    expect(page.locator(".panel.vae .ellipses > *").first).to_be_attached()
    choose(page, "Layer", "class uncertainty")
    for kind in ("AE", "VAE"):
        expect(latent_map(page, kind)).to_have_attribute("data-layer", re.compile("uncertainty"))

    # the address holds the view here too: the usual one in place of the one that the file starts with
    choose(page, "Layer", "none")
    page.get_by_role("button", name="Ellipses").click()
    page.keyboard.press("Escape")
    page.wait_for_url(f"{path.as_uri()}?data=mnist")
    page.reload()
    page.locator('[data-ready="true"]').wait_for(state="attached")
    expect(page.get_by_role("radio", name="raw z", exact=True)).to_have_attribute("aria-checked", "true")


def test_hostile_names_are_shown_as_text_and_a_forbidden_address_breaks_nothing(
    open_file: OpenFile, tmp_path: Path
) -> None:
    models = catalogue.shipped()
    vae = next(entry for entry in models.entries if entry.card.name == "mnist-vae-2")
    left, right = (replace(vae, card=replace(vae.card, name=f"{which}{HOSTILE}")) for which in ("first", "second"))
    titles = {"mnist": (f"title{HOSTILE}", (f"zero{HOSTILE}", *"123456789"))}
    path = tmp_path / "view.html"
    path.write_bytes(onefile.one_file(left, right, models=models, titles=titles))
    forbid = "history.replaceState = () => { throw new DOMException('not here', 'SecurityError'); };"
    page = open_file(path, before=forbid, color_scheme="dark")
    expect(page.get_by_role("button", name=f"Class zero{HOSTILE}", exact=True)).to_be_visible()
    expect(page.get_by_role("radio", name=f"title{HOSTILE}", exact=True)).to_be_visible()
    assert page.title().startswith(f"first{HOSTILE} and second{HOSTILE}")
    choosers = page.locator(".panel select").filter(has_text="first").evaluate_all("all => all.map(one => one.value)")
    assert choosers == [f"first{HOSTILE}", f"second{HOSTILE}"]
    assert page.locator("img").count() == 0
    # what is chosen is shown, though it cannot be kept in the address
    choose(page, "View", "PCA")
    page.wait_for_timeout(300)
    move(page, "VAE left", 0.3, 0.4)
    expected = torch_pixels("mnist-vae-2", code(page, "VAE left", 2))
    assert np.abs(pixels(page, "VAE left decoded image") - expected).max() <= 1
    assert page.locator(".stage").get_attribute("data-theme") == "dark"
    page.emulate_media(color_scheme="light")
    expect(page.locator(".stage")).to_have_attribute("data-theme", "light")
