"""PCA and UMAP of the same images seen as pixels, as AE codes and as VAE codes, beside a control without structure.

What may be read off a picture is measured: neighbours (trustworthiness and continuity, Venna and Kaski 2001) and
classes (10-NN accuracy). So is what UMAP does not promise: distances between clusters, their sizes, and that another
seed gives the same picture (McInnes et al. 2018, arXiv:1802.03426; Coenen and Pearce, Understanding UMAP; Wattenberg
et al. 2016, How to use t-SNE effectively, for the like of t-SNE).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from explorer import atlas, data, projection
from explorer.labs.result import Result, Step

DATASETS = ("mnist", "fashion-mnist")
MODELS = ("ae", "vae")
NEIGHBOURS = range(2, 201)
POINTS = range(100, 2001)
SEEDS = 3
EXAMPLES = 100
TITLES = {"pixels": "pixels", "ae": "AE codes", "vae": "VAE codes", "control": "shuffled pixels"}

Figures = dict[str, Any]


@dataclass(frozen=True)
class Space:
    """points float32 [N, d], their neighbour_ranks int [N, N] and labels [N]."""

    name: str
    points: np.ndarray
    ranks: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Views:
    """Of one space: pca float32 [N, 2], umap float32 [settings, seeds, N, 2], and the figures of each."""

    pca: np.ndarray
    umap: np.ndarray
    pca_figures: Figures
    umap_figures: list[Figures]


@dataclass(frozen=True)
class Plan:
    """Every pair of neighbours and min_dist, for every seed."""

    neighbours: tuple[int, ...]
    min_dist: tuple[float, ...]
    seeds: tuple[int, ...]

    @property
    def settings(self) -> list[tuple[int, float]]:
        return [(k, distance) for k in self.neighbours for distance in self.min_dist]


def run(
    dataset_name: str, *, neighbours: int, min_dist: float, n: int = 1000, seed: int = 0
) -> Iterator[Step | Result]:
    """grid with one setting, on the first n held-out images of a data set; the record also names that.

    Raises ValueError at the first step for a name other than mnist and fashion-mnist, and as grid does.
    """
    check_plan(Plan((neighbours,), (min_dist,), (seed,)), n)
    yield from named_grid(dataset_name, n, neighbours=(neighbours,), min_dist=(min_dist,), seed=seed)


def named_grid(dataset_name: str, n: int = 1000, **settings: Any) -> Iterator[Step | Result]:
    """grid on the first n held-out images, seen in the shipped models of 16 dimensions."""
    data.check_name(dataset_name, known=DATASETS)
    images, labels = (part[:n] for part in atlas.held_out(dataset_name))
    for news in grid(images, labels, spaces_of(images, dataset_name), **settings):
        yield Result({"dataset": dataset_name, **news.record}, news.arrays) if isinstance(news, Result) else news


def spaces_of(images: np.ndarray, dataset_name: str) -> dict[str, np.ndarray]:
    """By name, float32 [N, d] of images uint8 [N, 1, 28, 28]: pixels in [0, 1], and the shipped models' 16 numbers."""
    from explorer.loaded import Model

    unit = images.astype(np.float32) / 255
    codes = {model: Model.load(f"{dataset_name}-{model}-16").encode(unit) for model in MODELS}
    return {"pixels": pixels(images), **codes}


def grid(
    images: np.ndarray,
    labels: np.ndarray,
    spaces: dict[str, np.ndarray],
    *,
    neighbours: tuple[int, ...] = (5, 15, 50),
    min_dist: tuple[float, ...] = (0.0, 0.1, 0.5),
    seed: int = 0,
) -> Iterator[Step | Result]:
    """PCA and UMAP, at every setting and three seeds, of spaces (each [N, d]) and of a control made from the images.

    images are uint8 [N, ...], labels uint8 [N]; the control is shuffled(images). The seeds are seed, + 1 and + 2.
    Result.record: see record_of. Result.arrays: labels uint8 [N], control uint8 [100, ...] (the
    first of the control's images, which have no class), pca float16 [S, N, 2] and umap float16 [S, neighbours,
    min_dist, seeds, N, 2], the S spaces in the record's order, each picture scaled as scaled says.
    Raises ValueError at the first step for settings, images or spaces that check_plan or check_space refuses.
    """
    plan = Plan(tuple(neighbours), tuple(min_dist), tuple(range(seed, seed + SEEDS)))
    check_plan(plan, len(images))
    if "control" in spaces:
        raise ValueError("The space called control is made here from the images; give the others only")
    control = shuffled(images, seed=seed)
    spaces = {**spaces, "control": pixels(control)}
    for name, points in spaces.items():
        check_space(name, points, len(images))
    total = 1 + len(spaces) * len(plan.settings) * SEEDS
    yield Step(0, total, "loading UMAP")
    compile_umap()
    views: dict[str, Views] = {}
    for place, (name, points) in enumerate(spaces.items()):
        space = Space(name, points, projection.neighbour_ranks(points), labels)
        views[name] = yield from views_of(space, plan, done=1 + place * len(plan.settings) * SEEDS, total=total)
    pictures = {"labels": labels, "control": control[:EXAMPLES]}
    yield Result(record_of(spaces, labels, plan, views), {**pictures, **arrays_of(views, plan)})


