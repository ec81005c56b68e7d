"""Trained models as one zip file: packed to be taken home, unpacked only once everything in it was checked.

A zip has one folder a model, named as its card names it: weights, card, atlas, the atlas's parts and, where there is
one, the state from which training can go on. A zip comes from anywhere: nothing in it is believed.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import math
import os
import re
import shutil
import stat
import struct
import tempfile
import textwrap
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer import atlas, checkpoints, data, described, latent
from explorer.files import DamagedFile, public, read_bounded, read_checked, write_whole

if TYPE_CHECKING:
    from explorer.models import AE

MAX_MODELS = 4
MAX_ENTRIES = 40
MAX_BYTES = 300_000_000
BLOCK = 1_000_000
MAX_TEXT = 200
MAX_MESSAGE = 300
TRAINING = "training-*.safetensors"
LIMITS = {
    re.compile(r"card\.json"): checkpoints.MAX_CARD_BYTES,
    re.compile(r"weights\.safetensors"): checkpoints.MAX_WEIGHTS_BYTES,
    re.compile(r"atlas\.json"): atlas.MAX_MANIFEST_BYTES,
    re.compile(r"(images-[0-9a-f]{12}|codes|decoder|posterior)\.gz"): atlas.MAX_PART_BYTES,
    re.compile(r"training-[0-9a-f]{16}\.safetensors"): 3 * checkpoints.MAX_WEIGHTS_BYTES,
}
DIRECTORY_SIGNATURE = b"PK\x01\x02"
ENCRYPTED = 0x1
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    IndexError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)

Expected = dict[str, tuple[str, tuple[int, ...]]]


# ---- to a zip


def pack(folders: Sequence[Path], target: Path) -> None:
    """Write the models in folders to target, the same bytes for the same models.

    Raises DamagedFile for a folder without a sound card, weights or atlas, ValueError for models that unpack would
    refuse: more than 4, two of one name, too many bytes.
    """
    if not 1 <= len(folders) <= MAX_MODELS:
        raise ValueError(f"A zip holds 1 to {MAX_MODELS} models, got {len(folders)}")
    files: dict[str, bytes] = {}
    for folder in folders:
        files |= files_of(folder, taken={name.split("/")[0].lower() for name in files})
    size = sum(map(len, files.values()))
    if size > MAX_BYTES or len(files) > MAX_ENTRIES:
        raise ValueError(
            f"These models have {len(files)} files of {size:,} bytes together; a zip holds at most {MAX_ENTRIES} files "
            f"of {MAX_BYTES:,} bytes: pack fewer models"
        )
    write_whole(target, to_zip(files))


def files_of(folder: Path, *, taken: set[str]) -> dict[str, bytes]:
    """A model's files by their names in the zip. taken: the names, in small letters, that other models have."""
    card = checkpoints.read_card(folder)
    if not atlas.PLAIN_NAME.fullmatch(card.name) or card.name.lower() in taken:
        raise ValueError(f"Each model in a zip needs a plain name of its own, got {card.name!r:.60}")
    paths = [folder / checkpoints.CARD, folder / atlas.MANIFEST, *sorted(folder.glob(TRAINING))]
    contents = {path.name: read_bounded(path, max_bytes=limit_of(path.name)) for path in paths}
    contents[checkpoints.WEIGHTS] = read_checked(
        folder / checkpoints.WEIGHTS, expected_sha256=card.sha256, max_bytes=checkpoints.MAX_WEIGHTS_BYTES
    )
    for part in atlas.read_manifest(folder)["parts"].values():
        path = atlas.part_path(folder, part["file"])
        contents[path.name] = read_checked(path, expected_sha256=part["sha256"], max_bytes=limit_of(path.name))
    return {f"{card.name}/{name}": contents[name] for name in sorted(contents)}


def to_zip(files: dict[str, bytes]) -> bytes:
    """Stored as they are: nearly all is packed already, or weights, which do not get smaller."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)  # dated 1980
            info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, data)
    return content.getvalue()


def limit_of(file: str) -> int:
    """How many bytes a model's file may have. Raises DamagedFile for a name that no such file has."""
    for pattern, limit in LIMITS.items():
        if pattern.fullmatch(file):
            return limit
    raise DamagedFile(f"{file!r:.60} is not a file of a model")


