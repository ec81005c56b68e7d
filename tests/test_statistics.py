from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from scipy.stats import binom

from explorer import statistics
from explorer.statistics import CannotMeasure, Mismatch, Neighbours

Discrepancy = Callable[[np.ndarray, np.ndarray], float]
SEEDS = st.integers(0, 2**32 - 1)


def normal(n: int, f: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, f))


def mixed(n: int, f: int, *, seed: int = 0) -> np.ndarray:
    """Correlated features, away from 0."""
    return normal(n, f, seed=seed) @ normal(f, f, seed=seed + 1) + normal(1, f, seed=seed + 2)


def white(n: int, f: int, *, seed: int = 0) -> np.ndarray:
    """Samples whose mean is 0 and whose covariance is the identity, exactly."""
    left, _, _ = np.linalg.svd(normal(n, f, seed=seed) - normal(n, f, seed=seed).mean(axis=0), full_matrices=False)
    return left * np.sqrt(n - 1)


def rotation(f: int, *, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(normal(f, f, seed=seed))[0]


def frechet_by_sqrtm(a: np.ndarray, b: np.ndarray) -> float:
    cov_a, cov_b = (np.atleast_2d(np.cov(z, rowvar=False)) for z in (a, b))
    apart = a.mean(axis=0) - b.mean(axis=0)
    return float(apart @ apart + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real))


@pytest.mark.parametrize(("shift", "scale"), [(0, 1), (3, 1), (0, 2.5), (-4, 0.1)])
def test_frechet_of_two_normal_distributions_in_one_dimension(shift: float, scale: float) -> None:
    a, b = 2 * white(50, 1), scale * white(70, 1, seed=1) + shift
    assert statistics.frechet(a, b) == pytest.approx(shift**2 + (2 - scale) ** 2, abs=1e-9)


def test_frechet_of_commuting_covariances_is_the_distance_of_their_roots() -> None:
    turn, one, other = rotation(4), np.array([1, 2, 3, 0.5]), np.array([4, 0.1, 3, 2])
    a, b = white(40, 4) * one @ turn, white(60, 4, seed=5) * other @ turn + 1
    assert statistics.frechet(a, b) == pytest.approx(4 + ((one - other) ** 2).sum(), rel=1e-9)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), f=st.integers(1, 6))
def test_frechet_is_the_formula_with_the_matrix_root_of_scipy(seed: int, f: int) -> None:
    a, b = mixed(30, f, seed=seed), mixed(25, f, seed=seed + 10)
    assert statistics.frechet(a, b) == pytest.approx(frechet_by_sqrtm(a, b), rel=1e-5, abs=1e-6)


def test_frechet_is_symmetric() -> None:
    a, b = mixed(40, 5), mixed(30, 5, seed=7)
    assert statistics.frechet(a, b) == pytest.approx(statistics.frechet(b, a), rel=1e-10)
    assert statistics.frechet(a, b) > 0.1


@pytest.mark.parametrize("n", [2, 5, 300])
def test_frechet_of_a_sample_with_itself_is_0_even_if_its_covariance_is_singular(n: int) -> None:
    a = mixed(n, 20)
    assert 0 <= statistics.frechet(a, a) < 1e-10
    assert 0 <= statistics.frechet(a, a[::-1]) < 1e-10


def test_frechet_sees_features_that_only_one_side_has() -> None:
    a, b = white(50, 3), white(50, 3, seed=1) * [1, 1, 0] @ rotation(3)
    assert statistics.frechet(a, b) == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("scale", [1e-4, 3, 1e5])
def test_frechet_grows_with_the_square_of_the_scale(scale: float) -> None:
    a, b = mixed(60, 4), mixed(60, 4, seed=9)
    assert statistics.frechet(scale * a, scale * b) == pytest.approx(scale**2 * statistics.frechet(a, b), rel=1e-9)


