from __future__ import annotations

import gzip
import io
import json
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

import explorer
from explorer import atlas, catalogue, checkpoints, packing, resume
from explorer.files import DamagedFile, sha256
from tests.damage import unsealed

AE, VAE = "digits-ae-3", "digits-vae-3"
CARD, WEIGHTS, MANIFEST, CODES = (
    f"{VAE}/{name}" for name in ("card.json", "weights.safetensors", "atlas.json", "codes.gz")
)

Files = dict[str, bytes]


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory, shipped: Path) -> bytes:
    """A zip of the AE and the VAE, each with its training."""
    target = tmp_path_factory.mktemp("packed") / "both.zip"
    packing.pack([shipped / AE, shipped / VAE], target)
    return target.read_bytes()


@pytest.fixture
def files(packed: bytes) -> Files:
    """A test's own copy of what is in the zip, to be damaged."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a neighbour that has to stay as it is."""
    (tmp_path / "home").mkdir()
    (tmp_path / "neighbour").write_text("as it is")
    return tmp_path / "home"


def zip_of(files: Files, *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return content.getvalue()


def refusal(content: bytes, home: Path) -> str:
    """The sentence with which a zip is refused, once it is seen that nothing was written."""
    before = everything_below(home.parent)
    with pytest.raises(DamagedFile) as raised:
        packing.unpack(content, home / "models")
    assert everything_below(home.parent) == before
    message = str(raised.value)
    assert str(home.parent) not in message
    assert "\n" not in message
    assert len(message) <= 300
    assert message[0].isupper() or message.startswith(("digits-", "'"))
    assert not message.endswith(".")
    return message


def everything_below(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in root.rglob("*")}


def changed(content: bytes, **values: Any) -> bytes:
    return json.dumps({**unsealed(content), **values}).encode()


def with_part(files: Files, part: str, content: bytes) -> Files:
    """files with the VAE's part of this content in a manifest that says so, as one who means harm would."""
    manifest = unsealed(files[MANIFEST])
    entry = manifest["parts"][part]
    rest = {name: data for name, data in files.items() if name != f"{VAE}/{entry['file']}"}
    file = f"images-{sha256(content)[:12]}.gz" if part == "images" else entry["file"]
    manifest["parts"][part] = {"file": file, "sha256": sha256(content), "bytes": len(content)}
    return {**rest, f"{VAE}/{file}": content, MANIFEST: json.dumps(manifest).encode()}


def unpacked_part(files: Files, part: str) -> bytes:
    return gzip.decompress(files[f"{VAE}/{json.loads(files[MANIFEST])['parts'][part]['file']}"])


def with_arrays(files: Files, part: str, change: Callable[[atlas.Arrays], object]) -> Files:
    arrays = safetensors.numpy.load(unpacked_part(files, part))
    change(arrays)
    return with_part(files, part, gzip.compress(atlas.pack(arrays), 1))


def with_weights(files: Files, content: bytes) -> Files:
    return {**files, WEIGHTS: content, CARD: changed(files[CARD], sha256=sha256(content))}


def tensors_header(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


# ---- there and back


def test_what_was_packed_is_unpacked_byte_for_byte(packed: bytes, files: Files, shipped: Path, home: Path) -> None:
    folders = packing.unpack(packed, home / "models")
    assert folders == [home / "models" / AE, home / "models" / VAE]
    assert {f"{path.parent.name}/{path.name}": path.read_bytes() for path in home.rglob("*.*")} == files
    for folder in folders:
        for path in (shipped / folder.name).iterdir():
            assert (folder / path.name).read_bytes() == path.read_bytes()
    assert [path.name for path in home.iterdir()] == ["models"]


def test_what_was_unpacked_is_a_model_like_any_other(packed: bytes, shipped: Path, home: Path) -> None:
    packing.unpack(packed, home / "models")
    found = catalogue.read(home / "models")
    assert ([entry.card.name for entry in found.entries], found.problems) == ([AE, VAE], ())
    assert resume.is_in(home / "models" / VAE)
    z = np.zeros((1, 3), np.float32)
    expected = explorer.load(shipped / VAE).decode(z)
    np.testing.assert_array_equal(explorer.load(home / "models" / VAE).decode(z), expected)
    assert atlas.load(home / "models" / VAE).layers == atlas.load(shipped / VAE).layers


def test_the_same_models_give_the_same_bytes(packed: bytes, home: Path) -> None:
    folders = packing.unpack(packed, home / "models")
    packing.pack(folders, home / "again.zip")
    assert (home / "again.zip").read_bytes() == packed


def test_a_zip_that_another_program_packed_again_is_read(files: Files, home: Path) -> None:
    again = {f"{AE}/": b"", f"{VAE}/": b"", **files}
    assert len(packing.unpack(zip_of(again), home / "models")) == 2


def test_a_new_model_stands_beside_the_ones_that_are_there(files: Files, home: Path) -> None:
    for name in (AE, VAE):
        one = {file: data for file, data in files.items() if file.startswith(name)}
        assert packing.unpack(zip_of(one), home / "models") == [home / "models" / name]
    assert len(list((home / "models").iterdir())) == 2


def test_a_model_without_umap_is_sound(files: Files, home: Path) -> None:
    def drop(arrays: atlas.Arrays) -> None:
        del arrays["umap"], arrays["trust_umap"]

    assert packing.unpack(zip_of(with_arrays(files, "codes", drop)), home / "models")


def test_a_decoder_in_float32_is_sound(files: Files, home: Path) -> None:
    weights = safetensors.numpy.load(files[WEIGHTS])
    own = {name.removeprefix("decoder."): value for name, value in weights.items() if name.startswith("decoder.")}
    assert packing.unpack(zip_of(with_arrays(files, "decoder", lambda arrays: arrays.update(own))), home / "models")


def test_every_shipped_model_can_be_packed_and_unpacked(home: Path) -> None:
    folders = sorted(path.parent for path in checkpoints.PRETRAINED.glob(f"*/{checkpoints.CARD}"))
    for start in range(0, len(folders), packing.MAX_MODELS):
        packing.pack(folders[start : start + packing.MAX_MODELS], home / "some.zip")
        packing.unpack((home / "some.zip").read_bytes(), home / "models")
    assert len(list((home / "models").iterdir())) == len(folders)


# ---- what is not packed


@pytest.mark.parametrize("count", [0, 5])
def test_too_few_or_too_many_models_are_not_packed(shipped: Path, tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match=f"A zip holds 1 to 4 models, got {count}"):
        packing.pack([shipped / AE] * count, tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())


def test_two_models_of_one_name_are_not_packed(shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a plain name of its own, got 'digits-ae-3'"):
        packing.pack([shipped / AE] * 2, tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())


def test_what_unpack_would_find_too_large_is_not_packed(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MAX_BYTES", 10_000)
    with pytest.raises(ValueError, match="at most 40 files of 10,000 bytes: pack fewer models"):
        packing.pack([shipped / AE], tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", ["weights.safetensors", "card.json", "atlas.json", "codes.gz"])
def test_a_damaged_model_is_not_packed(library: Path, tmp_path: Path, file: str) -> None:
    path = library / AE / file
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DamagedFile, match=file):
        packing.pack([library / AE], tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


# ---- what is no zip of models


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + bytes(99), gzip.compress(b"x", mtime=0)])
def test_what_is_no_zip_is_refused(home: Path, content: bytes) -> None:
    assert refusal(content, home) == "This is not a zip file, or it is damaged"


def test_a_zip_that_was_cut_short_is_refused(packed: bytes, home: Path) -> None:
    assert refusal(packed[:-30], home) == "This is not a zip file, or it is damaged"


def test_an_encrypted_zip_is_refused(packed: bytes, home: Path) -> None:
    content = bytearray(packed)
    content[content.index(packing.DIRECTORY_SIGNATURE) + 8] |= packing.ENCRYPTED
    assert refusal(bytes(content), home) == "The zip is encrypted: one without a password was expected"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unusual_compression_is_refused(files: Files, home: Path, method: int) -> None:
    assert "is compressed in an unusual way" in refusal(zip_of(files, method=method), home)


@pytest.mark.parametrize("files", [{}, {f"{AE}/": b""}])
def test_a_zip_without_a_model_is_refused(home: Path, files: Files) -> None:
    assert refusal(zip_of(files), home) == "There is no model in the zip"


def test_more_than_four_models_are_refused(home: Path) -> None:
    content = zip_of({f"digits-{i}/card.json": b"{}" for i in range(5)})
    assert refusal(content, home) == "The zip holds 5 models: at most 4 were expected"


def test_more_than_forty_files_are_refused(home: Path) -> None:
    content = zip_of({f"digits/training-{i:016x}.safetensors": b"" for i in range(41)})
    assert refusal(content, home) == "The zip has too many files: at most 40 were expected"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", [CARD, CARD.replace("digits", "Digits")])
def test_two_files_of_one_name_are_refused(files: Files, home: Path, second: str) -> None:
    content = io.BytesIO(zip_of(files))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(second, b"{}")
    assert refusal(content.getvalue(), home) == "The zip holds two files of one name"


@pytest.mark.parametrize(
    "name",
    [
        "../card.json",
        "../../card.json",
        "digits/../card.json",
        "digits/../../card.json",
        "./card.json",
        "/card.json",
        "//card.json",
        "/tmp/digits/card.json",
        "digits//card.json",
        "digits\\card.json",
        "..\\digits/card.json",
        "digits/..\\card.json",
        "C:/card.json",
        "C:\\digits\\card.json",
        "C:digits/card.json",
        "card.json",
        ".digits/card.json",
        "a b/card.json",
        "digits\0/card.json",
        "digits/deeper/card.json",
        "digits/deeper/",
        "digits/card.json/",
        "../",
        "x" * 101 + "/card.json",
        "__MACOSX/digits/._card.json",
    ],
)
def test_a_name_that_is_not_a_file_in_a_models_folder_is_refused(files: Files, home: Path, name: str) -> None:
    placeholder = name.replace("\0", "@")  # zipfile would cut the name there
    content = zip_of({**files, placeholder: b"{}"}).replace(placeholder.encode(), name.encode())
    assert "files in a model's folder, such as name/card.json, were expected" in refusal(content, home)


def test_a_name_that_leads_to_a_real_place_is_not_followed(files: Files, home: Path) -> None:
    refusal(zip_of({**files, f"{home.parent}/neighbour": b"changed"}), home)
    refusal(zip_of({**files, "../../neighbour": b"changed"}), home)


@pytest.mark.parametrize(
    "file",
    [
        "weights.pt",
        "weights.pkl",
        "card.json.exe",
        "CARD.JSON",
        ".card.json",
        "card.json\0",
        "card.json\n",
        "images.gz",
        "images-xyz.gz",
        "training.safetensors",
        "training-..safetensors",
        "x" * 300,
    ],
)
def test_a_file_that_no_model_has_is_refused(files: Files, home: Path, file: str) -> None:
    placeholder = file.replace("\0", "@")
    content = zip_of({**files, f"{VAE}/{placeholder}": b"{}"})
    content = content.replace(f"{VAE}/{placeholder}".encode(), f"{VAE}/{file}".encode())
    assert "is not a file of a model" in refusal(content, home)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK, stat.S_IFDIR])
def test_a_link_is_refused(files: Files, home: Path, kind: int) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind if name == CARD else stat.S_IFREG) << 16
            archive.writestr(info, b"/etc/passwd" if name == CARD else data)
    message = f"'{CARD}' in the zip is a link or a device: plain files were expected"
    assert refusal(content.getvalue(), home) == message


