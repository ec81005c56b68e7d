"""The layers behind the points and the ellipses on them, in a real browser, against numpy and torch."""

from __future__ import annotations

import functools
import hashlib
import math
import re

import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page, expect

import explorer
from explorer import atlas, catalogue, checkpoints, classifier, data
from tests.browser.conftest import OpenPage
from tests.browser.stage import choose, code, latent_map, move, pixels, scale, wait_until

pytestmark = pytest.mark.browser

LAYERS = {
    "holes": "holes",
    "stretch": "stretch",
    "uncertainty": "class uncertainty",
    "distance": "distance to data",
}
MOST = {"holes": 0.3, "stretch": 0.6, "uncertainty": 0.6, "distance": 0.6}
HOLE = 0.42  # an opacity between the end of the ramp and a hole's
LEFT, RIGHT, TOP, BOTTOM = 34, 8, 8, 20  # the axes' margins in pixels
WITHIN = 2.4477
PATIENCE_MS = 240_000
SMALL = {"width": 480, "height": 900}  # maps with few cells, which are soon computed
BEHIND = """map => { const c = map.querySelectorAll('canvas')[0];
    const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
    return { width: c.width, alpha: Array.from(d).filter((_, i) => i % 4 === 3) }; }"""
TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def folder(kind: str, d: int) -> str:
    return f"mnist-{kind.lower()}-{d}"


@functools.cache
def atlas_of(name: str) -> atlas.Atlas:
    return atlas.load(checkpoints.PRETRAINED / name)


@functools.cache
def real_images() -> tuple[np.ndarray, float]:
    """2,000 of the 10,000 held-out images, [2000, 784] in [0, 1], and the median of 400 to their nearest other."""
    images = atlas_of("mnist-ae-2").images["images"][::5].reshape(2000, -1).astype(np.float64) / 255
    sample = images[::5]
    squares = (sample**2).sum(1)[:, None] + (images**2).sum(1) - 2 * sample @ images.T
    squares[np.arange(400), np.arange(0, 2000, 5)] = np.inf
    return images, float(np.sort(np.sqrt(squares.min(1)))[200])


def legend(page: Page) -> Locator:
    return page.get_by_role("figure", name="Legend of the layer")


def wait_for(page: Page, layer: str, how: str = "done") -> None:
    for kind in ("AE", "VAE"):
        expect(latent_map(page, kind)).to_have_attribute("data-layer", f"{layer} {how}", timeout=PATIENCE_MS)


def opacity(page: Page, kind: str) -> np.ndarray:
    """[height, width] of what is behind the points, 0 to 1."""
    read = latent_map(page, kind).evaluate(BEHIND)
    return np.array(read["alpha"]).reshape(-1, read["width"]) / 255


def seen_at(behind: np.ndarray, px: int, py: int) -> float:
    """The opacity around a pixel: a line of the axes may cross it."""
    return float(np.median(behind[py - 1 : py + 2, px - 1 : px + 2]))


def plane(kind: str, d: int, view: str) -> tuple[np.ndarray, np.ndarray]:
    """[2, d], the directions of a map, and the codes' spread along each."""
    codes = atlas_of(folder(kind, d)).codes
    across, up = codes["order"][:2]
    directions = np.eye(d)[[across, up]] if view == "raw" else codes["pca_components"].astype(float)
    return directions, (codes["codes"] @ directions.T).std(axis=0)


@torch.no_grad()
def stretches(kind: str, d: int, view: str, z: np.ndarray) -> np.ndarray:
    model, _ = checkpoints.load(checkpoints.PRETRAINED / folder(kind, d))
    model = model.double()
    directions, spread = plane(kind, d, view)
    here = model.decode(torch.from_numpy(z)).flatten(1)
    steps = torch.from_numpy(1e-3 * spread[:, None] * directions)
    moved = [(model.decode(torch.from_numpy(z) + step).flatten(1) - here).square().sum(1) for step in steps]
    return (sum(moved).sqrt() / 1e-3).numpy()  # type: ignore[union-attr]


