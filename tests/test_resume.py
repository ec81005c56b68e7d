from __future__ import annotations

import errno
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from damage import flip_a_bit, inflate, truncate
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from explorer import data, files, models, resume, training
from explorer.files import DamagedFile, sha256

NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"image_shape": (1, 8, 8), "latent_dim": 3, "arch": "mlp", "hidden": (24,)},
    "wide": {"image_shape": (1, 8, 8), "latent_dim": 3, "arch": "mlp", "hidden": (64,)},
    "conv": {"image_shape": (1, 8, 8), "latent_dim": 3, "arch": "conv", "hidden": (4, 6)},
}
SMALL = NETWORKS["mlp"]
BUDGET: dict[str, Any] = {"beta": 0.7, "batch_size": 64, "lr": 3e-3, "seed": 5}  # 300 images: 4 batches and 44
ABOUT = {"settings": {"hidden": [24], "beta": 0.7}, "note": "é"}
EVERY_NETWORK = pytest.mark.parametrize("network", list(NETWORKS))
EVERY_MODEL = pytest.mark.parametrize("name", list(models.MODELS))


@pytest.fixture(scope="session")
def x_train(digits: data.Dataset) -> Tensor:
    return torch.from_numpy(digits.x_train[:300].copy())


@pytest.fixture(scope="session")
def x_test(digits: data.Dataset) -> Tensor:
    return torch.from_numpy(digits.x_test[:80].copy())


def begin(name: str = "vae", network: str = "mlp") -> tuple[models.AE, training.State]:
    model = models.build(name, seed=5, **NETWORKS[network])
    return model, training.begin(model, lr=BUDGET["lr"], seed=BUDGET["seed"])


def go_on(
    model: models.AE, state: training.State, x_train: Tensor, x_test: Tensor, *, epochs: int, steps: int | None = None
) -> None:
    """Train until epochs are done in all, or until as many steps have been made in this call."""
    made = 0
    for news in training.moments(model, x_train, x_test, epochs=epochs, state=state, every=1, **BUDGET):
        made += isinstance(news, training.Moment)
        if made == steps:
            return


def figures(state: training.State) -> list[dict[str, float]]:
    return [{key: value for key, value in vars(stats).items() if key != "seconds"} for stats in state.history]


def assert_same(one: models.AE, other: models.AE) -> None:
    weights, others = one.state_dict(), other.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[key], others[key]) for key in weights)


