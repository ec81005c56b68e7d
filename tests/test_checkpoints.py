from __future__ import annotations

import errno
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from damage import Bomb, change_json, flip_a_bit, inflate, replace_weights, truncate
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes

from explorer import checkpoints, files, models
from explorer.checkpoints import CARD, WEIGHTS
from explorer.files import DamagedFile
from tests.damage import unsealed

SMALL: dict[str, Any] = {"image_shape": (1, 4, 4), "latent_dim": 2, "arch": "mlp", "hidden": (5,)}
ABOUT: dict[str, Any] = {
    "name": "tiny",
    "dataset": "digits",
    "data_source": "the full set",
    "data_sha256": "0" * 64,
    "n_train": 10,
    "n_test": 4,
    "beta": 1.0,
    "epochs": 1,
    "batch_size": 2,
    "lr": 1e-3,
    "seed": 0,
    "test_recon": 8.5,
    "test_recon_sampled": 9.0,
    "test_kl": 1.5,
    "history": ({"epoch": 1, "recon": 10.0},),
    "versions": {"torch": "2"},
}


def save(folder: Path, name: str = "vae", *, half: bool = False, seed: int = 0, **changes: Any) -> models.AE:
    model = models.build(name, seed=seed, **{**SMALL, **changes})
    if half:
        models.round_to_half(model)
    checkpoints.save(folder, model, half=half, model=name, **ABOUT)
    return model


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("arch", ["mlp", "conv"])
@pytest.mark.parametrize("name", list(models.MODELS))
def test_a_saved_model_comes_back_to_the_last_bit(tmp_path: Path, name: str, arch: str, half: bool) -> None:
    model = save(tmp_path, name, half=half, arch=arch)
    loaded, card = checkpoints.load(tmp_path)
    x = torch.rand(3, 1, 4, 4)
    assert torch.equal(loaded.decode(loaded.encode(x)), model.decode(model.encode(x)))
    assert type(loaded) is models.MODELS[name]
    assert card == checkpoints.read_card(tmp_path) == checkpoints.verify(tmp_path)
    assert card.parameters == sum(value.numel() for value in model.parameters())
    assert (card.history, card.hidden, card.image_shape) == (ABOUT["history"], (5,), (1, 4, 4))


def test_half_the_bytes_hold_a_model_rounded_to_half(tmp_path: Path) -> None:
    for half in (False, True):
        save(tmp_path / str(half), half=half, hidden=(900,))
    whole, halved = ((tmp_path / str(half) / WEIGHTS).stat().st_size for half in (False, True))
    assert halved == pytest.approx(whole / 2, rel=0.02)


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        save(tmp_path / folder)
    for file in (WEIGHTS, CARD):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_loaded_model_is_not_for_training(tmp_path: Path) -> None:
    save(tmp_path)
    model, _ = checkpoints.load(tmp_path)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("occupied", [False, True])
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_save_that_breaks_off_leaves_a_whole_model_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, occupied: bool
) -> None:
    if occupied:
        save(tmp_path, seed=1)
    written: list[Path] = []
    write = files.make_whole

    def filling_up(path: Path, *about: Any, **options: Any) -> None:
        if len(written) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        write(path, *about, **options)

    monkeypatch.setattr(files, "make_whole", filling_up)
    if failing == 2:
        model = save(tmp_path, seed=2)
        assert torch.equal(checkpoints.load(tmp_path)[0].decoder[0].bias, model.decoder[0].bias)
        return
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, seed=2)
    for read in (checkpoints.load, checkpoints.verify):
        with pytest.raises(DamagedFile, match=rf"{CARD} cannot be read"):
            read(tmp_path)


# ---- weights that are not those of the card


@pytest.mark.parametrize("read", [checkpoints.load, checkpoints.verify])
@pytest.mark.parametrize(
    ("damage", "message"),
    [(truncate, "is damaged"), (flip_a_bit, "is damaged"), (inflate, "is too large"), (Path.unlink, "cannot be read")],
)
def test_damaged_weights_are_named_and_left_as_they_are(
    vae_folder: Path, damage: Callable[[Path], None], message: str, read: Callable[[Path], object]
) -> None:
    read(vae_folder)
    damage(vae_folder / WEIGHTS)
    before = sorted((path.name, path.stat().st_size) for path in vae_folder.iterdir())
    with pytest.raises(DamagedFile, match=rf"{WEIGHTS} {message}"):
        read(vae_folder)
    assert sorted((path.name, path.stat().st_size) for path in vae_folder.iterdir()) == before