def expected(layer: str, kind: str, d: int, view: str, z: np.ndarray) -> np.ndarray:
    """[N]: where each code stands on the layer's scale, 0 to 1; 2 for a hole."""
    codes = atlas_of(folder(kind, d)).codes
    if layer == "holes":
        nearest = np.sqrt(((z[:, None] - codes["codes"][None].astype(float)) ** 2).sum(2)).min(1)
        share = np.clip(np.searchsorted(codes["distances"], nearest, side="right") - 1, 0, None) / 1000
        return np.where(share > 0.99, 2, share / 0.99)
    if layer == "stretch":
        chosen = codes["codes"][((np.arange(64) + 0.5) * len(codes["codes"]) / 64).astype(int)].astype(float)
        median = np.sort(stretches(kind, d, view, chosen))[32]
        return np.clip(0.5 + np.log(stretches(kind, d, view, z) / median) / np.log(4) / 2, 0, 1)
    x = explorer.load(folder(kind, d)).decode(z.astype(np.float32))
    if layer == "uncertainty":
        return np.clip((1 - classifier.load("mnist").probabilities(x.clip(0, 1)).max(1)) / 0.6, 0, 1)
    images, usual = real_images()
    return np.clip(np.sqrt(((x.reshape(len(z), 1, -1) - images) ** 2).sum(2)).min(1) / usual / 2, 0, 1)