# ---- bombs


def declare(content: bytes, name: str, size: int, *, checksum: int | None = None) -> bytes:
    """The zip with another size, and checksum, declared for one of its files."""
    start = content.index(packing.DIRECTORY_SIGNATURE)
    while content[start + 46 : start + 46 + len(name)] != name.encode():
        start = content.index(packing.DIRECTORY_SIGNATURE, start + 1)
    changed = bytearray(content)
    changed[start + 24 : start + 28] = struct.pack("<I", size)
    if checksum is not None:
        changed[start + 16 : start + 20] = struct.pack("<I", checksum)
    return bytes(changed)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        (CARD, checkpoints.MAX_CARD_BYTES),
        (MANIFEST, atlas.MAX_MANIFEST_BYTES),
        (WEIGHTS, checkpoints.MAX_WEIGHTS_BYTES),
        (CODES, atlas.MAX_PART_BYTES),
        (f"{VAE}/training-{'0' * 16}.safetensors", 3 * checkpoints.MAX_WEIGHTS_BYTES),
    ],
)
def test_a_file_that_declares_to_be_too_large_is_refused(files: Files, home: Path, name: str, limit: int) -> None:
    content = zip_of({**files, name: b"{}"})
    message = f"{name} is too large: {limit + 1:,} bytes, at most {limit:,} were expected"
    assert refusal(declare(content, name, limit + 1), home) == message
    assert "too large" not in refusal(declare(content, name, limit), home)


