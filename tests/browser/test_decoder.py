"""The browser's decoder against torch, on the same weights, in a real browser."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
import torch
from playwright.sync_api import Page
from safetensors.torch import save

from explorer import atlas, checkpoints, models
from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.browser

DECODE = """async ({ address, layers, weights, codes, bytes }) => {
    const { readSafetensors } = await import(`${address}/safetensors.js`);
    const { makeDecoder, reconError } = await import(`${address}/decoder.js`);
    const buffer = Uint8Array.from(atob(weights), (c) => c.charCodeAt(0)).buffer;
    const decoder = makeDecoder(layers, readSafetensors(buffer));
    return codes.map((z) => ({ x_hat: Array.from(decoder.decode(z)), error: reconError(decoder.logits(z), bytes) }));
}"""


def browser_decode(
    page: Page, app: str, model: models.AE, z: np.ndarray, image: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """x_hat [N, pixels] and the error of each against image, as the browser's decoder has them."""
    layers = atlas.decoder_layers(model)
    weights = base64.b64encode(save(dict(model.decoder.state_dict()))).decode()
    argument = {
        "address": f"{app}/_stcore/bidi-components/explorer.stage",
        "layers": json.loads(json.dumps(layers)),
        "weights": weights,
        "codes": z.tolist(),
        "bytes": image.tolist(),
    }
    answers = page.evaluate(DECODE, argument)
    return np.array([a["x_hat"] for a in answers]), np.array([a["error"] for a in answers])


def check(page: Page, app: str, model: models.AE, z: np.ndarray, *, tolerance: float = 1e-5) -> None:
    image = np.random.default_rng(1).integers(0, 256, int(np.prod(model.image_shape)))
    x_hat, error = browser_decode(page, app, model, z, image)
    with torch.no_grad():
        single = model.decode(torch.from_numpy(z)).flatten(1).numpy()
        logits = model.double().logits(torch.from_numpy(z).double()).flatten(1)
    assert np.abs(x_hat - single).max() <= tolerance
    assert np.abs(x_hat - torch.sigmoid(logits).numpy()).max() <= 1e-9
    target = torch.from_numpy(image / 255).expand_as(logits)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1)
    assert np.allclose(error, expected.numpy(), rtol=1e-9)


@pytest.mark.parametrize("arch", ["mlp", "conv"])
@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 16, 24)])
def test_a_fresh_decoder_agrees_with_torch_near_and_far(
    open_page: OpenPage, app: str, arch: str, image_shape: tuple[int, int, int]
) -> None:
    model = models.build(
        "ae", seed=3, image_shape=image_shape, latent_dim=5, arch=arch, hidden=models.DEFAULT_HIDDEN[arch]
    )
    z = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    check(open_page(), app, model, np.concatenate([z, 10 * z, 100 * z]))


@pytest.mark.parametrize("name", ["mnist-ae-2", "mnist-vae-2", "mnist-ae-16", "fashion-mnist-vae-16"])
def test_a_shipped_decoder_agrees_with_torch_within_the_data_and_far_outside(
    open_page: OpenPage, app: str, name: str
) -> None:
    model, card = checkpoints.load(checkpoints.PRETRAINED / name)
    codes = atlas.load(checkpoints.PRETRAINED / name).codes["codes"]
    noise = np.random.default_rng(0).normal(size=(10, card.latent_dim)).astype(np.float32)
    centre, spread = codes.mean(0), codes.std(0)
    near = np.concatenate([codes[:20], centre + spread * noise * 3, centre + spread * noise * 10])
    page = open_page()
    check(page, app, model, near)
    # So far out torch's own float32 is off by as much from its float64, with which the browser still agrees to 1e-9.
    check(page, app, model.float(), centre + spread * noise * 100, tolerance=1e-3)


def test_a_file_of_half_precision_numbers_is_read_exactly(open_page: OpenPage, app: str) -> None:
    values = torch.tensor([0.0, -0.0, 1.0, -2.5, 6e-8, 6.1e-5, 65504.0, 0.333251953125]).half()
    read = open_page().evaluate(
        """async ({ address, file }) => {
            const { readSafetensors } = await import(`${address}/safetensors.js`);
            return Array.from(readSafetensors(Uint8Array.from(atob(file), (c) => c.charCodeAt(0)).buffer).t.data);
        }""",
        {
            "address": f"{app}/_stcore/bidi-components/explorer.stage",
            "file": base64.b64encode(save({"t": values})).decode(),
        },
    )
    assert read == values.float().tolist()
