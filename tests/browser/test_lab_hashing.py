"""The hashing lab in a real browser: its buckets and searches are those of numpy; a text one brings is hashed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect
from safetensors.numpy import load_file

from explorer import data
from explorer.checkpoints import PRETRAINED
from explorer.labs.documents import MIN_DOCUMENTS
from explorer.labs.hashing import hamming
from tests.browser.stage import choose, slider, wait_until

pytestmark = pytest.mark.browser
SHIPPED = PRETRAINED / "labs"
OpenPage = Callable[..., Page]
IN_MODULE = """async ([query, codes, x, data]) => {
    const found = performance.getEntriesByType('resource').find(({ name }) => name.endsWith('/hamming.js')).name;
    const { hamming, within, nearest, bitsOf } = await import(found);
    const distances = hamming(Uint8Array.from(query), Uint8Array.from(codes));
    const bucket = within(distances, 9), pixels = [Uint8Array.from(x), Uint8Array.from(data)];
    return { distances: [...distances], bucket: [...bucket], none: [...within(distances, 0)],
        all: within(distances, 16).length, nearest: nearest(...pixels, 5), among: nearest(...pixels, 50, bucket),
        bits: bitsOf(Uint8Array.from(query)) };
}"""


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return load_file(SHIPPED / "hashing.safetensors")


def ranked(arrays: dict[str, np.ndarray], method: str, bits: int, query: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances of all images to a query, and their indices, nearest first."""
    distances = hamming(arrays[f"{method}.{bits}.queries"][query], arrays[f"{method}.{bits}.base"])
    return distances, np.argsort(distances, kind="stable")


def exactly_nearest(arrays: dict[str, np.ndarray], query: int, among: np.ndarray | None = None) -> list[int]:
    x = data.load_subset("mnist").x_train.reshape(10_000, -1).astype(np.int64)
    squares = np.square(x - arrays["query_images"][query]).sum(axis=1)
    order = np.argsort(squares, kind="stable")
    return [int(i) for i in order if among is None or i in among][:10]


def shown(page: Page, group: str) -> list[int]:
    return [
        int(i)
        for i in page.get_by_role("group", name=group, exact=True)
        .locator("figure")
        .evaluate_all("all => all.map((one) => one.dataset.index)")
    ]


def comes_to(page: Page, group: str, expected: list[int]) -> None:
    """The searches follow when the hand rests."""
    for _ in range(40):
        if shown(page, group) == expected:
            return
        page.wait_for_timeout(50)
    assert shown(page, group) == expected


def summary(page: Page) -> Locator:
    return page.locator(".lab > .formula")


def check_bucket(page: Page, arrays: dict[str, np.ndarray], method: str, bits: int, query: int, radius: int) -> None:
    distances, order = ranked(arrays, method, bits, query)
    found = order[: int((distances <= radius).sum())]
    same = arrays["labels"] == arrays["query_labels"][query]
    precision, recall = same[found].mean(), same[found].sum() / same.sum()
    expect(summary(page)).to_contain_text(f"{len(found):,} of 10,000 images within {radius} bit")
    expect(summary(page)).to_contain_text(f"Precision {precision:.3f}, recall {recall:.3f}")
    assert shown(page, "The bucket") == found[:24].tolist()
    marks = page.get_by_role("group", name="The bucket", exact=True).locator(".mark").all_inner_texts()
    assert marks == ["✓ same" if one else "✕ other" for one in same[found[:24]]]
    comes_to(page, "All images, exactly", exactly_nearest(arrays, query))
    comes_to(page, "Only the bucket, re-ranked exactly", exactly_nearest(arrays, query, found))