def test_files_that_are_too_large_together_are_refused(files: Files, home: Path) -> None:
    content = zip_of(files)
    for name in (f"{model}/{part}.gz" for model in (AE, VAE) for part in ("codes", "decoder")):
        content = declare(content, name, 90_000_000)
    assert "at most 300,000,000 were expected" in refusal(content, home)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("change", [-1, 1, 1000])
def test_a_file_that_is_not_as_large_as_it_declares_is_refused(
    files: Files, home: Path, method: int, change: int
) -> None:
    content = declare(zip_of(files, method=method), CARD, len(files[CARD]) + change)
    assert f"{CARD} does not unpack to the" in refusal(content, home)


@pytest.mark.parametrize("seen", [0, 500, 501, 50_000_000])
def test_a_bomb_that_declares_to_be_small_is_not_unpacked(
    files: Files, home: Path, monkeypatch: pytest.MonkeyPatch, seen: int
) -> None:
    """seen: how many of its bytes the checksum is of."""
    sizes = []

    class Watched:
        def __init__(self, *options: int) -> None:
            self.real = decompressor(*options)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def decompress(self, content: bytes, limit: int = 0) -> bytes:
            sizes.append(len(result := self.real.decompress(content, limit)))
            return result

    bomb, decompressor = bytes(50_000_000), zlib.decompressobj
    content = declare(zip_of({**files, CARD: bomb}), CARD, 500, checksum=zlib.crc32(bomb[:seen]))
    monkeypatch.setattr(zlib, "decompressobj", Watched)
    assert f"{CARD} does not unpack to the 500 bytes that the zip declares" in refusal(content, home)
    assert sizes
    assert max(sizes) < 1_000_000


