"""Measuring models of one's own data: the judge that is trained for it, what stands without one, and what is told."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from explorer import (
    atlas,
    catalogue,
    checkpoints,
    classifier,
    cli,
    figures,
    models,
    own_data,
    own_judge,
    regularity,
    scoreboard,
    visitors,
    world,
)
from explorer.data import Dataset, Feature
from explorer.loaded import Model
from explorer.measurings import JUDGE, Measuring, Measurings, listen
from explorer.scoreboard import COUNT, DISTRIBUTED, DISTRIBUTIONS, JUDGED, Scoreboard
from explorer.statistics import bootstrap
from tests import pages

TWO = ("bars", "پهن")
NEEDS_40 = "At least 40 held-out items are needed, and there are {}."


def own(x: np.ndarray, y: np.ndarray, *, held_out: int, classes: tuple[str, ...] = TWO, **more: Any) -> Dataset:
    parts = {"x_train": x[held_out:], "y_train": y[held_out:], "x_test": x[:held_out], "y_test": y[:held_out]}
    return own_data.make(title="Own", source="own.zip", classes=classes, **parts, **more)


def stripes(n: int = 200, *, held_out: int = 60) -> Dataset:
    """8x8 images of two classes: a bright row, or a bright column, at any place."""
    random = np.random.default_rng(0)
    y = (np.arange(n) % 2).astype(np.uint8)
    x = random.integers(0, 60, (n, 1, 8, 8)).astype(np.uint8)
    for i, place in enumerate(random.integers(8, size=n)):
        (x[i, 0] if y[i] else x[i, 0].T)[place] = 230
    return own(x, y, held_out=held_out)


def table(n: int = 200, *, held_out: int = 60) -> Dataset:
    y = (np.arange(n) % 2).astype(np.uint8)
    x = np.random.default_rng(1).integers(0, 100, (n, 1, 1, 4)) + 100 * y[:, None, None, None]
    columns = tuple(Feature(f"column {i}", 0.0, 1.0) for i in range(4))
    return own(x.astype(np.uint8), y, held_out=held_out, features=columns)


def one_class(n: int = 200, *, held_out: int = 60) -> Dataset:
    x = np.random.default_rng(2).integers(0, 256, (n, 3, 9, 13)).astype(np.uint8)
    return own(x, np.zeros(n, np.uint8), held_out=held_out, classes=("all",))


def saved(folder: Path, dataset: Dataset, *, kind: str = "vae") -> Path:
    """A model of that data with its first weights, which are as good as any here."""
    module = models.build(kind, seed=0, image_shape=dataset.image_shape, latent_dim=2, arch="mlp", hidden=(16,))
    nats = {"test_recon": 1.0, "test_recon_sampled": 1.0, "test_kl": 0.0, "beta": 1.0}
    rest = {"epochs": 1, "batch_size": 8, "lr": 1e-3, "seed": 0, "history": (), "versions": {}}
    folder.mkdir(parents=True)
    checkpoints.save(folder, module, name=folder.name, model=kind, **nats, **rest, **dataset.origin)
    return folder


def measured(folder: Path, here: world.World) -> Scoreboard:
    model = Model.load(folder)
    return Scoreboard(tuple(regularity.measure(model, here)), regularity.about(model, here))


def without_value(board: Scoreboard) -> set[str]:
    return {one.measure for one in board.figures if one.value is None}


@pytest.fixture(scope="module", autouse=True)
def one_core() -> Iterator[None]:
    with threadpool_limits(1):  # what is multiplied here is too small to share
        yield


@dataclass(frozen=True)
class Tried:
    dataset: Dataset
    here: world.World
    board: Scoreboard


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tried]:
    """A set of images and a table with their worlds, and a model of each measured."""
    made = {}
    for name, dataset in (("images", stripes()), ("table", table())):
        here = world.of(dataset)
        made[name] = Tried(dataset, here, measured(saved(tmp_path_factory.mktemp(name) / "m", dataset), here))
    return made


# ---- with a judge


@pytest.mark.parametrize("kind", ["images", "table"])
def test_images_and_tables_of_two_classes_get_every_figure_between_its_controls(
    tried: dict[str, Tried], kind: str
) -> None:
    board = tried[kind].board
    assert len(board.figures) == COUNT
    assert without_value(board) == set()
    for one in board.figures:
        assert np.isfinite([one.value, one.low, one.high]).all(), one
        assert one.floor is not None or one.measure == "stretch"
        no_ceiling = one.measure == "kl" or (kind == "table" and one.measure == "neighbour_agreement")
        assert (one.ceiling is None) is no_ceiling, one
    json.dumps(scoreboard.table([board]), allow_nan=False)


@pytest.mark.parametrize("kind", ["images", "table"])
def test_the_judge_reads_held_out_items_as_well_as_their_nearest_neighbours_do(
    tried: dict[str, Tried], kind: str
) -> None:
    dataset, judge = tried[kind].dataset, tried[kind].here.judge
    flat = [x.reshape(len(x), -1) for x in (dataset.x_train, dataset.x_test)]
    by_neighbours = KNeighborsClassifier(3).fit(flat[0], dataset.y_train).score(flat[1], dataset.y_test)
    told = judge.record.test
    assert told
    read = judge.probabilities(world.unit(dataset.x_test)).argmax(axis=1)
    assert told.accuracy == pytest.approx((read == dataset.y_test).mean())
    assert told.n == 60
    assert told.accuracy >= by_neighbours - 0.05
    assert told.accuracy > 0.9


def test_two_models_of_one_set_have_the_very_same_judge(tried: dict[str, Tried]) -> None:
    again = own_judge.train(table(), seed=0)
    assert again.record.sha256 == tried["table"].here.judge.record.sha256


def test_a_judge_of_a_table_comes_back_from_its_files(tried: dict[str, Tried], tmp_path: Path) -> None:
    dataset, judge = tried["table"].dataset, tried["table"].here.judge
    classifier.save(tmp_path, judge)
    x = world.unit(dataset.x_test)
    np.testing.assert_array_equal(classifier.read(tmp_path).probabilities(x), judge.probabilities(x))


@pytest.mark.parametrize("pixels", [4, 64, 784, 4096])
@pytest.mark.parametrize("items", [100, 1_437, 60_000, 100_000])
def test_what_a_judge_may_cost_is_bounded(items: int, pixels: int) -> None:
    n, epochs = own_judge.budget(items, pixels=pixels)
    assert 100 <= n <= items
    assert own_judge.FEWEST_EPOCHS <= epochs <= own_judge.MOST_EPOCHS
    assert n * epochs <= own_judge.PASSES
    assert n * epochs * pixels <= own_judge.PIXELS


def test_the_judge_is_told_of_with_its_accuracy_and_what_guessing_would_reach(
    tried: dict[str, Tried], tmp_path: Path
) -> None:
    board = tried["table"].board
    right = 100 * board.about["judge"]["right"]
    said = f"Judged by a classifier trained on your data: {right:.0f} % right on 60 held-out items"
    assert scoreboard.judged_by(board) == f"{said}; to name the commonest class always would be 50 %."
    assert said in scoreboard.as_text(board)
    scoreboard.save(tmp_path, board)
    assert scoreboard.judged_by(scoreboard.load(tmp_path)) == scoreboard.judged_by(board)


@pytest.mark.parametrize(("right", "poor"), [(0.5, True), (0.59, True), (0.61, False), (1.0, False)])
def test_a_judge_that_has_learned_little_is_not_to_be_relied_on(right: float, poor: bool) -> None:
    said = scoreboard.judged_by(Scoreboard((), {"judge": {"right": right, "n": 60, "commonest": 0.5}}))
    assert said.endswith("It has learned little: do not rely on figures that need it.") is poor


@pytest.mark.parametrize("told", [None, "<b>", {}, {"right": "<b>", "n": 1, "commonest": 0.5}])
def test_what_a_file_says_of_a_judge_is_not_believed(told: object) -> None:
    assert scoreboard.judged_by(Scoreboard((), {"judge": told})) == ""


# ---- without one


@pytest.mark.parametrize(
    ("dataset", "why"),
    [
        (one_class(held_out=35), "A classifier is needed, and all items to learn from are of one class."),
        (stripes(130, held_out=35), NEEDS_40.format(35)),
        (stripes(99, held_out=40), "A classifier needs at least 100 items to learn from, and there are 59."),
    ],
)
def test_without_a_judge_all_else_is_there_and_the_rest_says_why(tmp_path: Path, dataset: Dataset, why: str) -> None:
    here = world.of(dataset)
    assert len(here.images) == len(dataset.x_test)
    board = measured(saved(tmp_path / "m", dataset), here)
    assert without_value(board) == set(JUDGED)
    assert {one.note for one in board.figures if one.value is None} == {why}
    assert [one.distribution for one in board.figures if one.measure == "holes"] == list(DISTRIBUTIONS)
    titles = "Fréchet distance, Precision, Recall, Density, Coverage, Accepted"
    assert scoreboard.left_out([board, board], [(name, "prior") for name in DISTRIBUTED]) == [
        f"Left out: {titles}. {why}"
    ]
    assert scoreboard.judged_by(board) == ""


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_two_items_have_a_reconstruction_and_a_reason_for_all_else(tmp_path: Path, kind: str) -> None:
    dataset = stripes(2, held_out=1)
    board = measured(saved(tmp_path / "m", dataset, kind=kind), world.of(dataset))
    there = {one.measure for one in board.figures if one.value is not None}
    assert there == ({"recon"} if kind == "ae" else {"recon", "kl"})
    for one in board.figures:
        if one.value is None:
            known = ("needed, and there are 1.", "items to learn from are of one class.", "so no KL.")
            assert one.note.endswith(known), one


def test_between_few_items_each_path_is_walked_once() -> None:
    """Of six items, fifteen pairs."""
    ends = regularity.ends_of_paths(world.of(stripes(12, held_out=6)))
    assert len({frozenset(pair) for pair in ends.T.tolist()}) == ends.shape[1] == 15
    assert regularity.ends_of_paths(world.of(stripes(80, held_out=40))).shape == (2, regularity.PATHS)


def test_items_that_are_all_alike_hinder_nothing(tmp_path: Path) -> None:
    dataset = own(np.full((200, 1, 8, 8), 7, np.uint8), np.zeros(200, np.uint8), held_out=60, classes=("all",))
    board = measured(saved(tmp_path / "m", dataset), world.of(dataset))
    found = board.get("recon")
    assert found
    assert found.value == pytest.approx(found.low)
    json.dumps(scoreboard.table([board]), allow_nan=False)


def test_the_interval_of_a_few_values_holds_their_mean_95_times_in_100() -> None:
    random, hits = np.random.default_rng(0), 0
    for _ in range(500):
        low, high = bootstrap(random.normal(3, 2, 4), seed=0)
        hits += low <= 3 <= high
    assert 0.92 <= hits / 500 <= 0.98
    assert bootstrap(np.array([0.1, 0.9]), seed=0)[0] == 0


# ---- the command


def test_the_command_measures_a_model_of_ones_own_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = one_class(60, held_out=20)
    own_data.save(tmp_path / "data", dataset)
    folder = saved(tmp_path / "m", dataset)
    cli.main(["measure", str(folder), "--dataset", str(tmp_path / "data"), "--json", "--save"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == COUNT
    kept = scoreboard.load(folder)
    assert [one.record() for one in kept.figures] == lines
    assert kept.about["classifier_sha256"] is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "m learned a data set of one's own: name its path with --dataset"),
        ("nowhere", "--dataset must be the path of a file or folder, and there is none at"),
        ("other", "holds: name the data that it learned"),
    ],
)
def test_other_data_than_the_models_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: str | None, message: str
) -> None:
    folder = saved(tmp_path / "m", one_class(60, held_out=20))
    own_data.save(tmp_path / "other", one_class(61, held_out=20))
    given = ["--dataset", str(tmp_path / data)] if data else []
    with pytest.raises(SystemExit) as ended:
        cli.main(["measure", str(folder), *given])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


# ---- in processes and on the page


def test_how_far_the_judge_is_comes_from_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    list(cli.watch_judge(range(4)))
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    one = Measuring(Path("m"))
    listen(one, [line for line in lines if JUDGE in line][:1], said=deque())
    assert one.judge == 0
    listen(one, lines, said=deque())
    assert one.judge == 1


def test_data_that_went_while_a_measuring_waited_is_told_without_its_path(tmp_path: Path) -> None:
    one = Measuring(tmp_path / "m", tmp_path / "gone")
    Measurings()._measure(one)
    assert one.problem == "Its data set was removed before its turn came: bring it again."


@pytest.mark.parametrize("brought", [False, True])
def test_the_page_asks_for_the_data_where_it_is_gone_and_measures_where_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brought: bool
) -> None:
    dataset, asked = table(), []
    for kind in ("ae", "vae"):
        folder = saved(tmp_path / f"m-{kind}", dataset, kind=kind)
        drawn = atlas.build(Model.load(folder), dataset.x_test, dataset.y_test, with_umap=False, about=dataset.about)
        atlas.save(drawn, folder)
    there = catalogue.read(tmp_path)
    monkeypatch.setattr(catalogue, "shipped", lambda: there)
    sets = {dataset.name: tmp_path / "data"} if brought else {}
    monkeypatch.setattr(visitors.DataShelf, "sets", lambda self, visitor: sets)
    monkeypatch.setattr(Measurings, "start", lambda self, *what: asked.append(what))
    page = pages.open_page("measure.py")
    (told,) = page.info
    if brought:
        assert "Of your own data a classifier learns first" in told.value
        next(button for button in page.button if button.label == "Measure").click().run()
        assert asked == [(tmp_path / f"m-{kind}", tmp_path / "data") for kind in ("ae", "vae")]
    else:
        said = told.value.replace("\\", "")  # as a reader sees it: without Markdown's escapes
        assert "The data that m-ae and m-vae learned is not here any more: bring it again" in said
        assert list(page.dataframe[0].value["Model"]) == ["m-ae", "m-vae"]
        assert not page.button


def test_a_row_of_a_table_is_drawn_as_bars() -> None:
    rows = np.zeros((3, 2, 1, 1, 4), np.uint8)
    rows[0, 0, 0, 0] = [0, 255, 128, 0]
    sheet = figures.contact_sheet(rows)
    first = sheet[: figures.TALL, : 4 * figures.BAR]
    dark = (first < 100).sum(axis=0).reshape(4, figures.BAR)
    assert dark[:, 0].tolist() == [0, 24, 12, 0]
    assert (dark == dark[:, :1]).all()
