"""Explore in a real browser."""

from __future__ import annotations

import math

import numpy as np
import pytest
from launch import serve
from playwright.sync_api import Page, expect

import explorer
from explorer import atlas, checkpoints
from tests.browser.conftest import OpenPage
from tests.browser.stage import choose, code, latent_map, move, pixels, press, scale, slider

pytestmark = pytest.mark.browser


def torch_pixels(name: str, z: np.ndarray) -> np.ndarray:
    """[784], 0 to 255: what torch decodes from z."""
    return explorer.load(name).decode(z[None].astype(np.float32)).ravel() * 255


def codes_of(name: str) -> np.ndarray:
    return atlas.load(checkpoints.PRETRAINED / name).codes["codes"]


@pytest.mark.parametrize("d", [2, 16])
def test_moving_the_pointer_decodes_in_both_models_what_torch_decodes(open_page: OpenPage, d: int) -> None:
    page = open_page(f"?d={d}")
    seen = []
    for across, up in [(0.2, 0.3), (0.5, 0.6), (0.8, 0.4), (0.45, 0.9)]:
        move(page, "AE", across, up)
        for kind in ("AE", "VAE"):
            shown = pixels(page, f"{kind} decoded image")
            expected = torch_pixels(f"mnist-{kind.lower()}-{d}", code(page, kind, d))
            assert np.abs(shown - expected).max() <= 1
            seen.append(shown.tobytes())
    assert len(set(seen)) == len(seen)


def test_a_slider_decodes_while_it_is_dragged_before_it_is_released(open_page: OpenPage) -> None:
    page = open_page()
    box = slider(page, "VAE z1").bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.5 * box["width"], y)
    page.mouse.down()
    values = []
    for share in (0.2, 0.4, 0.9):
        page.mouse.move(box["x"] + share * box["width"], y)
        z = code(page, "VAE", 2)
        values.append(z[0])
        assert np.abs(pixels(page, "VAE decoded image") - torch_pixels("mnist-vae-2", z)).max() <= 1
    page.mouse.up()
    low, high = np.quantile(codes_of("mnist-vae-2")[:, 0], [0.001, 0.999])
    assert np.allclose(values, low + np.array([0.2, 0.4, 0.9]) * (high - low), atol=0.03 * (high - low))


def test_linked_probes_keep_their_quantiles_and_free_ones_do_not_move(open_page: OpenPage) -> None:
    page = open_page()
    ae, vae = np.sort(codes_of("mnist-ae-2"), axis=0), np.sort(codes_of("mnist-vae-2"), axis=0)
    for kind, mine, theirs in (("AE", ae, vae), ("VAE", vae, ae)):
        move(page, kind, 0.62, 0.44)
        here, there = code(page, kind, 2), code(page, "VAE" if kind == "AE" else "AE", 2)
        for i in range(2):
            assert abs((mine[:, i] < here[i]).mean() - (theirs[:, i] < there[i]).mean()) < 0.002
    page.get_by_role("button", name="Link the two probes").click()
    still = code(page, "VAE", 2)
    move(page, "AE", 0.3, 0.7)
    assert np.array_equal(code(page, "VAE", 2), still)


def test_pressing_pins_the_probe_dragging_moves_it_and_escape_frees_it(open_page: OpenPage) -> None:
    page = open_page()
    press(page, "AE", 0.15, 0.15)
    pinned = code(page, "AE", 2)
    move(page, "AE", 0.6, 0.6)
    assert np.array_equal(code(page, "AE", 2), pinned)
    page.mouse.down()
    move(page, "AE", 0.7, 0.7)
    move(page, "AE", 0.8, 0.2)
    dragged = code(page, "AE", 2)
    page.mouse.up()
    assert dragged[0] > pinned[0]
    page.keyboard.press("Escape")
    move(page, "AE", 0.3, 0.3)
    assert not np.array_equal(code(page, "AE", 2), dragged)


