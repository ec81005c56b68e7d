"""What a live map is drawn from, against the slower ways that an atlas goes, and the film made of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save_file

import explorer
from explorer import data, export, latent, models, projection
from explorer.sketch import geometry, sketch

ANY_CODES = st.builds(
    lambda seed, n, d: np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32) * np.arange(1, d + 1),
    st.integers(0, 1000),
    st.integers(20, 60),
    st.integers(1, 6),
)


@given(ANY_CODES)
def test_the_plane_is_that_of_scikit_learn_but_for_the_signs(codes: np.ndarray) -> None:
    quick, exact = geometry(codes), projection.fit_pca(codes)
    np.testing.assert_allclose(quick["pca_mean"], exact.mean, atol=1e-4)
    np.testing.assert_allclose(quick["pca_explained"], exact.explained, atol=1e-4)
    np.testing.assert_allclose(
        np.abs((quick["pca_components"] * exact.components).sum(1)), exact.explained > 0, atol=1e-2
    )


@given(ANY_CODES)
def test_quantiles_distances_and_gaussian_are_those_of_the_codes(codes: np.ndarray) -> None:
    quick, d = geometry(codes), codes.shape[1]
    np.testing.assert_array_equal(quick["quantiles"], latent.quantile_table(codes))
    nearest = latent.quantile_table(latent.neighbour_distances(codes)[:, None])[0]
    np.testing.assert_allclose(quick["distances"], nearest, atol=1e-3 * float(codes.std()))
    root = quick["mixture_cholesky"][0]
    np.testing.assert_allclose(root @ root.T, np.cov(codes.T).reshape(d, d), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(quick["mixture_means"][0], codes.mean(axis=0), atol=1e-4)


def test_codes_of_no_spread_still_give_a_map() -> None:
    quick = geometry(np.ones((30, 3), np.float32))
    assert all(np.isfinite(values).all() for values in quick.values())


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_a_sketch_has_the_models_codes_decoder_and_kl(
    trained: dict[str, Path], digits: data.Dataset, kind: str
) -> None:
    model = explorer.load(trained[kind])
    x = digits.x_test[:200]
    made = sketch(model.module, torch.from_numpy(x))
    unit = x.astype(np.float32) / 255
    np.testing.assert_allclose(made.arrays["codes"], model.encode(unit), atol=1e-5)
    z = torch.from_numpy(made.arrays["codes"][:20])
    halved = models.build(kind, seed=1, image_shape=(1, 8, 8), latent_dim=3, arch="mlp", hidden=(32,))
    names = halved.decoder.state_dict()
    halved.decoder.load_state_dict({name: torch.from_numpy(made.arrays[name]).float() for name in names})
    with torch.no_grad():
        assert (halved.decode(z) - model.module.decode(z)).abs().max() < 0.01
    assert made.active_units == int((made.arrays["codes"].var(axis=0) > 0.01).sum())
    if kind == "ae":
        assert made.kl_per_dim == [0, 0, 0]
    else:
        mu, logvar = (torch.from_numpy(values) for values in model.posterior(unit))
        wanted = torch.distributions.kl_divergence(
            torch.distributions.Normal(mu, (0.5 * logvar).exp()), torch.distributions.Normal(0.0, 1.0)
        )
        np.testing.assert_allclose(made.kl_per_dim, wanted.mean(0), rtol=1e-4)


# ---- the film


def scenes(count: int) -> list[export.Scene]:
    places = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    return [export.Scene(places * (1 + i), f"epoch {i}") for i in range(count)]


@pytest.mark.parametrize(("count", "frames"), [(1, 1), (2, 2), (60, 60), (61, 60), (500, 60)])
def test_a_film_has_all_its_moments_up_to_sixty(count: int, frames: int) -> None:
    film = export.gif({"ae": scenes(count), "vae": scenes(count + 3)}, np.arange(50, dtype=np.uint8) % 10)
    with Image.open(io.BytesIO(film)) as image:
        assert image.n_frames == frames
        assert image.size == (2 * export.SIDE + 3 * export.MARGIN, export.SIDE + export.HEAD + export.MARGIN)
        image.seek(frames - 1)
        assert image.info["duration"] == export.LAST_MS


def test_the_last_picture_has_every_code_in_sight() -> None:
    shown = scenes(3)[-1].places
    low, high = export.extent(shown)
    assert (low < shown.min(axis=0)).all()
    assert (high > shown.max(axis=0)).all()


def test_one_dimension_has_a_lane_for_each_class(tmp_path: Path) -> None:
    labels = np.array([0, 0, 1, 2], np.uint8)
    codes = np.array([[0.5], [1.5], [-1.0], [2.0]], np.float32)
    save_file({"codes": codes}, tmp_path / "moment.safetensors")
    places = export.scene(tmp_path / "moment.safetensors", labels, axes=[0], text="").places
    np.testing.assert_array_equal(places[:, 0], codes[:, 0])
    assert ((places[:, 1] > labels) & (places[:, 1] < labels + 1)).all()
