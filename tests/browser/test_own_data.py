"""One's own data in a real browser: trained on, explored, decoded as torch decodes it, and kept in one file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from launch import serve
from playwright.sync_api import Browser, Page, expect

import explorer
from explorer import own_data, packing
from explorer.data import Dataset, Feature
from explorer.loaded import Model
from tests.browser.stage import choose, code, no_drawing, press

pytestmark = pytest.mark.browser
SLOW = 150_000
RGB = """canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"""
COLUMNS = (Feature("length (cm)", 4.3, 7.9), Feature("<b>width</b>", -1.0, 1.0), Feature("عرض", 0.0, 2500.0))


def colours() -> Dataset:
    x = np.random.default_rng(0).integers(0, 256, (60, 3, 8, 16)).astype(np.uint8)
    x[:, 0] //= 3  # so that the channels cannot be taken for one another
    parts = {"x_train": x[:48], "y_train": np.zeros(48, np.uint8), "x_test": x[48:], "y_test": np.zeros(12, np.uint8)}
    return own_data.make(title="Colours", source="c.zip", classes=("all",), **parts)


def table() -> Dataset:
    """Rows of 30 classes, which share ten hues."""
    x = np.random.default_rng(0).integers(0, 256, (300, 1, 1, 3)).astype(np.uint8)
    y = (np.arange(300) % 30).astype(np.uint8)
    parts = {"x_train": x[:240], "y_train": y[:240], "x_test": x[240:], "y_test": y[240:]}
    classes = ("شجرة", "<img src=x onerror=alert(1)>", *(f"class {i} 🌸" for i in range(2, 30)))
    return own_data.make(title="Rows & <i>columns</i>", source="t.csv", classes=classes, features=COLUMNS, **parts)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server where both sets are on everybody's shelf."""
    given = tmp_path_factory.mktemp("sets")
    for dataset in (colours(), table()):
        own_data.save(given / dataset.name, dataset)
    command = (sys.executable, "-m", "tests.browser.app_with_sets", "{port}", str(given))
    with serve(command) as started:
        yield started.url


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """One person, who trains first on colours and then on the table. What the browser complains of fails the tests."""
    context = browser.new_context(viewport={"width": 1440, "height": 950})
    opened, complaints = context.new_page(), []
    opened.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert complaints == []


def train(page: Page, server: str, dataset: Dataset, tmp_path: Path) -> dict[str, Model]:
    """Train for two epochs as a person does, keep the pair, open it in Explore; the models as they were downloaded."""
    page.goto(f"{server}/train?data={dataset.name}")
    start = page.get_by_role("button", name="Start", exact=True)
    expect(start).to_be_enabled(timeout=SLOW)
    expect(page.get_by_role("combobox", name=re.compile("Data"))).to_have_value(
        re.compile(f"^{re.escape(dataset.title)}, ")
    )
    page.get_by_role("spinbutton", name="Epochs").fill("2")
    page.get_by_role("spinbutton", name="Epochs").press("Enter")
    page.wait_for_timeout(500)
    start.click()
    page.get_by_role("link", name="Download as one file").wait_for(timeout=SLOW)
    no_drawing(server)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as one file").click()
    folders = packing.unpack(Path(download.value.path()).read_bytes(), tmp_path / "models")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_role("link", name="Open in Explore").click()
    page.locator('[data-role="stage"][data-ready="true"] [aria-label="Walk from A to B"]').wait_for(timeout=SLOW)
    models = [explorer.load(folder) for folder in folders]
    assert models[0].card.epochs == 2
    return {model.card.model.upper(): model for model in models}


def shown_image(page: Page, name: str) -> np.ndarray:
    """[H, W, 4], 0 to 255."""
    canvas = page.get_by_role("img", name=name, exact=True)
    width = int(canvas.get_attribute("width") or 0)
    return np.array(canvas.evaluate(RGB)).reshape(-1, width, 4)


def test_colour_images_that_are_not_square_decode_as_torch_decodes_them(
    page: Page, server: str, tmp_path: Path
) -> None:
    models = train(page, server, colours(), tmp_path)
    press(page, "AE", 0.7, 0.4)
    for kind, model in models.items():
        z = code(page, kind, 2).astype(np.float32)
        x_hat = model.decode(z[None])[0].transpose(1, 2, 0)
        shown = shown_image(page, f"{kind} decoded image")
        assert shown.shape == (8, 16, 4)
        np.testing.assert_allclose(shown[..., :3], 255 * x_hat, atol=1.6)
        assert np.ptp(x_hat, axis=-1).mean() > 0.05  # colours, not greys
    first = shown_image(page, "Original image")[..., :3]
    np.testing.assert_array_equal(first, colours().x_test[0].transpose(1, 2, 0))
    choose(page, "Behind the points", "decoded grid")
    choose(page, "View", "PCA")
    expect(page.get_by_role("button", name="AE sample 1 from N(0, I): put the probe here", exact=True)).to_be_visible()


