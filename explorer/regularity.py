"""The regularity gap as figures: what was measured, on what distribution, between what floor and ceiling, how sure.

Continuity: near codes decode to images that are alike. Completeness: a code drawn from a named distribution decodes to
something like the data. Both are about a model, not about the numbers it happens to use: codes are measured in units of
their own spread, so that a model whose codes are all multiplied by s, and its decoder's input divided by s, gets the
same figures. Where N(0, I) is named the scale is the point.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from explorer import latent, statistics
from explorer.checkpoints import library_versions
from explorer.files import sha256
from explorer.loaded import Model
from explorer.models import VAE, kl_per_dim
from explorer.scoreboard import DISTRIBUTED, DISTRIBUTIONS, JUDGED, Examples, Figure
from explorer.statistics import CannotMeasure
from explorer.world import LEAST, World, unit

PRICE = ("recon", "kl", "active_units")
PATHS, CONTROL_PATHS, PATH_POINTS = 400, 200, 17
STEPS, STEP = 2000, 0.1
STRETCHED = 500
BOX = (0.01, 0.99)  # quantiles
HOLE = 0.99
MISMATCHED = 2000
SHOWN = 8
GREY = 1 / 255
BLOCK = 500  # images at a time in float64


@dataclass(frozen=True)
class Codes:
    """Where a model's codes lie: of the training images and of the held-out ones, [N, d] and [n, d].

    spread: a root of the training codes' covariance, [d, d]. drawn, drawn_train: one z for each image, drawn from the
    posterior of a VAE; an AE's are its codes. kl: of the held-out images, nats, [n, d], None for an AE.
    """

    train: np.ndarray
    held_out: np.ndarray
    spread: np.ndarray
    drawn_train: np.ndarray
    drawn: np.ndarray
    kl: np.ndarray | None

    @property
    def d(self) -> int:
        return self.train.shape[1]


def measure(model: Model, here: World) -> Iterator[Figure]:
    """Every figure of a model, one after the other; those that cannot be computed say why."""
    groups: list[tuple[Callable[..., Iterator[Figure]], tuple[str, ...], str | None]] = [
        (price, PRICE, None),
        (paths, ("path_step", "class_flips"), None),
        (neighbours, ("neighbour_agreement",), None),
        (stretch, ("stretch",), None),
        (mismatch, ("mmd", "energy"), "prior"),
        *((completeness, DISTRIBUTED, name) for name in DISTRIBUTIONS),
    ]
    try:
        codes = codes_of(model, here)
    except CannotMeasure as error:
        yield from (nothing(name, where, error, model) for _, names, where in groups for name in names)
        return
    for group, names, where in groups:
        left = list(names)
        give_back()
        try:
            for figure in group(model, here, codes, *([where] if group is completeness else [])):
                left.remove(figure.measure)
                yield replace(figure, model=model.card.name)
        except CannotMeasure as error:
            yield from (nothing(name, where, error, model) for name in left)


def give_back() -> None:
    """Return freed memory to the system, where it is glibc's to keep: the next group needs it in other sizes."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def about(model: Model, here: World) -> dict[str, Any]:
    """How the figures were made: with these they can be made again."""
    return {
        "model": model.card.name,
        "dataset": here.dataset,
        "samples": here.n,
        "seed": here.seed,
        "weights_sha256": model.card.sha256,
        **judge_of(here),
        "images_sha256": sha256(bytes_of(here.images).tobytes()),
        "versions": library_versions(),
    }


def judge_of(here: World) -> dict[str, Any]:
    """What an About says of the judge; of one trained on one's own data also how well it does."""
    if isinstance(here.court, str):
        return {"classifier_sha256": None}
    record = here.judge.record
    told: dict[str, Any] = {"classifier_sha256": record.sha256}
    if here.commonest is not None and record.test:
        told["judge"] = {"right": record.test.accuracy, "n": record.test.n, "commonest": here.commonest}
    return told


def nothing(measure: str, distribution: str | None, error: CannotMeasure, model: Model) -> Figure:
    return Figure(model.card.name, measure, distribution, None, None, None, None, None, 0, note=f"{error}.")


def codes_of(model: Model, here: World) -> Codes:
    """Raises CannotMeasure for codes that are no numbers."""
    (train, train_logvar), (held_out, logvar) = (posteriors(model, each) for each in (here.train, here.images))
    if not (np.isfinite(train).all() and np.isfinite(held_out).all()):
        raise CannotMeasure("Its codes are not all finite numbers")
    if logvar is None or train_logvar is None:
        return Codes(train, held_out, root(train), train, held_out, None)
    chance = np.random.default_rng(here.seed)
    drawn_train, drawn = (
        (mu + chance.normal(size=mu.shape) * np.exp(0.5 * spread)).astype(np.float32)
        for mu, spread in ((train, train_logvar), (held_out, logvar))
    )
    kl = kl_per_dim(*(torch.from_numpy(each).double() for each in (held_out, logvar))).numpy()
    return Codes(train, held_out, root(train), drawn_train, drawn, kl)


