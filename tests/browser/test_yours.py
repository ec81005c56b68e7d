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
from PIL import Image, ImageDraw, ImageOps
from playwright.sync_api import Browser, Page, expect
from safetensors.torch import save

import explorer
from explorer import atlas, catalogue, checkpoints, models, packing
from tests.browser.conftest import BROWSER_FLAGS, OpenPage, find
from tests.browser.stage import READ, choose, code, pixels, wait_until

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
    if (call === 'grey') return plain(bring.withChannels(bring.coloursOf(given), 1));
    if (call === 'fitted') return plain(bring.fitted(typed(given.grey), { width: given.side, height: given.side }));
    const made = bring.convert(typed(given.grey), given.wanted, bring.formOf(given.dataset, [1, 28, 28]));
    return Object.fromEntries(Object.entries(made).map(([name, grey]) => [name, plain(grey)]));
}"""
ALL = {"invert": True, "contrast": True, "crop": True, "scale": True, "centre": True}


@pytest.fixture(scope="module")
def page(browser: Browser, app: str) -> Iterator[Page]:
    """One page for all tests here. Any complaint of the browser fails the last of them."""
    context = browser.new_context(viewport={"width": 1440, "height": 1100})
    context.set_default_timeout(5000)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
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


@pytest.mark.parametrize(("low", "high", "ground"), [(0, 120, "white"), (140, 256, "black")])
def test_colours_become_grey_as_pillow_has_them_and_ink_stands_out_from_what_was_transparent(
    page: Page, app: str, low: int, high: int, ground: str
) -> None:
    rgba = np.random.default_rng(0).integers(low, high, (9, 13, 4), dtype=np.uint8)
    rgba[..., 3] = np.random.default_rng(1).integers(0, 256, (9, 13))
    image = Image.fromarray(rgba, "RGBA")
    laid = Image.alpha_composite(Image.new("RGBA", image.size, ground), image).convert("RGB")
    found = as_array(bring(page, app, "grey", {"rgba": rgba.ravel().tolist(), "width": 13, "height": 9}))
    assert np.abs(255 * found - np.asarray(laid.convert("L"), float)).max() < 2


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


def file_name(value: object) -> str:
    """The plain one among a test's values, to call the test by."""
    return value if isinstance(value, str) and value.count(".") == 1 and len(value) < 12 else ""


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


def test_undo_brings_back_the_drawing_before_each_stroke_and_before_a_held_out_image(page: Page) -> None:
    page.get_by_role("button", name="Clear").click()
    pad = page.get_by_role("application", name=re.compile("^Your drawing"))
    pad.focus()
    page.keyboard.press("Space")
    first = pixels(page, "Your drawing")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowDown")
    line = pixels(page, "Your drawing")
    assert line.sum() > first.sum() > 0
    assert re.fullmatch(r"column \d+, row \d+, 100 % ink", page.locator(".pad-tools [role=status]").inner_text())
    page.get_by_role("button", name="5: take this image").click()
    page.get_by_role("button", name="Undo").click()
    assert np.array_equal(pixels(page, "Your drawing"), line)
    expect(page.get_by_text("Your drawing, centred as the data set is.")).to_be_visible()
    pad.focus()
    for _ in range(4):
        page.keyboard.press("Control+z")
    assert np.array_equal(pixels(page, "Your drawing"), first)


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
    wait_until(page, "location.search.includes('data=fashion-mnist') && location.search.includes('d=16')")
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


def see_through(value: int) -> bytes:
    image = Image.new("RGBA", ink().size, (value, value, value, 0))
    image.putalpha(Image.eval(ink(), lambda value: 255 if value < 128 else 0))
    return encoded(image, "PNG")


def turned(orientation: int, form: str, **options: Any) -> bytes:
    """The picture as a camera held otherwise writes it: pixels turned, and in the EXIF data how to turn them back."""
    by = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = ink().transpose(by[orientation]) if orientation in by else ink()
    content = encoded(image, form, exif=exif, **options)
    with Image.open(io.BytesIO(content)) as read:
        upright = np.asarray(ImageOps.exif_transpose(read), int)
    assert np.abs(upright - np.asarray(ink(), int)).max() <= 12, "the file says what it should"
    return content