def values(page: Page, name: str) -> list[float]:
    picture = page.get_by_role("img", name=name, exact=True)
    return [float(text) for text in picture.locator(".feature-value").all_text_contents()]


def test_the_rows_of_a_table_are_numbers_in_their_own_units(page: Page, server: str, tmp_path: Path) -> None:
    models = train(page, server, table(), tmp_path)
    press(page, "VAE", 0.3, 0.6)
    low, width = np.array([4.3, -1.0, 0.0]), np.array([3.6, 2.0, 2500.0])
    for kind, model in models.items():
        x_hat = model.decode(code(page, kind, 2).astype(np.float32)[None])[0, 0, 0]
        found = values(page, f"{kind} decoded image")
        np.testing.assert_allclose(found, low + width * x_hat, atol=width.max() / 200)
        np.testing.assert_allclose(found[:2], (low + width * x_hat)[:2], atol=0.02)
        spoken = page.get_by_role("img", name=f"{kind} decoded image", exact=True).get_attribute("aria-description")
        assert re.fullmatch(r"length \(cm\) [\d.]+, <b>width</b> -?[\d.]+, عرض \d+", spoken or "")
    original = low + width * table().x_test[0, 0, 0] / 255
    assert (abs(values(page, "Original image") - original) <= width / 100).all()
    expect(page.get_by_role("button", name="Class <img src=x onerror=alert(1)>", exact=True)).to_be_visible()
    assert page.locator("[data-role=stage] img, [data-role=stage] b b, [data-role=stage] i i").count() == 0
    assert page.get_by_role("group", name="Classes").get_by_role("button").count() == 30
    choose(page, "Behind the points", "decoded grid")

    page.set_viewport_size({"width": 360, "height": 780})
    page.reload()
    page.locator('[data-role="stage"][data-ready="true"]').wait_for(state="attached", timeout=SLOW)
    picture = page.get_by_role("img", name="AE decoded image", exact=True)
    box = picture.bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 180
    assert page.locator("[data-testid=stMain]").evaluate("main => main.scrollWidth <= main.clientWidth")


def test_the_table_in_one_file_shows_its_numbers_without_a_server(
    page: Page, server: str, browser: Browser, tmp_path: Path
) -> None:
    names = dict(zip(("left", "right"), page.locator(".panel select").evaluate_all("all => all.map(one => one.value)")))
    answer = page.context.request.get(f"{server}/onefile", params={**names, "z": "0.1,0.2"})
    path = tmp_path / "view.html"
    path.write_bytes(answer.body())
    context = browser.new_context(offline=True)
    alone = context.new_page()
    alone.goto(path.as_uri())
    alone.locator('[data-ready="true"]').first.wait_for(state="attached", timeout=SLOW)
    np.testing.assert_allclose(code(alone, "AE", 2), [0.1, 0.2], atol=1e-6)
    length, width, _ = values(alone, "AE decoded image")
    assert 4.3 <= length <= 7.9
    assert -1 <= width <= 1
    expect(alone.get_by_role("radio", name="Rows & <i>columns</i>", exact=True)).to_be_checked()
    context.close()


def test_models_of_the_table_are_measured_while_one_looks_on_with_a_judge_that_learned_it(
    page: Page, server: str
) -> None:
    left, right = page.locator(".panel select").evaluate_all("all => all.map(one => one.value)")
    page.goto(f"{server}/measure?left={left}&right={right}")
    page.get_by_role("button", name="Measure", exact=True).click(timeout=SLOW)
    under_way = re.compile(r"a classifier learns your data first: \d+%|\d+ of \d+ figures|waiting for its turn")
    expect(page.get_by_text(under_way).first).to_be_visible(timeout=SLOW)
    told = page.get_by_text(
        re.compile(r"Judged by a classifier trained on your data: \d+ % right on 60 held-out items")
    )
    expect(told).to_contain_text("It has learned little", timeout=3 * SLOW)  # the classes of its rows were drawn by lot
    expect(page.get_by_text("The VAE's price")).to_be_visible()
    assert page.locator("[data-testid=stMain]").evaluate("main => main.scrollWidth <= main.clientWidth + 1")
