"""Data sets as plain arrays: the full published sets where they are, else the subset that ships with the project.

A set is looked up in the root that was asked for, then LATENT_EXPLORER_DATA, then the user's cache folder, then the
embedded subset. The folders are laid out as torchvision lays them out.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import struct
import zlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from explorer.files import FULL, DamagedFile, Unwritten, alone, move_whole, read_bounded, read_checked, sha256

EMBEDDED = Path(__file__).parent / "embedded"
MAX_FILE_BYTES = 64_000_000
SILENT_S = 60.0  # a mirror that says nothing for so long is given up
DIGITS = tuple("0123456789")
DIGITS_TITLE = "Digits 8×8"
ECG_LENGTH = 140
ECG_CLASSES = 5
ECG_ROWS = {"ECG5000_TRAIN.txt": 500, "ECG5000_TEST.txt": 4500}
ECG_EMBEDDED = "f31573727b513950e6fe27a6c6256d19924ec5a214f9160c7e90d16c09eee66d"


@dataclass(frozen=True)
class Published:
    """A published set: its folder in torchvision's layout, the sha256 of its four files, and of our embedded subset."""

    title: str
    folder: str
    classes: tuple[str, ...]
    files: dict[str, str]
    embedded: str


@dataclass(frozen=True)
class Feature:
    """A column of a table: x in [0, 1] stands for the value low + x * (high - low)."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class About:
    """What a screen has to know of a data set: its title, the names of its classes, its features if it is a table."""

    title: str
    classes: tuple[str, ...]
    features: tuple[Feature, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """Images and labels. x_*: uint8 [N, C, H, W], 0 to 255 for [0, 1]; y_*: uint8 [N]; source says which images.

    Rows of a table are images of one line, [N, 1, 1, F]; features then says what each of their F columns means.
    """

    name: str
    title: str
    source: str
    sha256: str
    classes: tuple[str, ...]
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    features: tuple[Feature, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        channels, height, width = self.x_train.shape[1:]
        return channels, height, width

    @property
    def about(self) -> About:
        return About(self.title, self.classes, self.features)

    @property
    def origin(self) -> dict[str, Any]:
        """What the card of a model that was trained on it says of it (checkpoints.Card)."""
        return {
            "dataset": self.name,
            "data_source": self.source,
            "data_sha256": self.sha256,
            "n_train": len(self.x_train),
            "n_test": len(self.x_test),
        }


@dataclass(frozen=True)
class Heartbeats:
    """Electrocardiograms of one heartbeat each: series float32 [N, 140], labels uint8 [N], 1 to 5, where 1 is normal.

    Each series has mean 0 and standard deviation 1, as the archive gives it. source says which series.
    """

    series: np.ndarray
    labels: np.ndarray
    source: str


PUBLISHED = {
    "mnist": Published(
        title="MNIST",
        folder="MNIST",
        classes=DIGITS,
        files={
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        embedded="7509eb1c26c6f8051c907cd32be83d8184c5bb34280ace5d741bdfae5cc43b97",
    ),
    "fashion-mnist": Published(
        title="Fashion-MNIST",
        folder="FashionMNIST",
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        files={
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        embedded="fc63698f70e10a5792fdb4edc828f099800d62948c1364828d200c4ef9b22dc7",
    ),
}
NAMES = (*PUBLISHED, "digits")


def load(name: str, *, root: Path | None = None) -> Dataset:
    """The data set called name.

    Raises ValueError for an unknown name or a root without the set, DamagedFile for files that are not the published
    ones.
    """
    check_name(name)
    if name == "digits":
        return load_digits()
    if root is not None and not has_raw(root, name):
        remedy = f"get it with: python -m explorer data get {name} --root {root}"
        raise ValueError(f"{root} has no folder {PUBLISHED[name].folder}/raw; {remedy}")
    for folder in candidate_roots(root):
        if has_raw(folder, name):
            return load_published(name, folder)
    return load_embedded(name)


def load_subset(name: str) -> Dataset:
    """The data set called name as it ships with the project, whatever else is there."""
    check_name(name)
    return load_digits() if name == "digits" else load_embedded(name)


def load_full(name: str) -> Dataset:
    """The full published set called name. Raises ValueError where this machine has it not."""
    check_full(name)
    return load(name)


def check_full(name: str) -> None:
    if not has_full(name):
        title = PUBLISHED[name].title if name in PUBLISHED else name
        raise ValueError(f"The whole of {title} is not here; get it with: python -m explorer data get {name}")


def has_full(name: str) -> bool:
    """Whether the full published set lies where load looks for it."""
    return name in PUBLISHED and any(has_raw(root, name) for root in candidate_roots(None))


def has_raw(root: Path, name: str) -> bool:
    """Whether root has the folder of a published set. What may not be looked into, another user's, has none."""
    try:
        return raw_folder(root, name).is_dir()
    except OSError:
        return False


