"""Yours in a real browser: encoders against torch, the conversion against PIL and numpy, files of all kinds."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect
from safetensors.torch import save

import explorer
from explorer import atlas, catalogue, checkpoints, models
from tests.browser.conftest import OpenPage
from tests.browser.stage import READ, choose, pixels

pytestmark = pytest.mark.browser
SHIPPED = [entry for entry in catalogue.shipped().entries if entry.card.dataset in ("mnist", "fashion-mnist")]
SEEN = "What the models see"
PATIENCE_MS = 20_000
ENCODE = """async ({ address, model, url, weights, images }) => {
    const { readSafetensors } = await import(`${address}/safetensors.js`);
    const { makeEncoder } = await import(`${address}/encoder.js`);
    const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
    const file = url ? await (await fetch(url)).arrayBuffer() : bytes(weights);
    const encode = makeEncoder(model, readSafetensors(file));
    return images.map((image) => {
        const { mu, logvar } = encode(image);
        return [...mu, ...(logvar ?? [])];
    });
}"""
BRING = """async ({ address, call, given }) => {
    const bring = await import(`${address}/bring.js`);
    const typed = (grey) => ({ ...grey, data: Float64Array.from(grey.data) });
    const plain = (grey) => ({ ...grey, data: Array.from(grey.data) });
    if (call === 'grey') return plain(bring.greyOf(given));
    if (call === 'fitted') return plain(bring.fitted(typed(given.grey), given.side));
    const made = bring.convert(typed(given.grey), given.wanted, bring.formOf(given.dataset));
    return Object.fromEntries(Object.entries(made).map(([name, grey]) => [name, plain(grey)]));
}"""
ALL = {"invert": True, "contrast": True, "crop": True, "scale": True, "centre": True}


@pytest.fixture(scope="module")
def page(browser: Browser, app: str) -> Iterator[Page]:
    """One page for all tests here. Any complaint of the browser fails the last of them."""
    context = browser.new_context(viewport={"width": 1440, "height": 1100})
    context.set_default_timeout(5000)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{app}/yours")
    page.locator('[data-ready="true"]').first.wait_for(state="attached", timeout=PATIENCE_MS)
    yield page
    context.close()
    assert complaints == []


def modules(app: str) -> str:
    return f"{app}/_stcore/bidi-components/explorer.stage"


def bring(page: Page, app: str, call: str, given: Any) -> Any:
    return page.evaluate(BRING, {"address": modules(app), "call": call, "given": given})


def as_grey(values: np.ndarray) -> dict[str, Any]:
    return {"data": values.ravel().tolist(), "width": values.shape[1], "height": values.shape[0]}


def as_array(grey: dict[str, Any]) -> np.ndarray:
    return np.array(grey["data"]).reshape(grey["height"], grey["width"])


def reads(page: Page, name: str) -> None:
    expect(page.locator(".reading")).to_contain_text(f"The classifier reads {name}")


def select(page: Page, data: str, d: str) -> None:
    choose(page, "Data", data)
    choose(page, "Latent dimensions", d)
    page.locator('[data-ready="true"]').first.wait_for(state="attached", timeout=PATIENCE_MS)


# --- the encoders ---


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: entry.card.name)
def test_a_shipped_encoder_agrees_with_torch_and_with_the_codes_of_the_map(
    page: Page, app: str, entry: catalogue.Entry
) -> None:
    folder = checkpoints.PRETRAINED / entry.card.name
    x = atlas.read_part(folder, "images")["images"][:40].reshape(40, -1) / 255
    found = np.array(
        page.evaluate(
            ENCODE,
            {
                "address": modules(app),
                "model": catalogue.describe(entry),
                "url": f"{app}/atlas/{entry.card.sha256}",
                "images": x.tolist(),
            },
        )
    )
    model, card = checkpoints.load(folder)
    with torch.no_grad():
        expected = model.encoder(torch.from_numpy(x).float().reshape(-1, 1, 28, 28)).numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    codes = atlas.read_part(folder, "codes")["codes"]
    assert np.abs(found[:, : card.latent_dim] - codes[:40]).max() <= 1e-4 * np.abs(codes).max()


@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 16, 24)])
@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_a_fresh_conv_encoder_agrees_with_torch(
    page: Page, app: str, kind: str, image_shape: tuple[int, int, int]
) -> None:
    model = models.build(kind, seed=3, image_shape=image_shape, latent_dim=5, arch="conv", hidden=(16, 32))
    x = np.random.default_rng(0).random((6, *image_shape)).astype(np.float32)
    described = {
        **catalogue.describe(SHIPPED[0]),
        "model": kind,
        "image_shape": image_shape,
        "latent_dim": 5,
        "encoder": catalogue.encoder_layers(
            checkpoints.Card(**{**SHIPPED[0].card.__dict__, "arch": "conv", "hidden": (16, 32)})
        ),
    }
    given = {
        "address": modules(app),
        "model": json.loads(json.dumps(described)),
        "weights": base64.b64encode(save(dict(model.state_dict()))).decode(),
        "images": x.reshape(6, -1).tolist(),
    }
    with torch.no_grad():
        expected = model.encoder(torch.from_numpy(x)).numpy()
    assert np.abs(np.array(page.evaluate(ENCODE, given)) - expected).max() <= 1e-5 * np.abs(expected).max()


# --- the conversion ---


def test_colours_become_grey_as_pillow_has_them_and_what_is_transparent_is_white(page: Page, app: str) -> None:
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (9, 13, 4), dtype=np.uint8)
    image = Image.fromarray(rgba, "RGBA")
    white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    found = as_array(bring(page, app, "grey", {"rgba": rgba.ravel().tolist(), "width": 13, "height": 9}))
    assert np.abs(255 * found - np.asarray(white.convert("L"), float)).max() < 2


@pytest.mark.parametrize(("height", "width", "side"), [(50, 30, 20), (33, 100, 20), (7, 9, 20), (400, 3, 28)])
def test_scaling_averages_areas_and_keeps_the_aspect(page: Page, app: str, height: int, width: int, side: int) -> None:
    values = np.random.default_rng(1).random((height, width))
    found = as_array(bring(page, app, "fitted", {"grey": as_grey(values), "side": side}))
    high = max(1, round(height * side / max(height, width)))
    wide = max(1, round(width * side / max(height, width)))
    # Each pixel as high * wide small ones; those of a new pixel are then whole.
    fine = np.repeat(np.repeat(values, high, axis=0), wide, axis=1)
    expected = fine.reshape(high, height, wide, width).mean(axis=(1, 3))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-12


def ink() -> Image.Image:
    """Dark strokes on light paper, away from the middle."""
    image = Image.new("L", (90, 110), 238)
    ImageDraw.Draw(image).line([(15, 20), (55, 20), (35, 80)], fill=25, width=7)
    return image


def test_a_picture_ends_as_mnist_has_it(page: Page, app: str) -> None:
    source = np.asarray(ink(), float) / 255
    found = bring(page, app, "convert", {"grey": as_grey(source), "wanted": ALL, "dataset": "mnist"})
    assert max(found["scale"]["width"], found["scale"]["height"]) == 20
    x = as_array(found["centre"])
    assert x.shape == (28, 28)
    assert np.array_equal(np.round(x * 255), x * 255)
    rows, columns = (np.flatnonzero((x > 0.1).any(axis=axis)) for axis in (1, 0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    mass = [(x.sum(axis=axis) * np.arange(28)).sum() / x.sum() for axis in (1, 0)]
    assert np.abs(np.array(mass) - 14).max() <= 0.51, "where MNIST's own images have it, to half a pixel"


def test_a_picture_for_fashion_fills_the_longer_edge_and_stands_in_the_middle(page: Page, app: str) -> None:
    source = np.asarray(ink(), float) / 255
    found = bring(page, app, "convert", {"grey": as_grey(source), "wanted": ALL, "dataset": "fashion-mnist"})
    shown = as_array(found["centre"]) > 0.1
    rows, columns = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    assert np.ptp(rows) + 1 == 28
    assert abs((columns[0] + columns[-1]) / 2 - 13.5) <= 0.5


@pytest.mark.parametrize("index", [0, 7, 61])
def test_centring_leaves_an_image_of_mnist_where_it_is_and_brings_a_moved_one_back(
    page: Page, app: str, index: int
) -> None:
    image = atlas.held_out("mnist")[0][index, 0] / 255
    wanted = {**dict.fromkeys(ALL, False), "centre": True}
    for moved in (image, np.roll(image, (-3, -2), axis=(0, 1))):
        found = bring(page, app, "convert", {"grey": as_grey(moved), "wanted": wanted, "dataset": "mnist"})
        assert np.array_equal(as_array(found["centre"]), image)


@pytest.mark.parametrize("source", [np.zeros((30, 40)), np.ones((5, 5)), np.full((1, 1), 0.5), np.zeros((28, 28))])
def test_a_picture_of_nothing_is_no_error(page: Page, app: str, source: np.ndarray) -> None:
    found = bring(page, app, "convert", {"grey": as_grey(source), "wanted": ALL, "dataset": "mnist"})
    assert np.isfinite(as_array(found["centre"])).all()


# --- drawing ---


def figures(page: Page, kind: str) -> dict[str, list[str]]:
    """The table of a model's answer: by row, what stands in it."""
    name = {"AE": "Autoencoder", "VAE": "Variational autoencoder"}[kind]
    rows = page.get_by_role("region", name=name, exact=True).get_by_role("row").all()
    return {row.get_by_role("rowheader").inner_text(): row.get_by_role("cell").all_inner_texts() for row in rows[1:]}


