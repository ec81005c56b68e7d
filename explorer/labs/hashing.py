"""Semantic hashing: a code of a few bits for each image, so that alike images lie a few bits apart.

An autoencoder learns the bits (Salakhutdinov and Hinton 2009, "Semantic hashing"): noise on its code layer drives the
code to its two ends, since whatever lies between them is lost. Unlike theirs it is not pretrained by RBMs; instead each
bit is standardised over the batch before the noise, so that it splits the images in about two halves and none stays
idle. Beside it stand codes from hyperplanes, of as many bits and fitted to the same images: random ones through the
mean (LSH), the principal directions (PCA) and those turned so that rounding to bits loses least (ITQ).

A code is uint8 [b/8], eight bits a byte, the first bit highest, as numpy.packbits has it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.data import Dataset
from explorer.labs.result import Result, Step
from explorer.models import recon_loss, round_to_half

HIDDEN, BATCH, LR = 256, 128, 2e-3
GAIN, NOISE = 3.0, 4.0  # standard deviations of a bit's logits and of the noise on them
BITS = (8, 16, 32, 64)
QUERIES, CANDIDATES, NEIGHBOURS, DEPTH = 500, 500, 10, 100
TIMED = 100
ENCODER_BITS = 32  # the one size whose encoder is kept: two would weigh more than all codes together
ITERATIONS = 50
EVAL_BATCH = 2000
BLOCK = 2**22
PLANAR = ("lsh", "pca", "itq")
METHODS = ("ae", *PLANAR, "random")

Loss = Callable[[Tensor, Tensor], Tensor]
Rows = Callable[[Tensor], Tensor]


# ---- codes and their distances


def pack(bits: np.ndarray) -> np.ndarray:
    """Codes uint8 [N, b/8] of bits bool [N, b]. Raises ValueError unless b is a multiple of 8."""
    if bits.ndim != 2 or not bits.shape[1] or bits.shape[1] % 8:
        raise ValueError(f"bits must be [N, b] with b a multiple of 8, got {list(bits.shape)}")
    return np.packbits(bits, axis=1)


def hamming(query: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """In how many bits codes uint8 [N, b/8] differ from query: uint16 [N] for a query [b/8], [Q, N] for [Q, b/8].

    Beside the answer it holds one row of N. Raises ValueError for codes of another size than the query's.
    """
    if query.shape[-1] != codes.shape[1]:
        raise ValueError(f"query has codes of {8 * query.shape[-1]} bits, codes of {8 * codes.shape[1]}")
    words, asked = as_words(codes), as_words(np.atleast_2d(query))
    distances = np.zeros((len(asked), len(words)), np.uint16)
    for row, one in zip(distances, asked):
        for column, word in zip(words.T, one):
            row += np.bitwise_count(column ^ word)
    return distances.reshape((*query.shape[:-1], len(codes)))


def as_words(codes: np.ndarray) -> np.ndarray:
    """The same codes in the largest words of 1, 2, 4 or 8 bytes that they consist of."""
    width = next(width for width in (8, 4, 2, 1) if codes.shape[1] % width == 0)
    return np.ascontiguousarray(codes, np.uint8).view(f"u{width}")


def blocks(query: np.ndarray, codes: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """hamming(query [Q, b/8], codes), some queries at a time: which, and their distances; BLOCK of them at most."""
    size = max(1, BLOCK // max(1, len(codes)))
    for start in range(0, len(query), size):
        rows = slice(start, start + size)
        yield rows, hamming(query[rows], codes)


def count_by_distance(distances: np.ndarray, *, bits: int, counted: np.ndarray | None = None) -> np.ndarray:
    """How many of each row of distances [Q, N] are 0, 1, ..., bits: int64 [Q, bits + 1]; of those counted, bool [Q, N].

    counted None counts all.
    """
    flat = distances + (bits + 1) * np.arange(len(distances), dtype=np.int64)[:, None]
    kept = flat.ravel() if counted is None else flat[counted]
    return np.bincount(kept, minlength=(bits + 1) * len(distances)).reshape(len(distances), bits + 1)


# ---- how good a ranking by Hamming distance is


@dataclass(frozen=True)
class Tally:
    """What Q queries find at each Hamming distance 0 to b: counts int64 [Q, b + 1] in all, hits how many relevant."""

    counts: np.ndarray
    hits: np.ndarray


@dataclass(frozen=True)
class Curves:
    """By Hamming radius 0 to b, float64 [b + 1], means over queries of what lies within the radius.

    precision: the relevant share of it; 0 where there is nothing, as such a query is not served. recall: the share of
    all relevant ones that is in it. empty: the share of queries with nothing in it. retrieved: its share of the base.
    """

    precision: np.ndarray
    recall: np.ndarray
    empty: np.ndarray
    retrieved: np.ndarray


def tally(query: np.ndarray, codes: np.ndarray, query_labels: np.ndarray, labels: np.ndarray) -> Tally:
    """Count codes [N, b/8] by their distance to each query [Q, b/8]; one of the same label is relevant.

    Raises ValueError if some query has no relevant code at all: it has neither recall nor average precision.
    """
    if lacking := set(np.unique(query_labels).tolist()) - set(np.unique(labels).tolist()):
        raise ValueError(f"every query needs a code of its own label, there is none of {sorted(lacking)}")
    bits, counts, hits = 8 * codes.shape[1], [], []
    for rows, distances in blocks(query, codes):
        counts.append(count_by_distance(distances, bits=bits))
        hits.append(count_by_distance(distances, bits=bits, counted=query_labels[rows, None] == labels))
    return Tally(np.concatenate(counts), np.concatenate(hits))


def precision_recall(tally: Tally) -> Curves:
    """Precision and recall at every Hamming radius, with the rules of Curves."""
    found, right = tally.counts.cumsum(axis=1), tally.hits.cumsum(axis=1)
    return Curves(
        precision=(right / found.clip(min=1)).mean(axis=0),
        recall=(right / right[:, -1:]).mean(axis=0),
        empty=(found == 0).mean(axis=0),
        retrieved=(found / found[:, -1:]).mean(axis=0),
    )


def average_precision(tally: Tally) -> np.ndarray:
    """Average precision of each query's ranking by distance, float64 [Q]: expected over random order within ties.

    Among n equally distant ones with r relevant, after N others with R relevant, the k-th is relevant with probability
    r/n and then stands at a precision of (R + 1 + (k - 1)(r - 1)/(n - 1)) / (N + k) on average (McSherry and Najork
    2008, "Computing information retrieval performance measures efficiently in the presence of tied scores"). The sum
    over k is taken in closed form with harmonic numbers.
    """
    counts, hits = tally.counts, tally.hits
    before, found = counts.cumsum(axis=1) - counts, hits.cumsum(axis=1) - hits
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, counts.sum(axis=1).max() + 1))])
    slope = (hits - 1) / (counts - 1).clip(min=1)
    steps = harmonic[before + counts] - harmonic[before]
    terms = (found + 1 - slope * (before + 1)) * steps + slope * counts
    return (hits / counts.clip(min=1) * terms).sum(axis=1) / hits.sum(axis=1)


def within_first(counts: np.ndarray, k: int) -> np.ndarray:
    """With which probability one at each distance is among the first k: float64 [Q, b + 1], ties in random order.

    counts: int [Q, b + 1], how many there are at each distance.
    """
    before = counts.cumsum(axis=1) - counts
    return ((k - before) / counts.clip(min=1)).clip(0, 1)


def precision_at(tally: Tally, k: int = DEPTH) -> np.ndarray:
    """The relevant share of each query's first k, float64 [Q], expected over random order within ties."""
    first = within_first(tally.counts, k)
    return (tally.hits * first).sum(axis=1) / (tally.counts * first).sum(axis=1)


