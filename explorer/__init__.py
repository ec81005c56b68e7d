"""Latent Explorer: an autoencoder and a variational autoencoder side by side, live and measured.

import explorer
model = explorer.load("mnist-vae-2")    # or a folder
z = model.encode(x)                     # x: float32 [N, 1, 28, 28] in [0, 1]; z: float32 [N, latent_dim]
x_hat = model.decode(z)                 # float32 [N, 1, 28, 28] in [0, 1]
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from explorer.loaded import Model

__version__ = "0.1.0"


def load(name_or_folder: str | Path) -> Model:
    """A trained model: one that ships with the project by its name, or one in a folder.

    Raises ValueError for a name that is not there and explorer.files.DamagedFile (a ValueError) for unsound files.
    """
    from explorer.loaded import Model

    return Model.load(name_or_folder)