@given(position=st.integers(min_value=0, max_value=10**6), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_in_the_weights_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    save(folder)
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[position % len(content)] ^= 1 << bit
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(DamagedFile, match="is damaged"):
        checkpoints.load(folder)


def test_a_pickle_in_place_of_the_weights_is_not_unpickled(vae_folder: Path, tmp_path: Path) -> None:
    replace_weights(vae_folder, pickle.dumps(Bomb(tmp_path / "hit")))
    with pytest.raises(DamagedFile, match="is not a safetensors file"):
        checkpoints.load(vae_folder)
    assert not (tmp_path / "hit").exists()


def no_number(tensors: dict[str, torch.Tensor]) -> None:
    tensors["decoder.0.weight"][0, 0] = float("nan")


def endless(tensors: dict[str, torch.Tensor]) -> None:
    tensors["encoder.1.bias"][0] = float("inf")


def turned(tensors: dict[str, torch.Tensor]) -> None:
    tensors["decoder.0.weight"] = tensors["decoder.0.weight"].T.contiguous()


def one_less(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["decoder.0.bias"]


def one_more(tensors: dict[str, torch.Tensor]) -> None:
    tensors["extra"] = torch.zeros(3)


def whole_numbers(tensors: dict[str, torch.Tensor]) -> None:
    tensors["decoder.0.bias"] = tensors["decoder.0.bias"].int()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_number, "holds weights that are not finite numbers"),
        (endless, "holds weights that are not finite numbers"),
        (turned, "does not hold the weights of the mlp vae that its card describes"),
        (one_less, "does not hold the weights of the mlp vae that its card describes"),
        (one_more, "does not hold the weights of the mlp vae that its card describes"),
        (whole_numbers, "does not hold the weights of the mlp vae that its card describes"),
    ],
)
def test_weights_that_do_not_fit_are_refused_though_the_hash_is_right(
    vae_folder: Path, change: Callable[[dict[str, torch.Tensor]], None], message: str
) -> None:
    tensors = from_bytes((vae_folder / WEIGHTS).read_bytes())
    change(tensors)
    replace_weights(vae_folder, to_bytes(tensors))
    with pytest.raises(DamagedFile, match=message):
        checkpoints.load(vae_folder)


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\xff" * 64, (1 << 40).to_bytes(8, "little") + b"{}"])
def test_a_header_that_lies_is_refused(vae_folder: Path, content: bytes) -> None:
    replace_weights(vae_folder, content)
    with pytest.raises(DamagedFile, match="is not a safetensors file"):
        checkpoints.load(vae_folder)


# ---- cards that are none


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "JSON with a format number was expected"),
        (b"\xff\xfe\x00", "JSON with a format number was expected"),
        (b"not JSON", "JSON with a format number was expected"),
        (b"[1, 2]", "JSON with a format number was expected"),
        (b"{}", "JSON with a format number was expected"),
        (b"[" * 200_000, "JSON with a format number was expected"),
        (b'{"format": 2}', "has format 2; this version reads format 1: update Latent Explorer"),
        (b'{"format": "1"}', "has format '1'; this version reads format 1: update Latent Explorer"),
        (b'{"format": 1}', "is not a model card"),
        (b"{" + b" " * 2_000_000 + b"}", "is too large"),
    ],
)
@pytest.mark.parametrize("read", [checkpoints.load, checkpoints.verify])
def test_what_is_no_card_is_named(
    vae_folder: Path, content: bytes, message: str, read: Callable[[Path], object]
) -> None:
    (vae_folder / CARD).write_bytes(content)
    with pytest.raises(DamagedFile) as raised:
        read(vae_folder)
    assert f"{vae_folder / CARD} " in str(raised.value)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_recon": float("nan")}, "test_recon must be a finite number, got nan"),
        ({"test_kl": float("-inf")}, "test_kl must be a finite number, got -inf"),
        ({"parameters": 10**400}, "is not a model card"),
        ({"history": [{"recon": float("nan")}]}, "history must hold finite numbers"),
        ({"history": ["recon"]}, "is not a model card"),
        ({"latent_dim": "2"}, "latent_dim must be a int, got '2'"),
        ({"latent_dim": True}, "latent_dim must be a int, got True"),
        ({"name": None}, "name must be a str, got None"),
        ({"image_shape": [1, 8]}, "image_shape must be three whole numbers"),
        ({"hidden": [32.5]}, "image_shape must be three whole numbers and hidden a list of them"),
        ({"hidden": 32}, "is not a model card"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_card_with_a_wrong_value_is_refused_by_name(vae_folder: Path, changes: dict[str, Any], message: str) -> None:
    change_json(vae_folder / CARD, **changes)
    with pytest.raises(DamagedFile) as raised:
        checkpoints.verify(vae_folder)
    assert f"{vae_folder / CARD} " in str(raised.value)
    assert message in str(raised.value)


@pytest.mark.parametrize("missing", ["model", "hidden", "sha256", "test_kl"])
def test_a_card_that_lacks_a_value_is_refused_by_name(vae_folder: Path, missing: str) -> None:
    record = unsealed((vae_folder / CARD).read_bytes())
    del record[missing]
    (vae_folder / CARD).write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match=missing):
        checkpoints.verify(vae_folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden": [8192, 8192, 8192]},
        {"hidden": [10**9]},
        {"hidden": [32] * 1000},
        {"hidden": [-32]},
        {"image_shape": [1, 10**9, 10**9]},
        {"image_shape": [-1, -8, 8]},
        {"latent_dim": 10**9},
        {"latent_dim": 0},
        {"arch": "conv", "hidden": [4, 4, 4, 4]},
        {"arch": "__class__"},
        {"model": "gan"},
    ],
)
def test_a_card_of_an_impossible_or_huge_network_fills_no_memory(vae_folder: Path, changes: dict[str, Any]) -> None:
    change_json(vae_folder / CARD, **changes)
    with pytest.raises(DamagedFile, match=rf"{CARD} describes a model that cannot be built: "):
        checkpoints.load(vae_folder)


@pytest.mark.parametrize("changes", [{"latent_dim": 2}, {"hidden": [31]}, {"model": "ae"}, {"hidden": [32, 32]}])
def test_a_card_of_another_network_does_not_get_these_weights(vae_folder: Path, changes: dict[str, Any]) -> None:
    change_json(vae_folder / CARD, **changes)
    with pytest.raises(DamagedFile, match="does not hold the weights"):
        checkpoints.load(vae_folder)


# ---- finding


def test_a_model_is_found_by_its_folder(vae_folder: Path) -> None:
    assert checkpoints.find(vae_folder) == checkpoints.find(str(vae_folder)) == vae_folder


@pytest.mark.parametrize("name", ["mnist-gan-2", "", "../pretrained", "mnist-vae-2\0", "/etc/passwd"])
def test_an_unknown_model_is_told_with_those_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"Must be a folder with a card\.json or one of: .*mnist-ae-2.*mnist-vae-16"):
        checkpoints.find(name)