@pytest.mark.parametrize(("form", "lossy"), [("PNG", 0), ("JPEG", 6)])
def test_however_the_camera_was_held_the_picture_is_the_same(page: Page, form: str, lossy: int) -> None:
    note = page.get_by_text("It was turned upright, as its EXIF data say.")
    shown = {}
    for orientation in range(1, 9):
        page.get_by_role("button", name="0: take this image").click()
        give(page, f"held.{form.lower()}", turned(orientation, form, **({"quality": 100} if lossy else {})))
        expect(page.get_by_text("Your picture.")).to_be_visible()
        expect(note).to_have_count(int(orientation > 1))
        shown[orientation] = pixels(page, SEEN).astype(int)
    for orientation, seen in shown.items():
        assert np.abs(seen - shown[1]).max() <= lossy, orientation
    assert shown[1].max() == 255


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("deep.png", sixteen_bits(), "It has 16 bits a channel"),
        ("inks.jpg", encoded(ink().convert("CMYK"), "JPEG", quality=95), "It has four inks (CMYK)"),
        ("dark.png", see_through(0), "What was transparent was laid onto white."),
        ("light.png", see_through(255), "What was transparent was laid onto black."),
        (
            "names.gif",
            encoded(ink().convert("P"), "GIF", transparency=238),
            "What was transparent was laid onto white.",
        ),
        ("names.png", encoded(ink().convert("P"), "PNG"), "Your picture."),
        ("bits.png", encoded(ink().convert("1"), "PNG"), "Your picture."),
        ("film.gif", animated("GIF"), "It is animated: the first frame is used."),
        ("film.png", animated("PNG"), "It is animated: the first frame is used."),
        ("film.webp", animated("WEBP"), "It is animated: the first frame is used."),
        ("not-a.png", encoded(ink(), "JPEG"), "It is called .png but is a JPEG"),
    ],
    ids=file_name,
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


def reaching_beyond() -> bytes:
    """A GIF whose header says one pixel, and whose only frame says far more."""
    header = struct.pack("<6sHHBBB", b"GIF89a", 1, 1, 0, 0, 0)
    return header + struct.pack("<cHHHHBB", b",", 0, 0, 65_535, 65_535, 0, 2) + b"\x02\x4c\x01\x00;"


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
        ("bomb.png", claiming(30_000, 30_000), "“bomb.png” has 30,000 by 30,000 pixels. At most 40 million"),
        (
            "long.png",
            claiming(40_000, 1),
            "“long.png” has 40,000 by 1 pixels. At most 40 million are decoded, 32,767 a",
        ),
        ("frame.gif", reaching_beyond(), "“frame.gif” has 65,535 by 65,535 pixels"),
        ("\u202egnp.exe", b"MZ", "“gnp.exe” is not an image."),
        ("🎨 ציור.png", b"text", "“🎨 ציור.png” is not an image."),
        ("none.png", claiming(0, 5), "“none.png” is a PNG without a size"),
        ("scan.tiff", encoded(ink(), "TIFF"), "“scan.tiff” is a TIFF, which is not read here."),
        ("old.bmp", encoded(ink(), "BMP"), "“old.bmp” is a BMP, which is not read here."),
    ],
    ids=file_name,
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


DROP = """file => {
    const bytes = file && Uint8Array.from(atob(file), (c) => c.charCodeAt(0)), transfer = new DataTransfer();
    if (bytes) transfer.items.add(new File([bytes], 'seven.png', { type: 'image/png' }));
    const find = (root) => root.querySelector('.source')
        ?? [...root.querySelectorAll('*')].map((e) => e.shadowRoot && find(e.shadowRoot)).find(Boolean);
    const options = { bubbles: true, composed: true, cancelable: true };
    find(document).dispatchEvent(new DragEvent('drop', { ...options, dataTransfer: transfer }));
}"""
COPY = """async file => {
    const blob = new Blob([Uint8Array.from(atob(file), (c) => c.charCodeAt(0))], { type: 'image/png' });
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
}"""


