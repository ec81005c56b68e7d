from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.manifold import trustworthiness
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from explorer import atlas, data, projection
from explorer.labs import projections
from explorer.labs.result import Result, Step, save
from tests.damage import unsealed

SEED = 3
MNIST = data.load_subset("mnist")
IMAGES, LABELS = MNIST.x_test[:120], MNIST.y_test[:120]


def cloud(n: int = 120, d: int = 6, *, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.normal(size=(n, d)) @ random.normal(size=(d, d))).astype(np.float32)


def space(points: np.ndarray, labels: np.ndarray) -> projections.Space:
    return projections.Space("cloud", points, projection.neighbour_ranks(points), labels)


def at_classes(places: list[float], *, width: tuple[float, ...] = (0.1, 0.1, 0.1)) -> np.ndarray:
    """[120, 2]: 40 points around each of three places on a line, in the order of THREE."""
    ring = np.array([[math.cos(t), math.sin(t)] for t in np.arange(40) * math.tau / 40])
    return np.concatenate([[place, 0] + size * ring for place, size in zip(places, width)]).astype(np.float32)


THREE = np.repeat(np.arange(3, dtype=np.uint8), 40)


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    return projections.spaces_of(IMAGES, "mnist")["ae"]


@pytest.fixture(scope="module")
def news(codes: np.ndarray) -> list[Step | Result]:
    return list(projections.grid(IMAGES, LABELS, {"ae": codes}, neighbours=(5, 40), min_dist=(0.0, 0.5), seed=SEED))


@pytest.fixture(scope="module")
def result(news: list[Step | Result]) -> Result:
    assert isinstance(news[-1], Result)
    return news[-1]


def test_trust_and_continuity_are_scikit_learns_trustworthiness_both_ways_round() -> None:
    points = cloud()
    picture = points[:, :2]
    figures = projections.measure(space(points, LABELS), picture)
    assert figures["trust"] == pytest.approx(trustworthiness(points, picture, n_neighbors=10), abs=1e-9)
    assert figures["continuity"] == pytest.approx(trustworthiness(picture, points, n_neighbors=10), abs=1e-9)
    assert abs(figures["trust"] - figures["continuity"]) > 0.01


@pytest.mark.parametrize("points", [cloud(), projections.pixels(IMAGES)], ids=["cloud", "pixels"])
def test_accuracy_is_that_of_scikit_learn_leaving_one_out(points: np.ndarray) -> None:
    said = cross_val_predict(KNeighborsClassifier(10), points, LABELS, cv=LeaveOneOut())
    assert projections.accuracy(points, LABELS) == pytest.approx((said == LABELS).mean(), abs=1e-12)


def test_the_control_keeps_the_values_of_each_pixel_and_nothing_of_the_classes() -> None:
    images, labels = MNIST.x_test[:1000], MNIST.y_test[:1000]
    control = projections.shuffled(images, seed=SEED)
    np.testing.assert_array_equal(np.sort(control, axis=0), np.sort(images, axis=0))
    before, after = (projections.accuracy(projections.pixels(x), labels) for x in (images, control))
    assert before > 0.8
    assert abs(after - 0.1) < 0.05


def test_each_pixel_of_the_control_has_an_order_of_its_own() -> None:
    numbered = np.repeat(np.arange(100, dtype=np.uint8), 9).reshape(100, 1, 3, 3)
    columns = projections.shuffled(numbered, seed=SEED).reshape(100, 9)
    assert len(np.unique(columns.T, axis=0)) == 9


@pytest.mark.parametrize(("places", "expected"), [([0, 10, 30], 1), ([0, 3, 1], -1), ([-5, -4, -2], 1)])
def test_centroids_says_whether_far_classes_are_far_in_the_picture(places: list[float], expected: float) -> None:
    figures = projections.measure(space(at_classes([0, 1, 3]), THREE), at_classes(places))
    assert figures["centroids"] == pytest.approx(expected)


@pytest.mark.parametrize(("width", "expected"), [((0.2, 0.4, 0.6), 1), ((0.3, 0.2, 0.1), -1)])
def test_spreads_says_whether_wide_classes_are_wide_in_the_picture(width: tuple[float, ...], expected: float) -> None:
    wide = at_classes([0, 5, 9], width=(0.1, 0.2, 0.3))
    figures = projections.measure(space(wide, THREE), at_classes([0, 5, 9], width=width))
    assert figures["spreads"] == pytest.approx(expected)