@EVERY_NETWORK
@EVERY_MODEL
@pytest.mark.parametrize("steps", [0, 1, 4, 5, 8], ids=lambda steps: f"{steps}-steps")
def test_a_training_goes_on_to_the_last_bit_wherever_it_was_stopped(
    tmp_path: Path, x_train: Tensor, x_test: Tensor, name: str, network: str, steps: int
) -> None:
    model, state = begin(name, network)
    go_on(model, state, x_train, x_test, epochs=3)
    stopped = begin(name, network)
    if steps:
        go_on(*stopped, x_train, x_test, epochs=3, steps=steps)
    resume.save(tmp_path, *stopped, about=ABOUT)
    loaded, found, about = resume.load(tmp_path)
    assert (found.epoch, found.step) in [divmod(steps, 5), (steps // 5 - 1, 5)]
    assert about == ABOUT
    go_on(loaded, found, x_train, x_test, epochs=3)
    assert_same(loaded, model)
    assert figures(found) == figures(state)
    assert len(figures(found)) == 3


@EVERY_MODEL
def test_a_training_that_was_stopped_after_every_epoch_is_that_in_one_go(
    tmp_path: Path, x_train: Tensor, x_test: Tensor, name: str
) -> None:
    model, state = begin(name)
    whole = list(training.train(model, x_train, x_test, epochs=4, state=state, **BUDGET))
    resume.save(tmp_path, *begin(name), about=ABOUT)
    for epochs in (1, 2, 3, 4):
        loaded, found, _ = resume.load(tmp_path)
        list(training.train(loaded, x_train, x_test, epochs=epochs, state=found, **BUDGET))
        resume.save(tmp_path, loaded, found, about=ABOUT)
    loaded, found, _ = resume.load(tmp_path)
    assert_same(loaded, model)
    assert [stats.epoch for stats in found.history] == [stats.epoch for stats in whole] == [1, 2, 3, 4]
    assert figures(found) == figures(state)


def test_another_process_goes_on_to_the_same_bits(tmp_path: Path, x_train: Tensor, x_test: Tensor) -> None:
    stopped = begin()
    go_on(*stopped, x_train, x_test, epochs=2, steps=3)
    resume.save(tmp_path, *stopped, about=ABOUT)
    go_on(*stopped, x_train, x_test, epochs=2)
    program = (
        "import pathlib, torch; torch.set_num_threads(1)\n"
        "from explorer import data, resume, training\n"
        f"folder = pathlib.Path({str(tmp_path)!r}); digits = data.load('digits')\n"
        "model, state, about = resume.load(folder)\n"
        "x_train, x_test = torch.from_numpy(digits.x_train[:300]), torch.from_numpy(digits.x_test[:80])\n"
        f"list(training.train(model, x_train, x_test, epochs=2, state=state, **{BUDGET!r}))\n"
        "resume.save(folder, model, state, about=about)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)
    loaded, found, _ = resume.load(tmp_path)
    assert_same(loaded, stopped[0])
    assert figures(found) == figures(stopped[1])


def test_a_state_comes_back_as_it_was(tmp_path: Path, x_train: Tensor, x_test: Tensor) -> None:
    model, state = begin()
    go_on(model, state, x_train, x_test, epochs=2, steps=7)
    path = resume.save(tmp_path, model, state, about=ABOUT)
    assert path.name == f"training-{sha256(path.read_bytes())[:16]}.safetensors"
    assert list(tmp_path.iterdir()) == [path]
    loaded, found, _ = resume.load(tmp_path)
    assert type(loaded) is models.VAE
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in loaded.parameters())
    for key in ("epoch", "step", "recon", "kl", "seconds", "history"):
        assert getattr(found, key) == getattr(state, key), key
    assert torch.equal(found.noise.get_state(), state.noise.get_state())
    assert torch.equal(found.order_at_start, state.order_at_start)
    kept, given_back = (optimizer.state_dict() for optimizer in (state.optimizer, found.optimizer))
    assert kept["param_groups"] == given_back["param_groups"]
    assert kept["state"].keys() == given_back["state"].keys()
    for index, averages in kept["state"].items():
        assert all(torch.equal(averages[key], given_back["state"][index][key]) for key in averages)


def test_loading_changes_nothing_and_saving_again_gives_the_same_file(
    tmp_path: Path, x_train: Tensor, x_test: Tensor
) -> None:
    model, state = begin()
    go_on(model, state, x_train, x_test, epochs=2, steps=7)
    path = resume.save(tmp_path / "one", model, state, about=ABOUT)
    before = path.read_bytes()
    loaded, found, about = resume.load(tmp_path / "one")
    assert resume.save(tmp_path / "two", loaded, found, about=about).read_bytes() == before == path.read_bytes()


def test_a_save_takes_the_place_of_the_one_before_and_of_what_a_killed_save_left(
    tmp_path: Path, x_train: Tensor, x_test: Tensor
) -> None:
    model, state = begin()
    first = resume.save(tmp_path, model, state, about=ABOUT)
    (tmp_path / f".{first.name}.x1y2").write_bytes(b"part")
    mine = tmp_path / "training-notes.safetensors"
    mine.write_bytes(b"mine")
    go_on(model, state, x_train, x_test, epochs=1)
    second = resume.save(tmp_path, model, state, about=ABOUT)
    assert first != second
    assert sorted(tmp_path.iterdir()) == sorted([second, mine])


def test_a_save_that_finds_no_space_keeps_the_one_before(
    tmp_path: Path, x_train: Tensor, x_test: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, state = begin()
    before = resume.save(tmp_path, model, state, about=ABOUT)
    go_on(model, state, x_train, x_test, epochs=1)

    def full(*about: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="no space left on device"):
        resume.save(tmp_path, model, state, about=ABOUT)
    assert list(tmp_path.iterdir()) == [before]
    assert resume.load(tmp_path)[1].epoch == 0


@pytest.fixture
def two(tmp_path: Path, x_train: Tensor, x_test: Tensor) -> tuple[Path, Path]:
    """The files of a training after 3 and after 6 steps, in one folder as a crash may leave them."""
    model, state = begin()
    paths = []
    for name in ("one", "two"):
        go_on(model, state, x_train, x_test, epochs=2, steps=3)
        path = resume.save(tmp_path / name, model, state, about=ABOUT)
        paths.append(path.rename(tmp_path / path.name))
    return paths[0], paths[1]


def test_of_two_files_the_one_farther_on_counts(tmp_path: Path, two: tuple[Path, Path]) -> None:
    _, state, _ = resume.load(tmp_path)
    assert (state.epoch, state.step) == (1, 1)


def test_of_two_files_a_damaged_one_does_not_count(tmp_path: Path, two: tuple[Path, Path]) -> None:
    flip_a_bit(two[1])
    _, state, _ = resume.load(tmp_path)
    assert (state.epoch, state.step) == (0, 3)
    flip_a_bit(two[0])
    with pytest.raises(DamagedFile, match="is damaged"):
        resume.load(tmp_path)


# ---- files that are not sound


@pytest.fixture
def path(tmp_path: Path, x_train: Tensor, x_test: Tensor) -> Path:
    """A training in the middle of its second epoch."""
    model, state = begin()
    go_on(model, state, x_train, x_test, epochs=2, steps=7)
    return resume.save(tmp_path, model, state, about=ABOUT)


def replace(path: Path, content: bytes) -> Path:
    """Put content in place of the file under the name that it should have, as one who means harm would."""
    path.unlink()
    path = path.with_name(f"training-{sha256(content)[:16]}.safetensors")
    path.write_bytes(content)
    return path


def record_of(content: bytes) -> dict[str, Any]:
    size = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["training"])


def refused(path: Path) -> str:
    """What is said about the file: one sentence that names it."""
    with pytest.raises(DamagedFile) as raised:
        resume.load(path.parent)
    told = str(raised.value)
    assert told.startswith(f"{path} ")
    assert "\n" not in told
    return told


@pytest.mark.parametrize("folder", [".", "not-there"])
def test_a_folder_without_a_training_is_told(tmp_path: Path, folder: str) -> None:
    with pytest.raises(DamagedFile, match=r"holds no training: a file training-\*\.safetensors was expected"):
        resume.load(tmp_path / folder)


@pytest.mark.parametrize(
    ("damage", "message"), [(truncate, "is damaged"), (flip_a_bit, "is damaged"), (inflate, "is too large")]
)
def test_a_damaged_file_is_named(path: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(path)
    assert message in refused(path)


def test_a_folder_in_place_of_the_file_is_told(path: Path) -> None:
    path.unlink()
    path.mkdir()
    assert "cannot be read" in refused(path)


@given(position=st.integers(min_value=0, max_value=10**6), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_is_noticed(tmp_path_factory: pytest.TempPathFactory, position: int, bit: int) -> None:
    path = resume.save(tmp_path_factory.mktemp("flip"), *begin(), about=ABOUT)
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1 << bit
    path.write_bytes(content)
    assert "is damaged" in refused(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 64,
        (1 << 40).to_bytes(8, "little") + b"{}",
        (5_000_000).to_bytes(8, "little") + b" " * 5_000_000,
        to_bytes({"a": torch.zeros(2)}),
        to_bytes({"a": torch.zeros(2)}, metadata={"other": "{}"}),
        *(to_bytes({"a": torch.zeros(2)}, metadata={"training": text}) for text in ("", "[]", "{}", "[" * 100_000)),
    ],
    ids=range(10),
)
def test_what_is_no_training_is_told(path: Path, content: bytes) -> None:
    told = refused(replace(path, content))
    assert "is not a safetensors file" in told or "is not a training" in told


@pytest.mark.parametrize("dtype", ["F4", "F8_E8M0", "F6_E2M3"])
def test_a_tensor_of_a_kind_that_torch_does_not_know_is_told(path: Path, dtype: str) -> None:
    header = json.dumps({"a": {"dtype": dtype, "shape": [8], "data_offsets": [0, 4 if dtype == "F4" else 8]}}).encode()
    told = refused(replace(path, len(header).to_bytes(8, "little") + header + bytes(8)))
    assert "is not a safetensors file" in told


def set_value(name: str, value: float) -> Callable[[dict[str, Tensor]], None]:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors[name].view(-1)[0] = value

    return change


def set_tensor(name: str, tensor: Tensor) -> Callable[[dict[str, Tensor]], None]:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors[name] = tensor

    return change


def drop(name: str) -> Callable[[dict[str, Tensor]], None]:
    def change(tensors: dict[str, Tensor]) -> None:
        del tensors[name]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_value("weights.decoder.0.bias", math.nan), "are not finite numbers"),
        (set_value("adam.exp_avg.decoder.0.bias", math.inf), "are not finite numbers"),
        (set_value("adam.exp_avg_sq.decoder.0.bias", math.nan), "are not finite numbers"),
        (set_value("adam.exp_avg_sq.decoder.0.bias", -1e-9), "must be at least 0"),
        (drop("weights.decoder.0.bias"), "does not hold the tensors of the mlp vae"),
        (drop("adam.exp_avg.decoder.0.bias"), "does not hold the tensors of the mlp vae"),
        (drop("noise"), "does not hold the tensors of the mlp vae"),
        (drop("order_at_start"), "does not hold the tensors of the mlp vae"),
        (set_tensor("extra", torch.zeros(1)), "does not hold the tensors of the mlp vae"),
        (set_tensor("weights.decoder.0.bias", torch.zeros(25)), "does not hold the tensors of the mlp vae"),
        (set_tensor("weights.decoder.0.bias", torch.zeros(24).double()), "does not hold the tensors of the mlp vae"),
        (set_tensor("adam.exp_avg_sq.decoder.0.bias", torch.zeros(1, 24)), "does not hold the tensors of the mlp vae"),
        (set_tensor("noise", torch.zeros(10, dtype=torch.uint8)), "does not hold the tensors of the mlp vae"),
        (set_tensor("noise", torch.zeros(5056, dtype=torch.uint8)), "holds a random state that is none"),
        (set_tensor("order_at_start", torch.full((5056,), 255, dtype=torch.uint8)), "a random state that is none"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_though_the_hash_is_right(
    path: Path, change: Callable[[dict[str, Tensor]], None], message: str
) -> None:
    content = path.read_bytes()
    tensors = from_bytes(content)
    change(tensors)
    assert message in refused(replace(path, to_bytes(tensors, metadata={"training": json.dumps(record_of(content))})))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2; this version reads format 1: update Latent Explorer"),
        ({"format": "1"}, "has format '1'"),
        ({"epoch": -1}, "must be at least 0"),
        ({"step": -1}, "must be at least 0"),
        ({"seconds": -0.5}, "must be at least 0"),
        ({"step": 2.5}, "step must be a int, got 2.5"),
        ({"step": True}, "step must be a int, got True"),
        ({"step": 10**400}, "is not a training"),
        ({"adam_step": -7}, "must be at least 0"),
        ({"adam_step": 0}, "Adam's 0 steps are not those of 1 epochs"),
        ({"adam_step": 2**40}, "steps are not those of 1 epochs"),
        ({"epoch": 2}, "history must have one record for each of 2 epochs"),
        ({"epoch": 0}, "history must have one record for each of 0 epochs"),
        ({"history": []}, "history must have one record for each of 1 epochs"),
        ({"history": [1]}, "is not a training"),
        ({"history": [{}]}, "is not a training"),
        ({"history": None}, "is not a training"),
        ({"recon": math.nan}, "recon must be a finite number, got nan"),
        ({"kl": math.inf}, "kl must be a finite number, got inf"),
        ({"recon": "12"}, "recon must be a float, got '12'"),
        ({"lr": 0.0}, "lr must be above 0 and at most 1, got 0.0"),
        ({"lr": 2.0}, "lr must be above 0 and at most 1, got 2.0"),
        ({"about": []}, "about must be an object, got []"),
        ({"colour": "red"}, "colour"),
        ({"model": "gan"}, "describes a model that cannot be built"),
        ({"model": []}, "model must be a str, got []"),
        ({"model": "ae"}, "does not hold the tensors of the mlp ae"),
        ({"arch": "__class__"}, "describes a model that cannot be built"),
        ({"hidden": 24}, "is not a training"),
        ({"hidden": [24.0]}, "hidden a list of them"),
        ({"hidden": [25]}, "does not hold the tensors"),
        ({"hidden": [10**9]}, "describes a model that cannot be built"),
        ({"hidden": [8192] * 3}, "describes a model that cannot be built"),
        ({"image_shape": [1, 8]}, "image_shape must be three whole numbers"),
        ({"image_shape": [1, 10**9, 10**9]}, "describes a model that cannot be built"),
        ({"latent_dim": 10**9}, "describes a model that cannot be built"),
    ],
)
def test_a_record_with_a_wrong_value_is_refused_though_the_hash_is_right(
    path: Path, changes: dict[str, Any], message: str
) -> None:
    content = path.read_bytes()
    record = json.dumps({**record_of(content), **changes})
    assert message in refused(replace(path, to_bytes(from_bytes(content), metadata={"training": record})))


def test_a_record_that_lacks_a_value_is_refused_by_name(path: Path) -> None:
    content = path.read_bytes()
    for missing in record_of(content).keys() - {"format"}:
        record = {key: value for key, value in record_of(content).items() if key != missing}
        path = replace(path, to_bytes(from_bytes(content), metadata={"training": json.dumps(record)}))
        assert re.search(rf"\b{missing}\b", refused(path))


def test_a_state_that_is_no_number_is_not_saved(tmp_path: Path) -> None:
    model, state = begin()
    state.recon = math.nan
    with pytest.raises(ValueError, match="not JSON compliant"):
        resume.save(tmp_path, model, state, about=ABOUT)
    assert list(tmp_path.iterdir()) == []