def test_a_picture_may_be_dropped(page: Page) -> None:
    page.get_by_role("button", name="0: take this image").click()
    page.evaluate(DROP, base64.b64encode(encoded(ink(), "PNG")).decode())
    reads(page, "7")
    page.evaluate(DROP, None)
    expect(page.get_by_role("alert").filter(has_text="What was dropped is not a file")).to_be_visible()


@pytest.mark.parametrize("by", ["button", "keys"])
def test_a_picture_in_the_clipboard_is_pasted(page: Page, by: str) -> None:
    def paste() -> None:
        if by == "button":
            page.get_by_role("button", name="Paste").click()
        else:
            page.keyboard.press("Control+v")

    page.get_by_role("button", name="0: take this image").click()
    page.evaluate(COPY, base64.b64encode(encoded(ink(), "PNG")).decode())
    paste()
    reads(page, "7")
    page.evaluate("navigator.clipboard.writeText('no picture')")
    paste()
    expect(page.get_by_role("alert").filter(has_text="There is no picture in the clipboard.")).to_be_visible()
    reads(page, "7")


def test_text_that_is_pasted_into_a_field_is_no_concern_of_the_picture(page: Page) -> None:
    page.get_by_role("button", name="0: take this image").click()
    page.evaluate("navigator.clipboard.writeText('a name')")
    page.evaluate("document.body.append(Object.assign(document.createElement('input'), { id: 'field' }))")
    page.locator("#field").press("Control+v")
    assert page.locator("#field").input_value() == "a name"
    expect(page.get_by_text("There is no picture in the clipboard.")).to_be_hidden()
    page.evaluate("document.getElementById('field').remove()")


def test_without_a_camera_the_way_out_is_told(page: Page) -> None:
    page.get_by_role("button", name="Camera", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="or choose a file.")).to_be_visible()


FAKE_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
WATCH = """() => {
    const original = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    window.streams = [];
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        if (window.refuses) throw new DOMException('', 'NotAllowedError');
        const stream = await original(wanted);
        window.streams.push(stream);
        return stream;
    };
}"""
LIVE = "() => streams.map((stream) => stream.getTracks().map((track) => track.readyState).join())"


def test_the_camera_takes_a_picture_and_is_switched_off(browser: Browser, app: str) -> None:
    seeing = browser.browser_type.launch(executable_path=find(), args=[*BROWSER_FLAGS, *FAKE_CAMERA])
    page = seeing.new_page()
    page.goto(f"{app}/yours")
    page.locator('[data-ready="true"]').first.wait_for(state="attached", timeout=PATIENCE_MS)
    page.evaluate(WATCH)
    page.get_by_role("button", name="Camera", exact=True).click()
    shutter = page.get_by_role("button", name="Take the picture")
    expect(shutter).to_be_focused()
    assert page.evaluate(LIVE) == ["live"]
    wait_until(
        page,
        "[...document.querySelectorAll('*')].some(function seen(e) {"
        " return e.videoWidth > 0 || [...(e.shadowRoot?.querySelectorAll('*') ?? [])].some(seen); })",
    )
    before = pixels(page, SEEN)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your picture.", exact=True)).to_be_visible()
    assert not np.array_equal(pixels(page, SEEN), before)
    grey = page.get_by_role("img", name="After grey", exact=True)
    assert grey.evaluate("canvas => canvas.width > canvas.height"), "the camera's own aspect"
    expect(shutter).to_be_hidden()
    assert page.evaluate(LIVE) == ["ended"]

    page.get_by_role("button", name="Camera", exact=True).click()
    page.get_by_role("button", name="Close the camera").click()
    expect(page.get_by_role("button", name="Camera", exact=True)).to_be_focused()
    assert page.evaluate(LIVE) == ["ended", "ended"]

    seen = pixels(page, SEEN)
    page.evaluate("window.refuses = true")
    page.get_by_role("button", name="Camera", exact=True).click()
    told = page.get_by_role("alert").filter(has_text="The browser does not let this page use the camera. Allow it")
    expect(told).to_be_visible()
    assert np.array_equal(pixels(page, SEEN), seen)
    seeing.close()