# ---- from a zip


def unpack(content: bytes, into: Path) -> list[Path]:
    """Write the models of a zip into folders below into, and return these, by name.

    All or nothing: the files are unpacked beside into, checked there, and moved only if each is sound. Raises
    DamagedFile, one sentence that names files as the zip names them, if one is not, or if into has such a model.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{into.name}.") as name:
        temporary = Path(name)
        try:
            folders = extract(content, temporary)
            for folder in folders:
                check_model(folder)
        except DamagedFile as error:
            raise DamagedFile(in_a_line(str(error), temporary)) from error
        except RecursionError as error:
            raise DamagedFile("A file in the zip is nested too deeply") from error
        return move(folders, into)


def in_a_line(message: str, root: Path) -> str:
    """The message as one line of sane length, without the folders above root."""
    readable = public(message.replace(f"{root}{os.sep}", "")).encode("utf-8", "replace").decode()
    return textwrap.shorten(readable, MAX_MESSAGE, placeholder=" …")


def move(folders: list[Path], into: Path) -> list[Path]:
    """Move folders below into, all of them or none."""
    for folder in folders:
        if (into / folder.name).exists():
            raise DamagedFile(f"There is a model called {folder.name} already: remove it or rename the new one")
    into.mkdir(exist_ok=True)
    moved: list[Path] = []
    try:
        for folder in folders:
            moved.append(folder.rename(into / folder.name))
    except BaseException:
        for folder in moved:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return moved


def extract(content: bytes, root: Path) -> list[Path]:
    """Write the files of a zip below root, names and sizes checked, and return the models' folders."""
    archive = open_zip(content)
    entries = [info for info in archive.infolist() if not is_plain_folder(info)]
    for info in entries:
        check_entry(info)
    names = [info.orig_filename.lower() for info in entries]
    models = {name.split("/")[0] for name in names}
    total = sum(info.file_size for info in entries)
    if not models:
        raise DamagedFile("There is no model in the zip")
    if len(models) > MAX_MODELS:
        raise DamagedFile(f"The zip holds {len(models)} models: at most {MAX_MODELS} were expected")
    if len(set(names)) < len(names):
        raise DamagedFile("The zip holds two files of one name")
    if total > MAX_BYTES:
        raise DamagedFile(f"The zip is too large: it unpacks to {total:,} bytes, at most {MAX_BYTES:,} were expected")
    for info in entries:
        write_whole(root / info.orig_filename, read_entry(archive, info))
    return sorted(root.iterdir())


def open_zip(content: bytes) -> zipfile.ZipFile:
    # Each entry has a signature. They are counted before zipfile makes an object of each of what may be millions.
    if content.count(DIRECTORY_SIGNATURE) > MAX_ENTRIES:
        raise DamagedFile(f"The zip has too many files: at most {MAX_ENTRIES} were expected")
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except UNREADABLE as error:
        raise DamagedFile("This is not a zip file, or it is damaged") from error


def is_plain_folder(info: zipfile.ZipInfo) -> bool:
    """Whether this entry only says that there is a model's folder, as other programs write it."""
    name = info.orig_filename
    return name.endswith("/") and bool(atlas.PLAIN_NAME.fullmatch(name[:-1])) and info.file_size == 0


def check_entry(info: zipfile.ZipInfo) -> None:
    """Raise DamagedFile unless this is a file that a model has, at its place and of no more than its size."""
    name = info.orig_filename  # as it is in the zip: filename is mended
    folder, slash, file = name.partition("/")
    if not slash or not atlas.PLAIN_NAME.fullmatch(folder) or "/" in file or "\\" in file:
        raise DamagedFile(
            f"The zip names {name!r:.60}: files in a model's folder, such as name/card.json, were expected"
        )
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise DamagedFile(f"{name!r:.60} in the zip is a link or a device: plain files were expected")
    if info.flag_bits & ENCRYPTED:
        raise DamagedFile("The zip is encrypted: one without a password was expected")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DamagedFile(f"{name} is compressed in an unusual way: stored or deflated was expected")
    limit = limit_of(file)
    if info.file_size > limit:
        raise DamagedFile(f"{name} is too large: {info.file_size:,} bytes, at most {limit:,} were expected")


