from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from explorer import projection
from explorer.atlas import Atlas


def cloud(count: int = 300, d: int = 5, *, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.normal(size=(count, d)) @ random.normal(size=(d, d)) + 7).astype(np.float32)


def trust_by_hand(codes: np.ndarray, picture: np.ndarray, k: int) -> float:
    """Equation 1 of Venna and Kaski (2001), with ranks from full distance tables."""
    n = len(codes)
    near, far = (np.linalg.norm((a[:, None] - a).astype(np.float64), axis=2) for a in (picture, codes))
    np.fill_diagonal(near, np.inf)
    np.fill_diagonal(far, -1)
    ranks = far.argsort(axis=1).argsort(axis=1)  # 0 is the point itself
    intruders = np.take_along_axis(ranks, near.argsort(axis=1)[:, :k], axis=1) - k
    return float(1 - 2 / (n * k * (2 * n - 3 * k - 1)) * intruders.clip(min=0).sum())


def test_pca_is_the_svd_of_the_centred_codes() -> None:
    codes = cloud()
    pca = projection.fit_pca(codes)
    mean = codes.astype(np.float64).mean(axis=0)
    _, singular, rows = np.linalg.svd(codes - mean, full_matrices=False)
    np.testing.assert_allclose(pca.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(np.abs((pca.components * rows[:2]).sum(axis=1)), 1, atol=1e-5)
    np.testing.assert_allclose(pca.explained, (singular**2 / (singular**2).sum())[:2], rtol=1e-4)


def test_pca_components_are_orthonormal_and_the_first_shows_most() -> None:
    pca = projection.fit_pca(cloud())
    np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(2), atol=1e-5)
    assert pca.explained[0] >= pca.explained[1] > 0


def test_one_dimension_has_an_empty_second_component() -> None:
    pca = projection.fit_pca(cloud(d=1))
    np.testing.assert_allclose(np.abs(pca.components), [[1], [0]])
    np.testing.assert_allclose(pca.explained, [1, 0])


@pytest.mark.parametrize("count", [12, 21, 200])
def test_trust_is_that_of_venna_and_kaski(count: int) -> None:
    codes = cloud(count)
    picture = codes[:, :2]
    k = min(10, (count - 1) // 2)
    assert projection.trust(codes, picture) == pytest.approx(trust_by_hand(codes, picture, k), abs=1e-6)


@pytest.mark.parametrize("d", [2, 5])
@pytest.mark.parametrize("count", [12, 300, 1100])
def test_trust_is_that_of_scikit_learn(count: int, d: int) -> None:
    codes = cloud(count, d)
    table, k = projection.trust_of_axes(codes), min(10, (count - 1) // 2)
    for i, j in combinations(range(d), 2):
        expected = trustworthiness(codes[:1000], codes[:1000, [i, j]], n_neighbors=k)
        assert table[i, j] == pytest.approx(expected, abs=1e-6)
        assert projection.trust(codes, codes[:, [i, j]]) == pytest.approx(expected, abs=1e-12)


def test_codes_that_are_all_alike_have_a_trust_between_0_and_1() -> None:
    codes = np.repeat(cloud(5, 3), 20, axis=0)
    table = projection.trust_of_axes(codes)
    assert ((table >= 0) & (table <= 1)).all()


def test_a_picture_that_keeps_all_distances_has_full_trust() -> None:
    codes = cloud(d=2)
    turned = codes @ np.array([[0, -3], [3, 0]], np.float32) + 100
    assert projection.trust(codes, turned) == pytest.approx(1)


def test_a_shuffled_picture_has_little_trust() -> None:
    codes = cloud(d=2)
    assert projection.trust(codes, np.random.default_rng(0).permutation(codes)) < 0.6


@pytest.mark.parametrize("scale", [1e-3, 30])
def test_trust_does_not_depend_on_the_scale_of_the_codes(scale: float) -> None:
    codes = cloud()
    expected = projection.trust(codes, codes[:, :2])
    assert projection.trust(codes * np.float32(scale), codes[:, :2]) == pytest.approx(expected, abs=1e-4)


def test_trust_looks_at_the_first_thousand_points_only() -> None:
    codes = cloud(1100)
    picture = codes[:, :2].copy()
    expected = projection.trust(codes, picture)
    picture[1000:] = 0
    assert projection.trust(codes, picture) == expected


def test_trust_of_axes_names_the_trust_of_each_pair() -> None:
    codes = cloud(80, 3)
    table = projection.trust_of_axes(codes)
    np.testing.assert_array_equal(table, table.T)
    np.testing.assert_array_equal(np.diag(table), 1)
    assert table[2, 0] == pytest.approx(trust_by_hand(codes, codes[:, [0, 2]], 10), abs=1e-6)


@pytest.mark.parametrize("model", ["ae", "vae"])
def test_umap_keeps_neighbours_together(atlases: dict[str, Atlas], model: str) -> None:
    codes = atlases[model].codes["codes"]
    picture = projection.umap(codes)
    assert (picture.shape, picture.dtype) == ((len(codes), 2), np.float32)
    assert trust_by_hand(codes, picture, 10) > 0.9


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"neighbours": 1}, "neighbours must be at least 2, got 1"),
        ({"min_dist": -0.01}, "min_dist must be 0 to 0.99, got -0.01"),
        ({"min_dist": 1.5}, "min_dist must be 0 to 0.99, got 1.5"),
    ],
)
def test_umap_refuses_settings_out_of_range(setting: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        projection.umap(cloud(30), **setting)


def test_umap_shows_what_umap_itself_makes_of_the_neighbours_and_min_dist_asked_for() -> None:
    from umap import UMAP

    codes = cloud(60)
    expected = UMAP(n_neighbors=7, min_dist=0.4, random_state=2, n_jobs=1).fit_transform(codes)
    np.testing.assert_array_equal(projection.umap(codes, seed=2, neighbours=7, min_dist=0.4), expected)
    plain = UMAP(random_state=0, n_jobs=1).fit_transform(codes)
    np.testing.assert_array_equal(projection.umap(codes), plain)