def cross_entropy(x: np.ndarray, x_hat: np.ndarray) -> np.ndarray:
    x_hat = np.clip(x_hat.astype(float), 1e-7, 1 - 1e-7)
    return -(x * np.log(x_hat) + (1 - x) * np.log(1 - x_hat)).sum(axis=(-1, -2, -3))


def check_answers(page: Page, dataset: str, d: int) -> None:
    """What both models say of the image that is seen, against torch."""
    x = pixels(page, SEEN).reshape(1, 1, 28, 28).astype(np.float32) / 255
    for kind in ("ae", "vae"):
        model = explorer.load(f"{dataset}-{kind}-{d}")
        x_hat = model.decode(model.encode(x))
        said = figures(page, kind.upper())
        assert float(said["error, nats"][0]) == pytest.approx(cross_entropy(x, x_hat)[0], abs=0.15)
        assert float(said["squared error a pixel"][0]) == pytest.approx(np.square(x - x_hat).mean(), abs=1e-4)
        shown = pixels(page, f"{kind.upper()} reconstruction")
        assert np.abs(shown - 255 * x_hat.ravel()).max() <= 1.01
        spoken = page.get_by_role("group", name=f"{kind.upper()} code", exact=True).locator("span").all_inner_texts()
        code = [float(text.split()[1].replace("−", "-")) for text in spoken]
        assert code == pytest.approx(model.encode(x)[0], abs=0.011)