def check_plan(plan: Plan, n: int) -> None:
    """Raises ValueError for fewer than 100 or more than 2,000 images, or settings outside the ranges."""
    if n not in POINTS:
        raise ValueError(f"There must be {POINTS[0]} to {POINTS[-1]} images, got {n}")
    if not plan.settings:
        raise ValueError("There must be at least one number of neighbours and one min_dist")
    for k in plan.neighbours:
        if k not in NEIGHBOURS or k >= n:
            most = min(NEIGHBOURS[-1], n - 1)
            raise ValueError(f"neighbours must be {NEIGHBOURS[0]} to {most} for {n} images, got {k}")
    for distance in plan.min_dist:
        projection.check_min_dist(distance)


def check_space(name: str, points: np.ndarray, n: int) -> None:
    """Raises ValueError unless points is [n, d], finite, and not the same point n times."""
    if points.ndim != 2 or len(points) != n or not points.shape[1]:
        raise ValueError(f"The space {name} must have the shape [{n}, d], one row for each image, got {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError(f"The space {name} must hold finite numbers only, and some are not")
    if (points == points[0]).all():
        raise ValueError(f"The points of the space {name} are all alike; there must be at least two different ones")


def pixels(images: np.ndarray) -> np.ndarray:
    """Images uint8 [N, ...] as float32 [N, d] in [0, 1]."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def shuffled(images: np.ndarray, *, seed: int) -> np.ndarray:
    """Images [N, ...] with each pixel's N values in an order of its own: the same marginals, and nothing else left."""
    columns = images.reshape(len(images), -1)
    return np.random.default_rng(seed).permuted(columns, axis=0).reshape(images.shape)


def compile_umap() -> None:
    """A first tiny picture: umap imports numba and compiles for some seconds, which is no part of any space."""
    projection.umap(np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32))


def views_of(space: Space, plan: Plan, *, done: int, total: int) -> Generator[Step, None, Views]:
    """All pictures of a space, with a Step before each of UMAP, as part done and on, that has the trust so far."""
    pca = projection.fit_pca(space.points)
    flat = (space.points - pca.mean) @ pca.components.T
    flat_figures = measure(space, flat) | {"explained": float(pca.explained.sum())}
    trust = {"pca_trust": flat_figures["trust"]}
    curved, figures = [], []
    for k, distance in plan.settings:
        pictures, each = [], []
        for seed in plan.seeds:
            text = f"UMAP of {TITLES.get(space.name, space.name)}: {k} neighbours, min_dist {distance:g}, seed {seed}"
            yield Step(done, total, text, dict(trust))
            done += 1
            pictures.append(projection.umap(space.points, seed=seed, neighbours=k, min_dist=distance))
            each.append(measure(space, pictures[-1]))
            trust["umap_trust"] = each[-1]["trust"]
        figures.append({name: [one[name] for one in each] for name in each[0]} | between(pictures))
        curved.append(pictures)
    return Views(flat, np.array(curved), flat_figures, figures)


def measure(space: Space, picture: np.ndarray) -> Figures:
    """What a picture [N, 2] keeps of a space. None where the labels are too few or too much alike to say.

    trust: trustworthiness (Venna and Kaski 2001), 10 neighbours: 1 if those seen are neighbours in the space. At
    random about 0.5.
    continuity: the same the other way round: 1 if neighbours in the space are seen as such.
    accuracy: leave-one-out accuracy of 10-NN in the picture.
    centroids: Spearman's rank correlation of the distances between the classes' centroids, here and in the space.
    spreads: the same of the classes' root mean square distances from their centroids.
    """
    return {
        "trust": projection.trust_by_ranks(space.ranks, picture),
        "continuity": projection.trust_by_ranks(projection.neighbour_ranks(picture), space.points),
        "accuracy": accuracy(picture, space.labels),
        "centroids": rank_correlation(
            centroid_distances(space.points, space.labels), centroid_distances(picture, space.labels)
        ),
        "spreads": rank_correlation(spreads(space.points, space.labels), spreads(picture, space.labels)),
    }