def test_a_click_on_a_data_point_shows_that_image_in_both_models(open_page: OpenPage) -> None:
    page = open_page()
    offset, slope = scale(page, "AE")
    codes = codes_of("mnist-ae-2")
    lonely = int(np.argmin(codes[:, 1]))
    press(page, "AE", *((codes[lonely] - offset) / slope))
    block = page.get_by_role("region", name="One image in both models")
    expect(block).to_contain_text(f"test image {lonely},")
    for kind in ("ae", "vae"):
        assert np.allclose(code(page, kind.upper(), 2), codes_of(f"mnist-{kind}-2")[lonely], atol=1e-4)
    images = atlas.load(checkpoints.PRETRAINED / "mnist-ae-2").images["images"]
    assert np.array_equal(pixels(page, "Original image"), images[lonely].ravel())
    x = images[lonely].ravel() / 255
    for kind in ("ae", "vae"):
        z = codes_of(f"mnist-{kind}-2")[lonely]
        x_hat = torch_pixels(f"mnist-{kind}-2", z) / 255
        assert np.abs(pixels(page, f"{kind.upper()} reconstruction") / 255 - x_hat).max() <= 1 / 255
        error = -(x * np.log(x_hat.clip(1e-12)) + (1 - x) * np.log((1 - x_hat).clip(1e-12))).sum()
        shown = block.locator(f".tile.{kind}").inner_text()
        assert math.isclose(float(shown.split("error ")[1].split()[0]), error, abs_tol=0.2)


def test_the_hole_figure_is_the_share_of_images_with_a_nearer_neighbour(open_page: OpenPage) -> None:
    page = open_page("?z=20,-25")
    codes = codes_of("mnist-ae-2")
    distance = np.sqrt(((codes - [20, -25]) ** 2).sum(axis=1).min())
    sample = codes[::20]
    to_all = np.sqrt(((sample[:, None] - codes[None]) ** 2).sum(axis=2))
    to_all[np.arange(len(sample)), np.arange(0, len(codes), 20)] = np.inf
    share = (to_all.min(axis=1) < distance).mean()
    text = page.locator(".panel.ae .hole").inner_text()
    assert abs(float(text.split("than ")[1].split()[0]) / 100 - share) < 0.02
    nearest = int(((codes - [20, -25]) ** 2).sum(axis=1).argmin())
    images = atlas.load(checkpoints.PRETRAINED / "mnist-ae-2").images["images"]
    assert np.array_equal(pixels(page, "AE nearest real image"), images[nearest].ravel())


def test_samples_are_the_same_for_the_same_seed_and_use_the_same_random_numbers(open_page: OpenPage) -> None:
    names = [f"{row} {i}" for row in ("AE sample", "VAE sample") for i in (1, 10)]
    rows = [f"{name} from N(0, I)" for name in names] + ["AE sample 3 from a mixture fitted to its codes"]

    def read(page: Page) -> list[bytes]:
        page.wait_for_timeout(400)
        return [pixels(page, name).tobytes() for name in rows]

    first, second = open_page("?d=16&seed=7"), open_page("?d=16&seed=7")
    assert read(first) == read(second)
    first.get_by_role("button", name="Resample").click()
    assert not set(read(first)) & set(read(second))
    expect(first.get_by_role("textbox", name="Seed of the samples")).to_have_value("8")
    second.get_by_role("button", name="AE sample 1 from N(0, I): put the probe here", exact=True).click()
    eps = code(second, "AE", 16)
    second.get_by_role("button", name="VAE sample 1 from N(0, I): put the probe here", exact=True).click()
    assert np.array_equal(code(second, "VAE", 16), eps)