def test_a_part_that_unpacks_without_end_is_refused(files: Files, home: Path) -> None:
    bomb = gzip.compress(bytes(atlas.MAX_PART_BYTES + 1), 1)
    assert refusal(zip_of(with_part(files, "codes", bomb)), home) == (
        f"{CODES} is too large: at most 100,000,000 bytes were expected once unpacked"
    )


@pytest.mark.parametrize("size", [checkpoints.HEADER_BYTES + 1, 2**63])
def test_so_many_tensors_that_they_fill_the_memory_are_refused(files: Files, home: Path, size: int) -> None:
    content = struct.pack("<Q", size) + bytes(200)
    for damaged in (with_weights(files, content), with_part(files, "codes", gzip.compress(content))):
        assert "a header of at most 100,000 bytes was expected" in refusal(zip_of(damaged), home)


def test_millions_of_entries_are_not_even_listed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("was opened"))
    assert "too many files" in refusal(packing.DIRECTORY_SIGNATURE * 100_000, home)


# ---- models that are not sound


@pytest.mark.parametrize("name", [CARD, WEIGHTS, MANIFEST, CODES, f"{VAE}/posterior.gz"])
def test_a_model_that_lacks_a_file_is_refused(files: Files, home: Path, name: str) -> None:
    del files[name]
    assert refusal(zip_of(files), home) == f"{VAE} lacks {name.split('/')[1]!r}: a model's folder needs it"


