"""What the scenes of Learn claim, computed in numpy and torch from the models and images they show."""

from __future__ import annotations

import functools

import numpy as np
import torch

from explorer import atlas, catalogue, checkpoints, classifier, frontier, models, scoreboard
from explorer.checkpoints import PRETRAINED

LESSONS = PRETRAINED / catalogue.LESSONS
SIZES = (1, 2, 8, 32)
RIGHT = {
    "readable": 2,
    "kept": 2,
    "linear": 1,
    "by_heart": 2,
    "disorder": 0,
    "properties": 0,
    "cloud": 2,
    "shrink": 0,
    "compromise": 1,
    "honest": 1,
}


@functools.cache
def images() -> tuple[np.ndarray, np.ndarray]:
    """x [2000, 784] in [0, 1], labels: what the scenes show."""
    folder = PRETRAINED / catalogue.DIAL / "mnist-ae-2-seed0"
    x = atlas.read_part(folder, "images")["images"].reshape(-1, 784).astype(np.float32) / 255
    return x, atlas.read_part(folder, "codes")["labels"]


@functools.cache
def model(name: str) -> models.AE:
    return checkpoints.load(LESSONS / name)[0]


def copy(name: str, x: np.ndarray) -> np.ndarray:
    """[n, 784] through a small model."""
    with torch.no_grad():
        module = model(name)
        return module.decode(module.encode(torch.from_numpy(x.reshape(-1, 1, 28, 28)))).reshape(-1, 784).numpy()


def read(x: np.ndarray) -> np.ndarray:
    return np.asarray(classifier.load("mnist").probabilities(x.reshape(-1, 1, 28, 28).astype(np.float32)))


def cross_entropy(x: np.ndarray, x_hat: np.ndarray) -> float:
    """nats an image."""
    p = x_hat.astype(np.float64).clip(1e-12, 1 - 1e-12)
    return float(-(x * np.log(p) + (1 - x) * np.log1p(-p)).sum(axis=1).mean())


def readable() -> list[float]:
    """Shares read as what they are: copies at each size, then the originals."""
    x, labels = images()
    seen = [*(copy(f"mnist-ae-{d}", x[:200]) for d in SIZES), x[:200]]
    return [float((read(each).argmax(1) == labels[:200]).mean()) for each in seen]


@functools.cache
def table() -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(LESSONS / "pixels.safetensors")


def kept(k: int = 8) -> list[float]:
    """Squared error a pixel of 300 images: from k pixels, from k components, from a code of k, the mean image."""
    x, found = images()[0][:300], table()
    centred = x - found["mean"]
    pixels = found["mean"] + centred[:, found["pixels"][:k]] @ found[f"guess_{k}"]
    components = found["components"][:k]
    ways = [pixels, found["mean"] + centred @ components.T @ components, copy(f"mnist-ae-{k}", x), found["mean"]]
    return [float(((way - x) ** 2).mean()) for way in ways]


def pca_error() -> float:
    """Squared error a pixel of 500 images projected onto their own first two components."""
    x = images()[0][:500].astype(np.float64)
    spread = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
    return float(spread[2:].sum() / x.size)


def by_heart() -> dict[str, float]:
    x = images()[0]
    own, others = x[:12], x[12:512]
    module = model("twelve")
    with torch.no_grad():
        errors = [
            float(models.recon_loss(module.logits(module.encode(unit)), unit))
            for unit in (torch.from_numpy(part.reshape(-1, 1, 28, 28)) for part in (own, others))
        ]
    return {
        "copies": errors[0],
        "perfect copies": cross_entropy(own, own),
        "others": errors[1],
        "perfect": cross_entropy(others, others),
        "mean": cross_entropy(others, np.broadcast_to(table()["mean"], others.shape)),
    }


def blends() -> tuple[float, int]:
    """Of what is drawn half-way between neighbours: the share a blend of both explains; how many are unsure."""
    x = images()[0][:12]
    module = model("twelve")
    with torch.no_grad():
        z = module.encode(torch.from_numpy(x.reshape(-1, 1, 28, 28)))[:, 0].numpy()
        order = z.argsort()
        middles = torch.from_numpy((z[order][1:] + z[order][:-1]) / 2)[:, None]
        drawn = module.decode(middles).reshape(-1, 784).numpy()
    left = 0.0
    for one, pair in zip(drawn, zip(x[order], x[order][1:])):
        left += float(np.linalg.lstsq(np.stack(pair, axis=1), one, rcond=None)[1][0])
    return 1 - left / float((drawn**2).sum()), int((read(drawn).max(axis=1) < 0.9).sum())


def figure(name: str, key: str) -> scoreboard.Figure:
    measure, _, where = key.partition("/")
    found = scoreboard.load(PRETRAINED / name).get(measure, where or None)
    assert found
    return found


def cloud(image: int = 21, *, wide: float = 1.0) -> float:
    """The share of 2,000 draws from an image's posterior that are read as its class."""
    made = atlas.load(PRETRAINED / "mnist-vae-2")
    mu, sigma = made.codes["codes"][image], np.exp(made.posterior["logvar"][image].astype(np.float32) / 2)
    eps = np.random.default_rng(0).normal(size=(2000, 2)).astype(np.float32)
    module = checkpoints.load(PRETRAINED / "mnist-vae-2")[0]
    with torch.no_grad():
        drawn = module.decode(torch.from_numpy(mu + wide * sigma * eps)).numpy()
    return float((read(drawn).argmax(axis=1) == made.codes["labels"][image]).mean())


def relative_sigma(beta: int) -> float:
    """The median sigma as a share of the spread of the means, mean of both dimensions."""
    made = atlas.load(PRETRAINED / catalogue.DIAL / f"mnist-vae-2-beta{beta}-seed0")
    sigma = np.exp(np.median(made.posterior["logvar"].astype(np.float64), axis=0) / 2)
    return float((sigma / made.codes["codes"].astype(np.float64).std(axis=0)).mean())


def trade() -> dict[float, float]:
    """By beta the Fréchet distance from N(0, I) at 16 dimensions, mean of the seeds."""
    found = frontier.load(PRETRAINED / "frontier" / "mnist.json")
    means = {beta: frontier.mean(found.of("vae", 16, beta), "frechet/prior") for beta in found.betas(16)}
    return {beta: mean[0] for beta, mean in means.items() if mean}


def linear_error(seed: int) -> tuple[float, list[float]]:
    """Squared error a pixel of a linear AE trained by torch on the 500 images, and its plane's angles to PCA's."""
    x = images()[0][:500]
    x = torch.from_numpy(x - x.mean(axis=0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        weights = [(0.05 * torch.randn(shape)).requires_grad_() for shape in ((784, 2), (2, 784))]
    optimiser = torch.optim.Adam(weights, lr=0.01)
    for _ in range(300):
        optimiser.zero_grad()
        loss = ((x @ weights[0] @ weights[1] - x) ** 2).sum() / len(x)
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        error = float(((x @ weights[0] @ weights[1] - x) ** 2).mean())
        basis = torch.linalg.svd(x, full_matrices=False)[2][:2]
        plane = torch.linalg.qr(weights[1].T)[0]
        cosines = torch.linalg.svdvals(plane.T @ basis.T).clamp(max=1)
    return error, torch.rad2deg(torch.arccos(cosines)).tolist()
