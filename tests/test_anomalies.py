from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from damage import flip_a_bit, inflate, truncate

from explorer import data
from explorer.files import DamagedFile
from explorer.labs import anomalies
from explorer.labs.result import Result, Step, save

HEART = data.load_ecg(Path("nowhere"))
FIGURES = ("accuracy", "auc", "precision_normal", "recall_normal", "precision_anomaly", "recall_anomaly")


def last(news: Iterator[Step | Result]) -> Result:
    *steps, result = news
    assert all(isinstance(step, Step) for step in steps)
    assert isinstance(result, Result)
    return result


def brief(*, seed: int = 0, splits: int = 2, epochs: int = 2) -> Result:
    return last(anomalies.run_ecg(HEART.series, HEART.labels, splits=splits, epochs=epochs, seed=seed))


@pytest.fixture(scope="module")
def heart() -> Result:
    return last(anomalies.run_ecg(HEART.series, HEART.labels, splits=3, epochs=60))


@pytest.fixture(scope="module")
def few() -> data.Dataset:
    """MNIST with 300 training and 40 test images of each class."""
    mnist = data.load_subset("mnist")
    train, test = (
        np.concatenate([np.flatnonzero(labels == label)[:count] for label in range(10)])
        for labels, count in ((mnist.y_train, 300), (mnist.y_test, 40))
    )
    return replace(
        mnist,
        x_train=mnist.x_train[train],
        y_train=mnist.y_train[train],
        x_test=mnist.x_test[test],
        y_test=mnist.y_test[test],
    )


@pytest.fixture(scope="module")
def images(few: data.Dataset) -> Result:
    return last(anomalies.run_images(few, odd=1, epochs=6, shown=5))


# ---- the embedded series


def test_the_embedded_heartbeats_are_the_500_that_the_archive_calls_its_training_part() -> None:
    assert HEART.source == "the 500 embedded series"
    assert (HEART.series.shape, HEART.series.dtype) == ((500, 140), np.float32)
    assert HEART.labels.dtype == np.uint8
    assert np.bincount(HEART.labels).tolist() == [0, 292, 177, 10, 19, 2]
    np.testing.assert_allclose(HEART.series[0, :3], [-0.11252183, -2.8272038, -3.7738969], rtol=1e-7)
    np.testing.assert_allclose(HEART.series.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(HEART.series.std(axis=1, ddof=1), 1, atol=1e-4)


@pytest.mark.parametrize("damage", [Path.unlink, truncate, flip_a_bit, inflate])
def test_damaged_embedded_heartbeats_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    (tmp_path / "ecg5000.npz").write_bytes((data.EMBEDDED / "ecg5000.npz").read_bytes())
    damage(tmp_path / "ecg5000.npz")
    monkeypatch.setattr(data, "EMBEDDED", tmp_path)
    with pytest.raises(DamagedFile, match=r"ecg5000\.npz"):
        data.load_ecg(tmp_path)


def lay_out(root: Path) -> tuple[np.ndarray, np.ndarray, Path]:
    """The archive's two files, 3 and 4 rows long: labels, series and the first file's path."""
    random = np.random.default_rng(0)
    labels, series = random.integers(1, 6, 7), random.normal(size=(7, 140)).astype(np.float32)
    (root / "ECG5000").mkdir()
    for name, rows in (("TRAIN", slice(0, 3)), ("TEST", slice(3, 7))):
        table = np.column_stack([labels[rows], series[rows]])
        np.savetxt(root / "ECG5000" / f"ECG5000_{name}.txt", table, fmt="%16.7e")
    return labels, series, root / "ECG5000" / "ECG5000_TRAIN.txt"


@pytest.fixture
def short_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "ECG_ROWS", {"ECG5000_TRAIN.txt": 3, "ECG5000_TEST.txt": 4})


@pytest.mark.usefixtures("short_files")
def test_the_full_heartbeats_are_read_where_both_files_are(tmp_path: Path) -> None:
    labels, series, path = lay_out(tmp_path)
    found = data.load_ecg(tmp_path)
    assert found.source == "all 7 series"
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_allclose(found.series, series, rtol=1e-6)
    path.with_name("ECG5000_TEST.txt").unlink()
    assert data.load_ecg(tmp_path).source == "the 500 embedded series"