def test_images_that_lie_where_the_zip_goes_are_no_substitute(files: Files, home: Path) -> None:
    name = next(name for name in files if name.startswith(f"{VAE}/images"))
    (home / "models").mkdir()
    (home / "models" / name.split("/")[1]).write_bytes(files.pop(name))
    assert "lacks 'images-" in refusal(zip_of(files), home)


def test_a_file_that_the_atlas_does_not_name_is_refused(files: Files, home: Path) -> None:
    files[f"{AE}/posterior.gz"] = files[f"{VAE}/posterior.gz"]
    message = f"{AE}/posterior.gz is not named in atlas.json: it is no part of this model"
    assert refusal(zip_of(files), home) == message


def test_a_card_of_another_name_is_refused(files: Files, home: Path) -> None:
    renamed = {name.replace(VAE, "digits-mine"): data for name, data in files.items()}
    message = "digits-mine/card.json names 'digits-vae-3': its folder's name was expected"
    assert refusal(zip_of(renamed), home) == message


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"format": "x" * 5000},
        {"latent_dim": 4},
        {"latent_dim": 10**400},
        {"hidden": [64]},
        {"hidden": []},
        {"hidden": [8192] * 6},
        {"image_shape": [1, 8, 9]},
        {"model": "ae"},
        {"model": "gan"},
        {"arch": "conv"},
        {"beta": float("nan")},
        {"history": [[]]},
        {"sha256": "0" * 64},
        {"name": 5},
        {"dataset": "two\nlines"},
        {"dataset": "half \ud800"},
        {"data_source": "x" * 201},
        {"versions": {"torch": 2}},
        {"versions": {"x" * 201: "2"}},
        {"versions": ["2"]},
        {"\ud800" * 9: "unknown"},
        {"x" * 5000: "unknown"},
    ],
)
def test_a_card_that_is_not_sound_is_refused(files: Files, home: Path, changes: dict[str, Any]) -> None:
    message = refusal(zip_of({**files, CARD: changed(files[CARD], **changes)}), home)
    message.encode()
    assert message.startswith(f"{VAE}/")


@pytest.mark.parametrize("file", [CARD, MANIFEST])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"null", b'{"format": 1}'])
def test_what_is_no_record_is_refused(files: Files, home: Path, file: str, content: bytes) -> None:
    assert refusal(zip_of({**files, file: content}), home).startswith(f"{file} is not a")


@pytest.mark.parametrize("depth", [10, 500, 800, 850, 900, 950, 990, 5000])
@pytest.mark.parametrize(
    ("file", "key"), [(CARD, "name"), (CARD, "format"), (MANIFEST, "layers"), (MANIFEST, "format")]
)
def test_a_record_that_is_nested_deeply_is_refused(files: Files, home: Path, file: str, key: str, depth: int) -> None:
    record = {**unsealed(files[file]), key: "@"}
    text = json.dumps(record).replace('"@"', "[" * depth + "]" * depth)
    assert refusal(zip_of({**files, file: text.encode()}), home)


def exotic(kind: str, *, size: int) -> bytes:
    """A safetensors file of eight numbers of a kind that we do not use."""
    return tensors_header({"a": {"dtype": kind, "shape": [8], "data_offsets": [0, size]}}, bytes(size))


EXOTIC = (exotic("BF16", size=16), exotic("F8_E4M3", size=8), exotic("F8_E8M0", size=8), exotic("F4", size=4))


def spoil_value(tensors: dict[str, torch.Tensor]) -> None:
    tensors["decoder.0.bias"][0] = torch.nan


@pytest.mark.parametrize(
    "change",
    [
        spoil_value,
        lambda tensors: tensors.pop("decoder.0.bias"),
        lambda tensors: tensors.update(extra=torch.zeros(1)),
        lambda tensors: tensors.update({"decoder.0.bias": torch.zeros(31)}),
        lambda tensors: tensors.update({"decoder.0.bias": torch.zeros(32, dtype=torch.float64)}),
    ],
)
def test_weights_that_are_not_sound_are_refused(
    files: Files, home: Path, change: Callable[[dict[str, torch.Tensor]], object]
) -> None:
    tensors = safetensors.torch.load(files[WEIGHTS])
    change(tensors)
    content = safetensors.torch.save(tensors)
    assert refusal(zip_of(with_weights(files, content)), home).startswith(f"{WEIGHTS} ")