def read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The entry's bytes, as many as it declares; of one that unpacks to more, one byte more is all that is read."""
    name, size = info.orig_filename, info.file_size
    damaged = DamagedFile(f"{name} does not unpack to the {size:,} bytes that the zip declares: it is damaged")
    wider = copy.copy(info)
    wider.file_size += 1  # zipfile cuts at this size and says nothing
    try:
        with archive.open(wider) as file:
            content = file.read(size + 1)
    except UNREADABLE as error:
        raise damaged from error
    if len(content) != size:
        raise damaged
    return content


# ---- checks of one model


def check_model(folder: Path) -> None:
    """Raise DamagedFile unless the model in folder is whole and its card, weights and atlas are of one model."""
    check_files(folder)
    card = checkpoints.read_card(folder)
    check_card(card, folder)
    weights = folder / checkpoints.WEIGHTS
    check_header(weights, weights.read_bytes()[:8])
    try:
        module, _ = checkpoints.load(folder)
    except KeyError as error:
        raise DamagedFile(f"{weights} holds an unknown kind of number: {error}") from error
    for path in folder.glob(TRAINING):
        check_training(path, module)
    check_atlas(folder, module, card)


def check_files(folder: Path) -> None:
    """Raise DamagedFile unless folder has the files of a model and no others."""
    found = {path.name for path in folder.iterdir()} - {path.name for path in folder.glob(TRAINING)}
    needed = {checkpoints.CARD, checkpoints.WEIGHTS, atlas.MANIFEST}
    if needed <= found:
        needed |= {part["file"] for part in atlas.read_manifest(folder)["parts"].values()}
    for file in sorted(needed - found):
        raise DamagedFile(f"{folder.name} lacks {file!r:.60}: a model's folder needs it")
    for file in sorted(found - needed):
        raise DamagedFile(f"{folder / file} is not named in {atlas.MANIFEST}: it is no part of this model")


def check_card(card: checkpoints.Card, folder: Path) -> None:
    """Raise DamagedFile unless the card has the folder's name and its texts can be shown."""
    if card.name != folder.name:
        raise DamagedFile(f"{folder / checkpoints.CARD} names {card.name!r:.60}: its folder's name was expected")
    versions = card.versions if isinstance(card.versions, dict) else {"": None}
    texts = [*(value for value in vars(card).values() if isinstance(value, str)), *versions, *versions.values()]
    if not all(isinstance(text, str) and len(text) <= MAX_TEXT and text.isprintable() for text in texts):
        raise DamagedFile(f"{folder / checkpoints.CARD} is not a model card: short texts of one line were expected")


def check_header(path: Path, start: bytes) -> None:
    """Raise DamagedFile if start, with which a safetensors file starts, announces more tensors than memory may hold."""
    if int.from_bytes(start, "little") > checkpoints.HEADER_BYTES:
        raise DamagedFile(f"{path} is not sound: a header of at most {checkpoints.HEADER_BYTES:,} bytes was expected")


def check_training(path: Path, module: AE) -> None:
    """Raise DamagedFile unless a training can go on from path, and is one of such a model."""
    from explorer import resume

    def architecture(model: AE) -> tuple[object, ...]:
        return type(model), model.arch, model.hidden, model.image_shape, model.latent_dim

    if architecture(resume.read(path)[0]) != architecture(module):
        raise DamagedFile(f"{path} is not a training of this model: its architecture is another")