NUMBERS = " ".join(["0.5"] * 138)


@pytest.mark.usefixtures("short_files")
@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"1 {NUMBERS} 0.5", "it has 140 numbers"),
        (f"1 {NUMBERS} 0.5 0.5 0.5", "it has 142 numbers"),
        ("", "it has 0 numbers"),
        (f"1 {NUMBERS} 0.5 nan", "not all of its numbers are finite"),
        (f"1 {NUMBERS} 0.5 1e999", "not all of its numbers are finite"),
        (f"1 {NUMBERS} 0.5 beat", "not all of it are numbers"),
        (f"6 {NUMBERS} 0.5 0.5", "its class is 6"),
        (f"1.5 {NUMBERS} 0.5 0.5", "its class is 1.5"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_row_that_is_no_heartbeat_is_named_with_its_file(tmp_path: Path, row: str, message: str) -> None:
    path = lay_out(tmp_path)[2]
    path.write_text("\n".join([*path.read_text().splitlines()[:2], row, ""]))
    expected = rf"ECG5000_TRAIN\.txt, row 3: {message}; expected is a class from 1 to 5, then 140 numbers$"
    with pytest.raises(DamagedFile, match=expected):
        data.load_ecg(tmp_path)


@pytest.mark.usefixtures("short_files")
def test_a_file_with_too_few_rows_is_named(tmp_path: Path) -> None:
    path = lay_out(tmp_path)[2]
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(DamagedFile, match=r"ECG5000_TRAIN\.txt has 2 rows, 3 were expected; get the file again$"):
        data.load_ecg(tmp_path)


# ---- scores and figures


def test_a_threshold_is_the_mean_plus_one_standard_deviation() -> None:
    assert anomalies.threshold_of(np.array([1, 2, 3, 6], np.float32)) == pytest.approx(3 + math.sqrt(3.5))


def test_figures_are_those_of_counting() -> None:
    scores, odd = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]), np.array([0, 0, 1, 0, 0, 1, 1], bool)
    pairs = [(high > low) for high in scores[odd] for low in scores[~odd]]
    assert anomalies.figures_of(scores, odd, 0.5) == pytest.approx(
        {
            "accuracy": 5 / 7,
            "auc": np.mean(pairs),
            "precision_normal": 3 / 4,
            "recall_normal": 3 / 4,
            "precision_anomaly": 2 / 3,
            "recall_anomaly": 2 / 3,
        }
    )


def test_with_a_threshold_outside_the_scores_the_class_never_named_has_a_precision_of_0() -> None:
    scores, odd = np.array([0.1, 0.2, 0.3]), np.array([False, False, True])
    above, below = (anomalies.figures_of(scores, odd, threshold) for threshold in (9.0, -9.0))
    assert (above["precision_anomaly"], above["recall_anomaly"], above["recall_normal"]) == (0, 0, 1)
    assert (below["precision_normal"], below["recall_normal"], below["recall_anomaly"]) == (0, 0, 1)
    assert above["precision_normal"] == pytest.approx(2 / 3)
    assert above["auc"] == below["auc"] == 1


@pytest.mark.parametrize(("odd", "kind"), [(True, "anomalous"), (False, "normal")])
def test_scores_of_one_class_have_no_figures(odd: bool, kind: str) -> None:
    message = f"^All 4 test scores are of {kind} ones; both kinds are needed for a figure$"
    with pytest.raises(ValueError, match=message):
        anomalies.figures_of(np.arange(4.0), np.full(4, odd), 2.0)


def by_hand(arrays: dict[str, np.ndarray], part: str, h: np.ndarray) -> np.ndarray:
    """h [N, in] through a part of a model ("ae.encoder"), as a reader of the arrays would do it."""
    for index in (0, 2, 4):
        h = h.astype(np.float64) @ arrays[f"{part}.{index}.weight"].T + arrays[f"{part}.{index}.bias"]
        h = np.maximum(h, 0) if index < 4 else h
    return h


def sigmoid(h: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-h))