@pytest.mark.parametrize("content", [b"", b"not safetensors", *EXOTIC])
def test_what_are_no_weights_is_refused(files: Files, home: Path, content: bytes) -> None:
    assert refusal(zip_of(with_weights(files, content)), home).startswith(f"{WEIGHTS} ")


def test_weights_of_another_hash_are_refused(files: Files, home: Path) -> None:
    files[WEIGHTS] = files[WEIGHTS][:-1] + b"\1"
    assert f"{WEIGHTS} is damaged" in refusal(zip_of(files), home)


def test_a_training_that_is_not_sound_is_refused(files: Files, home: Path) -> None:
    name = next(name for name in files if "training-" in name)
    files[name] = files[name][:-1]
    assert refusal(zip_of(files), home).startswith(f"{name} ")


def test_a_training_of_another_model_is_refused(files: Files, home: Path) -> None:
    file = next(name for name in files if name.startswith(f"{AE}/training-")).split("/")[1]
    files[f"{VAE}/{file}"] = files[f"{AE}/{file}"]
    message = f"{VAE}/{file} is not a training of this model: its architecture is another"
    assert refusal(zip_of(files), home) == message


# ---- atlases that are not sound


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.update(n=121),
        lambda manifest: manifest.update(n=0),
        lambda manifest: manifest.update(n=True),
        lambda manifest: manifest.update(n=10**300),
        lambda manifest: manifest.update(perfect_copy=float("nan")),
        lambda manifest: manifest.update(perfect_copy=manifest["perfect_copy"] + 1),
        lambda manifest: manifest.update(trust={}),
        lambda manifest: manifest["trust"].update(points=-1),
        lambda manifest: manifest["trust"].update(points="<b>"),
        lambda manifest: manifest["trust"].update(more=1),
        lambda manifest: manifest["layers"].pop(),
        lambda manifest: manifest["layers"].append({"kind": "relu"}),
        lambda manifest: manifest["layers"][0].update(weight="2.weight"),
        lambda manifest: manifest["layers"][0].update(more=1),
        lambda manifest: manifest["layers"][3].update(shape=[True, 8, 8]),
        lambda manifest: manifest["layers"][3].update(shape=[1.0, 8, 8]),
        lambda manifest: manifest["parts"]["codes"].update(bytes=5),
        lambda manifest: manifest["parts"]["codes"].update(sha256="0" * 64),
        lambda manifest: manifest["parts"]["codes"].update(file="decoder.gz"),
        lambda manifest: manifest["parts"]["codes"].update(file="../codes.gz"),
        lambda manifest: manifest["parts"].update(codes=manifest["parts"]["decoder"]),
        lambda manifest: manifest["parts"].pop("posterior"),
    ],
)
def test_a_manifest_that_does_not_say_what_is_so_is_refused(
    files: Files, home: Path, change: Callable[[dict], object]
) -> None:
    manifest = unsealed(files[MANIFEST])
    change(manifest)
    files[MANIFEST] = json.dumps(manifest).encode()
    assert refusal(zip_of(files), home).startswith(VAE)


def test_a_vae_without_a_posterior_is_refused(files: Files, home: Path) -> None:
    manifest = unsealed(files[MANIFEST])
    del manifest["parts"]["posterior"], files[f"{VAE}/posterior.gz"]
    files[MANIFEST] = json.dumps(manifest).encode()
    message = f"{VAE}/posterior.gz is not sound: 'logvar' is not there, expected was float16 [120, 3]"
    assert refusal(zip_of(files), home) == message


CODE_ARRAYS = (
    *("codes", "labels", "quantiles", "activity", "order", "kl_per_dim", "pca_mean", "pca_components"),
    *("pca_explained", "mixture_weights", "mixture_means", "mixture_cholesky", "distances", "trust_raw", "trust_pca"),
)
ARRAYS = (
    *(("codes", name) for name in (*CODE_ARRAYS, "umap", "trust_umap")),
    ("images", "images"),
    *(("decoder", f"{layer}.{kind}") for layer in (0, 2) for kind in ("weight", "bias")),
    ("posterior", "logvar"),
)
EVERY_ARRAY = pytest.mark.parametrize(("part", "name"), ARRAYS)
WHOLE_NUMBERS = ("images", "labels", "order")