def test_a_picture_stays_in_the_browser(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    give(page, "seven.png", encoded(ink(), "PNG"))
    expect(page.get_by_text("Your picture.", exact=True)).to_be_visible()
    page.wait_for_timeout(300)
    assert [url for url in sent if not url.startswith("blob:")] == []


REMEMBERED = """async ({ address, text }) => {
    const { remember, remembered } = await import(`${address}/remembered.js`);
    remember({ kind: 'drawn', source: { data: [0, 0.5, 1, 0.25], width: 2, height: 2 }, steps: {}, note: 'n' });
    const [key] = Object.keys(sessionStorage).filter((key) => key.startsWith('latent-explorer'));
    if (text !== null) sessionStorage.setItem(key, text);
    const kept = remembered();
    sessionStorage.removeItem(key);
    return kept && [...kept.source.data];
}"""


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (None, [0, 128 / 255, 1, 64 / 255]),
        ("", None),
        ("null", None),
        ("{", None),
        ('{"kind": "held", "width": 1, "height": 1, "bytes": "AA=="}', None),
        ('{"kind": "drawn", "width": 28, "height": 28, "bytes": "AA=="}', None),
        ('{"kind": "drawn", "width": -1, "height": -1, "bytes": "AA=="}', None),
        ('{"kind": "drawn", "width": 1, "height": 1, "bytes": "!"}', None),
        ('{"kind": "drawn", "width": 784, "height": 1, "bytes": "' + "A" * 1044 + 'AA=="}', None),
    ],
    ids=range(9),
)
def test_what_the_tab_keeps_is_an_image_or_nothing(
    page: Page, app: str, text: str | None, kept: list[float] | None
) -> None:
    assert page.evaluate(REMEMBERED, {"address": modules(app), "text": text}) == kept


def test_a_narrow_dark_screen_shows_the_image_that_the_address_asks_for(open_page: OpenPage) -> None:
    page = open_page(
        "yours?data=fashion-mnist&d=16&image=9",
        viewport={"width": 360, "height": 740},
        color_scheme="dark",
        has_touch=True,
    )
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") == 360
    assert np.array_equal(pixels(page, SEEN), atlas.held_out("fashion-mnist")[0][9].ravel())
    marks = page.get_by_role("application", name="VAE latent map").locator("canvas").last
    assert max(marks.evaluate(READ)) > 0, "the code is marked on the map"
    expect(page.get_by_role("application", name="VAE latent map").locator("ellipse")).to_have_count(1)

    # A finger draws, and neither moves the page nor is joined to a second one.
    page.get_by_role("button", name="Clear").click()
    pad = page.get_by_role("application", name=re.compile("^Your drawing"))
    pad.scroll_into_view_if_needed()
    box, touch = pad.bounding_box(), page.context.new_cdp_session(page)
    assert box
    scrolled = "document.querySelector('[data-testid=stMain]').scrollTop"
    before = page.evaluate(scrolled)

    def fingers(kind: str, *places: tuple[float, float]) -> None:
        points = [
            {"x": box["x"] + across * box["width"], "y": box["y"] + down * box["height"], "id": i}
            for i, (across, down) in enumerate(places)
        ]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", (0.25, 0.8))
    fingers("touchStart", (0.25, 0.8), (0.75, 0.8))
    for down in np.linspace(0.8, 0.2, 12):
        fingers("touchMove", (0.25, float(down)), (0.75, 0.8))
    fingers("touchEnd")
    drawn = pixels(page, "Your drawing").reshape(28, 28)
    assert drawn[6:22, 7].min() > 100
    assert drawn[:, 14:].max() == 0
    assert page.evaluate(scrolled) == before


def test_an_address_that_names_nothing_is_told_and_the_page_opens(open_page: OpenPage) -> None:
    page = open_page("yours?data=tea&d=7&image=x")
    told = page.get_by_role("alert").filter(has_text="Unknown data in the address: “tea”. Right would be: mnist, ")
    expect(told).to_contain_text("Unknown d in the address")
    expect(told).to_contain_text("Unknown image in the address: “x”. Right would be: 0 to 9999.")


