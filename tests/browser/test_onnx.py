"""A model is brought as ONNX in a real browser: recognised, explored beside a shipped AE, marked if it is not live."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect

import explorer
from explorer import atlas, checkpoints
from tests.browser.conftest import OpenPage
from tests.browser.stage import choose, code, latent_map, pixels, press
from tests.onnx_files import decoder_bytes, encoder_bytes, written

pytestmark = pytest.mark.browser
PATIENCE_MS = 60_000
MODEL = "mnist-vae-2"


def bring(page: Page, name: str, decoder: Path, encoder: Path | None = None) -> None:
    """Fill in the form on Yours and press its button; the model is a VAE of MNIST."""
    page.get_by_role("tab", name="A model (ONNX)").click()
    for title, path in (("Decoder (.onnx)", decoder), ("Encoder (.onnx), if you have one", encoder)):
        if path:
            group = page.get_by_test_id("stFileUploader").filter(has_text=title)
            # While the page is made anew, Streamlit may lose a file that is given at that very moment.
            expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
            group.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(path)
            expect(group.get_by_role("button", name=f"Remove {path.name}")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("combobox", name="It is", exact=True).click()
    page.get_by_role("option", name="a variational autoencoder (VAE)").click()
    page.get_by_role("textbox", name="Name").fill(name)
    page.get_by_role("textbox", name="Name").press("Enter")
    page.get_by_role("button", name="Bring this model").click()


def take_away(page: Page, *names: str) -> None:
    """Remove uploaded files, and wait until the page knows it."""
    for name in names:
        page.get_by_role("button", name=f"Remove {name}").click()
        expect(page.get_by_text(name)).to_have_count(0)
    expect(page.get_by_role("button", name="Bring this model")).to_be_disabled()


def decoded(page: Page, kind: str, z: np.ndarray) -> np.ndarray:
    """What torch makes of z, as the grey values of an image of this name that is painted as it is."""
    with torch.no_grad():
        return 255 * explorer.load(MODEL).decode(z.astype(np.float32)[None]).ravel()


def test_a_decoder_that_is_no_plain_chain_is_marked_and_answers_from_the_server(
    open_page: OpenPage, tmp_path: Path
) -> None:
    model = explorer.load(MODEL).module
    files = written(
        tmp_path,
        odd=decoder_bytes(model, odd=True),
        plain=decoder_bytes(model),
        encoder=encoder_bytes(model, split=True),
        broken=b"\x08\x08 cut off",
    )
    page = open_page("yours", viewport={"width": 1440, "height": 950})
    bring(page, "mine", files["broken"])
    expect(page.get_by_text("The decoder is not a")).to_be_visible(timeout=PATIENCE_MS)
    take_away(page, "broken.onnx")
    bring(page, "mine", files["odd"], files["encoder"])
    expect(page.get_by_text("mine-vae is yours now.")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("The encoder gives two times 2 numbers: read as mu, logvar.")).to_be_visible()
    take_away(page, "encoder.onnx", "odd.onnx")
    bring(page, "plain", files["plain"])
    expect(page.get_by_text("plain-vae is yours now.")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("There is no encoder: the points are draws from N(0, I)")).to_be_visible()
    expect(page.get_by_text("it is live in the browser")).to_be_visible()

    served, drawn = (link.evaluate("link => link.href") for link in page.get_by_role("link", name="Explore").all()[-2:])
    page.goto(served)
    panel = page.locator(".panel").nth(1)
    badge = panel.get_by_text(re.compile(r"Not live: decoded on the server, [\d.]+ ms an answer\."))
    expect(badge).to_be_visible(timeout=PATIENCE_MS)
    press(page, "VAE", 0.62, 0.4)
    expect(panel).not_to_have_class(re.compile("awaits"))
    z = code(page, "VAE", 2)
    np.testing.assert_allclose(pixels(page, "VAE decoded image"), decoded(page, "VAE", z), atol=1.5)
    shown = atlas.read_part(checkpoints.PRETRAINED / MODEL, "codes")["codes"]
    for i in (0, 10):  # of the walk, whose ends are images 0 and 1
        frame = pixels(page, f"VAE walk frame {i + 1}")
        np.testing.assert_allclose(frame, decoded(page, "VAE", shown[i // 10]), atol=1.5)
    expect(page.get_by_text(re.compile("One file of both is not to be had: mine-vae"))).to_be_visible()
    choose(page, "Layer", "stretch")
    expect(page.get_by_text(re.compile("mine-vae is decoded on the server: holes can be had"))).to_be_visible()
    choose(page, "Layer", "holes")
    expect(latent_map(page, "VAE")).to_have_attribute("data-layer", "holes done", timeout=PATIENCE_MS)
    assert panel.locator("h2").inner_text() == "Variational autoencoder"

    page.goto(drawn)
    expect(page.get_by_text("No encoder: the points are draws from N(0, I)").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("Not live", exact=False)).to_have_count(0)
    expect(page.get_by_text("nearest drawn image").first).to_be_visible()
    press(page, "VAE right", 0.5, 0.3)
    z = code(page, "VAE right", 2)
    np.testing.assert_allclose(pixels(page, "VAE right decoded image"), decoded(page, "VAE", z), atol=1.5)
