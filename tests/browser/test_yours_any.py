"""Yours with a visitor's own models of any shape, against torch: colours, oblong frames, rows of a table."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

import explorer
from explorer import own_data, packing, projection, worker
from explorer.data import Dataset, Feature
from explorer.loaded import Model
from explorer.settings import Settings
from tests.browser.stage import choose, wait_until

pytestmark = pytest.mark.browser
PATIENCE_MS = 60_000
SEEN = "What the models see"
RGB = """canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"""
HOSTILE = "<img src=x onerror=alert(1)> 🌸"
UNITS = (Feature("length (cm)", 4.3, 7.9), Feature("<b>width</b>", -1.0, 1.0), Feature("عرض", 0.0, 2500.0))


def dataset(shape: tuple[int, int, int], features: tuple[Feature, ...] = ()) -> Dataset:
    """Noise: what a model makes of it is as good a check as of anything else."""
    x = np.random.default_rng(0).integers(0, 256, (40, *shape)).astype(np.uint8)
    y = (np.arange(40) % 2).astype(np.uint8)
    parts = {"x_train": x[8:], "y_train": y[8:], "x_test": x[:8], "y_test": y[:8]}
    return own_data.make(
        title="Set " + "×".join(map(str, shape)), source="s", classes=("a", HOSTILE), features=features, **parts
    )


DATA = {
    "colours": dataset((3, 20, 12)),
    "greys": dataset((1, 8, 64)),
    "rows": dataset((1, 1, 3), UNITS),
    "columns": dataset((1, 1, 40), tuple(Feature(f"f{i}", 0.0, 255.0) for i in range(40))),
}


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A pair of each set, as its owner downloaded it; AE and VAE of one epoch."""
    home = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "say", lambda kind, **values: None)
        patch.setattr(projection, "umap", lambda codes, seed: np.zeros((len(codes), 2), np.float32))
        for name, given in DATA.items():
            own_data.save(home / name / "data", given)
            settings = Settings(dataset=given.name, hidden=(8,), epochs=1, batch_size=16).record()
            for kind in ("ae", "vae"):
                told = {"model": kind, "settings": settings, "folder": str(home / name / kind), "full": False}
                worker.Worker({**told, "max_bytes": 10**12, "data_folder": str(home / name / "data")}).run()
            packing.pack([home / name / kind for kind in ("ae", "vae")], home / f"{name}.zip")
    return {name: home / f"{name}.zip" for name in DATA}


@pytest.fixture(scope="module")
def page(browser: Browser, app: str, packs: dict[str, Path]) -> Iterator[Page]:
    """One person who has loaded all these models. What the browser complains of fails the last test."""
    context = browser.new_context(viewport={"width": 1440, "height": 1100})
    context.set_default_timeout(5000)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{app}/train")
    page.get_by_text("Your models: load a file").click(timeout=PATIENCE_MS)
    for name, path in packs.items():
        page.locator('input[type="file"]').set_input_files(path)
        expect(page.get_by_text(f"Loaded as {name}-ae and {name}-vae")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("link", name="Yours").click()
    page.locator('.yours[data-ready="true"]').first.wait_for(state="attached", timeout=PATIENCE_MS)
    yield page
    context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def models(packs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Model]]:
    home = tmp_path_factory.mktemp("unpacked")
    found = {}
    for name, path in packs.items():
        folders = packing.unpack(path.read_bytes(), home / name)
        found[name] = {model.card.model: model for model in map(explorer.load, folders)}
    return found


def select(page: Page, name: str) -> None:
    choose(page, "Models", name)
    page.locator('[data-ready="true"]').first.wait_for(state="attached", timeout=PATIENCE_MS)


def image(page: Page, name: str) -> np.ndarray:
    """[H, W, 3], 0 to 255."""
    canvas = page.get_by_role("img", name=name, exact=True)
    return np.array(canvas.evaluate(RGB)).reshape(-1, int(canvas.get_attribute("width") or 0), 4)[..., :3]


def codes(page: Page, kind: str) -> list[float]:
    spoken = page.get_by_role("group", name=f"{kind.upper()} code", exact=True).locator("span").all_inner_texts()
    return [float(text.split()[1].replace("−", "-")) for text in spoken]


def check_codes(page: Page, models: dict[str, Model], x: np.ndarray) -> None:
    """x: float32 [1, C, H, W], what both models are given."""
    for kind, model in models.items():
        assert codes(page, kind) == pytest.approx(model.encode(x)[0], abs=0.011)


def answers(page: Page, models: dict[str, Model]) -> np.ndarray:
    """What both models make of the image they see, against torch; the image, [H, W, 3]."""
    seen = image(page, SEEN)
    channels = models["ae"].card.image_shape[0]
    x = (seen.transpose(2, 0, 1)[None, :channels] / 255).astype(np.float32)
    check_codes(page, models, x)
    for kind, model in models.items():
        x_hat = model.decode(model.encode(x))[0].transpose(1, 2, 0)
        assert np.abs(image(page, f"{kind.upper()} reconstruction") - 255 * x_hat).max() <= 1.01
    return seen