def copy_by_hand(arrays: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    return sigmoid(by_hand(arrays, f"{name}.decoder", by_hand(arrays, f"{name}.encoder", x)[:, :8]))


@pytest.mark.parametrize("name", ["ae", "vae"])
def test_the_exported_weights_and_scale_give_the_copies_and_their_mae(heart: Result, name: str) -> None:
    arrays, record = heart.arrays, heart.record
    x = (HEART.series[arrays["indices"]] - record["minimum"]) / (record["maximum"] - record["minimum"])
    copies = copy_by_hand(arrays, name, x)
    np.testing.assert_allclose(arrays["series"], x, atol=1e-6)
    np.testing.assert_allclose(arrays[f"recon.{name}"], copies, atol=1e-5)
    np.testing.assert_allclose(arrays[f"test_scores.{name}"], np.abs(x - copies).mean(axis=1), atol=1e-5)


def test_the_negative_elbo_is_that_of_torchs_distributions(heart: Result) -> None:
    from torch.distributions import Laplace, Normal, kl_divergence

    arrays, x = heart.arrays, heart.arrays["series"]
    code = torch.from_numpy(by_hand(arrays, "vae.encoder", x))
    posterior = Normal(code[:, :8], torch.exp(code[:, 8:] / 2))
    kl = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1)
    logs = []
    for draw in arrays["draws"]:
        z = posterior.mean + posterior.stddev * torch.from_numpy(draw)
        likelihood = Laplace(torch.from_numpy(sigmoid(by_hand(arrays, "vae.decoder", z.numpy()))), 0.02)
        logs.append(likelihood.log_prob(torch.from_numpy(x)).sum(1))
    expected = kl - torch.stack(logs).mean(0)
    np.testing.assert_allclose(arrays["test_scores.vae_elbo"], expected.numpy(), rtol=1e-4, atol=1e-2)


def test_the_control_copies_the_median_of_the_training_normals(heart: Result) -> None:
    arrays, record = heart.arrays, heart.record
    train = np.setdiff1d(np.arange(500), arrays["indices"])
    normals = HEART.series[train][HEART.labels[train] == 1]
    middle = (np.median(normals, axis=0) - record["minimum"]) / (record["maximum"] - record["minimum"])
    np.testing.assert_allclose(arrays["median"], middle, atol=1e-6)
    errors = np.abs(arrays["series"] - middle).mean(axis=1)
    np.testing.assert_allclose(arrays["test_scores.median"], errors, atol=1e-6)


# ---- heartbeats


def test_a_split_is_80_to_20_of_either_kind_and_scaled_by_its_training_part(heart: Result) -> None:
    arrays, record = heart.arrays, heart.record
    test = arrays["indices"]
    train = np.setdiff1d(np.arange(500), test)
    assert (len(train), len(np.unique(test)), (arrays["labels"] == 1).sum()) == (400, 100, 58)
    np.testing.assert_array_equal(arrays["labels"], HEART.labels[test])
    assert (record["minimum"], record["maximum"]) == (HEART.series[train].min(), HEART.series[train].max())
    assert record["train_normal"] == (HEART.labels[train] == 1).sum() == len(arrays["train_scores.ae"])


def test_the_figures_of_the_record_follow_from_the_arrays(heart: Result) -> None:
    arrays, record = heart.arrays, heart.record
    for name in ("ae", "vae", "vae_elbo", "median"):
        seen = arrays[f"train_scores.{name}"].astype(np.float64)
        assert record["thresholds"][name] == pytest.approx(seen.mean() + seen.std())
        alarm, odd = arrays[f"test_scores.{name}"] >= record["thresholds"][name], arrays["labels"] != 1
        assert record["shown"][name]["accuracy"] == pytest.approx((alarm == odd).mean())
        assert record["shown"][name]["recall_anomaly"] == pytest.approx(alarm[odd].mean())
        for key in FIGURES:
            values, found = record["per_split"][name][key], record["figures"][name][key]
            assert len(values) == 3
            assert found["mean"] == pytest.approx(np.mean(values))
            assert min(values) <= found["low"] <= found["high"] <= max(values)


def test_held_out_heartbeats_are_told_apart(heart: Result) -> None:
    for name in ("ae", "vae", "vae_elbo", "median"):
        assert min(heart.record["per_split"][name]["auc"]) > 0.9


def test_the_autoencoder_uses_its_code_and_copies_normal_ones_better_than_one_curve_does(heart: Result) -> None:
    figures = heart.record["figures"]
    assert figures["ae"]["normal"]["mean"] < 0.85 * figures["median"]["normal"]["mean"]


