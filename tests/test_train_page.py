"""The Train page's logic: what is chosen, what it comes to, what is said of what cannot be."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer import data, jobs, own_data, packing, visitors
from explorer.data import Feature
from explorer.job import Training
from explorer.jobs import Jobs, Limits
from explorer.settings import Settings
from tests import pages

ANNA = "A" * 32


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    """Jobs in which nothing starts, so that what was ordered can be read; and Anna is asking."""
    made = Jobs(Limits(at_once=0, active_a_visitor=2))
    shelf, sets = visitors.Shelf(made.root / "shelf"), visitors.DataShelf(made.root / "data")
    monkeypatch.setattr(made, "warm", lambda: None)
    monkeypatch.setattr(jobs, "here", lambda: made)
    monkeypatch.setattr(visitors, "shelf", lambda: shelf)
    monkeypatch.setattr(visitors, "data_shelf", lambda: sets)
    monkeypatch.setattr(visitors, "visitor_of", lambda cookies: ANNA)
    yield made
    made.close()


def open_page(**query: str) -> AppTest:
    return pages.open_page("train.py", **query)


def press(page: AppTest, label: str) -> AppTest:
    next(button for button in page.button if button.label == label).click()
    page.run()
    assert not page.exception
    return page


def start_button(page: AppTest) -> Any:
    return next(button for button in page.button if button.label == "Start")


def ordered(crew: Jobs) -> list[Settings]:
    return [job.settings for job in crew.of(ANNA)]


def captions(page: AppTest) -> str:
    return " ".join(caption.value for caption in page.caption)


def test_the_defaults_are_counted_and_ordered(crew: Jobs) -> None:
    page = open_page()
    assert "1,068,306 weights in the AE; 1,068,820 in the VAE" in captions(page)
    press(page, "Start")
    assert ordered(crew) == [Settings()]
    assert page.query_params["job"] == crew.of(ANNA)[0].id


@pytest.mark.parametrize(
    ("preset", "changed"),
    [("Collapse", {"beta": 20.0}), ("Barely regularised", {"beta": 0.01}), ("One dimension", {"latent_dim": 1})],
)
def test_a_preset_changes_one_thing_and_the_defaults_come_back(
    crew: Jobs, preset: str, changed: dict[str, Any]
) -> None:
    page = open_page()
    page.number_input(key="epochs").set_value(3).run()
    press(press(page, preset), "Start")
    press(press(page, "Back to the defaults"), "Start")
    assert ordered(crew) == [Settings(**{**vars(Settings()), **changed}), Settings()]


def test_every_control_reaches_the_order(crew: Jobs) -> None:
    page = open_page()
    page.selectbox(key="data").set_value("digits")
    page.slider(key="latent_dim").set_value(5)
    page.text_input(key="hidden_mlp").set_value("40, 20")
    page.select_slider(key="beta").set_value(0.0)
    page.number_input(key="epochs").set_value(4)
    page.select_slider(key="lr").set_value(1e-2)
    page.selectbox(key="batch_size").set_value(64)
    page.number_input(key="seed").set_value(9)
    press(page.run(), "Start")
    wanted = Settings("digits", "mlp", (40, 20), latent_dim=5, beta=0.0, epochs=4, batch_size=64, lr=1e-2, seed=9)
    assert ordered(crew) == [wanted]


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ("abc", "Hidden sizes"),
        ("", "Hidden sizes"),
        ("0", "hidden must be 1 to 6 sizes"),
        ("4000,4000", "at most 5,000,000"),
    ],
)
def test_sizes_that_cannot_be_are_told_and_nothing_starts(crew: Jobs, sizes: str, said: str) -> None:
    page = open_page()
    page.text_input(key="hidden_mlp").set_value(sizes).run()
    (warning,) = page.warning
    assert said in warning.value
    assert warning.value.endswith(".")
    assert start_button(page).disabled
    page.text_input(key="hidden_mlp").set_value("64").run()
    assert not page.warning
    assert not start_button(page).disabled


def test_too_many_trainings_are_refused_in_words(crew: Jobs) -> None:
    page = open_page()
    for _ in range(3):
        press(page, "Start")
    assert [pages.seen(warning.value) for warning in page.warning] == [
        "You have 2 trainings already: stop one of them first."
    ]
    assert len(ordered(crew)) == 2


def test_without_a_cookie_it_is_said_why_nothing_starts(crew: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "visitor_of", lambda cookies: "")
    page = press(open_page(), "Start")
    assert "Training needs a cookie" in page.warning[0].value
    assert crew.jobs == {}


@pytest.mark.parametrize("job", ["nosuchjob", "../..", "<b>"])
def test_a_training_that_is_not_ones_own_is_not_shown(crew: Jobs, job: str) -> None:
    page = open_page(job=job)
    assert page.info[0].value.startswith("There is no such training of yours on this server")
    assert not page.get("bidi_component")
    assert job not in page.info[0].value


def test_anothers_training_is_as_if_it_were_not(crew: Jobs) -> None:
    """The stage is told the number alone, and shows nothing of a training that the server says nothing of."""
    others = crew.submit("B" * 32, Settings())
    said = {}
    for asked in (others.id, "0" * 32):
        page = open_page(job=asked)
        (stage,) = page.get("bidi_component")
        said[asked] = [page.info[0].value, stage.proto.json.replace(asked, "")]
    assert said[others.id] == said["0" * 32]
    page = open_page(job="../" + others.id)
    assert page.info
    assert not page.get("bidi_component")


def test_ones_own_training_is_on_the_stage(crew: Jobs) -> None:
    mine = crew.submit(ANNA, Settings(dataset="digits"))
    (stage,) = open_page(job=mine.id).get("bidi_component")
    assert mine.id in stage.proto.json


def test_the_full_set_can_be_chosen_where_it_is(crew: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "has_full", lambda name: name == "mnist")
    page = open_page()
    assert [option for option in page.selectbox(key="data").options if "all 60,000" in option] == ["MNIST, all 60,000"]
    page.selectbox(key="data").set_value("mnist full")
    press(page.run(), "Start")
    assert crew.of(ANNA)[0].full


# ---- kept models


@pytest.fixture
def kept(crew: Jobs, shipped: Path, tmp_path: Path) -> list[Path]:
    """A pair on Anna's shelf."""
    folders = [tmp_path / "job" / f"x-{kind}" for kind in ("ae", "vae")]
    for folder, kind in zip(folders, ("ae", "vae")):
        shutil.copytree(shipped / f"digits-{kind}-3", folder)
        for images in shipped.glob("images-*.gz"):
            shutil.copy(images, folder)
    visitors.shelf().keep(ANNA, folders, name="mine")
    return folders


