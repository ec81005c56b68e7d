"""explorer.show: what the cell of a notebook is given, what it gives back, and what cannot be shown."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as tensors_of

import explorer
from explorer import atlas, checkpoints, modules
from tests.damage import change_json

NAMES = ("mnist-ae-2", "mnist-vae-2")
Z = [[0.5, -1.25], [1.0, -0.75]]


def picked(widget: Any, z: list[list[float]], models: list[str]) -> Any:
    """The widget after the browser told of this."""
    widget.set_state({"z": z, "models": models})
    return widget


def test_importing_the_package_loads_neither_anywidget_nor_torch_nor_numpy() -> None:
    told = "import sys, explorer; print([name for name in ('anywidget', 'torch', 'numpy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_browser_gets_both_models_whole_and_the_view_to_start_with() -> None:
    state = explorer.show(height=500, query="?view=pca&left=other").get_state()
    shown = state["catalogue"]
    assert shown["start"] == {"pair": {"left": NAMES[0], "right": NAMES[1]}, "query": "view=pca"}
    assert [model["name"] for model in shown["models"]] == list(NAMES)
    assert state["height"] == 500
    for model in shown["models"]:
        parts = {name: state["files"][part["url"]] for name, part in model["parts"].items()}
        assert {part["type"] for part in parts.values()} == {"application/gzip"}
        codes = tensors_of(gzip.decompress(parts["codes"]["content"]))["codes"]
        assert np.array_equal(codes, atlas.load(checkpoints.PRETRAINED / model["name"]).codes["codes"])


def test_each_module_comes_as_it_is_and_none_waits_for_itself() -> None:
    texts = explorer.show().modules
    assert {"stage.js", "palette.js", "decoder.js"} <= texts.keys()
    for name, text in texts.items():
        assert text == (modules.FOLDER / name).read_text().replace("from './", "from '")
    wanted = {name: re.findall(r"from '([^']+)';", text) for name, text in texts.items()}
    assert set(TopologicalSorter(wanted).static_order()) == texts.keys()


def test_what_was_picked_comes_back_as_codes_and_as_the_images_that_the_models_decode() -> None:
    widget = explorer.show()
    assert (widget.z, widget.image) == (None, None)
    heard: list[Any] = []
    widget.observe(lambda change: heard.append(change.new), names="z")
    picked(widget, Z, list(NAMES))
    assert [z.tolist() for z in widget.z] == Z
    assert (widget.z.left.dtype, len(heard)) == (np.float32, 1)
    for name, z, image in zip(NAMES, Z, widget.image):
        expected = explorer.load(name).decode(np.array([z], dtype=np.float32))[0]
        assert np.array_equal(image, expected)
        assert image.shape == (1, 28, 28)
    assert widget.get_state(["z"])["z"] == Z, "the browser is not sent back other numbers than it told"


def test_images_follow_the_models_when_they_changed_places_in_the_cell() -> None:
    widget = picked(explorer.show(), Z, list(reversed(NAMES)))
    expected = explorer.load(NAMES[1]).decode(np.array([Z[0]], dtype=np.float32))[0]
    assert np.array_equal(widget.image.left, expected)


def test_two_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(checkpoints.PRETRAINED / NAMES[1], folder)
    for images in checkpoints.PRETRAINED.glob("images-*"):
        shutil.copy(images, folder)
    change_json(folder / checkpoints.CARD, name=NAMES[0])
    widget = picked(explorer.show(right=folder), Z, [NAMES[0], f"{NAMES[0]} (right)"])
    expected = explorer.load(NAMES[1]).decode(np.array([Z[1]], dtype=np.float32))[0]
    assert np.array_equal(widget.image.right, expected)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"left": "nothing"}, "Unknown model: 'nothing'. Must be a folder"),
        ({"right": "mnist-vae-16"}, "Both models must have one number of latent dimensions"),
        ({"right": "fashion-mnist-vae-2"}, "Both models must have one data set"),
        ({"height": 10}, "height must be at least 200 pixels or None, got 10"),
    ],
)
def test_what_cannot_be_shown_is_told_in_a_sentence(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        explorer.show(**arguments)


def test_without_anywidget_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "explorer.notebook", raising=False)
    monkeypatch.delattr(explorer, "notebook", raising=False)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ImportError, match=r"explorer.show needs anywidget: pip install -e '.\[notebook\]'"):
        explorer.show()