def test_a_split_trained_beside_others_is_what_it_is_alone() -> None:
    alone, beside = brief(splits=1, seed=5), brief(splits=3, seed=5)
    for name in alone.arrays:
        np.testing.assert_allclose(beside.arrays[name], alone.arrays[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["ae", "vae"])
def test_the_first_steps_are_those_of_a_plain_loop(name: str) -> None:
    x = torch.rand(40, 140, generator=torch.Generator().manual_seed(1))
    weights = anomalies.fresh(name, [3])
    plain = {key: value[0].detach().clone().requires_grad_() for key, value in weights.items()}

    def mlp(part: str, h: torch.Tensor) -> torch.Tensor:
        for index in (0, 2, 4):
            h = F.linear(h, plain[f"{part}.{index}.weight"], plain[f"{part}.{index}.bias"])
            h = F.relu(h) if index < 4 else h
        return h

    optimizer = torch.optim.Adam(plain.values(), lr=1e-3, eps=1e-7)
    order, noise = torch.Generator().manual_seed(3), torch.Generator().manual_seed(4)
    for _ in range(2):
        for rows in torch.randperm(40, generator=order).split(16):
            code = mlp("encoder", x[rows])
            loss = torch.zeros(())
            if name == "vae":
                mu, logvar = code.chunk(2, 1)
                code = mu + torch.exp(logvar / 2) * torch.randn(mu.shape, generator=noise)
                loss = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1).mean()
            errors = (x[rows] - torch.sigmoid(mlp("decoder", code))).abs().sum(1).mean()
            optimizer.zero_grad()
            ((loss + errors / 0.02) * 0.02 / 140).backward()
            optimizer.step()
    list(anomalies.fit(weights, x[None], name=name, epochs=2, batch_size=16, seeds=[3]))
    for key, value in plain.items():
        np.testing.assert_allclose(weights[key][0].detach(), value.detach(), atol=1e-5)


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    one, again, other = brief(), brief(), brief(seed=1)
    assert one.record == again.record
    assert all(np.array_equal(one.arrays[name], again.arrays[name]) for name in one.arrays)
    assert one.record["per_split"] != other.record["per_split"]


