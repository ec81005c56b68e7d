"""A data set is brought in a real browser: limits, preview, balance, problems, choices, and its place on the shelf."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.brought import picture, some_pixels, zipped
from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.browser
PATIENCE_MS = 30_000
EVIL = "<img src=x onerror=alert(1)> ![](http:)"


def upload(page: Page, *paths: Path) -> None:
    page.get_by_role("tab", name="A data set").click()
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(paths)


def region(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def cells(row: Locator) -> list[str]:
    return row.locator("th, td").all_inner_texts()


def test_a_zip_is_read_shown_and_put_on_the_shelf(open_page: OpenPage, tmp_path: Path) -> None:
    images = {f"set/{kind}/{i}.png": picture(some_pixels(i)) for kind, n in (("شجرة", 6), (EVIL, 3)) for i in range(n)}
    hostile = {"../up.png": picture(some_pixels(9)), "set/شجرة/x.svg": b"<svg onload=alert(1)/>", "set/<b>.txt": b"hi"}
    page = open_page("yours")
    page.on("dialog", lambda dialog: pytest.fail("a script of the file ran"))
    page.get_by_role("tab", name="A data set").click()
    expect(page.get_by_text("At most 100 MB, 100,000 items and 100 classes.")).to_be_visible()

    upload(page, zipped(tmp_path / "![](http:)*trees*.zip", {**images, **hostile}))
    expect(page.get_by_text("9 grey images of 12×12 pixels in 2 classes. 7 to learn from, 2 held out.")).to_be_visible(
        timeout=PATIENCE_MS
    )
    expect(page.get_by_text("![](http:)*trees*", exact=True)).to_be_visible()
    rows = region(page, "Classes").get_by_role("row")
    expect(rows).to_have_count(3)
    expect(region(page, "Problems")).to_be_visible()
    assert [cells(row)[:2] for row in rows.all()[1:]] == [[EVIL, "3"], ["شجرة", "6"]]
    meters = region(page, "Classes").get_by_role("meter")
    assert [meter.evaluate("meter => meter.value / meter.max") for meter in meters.all()] == [0.5, 1]
    strip = region(page, "Classes").get_by_role("img", name="images of شجرة")
    assert strip.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [6 * 12, 12]
    told = {cells(row)[0]: cells(row)[3] for row in region(page, "Problems").get_by_role("row").all()[1:]}
    assert told["Its name leads out of the zip."] == "../up.png"
    assert told["SVG is a drawing, not pixels: save it as PNG."] == "set/شجرة/x.svg"
    assert "set/<b>.txt" in told.values()

    page.get_by_role("button", name="Use this data set").click()
    expect(page.get_by_text("This data set is yours now.")).to_be_visible()
    link = page.get_by_role("link", name="Train on it").first
    assert re.fullmatch(r".*/train\?data=own-[0-9a-f]{12}", str(link.evaluate("link => link.href")))
    page.reload()
    page.get_by_role("tab", name="A data set").click()
    expect(page.get_by_text("9 items")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("9 items")).to_have_count(0)


def test_a_table_of_thousands_of_features_is_listed_in_parts(open_page: OpenPage, tmp_path: Path) -> None:
    heads = [f"f{i} <i>" for i in range(1000)]
    path = tmp_path / "wide.csv"
    path.write_text(",".join(heads) + "\n" + "\n".join(",".join(str(i * r) for i in range(1000)) for r in range(3)))
    page = open_page("yours")
    upload(page, path)
    rows = region(page, "Features, scaled from their lowest to their highest value").get_by_role("row")
    expect(rows).to_have_count(1 + 12, timeout=PATIENCE_MS)
    more = page.get_by_role("button", name="Show 100 more of 988", exact=True)
    more.focus()
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1 + 112)
    assert cells(rows.nth(112))[:3] == ["f111 <i>", "0", "222"]
    assert region(page, "Classes").get_by_role("row").count() == 2


def test_a_table_is_shown_in_numbers_and_read_anew_as_chosen(open_page: OpenPage, tmp_path: Path) -> None:
    narrow = {"width": 360, "height": 800}
    page = open_page("yours", viewport=narrow, color_scheme="dark")
    rows = np.arange(12)
    path = tmp_path / "plants.csv"
    path.write_text("name,height,leaves,kind\n" + "\n".join(f"p{i},{i / 4},{i % 3},{'ab'[i % 2]}" for i in rows))
    (tmp_path / "broken.npz").write_bytes(b"PK\3\4 and no more")
    upload(page, tmp_path / "broken.npz")
    expect(page.get_by_text("The zip is broken or cut off: make it again.")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Remove broken.npz").click()

    upload(page, path)
    expect(page.get_by_text("12 rows of 2 features in 2 classes.")).to_be_visible(timeout=PATIENCE_MS)
    features = region(page, "Features, scaled from their lowest to their highest value").get_by_role("row")
    expect(region(page, "Problems")).to_be_visible()
    assert [cells(row)[:5] for row in features.all()[1:]] == [
        ["height", "0", "2.75", "0", "0.24804"],
        ["leaves", "0", "2", "0", "1.0039"],
    ]
    assert cells(region(page, "Problems").get_by_role("row").nth(1))[3] == "column “name”"
    page.get_by_role("combobox", name="Column with the classes").click()
    page.get_by_role("option", name="leaves", exact=True).click()
    expect(page.get_by_text("A table has 2 to 4,096 columns of numbers, this one has 1.")).to_be_visible(
        timeout=PATIENCE_MS
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