def test_what_is_kept_can_be_opened_downloaded_and_removed(kept: list[Path]) -> None:
    page = open_page()
    links = " ".join(text.value for text in page.markdown)
    assert "[Explore](./?data=digits&d=3&left=mine-ae&right=mine-vae) · [Download](./kept/mine.zip)" in links
    press(page, "Remove")
    assert visitors.shelf().of(ANNA) == ()
    assert "mine" not in " ".join(text.value for text in page.markdown)


def test_a_kept_pair_goes_on_from_where_it_stood(crew: Jobs, kept: list[Path]) -> None:
    press(open_page(), "10 epochs more")
    (job,) = crew.of(ANNA)
    assert job.settings == Settings("digits", "mlp", (32,), latent_dim=3, epochs=22, batch_size=32, lr=5e-3)
    assert job.earlier == visitors.shelf().pairs(ANNA)["mine"].folders[0].parent


def test_a_file_from_elsewhere_is_loaded_and_one_that_is_none_is_told(
    crew: Jobs, kept: list[Path], tmp_path: Path
) -> None:
    packing.pack(kept, tmp_path / "pair.zip")
    page = open_page()
    (place,) = page.get("file_uploader")
    place.upload("from a friend.zip", (tmp_path / "pair.zip").read_bytes(), "application/zip").run()
    assert (
        pages.seen(page.success[0].value) == "Loaded as from-a-friend-ae and from-a-friend-vae: choose them in Explore."
    )
    assert len(visitors.shelf().of(ANNA)) == 4
    (place,) = page.get("file_uploader")
    place.upload("other.zip", b"PK no zip at all", "application/zip").run()
    assert pages.seen(page.warning[0].value).startswith("other.zip cannot be loaded. ")
    assert len(visitors.shelf().of(ANNA)) == 4


def bring(crew: Jobs, shape: tuple[int, int, int], *, title: str = "My set", n: int = 30, value: int = 0) -> str:
    """A data set on Anna's shelf; its name."""
    x, y = np.full((n, *shape), value, np.uint8), np.zeros(n, np.uint8)
    features = tuple(Feature(f"f{i}", 0, 1) for i in range(shape[2])) if shape[1] == 1 else ()
    parts = {"x_train": x[1:], "y_train": y[1:], "x_test": x[:1], "y_test": y[:1]}
    made = own_data.make(title=title, source="s", classes=("all",), features=features, **parts)
    place = visitors.data_shelf().place(ANNA)
    own_data.save(place, made)
    return visitors.data_shelf().keep(ANNA, place, name=made.name).name


def test_ones_own_data_is_chosen_by_the_address_and_reaches_the_order(crew: Jobs) -> None:
    name = bring(crew, (3, 16, 24))
    page = open_page(data=name)
    assert "My set, 29 colour images, 16×24" in page.selectbox(key="data").options
    assert "All are of one class, so the maps have one colour." in captions(page)
    weights = 16 * 24 * 3 * 512 * 2  # the outer layers of the AE, biases left out
    assert int(captions(page).split(" weights")[0].split()[-1].replace(",", "")) > weights
    press(press(page, "Collapse"), "Start")
    (job,) = crew.of(ANNA)
    assert isinstance(job, Training)
    assert (job.settings.dataset, job.settings.beta) == (name, 20.0)
    assert job.data_folder == visitors.data_shelf().sets(ANNA)[name]


def test_two_sets_of_one_title_can_be_told_apart(crew: Jobs) -> None:
    for value in (1, 2):
        bring(crew, (1, 8, 8), value=value)
    options = [option for option in open_page().selectbox(key="data").options if option.startswith("My set")]
    assert options == ["My set, 29 images, 8×8", "My set, 29 images, 8×8 (2)"]


def test_conv_is_refused_for_a_table_and_for_sides_that_cannot_be_halved(crew: Jobs) -> None:
    for shape, said in (((1, 1, 6), "choose mlp"), ((1, 10, 10), "cannot be halved so often")):
        page = open_page(data=bring(crew, shape))
        page.button_group(key="arch").set_value("conv").run()
        (warning,) = page.warning
        assert said in warning.value
        assert start_button(page).disabled


def test_a_data_set_that_is_gone_is_told(crew: Jobs) -> None:
    page = open_page(data="own-0123456789ab")
    assert any("no such data set" in warning.value for warning in page.warning)
    press(page, "Start")
    assert ordered(crew) == [Settings()]
