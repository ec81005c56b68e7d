from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from damage import change_json

from explorer import atlas, catalogue, checkpoints, models
from explorer.files import sha256

TITLES = {"digits": ("Digits 8×8", tuple("0123456789"))}


def test_all_sound_models_are_read(shipped: Path) -> None:
    found = catalogue.read(shipped)
    assert [entry.card.name for entry in found.entries] == ["digits-ae-3", "digits-vae-3"]
    assert found.problems == ()


def test_each_part_is_where_the_catalogue_says(shipped: Path) -> None:
    for entry in catalogue.read(shipped).entries:
        assert set(entry.parts) >= {"images", "codes", "decoder"}
        for part in entry.parts.values():
            content = part.path.read_bytes()
            assert (sha256(content), len(content)) == (part.sha256, part.bytes)


def cut_weights(folder: Path) -> None:
    path = folder / checkpoints.WEIGHTS
    path.write_bytes(path.read_bytes()[:100])


def spoil_card(folder: Path) -> None:
    (folder / checkpoints.CARD).write_text("{")


def future_card(folder: Path) -> None:
    change_json(folder / checkpoints.CARD, format=99)


def drop_manifest(folder: Path) -> None:
    (folder / atlas.MANIFEST).unlink()


def point_away(folder: Path) -> None:
    parts = atlas.read_manifest(folder)["parts"]
    parts["codes"]["file"] = "../../etc/passwd"
    change_json(folder / atlas.MANIFEST, parts=parts)


def nest_deeply(folder: Path) -> None:
    (folder / checkpoints.CARD).write_text("[" * 200_000)


@pytest.mark.parametrize(
    ("damage", "file"),
    [
        (cut_weights, checkpoints.WEIGHTS),
        (spoil_card, checkpoints.CARD),
        (future_card, checkpoints.CARD),
        (nest_deeply, checkpoints.CARD),
        (drop_manifest, atlas.MANIFEST),
        (point_away, atlas.MANIFEST),
    ],
)
def test_one_damaged_model_is_told_and_the_others_stay(
    library: Path, damage: Callable[[Path], None], file: str
) -> None:
    damage(library / "digits-ae-3")
    found = catalogue.read(library)
    assert [entry.card.name for entry in found.entries] == ["digits-vae-3"]
    (problem,) = found.problems
    assert problem.startswith("digits-ae-3 is left out. ")
    assert file in problem
    assert str(library.parent) not in problem, "a visitor has no business with the server's folders"


@pytest.mark.parametrize(("arch", "hidden"), [("mlp", (32,)), ("mlp", (64, 32)), ("conv", (4, 8)), ("conv", (4,))])
def test_the_encoder_that_is_described_is_the_one_that_torch_has(
    trained: dict[str, Path], arch: str, hidden: tuple[int, ...]
) -> None:
    model = models.build("vae", seed=0, image_shape=(1, 8, 8), latent_dim=3, arch=arch, hidden=hidden)
    card = dataclasses.replace(checkpoints.read_card(trained["vae"]), arch=arch, hidden=hidden)
    kinds = {"Linear": "linear", "Conv2d": "conv", "ReLU": "relu"}
    expected = [
        (kinds[type(layer).__name__], None if isinstance(layer, torch.nn.ReLU) else f"encoder.{index}.weight")
        for index, layer in enumerate(model.encoder)
        if not isinstance(layer, torch.nn.Flatten)
    ]
    assert [(layer["kind"], layer.get("weight")) for layer in catalogue.encoder_layers(card)] == expected


def test_a_stray_file_or_folder_hides_no_model(library: Path) -> None:
    (library / "notes.txt").write_text("hello")
    (library / "half-made").mkdir()
    found = catalogue.read(library)
    assert len(found.entries) == 2
    assert len(found.problems) == 1


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None], ids=["empty", "missing"])
def test_where_there_is_no_model_the_way_out_is_told(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "models")
    found = catalogue.read(tmp_path / "models")
    assert found.entries == ()
    assert "make pretrained" in found.problems[0]


def test_mnist_comes_first_then_the_other_sets_by_dimensions_and_model(library: Path) -> None:
    for name in ("digits-ae-3", "digits-vae-3"):
        change_json(library / name / checkpoints.CARD, dataset="mnist")
    for dataset in ("apples", "zebras"):
        for folder in (library / "digits-ae-3", library / "digits-vae-3"):
            copy = library / f"{dataset}-{folder.name}"
            copy.mkdir()
            for path in folder.iterdir():
                (copy / path.name).write_bytes(path.read_bytes())
            change_json(copy / checkpoints.CARD, dataset=dataset)
    found = [(entry.card.dataset, entry.card.model) for entry in catalogue.read(library).entries]
    assert found == [(dataset, model) for dataset in ("mnist", "apples", "zebras") for model in ("ae", "vae")]


def test_the_browser_gets_plain_values_and_no_path_of_the_server(shipped: Path) -> None:
    plain = catalogue.for_browser(catalogue.read(shipped), TITLES)
    text = json.dumps(plain, allow_nan=False)
    assert json.loads(text)["datasets"]["digits"]["title"] == "Digits 8×8"
    assert [model["name"] for model in plain["models"]] == ["digits-ae-3", "digits-vae-3"]
    assert str(shipped) not in text
    assert shipped.parent.name not in text
    assert all(part["url"].startswith("atlas/") for model in plain["models"] for part in model["parts"].values())


def test_the_first_screen_loads_none_of_the_heavy_libraries(shipped: Path) -> None:
    """Reading a catalogue and making the routes, in a process of its own."""
    script = (
        "import sys; from pathlib import Path; from explorer import catalogue, data, server;"
        f"found = catalogue.read(Path({str(shipped)!r})); server.routes('', found);"
        "heavy = {'torch', 'torchvision', 'umap', 'sklearn', 'numba', 'scipy', 'plotly'} & set(sys.modules);"
        "print(len(found.entries), sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "2 []\n"


def test_the_dial_needs_no_weights_and_its_models_are_no_others(library: Path) -> None:
    dial = library / catalogue.DIAL / "digits-vae-3-beta2"
    shutil.copytree(library / "digits-vae-3", dial)
    (dial / checkpoints.WEIGHTS).unlink()
    for images in library.glob("images-*.gz"):
        shutil.copy(images, dial.parent)
    found = catalogue.read(library)
    assert [entry.card.name for entry in found.entries] == ["digits-ae-3", "digits-vae-3"]
    assert [entry.card.latent_dim for entry in found.dial] == [3]
    assert all(part.path.is_file() for part in found.dial[0].parts.values())
    assert found.dial_pair(3, found.dial[0].card.beta) is None, "there is no AE to stand beside it"
    (dial / checkpoints.CARD).write_text("{")
    found = catalogue.read(library)
    assert found.dial == ()
    assert len(found.entries) == 2
    assert found.problems[0].startswith("digits-vae-3-beta2 is left out. ")
