from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import explorer
from explorer import data
from explorer.loaded import Model


@pytest.fixture(scope="session")
def vae(trained: dict[str, Path]) -> Model:
    return explorer.load(trained["vae"])


@pytest.fixture(scope="session")
def x(digits: data.Dataset) -> np.ndarray:
    return digits.x_test.astype(np.float32) / 255


@pytest.mark.parametrize("model", ["ae", "vae"])
def test_images_become_codes_and_codes_become_images(trained: dict[str, Path], x: np.ndarray, model: str) -> None:
    loaded = explorer.load(str(trained[model]))
    z = loaded.encode(x)
    x_hat = loaded.decode(z)
    assert (z.shape, z.dtype, x_hat.shape, x_hat.dtype) == ((len(x), 3), np.float32, x.shape, np.float32)
    assert 0 <= x_hat.min() <= x_hat.max() <= 1
    assert np.square(x_hat - x).mean() < np.square(x - x.mean(axis=0)).mean(), "worse than the mean image"


def test_what_goes_in_as_a_tensor_comes_out_as_one(vae: Model, x: np.ndarray) -> None:
    z = vae.encode(torch.from_numpy(x))
    assert isinstance(z, torch.Tensor)
    assert isinstance(vae.encode(x), np.ndarray)
    np.testing.assert_array_equal(z.numpy(), vae.encode(x))
    np.testing.assert_array_equal(vae.decode(z).numpy(), vae.decode(z.numpy()))


def test_float64_and_lists_of_views_are_taken_too(vae: Model, x: np.ndarray) -> None:
    np.testing.assert_array_equal(vae.encode(x.astype(np.float64)[::2]), vae.encode(x[::2].copy()))


def test_many_images_are_encoded_as_few_are(vae: Model, x: np.ndarray) -> None:
    many = np.concatenate([x] * 6)
    assert len(many) > 2000
    np.testing.assert_allclose(vae.encode(many)[-len(x) :], vae.encode(x), atol=1e-5)


def test_no_image_gives_no_code(vae: Model, x: np.ndarray) -> None:
    assert vae.encode(x[:0]).shape == (0, 3)
    assert vae.decode(np.zeros((0, 3), np.float32)).shape == (0, 1, 8, 8)


def test_a_vaes_code_is_the_mean_of_its_posterior(vae: Model, x: np.ndarray) -> None:
    mu, logvar = vae.posterior(x)
    np.testing.assert_array_equal(mu, vae.encode(x))
    assert logvar.shape == mu.shape
    assert logvar.mean() < 0, "a trained posterior is narrower than the prior"


def test_an_ae_has_no_posterior(trained: dict[str, Path], x: np.ndarray) -> None:
    with pytest.raises(TypeError, match="digits-ae-3 is an AE: it has codes, but no posterior"):
        explorer.load(trained["ae"]).posterior(x)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((5, 8, 8)), r"x must have the shape \[N, 1, 8, 8\], got \[5, 8, 8\]"),
        (np.zeros((1, 8, 8)), r"x must have the shape \[N, 1, 8, 8\], got \[1, 8, 8\]"),
        (np.zeros((5, 1, 28, 28)), r"x must have the shape \[N, 1, 8, 8\], got \[5, 1, 28, 28\]"),
        (np.zeros(()), r"x must have the shape \[N, 1, 8, 8\], got \[\]"),
        (np.full((1, 1, 8, 8), np.nan), "x must hold finite numbers only"),
        (np.full((1, 1, 8, 8), np.inf), "x must hold finite numbers only"),
        (np.full((1, 1, 8, 8), 255, np.uint8), r"x must lie in \[0, 1\], got 255 to 255"),
        (np.full((1, 1, 8, 8), -0.01), r"x must lie in \[0, 1\], got -0.01 to -0.01"),
    ],
)
def test_images_that_are_none_are_refused_in_words(vae: Model, wrong: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vae.encode(wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((5, 2)), r"z must have the shape \[N, 3\], got \[5, 2\]"),
        (np.zeros(3), r"z must have the shape \[N, 3\], got \[3\]"),
        (np.array([[0, np.nan, 0]]), "z must hold finite numbers only"),
    ],
)
def test_codes_that_are_none_are_refused_in_words(vae: Model, wrong: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vae.decode(wrong)


@pytest.mark.parametrize("far", [1e3, -1e6])
def test_a_code_far_outside_still_gives_an_image(vae: Model, far: float) -> None:
    x_hat: Any = vae.decode(np.full((2, 3), far, np.float32))
    assert np.isfinite(x_hat).all()
    assert 0 <= x_hat.min() <= x_hat.max() <= 1
