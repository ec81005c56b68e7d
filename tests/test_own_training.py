"""Training on a data set of one's own: what the worker leaves, what travels with it, and what is refused of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import explorer
from explorer import (
    atlas,
    catalogue,
    checkpoints,
    data,
    onefile,
    own_data,
    packing,
    projection,
    resume,
    visitors,
    worker,
)
from explorer.data import Dataset, Feature
from explorer.files import DamagedFile
from explorer.settings import Settings
from tests.damage import unsealed

FLOWERS = ("setosa", "ورد 🌸")
COLUMNS = (Feature("length (cm)", 4.3, 7.9), Feature("width <b>", -1.0, 1.0), Feature("عرض", 0.0, 0.0))
News = list[dict[str, Any]]


def split(x: np.ndarray, y: np.ndarray, *, held_out: int) -> dict[str, np.ndarray]:
    return {"x_train": x[held_out:], "y_train": y[held_out:], "x_test": x[:held_out], "y_test": y[:held_out]}


def table(n: int = 60, *, held_out: int = 20, class_by_class: bool = False) -> Dataset:
    """Rows of two classes."""
    rng = np.random.default_rng(0)
    y = (np.arange(n) >= n // 2 if class_by_class else np.arange(n) % 2).astype(np.uint8)
    x = rng.integers(0, 100, (n, 1, 1, 3)).astype(np.uint8) + 100 * y[:, None, None, None]
    return own_data.make(
        title="Flowers", source="f.csv", classes=FLOWERS, features=COLUMNS, **split(x, y, held_out=held_out)
    )


def colours(n: int, *, held_out: int, shape: tuple[int, int, int] = (3, 8, 12)) -> Dataset:
    x = np.random.default_rng(1).integers(0, 256, (n, *shape)).astype(np.uint8)
    y = (np.arange(n) % 2).astype(np.uint8)
    return own_data.make(title="Colours", source="c.zip", classes=("a", "b"), **split(x, y, held_out=held_out))


@pytest.fixture
def news(monkeypatch: pytest.MonkeyPatch) -> News:
    """What workers of this process say; UMAP, which takes long, is left out."""
    said: News = []
    monkeypatch.setattr(worker, "say", lambda kind, **values: said.append({"kind": kind, **values}))
    monkeypatch.setattr(projection, "umap", lambda codes, seed: np.zeros((len(codes), 2), np.float32))
    return said


def order(folder: Path, dataset: Dataset, *, model: str = "vae", **changes: Any) -> dict[str, Any]:
    own_data.save(folder / "data", dataset)
    small = Settings(dataset=dataset.name, hidden=(8,), epochs=1, batch_size=64)
    settings = {**small.record(), **changes}
    told = {"model": model, "settings": settings, "folder": str(folder / f"own-{model}"), "full": False}
    return {**told, "max_bytes": 10**12, "data_folder": str(folder / "data")}


@pytest.fixture
def flowers(tmp_path: Path, news: News) -> Path:
    """An AE of the table, kept."""
    worker.Worker(order(tmp_path, table(), model="ae")).run()
    visitors.copy_as(tmp_path / "own-ae", tmp_path / "kept" / "flowers-ae")
    return tmp_path / "kept" / "flowers-ae"


def test_a_table_gives_a_model_that_says_what_its_columns_and_classes_are(flowers: Path, news: News) -> None:
    made = atlas.load(flowers)
    assert made.about == data.About("Flowers", FLOWERS, COLUMNS)
    np.testing.assert_array_equal(made.images["images"], table().x_test)
    card = explorer.load(flowers).card
    assert (card.dataset, card.image_shape, card.n_train, card.n_test) == (table().name, (1, 1, 3), 40, 20)
    (model,) = (one for one in news if one["kind"] == "model")
    assert model["data"]["features"][0] == {"name": "length (cm)", "low": 4.3, "high": 7.9}
    assert json.dumps(model)


def test_its_error_is_the_cross_entropy_of_values_scaled_to_one(flowers: Path) -> None:
    model = explorer.load(flowers)
    x = torch.from_numpy(table().x_test.astype(np.float32) / 255)
    x_hat = model.decode(model.encode(x))
    nats = torch.nn.functional.binary_cross_entropy(x_hat, x, reduction="sum") / len(x)
    assert model.card.test_recon == pytest.approx(nats.item(), rel=1e-4)


@pytest.mark.parametrize("arch", ["mlp", "conv"])
def test_colour_images_that_are_not_square_can_be_learned(tmp_path: Path, news: News, arch: str) -> None:
    hidden = {"mlp": [8], "conv": [4, 6]}[arch]
    worker.Worker(order(tmp_path, colours(30, held_out=10), arch=arch, hidden=hidden)).run()
    model = explorer.load(tmp_path / "own-vae")
    assert model.decode(np.zeros((2, 2), np.float32)).shape == (2, 3, 8, 12)
    assert [one["kind"] for one in news][-2:] == ["trained", "drawn"]


@pytest.mark.parametrize(("items", "held_out"), [(2, 1), (3, 1), (3, 2), (12, 2), (12, 5)])
@pytest.mark.parametrize("latent_dim", [1, 3])
def test_very_few_items_make_models_that_can_be_taken_home_and_brought_back(
    tmp_path: Path, news: News, items: int, held_out: int, latent_dim: int
) -> None:
    worker.Worker(order(tmp_path, colours(items, held_out=held_out), latent_dim=latent_dim)).run()
    packing.pack([tmp_path / "own-vae"], tmp_path / "models.zip")
    (folder,) = packing.unpack((tmp_path / "models.zip").read_bytes(), tmp_path / "home")
    assert ("umap" in atlas.load(folder).codes) == (held_out >= projection.UMAP_LEAST)


def test_of_many_that_come_class_by_class_all_classes_are_shown(
    tmp_path: Path, news: News, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "POINTS", 7)
    worker.Worker(order(tmp_path, table(60, held_out=59, class_by_class=True), model="ae")).run()
    labels = atlas.load(tmp_path / "own-ae").codes["labels"]
    assert len(labels) <= 7
    assert set(labels.tolist()) == {0, 1}


def test_it_goes_on_while_the_data_is_there_and_says_so_when_it_is_not(tmp_path: Path, news: News) -> None:
    told = order(tmp_path, table(), model="ae")
    worker.Worker(told).run()
    more = {**told, "folder": str(tmp_path / "more"), "earlier": told["folder"]}
    more["settings"] = {**told["settings"], "epochs": 2}
    worker.Worker(more).run()
    assert resume.load(tmp_path / "more")[1].epoch == 2
    other = order(tmp_path / "other", colours(6, held_out=2), model="ae")
    with pytest.raises(ValueError, match="other images"):
        worker.Worker({**other, "earlier": told["folder"]}).run()
    (tmp_path / "data" / own_data.ARRAYS).unlink()
    with pytest.raises(ValueError, match="bring it again") as raised:
        worker.Worker(more).run()
    assert str(tmp_path) not in str(raised.value)


def test_the_browser_gets_titles_classes_and_features_of_shipped_and_own_data(flowers: Path) -> None:
    shown = catalogue.for_browser(catalogue.shipped(), data.titles(), own=(catalogue.read_entry(flowers),))
    own = shown["datasets"][table().name]
    assert (own["title"], own["classes"], own["classifier"]) == ("Flowers", FLOWERS, None)
    assert [feature["name"] for feature in own["features"]] == ["length (cm)", "width <b>", "عرض"]
    assert shown["datasets"]["mnist"]["title"] == "MNIST"
    assert shown["models"][-1]["dataset"] == table().name


def test_its_models_fit_into_one_file_that_says_what_the_columns_are(flowers: Path) -> None:
    entry = catalogue.read_entry(flowers)
    page = onefile.one_file(entry, entry, models=catalogue.shipped(), titles=data.titles()).decode()
    assert "width \\u003cb>" in page
    assert "width <b>" not in page


# --- what comes from elsewhere


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    path = folder / atlas.MANIFEST
    manifest = unsealed(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest))
    return folder


def in_data(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest["data"].update(values)


def feature(name: Any = "a", low: Any = 0.0, high: Any = 1.0) -> dict[str, Any]:
    return {"name": name, "low": low, "high": high}


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.update(data=None),
        lambda manifest: manifest.update(data=["Flowers"]),
        lambda manifest: manifest["data"].pop("classes"),
        in_data(more=1),
        in_data(title=""),
        in_data(title="x" * 201),
        in_data(title=7),
        in_data(title="two\nlines"),
        in_data(title="turned \u202e round"),
        in_data(title="half \ud83c"),
        in_data(classes=[]),
        in_data(classes=["a"] * 257),
        in_data(classes="ab"),
        in_data(classes=["a", None]),
        in_data(classes=["a", "\x00"]),
        in_data(features=[feature()] * 4097),
        in_data(features=[feature(name=1)]),
        in_data(features=[feature(low=2.0)]),
        in_data(features=[feature(high=float("nan"))]),
        in_data(features=[feature(high=float("inf"))]),
        in_data(features=[feature(high=10**400)]),
        in_data(features=[feature(high=1e308)]),
        in_data(features=[feature(low=False, high=True)]),
        in_data(features=[feature(high="1")]),
        in_data(features=[{**feature(), "more": 1}]),
        in_data(features=[["a", 0, 1]]),
    ],
)
def test_what_cannot_be_said_of_a_data_set_is_refused(
    flowers: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(DamagedFile, match="is not an atlas"):
        atlas.read_manifest(changed(flowers, change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda manifest: manifest.pop("data"), "does not say the classes"),
        (in_data(classes=["only one"]), "labels of class 1, and 1 classes"),
        (in_data(features=[feature()] * 2), "2 features are not those of images"),
    ],
)
def test_a_model_whose_labels_or_columns_have_no_name_is_not_loaded(
    flowers: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    with pytest.raises(DamagedFile, match=said):
        packing.check_model(changed(flowers, change))


def test_right_to_left_names_joined_emoji_and_markup_are_kept_as_they_are(flowers: Path, tmp_path: Path) -> None:
    classes = ["شجرة", "👩‍👩‍👧", "<script>alert(1)</script>", "=1+1"]
    packing.check_model(changed(flowers, in_data(classes=classes)))
    assert catalogue.read_entry(flowers).manifest["data"]["classes"] == classes


def test_a_name_that_no_screen_could_show_makes_no_data_set() -> None:
    x = np.zeros((2, 1, 8, 8), np.uint8)
    y = np.zeros(2, np.uint8)
    with pytest.raises(ValueError, match="characters on one line"):
        own_data.make(title="t", source="s", classes=("a\u202eb",), **split(x, y, held_out=1))


def test_the_card_of_a_model_of_own_data_is_a_card_like_any_other(flowers: Path) -> None:
    assert checkpoints.read_card(flowers).data_sha256 == table().sha256
