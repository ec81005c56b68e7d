"""Files as people bring them, made for tests: honest ones and hostile ones."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """A file of pixels [H, W] or [H, W, C]."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def some_pixels(seed: int = 0, shape: tuple[int, ...] = (12, 12)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    """A zip of files, by their names as they are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def link(archive: zipfile.ZipFile, name: str, target: str) -> None:
    """Add a symbolic link as Unix zips have them."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    archive.writestr(info, target)


def idx(values: np.ndarray, *, kind: int = 0x08, shape: tuple[int, ...] | None = None) -> bytes:
    """An IDX file of values; shape: what its head says, if not the truth."""
    said = values.shape if shape is None else shape
    return bytes([0, 0, kind, len(said)]) + struct.pack(f">{len(said)}I", *said) + values.tobytes()