def check_atlas(folder: Path, module: AE, card: checkpoints.Card) -> None:
    """Raise DamagedFile unless the atlas in folder has all that one of this model has, and the model's own decoder."""
    manifest = atlas.read_manifest(folder)
    n, d = manifest["n"], card.latent_dim
    if type(n) is not int or n < 1:
        raise DamagedFile(f"{folder.name}/{atlas.MANIFEST} is not sound: n must be a whole number of at least 1")
    images = read_part(folder, "images")
    check_arrays(folder, "images", images, {"images": ("uint8", (n, *card.image_shape))})
    check_manifest(folder, manifest, module, images["images"])
    codes = read_part(folder, "codes")
    check_codes(folder, codes, n=n, d=d)
    check_data(folder, manifest, card, labels=codes["labels"])
    check_decoder(folder, read_part(folder, "decoder"), module)
    posterior: Expected = {"logvar": ("float16", (n, d))} if card.model == "vae" else {}
    check_arrays(folder, "posterior", read_part(folder, "posterior"), posterior)


def check_manifest(folder: Path, manifest: dict[str, Any], module: AE, images: np.ndarray) -> None:
    """Raise DamagedFile unless the manifest says of the decoder and the images what is so."""
    path, trust, layers = folder / atlas.MANIFEST, manifest["trust"], list(atlas.decoder_layers(module))
    # For Python 1 is True is 1.0, for a browser it is not. Unequal lists may be nested too deeply to be dumped.
    if manifest["layers"] != layers or json_text(manifest["layers"]) != json_text(layers):
        raise DamagedFile(f"{path} is not sound: its layers are not those of the model's decoder")
    if set(trust) != {"points", "neighbours"} or not all(type(v) is int and v > 0 for v in trust.values()):
        raise DamagedFile(f"{path} is not sound: trust must have whole numbers of points and neighbours")
    if not math.isclose(manifest["perfect_copy"], perfect_copy(images), rel_tol=1e-6, abs_tol=1e-6):
        raise DamagedFile(f"{path} is not sound: perfect_copy is not that of its images")


def check_data(folder: Path, manifest: dict[str, Any], card: checkpoints.Card, *, labels: np.ndarray) -> None:
    """Raise DamagedFile unless it can be told what the labels, and the columns of a table, are called."""
    path, about = folder / atlas.MANIFEST, described.about_of(manifest)
    if card.dataset not in data.NAMES and about is None:
        raise DamagedFile(
            f"{path} is not sound: it does not say the classes of {card.dataset!r:.60}, which is not here"
        )
    features = about.features if about else ()
    if features and card.image_shape != (1, 1, len(features)):
        raise DamagedFile(f"{path} is not sound: {len(features)} features are not those of images {card.image_shape}")
    classes = data.titles()[card.dataset][1] if card.dataset in data.NAMES else about.classes if about else ()
    if labels.max() >= len(classes):
        raise DamagedFile(f"{path} is not sound: there are labels of class {labels.max()}, and {len(classes)} classes")


def perfect_copy(images: np.ndarray) -> float:
    """atlas.perfect_copy a million pixels at a time: it takes eight times the memory of what it counts."""
    pixels = images.ravel()
    blocks = (pixels[i : i + BLOCK] for i in range(0, len(pixels), BLOCK))
    return sum(atlas.perfect_copy(block) * len(block) for block in blocks) / len(images)


def json_text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def check_codes(folder: Path, codes: atlas.Arrays, *, n: int, d: int) -> None:
    """Raise DamagedFile unless codes has the arrays of n codes of d dimensions; those of UMAP may be missing."""
    parts = min(max(codes.get("mixture_weights", np.empty(latent.MIXTURE_PARTS)).size, 1), latent.MIXTURE_PARTS)
    expected = code_arrays(n=n, d=d, parts=parts)
    if not {"umap", "trust_umap"} & set(codes):
        del expected["umap"], expected["trust_umap"]
    check_arrays(folder, "codes", codes, expected)
    if not np.array_equal(np.sort(codes["order"]), np.arange(d)):
        raise DamagedFile(f"{folder.name}/codes.gz is not sound: order must name each dimension once")
    weights = codes["mixture_weights"]
    if weights.min() < 0 or abs(weights.sum(dtype=np.float64) - 1) > 1e-3:
        raise DamagedFile(f"{folder.name}/codes.gz is not sound: mixture_weights must be shares of 1")