def titles() -> dict[str, tuple[str, tuple[str, ...]]]:
    """By name, every data set's title and its classes."""
    known = {name: (published.title, published.classes) for name, published in PUBLISHED.items()}
    return {**known, "digits": (DIGITS_TITLE, DIGITS)}


def check_name(name: str, *, known: tuple[str, ...] = NAMES) -> None:
    if name not in known:
        raise ValueError(f"Unknown data set: {name!r}. Must be one of: {', '.join(known)}")


def candidate_roots(root: Path | None) -> list[Path]:
    if root is not None:
        return [root]
    named = os.environ.get("LATENT_EXPLORER_DATA")
    roots = [Path(named)] if named else []
    with contextlib.suppress(ValueError):
        roots.append(cache_root())
    return roots


def cache_root() -> Path:
    """Where `data get` puts sets unless told otherwise. Raises ValueError for a user without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "latent-explorer"
    except RuntimeError as error:
        raise ValueError("There is no home folder to keep data in: name a folder with --root") from error


def load_published(name: str, root: Path) -> Dataset:
    """The full set from root, each file checked against the published one."""
    published = PUBLISHED[name]
    raw = raw_folder(root, name)
    try:
        x_train, y_train, x_test, y_test = (
            read_idx(raw / file, expected_sha256=expected) for file, expected in published.files.items()
        )
    except DamagedFile as error:
        remedy = f"get it again with: python -m explorer data get {name} --root {root}"
        raise DamagedFile(f"{error} ({remedy})") from error
    return Dataset(
        name=name,
        title=published.title,
        source="the full set",
        sha256=sha256("".join(published.files.values()).encode()),
        classes=published.classes,
        x_train=x_train[:, None],
        y_train=y_train,
        x_test=x_test[:, None],
        y_test=y_test,
    )


def read_idx(path: Path, *, expected_sha256: str) -> np.ndarray:
    """An IDX file of unsigned bytes: a big-endian header (magic whose last byte counts the axes; their sizes)."""
    content = read_checked(path, expected_sha256=expected_sha256, max_bytes=MAX_FILE_BYTES)
    axes = content[3]
    shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
    return np.frombuffer(bytearray(content), np.uint8, offset=4 + 4 * axes).reshape(shape)


def load_embedded(name: str) -> Dataset:
    """The stratified subset that ships with the project: 10,000 training and 2,000 test images."""
    published = PUBLISHED[name]
    path = EMBEDDED / f"{name}.npz"
    content = read_checked(path, expected_sha256=published.embedded, max_bytes=MAX_FILE_BYTES)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return Dataset(
            name=name,
            title=published.title,
            source="the embedded subset",
            sha256=published.embedded,
            classes=published.classes,
            x_train=arrays["x_train"],
            y_train=arrays["y_train"],
            x_test=arrays["x_test"],
            y_test=arrays["y_test"],
        )


def load_digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits of 8x8 pixels; every fifth is held out."""
    from sklearn.datasets import load_digits as bundled

    bunch = bundled()
    x = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    y = bunch.target.astype(np.uint8)
    held_out = np.arange(len(x)) % 5 == 4
    return Dataset(
        name="digits",
        title=DIGITS_TITLE,
        source="the full set",
        sha256=sha256(x.tobytes()),
        classes=DIGITS,
        x_train=x[~held_out],
        y_train=y[~held_out],
        x_test=x[held_out],
        y_test=y[held_out],
    )


def load_ecg(root: Path | None = None) -> Heartbeats:
    """ECG5000 of the UCR Time Series Archive (Dau et al. 2019, arXiv:1810.07758): heartbeats of one patient.

    All 5,000 series where a root has ECG5000/ECG5000_TRAIN.txt and ECG5000_TEST.txt, else the embedded first 500.
    Raises DamagedFile for a file that is not the archive's.
    """
    for folder in candidate_roots(root):
        paths = [folder / "ECG5000" / name for name in ECG_ROWS]
        if all(os.path.isfile(path) for path in paths):  # noqa: PTH113  in another user's folder there is none
            parts = [read_ecg(path, rows=ECG_ROWS[path.name]) for path in paths]
            series, labels = (np.concatenate(pair) for pair in zip(*parts))
            return Heartbeats(series, labels, f"all {len(series):,} series")
    content = read_checked(EMBEDDED / "ecg5000.npz", expected_sha256=ECG_EMBEDDED, max_bytes=MAX_FILE_BYTES)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return Heartbeats(arrays["series"], arrays["labels"], f"the {len(arrays['series'])} embedded series")


