"""A model brought as ONNX comes to a visitor's shelf: read in a process of its own, kept, its UMAP drawn afterwards."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from explorer import checkpoints
from explorer.files import unwritten, write_whole
from explorer.foreign import process
from explorer.foreign.bringing import Order
from explorer.foreign.limits import MAX_FILE_BYTES
from explorer.sandbox import Tell
from explorer.visitors import DataShelf, Shelf

ENCODER = "encoder.onnx"


@dataclass(frozen=True)
class Given:
    """What a person gives. kind: ae or vae; units: one of explorer.foreign.network.UNITS; encoder may be missing.

    data_folder: where the visitor's own data set lies, if it is one.
    """

    name: str
    kind: str
    units: str
    decoder: bytes
    encoder: bytes | None
    dataset: str
    data_folder: Path | None = None


@dataclass(frozen=True)
class Arrived:
    """The model's name on the shelf, what was recognised, in sentences, and the thread that has UMAP drawn."""

    name: str
    said: tuple[str, ...]
    drawing: threading.Thread


def bring(
    visitor: str,
    given: Given,
    *,
    shelf: Shelf,
    data_shelf: DataShelf,
    tell: Tell,
    draw: Callable[[Path], bool] = process.draw,
) -> Arrived:
    """Raises ValueError, in one sentence, for what cannot be brought; nothing is left of it then."""
    for what, content in (("decoder", given.decoder), ("encoder", given.encoder or b"")):
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"The {what} has {len(content):,} bytes, at most {MAX_FILE_BYTES:,} may be brought")
    folder = data_shelf.place(visitor)
    try:
        write_whole(folder / checkpoints.ONNX_DECODER, given.decoder, durable=False)
        if given.encoder is not None:
            write_whole(folder / ENCODER, given.encoder, durable=False)
        order = Order(
            kind=given.kind,
            units=given.units,
            dataset=given.dataset,
            folder=str(folder),
            encoder=None if given.encoder is None else ENCODER,
            data_folder=str(given.data_folder) if given.data_folder else None,
        )
        said = process.bring(order, visitor=visitor, tell=tell)
        (name,) = shelf.keep(visitor, [folder], name=given.name, uploaded=True)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ValueError(unwritten(error, then="bring it again")) from error
    except BaseException:  # also where the visitor has gone on: Streamlit ends a script this way
        shutil.rmtree(folder, ignore_errors=True)
        raise

    def finish() -> None:
        try:
            if draw(folder):
                shelf.redraw(visitor, given.name, [folder])
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    drawing = threading.Thread(target=finish, daemon=True)
    drawing.start()
    return Arrived(name, tuple(said), drawing)