def test_all_arrays_of_an_atlas_are_tried(shipped: Path) -> None:
    made = atlas.load(shipped / VAE)
    assert set(made.codes) == {*CODE_ARRAYS, "umap", "trust_umap"}
    assert set(made.decoder) == {"0.weight", "0.bias", "2.weight", "2.bias"}


@EVERY_ARRAY
@pytest.mark.parametrize(
    "change",
    [
        lambda value: value[:0],
        lambda value: np.concatenate([value, value]),
        lambda value: value[None],
        lambda value: np.zeros((2, 2), value.dtype),
        lambda value: value.astype(np.float64),
        lambda value: value.astype(np.complex64),
        lambda value: value.astype(np.int64),
    ],
)
def test_an_array_of_another_kind_or_shape_is_refused(
    files: Files, home: Path, part: str, name: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    def spoil(arrays: atlas.Arrays) -> None:
        arrays[name] = change(arrays[name])

    message = refusal(zip_of(with_arrays(files, part, spoil)), home)
    assert "expected was" in message
    assert part in message


@EVERY_ARRAY
def test_an_array_that_is_missing_is_refused(files: Files, home: Path, part: str, name: str) -> None:
    message = refusal(zip_of(with_arrays(files, part, lambda arrays: arrays.pop(name))), home)
    assert f"{name!r} is not there, expected was" in message


@pytest.mark.parametrize(("part", "name"), [array for array in ARRAYS if array[1] not in WHOLE_NUMBERS])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_an_array_of_numbers_that_are_not_finite_is_refused(
    files: Files, home: Path, part: str, name: str, number: float
) -> None:
    def spoil(arrays: atlas.Arrays) -> None:
        arrays[name].reshape(-1)[-1] = number

    assert f"{name} holds numbers that are not finite" in refusal(zip_of(with_arrays(files, part, spoil)), home)


@pytest.mark.parametrize("part", atlas.PARTS)
def test_an_array_that_no_atlas_has_is_refused(files: Files, home: Path, part: str) -> None:
    damaged = with_arrays(files, part, lambda arrays: arrays.update({"x\n" * 99: np.zeros(1, np.float32)}))
    assert "expected was not there" in refusal(zip_of(damaged), home)


@pytest.mark.parametrize("part", atlas.PARTS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not gzip",
        gzip.compress(b"", mtime=0),  # its time would be part of the test's name
        gzip.compress(b"short", mtime=0),
        gzip.compress(b"cut short" * 99, mtime=0)[:-9],
        *(gzip.compress(content, mtime=0) for content in EXOTIC),
    ],
)
def test_what_is_no_part_is_refused(files: Files, home: Path, part: str, content: bytes) -> None:
    assert refusal(zip_of(with_part(files, part, content)), home).startswith(f"{VAE}/{part}")


@pytest.mark.parametrize("count", [11, 0])
def test_a_mixture_of_more_than_ten_parts_or_none_is_refused(files: Files, home: Path, count: int) -> None:
    def spoil(arrays: atlas.Arrays) -> None:
        shapes = {"mixture_weights": (count,), "mixture_means": (count, 3), "mixture_cholesky": (count, 3, 3)}
        arrays |= {name: np.full(shape, 1 / max(count, 1), np.float32) for name, shape in shapes.items()}

    assert "'mixture_" in refusal(zip_of(with_arrays(files, "codes", spoil)), home)