def overlap(counts: np.ndarray, distances: np.ndarray, k: int) -> float:
    """The mean share of wanted ones that are among the first k by Hamming distance, ties in random order.

    counts: int [Q, b + 1]. distances: int [Q, m], of each query's m wanted ones.
    """
    return float(np.take_along_axis(within_first(counts, k), distances.astype(np.int64), axis=1).mean())


def distances_to(query: np.ndarray, codes: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The Hamming distance of each query [Q, b/8] to codes[chosen], with chosen int [Q, m]: int64 [Q, m]."""
    return np.bitwise_count(query[:, None] ^ codes[chosen]).sum(axis=2, dtype=np.int64)


# ---- search


def search(
    query_x: np.ndarray,
    query_code: np.ndarray,
    codes: np.ndarray,
    x: np.ndarray,
    *,
    candidates: int = CANDIDATES,
    k: int = NEIGHBOURS,
) -> np.ndarray:
    """The k nearest to query_x [f] by Euclidean distance among those nearest by code; indices int64 [k], nearest first.

    codes: uint8 [N, b/8]. x: [N, f]. As many as candidates are looked at; of equal Hamming distance the first ones.
    """
    chosen = first_by_distance(hamming(query_code, codes), candidates)
    squares = np.square(x[chosen].astype(np.float32) - query_x).sum(axis=1)
    return chosen[np.argsort(squares, kind="stable")[:k]]


def first_by_distance(distances: np.ndarray, count: int) -> np.ndarray:
    """Indices of the count smallest of whole distances [N], of equal ones the first; in rising order of index."""
    up_to = np.bincount(distances).cumsum()
    last = int(np.searchsorted(up_to, min(count, len(distances))))
    below = np.flatnonzero(distances < last)
    chosen = np.concatenate([below, np.flatnonzero(distances == last)[: count - len(below)]])
    return np.sort(chosen)


def exact(query_x: np.ndarray, x: np.ndarray, *, squares: np.ndarray, k: int = NEIGHBOURS) -> np.ndarray:
    """The k nearest to query_x [f] among all x float32 [N, f]: indices int64 [k], nearest first.

    squares: float32 [N], the squared lengths of x, which do not depend on the query.
    """
    relative = squares - 2 * (x @ query_x)
    first = np.argpartition(relative, k - 1)[:k]
    return first[np.argsort(relative[first], kind="stable")]


@dataclass(frozen=True)
class Exact:
    """Exact search as the ceiling: nearest int32 [Q, k], mean average precision, precision of the first DEPTH."""

    nearest: np.ndarray
    mean_average_precision: float
    precision_at_depth: float


def exact_of(query_x: np.ndarray, x: np.ndarray, query_labels: np.ndarray, labels: np.ndarray) -> Exact:
    """Rank all x [N, f] by Euclidean distance to each of query_x [Q, f], some queries at a time."""
    squares, nearest, found, depth = np.square(x).sum(axis=1), [], [], min(DEPTH, len(x))
    size = max(1, BLOCK // len(x))
    for start in range(0, len(query_x), size):
        order = np.argsort(squares - 2 * (query_x[start : start + size] @ x.T), axis=1, kind="stable")
        hits = (labels[order] == query_labels[start : start + size, None]).astype(np.int64)
        nearest.append(order[:, :NEIGHBOURS].astype(np.int32))
        found.append(np.stack([average_precision(Tally(np.ones_like(hits), hits)), hits[:, :depth].mean(axis=1)]))
    mean_average_precision, precision = np.concatenate(found, axis=1).mean(axis=1)
    return Exact(np.concatenate(nearest), float(mean_average_precision), float(precision))


# ---- hyperplanes


@dataclass(frozen=True)
class Hyperplanes:
    """A bit for each of b hyperplanes: whether x weight + bias > 0. weight: float32 [f, b], bias: float32 [b]."""

    weight: np.ndarray
    bias: np.ndarray

    def bits(self, x: Any) -> np.ndarray:
        """bool [N, b] of x [N, f], an array or a sparse matrix."""
        return x @ self.weight + self.bias > 0


def through(mean: np.ndarray, weight: np.ndarray) -> Hyperplanes:
    """The hyperplanes with normals weight [f, b] that pass through mean [f]."""
    return Hyperplanes(weight.astype(np.float32), (-mean @ weight).astype(np.float32))


def lsh(mean: np.ndarray, *, bits: int, seed: int) -> Hyperplanes:
    """Random hyperplanes through mean [f] (Charikar 2002): two differ in a share of bits that is their angle over pi.

    More bits of the same seed begin with the fewer ones.
    """
    return through(mean, np.random.default_rng(seed).normal(size=(bits, len(mean))).T)


def principal(covariance: np.ndarray, *, bits: int) -> np.ndarray:
    """The first principal directions, float64 [f, bits], the largest variance first, of a covariance [f, f].

    Raises ValueError for fewer features than bits.
    """
    if len(covariance) < bits:
        raise ValueError(f"{bits} bits need at least as many features, got {len(covariance)}")
    return np.linalg.eigh(covariance)[1][:, ::-1][:, :bits]


def rotate(v: np.ndarray, *, seed: int, iterations: int = ITERATIONS) -> tuple[np.ndarray, list[float]]:
    """ITQ's rotation R [b, b] of v [N, b] that makes the squared error |sign(v R) - v R|^2 small, and each error.

    From a random rotation on it sets the signs for R and R for the signs (orthogonal Procrustes) by turns, so the error
    never rises (Gong and Lazebnik 2011, "Iterative quantization"). Errors are those before each turn and after the
    last one.
    """
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(v.shape[1], v.shape[1])))[0]
    errors = []
    for _ in range(iterations):
        turned = v @ rotation
        signs = np.where(turned > 0, 1.0, -1.0)
        errors.append(float(np.square(signs - turned).sum()))
        left, _, right = np.linalg.svd(v.T @ signs)
        rotation = left @ right
    turned = v @ rotation
    return rotation, [*errors, float(np.square(np.where(turned > 0, 1.0, -1.0) - turned).sum())]


def itq(x: Any, mean: np.ndarray, directions: np.ndarray, *, seed: int) -> Hyperplanes:
    """PCA's hyperplanes, with normals directions [f, b], turned by ITQ for x [N, f], an array or a sparse matrix."""
    rotation, _ = rotate(x @ directions - mean @ directions, seed=seed)
    return through(mean, directions @ rotation)


# ---- the autoencoder


class Coder(nn.Module):
    """x [N, f] -> logits of its bits [N, b] -> logits of x_hat [N, f]; one hidden layer each way."""

    def __init__(self, features: int, *, bits: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, bits))
        self.decoder = nn.Sequential(nn.Linear(bits, hidden), nn.ReLU(), nn.Linear(hidden, features))

    def forward(self, x: Tensor, *, noise: torch.Generator) -> Tensor:
        """Logits of x_hat from a noisy code: 2 sigmoid - 1 of the bits' logits, standardised over the batch, + noise.

        The code lies about 0, between -1 and 1, instead of between 0 and 1, so that the decoder starts out centred.
        """
        logits = GAIN * F.batch_norm(self.encoder(x), None, None, training=True)
        return self.decoder(torch.tanh((logits + NOISE * torch.randn(logits.shape, generator=noise)) / 2))