def test_a_spread_is_the_root_mean_square_distance_from_the_centroid() -> None:
    np.testing.assert_allclose(projections.spreads(at_classes([0, 5, 9]), THREE), 0.1, rtol=1e-4)


def test_two_classes_have_an_accuracy_and_too_few_distances_to_rank() -> None:
    figures = projections.measure(space(cloud(), LABELS % 2), cloud()[:, :2])
    assert figures["accuracy"] is not None
    assert figures["centroids"] is figures["spreads"] is None


def test_a_picture_turned_mirrored_moved_and_scaled_is_the_same_picture() -> None:
    picture = cloud()[:, :2]
    figures = projections.between([picture, picture @ np.array([[0, 3], [3, 0]], np.float32) + 7])
    assert figures == pytest.approx({"disparity": 0, "agreement": 1}, abs=1e-6)


def test_pictures_that_have_nothing_to_do_with_each_other_agree_by_chance_only() -> None:
    random = np.random.default_rng(0)
    figures = projections.between([random.normal(size=(1000, 2)) for _ in range(3)])
    assert figures["disparity"] > 0.98
    assert figures["agreement"] == pytest.approx(10 / 999, abs=0.004)


@pytest.mark.parametrize("stretch", [(1, 4), (40, 0.1)])
def test_scaling_keeps_the_aspect_and_fills_the_frame(stretch: tuple[float, float]) -> None:
    picture = cloud()[:, :2] * np.array(stretch) + 50
    scaled = projections.scaled(picture)
    ratio = cdist(scaled, scaled)[0, 1:] / cdist(picture, picture)[0, 1:]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    longer = np.ptp(picture, axis=0).argmax()
    assert (scaled[:, longer].min(), scaled[:, longer].max()) == pytest.approx((-1, 1))
    np.testing.assert_allclose(scaled.min(axis=0), -scaled.max(axis=0), atol=1e-5)


def test_steps_count_every_picture_and_a_result_ends_them(news: list[Step | Result]) -> None:
    steps = [step for step in news[:-1] if isinstance(step, Step)]
    assert len(steps) == len(news) - 1 == 1 + 2 * 4 * 3
    assert [step.done for step in steps] == list(range(len(steps)))
    assert {step.total for step in steps} == {len(steps)}
    assert steps[-1].text == "UMAP of shuffled pixels: 40 neighbours, min_dist 0.5, seed 5"


def test_steps_tell_the_trust_of_the_last_pictures_of_their_space(news: list[Step | Result], result: Result) -> None:
    step = news[4]
    assert isinstance(step, Step)
    pca, umap = (result.record[kind]["ae"] for kind in ("pca", "umap"))
    assert step.figures == pytest.approx({"pca_trust": pca["trust"], "umap_trust": umap[0][0]["trust"][2]}, abs=1e-4)


def test_the_same_seed_gives_the_same_picture_at_its_place_in_the_grid(result: Result, codes: np.ndarray) -> None:
    again = projections.scaled(projection.umap(codes, neighbours=40, min_dist=0.0, seed=SEED + 2))
    np.testing.assert_array_equal(result.arrays["umap"][0, 1, 0, 2], again.astype(np.float16))


def test_other_seeds_neighbours_and_min_dist_give_other_pictures(result: Result) -> None:
    pictures = result.arrays["umap"].reshape(2 * 12, -1)
    assert len(np.unique(pictures, axis=0)) == 24


def test_the_figures_in_the_record_are_those_of_the_pictures_shown(result: Result, codes: np.ndarray) -> None:
    shown = result.arrays["umap"].astype(np.float32)
    for k, distance, seed in [(0, 0, 0), (0, 1, 2), (1, 0, 1)]:
        figures = result.record["umap"]["ae"][k][distance]
        expected = trustworthiness(codes, shown[0, k, distance, seed], n_neighbors=10)
        assert figures["trust"][seed] == pytest.approx(expected, abs=2e-3)
        between = projections.between(list(shown[0, k, distance]))
        assert {name: figures[name] for name in between} == pytest.approx(between, abs=1e-2)