def pad(page: Page) -> Locator:
    return page.get_by_role("application", name=re.compile("^Your drawing"))


def photograph() -> np.ndarray:
    """[30, 60, 3]: red left, blue right, on the whole twice as wide as high."""
    pixels = np.zeros((30, 60, 3), np.uint8)
    pixels[:, :30], pixels[:, 30:] = (200, 40, 10), (20, 60, 220)
    return pixels


def give(page: Page, pixels: np.ndarray) -> None:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    page.locator('[data-role="stage"] input[type="file"]').set_input_files(
        {"name": "brought.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    expect(page.get_by_text("Your picture.", exact=True)).to_be_visible()


def test_a_drawing_is_scaled_to_other_models_and_is_itself_again_when_they_are_back(
    page: Page, models: dict[str, dict[str, Model]]
) -> None:
    page.get_by_role("button", name="Clear").click()
    pad(page).focus()
    for key in ("Space", *["Shift+ArrowDown"] * 6, *["Shift+ArrowLeft"] * 5):
        page.keyboard.press(key)
    drawn = image(page, "Your drawing")
    select(page, "colours")
    expect(page.get_by_text("Your drawing. It has 28 by 28 pixels and was scaled to 12 by 20.")).to_be_visible()
    scaled = answers(page, models["colours"])
    assert scaled.shape == (20, 12, 3)
    # 28 to 12: means of areas, the whole of the drawing in the middle of the frame.
    fine = np.repeat(np.repeat(drawn / 255, 12, axis=0), 12, axis=1)
    expected = fine.reshape(12, 28, 12, 28, 3).mean(axis=(1, 3))
    assert np.abs(scaled[4:16] - 255 * expected).max() <= 1.01
    assert scaled[:4].max() == scaled[16:].max() == 0
    select(page, "shipped")
    assert np.array_equal(image(page, "Your drawing"), drawn)
    expect(page.get_by_text("was scaled to")).to_have_count(0)


def test_an_image_in_colour_is_drawn_in_colours(page: Page, models: dict[str, dict[str, Model]]) -> None:
    select(page, "colours")
    page.get_by_role("button", name="Clear").click()
    choose(page, "Colour", "Red")
    box = pad(page).bounding_box()
    assert box
    assert box["height"] == pytest.approx(box["width"] * 20 / 12, abs=1)
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 3 * box["height"] / 4, steps=8)
    page.mouse.up()
    choose(page, "Colour", "Blue")
    pad(page).focus()
    for key in (*["ArrowRight"] * 6, "Space"):
        page.keyboard.press(key)
    seen = answers(page, models["colours"])
    red, green, blue = seen[10, 3].astype(int)
    assert red > 120 > 60 > max(green, blue)
    assert seen[..., 2].max() > 150, "and there is blue"
    expect(page.locator(".pad-tools [role=status]")).to_have_text(
        re.compile(r"column 10, row \d+, red 16 %, green 36 %")
    )
    page.get_by_role("button", name="Undo").click()
    assert answers(page, models["colours"])[..., 2].max() < 60


def test_a_picture_stays_in_colour_and_whole_unless_steps_are_wanted(
    page: Page, models: dict[str, dict[str, Model]]
) -> None:
    select(page, "colours")
    give(page, photograph())
    boxes = {name: page.get_by_role("checkbox", name=name) for name in ("Grey", "Invert", "Contrast", "Crop", "Centre")}
    for box in boxes.values():
        expect(box).not_to_be_checked()
    expect(page.get_by_role("checkbox", name="Scale")).to_be_checked()
    seen = answers(page, models["colours"])
    # 60 by 30 into 12 by 20: 12 by 6 in the middle, whole and undistorted.
    assert np.abs(seen[7:13, :6] - (200, 40, 10)).max() <= 1
    assert np.abs(seen[7:13, 6:] - (20, 60, 220)).max() <= 1
    ground = seen[0, 0].astype(int)
    assert min(np.abs(ground - colour).max() for colour in ((200, 40, 10), (20, 60, 220))) <= 1, (
        "one of its own colours"
    )
    assert (seen[:7] == ground).all()
    boxes["Grey"].check()
    grey = answers(page, models["colours"])
    assert np.array_equal(grey[..., 0], grey[..., 2])
    assert grey[10, 2, 0] == round(0.299 * 200 + 0.587 * 40 + 0.114 * 10)
    boxes["Grey"].uncheck()
    boxes["Invert"].check()
    assert np.array_equal(answers(page, models["colours"])[8, 2], 255 - seen[8, 2])

    select(page, "greys")
    expect(boxes["Grey"]).to_be_hidden()
    assert answers(page, models["greys"]).shape == (8, 64, 3)
    select(page, "shipped")
    expect(boxes["Contrast"]).to_be_checked()
    select(page, "colours")
    assert np.array_equal(answers(page, models["colours"]), seen), "the colours were kept all the while"


def test_what_is_brought_outlasts_a_reload_in_its_colours(page: Page, models: dict[str, dict[str, Model]]) -> None:
    select(page, "colours")
    give(page, photograph())
    seen = image(page, SEEN)
    wait_until(page, "location.search.includes('models=colours')")
    page.reload()
    page.locator('.yours[data-ready="true"]').first.wait_for(state="attached", timeout=PATIENCE_MS)
    assert np.array_equal(answers(page, models["colours"]), seen)
    page.get_by_role("button", name=f"{HOSTILE}: take this image").click()
    expect(page.get_by_text(f"Test image 1, {HOSTILE}, as the data set has it.")).to_be_visible()
    assert np.array_equal(answers(page, models["colours"]), DATA["colours"].x_test[1].transpose(1, 2, 0))
    expect(page.locator(".reading")).to_contain_text("No classifier reads this data set")
    expect(page.get_by_text("Distance by colour values to 8 held-out images.")).to_be_visible(timeout=PATIENCE_MS)
    assert page.locator("[data-role=stage] img").count() == 0


def test_the_row_of_a_table_is_changed_by_sliders_in_its_units(page: Page, models: dict[str, dict[str, Model]]) -> None:
    select(page, "rows")
    expect(pad(page)).to_be_hidden()
    x = DATA["rows"].x_test
    check_codes(page, models["rows"], x[:1] / np.float32(255))
    page.get_by_role("combobox", name="Held-out row").select_option("5")
    check_codes(page, models["rows"], x[5:6] / np.float32(255))
    low, width = np.array([4.3, -1.0, 0.0]), np.array([3.6, 2.0, 2500.0])
    sliders = [page.get_by_role("slider", name=feature.name, exact=True) for feature in UNITS]
    said = [float(slider.get_attribute("aria-valuetext") or "nan") for slider in sliders]
    assert (np.abs(said - (low + width * x[5, 0, 0] / 255)) <= width / 100).all()
    sliders[1].fill("255")
    assert sliders[1].get_attribute("aria-valuetext") == "1.00"
    sliders[1].press("ArrowLeft")
    changed = x[5:6].copy()
    changed[..., 1] = 254
    check_codes(page, models["rows"], changed / np.float32(255))
    expect(page.get_by_text("Your row, changed by hand.")).to_be_visible()
    made = models["rows"]["vae"].decode(models["rows"]["vae"].encode(changed / np.float32(255)))[0, 0, 0]
    shown = page.get_by_role("img", name="VAE reconstruction", exact=True).locator(".feature-value").all_inner_texts()
    assert (np.abs(np.array(shown, float) - (low + width * made)) <= width / 100).all()

    give_up = page.get_by_role("alert").filter(has_text="These models learned the rows of a table")
    page.evaluate(DROP)
    expect(give_up).to_be_visible()
    wait_until(page, "location.search.includes('models=rows') && !location.search.includes('image')")
    page.reload()
    page.locator('.yours[data-ready="true"]').first.wait_for(state="attached", timeout=PATIENCE_MS)
    check_codes(page, models["rows"], changed / np.float32(255))
    href = page.get_by_role("link", name="Explore from here").get_attribute("href") or ""
    assert f"data={DATA['rows'].name}&" in href
    z = [float(value) for value in re.split("[=,]", re.search(r"&z=[^&]*", href)[0])[1:]]  # type: ignore[index]
    assert z == pytest.approx(models["rows"]["ae"].encode(changed / np.float32(255))[0], abs=1e-4)


DROP = """() => {
    const transfer = new DataTransfer(), png = Uint8Array.from(atob(
        'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=='
    ), (c) => c.charCodeAt(0));
    transfer.items.add(new File([png], 'one.png', { type: 'image/png' }));
    const find = (root) => root.querySelector('.yours')
        ?? [...root.querySelectorAll('*')].map((e) => e.shadowRoot && find(e.shadowRoot)).find(Boolean);
    find(document).dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: transfer }));
}"""


def test_a_table_of_many_features_is_chosen_from_and_listed_and_fits_a_narrow_screen(
    page: Page, models: dict[str, dict[str, Model]]
) -> None:
    select(page, "columns")
    page.get_by_role("combobox", name="Held-out row").select_option("3")
    x = DATA["columns"].x_test[3:4]
    check_codes(page, models["columns"], x / np.float32(255))
    listed = page.get_by_role("region", name="Your row: 40 values").locator(".feature-value").all_inner_texts()
    assert [float(value) for value in listed] == [float(value) for value in x[0, 0, 0, : len(listed)]]
    assert page.get_by_role("group", name="Features", exact=True).get_by_role("slider").count() == 0
    page.set_viewport_size({"width": 360, "height": 740})
    for name in ("columns", "rows", "greys", "colours"):
        select(page, name)
        assert page.locator("[data-testid=stMain]").evaluate("main => main.scrollWidth") <= 360, name