def test_training_leaves_torchs_random_state_alone() -> None:
    before = torch.get_rng_state()
    brief(splits=1, epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_news_counts_up_to_its_end() -> None:
    *steps, _ = anomalies.run_ecg(HEART.series, HEART.labels, splits=1, epochs=2)
    assert [(step.done, step.total, step.text) for step in steps] == [
        (1, 4, "AE, epoch 1"),
        (2, 4, "AE, epoch 2"),
        (3, 4, "VAE, epoch 1"),
        (4, 4, "VAE, epoch 2"),
    ]


def test_results_can_be_saved_and_are_small(heart: Result, images: Result, tmp_path: Path) -> None:
    allowed = {np.dtype(kind) for kind in (np.float16, np.float32, np.uint8, np.int32)}
    for name, result in (("heart", heart), ("images", images)):
        save(result, tmp_path, name)
        assert {array.dtype for array in result.arrays.values()} <= allowed
        assert (tmp_path / f"{name}.safetensors").stat().st_size < 400_000


HOLED = np.where(np.arange(500)[:, None] == 7, np.nan, HEART.series)


@pytest.mark.parametrize(
    ("series", "labels", "message"),
    [
        (HEART.series[:, 1:], HEART.labels, r"must be \[N, 140\] and the labels \[N\], got \[500, 139\] and \[500\]"),
        (HEART.series, HEART.labels[1:], r"must be \[N, 140\] and the labels \[N\], got \[500, 140\] and \[499\]"),
        (HOLED, HEART.labels, "must be finite numbers, and those of series 7 are not"),
        (HEART.series, np.ones(500, np.uint8), "5 other series are needed, got 500 and 0"),
        (HEART.series, np.full(500, 2), "5 other series are needed, got 0 and 500"),
        (np.zeros((500, 140)), HEART.labels, "have no range to scale: all their values are 0"),
    ],
)
def test_series_that_cannot_be_used_are_told(series: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=f"{message}$"):
        next(anomalies.run_ecg(series, labels))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"splits": 0}, "splits must be from 1 to 100, got 0"),
        ({"splits": 101}, "splits must be from 1 to 100, got 101"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0 .*, got -1"),
    ],
)
def test_settings_that_cannot_be_trained_with_are_told(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        next(anomalies.run_ecg(HEART.series, HEART.labels, **settings))


# ---- images


def test_the_odd_class_is_not_trained_on_and_all_held_out_images_are_scored(images: Result, few: data.Dataset) -> None:
    assert images.record["trained_on"] == 2700
    np.testing.assert_array_equal(images.arrays["labels"], few.y_test)
    np.testing.assert_array_equal(images.arrays["is_odd"], few.y_test == 1)
    assert all(images.arrays[f"scores.{name}"].shape == (400,) for name in ("ae", "vae", "vae_elbo"))


def test_the_auc_of_images_is_the_share_of_pairs_in_order(images: Result) -> None:
    odd = images.arrays["is_odd"] == 1
    for name in ("ae", "vae", "vae_elbo"):
        scores = images.arrays[f"scores.{name}"]
        assert images.record["auc"][name] == pytest.approx((scores[odd][:, None] > scores[~odd]).mean(), abs=1e-3)


def test_ones_are_copied_well_though_no_one_was_seen(images: Result) -> None:
    assert max(images.record["auc"].values()) < 0.4
    for means in images.record["mean_by_class"].values():
        assert len(means) == 10
        assert np.argmin(means) == 1


def test_the_shown_images_are_the_ends_of_either_side(images: Result, few: data.Dataset) -> None:
    scores, index = images.arrays["scores.ae"], images.arrays["index"]
    for row, (odd, sign) in zip(index, ((True, -1), (True, 1), (False, -1), (False, 1))):
        side = scores[(few.y_test == 1) == odd]
        np.testing.assert_array_equal(sign * scores[row], np.sort(sign * side)[:5])
    np.testing.assert_array_equal(images.arrays["x"], few.x_test[index])
    x, copy = images.arrays["x"] / 255, (images.arrays["recon.ae"] / 255).clip(1e-4, 1 - 1e-4)
    nats = -(x * np.log(copy) + (1 - x) * np.log(1 - copy)).sum(axis=(2, 3, 4))
    np.testing.assert_allclose(nats, scores[index], rtol=0.1, atol=3)


def test_image_scores_are_those_of_torchs_distributions(few: data.Dataset) -> None:
    from torch.distributions import ContinuousBernoulli, Normal, kl_divergence

    model = anomalies.build("vae", seed=0, image_shape=(1, 28, 28), latent_dim=8, arch="mlp", hidden=(64,))
    x = torch.from_numpy(few.x_test[:9])
    unit = x / 255
    with torch.no_grad():
        mu, logvar = model.encoder(unit).chunk(2, 1)
        posterior = Normal(mu, torch.exp(logvar / 2))
        nats = []
        for draw in anomalies.draws():
            z = posterior.mean + posterior.stddev * draw
            likelihood = ContinuousBernoulli(logits=model.logits(z))
            constant = likelihood._cont_bern_log_norm()  # what the cross-entropy leaves out
            nats.append((constant - likelihood.log_prob(unit)).sum((1, 2, 3)))
        expected = torch.stack(nats).mean(0) + kl_divergence(posterior, Normal(0.0, 1.0)).sum(1)
    np.testing.assert_allclose(anomalies.image_negative_elbo(model, x), expected, rtol=1e-4)


def test_image_figures_come_again_with_the_same_seed(few: data.Dataset) -> None:
    one, again = (last(anomalies.run_images(few, odd=0, epochs=1)).record["auc"] for _ in range(2))
    assert one == again


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"odd": 10}, "odd must be a class from 0 to 9, got 10"),
        ({"odd": -1}, "odd must be a class from 0 to 9, got -1"),
        ({"odd": 1, "shown": 0}, "shown must be from 1 to 40, the held-out images of either side, got 0"),
        ({"odd": 1, "shown": 41}, "shown must be from 1 to 40, the held-out images of either side, got 41"),
        ({"odd": 1, "epochs": 0}, "epochs must be at least 1, got 0"),
    ],
)
def test_settings_for_images_that_cannot_be_used_are_told(
    few: data.Dataset, settings: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        next(anomalies.run_images(few, **settings))