def test_frechet_does_not_change_if_both_are_turned_and_moved() -> None:
    a, b, turn = mixed(60, 4), mixed(60, 4, seed=9), rotation(4, seed=3)
    expected = statistics.frechet(a, b)
    assert statistics.frechet(a @ turn, b @ turn) == pytest.approx(expected, rel=1e-9)
    assert statistics.frechet(a + 1e6, b + 1e6) == pytest.approx(expected, rel=1e-6)


def test_frechet_keeps_its_digits_where_the_samples_are_far_apart() -> None:
    a, b = white(50, 2), 2 * white(50, 2, seed=1) + [1e6, 0]
    assert statistics.frechet(a, b) - 1e12 == pytest.approx(2, abs=1e-2)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), f=st.integers(1, 12), alike=st.booleans())
def test_the_frechet_interval_holds_the_figure_and_no_negative_distance(seed: int, f: int, alike: bool) -> None:
    a = mixed(30, f, seed=seed)
    b = mixed(40, f, seed=seed + (0 if alike else 10))
    low, high = statistics.frechet_interval(a, b, seed=seed, resamples=40)
    assert 0 <= low <= statistics.frechet(a, b) <= high


def test_the_frechet_interval_ends_in_the_figure_where_there_are_too_few_samples() -> None:
    a, b = normal(100, 20), normal(100, 20, seed=1)
    low, high = statistics.frechet_interval(a, b, seed=0)
    assert high == statistics.frechet(a, b) > low


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.5, 1.3)])
def test_the_frechet_interval_covers_the_distance_of_the_distributions(shift: float, scale: float) -> None:
    truth, hits = 4 * (shift**2 + (scale - 1) ** 2), 0
    for seed in range(60):
        a, b = normal(200, 4, seed=seed), scale * normal(200, 4, seed=seed + 1000) + shift
        low, high = statistics.frechet_interval(a, b, seed=seed, resamples=100)
        hits += low <= truth + 1e-9 <= high + 1e-9
    assert hits >= 52  # a 95 % interval has fewer once in 100


def test_the_frechet_interval_narrows_with_more_samples() -> None:
    widths = []
    for n in (200, 3200):
        low, high = statistics.frechet_interval(normal(n, 3), 2 * normal(n, 3, seed=1), seed=0)
        widths.append(high - low)
    assert widths[1] < widths[0] / 2.5


def neighbours_by_hand(real: np.ndarray, fake: np.ndarray, k: int) -> Neighbours:
    """From full tables of squared distances, with the boundary of clovaai/generative-evaluation-prdc."""
    within_real, within_fake, between = (
        cdist(*pair, "sqeuclidean") for pair in ((real,) * 2, (fake,) * 2, (fake, real))
    )
    real_radii, fake_radii = np.sort(within_real)[:, k], np.sort(within_fake)[:, k]
    in_real, in_fake = between < real_radii, between < fake_radii[:, None]
    return Neighbours(
        precision=in_real.any(axis=1),
        density=in_real.sum(axis=1) / k,
        recall=in_fake.any(axis=0),
        coverage=between.min(axis=0) < real_radii,
        nearest=np.sqrt(between.min(axis=1)),
        nearest_index=between.argmin(axis=1),
        missed=np.sqrt(between.min(axis=0)),
    )