def build(features: int, *, bits: int, seed: int) -> Coder:
    """A fresh one, whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Coder(features, bits=bits)


def losses_of(coder: Coder, rows: Rows, *, n: int, loss: Loss, epochs: int, seed: int) -> Iterator[float]:
    """Train coder in place with Adam; yields the mean loss of each epoch, with noise on the codes.

    rows: gives x [B, f] of B of the n indices. loss: of logits [B, f] and x, a mean over the batch.
    """
    optimizer = torch.optim.Adam(coder.parameters(), lr=LR)
    order, noise = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1)
    for _ in range(epochs):
        total = 0.0
        # a last batch of one cannot be standardised
        for chosen in (batch for batch in torch.randperm(n, generator=order).split(BATCH) if len(batch) > 1):
            x = rows(chosen)
            optimizer.zero_grad()
            value = loss(coder(x, noise=noise), x)
            value.backward()
            optimizer.step()
            total += value.item() * len(chosen)
        yield total / n


@torch.no_grad()
def settle(coder: Coder, rows: Rows, *, n: int) -> None:
    """Round the weights to what float16 holds, and let the encoder's logits be 0 on average over all n.

    So a bit is logit > 0, without a batch to standardise over.
    """
    round_to_half(coder)
    last = coder.encoder[-1]
    assert isinstance(last, nn.Linear)
    logits = torch.cat([coder.encoder(rows(chosen)) for chosen in torch.arange(n).split(EVAL_BATCH)])
    last.bias.sub_(logits.double().mean(0).float())
    round_to_half(last)


@torch.no_grad()
def bits_of(coder: Coder, rows: Rows, *, n: int) -> np.ndarray:
    """bool [n, b]: whether the encoder's logits are above 0."""
    return np.concatenate([(coder.encoder(rows(chosen)) > 0).numpy() for chosen in torch.arange(n).split(EVAL_BATCH)])