def test_normal_draws_are_normal(open_page: OpenPage, app: str) -> None:
    page = open_page()
    drawn = page.evaluate(
        f"""async () => {{
            const {{ draws }} = await import('{app}/_stcore/bidi-components/explorer.stage/random.js');
            return draws(3, 4000, 5).map(({{ eps, part }}) => [...eps, part]);
        }}"""
    )
    values = np.array(drawn)
    eps, part = values[:, :5], values[:, 5]
    assert abs(eps.mean()) < 0.03
    assert abs(eps.std() - 1) < 0.02
    assert np.abs(np.corrcoef(values.T) - np.eye(6)).max() < 0.06
    assert np.abs(np.quantile(part, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.03


@pytest.mark.parametrize("kind", ["line", "sphere"])
def test_the_walk_goes_from_the_code_of_a_to_the_code_of_b(open_page: OpenPage, kind: str) -> None:
    page = open_page(f"?d=16&a=i3&b=i8&walk={kind}")
    page.wait_for_timeout(500)
    for model in ("AE", "VAE"):
        codes = codes_of(f"mnist-{model.lower()}-16")
        a, b = codes[3].astype(float), codes[8].astype(float)
        middle = (a + b) / 2
        if kind == "sphere":
            direction = a / np.linalg.norm(a) + b / np.linalg.norm(b)
            middle = direction / np.linalg.norm(direction) * (np.linalg.norm(a) + np.linalg.norm(b)) / 2
        for frame, z in ((1, a), (6, middle), (11, b)):
            shown = pixels(page, f"{model} walk frame {frame}")
            assert np.abs(shown - torch_pixels(f"mnist-{model.lower()}-16", z)).max() <= 1


def test_the_walk_plays_through_both_decoders(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(300)
    early = code(page, "AE", 2)
    page.wait_for_timeout(500)
    assert not np.array_equal(code(page, "AE", 2), early)
    expect(page.get_by_role("button", name="Play")).to_be_visible(timeout=10_000)
    for kind in ("AE", "VAE"):
        assert np.allclose(code(page, kind, 2), codes_of(f"mnist-{kind.lower()}-2")[1], atol=1e-4)


def test_an_address_brings_back_the_same_view(open_page: OpenPage) -> None:
    page = open_page()
    choose(page, "Data", "Fashion-MNIST")
    choose(page, "Latent dimensions", "16")
    latent_map(page, "AE").wait_for()
    page.wait_for_timeout(800)
    choose(page, "View", "PCA")
    press(page, "AE", 0.4, 0.6)
    page.get_by_role("button", name="Class Bag").click()
    page.get_by_role("button", name="Resample").click()
    page.wait_for_timeout(600)
    query = page.evaluate("location.search")
    for part in ("data=fashion-mnist", "d=16", "view=pca", "class=8", "seed=1", "z="):
        assert part in query
    again = open_page(query)
    again.wait_for_timeout(600)
    for name in ("AE decoded image", "VAE decoded image", "VAE sample 2 from N(0, I)"):
        assert np.abs(pixels(page, name) - pixels(again, name)).max() <= 1
    expect(again.get_by_role("radio", name="PCA")).to_be_checked()
    assert again.evaluate("location.search") == query


def test_pointer_sliders_and_switches_cause_no_rerun(open_page: OpenPage) -> None:
    sent: list[object] = []

    def listen(page: Page) -> None:
        page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))

    page = open_page(before=listen)
    page.wait_for_timeout(1000)
    sent.clear()
    for i in range(20):
        move(page, "AE", 0.2 + i / 40, 0.5)
    slider(page, "AE z1").focus()
    page.keyboard.press("ArrowRight")
    for switch, option in (
        ("View", "PCA"),
        ("View", "UMAP"),
        ("Latent dimensions", "16"),
        ("Behind the points", "decoded grid"),
    ):
        choose(page, switch, option)
    page.wait_for_timeout(1000)
    assert sent == []


def test_everything_can_be_reached_with_the_keyboard(open_page: OpenPage) -> None:
    page = open_page()
    reached: list[str] = []
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("""() => {
            let e = document.activeElement;
            while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
            return (e.getAttribute('aria-label') || e.textContent).trim();
        }""")
        )
    for name in (
        "AE latent map",
        "VAE latent map",
        "AE z1",
        "VAE z2 value",
        "Resample",
        "Class 3",
        "MNIST",
        "Link the two probes",
    ):
        assert name in reached
    latent_map(page, "AE").focus()
    start = code(page, "AE", 2)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    stepped = code(page, "AE", 2)
    assert (stepped > start).all()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="One image in both models")).not_to_contain_text("test image 0,")
    page.keyboard.press("a")
    page.keyboard.press("r")
    page.wait_for_timeout(500)
    assert "a=" in page.evaluate("location.search")
    slider(page, "VAE z1").focus()
    before = code(page, "VAE", 2)
    page.keyboard.press("End")
    assert code(page, "VAE", 2)[0] > before[0]


