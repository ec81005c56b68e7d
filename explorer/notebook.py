"""The stage in the cell of a notebook: Jupyter, VS Code, marimo. Needs anywidget, which explorer.show asks for.

It is the app's stage, from the same modules; notebook.js puts it into the cell and tells where the probes are.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anywidget
import numpy as np
import traitlets

from explorer import catalogue, checkpoints, data, modules, onefile

if TYPE_CHECKING:
    from explorer.loaded import Model

HERE = Path(__file__).parent
LOWEST = 200


class Sides(NamedTuple):
    """Something of the left model and of the right one."""

    left: np.ndarray
    right: np.ndarray


def from_wire(value: list[list[float]] | None, _widget: object) -> Sides | None:
    return None if value is None else Sides(*(np.array(z, dtype=np.float32) for z in value))


def to_wire(value: Sides | None, _widget: object) -> list[list[float]] | None:
    return None if value is None else [z.tolist() for z in value]


class StageWidget(anywidget.AnyWidget):
    """Two models side by side, live; it follows the pointer at ten messages a second, and so do the values below.

    z: float32 [latent_dim] where each probe is, .left and .right; None until the stage has been seen.
    models: names of the two that stand there now. query: the view, to be given to explorer.show again.
    All three can be observed: widget.observe(function, names="z").
    """

    _esm = HERE / "notebook.js"
    modules = traitlets.Dict().tag(sync=True)
    styles = traitlets.Unicode().tag(sync=True)
    catalogue = traitlets.Dict().tag(sync=True)
    files = traitlets.Dict().tag(sync=True)
    height = traitlets.Int(None, allow_none=True).tag(sync=True)
    z = traitlets.Any(None).tag(sync=True, from_json=from_wire, to_json=to_wire)
    models = traitlets.List(traitlets.Unicode()).tag(sync=True)
    query = traitlets.Unicode().tag(sync=True)

    def __init__(self, *, folders: dict[str, Path], **traits: Any) -> None:
        super().__init__(**traits)
        self._folders = folders
        self._loaded: dict[str, Model] = {}

    @property
    def image(self) -> Sides | None:
        """float32 [C, H, W] in [0, 1], .left and .right: what each model decodes at its z; None while z is."""
        if self.z is None:
            return None
        return Sides(*(self._load(name).decode(z[None])[0] for name, z in zip(self.models, self.z)))

    def _load(self, name: str) -> Model:
        """Loaded when it is first asked for, since torch comes with it."""
        from explorer.loaded import Model

        if name not in self._loaded:
            self._loaded[name] = Model.load(self._folders[name])
        return self._loaded[name]


def show(left: str | Path, right: str | Path, *, height: int | None, query: str) -> StageWidget:
    """See explorer.show."""
    if height is not None and height < LOWEST:
        raise ValueError(f"height must be at least {LOWEST} pixels or None, got {height}")
    names, titles = (str(left), str(right)), data.titles()
    folders = [checkpoints.find(name) for name in names]
    onefile.check_names(names, titles)
    with tempfile.TemporaryDirectory() as scratch:
        entries = [onefile.find(name, scratch=Path(scratch) / str(side)) for side, name in enumerate(names)]
        shown, parts = onefile.contents(
            entries[0], entries[1], models=catalogue.shipped(), titles=titles, query=query.removeprefix("?")
        )
        contents = {address: onefile.content_of(part) for address, part in parts.items()}
    pair = list(shown["start"]["pair"].values())
    return StageWidget(
        folders=dict(zip(pair, folders)),
        modules=modules.bare(onefile.ENTRY),
        styles=(modules.FOLDER / "stage.css").read_text(encoding="utf-8"),
        catalogue=shown,
        files={address: {"type": kind, "content": content} for address, (kind, content) in contents.items()},
        height=height,
        query=query.removeprefix("?"),
        models=pair,
    )
