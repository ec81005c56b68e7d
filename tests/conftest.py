"""What the tests share: a tiny data set, an AE and a VAE trained on it once, their atlases, and a folder of both."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

import explorer
from explorer import atlas, cli, data, projection

NETWORK = ["--hidden", "32", "--latent-dim", "3"]
TRAIN = ["train", "--dataset", "digits", *NETWORK, "--epochs", "12", "--batch-size", "32", "--lr", "5e-3"]
SHOWN = 120

torch.set_num_threads(1)  # the models here are too small to share
settings.register_profile("explorer", deadline=None, max_examples=30)
settings.load_profile("explorer")


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests leave is not for a server that is started on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LATENT_EXPLORER_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    return data.load("digits")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of an AE and a VAE that the command line trained on digits. Not to be changed: see library."""
    root = tmp_path_factory.mktemp("trained")
    folders = {model: root / f"digits-{model}-3" for model in ("ae", "vae")}
    for model, folder in folders.items():
        cli.main([*TRAIN, "--model", model, "--out", str(folder)])
    return folders


@pytest.fixture(scope="session")
def atlases(trained: dict[str, Path], digits: data.Dataset) -> dict[str, atlas.Atlas]:
    """The atlases of both on the first held-out images; in place of UMAP, which takes long, two of the codes."""
    x, y = digits.x_test[:SHOWN], digits.y_test[:SHOWN]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projection, "umap", lambda codes, seed: codes[:, :2].copy())
        return {model: atlas.build(explorer.load(folder), x, y) for model, folder in trained.items()}


@pytest.fixture(scope="session")
def shipped(
    tmp_path_factory: pytest.TempPathFactory, trained: dict[str, Path], atlases: dict[str, atlas.Atlas]
) -> Path:
    """A folder laid out as pretrained/ is. Not to be changed: see library."""
    root = tmp_path_factory.mktemp("shipped") / "models"
    for model, folder in trained.items():
        shutil.copytree(folder, root / folder.name)
        atlas.save(atlases[model], root / folder.name, images_folder=root)
    return root


@pytest.fixture
def library(shipped: Path, tmp_path: Path) -> Path:
    """A test's own copy of such a folder, to be damaged."""
    return Path(shutil.copytree(shipped, tmp_path / "models"))


@pytest.fixture
def vae_folder(trained: dict[str, Path], tmp_path: Path) -> Path:
    """A test's own copy of the VAE's weights and card, to be damaged."""
    return Path(shutil.copytree(trained["vae"], tmp_path / "vae"))
