"""A sketch: what a live map needs of a model in the middle of its training, cheap enough for several an epoch.

The arrays have the names they have in an atlas, the decoder's weights among them; UMAP, trust and the ten-part mixture
are left to the atlas that is built at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.latent import ACTIVE, QUANTILES, by_activity, quantile_table
from explorer.models import AE, VAE, kl_per_dim, one_thread
from explorer.training import to_unit

POINTS = 2000


@dataclass(frozen=True)
class Sketch:
    """arrays: for the browser. kl_per_dim: nats, [latent_dim], zeros for an AE. active_units: dimensions in use."""

    arrays: dict[str, np.ndarray]
    kl_per_dim: list[float]
    active_units: int


@torch.no_grad()
def sketch(model: AE, x: Tensor) -> Sketch:
    """Of model on held-out images x (uint8 [N, C, H, W])."""
    model.eval()
    with one_thread():
        codes, kl = encode(model, to_unit(x))
        arrays = {**geometry(codes), **halved_decoder(model)}
    return Sketch(arrays=arrays, kl_per_dim=kl.tolist(), active_units=int((codes.var(axis=0) > ACTIVE).sum()))


def encode(model: AE, unit: Tensor) -> tuple[np.ndarray, Tensor]:
    """codes [N, latent_dim] and the mean KL of each dimension."""
    if isinstance(model, VAE):
        mu, logvar = model.posterior(unit)
        return mu.numpy(), kl_per_dim(mu, logvar).mean(0)
    return model.encode(unit).numpy(), torch.zeros(model.latent_dim)


def geometry(codes: np.ndarray) -> dict[str, np.ndarray]:
    """What latent.py and projection.py say of codes, by faster ways: one Gaussian for the mixture, plain PCA."""
    mean = codes.mean(axis=0)
    covariance = np.atleast_2d(np.cov(codes.T.astype(np.float64), ddof=min(1, len(codes) - 1))) + 1e-9 * np.eye(
        codes.shape[1]
    )
    variances, axes = np.linalg.eigh(covariance)
    components = np.zeros((2, codes.shape[1]), np.float32)
    top = axes[:, ::-1].T[:2]
    components[: len(top)] = top * np.where(top.sum(axis=1, keepdims=True) < 0, -1, 1)  # a sign that does not jump
    explained = np.zeros(2, np.float32)
    explained[: len(top)] = variances[::-1][:2] / max(variances.sum(), 1e-12)
    return {
        "codes": codes.astype(np.float32),
        "quantiles": quantile_table(codes),
        # Two dimensions are both in sight: there an order that changes would only turn the picture over.
        "order": (by_activity(codes) if codes.shape[1] > 2 else np.arange(codes.shape[1])).astype(np.int32),
        "pca_mean": mean.astype(np.float32),
        "pca_components": components,
        "pca_explained": explained,
        "mixture_weights": np.ones(1, np.float32),
        "mixture_means": mean[None].astype(np.float32),
        "mixture_cholesky": np.linalg.cholesky(covariance)[None].astype(np.float32),
        "distances": nearest_distances(torch.from_numpy(codes)),
    }


def nearest_distances(codes: Tensor) -> np.ndarray:
    """[1001]: quantiles of the distance from each code to the nearest other one."""
    distances = torch.cdist(codes, codes)
    if len(codes) > 1:
        distances.fill_diagonal_(torch.inf)
    return np.quantile(distances.min(dim=1).values.numpy(), np.linspace(0, 1, QUANTILES)).astype(np.float32)


def halved_decoder(model: AE) -> dict[str, np.ndarray]:
    """The decoder's weights as float16: half to send, and the picture is of this moment only."""
    return {name: value.half().numpy() for name, value in model.decoder.state_dict().items()}
