from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from damage import flip_a_bit, truncate

from explorer import own_data
from explorer.data import Dataset, Feature
from explorer.files import DamagedFile
from tests.damage import unsealed


def a_table(seed: int = 0) -> Dataset:
    random = np.random.default_rng(seed)
    x = random.integers(0, 256, (12, 1, 1, 3), dtype=np.uint8)
    y = (np.arange(12) % 2).astype(np.uint8)
    features = tuple(Feature(name, low, high) for name, low, high in (("a", -1.5, 2), ("b", 0, 0), ("π 🦊", 1, 9)))
    parts = {"x_train": x[:8], "y_train": y[:8], "x_test": x[8:], "y_test": y[8:]}
    return own_data.make(title="plants", source="plants.csv", classes=("no", "ja"), features=features, **parts)


def test_a_data_set_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    made = a_table()
    own_data.save(tmp_path, made)
    again = own_data.load(tmp_path)
    for key in own_data.KEYS:
        np.testing.assert_array_equal(getattr(again, key), getattr(made, key))
    plain = dict.fromkeys(own_data.KEYS)
    assert replace(again, **plain) == replace(made, **plain)  # type: ignore[arg-type]
    assert made.image_shape == (1, 1, 3)


def test_its_name_follows_from_what_it_holds() -> None:
    assert a_table().name == a_table().name
    assert a_table(1).name != a_table().name
    other = {key: getattr(a_table(), key) for key in own_data.KEYS}
    assert own_data.make(title="", source="", classes=("yes", "no"), **other).name != a_table().name
    assert a_table().name.startswith(own_data.PREFIX)


@pytest.mark.parametrize("spoil", [flip_a_bit, truncate, Path.unlink])
def test_a_damaged_file_is_named(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    own_data.save(tmp_path, a_table())
    spoil(tmp_path / own_data.ARRAYS)
    with pytest.raises(DamagedFile, match=r"data\.safetensors"):
        own_data.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"classes": [1, 2]}, {"classes": ["one"]}, {"features": [{"name": "a"}]}, {"features": 3}, {"format": 2}],
    ids=str,
)
def test_a_record_that_lies_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    own_data.save(tmp_path, a_table())
    path = tmp_path / own_data.RECORD
    path.write_text(json.dumps({**unsealed(path.read_bytes()), **change}))
    with pytest.raises(DamagedFile):
        own_data.load(tmp_path)