# ---- the lab


@dataclass(frozen=True)
class Task:
    """What is hashed: x float32 [N, f] in [0, 1] with labels uint8 [N]; queries of the same kind; their exact search.

    mean [f] and covariance [f, f] of x, float64.
    """

    x: np.ndarray
    labels: np.ndarray
    query_x: np.ndarray
    query_labels: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    exact: Exact

    @classmethod
    def of(cls, dataset: Dataset) -> Task:
        """The training images, searched with the first QUERIES held-out ones."""
        x, query_x = (
            part.reshape(len(part), -1).astype(np.float32) / 255 for part in (dataset.x_train, dataset.x_test[:QUERIES])
        )
        labels, query_labels = dataset.y_train, dataset.y_test[:QUERIES]
        mean = x.mean(axis=0, dtype=np.float64)
        covariance = (x.T @ x).astype(np.float64) / len(x) - np.outer(mean, mean)
        return cls(x, labels, query_x, query_labels, mean, covariance, exact_of(query_x, x, query_labels, labels))


@dataclass(frozen=True)
class Codes:
    """One method's codes of one size: uint8 [N, b/8] of the base, [Q, b/8] of the queries; and what fitting took.

    coder: the network that made them, where one did.
    """

    method: str
    base: np.ndarray
    queries: np.ndarray
    seconds: float
    coder: Coder | None = None

    @property
    def bits(self) -> int:
        return 8 * self.base.shape[1]

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What is kept: the codes, but of random ones, and the encoder of ENCODER_BITS."""
        if self.method == "random":
            return {}
        names = {"base": self.base, "queries": self.queries}
        kept = {f"{self.method}.{self.bits}.{name}": codes for name, codes in names.items()}
        return kept | encoder_arrays(self.coder) if self.coder and self.bits == ENCODER_BITS else kept


def planar(method: str, task: Task, *, bits: int, seed: int) -> Codes:
    """Codes from hyperplanes: method is lsh, pca or itq. Raises ValueError for more bits than features."""
    start = time.perf_counter()
    if method == "lsh":
        planes = lsh(task.mean, bits=bits, seed=seed)
    else:
        directions = principal(task.covariance, bits=bits)
        turned = itq(task.x, task.mean, directions, seed=seed) if method == "itq" else None
        planes = turned or through(task.mean, directions)
    base, queries = pack(planes.bits(task.x)), pack(planes.bits(task.query_x))
    return Codes(method, base, queries, time.perf_counter() - start)


def chance(task: Task, *, bits: int, seed: int) -> Codes:
    """Random codes that know nothing of the images: the control."""
    random, start = np.random.default_rng(seed), time.perf_counter()
    base, queries = (random.integers(256, size=(len(x), bits // 8), dtype=np.uint8) for x in (task.x, task.query_x))
    return Codes("random", base, queries, time.perf_counter() - start)


@dataclass(frozen=True)
class Epoch:
    """An autoencoder of so many bits has had so many epochs; loss: the last one's mean, in nats an image."""

    bits: int
    epoch: int
    loss: float