def test_a_stroke_of_the_mouse_is_answered_by_both_models_as_torch_does(page: Page) -> None:
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".reading")).to_contain_text("There is no ink")
    box = page.get_by_role("application", name=re.compile("^Your drawing")).bounding_box()
    assert box

    def to(across: float, down: float) -> tuple[float, float]:
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    page.mouse.move(*to(0.2, 0.3))
    page.mouse.down()
    for place in ((0.6, 0.28), (0.4, 0.9)):
        page.mouse.move(*to(*place), steps=8)
    page.mouse.up()
    reads(page, "7")
    expect(page.get_by_role("checkbox", name="Centre")).to_be_checked()
    check_answers(page, "mnist", 2)
    before = pixels(page, SEEN)
    page.get_by_role("checkbox", name="Centre").uncheck()
    assert not np.array_equal(pixels(page, SEEN), before)
    assert np.array_equal(pixels(page, SEEN), pixels(page, "Your drawing"))


def test_a_thicker_pen_and_the_eraser_do_as_they_say(page: Page) -> None:
    pad = page.get_by_role("application", name=re.compile("^Your drawing"))

    def dot() -> int:
        pad.focus()
        page.keyboard.press("Space")
        return int(pixels(page, "Your drawing").sum())

    page.get_by_role("button", name="Clear").click()
    thin = dot()
    page.get_by_role("slider", name="Thickness").fill("3.2")
    thick = dot()
    assert thick > 2 * thin > 0
    choose(page, "Tool", "Eraser")
    assert dot() < thick / 2
    choose(page, "Tool", "Pen")