def posteriors(model: Model, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Codes and, of a VAE, logvar of images, uint8 or in [0, 1]; never are all of them there as floats."""
    blocks = (images[start : start + BLOCK] for start in range(0, len(images), BLOCK))
    units = (unit(block) if block.dtype == np.uint8 else block for block in blocks)
    if not isinstance(model.module, VAE):
        return np.concatenate([model.encode(each) for each in units]), None
    mu, logvar = zip(*(model.posterior(each) for each in units))
    return np.concatenate(mu), np.concatenate(logvar)


def root(codes: np.ndarray) -> np.ndarray:
    """[d, d]: A with A A^T the covariance of codes; one that is singular has one too. A single code has no spread."""
    if len(codes) == 1:
        return np.zeros((codes.shape[1], codes.shape[1]))
    covariance = np.atleast_2d(np.cov(codes.T.astype(np.float64)))
    variances, axes = np.linalg.eigh(covariance)
    return axes * np.sqrt(variances.clip(min=0))


def draw(codes: Codes, distribution: str, n: int, *, seed: int) -> np.ndarray:
    """[n, d] codes from one of DISTRIBUTIONS."""
    chance = np.random.default_rng(seed)
    if distribution == "box":
        low, high = np.quantile(codes.train, BOX, axis=0)
        return (low + chance.random((n, codes.d)) * (high - low)).astype(np.float32)
    eps = chance.normal(size=(n, codes.d))
    if distribution == "prior":
        return eps.astype(np.float32)
    if distribution == "gaussian":
        return (codes.train.mean(axis=0) + eps @ codes.spread.T).astype(np.float32)
    fitted = latent.fit_mixture(codes.train, seed=seed)
    part = chance.choice(len(fitted.weights), size=n, p=fitted.weights / fitted.weights.sum(dtype=np.float64))
    return (fitted.means[part] + np.einsum("nij,nj->ni", fitted.cholesky[part], eps)).astype(np.float32)


# ---- completeness


def completeness(model: Model, here: World, codes: Codes, distribution: str) -> Iterator[Figure]:
    """What codes drawn from a distribution decode to, held against real images; and how many fall into holes."""
    z = draw(codes, distribution, here.n, seed=here.seed + 1)
    x_hat = decode(model, z)
    try:
        likenesses = here.likeness(here.see(x_hat))
    except CannotMeasure as error:
        likenesses = {}
        yield from (nothing(name, distribution, error, model) for name in DISTRIBUTED if name in JUDGED)
    for name, like in likenesses.items():
        ceiling, floor = here.controls[name]
        whose, images = ("real images", here.images) if like.of_reference else ("samples", x_hat)
        text = f"The {whose} that are nearest to the other side, in the middle, farthest"
        shown = Examples(ranked(like.rank, images), text)
        yield Figure("", name, distribution, like.score, like.low, like.high, ceiling, floor, here.n, examples=shown)
    yield holes(codes, z, distribution, x_hat, seed=here.seed)


def holes(codes: Codes, z: np.ndarray, distribution: str, x_hat: np.ndarray, *, seed: int) -> Figure:
    """The share of z farther from any code than 99 % of held-out codes are. A VAE's are drawn from its posteriors."""
    need(codes.drawn, LEAST)
    half = len(codes.drawn) // 2
    usual = statistics.nearest_distances(codes.drawn, codes.drawn_train)
    bound = np.quantile(usual[:half], HOLE)
    if bound == 0:
        raise CannotMeasure("All its codes lie in one place, so there is no scale for a hole")
    away = statistics.nearest_distances(z, codes.drawn_train)
    low, high = statistics.bootstrap(away > bound, seed=seed)
    middle = np.median(codes.train, axis=0)
    wide = middle + 3 * (draw(codes, "box", len(z), seed=seed + 2) - middle)
    shown = Examples(ranked(-away, x_hat), "The samples nearest to a code, in the middle, in the widest hole")
    return Figure(
        "",
        "holes",
        distribution,
        float((away > bound).mean()),
        low,
        high,
        ceiling=float((usual[half:] > bound).mean()),
        floor=float((statistics.nearest_distances(wide, codes.drawn_train) > bound).mean()),
        n=len(z),
        note="Ceiling: other held-out codes. Floor: a box three times as wide as the one around the codes.",
        examples=shown,
    )


# ---- continuity


def paths(model: Model, here: World, codes: Codes) -> Iterator[Figure]:
    """Straight lines between the codes of two held-out images: how even the steps are, how often the class changes."""
    need(codes.held_out, 2)
    ends = ends_of_paths(here)
    shape = (ends.shape[1], PATH_POINTS, *here.images.shape[1:])
    images = decode(model, lines(codes.held_out, ends).reshape(-1, codes.d)).reshape(shape)
    steps = largest_steps(images.reshape(*shape[:2], -1))
    if not np.isfinite(steps).any():
        raise CannotMeasure("Its decoder paints the same image everywhere, so a path has no steps")
    text = "The evenest path, one in the middle, the most uneven"
    yield of_paths("path_step", steps, step_controls(here, ends), images, text, seed=here.seed)
    flips = class_changes(here.classes_of(images))
    text = "The path with the fewest changes, one in the middle, with most"
    yield of_paths("class_flips", flips, flip_controls(here, ends), images, text, seed=here.seed)


def ends_of_paths(here: World) -> np.ndarray:
    """[2, P]: between which two of the reference the paths go; where there are few, between any two of them once."""
    pairs = here.n * (here.n - 1) // 2
    if pairs < PATHS:
        return np.stack(np.triu_indices(here.n, k=1))
    chance = np.random.default_rng(here.seed + 3)
    starts = chance.integers(here.n, size=PATHS)
    return np.stack([starts, (starts + chance.integers(1, here.n, size=PATHS)) % here.n])


def of_paths(
    name: str,
    values: np.ndarray,
    controls: tuple[float | None, float | None],
    images: np.ndarray,
    text: str,
    *,
    seed: int,
) -> Figure:
    """The figure of values [P], one of each path of images [P, PATH_POINTS, C, H, W]."""
    there = np.isfinite(values)
    order = np.argsort(values, kind="stable")[: there.sum()]
    strips = images[order[[0, len(order) // 2, -1]], :: (PATH_POINTS - 1) // SHOWN]
    return Figure(
        "",
        name,
        None,
        float(values[there].mean()),
        *statistics.bootstrap(values[there], seed=seed),
        *controls,
        int(there.sum()),
        spread=spread_of(values[there]),
        examples=Examples(bytes_of(strips), text),
    )


def lines(points: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """[P, PATH_POINTS, f]: straight lines in even steps between the points [N, f] that ends [2, P] names."""
    share = np.linspace(0, 1, PATH_POINTS, dtype=np.float32)[None, :, None]
    return (1 - share) * points[ends[0], None] + share * points[ends[1], None]


def step_controls(here: World, ends: np.ndarray) -> tuple[float | None, float | None]:
    """Ceiling: real images that fade into one another. Floor: real images, the one replaced by the other half-way.

    None for images that are all the same.
    """
    fades = lines(here.images.reshape(here.n, -1), ends[:, :CONTROL_PATHS])
    jumps = fades[:, [0] * (PATH_POINTS // 2) + [-1] * (PATH_POINTS - PATH_POINTS // 2)]
    found = [steps[np.isfinite(steps)] for steps in map(largest_steps, (fades, jumps))]
    ceiling, floor = (float(steps.mean()) if len(steps) else None for steps in found)
    return ceiling, floor


def flip_controls(here: World, ends: np.ndarray) -> tuple[float, float]:
    """Ceiling: real images that fade into one another. Floor: real images that have nothing to do with one another."""
    fades = lines(here.images.reshape(here.n, -1), ends[:, :CONTROL_PATHS])
    faded = here.classes_of(fades.reshape(*fades.shape[:2], *here.images.shape[1:]))
    unrelated = np.random.default_rng(here.seed + 7).integers(here.n, size=(CONTROL_PATHS, PATH_POINTS))
    return float(class_changes(faded).mean()), float(class_changes(here.classes[unrelated]).mean())


def largest_steps(images: np.ndarray) -> np.ndarray:
    """[P]: of each path [points, pixels] the largest step's share of its length, less what even steps have.

    ACAI (Berthelot et al. 2018, arXiv:1807.07543), with Euclidean distances between images. NaN for a path
    shorter than one grey level of one pixel, which nobody sees.
    """
    steps = np.sqrt(np.square(np.diff(images, axis=1), dtype=np.float64).sum(axis=2))
    length = steps.sum(axis=1)
    seen = length > GREY
    return np.where(seen, steps.max(axis=1) / np.where(seen, length, 1) - 1 / steps.shape[1], np.nan)


def class_changes(classes: np.ndarray) -> np.ndarray:
    """[P]: how often the class changes along each path of classes [P, points]."""
    return (np.diff(classes, axis=1) != 0).sum(axis=1).astype(np.float64)


def neighbours(model: Model, here: World, codes: Codes) -> Iterator[Figure]:
    """How often a step of a tenth of the way between two random codes leaves the class as it was."""
    judge, count = here.judge, min(STEPS, here.n)
    chance = np.random.default_rng(here.seed + 4)
    z = codes.held_out[:count]
    way = (chance.normal(size=z.shape) - chance.normal(size=z.shape)) @ codes.spread.T
    before, after = decode(model, z), decode(model, (z + STEP * way).astype(np.float32))
    told = [judge.judge(each).probabilities for each in (before, after)]
    same = told[0].argmax(axis=1) == told[1].argmax(axis=1)
    low, high = statistics.bootstrap(same, seed=here.seed)
    real = here.classes[:count]
    moved = None if here.is_table else here.classes_of(np.roll(here.images[:count], 1, axis=3))
    rows = ranked(-np.abs(told[0] - told[1]).sum(axis=1), before, after)
    yield Figure(
        "",
        "neighbour_agreement",
        None,
        float(same.mean()),
        low,
        high,
        ceiling=None if moved is None else float((moved == real).mean()),
        floor=float((real == np.roll(real, 1)).mean()),
        n=count,
        note="No ceiling: columns of a table cannot be shifted by one, as pixels can." if moved is None else "",
        examples=Examples(
            rows,
            "Pairs a small step apart: the most alike, in the middle, the least alike",
        ),
    )


def stretch(model: Model, here: World, codes: Codes) -> Iterator[Figure]:
    """How uneven the decoder's stretch is: its 95th percentile over the held-out codes in units of its median."""
    need(codes.train, 2, "training")
    need(codes.held_out, LEAST)
    z = codes.held_out[:STRETCHED]
    values = stretches(model, z, codes.spread)
    middle = float(np.median(values))
    if not middle > 0:
        raise CannotMeasure("Its decoder paints the same image everywhere, so it stretches nothing")
    chance = np.random.default_rng(here.seed + 5)
    again = values[chance.integers(len(values), size=(1000, len(values)))]
    ratios = np.quantile(again, 0.95, axis=1) / np.median(again, axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975)).tolist()
    value = float(np.quantile(values, 0.95) / middle)
    yield Figure(
        "",
        "stretch",
        None,
        value,
        min(low, value),
        max(high, value),
        ceiling=1.0,
        floor=None,
        n=len(values),
        note="A decoder that stretches everywhere the same, such as PCA's, has 1. Noise has no decoder, so no floor.",
        spread=spread_of(values / middle),
        examples=Examples(
            ranked(-values, decode(model, z)), "Images where the decoder stretches least, as usual, and most"
        ),
    )


@torch.no_grad()
def stretches(model: Model, z: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """[N]: how far the image of each z moves, per unit of the codes' own spread: |J A|_F / sqrt(d), J the decoder's
    Jacobian at z and A A^T the codes' covariance."""
    place = torch.from_numpy(np.ascontiguousarray(z, np.float32))
    total = torch.zeros(len(place), dtype=torch.float64)
    for column in torch.from_numpy(spread.T.astype(np.float32)):
        with forward_ad.dual_level():
            moving = forward_ad.make_dual(place, column.expand_as(place).contiguous())
            moved = forward_ad.unpack_dual(model.module.decode(moving)).tangent
        total += moved.flatten(1).double().square().sum(1)
    return (total / spread.shape[1]).sqrt().numpy()


# ---- mismatch with the prior


def mismatch(model: Model, here: World, codes: Codes) -> Iterator[Figure]:
    """How far the codes are from N(0, I), on purpose in its units: a VAE's drawn from the posterior of each image."""
    need(codes.drawn, 2)
    count = min(MISMATCHED, len(codes.drawn))
    chance = np.random.default_rng(here.seed + 6)
    prior, other = (chance.normal(size=(count, codes.d)).astype(np.float32) for _ in range(2))
    for name, statistic in (("mmd", statistics.mmd), ("energy", statistics.energy)):
        found = statistics.permutation_band(codes.drawn[:count], prior, statistic=name, seed=here.seed)  # type: ignore[arg-type]
        yield Figure(
            "",
            name,
            "prior",
            found.value,
            found.low,
            found.high,
            ceiling=statistic(other, prior),
            floor=statistic(np.zeros_like(prior), prior),
            n=count,
            note="Low and high: where 95 % of the values lie if codes and N(0, I) are mixed at random.",
        )


# ---- the price


def price(model: Model, here: World, codes: Codes) -> Iterator[Figure]:
    """What the copies cost: recon at the code itself, kl, and how many dimensions carry anything."""
    x = here.images
    x_hat = decode(model, codes.held_out)
    recon = cross_entropy(x, x_hat)
    low, high = statistics.bootstrap(recon, seed=here.seed)
    pairs = ranked(-recon, x, x_hat)
    yield Figure(
        "",
        "recon",
        None,
        float(recon.mean()),
        low,
        high,
        ceiling=float(cross_entropy(x, x).mean()),
        floor=float(cross_entropy(x, np.broadcast_to(here.train.mean(axis=0) / 255, x.shape)).mean()),
        n=len(x),
        note="Nats an image, decoded from the code itself. Ceiling: perfect copies. Floor: the mean image for all.",
        spread=spread_of(recon),
        examples=Examples(pairs, "Images and their copies: the best, in the middle, the worst"),
    )
    yield from kl_figures(codes, len(x), seed=here.seed)


def kl_figures(codes: Codes, n: int, *, seed: int) -> Iterator[Figure]:
    variances = codes.held_out.var(axis=0, dtype=np.float64)
    if codes.kl is None:
        yield Figure("", "kl", None, None, None, None, None, None, n, note="An AE has no posterior, so no KL.")
        need(codes.held_out, 2)
        active = int((variances > latent.ACTIVE * max(variances.max(), 1e-30)).sum())
        note = "Of an AE: dimensions with more than a hundredth of the widest one's variance."
        yield Figure("", "active_units", None, active, active, active, codes.d, 0, n, note=note)
        return
    each = codes.kl.sum(axis=1)
    low, high = statistics.bootstrap(each, seed=seed)
    note = "Nats an image: what the code may say. It has no best value."
    yield Figure("", "kl", None, float(each.mean()), low, high, None, 0.0, n, note=note, spread=spread_of(each))
    need(codes.held_out, 2)
    active = int((variances > latent.ACTIVE).sum())
    note = "Dimensions whose mean over the images has a variance above 0.01."
    yield Figure("", "active_units", None, active, active, active, codes.d, 0, n, note=note)


def cross_entropy(x: np.ndarray, x_hat: np.ndarray) -> np.ndarray:
    """[n]: recon of each image in nats."""
    blocks = (slice(start, start + BLOCK) for start in range(0, len(x), BLOCK))
    return np.concatenate([cross_entropy_of(x[block], x_hat[block]) for block in blocks])


def cross_entropy_of(x: np.ndarray, x_hat: np.ndarray) -> np.ndarray:
    safe = x_hat.astype(np.float64).clip(1e-12, 1 - 1e-12)
    return -(x * np.log(safe) + (1 - x) * np.log1p(-safe)).reshape(len(x), -1).sum(axis=1)


# ---- helpers


def need(codes: np.ndarray, least: int, part: str = "held-out") -> None:
    """Raises CannotMeasure where fewer items than that have a code."""
    if len(codes) < least:
        raise CannotMeasure(f"At least {least} {part} items are needed, and there are {len(codes)}")


def decode(model: Model, z: np.ndarray) -> np.ndarray:
    """float32 [n, C, H, W]. Raises CannotMeasure for images that are no numbers."""
    x_hat = model.decode(z)
    if not np.isfinite(x_hat).all():
        raise CannotMeasure("Its decoder paints images that are not all finite numbers")
    return x_hat


def ranked(rank: np.ndarray, *images: np.ndarray) -> np.ndarray:
    """uint8 [3, K, C, H, W]: the images [n, C, H, W] of the highest rank, of the middle, of the lowest; of several
    arrays of images, those that belong together side by side."""
    order = np.argsort(-rank, kind="stable")
    count = min(SHOWN // len(images), len(order))
    middle = (len(order) - count) // 2
    chosen = np.stack([order[:count], order[middle : middle + count], order[::-1][:count]])
    sets = np.stack([bytes_of(each[chosen]) for each in images], axis=2)
    return sets.reshape(3, -1, *sets.shape[3:])


def spread_of(values: np.ndarray) -> tuple[float, ...]:
    """The quantiles of values at 0, 5, …, 100 %, to six digits."""
    return tuple(float(f"{value:.6g}") for value in np.quantile(values, np.linspace(0, 1, 21)))


def bytes_of(images: np.ndarray) -> np.ndarray:
    return (images * 255).round().clip(0, 255).astype(np.uint8)