def test_a_class_is_singled_out_in_both_maps_by_its_legend(open_page: OpenPage) -> None:
    page = open_page()
    ink = """async map => { await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        const c = map.querySelectorAll('canvas')[1];
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let sum = 0; for (let i = 3; i < d.length; i += 4) sum += d[i]; return sum; }"""
    before = [latent_map(page, kind).evaluate(ink) for kind in ("AE", "VAE")]
    page.get_by_role("button", name="Class 4").click()
    after = [latent_map(page, kind).evaluate(ink) for kind in ("AE", "VAE")]
    assert all(faded < 0.6 * full for faded, full in zip(after, before))
    page.get_by_role("button", name="Class 4").click()
    assert [latent_map(page, kind).evaluate(ink) for kind in ("AE", "VAE")] == before


def test_in_the_umap_view_the_probe_snaps_to_codes_and_says_so(open_page: OpenPage) -> None:
    page = open_page("?view=umap")
    move(page, "AE", 0.4, 0.4)
    assert (np.abs(codes_of("mnist-ae-2") - code(page, "AE", 2)).max(axis=1) < 1e-4).any()
    expect(page.locator(".panel.ae")).to_contain_text("UMAP cannot be run backwards")


def test_in_the_pca_view_the_probe_stays_in_the_plane_of_the_pinned_code(open_page: OpenPage) -> None:
    page = open_page("?d=16&view=pca")
    plane = atlas.load(checkpoints.PRETRAINED / "mnist-ae-16").codes["pca_components"].astype(float)
    press(page, "AE", 0.5, 0.5)
    pinned = code(page, "AE", 16)
    page.keyboard.press("Escape")
    move(page, "AE", 0.8, 0.3)
    moved = code(page, "AE", 16) - pinned
    assert np.linalg.norm(moved) > 1
    assert np.linalg.norm(moved - plane.T @ (plane @ moved)) < 1e-3


def test_any_two_dimensions_can_be_the_axes_and_the_rest_stay_put(open_page: OpenPage) -> None:
    page = open_page("?d=16")
    page.get_by_label("AE axis across", exact=True).select_option("z5")
    page.get_by_label("AE axis up", exact=True).select_option("z9")
    before = code(page, "AE", 16)
    move(page, "AE", 0.8, 0.8)
    assert set(np.flatnonzero(code(page, "AE", 16) != before)) == {4, 8}


def test_the_map_zooms_pans_and_shows_all_again(open_page: OpenPage) -> None:
    page = open_page()
    _, whole = scale(page, "AE")
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(100)
    offset, near = scale(page, "AE")
    assert (near < 0.7 * whole).all()
    page.keyboard.down("Shift")
    page.mouse.down()
    move(page, "AE", 0.5, 0.5)
    page.mouse.up()
    page.keyboard.up("Shift")
    panned, same = scale(page, "AE")
    assert np.allclose(same, near, rtol=1e-3)
    assert (panned > offset).all()
    box = latent_map(page, "AE").bounding_box()
    assert box
    page.mouse.dblclick(box["x"] + 60, box["y"] + 200)
    page.keyboard.press("Escape")
    assert np.allclose(scale(page, "AE")[1], whole, rtol=1e-3)