def learned(task: Task, *, bits: int, epochs: int, seed: int) -> Iterator[Epoch | Codes]:
    """Train an autoencoder: each epoch, and last of all its codes."""
    start = time.perf_counter()
    x, query_x = torch.from_numpy(task.x), torch.from_numpy(task.query_x)
    coder = build(x.shape[1], bits=bits, seed=seed)
    losses = losses_of(coder, x.__getitem__, n=len(x), loss=recon_loss, epochs=epochs, seed=seed)
    for epoch, loss in enumerate(losses, start=1):
        yield Epoch(bits, epoch, loss)
    settle(coder, x.__getitem__, n=len(x))
    base = pack(bits_of(coder, x.__getitem__, n=len(x)))
    queries = pack(bits_of(coder, query_x.__getitem__, n=len(query_x)))
    yield Codes("ae", base, queries, time.perf_counter() - start, coder)


def hashed(task: Task, *, bits: Sequence[int], epochs: int, seed: int) -> Iterator[Epoch | Codes]:
    """Every method's codes of every size: what is quick first, then the autoencoders, with their epochs."""
    for size in bits:
        for method in PLANAR:
            yield planar(method, task, bits=size, seed=seed)
        yield chance(task, bits=size, seed=seed)
    for size in bits:
        yield from learned(task, bits=size, epochs=epochs, seed=seed)


