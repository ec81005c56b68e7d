"""The judge of generated images: as good as its card says, honest about garbage, and refused when it was changed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from damage import change_json, flip_a_bit, inflate, replace_weights, truncate
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes

from explorer import classifier, data
from explorer.checkpoints import CARD, WEIGHTS
from explorer.classifier import Classifier, Network
from explorer.files import DamagedFile, sha256
from tests.damage import unsealed

NAMES = ("mnist", "fashion-mnist", "digits")
PUBLISHED = ("mnist", "fashion-mnist")
TEN = tuple("0123456789")


def unit(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) / 255


def train(x: np.ndarray, y: np.ndarray, **changes: Any) -> Classifier:
    return classifier.train(x, y, **{"image_shape": (1, 8, 8), "classes": TEN, "epochs": 2, "seed": 0, **changes})


@pytest.fixture(scope="module")
def shipped() -> dict[str, Classifier]:
    return {name: classifier.load(name) for name in NAMES}


@pytest.fixture(scope="module")
def small(digits: data.Dataset) -> Classifier:
    """One that learned digits for two epochs and was tested on the held-out ones."""
    return classifier.tested(train(digits.x_train, digits.y_train), digits.x_test, digits.y_test)


@pytest.fixture
def folder(small: Classifier, tmp_path: Path) -> Path:
    """A folder of it, to be damaged."""
    classifier.save(tmp_path / "small", small)
    return tmp_path / "small"


# ---- those that ship


@pytest.mark.parametrize(("name", "accuracy"), [("mnist", 0.99), ("fashion-mnist", 0.90), ("digits", 0.96)])
def test_a_shipped_classifier_is_as_good_as_promised(
    shipped: dict[str, Classifier], name: str, accuracy: float
) -> None:
    figures = shipped[name].record.test
    assert figures is not None
    assert figures.accuracy >= accuracy
    assert figures.calibration_error <= 0.025
    assert figures.real_passing == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_classifier_reaches_its_recorded_accuracy_on_the_images_that_ship(
    shipped: dict[str, Classifier], name: str
) -> None:
    record, dataset = shipped[name].record, data.load_subset(name)
    assert record.test is not None
    right = shipped[name].probabilities(unit(dataset.x_test)).argmax(axis=1) == dataset.y_test
    spread = np.sqrt(record.test.accuracy * (1 - record.test.accuracy) / len(right))
    assert right.mean() == pytest.approx(record.test.accuracy, abs=4 * spread if name in PUBLISHED else 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_tells_the_shares_of_real_shuffled_and_noise_images_that_pass(
    shipped: dict[str, Classifier], name: str
) -> None:
    dataset = data.load_subset(name)
    told, again = (
        shipped[name].record.test,
        classifier.tested(shipped[name], dataset.x_test, dataset.y_test).record.test,
    )
    assert told is not None
    assert again is not None
    assert again.noise_passing == pytest.approx(told.noise_passing, abs=0.002), "the same noise"
    assert again.real_passing == pytest.approx(told.real_passing, abs=0.02)
    assert again.shuffled_passing == pytest.approx(told.shuffled_passing, abs=0.05)
    assert again.calibration_error == pytest.approx(told.calibration_error, abs=0.015)


@pytest.mark.parametrize("name", NAMES)
def test_noise_made_here_passes_as_often_as_the_card_tells(shipped: dict[str, Classifier], name: str) -> None:
    record = shipped[name].record
    assert record.test is not None
    noise = np.random.default_rng(record.seed + 1).random((1000, *record.image_shape), dtype=np.float32)
    passing = (shipped[name].probabilities(noise).max(axis=1) >= record.accept).mean()
    assert passing == pytest.approx(record.test.noise_passing, abs=0.06)


@pytest.mark.parametrize("name", NAMES)
def test_training_and_held_out_images_are_all_of_the_training_set_and_no_more(
    shipped: dict[str, Classifier], name: str
) -> None:
    record, subset = shipped[name].record, data.load_subset(name)
    assert record.test is not None
    counts = (record.n_train + record.held_out.n, record.test.n)
    assert counts == ((60_000, 10_000) if name in PUBLISHED else (1438, 359))
    assert (record.classes, record.image_shape) == (subset.classes, subset.image_shape)
    files = "".join(data.PUBLISHED[name].files.values()) if name in PUBLISHED else ""
    assert record.data_sha256 == (sha256(files.encode()) if files else subset.sha256)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_file_is_small_and_its_weights_are_what_float16_can_hold(
    shipped: dict[str, Classifier], name: str
) -> None:
    path = classifier.CLASSIFIERS / name / WEIGHTS
    assert path.stat().st_size < 500_000
    assert sha256(path.read_bytes()) == shipped[name].record.sha256
    weights = list(shipped[name].module.parameters())
    assert sum(value.numel() for value in weights) == shipped[name].record.parameters <= 120_000
    assert all(value.dtype is torch.float32 and torch.equal(value, value.half().float()) for value in weights)


def test_judging_5000_images_takes_at_most_a_second_and_a_half_of_one_core(shipped: dict[str, Classifier]) -> None:
    x = np.random.default_rng(0).random((5000, 1, 28, 28), dtype=np.float32)
    start = time.thread_time()  # torch works on one thread here
    shipped["mnist"].judge(x)
    assert time.thread_time() - start <= 1.5


@pytest.mark.parametrize("name", ["cifar", "", "../mnist-vae-2", "/etc", "mnist\0"])
def test_an_unknown_data_set_is_told_with_those_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"Must be one of: digits, fashion-mnist, mnist$"):
        classifier.load(name)


# ---- judging


@pytest.mark.parametrize("name", NAMES)
def test_features_and_probabilities_have_their_shapes_and_probabilities_sum_to_one(
    shipped: dict[str, Classifier], name: str
) -> None:
    x = unit(data.load_subset(name).x_test[:50])
    judged = shipped[name].judge(x)
    assert (judged.features.shape, judged.probabilities.shape) == ((50, 64), (50, 10))
    assert judged.features.dtype == judged.probabilities.dtype == np.float32
    assert (judged.probabilities >= 0).all()
    np.testing.assert_allclose(judged.probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(judged.features, shipped[name].features(x))
    np.testing.assert_array_equal(judged.probabilities, shipped[name].probabilities(x))


def test_no_images_give_no_rows(shipped: dict[str, Classifier]) -> None:
    judged = shipped["digits"].judge(np.zeros((0, 1, 8, 8), np.float32))
    assert (judged.features.shape, judged.probabilities.shape) == ((0, 64), (0, 10))


@pytest.mark.parametrize("name", NAMES)
def test_features_fill_all_their_dimensions_where_a_relu_would_empty_some(
    shipped: dict[str, Classifier], name: str
) -> None:
    features = shipped[name].features(unit(data.load_subset(name).x_test)).astype(np.float64)
    assert (features < 0).mean() > 0.2
    eigenvalues = np.linalg.eigvalsh(np.cov(features.T))
    assert eigenvalues[0] > 1e-6 * eigenvalues[-1]


def test_probabilities_are_those_of_the_features(shipped: dict[str, Classifier]) -> None:
    judged = shipped["mnist"].judge(unit(data.load_subset("mnist").x_test[:20]))
    last = shipped["mnist"].module.head[-1]
    logits = np.maximum(judged.features, 0) @ last.weight.numpy().T + last.bias.numpy()
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(judged.probabilities, odds / odds.sum(axis=1, keepdims=True), atol=1e-5)


def test_an_answer_does_not_depend_on_the_images_beside(shipped: dict[str, Classifier]) -> None:
    x = unit(data.load_subset("mnist").x_test[:1003])
    whole = shipped["mnist"].judge(x)
    for part in (slice(0, 1), slice(998, 1003), slice(1002, None)):
        alone = shipped["mnist"].judge(x[part])
        np.testing.assert_allclose(alone.features, whole.features[part], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(alone.probabilities, whole.probabilities[part], atol=1e-5)


def test_a_classifier_left_in_training_mode_judges_the_same(small: Classifier, digits: data.Dataset) -> None:
    before = small.judge(unit(digits.x_test))
    small.module.train()
    np.testing.assert_array_equal(small.judge(unit(digits.x_test)).features, before.features)


def test_judging_leaves_its_input_alone_and_takes_any_layout(small: Classifier, digits: data.Dataset) -> None:
    x = unit(digits.x_test)
    x.setflags(write=False)
    turned = small.features(x[::-1].astype(np.float64))
    np.testing.assert_allclose(turned[::-1], small.features(x), rtol=1e-5, atol=1e-5)


def with_value(value: float) -> np.ndarray:
    x = np.zeros((3, 1, 8, 8), np.float32)
    x[1, 0, 2, 3] = value
    return x


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 8, 8), np.float32), r"x must have the shape \[N, 1, 8, 8\], got \[1, 8, 8\]"),
        (np.zeros((2, 1, 28, 28), np.float32), r"x must have the shape \[N, 1, 8, 8\], got \[2, 1, 28, 28\]"),
        (np.zeros((2, 3, 8, 8), np.float32), r"x must have the shape \[N, 1, 8, 8\], got \[2, 3, 8, 8\]"),
        (with_value(np.nan), "x must hold finite numbers only"),
        (with_value(-np.inf), "x must hold finite numbers only"),
        (with_value(255), r"x must lie in \[0, 1\], got 0 to 255"),
        (with_value(-0.5), r"x must lie in \[0, 1\], got -0.5 to 0"),
    ],
)
@pytest.mark.parametrize("method", ["judge", "features", "probabilities"])
def test_images_that_cannot_be_judged_are_told_in_a_sentence(
    small: Classifier, method: str, x: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        getattr(small, method)(x)


# ---- training


def test_two_epochs_on_digits_learn_something_and_the_record_says_what(small: Classifier, digits: data.Dataset) -> None:
    record = small.record
    assert record.test is not None
    right = small.probabilities(unit(digits.x_test)).argmax(axis=1) == digits.y_test
    assert record.test.accuracy == pytest.approx(right.mean())
    assert record.test.accuracy > 0.4
    assert (record.n_train, record.held_out.n, record.test.n) == (1438 - 287, 287, 359)
    assert (record.dataset, record.epochs, record.seed, record.classes) == ("own images", 2, 0, TEN)


def test_accept_is_what_95_percent_of_the_held_out_images_reach(small: Classifier) -> None:
    assert 0.95 <= small.record.held_out.real_passing <= 0.96


def test_the_same_seed_gives_the_same_weights_on_any_number_of_threads(digits: data.Dataset) -> None:
    x, y = digits.x_train[:400], digits.y_train[:400]
    first, other = train(x, y), train(x, y, seed=1)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = train(x, y)
    finally:
        torch.set_num_threads(threads)
    assert first.record == again.record != other.record
    assert first.record.sha256 == again.record.sha256 != other.record.sha256


def test_training_leaves_torch_s_random_numbers_and_the_images_alone(digits: data.Dataset) -> None:
    x, y = digits.x_train[:200].copy(), digits.y_train[:200].copy()
    before = torch.random.get_rng_state()
    train(x, y, epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(x, digits.x_train[:200])


@pytest.mark.parametrize("image_shape", [(3, 9, 13), (1, 4, 4), (2, 28, 17)])
def test_images_of_other_shapes_and_two_classes_can_be_learned(
    image_shape: tuple[int, int, int], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    y = np.arange(600) % 2
    x = np.clip(random.normal(80 + 60 * y[:, None, None, None], 40, (600, *image_shape)), 0, 255).astype(np.uint8)
    made = train(x, y, image_shape=image_shape, classes=("dark", "light"), epochs=6)
    assert made.record.held_out.accuracy > 0.9
    classifier.save(tmp_path, made)
    np.testing.assert_array_equal(classifier.read(tmp_path).probabilities(unit(x)), made.probabilities(unit(x)))


X, Y = np.zeros((200, 1, 8, 8), np.uint8), np.arange(200) % 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": X.astype(np.float32)}, r"x must be uint8 of the shape \[N, 1, 8, 8\]"),
        ({"x": X[:, 0]}, r"x must be uint8 of the shape \[N, 1, 8, 8\]"),
        ({"x": X[:0], "y": Y[:0]}, r"x must be uint8 of the shape \[N, 1, 8, 8\] and hold images"),
        ({"x": X[:99], "y": Y[:99]}, "A classifier needs at least 100 images to learn from, got 99"),
        ({"y": Y[:-1]}, "y must hold one whole number for each of 200 images"),
        ({"y": Y / 2}, "y must hold one whole number for each of 200 images"),
        ({"y": Y - 1}, "y must lie in 0 to 9, got -1 to 8"),
        ({"y": Y + 1}, "y must lie in 0 to 9, got 1 to 10"),
        ({"classes": ("all",)}, "A classifier must have 2 to 256 classes, got 1"),
        ({"image_shape": (1, 3, 8)}, "image_shape must be 1 to 4 channels and two sides of 4 to 64 pixels"),
        ({"image_shape": (8, 8)}, "image_shape must be three whole numbers"),
        ({"epochs": 0}, "epochs must be between 1 and 2000, got 0"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_what_cannot_be_trained_with_is_told_in_a_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        train(changes.pop("x", X), changes.pop("y", Y), **changes)


def test_images_are_shifted_by_at_most_a_pixel_in_28() -> None:
    x = torch.zeros(500, 1, 56, 14)
    x[:, :, 28, 7] = 1
    torch.manual_seed(0)
    varied = classifier.vary(x)
    assert varied.shape == x.shape
    assert 0 <= varied.min() <= varied.max() <= 1
    places = varied.flatten(1).argmax(dim=1)
    assert set((places // 14 - 28).tolist()) == {-2, -1, 0, 1, 2}
    assert set((places % 14 - 7).tolist()) == {-1, 0, 1}


def test_calibration_finds_the_temperature_that_a_network_was_spoiled_with(
    shipped: dict[str, Classifier], digits: data.Dataset
) -> None:
    spoiled = Network(image_shape=(1, 8, 8), classes=10)
    spoiled.load_state_dict(shipped["digits"].module.state_dict())
    x = torch.from_numpy(digits.x_test)
    with torch.no_grad():
        first = classifier.calibrate(spoiled, x, digits.y_test)
        assert classifier.calibrate(spoiled, x, digits.y_test) == pytest.approx(1, abs=0.01)
        spoiled.head[-1].weight.mul_(2.5)
        spoiled.head[-1].bias.mul_(2.5)
        assert classifier.calibrate(spoiled, x, digits.y_test) == pytest.approx(2.5, rel=0.02)
    assert 0.5 < first < 2


def test_the_calibration_error_is_the_gap_between_confidence_and_share_right() -> None:
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 4)
    y = np.array([0, 0, 0, 1, 0, 0, 1, 1])  # 75 % right at confidence 0.9, 50 % at 0.6
    assert classifier.calibration_error(probabilities, y) == pytest.approx((0.15 + 0.10) / 2)
    assert classifier.calibration_error(np.eye(2), np.array([0, 1])) == 0
    assert classifier.calibration_error(np.eye(2), np.array([1, 0])) == 1


# ---- on disk


def test_a_saved_classifier_comes_back_to_the_last_bit(small: Classifier, folder: Path, digits: data.Dataset) -> None:
    loaded = classifier.read(folder)
    assert loaded.record == small.record
    assert not any(value.requires_grad for value in loaded.module.parameters())
    for array in ("features", "probabilities"):
        np.testing.assert_array_equal(
            getattr(loaded.judge(unit(digits.x_test)), array), getattr(small.judge(unit(digits.x_test)), array)
        )


def test_one_that_was_not_tested_comes_back_without_test_figures(digits: data.Dataset, tmp_path: Path) -> None:
    made = train(digits.x_train[:200], digits.y_train[:200], epochs=1)
    classifier.save(tmp_path, made)
    assert classifier.read(tmp_path).record == made.record
    assert made.record.test is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [(truncate, "is damaged"), (flip_a_bit, "is damaged"), (inflate, "is too large"), (Path.unlink, "cannot be read")],
)
def test_damaged_weights_are_named(folder: Path, damage: Callable[[Path], None], message: str) -> None:
    classifier.read(folder)
    damage(folder / WEIGHTS)
    with pytest.raises(DamagedFile, match=rf"{WEIGHTS} {message}"):
        classifier.read(folder)


def test_a_flipped_bit_in_a_shipped_classifier_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(classifier.CLASSIFIERS / "digits", tmp_path / "digits")
    monkeypatch.setattr(classifier, "CLASSIFIERS", tmp_path)
    classifier.load("digits")
    flip_a_bit(tmp_path / "digits" / WEIGHTS)
    with pytest.raises(DamagedFile, match="is damaged"):
        classifier.load("digits")


def no_number(tensors: dict[str, torch.Tensor]) -> None:
    tensors["head.2.bias"][0] = float("nan")


def one_less(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["head.2.bias"]


def one_more(tensors: dict[str, torch.Tensor]) -> None:
    tensors["extra"] = torch.zeros(3).half()


def wider(tensors: dict[str, torch.Tensor]) -> None:
    tensors["head.2.bias"] = tensors["head.2.bias"].float()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_number, "holds weights that are not finite numbers"),
        (one_less, "does not hold the weights of the classifier"),
        (one_more, "does not hold the weights of the classifier"),
        (wider, "does not hold the weights of the classifier"),
    ],
)
def test_weights_that_do_not_fit_are_refused_though_the_hash_is_right(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], None], message: str
) -> None:
    tensors = from_bytes((folder / WEIGHTS).read_bytes())
    change(tensors)
    replace_weights(folder, to_bytes(tensors))
    with pytest.raises(DamagedFile, match=message):
        classifier.read(folder)


def test_what_is_no_safetensors_file_is_refused_though_the_hash_is_right(folder: Path) -> None:
    replace_weights(folder, b"\xff" * 64)
    with pytest.raises(DamagedFile, match="is not a safetensors file"):
        classifier.read(folder)


FIGURES: dict[str, Any] = {
    "n": 9,
    "accuracy": 0.9,
    "calibration_error": 0.1,
    "real_passing": 0.9,
    "shuffled_passing": 0.1,
    "noise_passing": 0.1,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2; this version reads format 1"),
        ({"accept": 1.5}, "accept must lie in [0, 1], got 1.5"),
        ({"accept": float("nan")}, "accept must be a finite number, got nan"),
        ({"accept": "0.9"}, "accept must be a float, got '0.9'"),
        ({"n_train": True}, "n_train must be a int, got True"),
        ({"classes": ["0"]}, "A classifier must have 2 to 256 classes, got 1"),
        ({"classes": list(range(10))}, "classes must be a list of names"),
        ({"classes": 10}, "is not a classifier's card"),
        ({"classes": ["x"] * 10_000}, "A classifier must have 2 to 256 classes, got 10000"),
        ({"image_shape": [1, 10**9, 10**9]}, "image_shape must be 1 to 4 channels"),
        ({"image_shape": [1, 8]}, "image_shape must be three whole numbers"),
        ({"image_shape": [1, 8.0, 8]}, "image_shape must be three whole numbers"),
        ({"held_out": None}, "is not a classifier's card"),
        ({"held_out": {"accuracy": 1}}, "is not a classifier's card"),
        ({"test": {**FIGURES, "accuracy": 1.01}}, "accuracy must lie in [0, 1], got 1.01"),
        ({"test": {**FIGURES, "noise_passing": float("nan")}}, "noise_passing must be a finite number, got nan"),
        ({"parameters": 10**400}, "is not a classifier's card"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_card_with_a_wrong_value_is_refused_by_name(folder: Path, changes: dict[str, Any], message: str) -> None:
    change_json(folder / CARD, **changes)
    with pytest.raises(DamagedFile) as raised:
        classifier.read(folder)
    assert f"{folder / CARD} " in str(raised.value)
    assert message in str(raised.value)


@pytest.mark.parametrize("missing", ["classes", "accept", "test", "held_out", "sha256"])
def test_a_card_that_lacks_a_value_is_refused_by_name(folder: Path, missing: str) -> None:
    record = unsealed((folder / CARD).read_bytes())
    del record[missing]
    (folder / CARD).write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match=missing):
        classifier.read(folder)


@pytest.mark.parametrize("changes", [{"classes": list("01")}, {"image_shape": [1, 28, 28]}, {"sha256": "0" * 64}])
def test_a_card_of_another_classifier_does_not_get_these_weights(folder: Path, changes: dict[str, Any]) -> None:
    change_json(folder / CARD, **changes)
    with pytest.raises(DamagedFile, match=f"{WEIGHTS} (does not hold the weights|is damaged)"):
        classifier.read(folder)


def test_a_save_that_breaks_off_leaves_no_card(
    small: Classifier, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError("No space left")

    monkeypatch.setattr(classifier, "write_whole", full)
    with pytest.raises(OSError, match="No space left"):
        classifier.save(folder, small)
    assert not (folder / CARD).exists()
