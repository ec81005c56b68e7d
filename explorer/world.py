"""The real images that the models of one data set are held against, and the controls: what real ones and noise reach.

Half of the held-out images are the reference. The other half is the ceiling: no model can be expected to look more like
the reference than they do. Noise and shuffled pixels are the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from explorer import atlas, classifier, data, statistics
from explorer.classifier import Classifier, Judgement
from explorer.statistics import CannotMeasure, Neighbours

NEIGHBOURS = 5
REAL_SHARE = 0.95  # of real images that count as near other real images
LEAST = 20
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
class World:
    """Reference and controls of one data set, n images each, with the classifier that judged them.

    train: uint8 [N, C, H, W], which tell where a model's codes lie. images: the reference, float32 [n, C, H, W] in
    [0, 1]; judged is of these.
    """

    dataset: str
    train: np.ndarray
    images: np.ndarray
    judged: Judgement
    ceiling: Seen
    floors: tuple[Seen, ...]
    judge: Classifier
    seed: int

    @property
    def n(self) -> int:
        return len(self.images)

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
        found = statistics.neighbours(self.judged.features, self.ceiling.judged.features, k=NEIGHBOURS)
        return float(np.quantile(found.nearest, REAL_SHARE)), float(np.quantile(self.ceiling.away, REAL_SHARE))

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
        best = self.likeness(self.ceiling)
        worst = [self.likeness(floor) for floor in self.floors]
        better = {name: min if name == "frechet" else max for name in best}
        return {name: (best[name].score, better[name](floor[name].score for floor in worst)) for name in best}


def make(dataset: str, *, samples: int = 5000, seed: int = 0) -> World:
    """The world of a data set, with as many images on each side as there are, at most samples.

    Needs nothing but what ships with the project, so the figures are the same everywhere.
    Raises CannotMeasure for fewer than 20, or a data set that does not ship with the project.
    """
    if dataset not in data.NAMES:
        raise CannotMeasure(
            "Measuring needs a classifier of the data and the data itself, and those of one's own data sets are not "
            "here: their reconstruction and KL stand over their maps in Explore"
        )
    judge = classifier.load(dataset)
    images, _ = atlas.held_out(dataset)
    chance = np.random.default_rng(seed)
    order = chance.permutation(len(images))
    n = min(samples, len(images) // 2)
    if n < LEAST:
        raise CannotMeasure(f"At least {LEAST} samples are needed, got {n}")
    reference, others = unit(images[order[:n]]), unit(images[order[n : 2 * n]])
    ceiling = see(others, judge, reference)
    floors = tuple(see(kind(others, chance), judge, reference) for kind in (noise_like, shuffled))
    train = data.load_subset(dataset).x_train
    return World(dataset, train, reference, judge.judge(reference), ceiling, floors, judge, seed)


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