def figures_of(codes: Codes, task: Task) -> dict[str, Any]:
    """All figures of one method at one size; what they mean is said at run."""
    counted = tally(codes.queries, codes.base, task.query_labels, task.labels)
    curves = precision_recall(counted)
    distances = distances_to(codes.queries, codes.base, task.exact.nearest)
    kept = count_by_distance(distances, bits=codes.bits).cumsum(axis=1).mean(axis=0) / distances.shape[1]
    return {
        "map": round(float(average_precision(counted).mean()), 5),
        f"precision_at_{DEPTH}": round(float(precision_at(counted).mean()), 5),
        f"recall_at_{NEIGHBOURS}": round(overlap(counted.counts, distances, CANDIDATES), 5),
        **{name: short(getattr(curves, name)) for name in ("precision", "recall", "empty", "retrieved")},
        "kept": short(kept),
        "seconds": round(codes.seconds, 3),
    }


def short(values: np.ndarray) -> list[float]:
    return [round(value, 5) for value in values.tolist()]


def search_times(codes: Codes, task: Task) -> dict[str, float]:
    """Median milliseconds of one query: by code and re-ranked, and exactly; over the first TIMED queries."""
    squares, times = np.square(task.x).sum(axis=1), []
    for query, code in zip(task.query_x[:TIMED], codes.queries):
        start = time.perf_counter()
        search(query, code, codes.base, task.x)
        between = time.perf_counter()
        exact(query, task.x, squares=squares)
        times.append((between - start, time.perf_counter() - between))
    hashed, whole = (1000 * np.median(times, axis=0)).tolist()
    return {"ms": round(hashed, 4), "exact_ms": round(whole, 4)}


def check(dataset: Dataset, *, bits: Sequence[int], epochs: int) -> None:
    """Raise ValueError, naming what was given and what would be right, if run cannot be."""
    pixels, least = dataset.x_train[0].size, NEIGHBOURS + 1
    if not bits or any(size % 8 or not 8 <= size <= min(64, pixels) for size in bits) or len(set(bits)) < len(bits):
        raise ValueError(f"bits must be different multiples of 8 from 8 to {min(64, pixels)}, got {list(bits)}")
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    if len(dataset.x_train) < least or not len(dataset.x_test):
        n, held_out = len(dataset.x_train), len(dataset.x_test)
        raise ValueError(f"There must be {least} training images and a held-out one, got {n} and {held_out}")


