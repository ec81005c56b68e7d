"""The stage on other people's pages, in a real browser: in a frame of another origin, and in a notebook's cell."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from playwright.sync_api import Browser, Frame, Page, Route, expect

import explorer
from tests.browser.conftest import OpenPage
from tests.browser.stage import another_origin, code, latent_map, pixels
from tests.browser.test_explore import torch_pixels

pytestmark = pytest.mark.browser

NAMES = {"AE": "mnist-ae-2", "VAE": "mnist-vae-2"}
SCROLLING = """() => [...document.querySelectorAll('*')].filter((one) => one.scrollHeight > one.clientHeight + 1
    && ['auto', 'scroll'].includes(getComputedStyle(one).overflowY)).length"""
CUT_OFF = "() => document.documentElement.scrollWidth > innerWidth"


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def check_decoded(page: Page | Frame) -> None:
    for kind, name in NAMES.items():
        expected = torch_pixels(name, code(page, kind, 2))
        assert np.abs(pixels(page, f"{kind} decoded image") - expected).max() <= 1


def test_the_frame_to_copy_shows_the_stage_alone_as_it_stood_on_a_page_of_another_origin(
    open_page: OpenPage, browser: Browser
) -> None:
    page = open_page("?view=pca&seed=7", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_text("Embed in a page").click()
    page.get_by_role("button", name="Copy the frame").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    text = page.evaluate("() => navigator.clipboard.readText()")
    assert text == page.get_by_role("textbox", name="The frame as text").input_value()
    ((tag, has),) = Tags(text).found
    assert (tag, has["title"], has["loading"]) == ("iframe", "Latent Explorer: mnist-ae-2 and mnist-vae-2", "lazy")
    assert has["sandbox"] == "allow-scripts allow-same-origin"

    # The app is at one site and the page at another, so that the frame's cookies are refused.
    text = text.replace("localhost", "127.0.0.1")
    complaints: list[str] = []
    with another_origin(f"<title>Another page</title><body style='margin: 0'>{text}") as (address, _):
        context = browser.new_context(viewport={"width": 900, "height": 950})
        other = context.new_page()
        other.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        other.on("pageerror", lambda error: complaints.append(str(error)))
        other.goto(address.replace("127.0.0.1", "localhost"))
        inside = other.frame_locator("iframe")
        inside.locator('[data-ready="true"]').wait_for(state="attached", timeout=30_000)
        frame = other.frames[1]
        assert context.cookies() == []
        expect(frame.get_by_role("radio", name="PCA", exact=True)).to_have_attribute("aria-checked", "true")
        for link in ("Learn", "Train", "Download as one file"):
            assert page.get_by_role("link", name=link).count() == 1
            assert frame.get_by_role("link", name=link).count() == 0
        seen = set()
        for kind in NAMES:
            latent_map(frame, kind).hover(position={"x": 80, "y": 90})
            check_decoded(frame)
            seen.add(pixels(frame, "AE decoded image").tobytes())
        assert len(seen) == 2
        # the view is kept in the frame's address, and stays one of a frame
        frame.get_by_role("radio", name="raw z", exact=True).click()
        frame.wait_for_url(re.compile(r"\?seed=7(&|.*&)embed=true$"))
        for width, height in ((900, 600), (360, 640)):
            other.locator("iframe").evaluate("(one, [w, h]) => { one.width = w; one.height = h; }", [width, height])
            expect(latent_map(frame, "VAE")).to_be_visible()
            assert frame.evaluate(SCROLLING) == 1
            assert not frame.evaluate(CUT_OFF)
        context.close()
    assert complaints == []


# ---- a notebook's cell

HOST = """<!DOCTYPE html><title>Notebook</title><link rel=icon href=data:,>
<style>body { font: 20px serif; background: #fff; --accent: #fff } h1 { color: green } .map, button { display: none }
#second { background: #111; color: #eee }</style>
<h1>Host</h1><div id=first></div><div id=second></div>
<script type=module>
const state = await (await fetch('state.json')).json();
for (const file of Object.values(state.files))
  file.content = new DataView(Uint8Array.from(atob(file.content), (letter) => letter.charCodeAt(0)).buffer);
const { default: widget } = await import(URL.createObjectURL(new Blob([state._esm], { type: 'text/javascript' })));
window.told = {};
document.addEventListener('keydown', ({ key }) => { window.heard = key; });
window.close = {};
for (const id of ['first', 'second']) {
  const own = { ...state, height: id === 'second' ? 500 : null }, told = (window.told[id] = []);
  const model = { get: (name) => own[name], set: (name, value) => { own[name] = value; },
    save_changes: () => told.push({ z: own.z, models: own.models, query: own.query }), on: () => {}, off: () => {} };
  window.close[id] = await widget.render({ model, el: document.getElementById(id) });
}
</script>"""


def plain(value: object) -> object:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def test_two_cells_of_a_notebook_are_live_tell_python_what_was_picked_and_leave_the_page_as_it_is(
    browser: Browser,
) -> None:
    widget = explorer.show(query="view=pca&z=1,2")
    wanted = ("_esm", "modules", "styles", "catalogue", "files", "height", "z", "models", "query")
    state = json.dumps({name: value for name, value in widget.get_state().items() if name in wanted}, default=plain)
    complaints: list[str] = []

    def answer(route: Route) -> None:
        is_state = route.request.url.endswith("state.json")
        route.fulfill(body=state if is_state else HOST, content_type="application/json" if is_state else "text/html")

    context = browser.new_context(viewport={"width": 1100, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.route("http://notebook.test/**", answer)
    page.goto("http://notebook.test/?view=umap&z=other")
    page.wait_for_function("() => window.told?.first.length && window.told.second.length", timeout=30_000)

    # each cell is by itself, in the theme of what it lies on
    first, second = page.locator("#first"), page.locator("#second")
    expect(first.locator(".stage")).to_have_attribute("data-theme", "light")
    expect(second.locator(".stage")).to_have_attribute("data-theme", "dark")
    expect(first.get_by_role("radio", name="PCA", exact=True)).to_have_attribute("aria-checked", "true")
    assert np.allclose(code(first, "AE", 2), [1, 2])
    assert page.get_by_text("Host", exact=True).evaluate("one => getComputedStyle(one).color") == "rgb(0, 128, 0)"
    ink = first.locator(".tile b").first.evaluate("one => getComputedStyle(one).color")
    assert ink == "rgb(27, 34, 48)", "the page's --accent is not the stage's"

    heights = [one.locator(".stage").evaluate("one => [one.offsetHeight, one.scrollHeight]") for one in (first, second)]
    assert heights[0][0] == heights[0][1] == heights[1][1], "as high as what is in it, unless told otherwise"
    assert heights[1][0] == 500

    # what is picked in one cell is told to its own model, as the images show it
    before = page.evaluate("() => window.told.second.length")
    latent_map(first, "VAE").click(position={"x": 90, "y": 90})
    shown = code(first, "VAE", 2)
    page.wait_for_function("z => Math.abs(window.told.first.at(-1).z[1][0] - z) < 1e-3", arg=float(shown[0]))
    told = page.evaluate("() => window.told.first.at(-1)")
    assert page.evaluate("() => window.told.second.length") == before
    widget.set_state({name: told[name] for name in ("z", "models", "query")})
    for kind, image in zip(NAMES, widget.image):
        assert np.abs(pixels(first, f"{kind} decoded image") - image.ravel() * 255).max() <= 1
    assert widget.models == list(NAMES.values())
    assert "view=pca" in widget.query
    assert np.allclose(code(second, "AE", 2), [1, 2])

    # keys pressed in a cell are not the notebook's
    first.get_by_role("radio", name="PCA", exact=True).press("b")
    assert page.evaluate("() => window.heard") is None
    page.locator("h1").first.click()
    page.keyboard.press("x")
    assert page.evaluate("() => window.heard") == "x"

    # the notebook's address is its own; its theme is followed; a cell that is closed is gone
    assert page.url == "http://notebook.test/?view=umap&z=other"
    page.evaluate("() => document.body.setAttribute('style', 'background: #111')")
    expect(first.locator(".stage")).to_have_attribute("data-theme", "dark")
    page.evaluate("() => window.close.first()")
    assert first.evaluate("one => one.childElementCount") == 0
    context.close()
    assert complaints == []
