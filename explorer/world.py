"""The real images that the models of one data set are held against, and the controls: what real ones and noise reach.

Half of the held-out images are the reference. The other half is the ceiling: no model can be expected to look more like
the reference than they do. Noise and shuffled pixels are the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from explorer import atlas, classifier, data, own_judge, statistics
from explorer.classifier import Classifier, Judgement, Watch
from explorer.data import Dataset
from explorer.settings import is_table
from explorer.statistics import CannotMeasure, Neighbours

NEIGHBOURS = 5
REAL_SHARE = 0.95  # of real images that count as near other real images
LEAST = 20
MOST_VALUES, MOST_TRAIN = 20_000_000, 10_000  # of one's own: pixels on each side, items that tell where codes lie
BLOCK = 250


@dataclass(frozen=True)
class Seen:
    """What is known of n images: what the classifier makes of them, and how far each is from the nearest image of the
    reference, pixel by pixel (Euclidean). A classifier's features alone let noise pass for real."""

    judged: Judgement
    away: np.ndarray


@dataclass(frozen=True)
class Likeness:
    """How much a sample looks like the reference, by one measure.

    score: the figure; low, high: its 95 % interval. rank: for each image of the sample, or of the reference if
    of_reference, how near the other side is; higher is nearer.
    """

    score: float
    low: float
    high: float
    rank: np.ndarray
    of_reference: bool = False


@dataclass(frozen=True)
class Court:
    """A classifier and what it made of a world's images, judged, and of its controls, n images each."""

    judge: Classifier
    judged: Judgement
    ceiling: Seen
    floors: tuple[Seen, ...]


@dataclass(frozen=True)
class World:
    """The real images of one data set, and their court; or why there is none, as one clause.

    train: uint8 [N, C, H, W], which tell where a model's codes lie. images: the reference, float32 [n, C, H, W] in
    [0, 1]. What needs the court raises CannotMeasure where there is none. commonest: of one's own data, the commonest
    class's share of the held-out items: what a judge that knows nothing would get right.
    """

    dataset: str
    train: np.ndarray
    images: np.ndarray
    court: Court | str
    seed: int
    commonest: float | None = None

    @property
    def n(self) -> int:
        return len(self.images)

    @property
    def sitting(self) -> Court:
        """The court. Raises CannotMeasure."""
        if isinstance(self.court, str):
            raise CannotMeasure(self.court)
        return self.court

    @property
    def judge(self) -> Classifier:
        return self.sitting.judge

    @property
    def judged(self) -> Judgement:
        """Of the reference."""
        return self.sitting.judged

    @property
    def is_table(self) -> bool:
        return is_table(self.images.shape[1:])

    @property
    def classes(self) -> np.ndarray:
        """[n]: of the reference, the class that the classifier finds most probable."""
        return self.judged.probabilities.argmax(axis=1)

    def classes_of(self, images: np.ndarray) -> np.ndarray:
        """The class of each of images [..., C, H, W], [...]."""
        flat = images.reshape(-1, *self.images.shape[1:])
        return self.judge.judge(flat).probabilities.argmax(axis=1).reshape(images.shape[:-3])

    def see(self, images: np.ndarray) -> Seen:
        return see(images, self.judge, self.images)

    @cached_property
    def near(self) -> tuple[float, float]:
        """The distances to the nearest image of the reference within which 95 % of other real images lie: by features,
        and by pixels."""
        ceiling = self.sitting.ceiling
        found = statistics.neighbours(self.judged.features, ceiling.judged.features, k=NEIGHBOURS)
        return float(np.quantile(found.nearest, REAL_SHARE)), float(np.quantile(ceiling.away, REAL_SHARE))

    def likeness(self, seen: Seen) -> dict[str, Likeness]:
        """All measures of completeness of a sample, by name. Raises CannotMeasure."""
        real, fake = self.judged.features, seen.judged.features
        found = statistics.neighbours(real, fake, k=NEIGHBOURS)
        low, high = statistics.frechet_interval(real, fake, seed=self.seed)
        shares = {
            "precision": found.precision,
            "recall": found.recall,
            "density": found.density,
            "coverage": found.coverage,
            "accepted": self.accepted(seen, found),
        }
        return {
            "frechet": Likeness(statistics.frechet(real, fake), low, high, -found.nearest),
            **{name: self._share(values, found, name in ("recall", "coverage")) for name, values in shares.items()},
        }

    def accepted(self, seen: Seen, found: Neighbours) -> np.ndarray:
        """[n]: whether the classifier is as sure as it is of 95 % of real images, and the image as near to one of them
        both ways."""
        sure = seen.judged.probabilities.max(axis=1) >= self.judge.record.accept
        return sure & (found.nearest <= self.near[0]) & (seen.away <= self.near[1])

    def _share(self, values: np.ndarray, found: Neighbours, of_reference: bool) -> Likeness:
        low, high = statistics.bootstrap(values, seed=self.seed)
        rank = -found.missed if of_reference else -found.nearest
        return Likeness(float(values.mean()), low, high, rank, of_reference)

    @cached_property
    def controls(self) -> dict[str, tuple[float, float]]:
        """By measure of completeness: what other real images reach, and the better of noise and shuffled pixels."""
        best = self.likeness(self.sitting.ceiling)
        worst = [self.likeness(floor) for floor in self.sitting.floors]
        better = {name: min if name == "frechet" else max for name in best}
        return {name: (best[name].score, better[name](floor[name].score for floor in worst)) for name in best}