def read_ecg(path: Path, *, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """series float32 [rows, 140] and labels uint8 [rows] of a text file of the archive.

    A row is a class, then 140 numbers. Raises DamagedFile, naming the file and the row, for anything else.
    """
    lines = read_bounded(path, max_bytes=MAX_FILE_BYTES).decode("ascii", errors="replace").splitlines()
    if len(lines) != rows:
        raise DamagedFile(f"{path} has {len(lines):,} rows, {rows:,} were expected; get the file again")
    values = np.stack([read_ecg_row(line, where=f"{path}, row {row}") for row, line in enumerate(lines, start=1)])
    return values[:, 1:], values[:, 0].astype(np.uint8)


def read_ecg_row(line: str, *, where: str) -> np.ndarray:
    """float32 [141]: the class 1 to 5 and the 140 finite numbers of one row; where names the row in the message."""
    expected = f"expected is a class from 1 to {ECG_CLASSES}, then {ECG_LENGTH} numbers"
    words = line.split()
    try:
        values = np.array(words, np.float32)
    except ValueError as error:
        raise DamagedFile(f"{where}: not all of it are numbers; {expected}") from error
    if len(values) != ECG_LENGTH + 1:
        raise DamagedFile(f"{where}: it has {len(values)} numbers; {expected}")
    if not np.isfinite(values).all():
        raise DamagedFile(f"{where}: not all of its numbers are finite; {expected}")
    if values[0] not in range(1, ECG_CLASSES + 1):
        raise DamagedFile(f"{where}: its class is {values[0]:g}; {expected}")
    return values


def download(name: str, *, root: Path) -> Dataset:
    """Fetch a published set into root with torchvision, unless it is there and sound, then read it.

    It comes together in a folder of its own and is moved only when its hashes are right. A download that was cut goes
    on with the archives it has; of two at once the second waits for the first. Raises ValueError for a name that cannot
    be downloaded, ConnectionError when no mirror answers, Unwritten for a root that cannot be written to.
    """
    check_name(name, known=tuple(PUBLISHED))
    with contextlib.suppress(DamagedFile):
        return load_published(name, root)
    part = root / f".{name}.part"
    try:
        part.mkdir(parents=True, exist_ok=True)
        with alone(part / ".lock"):
            with contextlib.suppress(DamagedFile):  # another process may have fetched it meanwhile
                return load_published(name, root)
            fetch(name, part)
            for file in PUBLISHED[name].files:
                target = raw_folder(root, name) / file
                target.parent.mkdir(parents=True, exist_ok=True)
                move_whole(raw_folder(part, name) / file, target)
            shutil.rmtree(part)
    except OSError as error:
        if isinstance(error, ConnectionError):
            raise
        raise Unwritten(error.errno, error.strerror, str(root)) from error
    return load_published(name, root)


def raw_folder(root: Path, name: str) -> Path:
    return root / PUBLISHED[name].folder / "raw"


def fetch(name: str, into: Path) -> None:
    """Download and unpack a set; archives that are there already, and whole, are not fetched again."""
    for file in PUBLISHED[name].files:  # torchvision would take a part of one for all of it
        (raw_folder(into, name) / file).unlink(missing_ok=True)
    datasets = import_torchvision_datasets()
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENT_S)
    try:
        {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}[name](root=into, download=True)
        load_published(name, into)
    except (OSError, RuntimeError, HTTPException, EOFError, zlib.error, DamagedFile) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        raise ConnectionError(
            f"{PUBLISHED[name].title} could not be downloaded to {into.parent}: {error}. "
            "Check the connection and try again, or copy the files there"
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def import_torchvision_datasets() -> ModuleType:
    """torchvision.datasets, also where a CPU-only torch lacks the two operators a CUDA-linked torchvision looks for."""
    import torch

    for operator, signature in (
        ("nms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"),
        ("qnms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"),
    ):
        if not hasattr(torch.ops.torchvision, operator):
            torch.library.define(f"torchvision::{operator}", signature)
    from torchvision import datasets

    return datasets