def test_pca_is_the_projection_on_the_plane_of_most_variance(result: Result, codes: np.ndarray) -> None:
    _, singular, rows = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
    expected = projections.scaled((codes - codes.mean(axis=0)) @ rows[:2].T)
    np.testing.assert_allclose(np.abs(cdist(expected, expected)), cdist(*[result.arrays["pca"][0]] * 2), atol=2e-3)
    share = (singular[:2] ** 2).sum() / (singular**2).sum()
    assert result.record["pca"]["ae"]["explained"] == pytest.approx(share, abs=1e-4)


def test_the_control_comes_last_and_its_first_images_come_along(result: Result) -> None:
    assert result.record["spaces"] == ["ae", "control"]
    assert {name: of["dims"] for name, of in result.record["space"].items()} == {"ae": 16, "control": 784}
    np.testing.assert_array_equal(result.arrays["control"], projections.shuffled(IMAGES, seed=SEED)[:100])


def test_a_run_says_of_which_images_it_is_and_can_be_saved(tmp_path: Path) -> None:
    *steps, last = projections.run("mnist", neighbours=6, min_dist=0.2, n=100, seed=1)
    assert len(steps) == 1 + 4 * 3
    assert isinstance(last, Result)
    assert last.record["dataset"] == "mnist"
    assert last.record["spaces"] == ["pixels", "ae", "vae", "control"]
    np.testing.assert_array_equal(last.arrays["labels"], atlas.held_out("mnist")[1][:100])
    kinds = {name: (array.dtype.name, array.shape) for name, array in last.arrays.items()}
    assert kinds == {
        "labels": ("uint8", (100,)),
        "control": ("uint8", (100, 1, 28, 28)),
        "pca": ("float16", (4, 100, 2)),
        "umap": ("float16", (4, 1, 1, 3, 100, 2)),
    }
    saved = save(last, tmp_path, "projections")
    assert unsealed((tmp_path / "projections.json").read_bytes()) == saved


def test_images_of_one_class_only_have_pictures_but_no_figures_of_classes() -> None:
    alike = np.zeros(120, np.uint8)
    *_, last = projections.grid(IMAGES, alike, {"cloud": cloud()}, neighbours=(5,), min_dist=(0.1,))
    assert isinstance(last, Result)
    figures = last.record["umap"]["cloud"][0][0]
    for name in ("accuracy", "centroids", "spreads"):
        assert figures[name] == [None] * 3
        assert last.record["pca"]["cloud"][name] is None
    assert last.record["space"]["cloud"]["accuracy"] is None
    assert np.isfinite(last.arrays["umap"]).all()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"neighbours": 1}, "neighbours must be 2 to 119 for 120 images, got 1"),
        ({"neighbours": 120}, "neighbours must be 2 to 119 for 120 images, got 120"),
        ({"neighbours": 201, "n": 1000}, "neighbours must be 2 to 200 for 1000 images, got 201"),
        ({"min_dist": -0.1}, "min_dist must be 0 to 0.99, got -0.1"),
        ({"min_dist": 1.0}, "min_dist must be 0 to 0.99, got 1.0"),
        ({"min_dist": float("nan")}, "min_dist must be 0 to 0.99, got nan"),
        ({"n": 99}, "There must be 100 to 2000 images, got 99"),
        ({"n": 2001}, "There must be 100 to 2000 images, got 2001"),
        ({"dataset_name": "digits"}, "Unknown data set: 'digits'. Must be one of: mnist, fashion-mnist"),
    ],
)
def test_settings_out_of_range_are_refused_with_what_would_be_right(asked: dict, message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.") + "$"):
        next(projections.run(**({"dataset_name": "mnist", "neighbours": 15, "min_dist": 0.1, "n": 120} | asked)))


@pytest.mark.parametrize(
    ("spaces", "message"),
    [
        ({"odd": np.where(cloud() > 0, np.nan, cloud())}, "The space odd must hold finite numbers only"),
        ({"same": np.ones((120, 4), np.float32)}, "The points of the space same are all alike"),
        ({"short": cloud(90)}, r"The space short must have the shape \[120, d\].*, got \(90, 6\)"),
        ({"control": cloud()}, "The space called control is made here"),
    ],
)
def test_spaces_that_have_no_picture_are_refused_by_name(spaces: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        next(projections.grid(IMAGES, LABELS, spaces))


def test_a_grid_without_settings_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one number of neighbours and one min_dist"):
        next(projections.grid(IMAGES, LABELS, {"cloud": cloud()}, neighbours=()))