def test_presets_are_reached_by_keyboard_and_have_what_is_usual_beside_them(page: Page) -> None:
    page.get_by_role("button", name="0: take this image").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    images, labels = atlas.held_out("mnist")
    index = int(np.flatnonzero(labels == 3)[0])
    assert np.array_equal(pixels(page, SEEN), images[index].ravel())
    expect(page.get_by_text(f"Test image {index}, 3, as the data set has it.")).to_be_visible()
    check_answers(page, "mnist", 2)
    expect(page.get_by_role("columnheader", name="usual for 3")).to_have_count(2)
    expect(page.get_by_text("…", exact=True)).to_have_count(0, timeout=PATIENCE_MS)
    x = images[labels == 3][:200].astype(np.float32) / 255
    for kind in ("ae", "vae"):
        model = explorer.load(f"mnist-{kind}-2")
        usual = np.median(cross_entropy(x, model.decode(model.encode(x))))
        assert float(figures(page, kind.upper())["error, nats"][1]) == pytest.approx(usual, abs=0.15)


def test_the_nearest_images_are_those_that_numpy_finds(page: Page) -> None:
    page.get_by_role("button", name="8: take this image").click()
    reads(page, "8")
    expect(page.get_by_text("Distance by pixels to 2,000 held-out images")).to_be_visible(timeout=PATIENCE_MS)
    images, labels = atlas.held_out("mnist")
    chosen = np.arange(2000) * len(images) // 2000
    distances = np.sqrt(np.square((images[chosen].reshape(2000, -1) - pixels(page, SEEN).astype(float)) / 255).sum(1))
    expected = np.argsort(distances, kind="stable")[:6]
    for place, k in enumerate(expected):
        assert np.array_equal(pixels(page, f"Nearest {place + 1}"), images[chosen[k]].ravel())
    said = page.get_by_role("region", name="Nearest held-out images").locator("figcaption").all_inner_texts()
    assert said == [f"{labels[chosen[k]]}, {distances[k]:.2f}" for k in expected]


def test_other_data_and_dimensions_answer_for_the_same_drawing(page: Page) -> None:
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("application", name=re.compile("^Your drawing")).focus()
    page.keyboard.press("Space")
    drawn = pixels(page, "Your drawing")
    select(page, "Fashion-MNIST", "16")
    assert np.array_equal(pixels(page, "Your drawing"), drawn)
    check_answers(page, "fashion-mnist", 16)
    page.wait_for_function("location.search.includes('data=fashion-mnist') && location.search.includes('d=16')")
    select(page, "MNIST", "2")


# --- files ---


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


def give(page: Page, name: str, content: bytes) -> None:
    page.locator('[data-role="stage"] input[type="file"]').set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_picture_that_is_brought_is_converted_as_its_pixels_are(page: Page, app: str, form: str) -> None:
    content = encoded(ink().convert("RGB"), form)
    page.get_by_role("button", name="0: take this image").click()
    give(page, f"seven.{form.lower()}", content)
    expect(page.get_by_text("Your picture.", exact=True)).to_be_visible()
    expect(page.get_by_role("checkbox", name="Invert")).to_be_checked()
    reads(page, "7")
    given = {
        "grey": as_grey(np.asarray(Image.open(io.BytesIO(content)).convert("L"), float) / 255),
        "wanted": ALL,
        "dataset": "mnist",
    }
    expected = as_array(bring(page, app, "convert", given)["centre"])
    assert np.abs(pixels(page, SEEN) - 255 * expected.ravel()).max() <= (1 if form in ("PNG", "GIF") else 8), (
        "decoders of lossy forms differ a little"
    )
    check_answers(page, "mnist", 2)


