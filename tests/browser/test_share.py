"""What is shared and taken along, in a real browser: links, pictures, films, tables."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from explorer import atlas, catalogue, checkpoints, modules, onefile
from tests.browser.conftest import OpenPage
from tests.browser.stage import code, latent_map, move, pixels
from tests.browser.test_explore import codes_of, torch_pixels
from tests.test_export import TRIGGERS

pytestmark = pytest.mark.browser

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>alert(1)</script><image href=x onerror=alert(1)>\x01]]>&amp; مرحبا 🥾"
EVERY_CANVAS = "stage => Array.from(stage.querySelectorAll('canvas'), (one) => one.toDataURL())"


def settled(page: Page) -> list[str]:
    """Every canvas of the stage as it looks once nothing changes any more."""
    stage, before = page.locator('[data-role="stage"]'), []
    while True:
        page.wait_for_timeout(200)
        now: list[str] = stage.evaluate(EVERY_CANVAS)
        if now == before and page.locator("[data-layer$=computing]").count() == 0:
            return before
        before = now


def take(page: Page) -> Locator:
    return page.get_by_role("region", name="Take along")


def saved(page: Page, button: str, path: Path) -> Path:
    """What a press on a button of "Take along" saves."""
    with page.expect_download() as coming:
        take(page).get_by_role("button", name=button).first.click()
    target = path / coming.value.suggested_filename
    coming.value.save_as(target)
    return target


@pytest.fixture
def contexts(browser: Browser) -> Iterator[list[BrowserContext]]:
    """Two profiles that know nothing of one another; the first may copy."""
    made = [browser.new_context(viewport={"width": 1440, "height": 950}) for _ in range(2)]
    made[0].grant_permissions(["clipboard-read", "clipboard-write"])
    yield made
    for context in made:
        context.close()


def test_a_copied_link_shows_the_same_pixels_in_another_profile(contexts: list[BrowserContext], app: str) -> None:
    def visit(context: BrowserContext, address: str) -> Page:
        page = context.new_page()
        page.goto(address)
        page.locator('[data-ready="true"]').wait_for(state="attached", timeout=30_000)
        return page

    query = "?view=pca&layer=holes&class=3&seed=7&image=5&a=i8&walk=sphere&ellipses=on&data=fashion-mnist"
    mine = visit(contexts[0], f"{app}/{query}")
    latent_map(mine, "AE").hover()
    mine.mouse.wheel(0, -200)
    latent_map(mine, "VAE").hover(position={"x": 200, "y": 90})
    mine.mouse.wheel(0, -120)
    mine.keyboard.down("Shift")
    mine.mouse.down()
    move(mine, "VAE", 0.4, 0.4)
    mine.mouse.up()
    mine.keyboard.up("Shift")
    latent_map(mine, "AE").focus()
    mine.keyboard.press("b")  # the end of the walk where the pointer left the probe: no round numbers
    mine.get_by_role("button", name="AE walk frame 4: put the probe here", exact=True).click()
    take(mine).get_by_role("button", name="Copy link").click()
    expect(take(mine)).to_contain_text("Copied.")
    link = mine.evaluate("() => navigator.clipboard.readText()")
    assert link == mine.url
    for key in ("zoom=", "zoomr=", "t=0.3", "b=", "layer=holes"):
        assert key in link
    assert "z=" not in link
    assert len(link) < 900

    theirs = visit(contexts[1], link)
    assert settled(theirs) == settled(mine)
    expect(theirs.get_by_role("button", name="VAE walk frame 4: put the probe here")).to_have_attribute(
        "aria-current", "true"
    )

    # a probe that follows the pointer is held by copying, and stays where it is
    mine.get_by_role("button", name="Pin the probe").click()
    move(mine, "VAE", 0.62, 0.47)
    held = code(mine, "VAE", 2)
    take(mine).get_by_role("button", name="Copy link").press("Enter")
    expect(mine.get_by_role("button", name="Pin the probe")).to_have_attribute("aria-pressed", "true")
    theirs.goto(mine.evaluate("() => navigator.clipboard.readText()"))
    theirs.locator('[data-ready="true"]').wait_for(state="attached")
    assert np.allclose(code(theirs, "VAE", 2), held, rtol=1e-6)
    assert settled(theirs) == settled(mine)


def test_places_that_are_none_are_told_and_where_pages_may_not_copy_the_link_is_selected(open_page: OpenPage) -> None:
    forbid = "Object.defineProperty(navigator, 'clipboard', { get: () => undefined })"
    page = open_page("?zoom=900,0,0&zoomr=1,x,2&t=1.5", before=lambda page: page.add_init_script(forbid))
    told = page.get_by_role("alert").inner_text()
    assert "Unknown t in the address: “1.5”. Right would be: a number from 0 to 1." in told
    assert told.count("a scale from 0.25 to 60 and the place of the middle, such as 2,0.5,-1") == 2
    take(page).get_by_role("button", name="Copy link").press("Enter")  # the messages may lie over it
    field = take(page).get_by_role("textbox", name="Link to this view")
    expect(field).to_have_value(page.url)
    assert field.evaluate("one => [one.selectionStart, one.selectionEnd === one.value.length]") == [0, True]
    assert "zoom" not in page.url
    assert "z=" in page.url


def test_pictures_walk_and_codes_are_those_of_the_models(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("?z=3,-2")
    settled(page)
    sheet = ElementTree.parse(saved(page, "SVG", tmp_path)).getroot()
    picture = Image.open(saved(page, "PNG", tmp_path)).convert("RGB")
    width, height = (float(sheet.attrib[key]) for key in ("width", "height"))
    assert picture.size == (2 * width, 2 * height)

    # each embedded image is what the stage shows, and stands in the PNG at ten pixels a pixel
    images = [one for one in sheet.iter(f"{SVG}image") if one.attrib["width"] == "140"]
    assert len(images) == 2
    for kind, one in zip(("AE", "VAE"), images):
        own = np.asarray(Image.open(io.BytesIO(base64.b64decode(one.attrib["href"].partition(",")[2]))).convert("L"))
        assert np.array_equal(own.ravel(), pixels(page, f"{kind} decoded image"))
        assert np.abs(own.ravel() - torch_pixels(f"mnist-{kind.lower()}-2", code(page, kind, 2))).max() <= 1
        left, top = (round(2 * float(one.attrib[key])) for key in ("x", "y"))
        block = np.asarray(picture.crop((left, top, left + 280, top + 280)).convert("L"))
        assert np.array_equal(block[5::10, 5::10], own)
    said = " ".join("".join(one.itertext()) for one in sheet.iter(f"{SVG}text"))
    for words in (
        "mnist-vae-2",
        "seed 0",
        "from N(0, I)",
        "z = (3.00, -2.00)",
        "linked by quantile",
        "from image 0 (A)",
    ):
        assert words in said
    # every held-out image is a dot of its class's path
    dots = sum(one.attrib["d"].count("h0") for one in sheet.iter(f"{SVG}path") if one.attrib.get("stroke-linecap"))
    assert dots == 2 * len(codes_of("mnist-ae-2"))

    film = Image.open(saved(page, "Walk as GIF", tmp_path))
    assert film.n_frames == 41  # type: ignore[attr-defined]
    for frame, image in ((0, 0), (40, 1)):
        film.seek(frame)
        grey = np.asarray(film.convert("L"))
        for kind, left in (("ae", 16), ("vae", 256)):
            shown = grey[34 + 4 : 34 + 224 : 8, left + 4 : left + 224 : 8].ravel()
            assert np.abs(shown - torch_pixels(f"mnist-{kind}-2", codes_of(f"mnist-{kind}-2")[image])).max() <= 1

    for i, kind in enumerate(("ae", "vae")):
        with page.expect_download() as coming:
            take(page).get_by_role("button", name="CSV").nth(i).click()
        rows = list(csv.DictReader(io.StringIO(Path(coming.value.path()).read_bytes().decode(), newline="")))
        shown = atlas.load(checkpoints.PRETRAINED / f"mnist-{kind}-2")
        z = np.array([[row["z1"], row["z2"]] for row in rows], np.float64).astype(np.float32)
        assert np.array_equal(z, shown.codes["codes"])
        assert [int(row["label"]) for row in rows] == shown.codes["labels"].tolist()
        assert ("logvar2" in rows[0]) is (kind == "vae")
    logvar = np.array([row["logvar2"] for row in rows], np.float32)
    assert np.array_equal(logvar, shown.posterior["logvar"][:, 1].astype(np.float32))
    with page.expect_download() as coming:
        take(page).get_by_role("link", name="Parquet").last.click()
    assert coming.value.suggested_filename == "mnist-vae-2-codes.parquet"


def test_the_one_file_makes_them_offline_and_hostile_names_stay_text(
    browser: Browser, app: str, tmp_path: Path
) -> None:
    models = catalogue.shipped()
    left, right = (entry for entry in models.entries if entry.card.name in ("mnist-ae-2", "mnist-vae-2"))
    named = replace(right, card=replace(right.card, name=f"=1+1{HOSTILE}"))
    titles = {"mnist": (f"title{HOSTILE}", (HOSTILE, "=1+1", *"23456789"))}
    path = tmp_path / "view.html"
    path.write_bytes(onefile.one_file(left, named, models=models, titles=titles))
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme="dark")
    context.set_offline(True)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(f"{path.as_uri()}?layer=holes")
    page.locator('[data-ready="true"]').wait_for(state="attached", timeout=30_000)
    settled(page)
    assert take(page).get_by_role("link").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 360

    drawn = saved(page, "SVG", tmp_path)
    sheet = ElementTree.parse(drawn).getroot()
    tags = {one.tag.removeprefix(SVG) for one in sheet.iter()}
    assert tags <= {
        "svg",
        "g",
        "title",
        "rect",
        "line",
        "path",
        "text",
        "tspan",
        "image",
        "circle",
        "polyline",
        "pattern",
    }
    assert not [key for one in sheet.iter() for key in one.attrib if key.startswith("on")]
    assert {one.attrib["href"][:22] for one in sheet.iter(f"{SVG}image")} == {"data:image/png;base64,"}
    said = " ".join("".join(one.itertext()) for one in sheet.iter())
    assert HOSTILE.replace("\x01", "\N{REPLACEMENT CHARACTER}") in said
    assert Image.open(saved(page, "PNG", tmp_path)).size[0] == 2 * float(sheet.attrib["width"])
    assert Image.open(saved(page, "Walk as GIF", tmp_path)).n_frames == 41  # type: ignore[attr-defined]
    rows = list(csv.reader(io.StringIO(saved(page, "CSV", tmp_path).read_bytes().decode(), newline="")))
    assert {"'=1+1", HOSTILE} <= {row[2] for row in rows}
    page.goto(drawn.as_uri())
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.tagName") == "svg"
    context.close()
    assert complaints == []


def test_the_browsers_csv_and_gif_hold_what_they_were_given(open_page: OpenPage) -> None:
    page = open_page("labs")
    texts = [
        *(f"{trigger}1+1" for trigger in TRIGGERS),
        " =1",
        "\ufeff=1",
        "\x00@x",
        'a"b',
        "a,b",
        "a\r\nb",
        "plain",
        "🥾",
        "",
    ]
    made = page.evaluate(
        """async ([address, texts]) => {
          const { csv } = await import(new URL(`${address}/csv.js`, document.baseURI));
          return csv([{ name: '=text', of: (row) => texts[row] }, { name: 'n', of: (row) => -row / 2 }], texts.length);
        }""",
        [modules.address(), texts],
    )
    header, *rows = csv.reader(io.StringIO(made, newline=""), strict=True)
    assert header == ["'=text", "n"]
    for i, (text, (cell, number)) in enumerate(zip(texts, rows, strict=True)):
        assert cell in (text, f"'{text}")
        assert not cell.strip(" \ufeff\x00").startswith(TRIGGERS)
        assert float(number) == -i / 2

    # noise fills the table of codes again and again, and one colour makes the longest runs
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, 90 * 70), np.zeros(90 * 70, int), rng.integers(0, 3, 90 * 70)]
    encoded = page.evaluate(
        """async ([address, frames]) => {
          const { GREYS, makeGif } = await import(new URL(`${address}/gif.js`, document.baseURI));
          const gif = makeGif({ width: 90, height: 70, palette: GREYS });
          for (const frame of frames) gif.add(Uint8Array.from(frame), 100);
          return Array.from(new Uint8Array(await gif.blob().arrayBuffer()));
        }""",
        [modules.address(), [frame.tolist() for frame in frames]],
    )
    film = Image.open(io.BytesIO(bytes(encoded)))
    assert film.n_frames == 3  # type: ignore[attr-defined]
    for i, frame in enumerate(frames):
        film.seek(i)
        assert np.array_equal(np.asarray(film.convert("L")).ravel(), frame)


def test_labs_and_yours_have_a_link_and_yours_keeps_ones_own_image_out_of_it(open_page: OpenPage) -> None:
    page = open_page("yours?image=3&steps=invert,centre")
    assert page.get_by_role("checkbox", name="Invert").is_checked()
    page.get_by_role("checkbox", name="Scale").check()
    page.get_by_role("button", name="Copy link").click()
    assert page.url.endswith("yours?image=3&steps=invert,scale,centre")
    pad = page.get_by_label("Your drawing").first
    pad.focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_text("Your own image is not in it: it stays in this browser.")).to_be_visible()
    assert not re.search("image=|steps=", page.url)
    assert json.loads(page.evaluate("() => JSON.stringify(location.search)")) == ""
