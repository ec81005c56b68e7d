"""The public face of a trained model: encode and decode, numpy arrays or torch tensors in, the same kind out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from explorer import checkpoints
from explorer.models import AE, VAE

Array = TypeVar("Array", np.ndarray, torch.Tensor)
BATCH = 2000


@dataclass(frozen=True)
class Model:
    """A trained model and its card. Raises ValueError for input of the wrong shape or that is not finite numbers."""

    module: AE
    card: checkpoints.Card

    @classmethod
    def load(cls, name_or_folder: str | Path) -> Model:
        return cls(*checkpoints.load(checkpoints.find(name_or_folder)))

    def encode(self, x: Array) -> Array:
        """x [N, C, H, W] in [0, 1] -> z float32 [N, latent_dim]; for a VAE the posterior's mean."""
        return self._apply(self.module.encode, x, name="x", shape=self.module.image_shape, limits=(0.0, 1.0))

    def decode(self, z: Array) -> Array:
        """z [N, latent_dim] -> x_hat float32 [N, C, H, W] in [0, 1]."""
        return self._apply(self.module.decode, z, name="z", shape=(self.module.latent_dim,))

    def posterior(self, x: Array) -> tuple[Array, Array]:
        """x [N, C, H, W] in [0, 1] -> mu, logvar, each [N, latent_dim]. Raises TypeError for an AE, which has none."""
        if not isinstance(self.module, VAE):
            raise TypeError(f"{self.card.name} is an AE: it has codes, but no posterior")
        both = self._apply(self.module.encoder, x, name="x", shape=self.module.image_shape, limits=(0.0, 1.0))
        return both[:, : self.module.latent_dim], both[:, self.module.latent_dim :]

    @torch.no_grad()
    def _apply(
        self,
        function: Callable[[torch.Tensor], torch.Tensor],
        value: Array,
        *,
        name: str,
        shape: tuple[int, ...],
        limits: tuple[float, float] | None = None,
    ) -> Array:
        tensor = torch.as_tensor(value, dtype=torch.float32)
        if tensor.ndim != len(shape) + 1 or tuple(tensor.shape[1:]) != shape:
            raise ValueError(f"{name} must have the shape [N, {', '.join(map(str, shape))}], got {list(tensor.shape)}")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} must hold finite numbers only")
        if limits and tensor.numel() and not (limits[0] <= tensor.min() and tensor.max() <= limits[1]):
            raise ValueError(f"{name} must lie in [0, 1], got {tensor.min():g} to {tensor.max():g}")
        result = torch.cat([function(part) for part in tensor.split(BATCH)])
        return result if isinstance(value, torch.Tensor) else result.numpy()