def test_a_drawing_outlasts_a_reload_other_data_and_a_look_at_explore(open_page: OpenPage) -> None:
    page = open_page("yours?d=16")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("application", name=re.compile("^Your drawing")).focus()
    for key in ("Space", *["Shift+ArrowUp"] * 9, *["Shift+ArrowRight"] * 4):
        page.keyboard.press(key)
    page.get_by_role("checkbox", name="Centre").uncheck()
    drawn, seen = pixels(page, "Your drawing"), pixels(page, SEEN)
    wait_until(page, "!location.search.includes('image')")

    def is_there() -> None:
        page.locator('.yours[data-ready="true"]').first.wait_for(state="attached", timeout=PATIENCE_MS)
        assert np.array_equal(pixels(page, "Your drawing"), drawn)
        assert np.array_equal(pixels(page, SEEN), seen)
        expect(page.get_by_role("checkbox", name="Centre")).not_to_be_checked()
        expect(page.get_by_text("Your drawing, centred as the data set is.")).to_be_visible()

    page.reload()
    is_there()
    select(page, "Fashion-MNIST", "16")
    is_there()

    copies = {kind: pixels(page, f"{kind} reconstruction") for kind in ("AE", "VAE")}
    x = seen.reshape(1, 1, 28, 28).astype(np.float32) / 255
    expect(page.locator(".reading")).to_contain_text("The classifier reads")
    page.get_by_role("link", name="Explore from here").click()
    page.get_by_role("slider", name="AE z1", exact=True).wait_for(timeout=PATIENCE_MS)
    page.locator('[data-ready="true"]').first.wait_for(state="attached", timeout=PATIENCE_MS)
    for kind, copy in copies.items():
        expected = explorer.load(f"fashion-mnist-{kind.lower()}-16").encode(x)[0]
        assert code(page, kind, 16) == pytest.approx(expected, abs=0.01 * float(np.abs(expected).max()))
        assert np.abs(pixels(page, f"{kind} decoded image") - copy).max() <= 1

    page.get_by_role("link", name="Yours").click()
    is_there()
    assert sent
    assert not any(sent), "no request has a body: nothing of the drawing is sent"
    page.get_by_role("button", name="3: take this image").click()
    page.reload()
    page.locator('[data-ready="true"]').first.wait_for(state="attached", timeout=PATIENCE_MS)
    expect(page.get_by_text("as the data set has it.")).to_be_visible()


def test_an_own_pair_answers_with_its_own_weights_and_for_its_owner_alone(
    browser: Browser, app: str, tmp_path: Path
) -> None:
    packing.pack([checkpoints.PRETRAINED / f"mnist-{kind}-16" for kind in ("ae", "vae")], tmp_path / "mine.zip")
    page = browser.new_page(viewport={"width": 1440, "height": 950})
    page.goto(f"{app}/train")
    page.get_by_text("Your models: load a file").click(timeout=PATIENCE_MS)
    page.locator('input[type="file"]').set_input_files(tmp_path / "mine.zip")
    expect(page.get_by_text("Loaded as mine-ae and mine-vae")).to_be_visible(timeout=PATIENCE_MS)
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.get_by_role("link", name="Yours").click()
    page.locator('.yours[data-ready="true"]').first.wait_for(state="attached", timeout=PATIENCE_MS)
    give(page, "seven.png", encoded(ink(), "PNG"))
    seen = pixels(page, SEEN)
    choose(page, "Models", "mine")
    page.locator('[data-ready="true"]').first.wait_for(state="attached", timeout=PATIENCE_MS)
    assert np.array_equal(pixels(page, SEEN), seen)
    expect(page.get_by_text("mine-vae, 16 dimensions")).to_be_visible()
    check_answers(page, "mnist", 16)
    wait_until(page, "location.search.includes('models=mine')")

    weights = f"{app}/mine/{explorer.load('mnist-vae-16').card.sha256}"
    assert weights in fetched
    status = "async url => (await fetch(url)).status"
    assert page.evaluate(status, weights) == 200
    other = browser.new_page()
    other.goto(f"{app}/health")
    assert other.evaluate(status, weights) == 404
    other.close()
    reads(page, "7")
    expect(page.get_by_text("Of your models, those are offered")).to_be_hidden()
    expect(page.get_by_text("null")).to_have_count(0)
    link = page.get_by_role("link", name="Explore from here").get_attribute("href") or ""
    assert "left=mine-ae&right=mine-vae" in link
    page.close()