def test_by_quantile_linked_probes_stand_at_the_same_place_of_both_grids(open_page: OpenPage) -> None:
    page = open_page("?behind=grid")
    for name, side in (("mnist-ae-2", "AE"), ("mnist-vae-2", "VAE")):
        codes = codes_of(name)
        low, high = scale_of_quantiles(page, side, codes)
        assert np.allclose(low, [0.3, 0.3], atol=0.08)
        assert np.allclose(high, [0.7, 0.7], atol=0.08)


def scale_of_quantiles(page: Page, kind: str, codes: np.ndarray) -> list[np.ndarray]:
    """The shares of codes below what two places on a map decode, at 0.3 and at 0.7 of it both ways."""
    found = []
    for share in (0.3, 0.7):
        move(page, kind, share, share)
        found.append((codes < code(page, kind, 2)).mean(axis=0))
    return found


def test_a_double_click_shows_all_and_leaves_probe_and_image_as_they_were(open_page: OpenPage) -> None:
    page = open_page("?z=1,2&image=5")
    box = latent_map(page, "AE").bounding_box()
    assert box
    page.mouse.dblclick(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    assert np.array_equal(code(page, "AE", 2), [1, 2])
    expect(page.get_by_role("region", name="One image in both models")).to_contain_text("test image 5,")
    page.keyboard.down("Shift")
    page.mouse.dblclick(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
    page.keyboard.up("Shift")
    assert np.array_equal(code(page, "AE", 2), [1, 2])


def test_the_colours_are_those_of_the_page_also_after_going_back_and_forth(open_page: OpenPage) -> None:
    page = open_page()
    for _ in range(3):
        page.goto("about:blank")
        page.go_back()
        page.locator('[data-ready="true"]').wait_for(state="attached")
        assert page.locator(".stage").get_attribute("data-theme") == "light"


def test_the_decoded_grid_fills_in_behind_the_points(open_page: OpenPage) -> None:
    page = open_page()
    dark = """map => { const c = map.querySelectorAll('canvas')[0];
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let n = 0; for (let i = 0; i < d.length; i += 4) n += d[i + 3] > 200 && d[i] < 40; return n; }"""
    assert latent_map(page, "VAE").evaluate(dark) == 0
    choose(page, "Behind the points", "decoded grid")
    page.wait_for_timeout(3000)
    assert latent_map(page, "VAE").evaluate(dark) > 5000


def test_dark_mode_is_dark_and_its_text_can_be_read(open_page: OpenPage) -> None:
    def luminance(colour: str) -> float:
        parts = [float(part) / 255 for part in colour.split("(")[1].split(")")[0].split(",")[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        paper = page.locator(".stage").evaluate("e => getComputedStyle(e).backgroundColor")
        for inked in (".stage", ".panel.ae h2", ".panel.vae h2"):
            ink = page.locator(inked).evaluate("e => getComputedStyle(e).color")
            light, dim = sorted((luminance(ink), luminance(paper)), reverse=True)
            assert (light + 0.05) / (dim + 0.05) >= 4.5
        assert (luminance(paper) < 0.1) == (scheme == "dark")


@pytest.mark.parametrize("width", [360, 768, 2560])
def test_no_width_makes_the_page_scroll_sideways(open_page: OpenPage, width: int) -> None:
    for query in ("", "?data=fashion-mnist&d=16&view=umap"):
        page = open_page(query, viewport={"width": width, "height": 800})
        main = page.locator('[data-testid="stMain"]')
        assert main.evaluate("e => e.scrollWidth - e.clientWidth") <= 0
        boxes = [latent_map(page, kind).bounding_box() for kind in ("AE", "VAE")]
        assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)


def test_a_finger_moves_the_probe(open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 360, "height": 800}, has_touch=True, is_mobile=True)
    latent_map(page, "AE").scroll_into_view_if_needed()
    box = latent_map(page, "AE").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)
    seen = []
    for kind, dx in (("touchStart", 0), ("touchMove", 25), ("touchMove", 45)):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x + dx, "y": y}]})
        page.wait_for_timeout(100)
        seen.append(pixels(page, "VAE decoded image").tobytes())
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert len(set(seen)) == 3


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?data=cifar", "Unknown data in the address: “cifar”. Right would be: mnist, fashion-mnist."),
        ("?d=7", "Unknown d in the address: “7”. Right would be: 2, 16."),
        ("?view=tsne", "Unknown view in the address: “tsne”. Right would be: raw, pca, umap."),
        ("?left=<img src=x onerror=alert(1)>", "Unknown left in the address: “<img src=x onerror=alert(1)>”."),
        ("?z=1,NaN", "Unknown z in the address: “1,NaN”. Right would be: 2 finite numbers with commas."),
        ("?image=10000", "Unknown image in the address: “10000”. Right would be: 0 to 9999."),
        ("?a=i-1", "Unknown a in the address: “i-1”."),
    ],
)
def test_an_address_that_names_nothing_is_told_so_and_the_rest_works(
    open_page: OpenPage, query: str, sentence: str
) -> None:
    page = open_page(query)
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    move(page, "AE", 0.4, 0.4)
    first = pixels(page, "AE decoded image")
    move(page, "AE", 0.7, 0.7)
    assert not np.array_equal(pixels(page, "AE decoded image"), first)


