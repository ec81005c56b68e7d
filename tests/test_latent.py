from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import multivariate_normal

from explorer import latent

FINITE = st.floats(-1e6, 1e6, width=32)


def cloud(count: int = 400, d: int = 3, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, d)).astype(np.float32)


def three_clusters(*, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Codes [900, 2] about three centres that lie far apart, and the centres."""
    centres = np.array([[-20.0, 0.0], [20.0, 5.0], [0.0, 30.0]])
    random = np.random.default_rng(seed)
    return (centres.repeat(300, axis=0) + random.normal(size=(900, 2))).astype(np.float32), centres


def log_density(mixture: latent.Mixture, codes: np.ndarray) -> np.ndarray:
    """Of each code, by scipy."""
    parts = [
        np.log(weight) + multivariate_normal(mean, factor @ factor.T).logpdf(codes)
        for weight, mean, factor in zip(
            mixture.weights, mixture.means.astype(float), mixture.cholesky.astype(float), strict=True
        )
    ]
    return np.logaddexp.reduce(parts, axis=0)


@given(codes=arrays(np.float32, st.tuples(st.integers(1, 60), st.integers(1, 3)), elements=FINITE))
def test_quantiles_never_fall_and_run_from_the_least_code_to_the_largest(codes: np.ndarray) -> None:
    table = latent.quantile_table(codes)
    assert table.shape == (codes.shape[1], 1001)
    assert (np.diff(table, axis=1) >= 0).all()
    np.testing.assert_array_equal(table[:, 0], codes.min(axis=0))
    np.testing.assert_array_equal(table[:, -1], codes.max(axis=0))


def test_quantiles_are_read_off_the_sorted_codes() -> None:
    codes = cloud(157)
    table = latent.quantile_table(codes)
    for axis, quantiles in enumerate(table):
        ordered = np.sort(codes[:, axis].astype(np.float64))
        by_hand = np.interp(np.arange(1001) / 1000 * (len(codes) - 1), np.arange(len(codes)), ordered)
        np.testing.assert_allclose(quantiles, by_hand, rtol=1e-6, atol=1e-7)


def test_the_most_active_dimension_comes_first() -> None:
    codes = cloud(d=4) * np.array([0.1, 5, 1, 0.5], np.float32) + np.array([100, 0, 0, 0], np.float32)
    assert latent.by_activity(codes).tolist() == [1, 2, 3, 0]


def test_dimensions_of_one_activity_keep_their_order() -> None:
    assert latent.by_activity(np.repeat(cloud(d=1), 5, axis=1)).tolist() == [0, 1, 2, 3, 4]


def test_the_mixture_is_a_density() -> None:
    mixture = latent.fit_mixture(cloud())
    assert mixture.weights.sum() == pytest.approx(1, abs=1e-6)
    assert (mixture.weights > 0).all()
    assert (mixture.means.shape, mixture.cholesky.shape) == ((10, 3), (10, 3, 3))
    np.testing.assert_array_equal(np.triu(mixture.cholesky, k=1), 0)
    assert (np.diagonal(mixture.cholesky, axis1=1, axis2=2) > 0).all()


def test_the_mixture_knows_clusters_that_one_gaussian_does_not() -> None:
    codes, centres = three_clusters()
    mixture = latent.fit_mixture(codes)
    held_out, _ = three_clusters(seed=1)
    one = multivariate_normal(codes.mean(axis=0), np.cov(codes.T.astype(float))).logpdf(held_out)
    assert log_density(mixture, held_out).mean() > one.mean() + 1
    nearest = np.linalg.norm(mixture.means[:, None] - centres, axis=2)
    assert nearest.min(axis=1).max() < 4, "a part lies between the clusters"
    share = [mixture.weights[nearest.argmin(axis=1) == centre].sum() for centre in range(3)]
    np.testing.assert_allclose(share, 1 / 3, atol=0.01)


def test_draws_from_the_mixture_have_the_codes_mean_and_covariance() -> None:
    codes, _ = three_clusters()
    mixture = latent.fit_mixture(codes)
    random = np.random.default_rng(0)
    part = random.choice(len(mixture.weights), 50_000, p=mixture.weights / mixture.weights.sum())
    draws = mixture.means[part] + np.einsum("nij,nj->ni", mixture.cholesky[part], random.normal(size=(50_000, 2)))
    np.testing.assert_allclose(draws.mean(axis=0), codes.mean(axis=0), atol=0.4)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(codes.T), rtol=0.03, atol=3)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_mixture_of_scaled_codes_is_the_scaled_mixture(scale: float) -> None:
    codes, _ = three_clusters()
    mixture, scaled = latent.fit_mixture(codes), latent.fit_mixture(codes * np.float32(scale))
    np.testing.assert_allclose(scaled.weights, mixture.weights, rtol=1e-3)
    np.testing.assert_allclose(scaled.means, mixture.means * scale, rtol=1e-3, atol=1e-3 * scale)
    np.testing.assert_allclose(scaled.cholesky, mixture.cholesky * scale, rtol=1e-2, atol=1e-3 * scale)


def test_one_seed_gives_one_mixture() -> None:
    one, again = (latent.fit_mixture(cloud(), seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.means, again.means)


@pytest.mark.parametrize(("count", "parts"), [(4, 4), (10, 10), (30, 10)])
def test_few_codes_get_no_more_parts_than_there_are(count: int, parts: int) -> None:
    assert len(latent.fit_mixture(cloud(count)).weights) == parts


def test_codes_that_have_all_collapsed_still_get_a_mixture() -> None:
    with pytest.warns(Warning, match="distinct clusters"):
        mixture = latent.fit_mixture(np.zeros((50, 2), np.float32))
    assert np.isfinite(mixture.cholesky).all()


@pytest.mark.parametrize("d", [1, 2, 20])
def test_neighbour_distances_are_those_of_brute_force(d: int) -> None:
    codes = cloud(150, d)
    apart = np.linalg.norm(codes[:, None].astype(np.float64) - codes, axis=2)
    np.fill_diagonal(apart, np.inf)
    distances = latent.neighbour_distances(codes)
    np.testing.assert_allclose(distances, np.sort(apart.min(axis=1)), rtol=1e-4, atol=1e-5)


def test_a_code_that_occurs_twice_has_a_neighbour_at_no_distance() -> None:
    codes = np.concatenate([cloud(20), cloud(20)[:5]])
    distances = latent.neighbour_distances(codes)
    np.testing.assert_allclose(distances[:10], 0, atol=1e-6)
    assert distances[10] > 0