@pytest.mark.parametrize("count", [1, 9])
def test_a_mixture_of_fewer_parts_is_sound(files: Files, home: Path, count: int) -> None:
    def cut(arrays: atlas.Arrays) -> None:
        for name in ("mixture_means", "mixture_cholesky"):
            arrays[name] = arrays[name][:count]
        arrays["mixture_weights"] = np.full(count, 1 / count, np.float32)

    assert packing.unpack(zip_of(with_arrays(files, "codes", cut)), home / "models")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("order", np.array([0, 1, 1], np.int32)),
        ("order", np.array([0, 1, 3], np.int32)),
        ("order", np.array([-1, 0, 1], np.int32)),
        ("mixture_weights", np.full(10, 0.2, np.float32)),
        ("mixture_weights", np.array([-1, 2, *[0] * 8], np.float32)),
    ],
)
def test_values_that_cannot_be_are_refused(files: Files, home: Path, name: str, values: np.ndarray) -> None:
    damaged = with_arrays(files, "codes", lambda arrays: arrays.update({name: values}))
    assert f"{CODES} is not sound: {name} must" in refusal(zip_of(damaged), home)


def test_a_decoder_of_another_model_is_refused(files: Files, home: Path) -> None:
    def spoil(arrays: atlas.Arrays) -> None:
        arrays["2.bias"][0] += 1

    message = f"{VAE}/decoder.gz is not of this model: its 2.bias is not that of the weights"
    assert refusal(zip_of(with_arrays(files, "decoder", spoil)), home) == message


# ---- all or nothing


def test_one_damaged_model_keeps_the_other_out(files: Files, home: Path) -> None:
    (home / "models" / "older").mkdir(parents=True)
    files[MANIFEST] = b"{}"
    refusal(zip_of(files), home)


def test_a_model_that_is_there_already_is_not_replaced(packed: bytes, home: Path) -> None:
    (home / "models" / VAE).mkdir(parents=True)
    message = f"There is a model called {VAE} already: remove it or rename the new one"
    assert refusal(packed, home) == message


def test_a_move_that_fails_halfway_leaves_nothing(packed: bytes, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def fail_for_the_second(self: Path, target: Path) -> Path:
        if self.name == VAE:
            raise OSError("the disk is full")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_second)
    with pytest.raises(OSError, match="the disk is full"):
        packing.unpack(packed, home / "models")
    assert [path.name for path in home.rglob("*")] == ["models"]


# ---- anything at all


def sound_or_refused(content: bytes) -> None:
    """unpack either raises DamagedFile and leaves nothing, or gives models that load."""
    with tempfile.TemporaryDirectory() as folder:
        into, folders, message = Path(folder) / "models", [], ""
        try:
            folders = packing.unpack(content, into)
        except DamagedFile as error:
            message = str(error)
        assert bool(message) != bool(folders)
        assert folder not in message
        assert list(Path(folder).iterdir()) == ([into] if folders else [])
        for found in folders:
            checkpoints.load(found)
            atlas.load(found)
            resume.load(found)


@given(st.binary(max_size=300), st.sampled_from([b"", b"PK\3\4", b"PK\1\2", b"PK\5\6" + bytes(18)]))
def test_random_bytes_are_refused(content: bytes, start: bytes) -> None:
    sound_or_refused(start + content)


@given(st.data())
def test_a_zip_with_a_changed_byte_is_sound_or_refused(packed: bytes, data: st.DataObject) -> None:
    """Half of the changes hit the directory at the end, where all that zipfile believes is."""
    directory = packed.index(packing.DIRECTORY_SIGNATURE)
    start = data.draw(st.sampled_from([0, directory]))
    content = bytearray(packed)
    content[data.draw(st.integers(start, len(packed) - 1))] = data.draw(st.integers(0, 255))
    sound_or_refused(bytes(content))


@given(st.data())
def test_a_changed_byte_that_the_hashes_agree_with_is_sound_or_refused(packed: bytes, data: st.DataObject) -> None:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name.startswith(VAE)}
    target = data.draw(st.sampled_from(["card", "manifest", "weights", *atlas.PARTS]))
    known = {"card": CARD, "manifest": MANIFEST, "weights": WEIGHTS}
    content = bytearray(files[known[target]] if target in known else unpacked_part(files, target))
    content[data.draw(st.integers(0, min(len(content), 3000) - 1))] = data.draw(st.integers(0, 255))
    if target == "weights":
        files = with_weights(files, bytes(content))
    elif target in known:
        files[known[target]] = bytes(content)
    else:
        files = with_part(files, target, gzip.compress(content, 1))
    sound_or_refused(zip_of(files, method=zipfile.ZIP_STORED))