@pytest.mark.parametrize("typed", ["NaN", "Infinity", "1e999", "abc", ""])
def test_a_typed_value_that_is_no_number_is_refused_and_nothing_changes(open_page: OpenPage, typed: str) -> None:
    page = open_page("?z=1,2")
    box = page.get_by_role("textbox", name="AE z1 value", exact=True)
    box.fill(typed)
    box.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("AE z1 must be a number between")
    assert np.array_equal(code(page, "AE", 2), [1, 2])
    expect(box).to_have_value("1.00")


def test_a_typed_value_may_lie_outside_the_slider(open_page: OpenPage) -> None:
    page = open_page("?z=1,2")
    box = page.get_by_role("textbox", name="AE z1 value", exact=True)
    box.fill("250,5")
    box.press("Enter")
    assert np.array_equal(code(page, "AE", 2), [250.5, 2])
    assert np.abs(pixels(page, "AE decoded image") - torch_pixels("mnist-ae-2", np.array([250.5, 2]))).max() <= 1


def test_an_atlas_that_cannot_be_had_is_named_and_the_other_model_stands_in(open_page: OpenPage) -> None:
    manifest = atlas.read_manifest(checkpoints.PRETRAINED / "mnist-ae-2")
    damaged = manifest["parts"]["decoder"]["sha256"]

    def break_it(page: Page) -> None:
        page.route(
            f"**/atlas/{damaged}", lambda route: route.fulfill(status=500, body="mnist-ae-2/decoder.gz is damaged.")
        )

    page = open_page(quiet=False, before=break_it)
    expect(page.get_by_role("alert")).to_contain_text("mnist-ae-2 cannot be shown. mnist-ae-2/decoder.gz is damaged.")
    page.get_by_role("application", name="VAE right latent map").wait_for()
    choose(page, "Latent dimensions", "16")
    latent_map(page, "AE").wait_for()


def test_the_app_works_under_a_base_path(open_page: OpenPage) -> None:
    with serve(STREAMLIT_SERVER_BASE_URL_PATH="sub/path") as server:
        open_page("learn?scene=4", address=f"{server.url}/sub/path")  # and the browser complains of nothing
        page = open_page("?d=16", address=f"{server.url}/sub/path")
        move(page, "AE", 0.4, 0.4)
        expected = torch_pixels("mnist-ae-16", code(page, "AE", 16))
        assert np.abs(pixels(page, "AE decoded image") - expected).max() <= 1
