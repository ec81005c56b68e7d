"""Two dimensions out of many: PCA and UMAP of the codes, and how far each picture can be trusted."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TRUST_POINTS = 1000
TRUST_NEIGHBOURS = 10
MOST_MIN_DIST = 0.99
UMAP_LEAST = 5  # points; of fewer there are no neighbourhoods to draw


@dataclass(frozen=True)
class Pca:
    """mean [d], components [2, d] (orthonormal rows, most variance first), explained [2] (shares of the variance)."""

    mean: np.ndarray
    components: np.ndarray
    explained: np.ndarray


def fit_pca(codes: np.ndarray) -> Pca:
    """The plane of most variance. With one dimension the second component is empty (zeros)."""
    from sklearn.decomposition import PCA

    if len(codes) == 1:  # there is no variance: any plane through the one code will do
        return Pca(codes[0], np.eye(2, codes.shape[1], dtype=np.float32), np.zeros(2, np.float32))
    fitted = PCA(min(2, codes.shape[1]), svd_solver="full").fit(codes)
    components, explained = np.zeros((2, codes.shape[1]), np.float32), np.zeros(2, np.float32)
    components[: len(fitted.components_)] = fitted.components_
    explained[: len(fitted.components_)] = np.nan_to_num(fitted.explained_variance_ratio_)  # of equal codes: 0 / 0
    return Pca(mean=fitted.mean_.astype(np.float32), components=components, explained=explained)


def umap(codes: np.ndarray, *, seed: int = 0, neighbours: int = 15, min_dist: float = 0.1) -> np.ndarray:
    """[N, 2]. A picture of neighbourhoods: its axes have no unit and it cannot be run backwards (McInnes et al. 2018).

    neighbours says how many of a point's nearest it is to stay with (at most N - 1 are used), min_dist how near points
    may lie in the picture. The same seed gives the same picture on one machine only. Raises ValueError for fewer than
    2 neighbours, or a min_dist outside 0 to 0.99.
    """
    import warnings

    if neighbours < 2:
        raise ValueError(f"neighbours must be at least 2, got {neighbours}")
    check_min_dist(min_dist)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # n_jobs is set to 1 by the seed, and umap says so each time
        UMAP = import_umap()
        # The usual start wants more points than it has dimensions and neighbours.
        start = "spectral" if len(codes) > neighbours else "random"
        n_neighbors = min(neighbours, len(codes) - 1)
        reducer = UMAP(n_neighbors=n_neighbors, min_dist=min_dist, random_state=seed, init=start)
        return reducer.fit_transform(codes).astype(np.float32)


def import_umap() -> type:
    """umap's class, also where neither its own folder nor the home may be written to.

    umap's library keeps what it compiles there, and cannot be imported where it may not.
    """
    try:
        from umap import UMAP
    except RuntimeError:
        import numba

        os.environ["NUMBA_CACHE_DIR"] = str(own_cache())
        numba.config.reload_config()
        from umap import UMAP
    return UMAP


def own_cache() -> Path:
    """A folder for compiled code that nobody else can have put code into; it is found again by the next process."""
    folder = Path(tempfile.gettempdir()) / f"latent-explorer-cache-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    is_ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o077
    return folder if is_ours else Path(tempfile.mkdtemp())


def check_min_dist(min_dist: float) -> None:
    """Raises ValueError outside 0 to 0.99: umap has it at most 1, its default spread."""
    if not 0 <= min_dist <= MOST_MIN_DIST:
        raise ValueError(f"min_dist must be 0 to {MOST_MIN_DIST}, got {min_dist}")


def trust(codes: np.ndarray, picture: np.ndarray) -> float:
    """Trustworthiness in [0, 1] (Venna and Kaski 2001): 1 if the 10 neighbours one sees in the picture are neighbours.

    On the first 1,000 points at most, so that figures of different views can be compared.
    """
    return trust_by_ranks(neighbour_ranks(codes[:TRUST_POINTS]), picture[:TRUST_POINTS])


def trust_of_axes(codes: np.ndarray) -> np.ndarray:
    """[d, d]: the trust of the picture that two raw dimensions give, for every pair of them."""
    codes = codes[:TRUST_POINTS]
    d, ranks = codes.shape[1], neighbour_ranks(codes)
    table = np.ones((d, d), np.float32)
    for i in range(d):
        for j in range(i + 1, d):
            table[i, j] = table[j, i] = trust_by_ranks(ranks, codes[:, [i, j]])
    return table


def neighbour_ranks(codes: np.ndarray) -> np.ndarray:
    """[N, N]: how near each point is to each other one, row by row: 1 for the nearest, N for the point itself."""
    from sklearn.metrics import pairwise_distances

    distances = pairwise_distances(codes)
    np.fill_diagonal(distances, np.inf)
    return distances.argsort(axis=1).argsort(axis=1) + 1


def trust_by_ranks(ranks: np.ndarray, picture: np.ndarray) -> float:
    """The trust of a picture of points whose neighbour_ranks are known: scikit-learn's figure, without its sorting."""
    from sklearn.neighbors import NearestNeighbors

    n = len(ranks)
    k = min(TRUST_NEIGHBOURS, (n - 1) // 2)
    if not k:  # of two points each is the other's only neighbour, in every picture
        return 1.0
    seen = NearestNeighbors(n_neighbors=k).fit(picture).kneighbors(return_distance=False)
    intruders = (np.take_along_axis(ranks, seen, axis=1) - k).clip(min=0).sum()
    return float(1 - 2 * intruders / (n * k * (2 * n - 3 * k - 1)))