def make(dataset: str, *, samples: int = 5000, seed: int = 0) -> World:
    """The world of a data set that ships, with as many images on each side as there are, at most samples.

    Needs nothing but what ships with the project, so the figures are the same everywhere.
    Raises CannotMeasure for fewer than 20, ValueError for another data set.
    """
    judge = classifier.load(dataset)
    images, _ = atlas.held_out(dataset)
    chance = np.random.default_rng(seed)
    order = chance.permutation(len(images))
    n = min(samples, len(images) // 2)
    if n < LEAST:
        raise CannotMeasure(f"At least {LEAST} samples are needed, got {n}")
    reference, others = unit(images[order[:n]]), unit(images[order[n : 2 * n]])
    court = convene(judge, reference, others, chance)
    return World(dataset, data.load_subset(dataset).x_train, reference, court, seed)


def of(own: Dataset, *, samples: int = 5000, seed: int = 0, watch: Watch = iter) -> World:
    """The world of a data set of one's own, with a judge that is trained on it here.

    Where it cannot have one, all held-out items are the reference, at most samples, and the figures that need none can
    be computed. watch: passes the judge's epochs on, one by one, and may tell of them.
    """
    chance = np.random.default_rng(seed)
    order = chance.permutation(len(own.x_test))
    train = own.x_train[np.sort(chance.permutation(len(own.x_train))[:MOST_TRAIN])]
    most = min(samples, MOST_VALUES // own.x_test[0].size)
    n = min(most, len(order) // 2)
    try:
        own_judge.check_classes(own)
        if n < LEAST:
            raise CannotMeasure(f"At least {2 * LEAST} held-out items are needed, and there are {len(order)}")
        judge = own_judge.train(own, seed=seed, watch=watch)
    except CannotMeasure as error:
        return World(own.name, train, unit(own.x_test[order[:most]]), str(error), seed)
    reference, others = unit(own.x_test[order[:n]]), unit(own.x_test[order[n : 2 * n]])
    commonest = float(np.bincount(own.y_test).max() / len(own.y_test))
    return World(own.name, train, reference, convene(judge, reference, others, chance), seed, commonest)


def convene(judge: Classifier, reference: np.ndarray, others: np.ndarray, chance: np.random.Generator) -> Court:
    """The court over a reference, where other real images are the ceiling; noise is drawn in their likeness."""
    ceiling = see(others, judge, reference)
    floors = tuple(see(kind(others, chance), judge, reference) for kind in (noise_like, shuffled))
    return Court(judge, judge.judge(reference), ceiling, floors)


def see(images: np.ndarray, judge: Classifier, reference: np.ndarray) -> Seen:
    return Seen(judge.judge(images), pixel_distances(images, reference))


def pixel_distances(images: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """[n]: from each image to the nearest of the reference."""
    flat, others = (torch.from_numpy(np.ascontiguousarray(each)).flatten(1) for each in (images, reference))
    lengths = torch.einsum("nf,nf->n", others, others)
    squares = [
        (lengths - 2 * block @ others.T).min(dim=1).values + torch.einsum("nf,nf->n", block, block)
        for block in flat.split(BLOCK)
    ]
    return torch.cat(squares).clamp(min=0).sqrt().numpy()


def unit(images: np.ndarray) -> np.ndarray:
    """uint8 -> float32 in [0, 1]."""
    scaled = images.astype(np.float32)
    scaled /= 255
    return scaled


def noise_like(images: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Uniform noise in the shape of images."""
    return chance.random(images.shape, dtype=np.float32)


def shuffled(images: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """images with the pixels of each in another order: as bright as they were, and nothing to be seen."""
    return chance.permuted(images.reshape(len(images), -1), axis=1).reshape(images.shape)