def test_the_bucket_follows_the_radius_the_query_and_the_code(
    open_page: OpenPage, arrays: dict[str, np.ndarray]
) -> None:
    page = open_page("labs?lab=hashing&radius=4")
    check_bucket(page, arrays, "ae", 32, 0, 4)
    radius = slider(page, "Hamming radius")
    radius.press("ArrowRight")
    radius.press("ArrowRight")
    check_bucket(page, arrays, "ae", 32, 0, 6)
    page.get_by_role("button", name=re.compile("^Query 3: ")).press("Enter")
    check_bucket(page, arrays, "ae", 32, 3, 6)
    expect(page.get_by_role("button", name=re.compile("^Query 3: "))).to_be_focused()
    page.get_by_role("radiogroup", name="Code").get_by_role("radio", name="AE").press("ArrowRight")
    check_bucket(page, arrays, "itq", 32, 3, 6)
    page.get_by_role("radiogroup", name="Bits", exact=True).get_by_role("radio", name="8", exact=True).click()
    slider(page, "Hamming radius").press("End")
    check_bucket(page, arrays, "itq", 8, 3, 8)
    bits = np.unpackbits(arrays["lsh.8.queries"][3])
    expect(page.get_by_role("img", name=f"LSH code: {''.join(map(str, bits))}", exact=True)).to_be_visible()
    wait_until(page, "location.search.includes('query=3') && location.search.includes('bits=8')")
    assert "radius=8" in page.evaluate("location.search")

    record = json.loads((SHIPPED / "hashing.json").read_text())
    row = page.get_by_role("row", name=re.compile("^ITQ"))
    expected = [f"{record['methods']['itq'][str(bits)]['map']:.3f}" for bits in record["bits"]]
    assert row.get_by_role("cell").all_inner_texts()[:4] == expected
    expect(page.get_by_text("every order is taken as equally likely")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"^Precision within 8 of 8 bits: AE 0\.100"))).to_be_visible()

    random = np.random.default_rng(0)
    codes, query = random.integers(256, size=(300, 2), dtype=np.uint8), random.integers(256, size=2, dtype=np.uint8)
    x, images = random.integers(6, size=7), random.integers(6, size=(300, 7))
    found = page.evaluate(IN_MODULE, [query.tolist(), codes.ravel().tolist(), x.tolist(), images.ravel().tolist()])
    distances, squares = hamming(query, codes), np.square(images - x).sum(axis=1)
    order, by_square = np.argsort(distances, kind="stable"), np.argsort(squares, kind="stable")
    bucket = order[: (distances <= 9).sum()]
    assert found["distances"] == distances.tolist()
    assert found["bucket"] == bucket.tolist()
    assert (found["none"], found["all"]) == (np.flatnonzero(distances == 0).tolist(), 300)
    assert found["nearest"] == by_square[:5].tolist()
    assert found["among"] == [i for i in by_square.tolist() if i in bucket][:50]
    assert found["bits"] == "".join(map(str, np.unpackbits(query)))


def give(page: Page, path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines))
    page.get_by_label("File").set_input_files(path)
    page.get_by_role("button", name="Hash these documents").click()


def test_a_text_is_hashed_and_a_bad_one_is_told_on_a_narrow_screen(open_page: OpenPage, tmp_path: Path) -> None:
    # a refusal by the server is one the browser complains about as well
    page = open_page("labs?lab=hashing", viewport={"width": 360, "height": 740}, quiet=False)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    random = np.random.default_rng(0)
    lines = [
        f"<b>{i}</b> " + " ".join(f"topic{i % 4}word{word}" for word in random.integers(12, size=9)) for i in range(40)
    ]
    choose(page, "Bits of a document", "16")
    give(page, tmp_path / "texts.txt", lines)
    buttons = page.get_by_role("list", name="Documents", exact=True).get_by_role("button")
    buttons.first.wait_for(timeout=60_000)
    expect(buttons).to_have_count(10)
    expect(buttons.nth(3)).to_contain_text(lines[3])
    buttons.nth(3).press("Enter")
    expect(page.locator("blockquote")).to_have_text(f"Document 4: {lines[3]}")
    slider(page, "Radius in bits").press("End")
    expect(page.get_by_text("39 of 39 others within 16 bits; 10 of the 10")).to_be_visible()
    expect(page.get_by_role("list", name="Bucket by the AE’s code").get_by_role("button")).to_have_count(24)
    near = page.get_by_role("list", name="Nearest by their words").get_by_role("button")
    near_topics = [int(text.split("<b>")[1].split("<")[0]) % 4 for text in near.all_inner_texts()]
    assert near_topics == [3] * 9 + near_topics[9:], "nine others are of its topic"
    page.get_by_label("Only documents with").fill("TOPIC3WORD")
    expect(page.get_by_text("1 to 10 of 10")).to_be_visible()

    one = tmp_path / "one.txt"
    for path, bad, words in (
        (tmp_path / "empty.txt", [], "The file is empty"),
        (one, ["one document"], f"{MIN_DOCUMENTS} to 20,000 documents, got 1."),
    ):
        give(page, path, bad)
        expect(page.get_by_text(words)).to_be_visible(timeout=30_000)
        expect(page.locator("blockquote")).to_have_text(f"Document 4: {lines[3]}")
    one.write_text("two documents\nnow")
    page.get_by_role("button", name="Hash these documents").click()
    expect(page.get_by_text("The file was changed or moved")).to_be_visible()
    page.get_by_label("File").set_input_files({"name": "a.pdf", "mimeType": "application/pdf", "buffer": b"%PDF"})
    expect(page.get_by_text("“a.pdf” is neither a .txt nor a .csv file")).to_be_visible()
    large = tmp_path / "large.txt"
    large.write_bytes(b"a" * 5_000_001)
    page.get_by_label("File").set_input_files(large)
    expect(page.get_by_text("at most 5 MB can be taken")).to_be_visible()
    page.get_by_role("button", name="Hash these documents").click()
    expect(page.get_by_text("Choose a .txt or .csv file first.")).to_be_visible()

    wide = page.locator(".labs").evaluate(
        """host => [...host.querySelectorAll('*')].filter((one) => one.checkVisibility()
            && one.getBoundingClientRect().right > innerWidth + 1
            && getComputedStyle(one).position !== 'absolute').map((one) => one.outerHTML)"""
    )
    assert (wide, complaints) == ([], [])
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
