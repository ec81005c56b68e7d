"""What one needs to know of a cloud of codes: quantiles, a fitted mixture, how far apart neighbours are.

codes are float32 [N, latent_dim]. The browser's half of this (link, walk, samples) is in stage/latent.js.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

QUANTILES = 1001
MIXTURE_PARTS = 10
SPREAD = 1e-6  # the least variance of a part of a mixture, where the codes have variance 1
ACTIVE = 0.01  # a unit is active if Var over x of E[z given x] is above (Burda et al. 2016, arXiv:1509.00519)


@dataclass(frozen=True)
class Mixture:
    """A Gaussian mixture: weights [K], means [K, d], cholesky [K, d, d] (lower triangles of the covariances)."""

    weights: np.ndarray
    means: np.ndarray
    cholesky: np.ndarray


def quantile_table(codes: np.ndarray) -> np.ndarray:
    """[latent_dim, 1001]: each dimension's quantiles at 0, 0.001, …, 1 (linear between order statistics)."""
    return np.quantile(codes, np.linspace(0, 1, QUANTILES), axis=0).T.astype(np.float32)


def by_activity(codes: np.ndarray) -> np.ndarray:
    """Dimensions, most active first. Activity is Var over x of E[z given x] (Burda et al. 2016, arXiv:1509.00519)."""
    return np.argsort(-codes.var(axis=0), kind="stable")


def fit_mixture(codes: np.ndarray, *, seed: int = 0) -> Mixture:
    """Ten full-covariance Gaussians fitted by EM (scikit-learn); fewer where there are fewer than ten codes."""
    from sklearn.mixture import GaussianMixture

    parts = min(MIXTURE_PARTS, len(codes))
    scale = float(codes.std()) or 1.0
    if len(codes) == 1:
        spread = (SPREAD**0.5 * np.eye(codes.shape[1])).astype(np.float32)
        return Mixture(np.ones(1, np.float32), codes.astype(np.float32), spread[None])
    fitted = GaussianMixture(parts, random_state=seed, reg_covar=SPREAD).fit(codes.astype(np.float64) / scale)
    return Mixture(
        weights=fitted.weights_.astype(np.float32),
        means=(fitted.means_ * scale).astype(np.float32),
        cholesky=(np.linalg.cholesky(fitted.covariances_) * scale).astype(np.float32),
    )


def neighbour_distances(codes: np.ndarray) -> np.ndarray:
    """[N]: the Euclidean distance from each code to the nearest other code, ascending; 0 for one that has no other."""
    from sklearn.neighbors import NearestNeighbors

    if len(codes) == 1:
        return np.zeros(1, np.float32)
    distances, _ = NearestNeighbors(n_neighbors=2).fit(codes).kneighbors(codes)
    return np.sort(distances[:, 1])
