from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from explorer.data import Dataset
from explorer.labs import hashing
from explorer.labs.hashing import Tally
from explorer.labs.result import Result, Step


def random_codes(n: int, bits: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(n, bits // 8), dtype=np.uint8)


def clusters(n: int, *, f: int = 40, classes: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points [n, f] about as many centres as classes, which depend on f alone, and their labels [n]."""
    random, labels = np.random.default_rng(seed), np.arange(n) % classes
    centres = np.random.default_rng(1).normal(size=(classes, f))
    return (centres[labels] + 0.7 * random.normal(size=(n, f))).astype(np.float32), labels


def unpacked(code: np.ndarray) -> str:
    return "".join(f"{byte:08b}" for byte in code.tolist())


def by_hand(query: np.ndarray, codes: np.ndarray) -> list[int]:
    return [sum(a != b for a, b in zip(unpacked(query), unpacked(code))) for code in codes]


def tiny(digits: Dataset, *, n: int = 200, held_out: int = 40) -> Dataset:
    return replace(
        digits,
        x_train=digits.x_train[:n],
        y_train=digits.y_train[:n],
        x_test=digits.x_test[:held_out],
        y_test=digits.y_test[:held_out],
    )


@pytest.mark.parametrize("bits", [8, 16, 24, 32, 64, 128])
def test_hamming_counts_the_places_where_codes_differ(bits: int) -> None:
    query, codes = random_codes(3, bits), random_codes(40, bits, seed=1)
    expected = [by_hand(one, codes) for one in query]
    assert hashing.hamming(query, codes).tolist() == expected
    assert hashing.hamming(query[1], codes).tolist() == expected[1]


def test_codes_of_different_sizes_have_no_distance() -> None:
    with pytest.raises(ValueError, match="query has codes of 16 bits, codes of 8"):
        hashing.hamming(random_codes(1, 16), random_codes(5, 8))


def test_the_first_bit_is_the_highest_of_its_byte() -> None:
    bits = np.zeros((1, 16), bool)
    bits[0, [0, 9]] = True
    assert hashing.pack(bits).tolist() == [[128, 64]]


@pytest.mark.parametrize("shape", [(3, 12), (3, 0), (8,)])
def test_bits_that_fill_no_whole_bytes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="b a multiple of 8"):
        hashing.pack(np.zeros(shape, bool))


def counted(distances: list[int], relevant: list[int]) -> Tally:
    """The tally of one query."""
    counts = np.bincount(distances)
    hits = np.bincount([d for d, r in zip(distances, relevant) if r], minlength=len(counts))
    return Tally(counts[None], hits[None])


def mean_over_orders(distances: list[int], relevant: list[int]) -> float:
    """Average precision, the mean over all orders of the items that sort by distance; by its definition."""
    found = []
    for order in itertools.permutations(range(len(distances))):
        ranked = [relevant[i] for i in sorted(order, key=lambda i: distances[i])]
        precisions = [sum(ranked[: i + 1]) / (i + 1) for i, right in enumerate(ranked) if right]
        found.append(sum(precisions) / len(precisions))
    return sum(found) / len(found)


@pytest.mark.parametrize("seed", range(8))
def test_average_precision_is_the_mean_over_all_orders_of_ties(seed: int) -> None:
    random = np.random.default_rng(seed)
    distances = random.integers(3, size=6).tolist()
    relevant = [1, *random.integers(2, size=5).tolist()]
    value = hashing.average_precision(counted(distances, relevant))
    assert value == pytest.approx([mean_over_orders(distances, relevant)])


def test_average_precision_without_ties_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    distances, relevant = random.permutation(50), random.integers(2, size=50)
    expected = average_precision_score(relevant, -distances)
    value = hashing.average_precision(counted(distances.tolist(), relevant.tolist()))
    assert value == pytest.approx([expected])


def test_precision_of_the_first_few_is_the_mean_over_orders_of_ties() -> None:
    distances, relevant = [0, 1, 1, 1, 2, 2], [0, 1, 1, 0, 0, 1]
    orders = [sorted(order, key=lambda i: distances[i])[:3] for order in itertools.permutations(range(6))]
    expected = np.mean([[relevant[i] for i in order] for order in orders])
    assert hashing.precision_at(counted(distances, relevant), 3) == pytest.approx([expected])


def test_precision_and_recall_by_radius_are_those_of_counting() -> None:
    query, codes = random_codes(6, 16), random_codes(50, 16, seed=1)
    query_labels, labels = np.arange(6) % 3, np.arange(50) % 3
    curves = hashing.precision_recall(hashing.tally(query, codes, query_labels, labels))
    for radius in range(17):
        precision, recall, empty, retrieved = [], [], [], []
        for one, label in zip(query, query_labels):
            inside = [i for i, distance in enumerate(by_hand(one, codes)) if distance <= radius]
            right = sum(labels[i] == label for i in inside)
            precision.append(right / len(inside) if inside else 0)
            recall.append(right / np.count_nonzero(labels == label))
            empty.append(not inside)
            retrieved.append(len(inside) / 50)
        of_radius = [getattr(curves, name)[radius] for name in ("precision", "recall", "empty", "retrieved")]
        assert of_radius == pytest.approx([np.mean(part) for part in (precision, recall, empty, retrieved)])


def test_a_tally_in_small_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = random_codes(7, 8), random_codes(30, 8, seed=1), np.arange(7) % 2, np.arange(30) % 2
    whole = hashing.tally(*arguments)
    monkeypatch.setattr(hashing, "BLOCK", 60)
    parts = hashing.tally(*arguments)
    assert (whole.counts == parts.counts).all()
    assert (whole.hits == parts.hits).all()


def test_a_query_that_nothing_is_relevant_to_is_refused() -> None:
    with pytest.raises(ValueError, match=r"none of \[7\]"):
        hashing.tally(random_codes(2, 8), random_codes(5, 8), np.array([0, 7]), np.zeros(5, int))


def test_random_codes_rank_no_better_than_chance() -> None:
    labels = np.arange(4000) % 4
    found = hashing.tally(random_codes(100, 32), random_codes(4000, 32, seed=1), labels[:100], labels)
    assert hashing.average_precision(found).mean() == pytest.approx(0.25, abs=0.01)


# ---- search


def test_search_over_all_candidates_is_exact() -> None:
    x, _ = clusters(300)
    codes, squares = random_codes(300, 16), np.square(x).sum(axis=1)
    for query in clusters(5, seed=3)[0]:
        expected = np.argsort(np.linalg.norm(x - query, axis=1))[:10].tolist()
        assert hashing.search(query, codes[0], codes, x, candidates=300).tolist() == expected
        assert hashing.exact(query, x, squares=squares).tolist() == expected


@pytest.mark.parametrize("asked", range(5))
def test_search_looks_only_at_the_candidates_nearest_by_code(asked: int) -> None:
    x, _ = clusters(200)
    codes, query = random_codes(200, 8), clusters(1, seed=3)[0][0]
    distances = by_hand(codes[asked], codes)
    looked_at = sorted(range(200), key=lambda i: (distances[i], i))[:12]
    expected = sorted(looked_at, key=lambda i: np.linalg.norm(x[i] - query))[:10]
    assert hashing.search(query, codes[asked], codes, x, candidates=12).tolist() == expected


def test_overlap_is_the_share_found_over_random_orders_of_ties() -> None:
    distances, wanted = np.array([0, 1, 1, 1, 2]), np.array([0, 2, 4])
    orders = [sorted(order, key=lambda i: distances[i])[:2] for order in itertools.permutations(range(5))]
    expected = np.mean([len(set(order) & set(wanted.tolist())) / 3 for order in orders])
    assert hashing.overlap(np.bincount(distances)[None], distances[wanted][None], 2) == pytest.approx(expected)


def test_exact_search_ranks_as_scikit_learn_does() -> None:
    (x, labels), (query, query_labels) = clusters(400), clusters(20, seed=5)
    found = hashing.exact_of(query, x, query_labels, labels)
    apart = np.linalg.norm(query[:, None] - x, axis=2)
    expected = [average_precision_score(labels == label, -row) for label, row in zip(query_labels, apart)]
    assert found.mean_average_precision == pytest.approx(np.mean(expected))
    assert found.nearest.tolist() == np.argsort(apart, axis=1)[:, :10].tolist()


# ---- hyperplanes


def test_the_rotation_of_itq_is_orthogonal_and_its_error_never_rises() -> None:
    v = clusters(500, f=12)[0].astype(np.float64)
    rotation, errors = hashing.rotate(v, seed=0)
    assert rotation.T @ rotation == pytest.approx(np.eye(12), abs=1e-9)
    assert len(errors) == hashing.ITERATIONS + 1
    assert (np.diff(errors) <= 1e-9 * errors[0]).all()
    assert errors[-1] < 0.99 * errors[0]
    turned = v @ rotation
    assert errors[-1] == pytest.approx(((np.sign(turned) - turned) ** 2).sum())


def test_itq_finds_the_corners_of_a_turned_cube() -> None:
    corners = np.array(list(itertools.product([-1.0, 1.0], repeat=4)))
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))[0]
    errors = [hashing.rotate(corners @ turn, seed=seed)[1][-1] for seed in range(10)]
    assert min(errors) == pytest.approx(0, abs=1e-9)


def test_random_hyperplanes_part_two_points_in_a_share_of_bits_that_is_their_angle() -> None:
    x = np.array([[1, 0, 0], [np.cos(1.0), np.sin(1.0), 0]], np.float32)
    bits = hashing.lsh(np.zeros(3), bits=20_000, seed=0).bits(x)
    assert (bits[0] != bits[1]).mean() == pytest.approx(1 / np.pi, abs=0.015)


def test_random_hyperplanes_of_more_bits_rank_better() -> None:
    (x, labels), (query, query_labels) = clusters(800), clusters(80, seed=5)
    found = []
    for bits in (8, 32, 128):
        planes = hashing.lsh(x.mean(axis=0), bits=bits, seed=0)
        codes, asked = hashing.pack(planes.bits(x)), hashing.pack(planes.bits(query))
        found.append(hashing.average_precision(hashing.tally(asked, codes, query_labels, labels)).mean())
    assert found[0] + 0.05 < found[1] < found[2] - 0.05


def test_principal_directions_are_those_of_the_singular_values() -> None:
    x = clusters(300, f=10)[0].astype(np.float64)
    centred = x - x.mean(axis=0)
    directions = hashing.principal(centred.T @ centred / len(x), bits=8)
    expected = np.linalg.svd(centred)[2][:8]
    assert np.abs(expected @ directions) == pytest.approx(np.eye(8), abs=1e-6)


def test_more_bits_than_features_are_refused() -> None:
    with pytest.raises(ValueError, match="16 bits need at least as many features, got 10"):
        hashing.principal(np.eye(10), bits=16)


# ---- the lab


def outcome(digits: Dataset, *, seed: int = 0) -> tuple[list[Step], Result]:
    *steps, result = hashing.run(tiny(digits), bits=(8, 32), epochs=4, seed=seed)
    assert isinstance(result, Result)
    return [step for step in steps if isinstance(step, Step)], result


@pytest.fixture(scope="module")
def outcomes(digits: Dataset) -> tuple[list[Step], Result]:
    return outcome(digits)


def test_the_lab_ends_with_codes_of_every_method_and_size(outcomes: tuple[list[Step], Result]) -> None:
    steps, result = outcomes
    assert [step.done for step in steps] == list(range(1, steps[-1].total + 1))
    for method, bits in itertools.product(("ae", "lsh", "pca", "itq"), (8, 32)):
        assert result.arrays[f"{method}.{bits}.base"].shape == (200, bits // 8)
        assert result.arrays[f"{method}.{bits}.queries"].shape == (40, bits // 8)
        assert len(result.record["methods"][method][str(bits)]["precision"]) == bits + 1
    assert {array.dtype.name for array in result.arrays.values()} <= {"uint8", "int32", "float16"}


def test_the_images_of_the_queries_are_kept(outcomes: tuple[list[Step], Result], digits: Dataset) -> None:
    assert (outcomes[1].arrays["query_images"] == tiny(digits).x_test.reshape(40, 64)).all()


def test_figures_of_the_record_are_those_of_the_arrays(outcomes: tuple[list[Step], Result]) -> None:
    arrays, record = outcomes[1].arrays, outcomes[1].record
    for method in ("ae", "lsh", "pca", "itq"):
        codes, asked = (arrays[f"{method}.32.{part}"] for part in ("base", "queries"))
        found = hashing.tally(asked, codes, arrays["query_labels"], arrays["labels"])
        figures = record["methods"][method]["32"]
        assert figures["map"] == pytest.approx(hashing.average_precision(found).mean(), abs=1e-5)
        kept = [
            np.mean([by_hand(one, codes[near])[i] <= 6 for i in range(10)])
            for one, near in zip(asked, arrays["nearest"])
        ]
        assert figures["kept"][6] == pytest.approx(np.mean(kept), abs=1e-5)


def test_the_encoder_that_is_kept_makes_the_codes(outcomes: tuple[list[Step], Result], digits: Dataset) -> None:
    arrays = outcomes[1].arrays
    weights = {
        name: arrays[f"encoder.{name}"].astype(np.float32) for name in ("0.weight", "0.bias", "2.weight", "2.bias")
    }
    x = tiny(digits).x_train.reshape(200, -1).astype(np.float32) / 255
    hidden = np.maximum(x @ weights["0.weight"].T + weights["0.bias"], 0)
    bits = hidden @ weights["2.weight"].T + weights["2.bias"] > 0
    differing = np.bitwise_count(np.packbits(bits, axis=1) ^ arrays["ae.32.base"]).sum()
    assert differing <= 2  # sums in another order may fall on the other side of 0


def test_learned_codes_split_the_images_about_in_half(outcomes: tuple[list[Step], Result]) -> None:
    ones = np.unpackbits(outcomes[1].arrays["ae.32.base"], axis=1).mean(axis=0)
    assert ((ones > 0.2) & (ones < 0.8)).all()


def test_learned_codes_rank_far_above_chance(outcomes: tuple[list[Step], Result]) -> None:
    methods = outcomes[1].record["methods"]
    assert methods["ae"]["32"]["map"] > 2 * methods["random"]["32"]["map"]


def test_the_same_seed_gives_the_same_codes_and_another_others(
    outcomes: tuple[list[Step], Result], digits: Dataset
) -> None:
    first, again, other = outcomes[1].arrays, outcome(digits)[1].arrays, outcome(digits, seed=1)[1].arrays
    assert all((first[name] == again[name]).all() for name in first)
    for method in ("ae", "lsh", "itq"):
        assert (first[f"{method}.32.base"] != other[f"{method}.32.base"]).any()


def test_noise_drives_the_code_to_its_ends(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """With noise a code rounded to bits can be read by the decoder almost as well as one that is not."""
    x = torch.from_numpy(tiny(digits).x_train.reshape(200, -1)).float() / 255

    def price_of_rounding(noise: float) -> float:
        monkeypatch.setattr(hashing, "NOISE", noise)
        coder = hashing.build(64, bits=16, seed=0)
        losses = hashing.losses_of(coder, x.__getitem__, n=200, loss=hashing.recon_loss, epochs=60, seed=0)
        assert len(list(losses)) == 60
        with torch.no_grad():
            logits = torch.nn.functional.batch_norm(coder.encoder(x), None, None, training=True)
            soft = hashing.recon_loss(coder.decoder(torch.tanh(hashing.GAIN * logits / 2)), x)
            return float(hashing.recon_loss(coder.decoder(logits.sign()), x) - soft)

    assert price_of_rounding(hashing.NOISE) < 0.5 * price_of_rounding(0.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bits": ()}, "multiples of 8 from 8 to 64"),
        ({"bits": (12,)}, r"got \[12\]"),
        ({"bits": (8, 8)}, "different"),
        ({"bits": (128,)}, r"got \[128\]"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_hashed_is_refused(digits: Dataset, settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        next(hashing.run(tiny(digits), **settings))  # type: ignore[arg-type]


def test_too_few_images_are_refused(digits: Dataset) -> None:
    with pytest.raises(ValueError, match="11 training images and a held-out one, got 10 and 40"):
        next(hashing.run(tiny(digits, n=10)))
