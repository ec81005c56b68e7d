"""The labs in a real browser: each opens, does its main gesture, and computes what torch, numpy and scikit-learn do."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from safetensors.numpy import load_file
from sklearn import metrics

from explorer import atlas, catalogue, checkpoints
from explorer.labs import denoise
from tests.browser.conftest import OpenPage
from tests.browser.stage import choose, pixels

pytestmark = pytest.mark.browser
PATIENCE_MS = 90_000
LABS = checkpoints.PRETRAINED / catalogue.LABS
TABS = ("Basic", "Denoise", "Anomalies", "Hashing", "Projections")
MODULES = "_stcore/bidi-components/explorer.stage"


def ready(page: Page) -> None:
    page.locator('[data-ready="true"]').first.wait_for(state="attached", timeout=PATIENCE_MS)


def tab(page: Page, name: str) -> None:
    choose(page, "Lab", name)
    ready(page)


def said(page: Page) -> Locator:
    return page.locator(".lab-run p").first


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True))


def held(dataset: str) -> np.ndarray:
    return atlas.held_out(dataset)[0]


def weights(name: str) -> dict[str, np.ndarray]:
    return {key: value.astype(np.float64) for key, value in load_file(LABS / f"{name}.safetensors").items()}


def test_each_lab_opens_by_its_tab_and_stays_in_the_address(open_page: OpenPage) -> None:
    page = open_page("labs")
    for name in TABS[::-1]:
        tab(page, name)
        assert f"lab={name.lower()}" in page.url
        assert page.get_by_role("alert").filter(visible=True).count() == 0
        page.reload()
        ready(page)
        expect(page.get_by_role("radio", name=name, exact=True)).to_be_checked()


def test_an_unknown_lab_is_told_and_the_first_is_shown(open_page: OpenPage) -> None:
    page = open_page("labs?lab=tea")
    expect(page.get_by_role("alert").first).to_contain_text("There is no lab “tea”. Right would be: basic, denoise, ")
    expect(page.get_by_role("heading", level=1)).to_have_text("Copy clothes through 64 numbers")


def test_the_basic_copies_and_their_errors_are_those_of_numpy(open_page: OpenPage) -> None:
    page = open_page("labs?lab=basic&from=40")
    x = held("fashion-mnist")[40:50].reshape(10, -1) / 255
    w = weights("basic")
    hidden = np.maximum(x @ w["0.weight"].T + w["0.bias"], 0)
    x_hat = 1 / (1 + np.exp(-(hidden @ w["2.weight"].T + w["2.bias"])))
    shown = page.get_by_text(re.compile(r"^error 0\.\d{4}$")).all_inner_texts()
    assert [float(text.split()[1]) for text in shown] == pytest.approx(np.square(x - x_hat).mean(1), abs=6e-5)
    page.get_by_role("button", name="Next images").click()
    expect(page.get_by_text("test images 50 to 59")).to_be_visible()


def test_a_training_shows_each_epoch_and_the_shipped_one_comes_back(open_page: OpenPage) -> None:
    page = open_page("labs?lab=basic")
    shipped = row(page, "this autoencoder").inner_text()
    choose(page, "Epochs", "5")
    page.get_by_role("button", name=re.compile("Train it here")).click()
    expect(said(page)).to_contain_text(re.compile(r"epoch \d.* s left"), timeout=PATIENCE_MS)
    page.reload()
    ready(page)
    expect(said(page)).to_contain_text("Done in", timeout=PATIENCE_MS)
    expect(row(page, "this autoencoder")).to_contain_text("10,000 images, 5 epochs")
    page.get_by_role("button", name="Back to the shipped one").click()
    assert row(page, "this autoencoder").inner_text() == shipped


def test_denoising_in_the_browser_equals_torch(open_page: OpenPage, app: str) -> None:
    model = denoise.build(seed=0)
    arrays = load_file(LABS / "denoise.safetensors")
    model.load_state_dict({name: torch.from_numpy(value).float() for name, value in arrays.items()})
    x = torch.from_numpy(held("fashion-mnist")[:6]).float() / 255
    noisy = denoise.add_noise(x, noise="gaussian", level=0.3, seed=1)
    served = catalogue.shipped().labs["denoise"]
    found = open_page("labs?lab=denoise").evaluate(
        """async ({ address, url, layers, images }) => {
            const { makeDenoiser } = await import(`${address}/lab_denoise.js`);
            const { readSafetensors } = await import(`${address}/safetensors.js`);
            const arrays = readSafetensors(await (await fetch(url)).arrayBuffer());
            const run = makeDenoiser(layers, arrays);
            return images.map((x) => Array.from(run(x)));
        }""",
        {
            "address": f"{app}/{MODULES}",
            "url": f"{app}/atlas/{served.part.sha256}",
            "layers": denoise.layers(),
            "images": noisy.flatten(1).double().tolist(),
        },
    )
    with torch.no_grad():
        expected = model(noisy).flatten(1).numpy()
    assert np.abs(np.array(found) - expected).max() < 1e-5


def test_the_noise_slider_answers_by_keyboard_and_says_what_it_does(open_page: OpenPage) -> None:
    page = open_page("labs?lab=denoise&level=0.1")
    before = {kind: pixels(page, f"{kind} image 1") for kind in ("clean", "noisy", "denoised")}
    slider = page.get_by_role("slider", name="Noise level")
    slider.focus()
    page.keyboard.press("End")
    expect(page.get_by_text("sd 0.60")).to_be_visible()
    after = {kind: pixels(page, f"{kind} image 1") for kind in before}
    assert np.array_equal(before["clean"], after["clean"])
    assert (before["noisy"] != after["noisy"]).mean() > 0.5
    assert (before["denoised"] != after["denoised"]).mean() > 0.2
    noisy, clean = after["noisy"] / 255, after["clean"] / 255
    text = page.get_by_text(re.compile("^noisy 0")).first.inner_text()
    assert float(text.split()[1]) == pytest.approx(np.square(noisy - clean).mean(), abs=2e-4)
    choose(page, "Noise", "occlusion")
    page.keyboard.press("Tab")
    expect(page.get_by_role("status").filter(has_text="it does harm")).to_be_visible()


def test_a_drawing_is_denoised_as_it_is_drawn(open_page: OpenPage) -> None:
    page = open_page("labs?lab=denoise&level=0")
    page.get_by_text("Draw your own").click()
    pad = page.get_by_role("application", name=re.compile("Your drawing"))
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box
    empty = pixels(page, "denoised your drawing")
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 120, steps=4)
    page.mouse.up()
    drawn = pixels(page, "clean your drawing")
    assert 20 < (drawn > 128).sum() < 120
    assert np.abs(pixels(page, "denoised your drawing") - empty).max() > 60
    pad.focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft", "Space"):
        page.keyboard.press(key)
    assert (pixels(page, "clean your drawing") > 128).sum() > (drawn > 128).sum()


def test_the_threshold_moves_every_figure_to_that_of_scikit_learn(open_page: OpenPage) -> None:
    page = open_page("labs?lab=anomalies")
    arrays = load_file(LABS / "heartbeats.safetensors")
    anomalous = arrays["labels"] != 1
    for title, key in (("AE", "ae"), ("VAE", "vae")):
        block = page.get_by_role("region", name=f"{title}: how well it copies", exact=True)
        track = block.get_by_role("slider")
        scores = arrays[f"test_scores.{key}"]
        for press in ((), ("Home",), ("End",), ("Home", *("Shift+ArrowRight",) * 3)):
            track.focus()
            for one in press:
                page.keyboard.press(one)
            alarm = scores >= float(track.get_attribute("aria-valuenow") or "nan")
            cells = [
                [float(text) for text in block.get_by_role("row").nth(i).get_by_role("cell").all_inner_texts() if text]
                for i in (1, 2, 3)
            ]
            for positive, found in ((anomalous, cells[0]), (~anomalous, cells[1])):
                named = alarm if positive is anomalous else ~alarm
                expected = [
                    metrics.precision_score(positive, named, zero_division=0),
                    metrics.recall_score(positive, named),
                ]
                assert found == pytest.approx(expected, abs=6e-4)
            assert cells[2] == pytest.approx([metrics.accuracy_score(anomalous, alarm)], abs=6e-4)
        area = metrics.roc_auc_score(anomalous, scores)
        expect(block.get_by_text(f"area {area:.3f}")).to_be_visible()
        average = metrics.average_precision_score(anomalous, scores)
        expect(block.get_by_text(f"average {average:.3f}")).to_be_visible()


def test_the_curves_are_those_of_scikit_learn_also_where_scores_are_equal(open_page: OpenPage, app: str) -> None:
    page = open_page("labs")
    rng = np.random.default_rng(0)
    for scores in (rng.normal(size=60), rng.integers(0, 5, 60).astype(float), np.zeros(60)):
        anomalous = rng.integers(0, 2, 60)
        found = page.evaluate(
            """async ([address, scores, anomalous]) => {
                const { curves } = await import(`${address}/threshold.js`);
                return curves(scores, anomalous);
            }""",
            [f"{app}/{MODULES}", scores.tolist(), anomalous.tolist()],
        )
        fall, recall, _ = metrics.roc_curve(anomalous, scores, drop_intermediate=False)
        assert np.allclose(found["roc"], np.column_stack([fall, recall]))
        precision, hit, _ = metrics.precision_recall_curve(anomalous, scores)
        assert np.allclose(found["pr"], np.column_stack([hit, precision])[-2::-1])
        assert found["auc"] == pytest.approx(metrics.roc_auc_score(anomalous, scores))
        assert found["averagePrecision"] == pytest.approx(metrics.average_precision_score(anomalous, scores))


def test_a_threshold_is_dragged_and_stops_at_the_end_of_the_scores(open_page: OpenPage) -> None:
    page = open_page("labs?lab=anomalies")
    track = page.get_by_role("slider", name="AE: how well it copies: threshold", exact=True)
    track.scroll_into_view_if_needed()
    box = track.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 40, steps=3)
    between = float(track.get_attribute("aria-valuenow") or "nan")
    page.mouse.move(box["x"] + box["width"] + 900, box["y"] + 40)
    page.mouse.up()
    assert float(track.get_attribute("aria-valuenow") or "nan") > between
    assert track.get_attribute("aria-valuenow") == track.get_attribute("aria-valuemax")
    expect(page.get_by_text(re.compile(r"no alarm at")).first).to_be_visible()


def test_a_text_that_is_no_heartbeat_is_told_and_the_last_one_stays(open_page: OpenPage) -> None:
    page = open_page("labs?lab=anomalies")
    trace = page.get_by_role("img", name="AE: heartbeat and its copy", exact=True)
    before = trace.inner_html()
    page.get_by_text("Try a heartbeat of your own").click()
    for text, told in (
        ("", "There is nothing to read: paste 140 numbers"),
        ("1, 2, 3", "A heartbeat has 140 numbers, this one has 3."),
        ("0.5 " * 139 + "NaN", "“NaN”, number 140, is not a finite number"),
        ("<b>1</b> " + "1 " * 139, "“<b>1</b>”, number 1, is not a finite number"),
        ("1 " * 141, "A heartbeat has 140 numbers, this one has 141."),
    ):
        page.get_by_role("textbox", name="Your own series").fill(text)
        page.get_by_role("button", name="Show it").click()
        expect(page.get_by_role("alert").filter(has_text=told)).to_be_visible()
        assert trace.inner_html() == before


def test_a_heartbeat_of_ones_own_is_copied_by_both_as_in_numpy(open_page: OpenPage) -> None:
    page = open_page("labs?lab=anomalies")
    arrays, record = load_file(LABS / "heartbeats.safetensors"), catalogue.shipped().labs["heartbeats"].record
    series = arrays["series"][5] * (record["maximum"] - record["minimum"]) + record["minimum"]
    page.get_by_text("Try a heartbeat of your own").click()
    page.get_by_role("textbox", name="Your own series").fill(" ".join(f"{value:.8g}" for value in series))
    page.get_by_role("button", name="Show it").click()
    for i, kind in enumerate(("ae", "vae")):
        score = arrays[f"test_scores.{kind}"][5]
        expect(page.get_by_text(re.compile(rf"^score {score:.4f}: ")).nth(0 if i == 0 else -1)).to_be_visible()


def test_the_odd_one_out_has_its_own_scores_and_pictures(open_page: OpenPage) -> None:
    page = open_page("labs?lab=anomalies&of=images&odd=1")
    area = catalogue.shipped().labs["odd-1"].record["auc"]
    expect(row(page, "AE")).to_contain_text(f"{area['ae']:.3f}")
    expect(page.get_by_text("A trap: this class was never seen")).to_be_visible()
    choose(page, "Never seen", "0")
    expect(row(page, "AE")).to_contain_text(f"{catalogue.shipped().labs['odd-0'].record['auc']['ae']:.3f}")
    expect(page.get_by_role("heading", name="0: copied worst")).to_be_visible()
    assert page.get_by_role("img", name="AE’s copy", exact=True).count() == 32


def test_what_is_chosen_in_one_picture_is_chosen_in_all(open_page: OpenPage) -> None:
    page = open_page("labs?lab=projections")
    names = ("Pixels", "AE", "VAE", "Control")
    panels = [page.get_by_role("application", name=re.compile(f"^{name}")) for name in names]
    # A chosen point is opaque, the others hardly there.
    opaque = """c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data
        .reduce((count, value, i) => count + (i % 4 === 3 && value > 150), 0)"""
    before = [panel.evaluate(opaque) for panel in panels]
    page.get_by_role("button", name="Class 7").click()
    labels = atlas.held_out("mnist")[1][:1000]
    expect(page.get_by_role("status").filter(has_text=f"{(labels == 7).sum()} chosen: ")).to_be_visible()
    assert all(panel.evaluate(opaque) < 0.5 * count for panel, count in zip(panels, before))
    panels[1].focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="30 chosen: ")).to_be_visible()
    page.keyboard.press("Escape")
    assert [panel.evaluate(opaque) for panel in (panels[0], panels[3])] == [before[0], before[3]]
    box = panels[2].bounding_box()
    assert box
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=2)
    page.mouse.up()
    expect(page.get_by_role("status").filter(has_text="1000 chosen: ")).to_be_visible()


def test_neighbours_and_seed_bring_other_pictures_and_their_figures(open_page: OpenPage) -> None:
    page = open_page("labs?lab=projections")
    record = catalogue.shipped().labs["projections-mnist"].record
    trust = row(page, "trustworthiness: neighbours seen are neighbours")
    picture = page.get_by_role("application", name=re.compile("^AE codes"))
    read = "c => c.toDataURL()"
    seen = {picture.evaluate(read)}
    for name, k, option in (("Neighbours", 0, "5"), ("Neighbours", 2, "50")):
        choose(page, name, option)
        values = [f"{record['umap'][space][k][1]['trust'][0]:.2f}" for space in record["spaces"]]
        assert trust.get_by_role("cell").all_inner_texts()[:4] == values
        seen.add(picture.evaluate(read))
    choose(page, "View", "PCA")
    assert trust.get_by_role("cell").all_inner_texts()[0] == f"{record['pca']['pixels']['trust']:.2f}"
    seen.add(picture.evaluate(read))
    assert len(seen) == 4


def test_a_projection_is_stopped_and_the_last_one_stays(open_page: OpenPage) -> None:
    page = open_page("labs?lab=projections&data=fashion-mnist", quiet=False)  # a refused order is in the list
    before = page.get_by_role("table").inner_text()
    page.get_by_role("spinbutton", name="Neighbours").fill("999")
    page.get_by_role("button", name="Compute").click()
    expect(said(page)).to_contain_text("neighbours must be a whole number from 2 to 200, got '999'.")
    page.get_by_role("spinbutton", name="Neighbours").fill("12")
    page.get_by_role("button", name="Compute").click()
    page.get_by_role("button", name="Stop").click(timeout=PATIENCE_MS)
    expect(said(page)).to_have_text("Stopped. Nothing was changed.", timeout=PATIENCE_MS)
    assert page.get_by_role("table").inner_text() == before


def test_no_lab_makes_a_small_screen_scroll_sideways(open_page: OpenPage) -> None:
    page = open_page("labs", viewport={"width": 360, "height": 800})
    for name in TABS:
        tab(page, name)
        main = page.locator('[data-testid="stMain"]')
        assert main.evaluate("e => e.scrollWidth - e.clientWidth") <= 0, name