def run(dataset: Dataset, *, bits: Sequence[int] = BITS, epochs: int = 10, seed: int = 0) -> Iterator[Step | Result]:
    """Hash the training images in every way and at every size, and search them with the first held-out ones.

    A Step follows each epoch of each autoencoder and each other method; the ones that end a method bring its codes.

    Arrays: "<method>.<bits>.base" uint8 [N, bits/8] and "<method>.<bits>.queries" uint8 [Q, bits/8] for ae, lsh, pca
    and itq; "labels" uint8 [N], "query_labels" uint8 [Q], "query_images" uint8 [Q, f]; "nearest" int32 [Q, 10], the
    exactly nearest; and, where 32 is among bits, its encoder as float16: "encoder.0.weight" [256, f], "encoder.0.bias"
    [256], then a ReLU, "encoder.2.weight" [32, 256], "encoder.2.bias" [32]; a bit is 1 where the outcome is above 0.
    The codes are those of these weights.

    Record: "methods" has for each method (and random, the control) and size: map, the mean average precision;
    precision_at_100; recall_at_10, the share of the ten exactly nearest that filtering to 500 by code and re-ranking
    finds; by radius precision, recall, empty, retrieved (see Curves) and kept, the share of the ten exactly nearest
    that lie within it; seconds of fitting and coding. Wherever distances are equal a random order is assumed and its
    expectation given. "exact" has the ceiling, map and precision_at_100 of Euclidean distance; "chance" the relevant
    share of the base; "search" milliseconds of a query by size; "history" the losses of the autoencoders.

    Raises ValueError for sizes that are no multiples of 8 from 8 to 64, or more than pixels, or no epochs.
    """
    check(dataset, bits=bits, epochs=epochs)
    task, total = Task.of(dataset), len(bits) * (epochs + len(METHODS))
    methods: dict[str, dict[str, Any]] = {method: {} for method in METHODS}
    history: dict[str, list[float]] = {str(size): [] for size in bits}
    times: dict[str, dict[str, float]] = {}
    arrays = {
        "labels": task.labels,
        "query_labels": task.query_labels,
        "query_images": dataset.x_test[:QUERIES].reshape(len(task.query_x), -1),
        "nearest": task.exact.nearest,
    }
    for done, news in enumerate(hashed(task, bits=bits, epochs=epochs, seed=seed), start=1):
        size = str(news.bits)
        if isinstance(news, Epoch):
            history[size].append(round(news.loss, 4))
            yield Step(done, total, f"ae, {size} bits, epoch {news.epoch}", figures={"loss": news.loss})
            continue
        figures = methods[news.method][size] = figures_of(news, task)
        arrays |= news.arrays
        if news.coder:
            times[size] = search_times(news, task)
        yield Step(done, total, f"{news.method}, {size} bits", figures={"map": figures["map"]}, arrays=news.arrays)
    settings = settings_record(bits=bits, epochs=epochs, seed=seed)
    found = {"methods": methods, "search": times, "history": history}
    yield Result({**dataset.origin, **settings, **controls(task, dataset.classes), **found}, arrays)


def controls(task: Task, classes: Sequence[str]) -> dict[str, Any]:
    """What is known before anything is hashed: the ceiling, chance, and how many queries there are."""
    return {
        "queries": len(task.query_x),
        "classes": list(classes),
        "chance": float((task.query_labels[:, None] == task.labels).mean()),
        "exact": {"map": task.exact.mean_average_precision, f"precision_at_{DEPTH}": task.exact.precision_at_depth},
    }


def settings_record(*, bits: Sequence[int], epochs: int, seed: int) -> dict[str, Any]:
    network = {
        "candidates": CANDIDATES,
        "neighbours": NEIGHBOURS,
        "hidden": HIDDEN,
        "noise": NOISE,
        "gain": GAIN,
        "batch_size": BATCH,
        "lr": LR,
    }
    return {"bits": list(bits), "epochs": epochs, "seed": seed, **network}


def encoder_arrays(coder: Coder) -> dict[str, np.ndarray]:
    """The encoder's weights by name, float16, which hold them exactly."""
    return {f"encoder.{name}": value.numpy().astype(np.float16) for name, value in coder.encoder.state_dict().items()}