def sixteen_bits() -> bytes:
    values = (np.asarray(ink(), np.uint16) * 257).astype(np.uint16)
    return encoded(Image.fromarray(values), "PNG")


def animated(form: str) -> bytes:
    other = Image.new("L", ink().size, 128)
    return encoded(ink().convert("RGB"), form, save_all=True, append_images=[other.convert("RGB")], duration=50)


def see_through() -> bytes:
    image = Image.new("RGBA", ink().size, (0, 0, 0, 0))
    image.putalpha(Image.eval(ink(), lambda value: 255 if value < 128 else 0))
    return encoded(image, "PNG")


def sideways() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter when it is shown
    return encoded(ink().rotate(90, expand=True), "JPEG", exif=exif, quality=95)


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("deep.png", sixteen_bits(), "It has 16 bits a channel"),
        ("inks.jpg", encoded(ink().convert("CMYK"), "JPEG", quality=95), "It has four inks (CMYK)"),
        ("clear.png", see_through(), "What was transparent was laid onto white."),
        ("film.gif", animated("GIF"), "It is animated: the first frame is used."),
        ("film.png", animated("PNG"), "It is animated: the first frame is used."),
        ("film.webp", animated("WEBP"), "It is animated: the first frame is used."),
        ("turned.jpg", sideways(), "It was turned upright, as its EXIF data say."),
        ("not-a.png", encoded(ink(), "JPEG"), "It is called .png but is a JPEG"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.count(".") == 1 and len(value) < 12 else "",
)
def test_an_unusual_picture_is_read_and_what_was_done_to_it_is_said(
    page: Page, name: str, content: bytes, note: str
) -> None:
    page.get_by_role("button", name="0: take this image").click()
    give(page, name, content)
    expect(page.get_by_text(note)).to_be_visible()
    reads(page, "7")


def claiming(width: int, height: int) -> bytes:
    """A PNG of one pixel whose header says that it is larger."""
    content = bytearray(encoded(Image.new("L", (1, 1)), "PNG"))
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


def with_a_hole(content: bytes) -> bytes:
    """Its blocks are whole and what they hold is not."""
    start = content.index(b"IDAT") + 4
    return content[:start] + bytes(40) + content[start + 40 :]


SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>document.title='taken'</script></svg>"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("cut.png", encoded(ink(), "PNG")[:-60], "“cut.png” is a PNG that is cut off"),
        ("head.png", encoded(ink(), "PNG")[:20], "“head.png” is a PNG that is cut off"),
        ("cut.jpg", encoded(ink(), "JPEG")[:-400], "“cut.jpg” is a JPEG that is cut off"),
        ("cut.gif", encoded(ink(), "GIF")[:-30], "“cut.gif” is a GIF that is cut off"),
        ("cut.webp", encoded(ink(), "WEBP")[:-30], "“cut.webp” is a WebP that is cut off"),
        ("holed.png", with_a_hole(encoded(ink(), "PNG")), "“holed.png” begins as a PNG but is damaged"),
        ("text.png", b"this is no picture", "“text.png” is not an image. Right would be a PNG, JPEG, WebP or GIF."),
        ("nothing.png", b"", "“nothing.png” is empty. Right would be"),
        ("script.svg", SVG, "“script.svg” is an SVG, which is a program rather than pixels"),
        ("script.png", b"<?xml version='1.0'?>\n<!-- svg -->" + SVG, "“script.png” is an SVG"),
        ("huge.png", claiming(60_000, 60_000), "“huge.png” has 60,000 by 60,000 pixels. At most 40 million"),
        ("none.png", claiming(0, 5), "“none.png” is a PNG without a size"),
        ("scan.tiff", encoded(ink(), "TIFF"), "“scan.tiff” is a TIFF, which is not read here."),
        ("old.bmp", encoded(ink(), "BMP"), "“old.bmp” is a BMP, which is not read here."),
    ],
    ids=lambda value: value if isinstance(value, str) and value.count(".") == 1 and len(value) < 12 else "",
)
def test_what_cannot_be_read_is_told_in_a_sentence_and_nothing_is_lost(
    page: Page, name: str, content: bytes, sentence: str
) -> None:
    page.get_by_role("button", name="2: take this image").click()
    before = pixels(page, SEEN), page.title()
    give(page, name, content)
    expect(page.get_by_role("alert").filter(has_text=sentence)).to_be_visible()
    assert np.array_equal(pixels(page, SEEN), before[0])
    assert page.title() == before[1]
    page.get_by_role("button", name="4: take this image").click()
    expect(page.get_by_text(sentence)).to_have_count(0)