def assert_same(found: Neighbours, expected: Neighbours, real: np.ndarray, fake: np.ndarray) -> None:
    for name in ("precision", "density", "recall", "coverage"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    np.testing.assert_allclose(found.nearest, expected.nearest, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(fake - real[found.nearest_index], axis=1), expected.nearest, atol=1e-9)


@given(seed=SEEDS, k=st.integers(1, 6), f=st.integers(1, 5))
def test_neighbours_are_those_of_the_full_tables(seed: int, k: int, f: int) -> None:
    random = np.random.default_rng(seed)
    real, fake = random.normal(size=(60, f)), random.normal(0.3, 1.2, size=(45, f))
    found = statistics.neighbours(real, fake, k=k)
    assert_same(found, neighbours_by_hand(real, fake, k), real, fake)


@settings(max_examples=60)
@given(seed=SEEDS, k=st.integers(1, 4), f=st.integers(1, 3))
def test_neighbours_on_a_grid_where_most_are_equal_or_equally_far(seed: int, k: int, f: int) -> None:
    random = np.random.default_rng(seed)
    real, fake = random.integers(0, 4, size=(25, f)), random.integers(1, 6, size=(20, f))
    found = statistics.neighbours(real * 0.1 + 7, fake * 0.1 + 7, k=k)
    expected = neighbours_by_hand(real, fake, k)
    for name in ("precision", "density", "recall", "coverage"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    np.testing.assert_allclose(found.nearest, 0.1 * expected.nearest, atol=1e-9)


def test_neighbours_do_not_depend_on_the_size_of_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = mixed(90, 6), mixed(70, 6, seed=4)
    monkeypatch.setattr(statistics, "BLOCK", 1000)
    assert_same(statistics.neighbours(real, fake), neighbours_by_hand(real, fake, 5), real, fake)


def test_neighbours_keep_their_digits_far_from_the_origin_and_in_float32() -> None:
    grid = np.random.default_rng(0).integers(0, 64, size=(130, 4)) / 64
    real, fake = (grid[:70] + 2**14).astype(np.float32), (grid[70:] + 2**14).astype(np.float32)
    found = statistics.neighbours(real, fake)
    assert_same(found, neighbours_by_hand(grid[:70], grid[70:], 5), grid[:70], grid[70:])


def test_the_kinds_and_shapes_of_neighbours() -> None:
    found = statistics.neighbours(normal(30, 3), normal(20, 3, seed=1), k=3)
    kinds = {name: (value.shape, value.dtype) for name, value in vars(found).items()}
    assert kinds == {
        "precision": ((20,), np.bool_),
        "density": ((20,), np.float64),
        "recall": ((30,), np.bool_),
        "coverage": ((30,), np.bool_),
        "nearest": ((20,), np.float64),
        "nearest_index": ((20,), np.int64),
        "missed": ((30,), np.float64),
    }


def test_a_copy_of_the_sample_has_a_density_of_1_and_covers_it() -> None:
    real = mixed(200, 5)
    found = statistics.neighbours(real, real.copy(), k=4)
    assert found.density.mean() == pytest.approx(1, abs=1e-12)
    assert found.precision.all()
    assert found.recall.all()
    assert found.coverage.all()
    np.testing.assert_array_equal(found.nearest_index, np.arange(200))
    np.testing.assert_array_equal(found.nearest, 0)


def test_two_samples_of_one_distribution_have_the_density_and_coverage_that_naeem_et_al_derive() -> None:
    n, k, runs = 300, 5, 40
    factors = np.arange(1, k + 1)
    coverage = 1 - np.prod((n - factors) / (2 * n - factors))
    found = [statistics.neighbours(normal(n, 4, seed=s), normal(n, 4, seed=s + 500), k=k) for s in range(runs)]
    assert np.mean([one.density.mean() for one in found]) == pytest.approx(1, abs=0.02)
    assert np.mean([one.coverage.mean() for one in found]) == pytest.approx(coverage, abs=0.01)


def test_one_real_outlier_feigns_precision_but_hardly_density() -> None:
    real, fake = normal(500, 2), 0.3 * normal(400, 2, seed=1) + [12, 0]
    without = statistics.neighbours(real, fake)
    with_outlier = statistics.neighbours(np.vstack([real, [[24, 0]]]), fake)
    assert without.precision.mean() == without.density.mean() == 0
    assert with_outlier.precision.mean() == 1
    assert with_outlier.density.mean() == pytest.approx(1 / 5)
    assert with_outlier.coverage.sum() == 1


def test_fakes_that_are_all_one_have_precision_but_no_recall_and_little_coverage() -> None:
    found = statistics.neighbours(normal(300, 3), np.full((200, 3), 0.1))
    assert found.precision.all()
    assert not found.recall.any()
    assert 0 < found.coverage.mean() < 0.1


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_ten_thousand_samples_need_no_table_of_all_pairs() -> None:
    n = 10_000
    a, b = normal(n, 4), normal(n, 4, seed=1)
    assert peak_bytes(lambda: statistics.neighbours(a, b)) < n * n * 4 / 4
    assert peak_bytes(lambda: statistics.energy(a, b)) < n * n * 4 / 4
    assert peak_bytes(lambda: statistics.bootstrap(a[:, 0], seed=0)) < n * n * 4 / 4


def mmd_kernel(p: np.ndarray, q: np.ndarray) -> float:
    sizes = [2 * len(p) * scale for scale in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
    return sum(size / (size + float(((p - q) ** 2).sum())) for size in sizes)


def energy_kernel(p: np.ndarray, q: np.ndarray) -> float:
    return -float(np.sqrt(((p - q) ** 2).sum()))


def by_loops(x: np.ndarray, y: np.ndarray, kernel: Callable[[np.ndarray, np.ndarray], float]) -> float:
    def within(z: np.ndarray) -> float:
        return float(np.mean([kernel(p, q) for i, p in enumerate(z) for j, q in enumerate(z) if i != j]))

    return within(x) + within(y) - 2 * float(np.mean([kernel(p, q) for p in x for q in y]))


BOTH = pytest.mark.parametrize(
    ("name", "measure", "kernel"),
    [("mmd", statistics.mmd, mmd_kernel), ("energy", statistics.energy, energy_kernel)],
)


@BOTH
@pytest.mark.parametrize(("n", "m", "d", "offset"), [(2, 2, 1, 0), (17, 23, 3, 0), (20, 9, 8, 1000)])
def test_discrepancies_are_those_of_double_loops(
    name: str, measure: Discrepancy, kernel: Discrepancy, n: int, m: int, d: int, offset: float
) -> None:
    x, y = normal(n, d) + offset, 2 * normal(m, d, seed=1) + offset + 1
    assert measure(x, y) == pytest.approx(by_loops(x, y, kernel), abs=1e-5)
    assert measure(y, x) == pytest.approx(measure(x, y), abs=1e-6)


@BOTH
def test_discrepancies_do_not_depend_on_the_size_of_the_blocks(
    name: str, measure: Discrepancy, kernel: Discrepancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = normal(60, 3), normal(50, 3, seed=1)
    expected = measure(x, y)
    monkeypatch.setattr(statistics, "BLOCK", 700)
    assert measure(x, y) == pytest.approx(expected, abs=1e-7)


@BOTH
def test_discrepancies_of_one_distribution_are_0_on_average(
    name: str, measure: Discrepancy, kernel: Discrepancy
) -> None:
    values = [measure(normal(20, 2, seed=s), normal(30, 2, seed=s + 10_000)) for s in range(400)]
    assert abs(np.mean(values)) < 3.5 * np.std(values) / np.sqrt(400)
    assert np.min(values) < 0


@BOTH
def test_discrepancies_see_scale(name: str, measure: Discrepancy, kernel: Discrepancy) -> None:
    x, y = normal(400, 4), normal(400, 4, seed=1)
    assert measure(x, 3 * y) > 20 * abs(measure(x, y))


def test_mmd_is_about_scale_and_energy_grows_with_it() -> None:
    x, y = normal(300, 4), normal(300, 4, seed=1) + 1
    assert statistics.mmd(100 * x, 100 * y) < statistics.mmd(x, y) / 3
    assert statistics.energy(100 * x, 100 * y) == pytest.approx(100 * statistics.energy(x, y), rel=1e-4)


@BOTH
def test_a_permutation_band_is_that_of_computing_each_relabelling(
    name: statistics.Statistic, measure: Discrepancy, kernel: Discrepancy
) -> None:
    x, y = normal(12, 2), normal(9, 2, seed=1) + 0.5
    labels = np.repeat(np.arange(21)[None] < 12, 30, axis=0)
    np.random.default_rng(4).permuted(labels, axis=1, out=labels)
    pooled = np.vstack([x, y])
    values = [by_loops(pooled[row], pooled[~row], kernel) for row in labels]
    found = statistics.permutation_band(x, y, statistic=name, seed=4, permutations=30)
    assert found.value == pytest.approx(by_loops(x, y, kernel), abs=1e-5)
    np.testing.assert_allclose((found.low, found.high), np.percentile(values, [2.5, 97.5]), atol=1e-5)


@BOTH
def test_two_samples_of_one_distribution_lie_within_the_band_mostly(
    name: statistics.Statistic, measure: Discrepancy, kernel: Discrepancy
) -> None:
    bands = [
        statistics.permutation_band(normal(150, 4, seed=s), normal(120, 4, seed=s + 99), statistic=name, seed=s)
        for s in range(20)
    ]
    assert sum(band.low <= band.value <= band.high for band in bands) >= 16
    assert all(band.low < 0 < band.high for band in bands)


@BOTH
@pytest.mark.parametrize(("shift", "scale"), [(0.4, 1.0), (0.0, 1.4)])
def test_a_shift_or_a_stretch_lies_above_the_band(
    name: statistics.Statistic, measure: Discrepancy, kernel: Discrepancy, shift: float, scale: float
) -> None:
    x, y = normal(400, 4), scale * normal(300, 4, seed=1) + shift
    band = statistics.permutation_band(x, y, statistic=name, seed=0)
    assert band.value > 2 * band.high


@BOTH
def test_a_band_is_that_of_the_first_two_thousand(
    name: statistics.Statistic, measure: Discrepancy, kernel: Discrepancy
) -> None:
    x, y = normal(2300, 2), normal(2100, 2, seed=1) + 0.1
    found = statistics.permutation_band(x, y, statistic=name, seed=0, permutations=20)
    assert found == statistics.permutation_band(x[:2000], y[:2000], statistic=name, seed=0, permutations=20)
    assert found.value == pytest.approx(measure(x[:2000], y[:2000]), abs=1e-5)


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    a, b, values = normal(80, 3), normal(80, 3, seed=1) + 1, normal(80, 1)[:, 0]

    def draws(seed: int) -> list[tuple[float, float] | Mismatch]:
        return [
            statistics.bootstrap(values, seed=seed),
            statistics.bootstrap(values > 0, seed=seed, resamples=99),
            statistics.frechet_interval(a, b, seed=seed, resamples=20),
            statistics.permutation_band(a, b, statistic="mmd", seed=seed),
            statistics.permutation_band(a, b, statistic="energy", seed=seed),
        ]

    assert draws(0) == draws(0)
    assert all(one != other for one, other in zip(draws(0), draws(1)))


def covered(draw: Callable[[np.random.Generator], np.ndarray], truth: float, runs: int = 2000) -> float:
    random, hits = np.random.default_rng(0), 0
    for seed in range(runs):
        low, high = statistics.bootstrap(draw(random), seed=seed, resamples=500)
        hits += low <= truth <= high
    return hits / runs


def test_bootstrap_intervals_of_a_normal_mean_hold_it_95_times_in_100() -> None:
    assert 0.93 <= covered(lambda random: random.normal(3, 2, 200), 3) <= 0.97


def test_bootstrap_intervals_of_a_proportion_hold_it_95_times_in_100() -> None:
    assert 0.93 <= covered(lambda random: random.random(200) < 0.3, 0.3) <= 0.97


def test_intervals_of_proportions_near_1_hold_them_95_times_in_100_on_average() -> None:
    """Reckoned over all counts: for a single proportion the coverage of any such interval leaps up and down."""
    n, truths = 200, np.linspace(0.9, 0.999, 200)
    intervals = np.array([statistics.bootstrap(np.arange(n) < true, seed=true) for true in range(n + 1)])
    holds = (intervals[:, :1] <= truths) & (truths <= intervals[:, 1:])
    coverage = (binom.pmf(np.arange(n + 1)[:, None], n, truths) * holds).sum(axis=0)
    assert 0.94 <= coverage.mean() <= 0.97
    assert coverage.min() >= 0.85


def test_bool_and_float_values_have_about_the_same_interval() -> None:
    values = np.random.default_rng(0).random(1000) < 0.3
    as_bool, as_float = statistics.bootstrap(values, seed=1), statistics.bootstrap(values.astype(float), seed=2)
    np.testing.assert_allclose(as_bool, as_float, atol=0.005)


def test_an_interval_has_the_width_of_the_standard_error_and_of_its_level() -> None:
    values = normal(400, 1)[:, 0]
    error = values.std() / 20
    for level, half in ((0.95, 1.96), (0.5, 0.674)):
        low, high = statistics.bootstrap(values, seed=0, resamples=4000, level=level)
        assert high - low == pytest.approx(2 * half * error, rel=0.08)
        assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.15 * error)


def test_draws_in_blocks_are_as_many_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "BLOCK", 1000)
    for n in (30, 999, 5000):
        means = statistics.resampled_means(normal(n, 1)[:, 0], np.random.default_rng(0), 77)
        assert means.shape == (77,)
        assert len(np.unique(means)) == 77


@pytest.mark.parametrize(
    ("true", "n", "low", "high"), [(0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (98, 100, 0.93, 0.9945)]
)
def test_proportions_near_0_and_1_have_the_interval_of_wilson(true: int, n: int, low: float, high: float) -> None:
    found = statistics.bootstrap(np.arange(n) < true, seed=0)
    np.testing.assert_allclose(found, (low, high), atol=5e-5)


def test_values_that_are_all_one_number_have_an_interval_of_it_alone() -> None:
    assert statistics.bootstrap(np.full(50, 2.5), seed=0) == (2.5, 2.5)


GOOD = normal(20, 3)
HOLED, INFINITE = (np.where(np.arange(60).reshape(20, 3) == 7, bad, GOOD) for bad in (np.nan, np.inf))
MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], object]] = {
    "frechet": statistics.frechet,
    "frechet_interval": lambda a, b: statistics.frechet_interval(a, b, seed=0),
    "neighbours": statistics.neighbours,
    "mmd": statistics.mmd,
    "energy": statistics.energy,
    "band": lambda a, b: statistics.permutation_band(a, b, statistic="energy", seed=0),
}


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (HOLED, "The features must be finite numbers, and some are not"),
        (INFINITE, "The features must be finite numbers, and some are not"),
        (GOOD[:1], r"At least \d samples are needed on either side, got (1 and 20|20 and 1)"),
        (GOOD[:0], r"At least \d samples are needed on either side, got (0 and 20|20 and 0)"),
        (GOOD[:, :2], r"Both samples must be \[N, f\] with the same f, got \[20, \d\] and \[20, \d\]"),
        (GOOD[:, 0], r"Both samples must be \[N, f\] with the same f, got \[20(, 3)?\] and \[20(, 3)?\]"),
    ],
)
def test_what_cannot_be_measured_is_said(name: str, bad: np.ndarray, message: str) -> None:
    for a, b in ((bad, GOOD), (GOOD, bad)):
        with pytest.raises(CannotMeasure, match=f"^{message}$"):
            MEASURES[name](a, b)


def test_neighbours_need_more_samples_than_k() -> None:
    with pytest.raises(CannotMeasure, match=r"^At least 6 samples are needed on either side, got 5 and 20$"):
        statistics.neighbours(GOOD[:5], GOOD)
    with pytest.raises(CannotMeasure, match=r"^k must be at least 1, got 0$"):
        statistics.neighbours(GOOD, GOOD, k=0)
    assert statistics.neighbours(GOOD[:6], GOOD).precision.shape == (20,)


@pytest.mark.parametrize("kind", [bool, float])
def test_an_empty_sample_has_no_mean(kind: type) -> None:
    with pytest.raises(CannotMeasure, match=r"^A mean needs a list of at least one value, got the shape \[0\]$"):
        statistics.bootstrap(np.zeros(0, kind), seed=0)


def test_values_that_are_not_finite_have_no_mean() -> None:
    with pytest.raises(CannotMeasure, match=r"^The values must be finite numbers, and some are not$"):
        statistics.bootstrap(np.array([1, np.nan]), seed=0)