def shown_and_codes(page: Page, kind: str, d: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The opacity at the middle of some cells, and the codes that the pointer finds there."""
    behind, box = opacity(page, kind), latent_map(page, kind).bounding_box()
    assert box
    columns = min(48, round((box["width"] - LEFT - RIGHT) / 6))
    rows = round(columns * (box["height"] - TOP - BOTTOM) / (box["width"] - LEFT - RIGHT))
    shown, codes = [], []
    for i, j in np.random.default_rng(3).integers([1, 1], [columns - 1, rows - 1], size=(count, 2)):
        px = round(LEFT + (i + 0.5) / columns * (box["width"] - LEFT - RIGHT))
        py = round(TOP + (j + 0.5) / rows * (box["height"] - TOP - BOTTOM))
        page.mouse.move(box["x"] + px, box["y"] + py)
        shown.append(seen_at(behind, px, py))
        codes.append(code(page, kind, d))
    return np.array(shown), np.array(codes)


# How a plane through many dimensions is laid is the same for all layers: one of them is enough there.
@pytest.mark.parametrize(("layer", "d", "view"), [*((layer, 2, "raw") for layer in LAYERS), ("holes", 16, "pca")])
def test_a_layer_says_of_each_place_what_numpy_and_torch_say_of_its_code(
    open_page: OpenPage, layer: str, d: int, view: str
) -> None:
    # Holes have hard edges, which want small cells, and in two dimensions are soon computed.
    small = d > 2 or layer != "holes"
    page = open_page(f"?layer={layer}&d={d}&view={view}", **({"viewport": SMALL} if small else {}))
    wait_for(page, layer)
    for kind in ("AE", "VAE"):
        shown, codes = shown_and_codes(page, kind, d, 40)
        share = expected(layer, kind, d, view, codes)
        is_hole = share > 1
        assert layer == "holes" or not is_hole.any()
        error = np.abs(shown - MOST[layer] * share)[~is_hole]
        if layer == "holes":
            at_least = 0.9 if small else 0.95
            assert (is_hole == (shown > HOLE)).mean() >= at_least, "a cell beside the edge may run into its neighbour"
        # Between dense codes the distance to the nearest changes within the pixel that the pointer is rounded to.
        assert np.median(error) < (0.03 if layer == "holes" else 0.012)
        assert (error < 0.1).mean() >= 0.75, "within a cell, and beside a hole, the layer may be steep"


def test_holes_are_where_numpy_finds_them_all_over_the_map(open_page: OpenPage) -> None:
    page = open_page("?layer=holes")
    wait_for(page, "holes")
    for kind in ("AE", "VAE"):
        behind, (offset, slope) = opacity(page, kind), scale(page, kind)
        height, width = behind.shape
        codes = atlas_of(folder(kind, 2)).codes
        known = 0
        for px, py in np.random.default_rng(1).integers([LEFT + 9, TOP + 9], [width - 17, height - 29], (300, 2)):
            around = np.array([[px + dx, py + dy] for dx in range(-8, 9, 4) for dy in range(-8, 9, 4)])
            z = offset + slope * np.column_stack([around[:, 0] / width, 1 - around[:, 1] / height])
            nearest = np.sqrt(((z[:, None] - codes["codes"][None]) ** 2).sum(2)).min(1)
            hole = nearest >= codes["distances"][991]
            if hole.all() or not hole.any():
                known += 1
                assert (seen_at(behind, px, py) > HOLE) == hole[0]
        assert known > 100


def test_each_layer_is_seen_on_both_maps_beside_its_legend_and_lies_in_the_address(open_page: OpenPage) -> None:
    page = open_page(viewport=SMALL)
    expect(legend(page)).to_have_count(0)
    bare = {kind: opacity(page, kind) for kind in ("AE", "VAE")}
    for layer, name in LAYERS.items():
        choose(page, "Layer", name)
        for kind in ("AE", "VAE"):
            expect(latent_map(page, kind)).to_have_attribute("data-layer", re.compile(layer))
            wait_until(
                page,
                "([map, before]) => map.dataset.layer.endsWith('done') || map.querySelector('canvas')"
                ".getContext('2d').getImageData(100, 100, 1, 1).data[3] !== before",
                [latent_map(page, kind).element_handle(), round(255 * bare[kind][100, 100])],
                timeout_ms=PATIENCE_MS,
            )
            assert (opacity(page, kind) != bare[kind]).mean() > 0.2
        expect(legend(page)).to_contain_text(name)
        assert len(legend(page).locator(".scale span").all()) == 3
        page.wait_for_timeout(400)
        assert f"layer={layer}" in page.evaluate("location.search")
    again = open_page(page.evaluate("location.search"), viewport=SMALL)
    expect(again.get_by_role("radio", name="distance to data")).to_be_checked()
    choose(page, "Layer", "none")
    expect(legend(page)).to_have_count(0)
    for kind in ("AE", "VAE"):
        page.evaluate(TWO_FRAMES)
        assert np.array_equal(opacity(page, kind), bare[kind])


def test_a_layer_that_was_seen_is_there_at_once_and_another_part_of_the_map_is_computed(open_page: OpenPage) -> None:
    page = open_page("?layer=distance", viewport=SMALL)
    wait_for(page, "distance")
    choose(page, "View", "PCA")
    wait_for(page, "distance")
    choose(page, "View", "raw z")
    for kind in ("AE", "VAE"):
        expect(latent_map(page, kind)).to_have_attribute("data-layer", "distance done", timeout=2000)
    before = opacity(page, "VAE")
    move(page, "VAE", 0.5, 0.5)
    page.mouse.wheel(0, -300)
    expect(latent_map(page, "VAE")).to_have_attribute("data-layer", "distance computing")
    expect(latent_map(page, "AE")).to_have_attribute("data-layer", "distance done")
    wait_for(page, "distance")
    assert (opacity(page, "VAE") != before).mean() > 0.2


def test_a_pinned_code_off_the_plane_has_the_plane_computed_anew(open_page: OpenPage) -> None:
    page = open_page("?layer=holes&d=16")
    wait_for(page, "holes")
    before = opacity(page, "AE")
    page.get_by_role("button", name="Random").first.click()
    page.wait_for_timeout(500)
    wait_for(page, "holes")
    assert (opacity(page, "AE") != before).mean() > 0.1


def test_the_pointer_is_answered_while_a_layer_is_computed(open_page: OpenPage) -> None:
    page = open_page("?layer=uncertainty")
    seen = []
    for across in (0.3, 0.4, 0.5, 0.6, 0.7):
        move(page, "AE", across, 0.55)
        page.evaluate(TWO_FRAMES)
        seen += [pixels(page, f"{kind} decoded image").tobytes() for kind in ("AE", "VAE")]
    assert str(latent_map(page, "AE").get_attribute("data-layer")).endswith("computing")
    assert len(set(seen)) == 10


def test_umap_says_that_it_has_no_layer(open_page: OpenPage) -> None:
    page = open_page("?layer=stretch&view=umap&ellipses=on")
    expect(legend(page)).to_contain_text("UMAP cannot be run backwards, so there is no layer")
    expect(page.get_by_text("Ellipses: there are none in this view")).to_be_visible()
    choose(page, "View", "raw z")
    wait_for(page, "stretch", "computing")


def test_an_unknown_layer_is_told_and_the_decoded_grid_takes_the_layers_place(open_page: OpenPage) -> None:
    page = open_page("?layer=heat")
    expect(page.get_by_role("alert")).to_contain_text("Unknown layer in the address: “heat”. Right would be: none, ")
    choose(page, "Layer", "holes")
    choose(page, "Behind the points", "decoded grid")
    expect(page.get_by_role("radiogroup", name="Layer").get_by_role("radio", name="none")).to_be_checked()
    choose(page, "Layer", "holes")
    expect(page.get_by_role("radio", name="nothing")).to_be_checked()


def test_without_a_classifier_the_choice_is_closed_and_says_why(open_page: OpenPage, app: str) -> None:
    page = open_page()
    found = page.evaluate(
        """async (address) => {
            const { makeSwitches } = await import(`${address}/switches.js`);
            const set = { title: 'My images', classes: ['a'], classifier: null };
            const catalogue = { datasets: { own: set }, models: [{ dataset: 'own', latent_dim: 2 }], dial: [] };
            const { element, show } = makeSwitches(catalogue, {});
            show({ data: 'own', d: 2, view: 'raw', behind: 'nothing', layer: 'none', ellipses: 'off' });
            const button = element.querySelector('[data-value="uncertainty"]');
            return [button.disabled, button.title, element.querySelector('[data-value="distance"]').disabled];
        }""",
        f"{app}/_stcore/bidi-components/explorer.stage",
    )
    assert found == [
        True,
        "There is no classifier for My images here, so nothing can be said about its classes.",
        False,
    ]


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist", "digits"])
def test_the_browsers_classifier_agrees_with_torch(open_page: OpenPage, app: str, dataset: str) -> None:
    judge, served = classifier.load(dataset), catalogue.shipped().judges[dataset]
    if dataset == "digits":
        x = data.load("digits").x_test[:40].astype(np.float32) / 255
    else:
        codes = atlas_of(f"{dataset}-vae-2").codes["codes"]
        spread = np.random.default_rng(0).normal(size=(20, 2)) * codes.std(0) * 3
        x = explorer.load(f"{dataset}-vae-2").decode(np.concatenate([codes[:20], spread]).astype(np.float32))
    answers = open_page().evaluate(
        """async ({ app, address, url, layers, shape, images }) => {
            const { readSafetensors } = await import(`${address}/safetensors.js`);
            const { makeClassifier } = await import(`${address}/classifier.js`);
            const file = await (await fetch(`${app}/${url}`)).arrayBuffer();
            const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', file));
            const judge = makeClassifier(layers, readSafetensors(file), shape);
            return { digest: Array.from(digest), p: images.map((x) => Array.from(judge.probabilities(x))) };
        }""",
        {
            "app": app,
            "address": f"{app}/_stcore/bidi-components/explorer.stage",
            "url": f"atlas/{served.part.sha256}",
            "layers": list(served.layers),
            "shape": list(judge.record.image_shape),
            "images": x.reshape(len(x), -1).astype(float).tolist(),
        },
    )
    assert (
        bytes(answers["digest"]).hex()
        == judge.record.sha256
        == hashlib.sha256(served.part.path.read_bytes()).hexdigest()
    )
    assert np.abs(np.array(answers["p"]) - judge.probabilities(x)).max() < 1e-4


def ellipses(page: Page, kind: str) -> list[dict[str, float]]:
    """Centre, semi-axes and turn (radians) of each ellipse on a map, in its pixels."""
    return latent_map(page, kind).evaluate(
        """map => [...map.querySelectorAll('.ellipses ellipse')].map((e) => ({
            cx: +e.getAttribute('cx'), cy: +e.getAttribute('cy'), rx: +e.getAttribute('rx'), ry: +e.getAttribute('ry'),
            turn: parseFloat(e.getAttribute('transform').split('(')[1]) * Math.PI / 180 }))"""
    )


@pytest.mark.parametrize(("d", "view"), [(2, "raw"), (2, "pca"), (16, "raw"), (16, "pca")])
def test_the_ellipse_of_the_picked_image_is_as_large_as_95_percent_of_its_posterior(
    open_page: OpenPage, d: int, view: str
) -> None:
    image = 7
    z = ",".join(f"{value:.7g}" for value in atlas_of(folder("AE", d)).codes["codes"][image])
    page = open_page(f"?d={d}&view={view}&image={image}&ellipses=on&z={z}")
    expect(page.get_by_text(f"for image {image}.")).to_be_visible()
    expect(latent_map(page, "VAE").locator("ellipse")).to_have_count(1)
    assert ellipses(page, "AE") == []
    (drawn,) = ellipses(page, "VAE")
    found = atlas_of(folder("VAE", d))
    directions, _ = plane("VAE", d, view)
    variance = np.exp(found.posterior["logvar"][image].astype(float))
    covariance = directions @ np.diag(variance) @ directions.T
    box = latent_map(page, "VAE").bounding_box()
    assert box
    page.get_by_role("button", name="Pin the probe").click()
    places = []
    for share in (0.3, 0.7):
        move(page, "VAE", share, share)
        places.append(directions @ code(page, "VAE", d))
    per_pixel = (places[1] - places[0]) / 0.4 / [box["width"], box["height"]]
    cos, sin = math.cos(drawn["turn"]), math.sin(drawn["turn"])
    across = math.hypot(drawn["rx"] * cos, drawn["ry"] * sin) * per_pixel[0]
    up = math.hypot(drawn["rx"] * sin, drawn["ry"] * cos) * per_pixel[1]
    assert np.allclose([across, up], WITHIN * np.sqrt(np.diag(covariance)), rtol=0.01)
    area = drawn["rx"] * drawn["ry"] * per_pixel.prod()
    assert math.isclose(area, WITHIN**2 * math.sqrt(np.linalg.det(covariance)), rel_tol=0.02)
    centre = places[0] + (
        [drawn["cx"], box["height"] - drawn["cy"]] / np.array([box["width"], box["height"]]) - 0.3
    ) * (per_pixel * [box["width"], box["height"]])
    assert np.allclose(centre, directions @ found.codes["codes"][image], atol=2 * per_pixel.max())


def test_ellipses_are_of_the_chosen_class_or_spread_over_the_map_and_lie_in_the_address(open_page: OpenPage) -> None:
    fetched: list[str] = []
    page = open_page(before=lambda page: page.on("request", lambda request: fetched.append(request.url)))
    digest = atlas.read_manifest(checkpoints.PRETRAINED / "mnist-vae-2")["parts"]["posterior"]["sha256"]
    assert not any(digest in url for url in fetched), "few ask for the posteriors"
    page.get_by_role("button", name="Ellipses").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Ellipses")).to_have_attribute("aria-pressed", "true")
    shapes = latent_map(page, "VAE").locator("ellipse")
    expect(shapes.first).to_be_attached()
    assert 30 <= shapes.count() <= 60
    centres = np.array([[e["cx"], e["cy"]] for e in ellipses(page, "VAE")])
    assert (np.ptp(centres, axis=0) > 200).all()
    page.get_by_role("button", name="Class 1", exact=True).click()
    expect(page.get_by_text("images of class 1.")).to_be_visible()
    assert shapes.count() <= 60
    assert any(digest in url for url in fetched)
    page.wait_for_timeout(400)
    assert "ellipses=on" in page.evaluate("location.search")
    page.get_by_role("button", name="Ellipses").click()
    expect(shapes).to_have_count(0)


@pytest.mark.parametrize("query", ["?layer=holes&ellipses=on", "?layer=distance&d=16&data=fashion-mnist"])
def test_layer_and_legend_fit_a_small_screen(open_page: OpenPage, query: str) -> None:
    page = open_page(query, viewport={"width": 360, "height": 800}, has_touch=True, is_mobile=True)
    expect(legend(page)).to_be_visible()
    main = page.locator('[data-testid="stMain"]')
    assert main.evaluate("e => e.scrollWidth - e.clientWidth") <= 0
    for radio in page.get_by_role("radiogroup", name="Layer").get_by_role("radio").all():
        box = radio.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        assert box["height"] >= 36