def test_a_file_that_is_too_large_is_not_even_read(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "heavy.png"
    path.write_bytes(bytes(21_000_000))
    page.locator('[data-role="stage"] input[type="file"]').set_input_files(path)
    expect(page.get_by_role("alert").filter(has_text="“heavy.png” has 21 MB. At most 20 MB are read")).to_be_visible()


HAND_OVER = """({ kind, file }) => {
    const bytes = file && Uint8Array.from(atob(file), (c) => c.charCodeAt(0)), transfer = new DataTransfer();
    if (bytes) transfer.items.add(new File([bytes], 'seven.png', { type: 'image/png' }));
    const find = (root) => root.querySelector('.source')
        ?? [...root.querySelectorAll('*')].map((e) => e.shadowRoot && find(e.shadowRoot)).find(Boolean);
    const options = { bubbles: true, composed: true, cancelable: true };
    if (kind === 'drop') find(document).dispatchEvent(new DragEvent('drop', { ...options, dataTransfer: transfer }));
    else document.body.dispatchEvent(new ClipboardEvent('paste', { ...options, clipboardData: transfer }));
}"""


@pytest.mark.parametrize(("kind", "without"), [("drop", "What was dropped is not a file"), ("paste", "no picture in")])
def test_a_picture_may_be_dropped_or_pasted(page: Page, kind: str, without: str) -> None:
    page.get_by_role("button", name="0: take this image").click()
    page.evaluate(HAND_OVER, {"kind": kind, "file": base64.b64encode(encoded(ink(), "PNG")).decode()})
    reads(page, "7")
    page.evaluate(HAND_OVER, {"kind": kind, "file": None})
    expect(page.get_by_role("alert").filter(has_text=without)).to_be_visible()


def test_without_a_camera_the_way_out_is_told(page: Page) -> None:
    page.get_by_role("button", name="Camera", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="The browser gives no camera to this page.")).to_be_visible()


def test_a_picture_stays_in_the_browser(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    give(page, "seven.png", encoded(ink(), "PNG"))
    expect(page.get_by_text("Your picture.", exact=True)).to_be_visible()
    page.wait_for_timeout(300)
    assert [url for url in sent if not url.startswith("blob:")] == []


def test_a_narrow_dark_screen_shows_the_image_that_the_address_asks_for(open_page: OpenPage) -> None:
    page = open_page(
        "yours?data=fashion-mnist&d=16&image=9", viewport={"width": 360, "height": 740}, color_scheme="dark"
    )
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") == 360
    assert np.array_equal(pixels(page, SEEN), atlas.held_out("fashion-mnist")[0][9].ravel())
    marks = page.get_by_role("application", name="VAE latent map").locator("canvas").last
    assert max(marks.evaluate(READ)) > 0, "the code is marked on the map"
    expect(page.get_by_role("application", name="VAE latent map").locator("ellipse")).to_have_count(1)


def test_an_address_that_names_nothing_is_told_and_the_page_opens(open_page: OpenPage) -> None:
    page = open_page("yours?data=tea&d=7&image=x")
    told = page.get_by_role("alert").filter(has_text="Unknown data in the address: “tea”. Right would be: mnist, ")
    expect(told).to_contain_text("Unknown d in the address")
    expect(told).to_contain_text("Unknown image in the address: “x”. Right would be: 0 to 9999.")