def accuracy(points: np.ndarray, labels: np.ndarray) -> float | None:
    """How often most of the 10 nearest other points [N, d] have a point's label [N] (the least label wins a tie).

    None with one class only.
    """
    if len(np.unique(labels)) < 2:
        return None
    votes = labels[nearest(points)]
    counts = (votes[:, :, None] == np.arange(int(labels.max()) + 1)).sum(axis=1)
    return float((counts.argmax(axis=1) == labels).mean())


def nearest(points: np.ndarray) -> np.ndarray:
    """int [N, 10]: the nearest others of points [N, d]."""
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=projection.TRUST_NEIGHBOURS).fit(points)
    indices: np.ndarray = found.kneighbors(return_distance=False)
    return indices


def centroid_distances(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[C (C - 1) / 2]: the distances between the centroids of the C classes among points [N, d]."""
    from scipy.spatial.distance import pdist

    distances: np.ndarray = pdist(
        [points[labels == label].mean(axis=0, dtype=np.float64) for label in np.unique(labels)]
    )
    return distances


def spreads(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[C]: the root mean square distance of each class's points [N, d] from their centroid."""
    return np.array([np.sqrt(points[labels == label].var(axis=0).sum()) for label in np.unique(labels)])


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Spearman's, of two lists; None for fewer than three values, or values that are all alike."""
    from scipy.stats import spearmanr

    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b).statistic)


def between(pictures: Sequence[np.ndarray]) -> dict[str, float]:
    """How alike the pictures [N, 2] of several seeds are, on average over their pairs.

    disparity: what is left of the squared distances between them after the best shift, turn, mirroring and scaling
    (Procrustes, Gower 1975), in [0, 1]: 0 for the same shape. agreement: the share of the 10 nearest that they share.
    """
    from scipy.spatial import procrustes

    near = [nearest(picture) for picture in pictures]
    pairs = list(combinations(range(len(pictures)), 2))
    shared = [(near[i][:, :, None] == near[j][:, None, :]).any(axis=2).mean() for i, j in pairs]
    disparities = [procrustes(pictures[i], pictures[j])[2] for i, j in pairs]
    return {"disparity": float(np.mean(disparities)), "agreement": float(np.mean(shared))}


def record_of(spaces: dict[str, np.ndarray], labels: np.ndarray, plan: Plan, views: dict[str, Views]) -> dict[str, Any]:
    """The settings and the figures, which are by name of the space.

    space: accuracy there, and dims. pca: what measure says, and explained (the share of the variance). umap: lists
    [neighbours][min_dist] of what measure says, as lists by seed, and of what between says. chance: the accuracy of
    always naming the largest class. agreement_by_chance: that of two pictures which have nothing to do with each other.
    """
    n, width = len(labels), len(plan.min_dist)
    tables = {name: rounded(view.umap_figures) for name, view in views.items()}
    return {
        "points": n,
        "spaces": list(spaces),
        "neighbours": list(plan.neighbours),
        "min_dist": list(plan.min_dist),
        "seeds": list(plan.seeds),
        "measured_neighbours": projection.TRUST_NEIGHBOURS,
        "chance": rounded(float(np.unique(labels, return_counts=True)[1].max() / n)),
        "agreement_by_chance": rounded(projection.TRUST_NEIGHBOURS / (n - 1)),
        "space": {
            name: {"dims": points.shape[1], "accuracy": rounded(accuracy(points, labels))}
            for name, points in spaces.items()
        },
        "pca": {name: rounded(view.pca_figures) for name, view in views.items()},
        "umap": {name: [row[i : i + width] for i in range(0, len(row), width)] for name, row in tables.items()},
    }


def rounded(figures: Any) -> Any:
    """Figures in lists and dicts to four places: more would be noise, and a longer file."""
    if isinstance(figures, dict):
        return {name: rounded(value) for name, value in figures.items()}
    if isinstance(figures, list):
        return [rounded(value) for value in figures]
    return None if figures is None else round(figures, 4)


def arrays_of(views: dict[str, Views], plan: Plan) -> dict[str, np.ndarray]:
    """pca and umap of all spaces, scaled, float16 (of whose steps there are 2,000 from the middle to the edge)."""
    flat = np.stack([scaled(view.pca) for view in views.values()])
    curved = np.stack([scaled(view.umap) for view in views.values()])
    shape = (len(views), len(plan.neighbours), len(plan.min_dist), len(plan.seeds), *flat.shape[1:])
    return {"pca": flat.astype(np.float16), "umap": curved.reshape(shape).astype(np.float16)}


def scaled(pictures: np.ndarray) -> np.ndarray:
    """Pictures [..., N, 2], each shifted and uniformly scaled so that its longer side is from -1 to 1."""
    low, high = pictures.min(axis=-2, keepdims=True), pictures.max(axis=-2, keepdims=True)
    half = (high - low).max(axis=-1, keepdims=True) / 2
    return np.clip((pictures - (low + high) / 2) / half, -1, 1)
