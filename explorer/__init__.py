"""Latent Explorer: an autoencoder and a variational autoencoder side by side, live and measured.

import explorer
model = explorer.load("mnist-vae-2")    # or a folder
z = model.encode(x)                     # x: float32 [N, 1, 28, 28] in [0, 1]; z: float32 [N, latent_dim]
x_hat = model.decode(z)                 # float32 [N, 1, 28, 28] in [0, 1]
stage = explorer.show()                 # in a notebook: both maps, live; then stage.z, stage.image
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from explorer.loaded import Model
    from explorer.notebook import StageWidget

__version__ = "0.1.0"


def load(name_or_folder: str | Path) -> Model:
    """A trained model: one that ships with the project by its name, or one in a folder.

    Raises ValueError for a name that is not there and explorer.files.DamagedFile (a ValueError) for unsound files.
    """
    from explorer.loaded import Model

    return Model.load(name_or_folder)


def show(
    left: str | Path = "mnist-ae-2", right: str | Path = "mnist-vae-2", *, height: int | None = None, query: str = ""
) -> StageWidget:
    """The live stage with two models, for the cell of a notebook: names of shipped models, or folders.

    height: of the cell in pixels, with a scroll bar of its own; without, as high as the stage is. query: the view to
    start with, as the app's address has it. The answer tells what was picked: see explorer.notebook.StageWidget.
    Raises ImportError without anywidget, and ValueError for models that are not there or do not go together.
    """
    try:
        from explorer import notebook
    except ModuleNotFoundError as error:
        if error.name != "anywidget":
            raise
        raise ImportError("explorer.show needs anywidget: pip install -e '.[notebook]'") from None
    return notebook.show(left, right, height=height, query=query)