def code_arrays(*, n: int, d: int, parts: int) -> Expected:
    """Kinds and shapes of the arrays in codes, see atlas.Atlas."""
    shapes: dict[str, tuple[int, ...]] = {
        "codes": (n, d),
        "quantiles": (d, latent.QUANTILES),
        "activity": (d,),
        "kl_per_dim": (d,),
        "pca_mean": (d,),
        "pca_components": (2, d),
        "pca_explained": (2,),
        "mixture_weights": (parts,),
        "mixture_means": (parts, d),
        "mixture_cholesky": (parts, d, d),
        "distances": (latent.QUANTILES,),
        "trust_raw": (d, d),
        "trust_pca": (1,),
        "trust_umap": (1,),
    }
    others: Expected = {"labels": ("uint8", (n,)), "umap": ("float16", (n, 2)), "order": ("int32", (d,))}
    return {**{name: ("float32", shape) for name, shape in shapes.items()}, **others}


def check_decoder(folder: Path, arrays: atlas.Arrays, module: AE) -> None:
    """Raise DamagedFile unless arrays are the decoder's own weights, as float32 or rounded to float16."""
    state = module.decoder.state_dict()
    kinds = {name: "float16" if arrays.get(name, np.empty(0)).dtype == np.float16 else "float32" for name in state}
    check_arrays(folder, "decoder", arrays, {name: (kinds[name], tuple(value.shape)) for name, value in state.items()})
    for name, value in state.items():
        own = (value.half() if kinds[name] == "float16" else value).numpy()
        if not np.array_equal(arrays[name], own):
            raise DamagedFile(f"{folder.name}/decoder.gz is not of this model: its {name} is not that of the weights")


def check_arrays(folder: Path, part: str, arrays: atlas.Arrays, expected: Expected) -> None:
    """Raise DamagedFile unless arrays have the expected names, kinds and shapes and hold finite numbers."""
    found = {name: (value.dtype.name, value.shape) for name, value in arrays.items()}
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            got, wanted = describe(found.get(name)), describe(expected.get(name))
            raise DamagedFile(f"{folder.name}/{part}.gz is not sound: {name!r:.60} is {got}, expected was {wanted}")
        if not np.isfinite(arrays[name]).all():
            raise DamagedFile(f"{folder.name}/{part}.gz is not sound: {name} holds numbers that are not finite")


def describe(array: tuple[str, tuple[int, ...]] | None) -> str:
    return f"{array[0]} {list(array[1])}" if array else "not there"


def read_part(folder: Path, name: str) -> atlas.Arrays:
    """A part's arrays, as atlas.read_part gives them, once its name, its size and what it unpacks to are checked."""
    entry = atlas.read_manifest(folder)["parts"].get(name)
    if entry is None:
        return {}
    path = folder / entry["file"]
    file = f"images-{entry['sha256'][:12]}.gz" if name == "images" else f"{name}.gz"
    if (path.name, path.stat().st_size) != (file, entry["bytes"]):
        raise DamagedFile(f"{folder / atlas.MANIFEST} is not sound: the name or the size of the part {name} is wrong")
    check_unpacked(path)
    try:
        return atlas.read_part(folder, name)
    except KeyError as error:
        raise DamagedFile(f"{path} holds an unknown kind of number: {error}") from error


def check_unpacked(path: Path) -> None:
    """Raise DamagedFile if a gzipped part is larger than it may be, or has too many arrays."""
    try:
        with gzip.open(path) as packed:
            start = packed.read(8)
            rest = len(packed.read(atlas.MAX_PART_BYTES))
    except (OSError, EOFError, zlib.error) as error:
        raise DamagedFile(f"{path} is not a part of an atlas: {error}") from error
    check_header(path, start)
    if len(start) + rest > atlas.MAX_PART_BYTES:
        raise DamagedFile(f"{path} is too large: at most {atlas.MAX_PART_BYTES:,} bytes were expected once unpacked")
