"""Anomalies: a model that has learnt to copy the normal alone copies badly what is not. A bad copy is an alarm.

Heartbeats follow TensorFlow's tutorial "Intro to Autoencoders": ECG5000 scaled to [0, 1], an autoencoder
140-32-16-8-16-32-140 of the normal ones, mean absolute error (MAE), Adam at 1e-3, and an alarm from the mean plus one
standard deviation of the training normals' scores. The tutorial trains 20 epochs of batches of 512 on all 5,000 series.
On the 500 that ship this is 20 steps, after which the copies are worse than one median curve, the control. Batches of
16 and 200 epochs are 3,000 steps: the AUC of the AE stays the same from half as many on, that of the VAE grows until
then. The threshold makes an alarm of one normal heartbeat in seven to ten, even for the control: accuracy says little
of how well a model tells the two apart. The AUC does, and there the control falls behind.

The VAE has the same layers and the same steps. An absolute error is the likelihood of a Laplace distribution, whose
scale b is fixed at 0.02, near its maximum-likelihood value: the MAE of the copies.

Images: a model of nine classes is shown the tenth. The trap is there too: a plain shape that was never seen is copied
better than a rich one that was (Nalisnick et al. 2019, arXiv:1810.09136, for likelihoods).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.data import ECG_LENGTH, Dataset
from explorer.labs.basic import glorot
from explorer.labs.result import Result, Step
from explorer.models import AE, VAE, build, kl_per_dim
from explorer.settings import check_budget
from explorer.training import EVAL_BATCH, to_unit, train

WIDTHS = (ECG_LENGTH, 32, 16)
LATENT_DIM = 8
LAYERS = (0, 2, 4)  # of nn.Sequential(Linear, ReLU, Linear, ReLU, Linear)
BATCH, EPOCHS, LR = 16, 200, 1e-3
PUBLISHED_SERIES = 5000
PUBLISHED_BUDGET = {"epochs": 20, "batch_size": 512}  # of the tutorial
SCALE = 0.02  # b of the Laplace distribution, where the series' range is 1
DRAWS = 16  # of z for a negative ELBO
NORMAL = 1
TRAIN_SHARE = 0.8
MAX_SPLITS, MAX_LINES = 100, 5000
PUBLISHED = {"accuracy": 0.943, "precision_normal": 0.992, "recall_normal": 0.905}  # one split of all 5,000
IMAGE_HIDDEN, IMAGE_BATCH = (64,), 128

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Split:
    """One random cut of the series in two: indices int64 of all training series and all test series."""

    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Scored:
    """The scores of one kind, float32 [S, n]: of the training normals and of the test series of S splits."""

    train: np.ndarray
    test: np.ndarray


# ---- what is asked of scores


def threshold_of(normal_scores: np.ndarray) -> float:
    """Mean plus one (population) standard deviation of the training normals' scores [n]: the tutorial's rule."""
    return float(normal_scores.mean(dtype=np.float64) + normal_scores.std(dtype=np.float64))


def auc_of(scores: np.ndarray, anomalous: np.ndarray) -> float:
    """How often an anomaly has the higher score of a pair with a normal one: the area under the ROC curve.

    scores [n]; anomalous bool [n]. Raises ValueError where all are of one class: there is no pair.
    """
    from sklearn.metrics import roc_auc_score

    if anomalous.all() or not anomalous.any():
        found = "anomalous" if anomalous.any() else "normal"
        raise ValueError(f"All {len(anomalous)} test scores are of {found} ones; both kinds are needed for a figure")
    return float(roc_auc_score(anomalous, scores))


def figures_of(scores: np.ndarray, anomalous: np.ndarray, threshold: float) -> dict[str, float]:
    """Accuracy, AUC, and precision and recall with either class as the positive one; an alarm is a score >= threshold.

    The precision of a class that no score is taken for, as with a threshold outside the scores, counts as 0.
    Raises ValueError as auc_of does.
    """
    from sklearn.metrics import accuracy_score, precision_score, recall_score

    auc, alarm = auc_of(scores, anomalous), scores >= threshold
    figures = {"accuracy": float(accuracy_score(anomalous, alarm)), "auc": auc}
    for name, positive in (("normal", False), ("anomaly", True)):
        chosen = {"pos_label": positive, "zero_division": 0.0}
        figures[f"precision_{name}"] = float(precision_score(anomalous, alarm, **chosen))
        figures[f"recall_{name}"] = float(recall_score(anomalous, alarm, **chosen))
    return figures


def summary(values: list[float]) -> dict[str, float]:
    """Mean over splits, and the middle 95 % of them: what one split may come to, not how sure the mean is."""
    low, high = np.percentile(values, [2.5, 97.5])
    return {"mean": float(np.mean(values)), "low": float(low), "high": float(high)}


# ---- heartbeats: the models of all splits, side by side


def run_ecg(
    series: np.ndarray,
    labels: np.ndarray,
    *,
    splits: int = 20,
    epochs: int = EPOCHS,
    batch_size: int = BATCH,
    seed: int = 0,
) -> Iterator[Step | Result]:
    """Train an AE and a VAE on the normal ones of series [N, 140], and judge both on those held out.

    labels [N]: 1 is normal. Split i cuts the series 80 to 20 by the seed seed + i, with equal shares of normal ones,
    and its models start from that seed. The models of all splits train at the same time (see fit). Split 0 is shown.

    Scores: "ae" and "vae" are the MAE of decoding the code, or mu; "vae_elbo" is the negative ELBO in nats;
    "median" is the control, the MAE of a copy that is always the median normal series of the training part.
    Record: figures by score and name, each with mean, low, high (summary); per_split has them one by one.
    Arrays, of the shown split: series, recon.ae, recon.vae float32 [n, 140], scaled; labels uint8 [n]; indices int32
    [n]; train_scores.<score>, test_scores.<score> float32; median [140]; draws [16, 8], the standard normal numbers by
    which vae_elbo draws its z; and the weights, ae.encoder.0.weight and so on. All of it in float32.
    Raises ValueError for series, labels or settings that cannot be used.
    """
    check_series(series, labels)
    check_budget(n=len(series), beta=1.0, epochs=epochs, batch_size=batch_size, lr=LR, seed=seed)
    if not 1 <= splits <= MAX_SPLITS:
        raise ValueError(f"splits must be from 1 to {MAX_SPLITS}, got {splits}")
    anomalous = labels != NORMAL
    seeds = [seed + i for i in range(splits)]
    cuts = [split_of(anomalous, seed=one) for one in seeds]
    ranges = np.array([[series[cut.train].min(), series[cut.train].max()] for cut in cuts], np.float32)
    normals = [cut.train[~anomalous[cut.train]] for cut in cuts]
    x_train = torch.stack([scaled(series[rows], limits) for rows, limits in zip(normals, ranges)])
    x_test = torch.stack([scaled(series[cut.test], limits) for cut, limits in zip(cuts, ranges)])

    models: dict[str, Weights] = {}
    for number, name in enumerate(("ae", "vae")):
        models[name] = fresh(name, seeds)
        losses = fit(models[name], x_train, name=name, epochs=epochs, batch_size=batch_size, seeds=seeds)
        for epoch, loss in enumerate(losses, start=1):
            yield Step(number * epochs + epoch, 2 * epochs, f"{name.upper()}, epoch {epoch}", {"loss": loss})

    scores = scores_of(models, x_train, x_test)
    thresholds = {name: [threshold_of(row) for row in scored.train] for name, scored in scores.items()}
    per_split = judged(scores, thresholds, [anomalous[cut.test] for cut in cuts])
    record = {
        "series": len(series),
        "normal": int((~anomalous).sum()),
        "splits": splits,
        "epochs": epochs,
        "batch_size": batch_size,
        "seed": seed,
        "train_normal": x_train.shape[1],
        "test": x_test.shape[1],
        "laplace_scale": SCALE,
        "minimum": float(ranges[0, 0]),
        "maximum": float(ranges[0, 1]),
        "thresholds": {name: values[0] for name, values in thresholds.items()},
        "shown": {name: {key: values[0] for key, values in found.items()} for name, found in per_split.items()},
        "figures": {name: {key: summary(values) for key, values in found.items()} for name, found in per_split.items()},
        "per_split": per_split,
        "published": PUBLISHED,
    }
    yield Result(record, shown_arrays(models, scores, x_train, x_test, labels, cuts[0]))


def check_series(series: np.ndarray, labels: np.ndarray) -> None:
    """Raise ValueError, in one sentence, for what cannot be split and learnt from."""
    if series.ndim != 2 or series.shape[1] != ECG_LENGTH or labels.shape != series.shape[:1]:
        shapes = f"{list(series.shape)} and {list(labels.shape)}"
        raise ValueError(f"The series must be [N, {ECG_LENGTH}] and the labels [N], got {shapes}")
    if not np.isfinite(series).all():
        row = int(np.flatnonzero(~np.isfinite(series).all(axis=1))[0])
        raise ValueError(f"The series must be finite numbers, and those of series {row} are not")
    normal, others = int((labels == NORMAL).sum()), int((labels != NORMAL).sum())
    if min(normal, others) < 5:
        raise ValueError(f"At least 5 normal (label 1) and 5 other series are needed, got {normal} and {others}")
    if series.min() == series.max():
        raise ValueError(f"The series have no range to scale: all their values are {series.min():g}")


def split_of(anomalous: np.ndarray, *, seed: int) -> Split:
    """80 % of the normal ones and 80 % of the anomalous ones, chosen by the seed, train; the others test."""
    random = np.random.default_rng(seed)
    train, test = [], []
    for wanted in (False, True):
        rows = random.permutation(np.flatnonzero(anomalous == wanted))
        count = round(TRAIN_SHARE * len(rows))
        train.append(rows[:count])
        test.append(rows[count:])
    return Split(np.concatenate(train), np.concatenate(test))


def scaled(series: np.ndarray, limits: np.ndarray) -> Tensor:
    """float32 [N, 140] so that limits (minimum, maximum) become 0 and 1; nothing is cut off beyond them."""
    low, high = limits
    return torch.from_numpy((series.astype(np.float32) - low) / (high - low))


def fresh(name: str, seeds: list[int]) -> Weights:
    """The first weights of one model a seed, [S, out, in] and [S, out], under the names that one would have.

    As Keras starts them. The decoder first, so that AE and VAE of a seed start from the same one.
    """
    codes = LATENT_DIM * (2 if name == "vae" else 1)
    states = []
    with torch.random.fork_rng(devices=[]):
        for seed in seeds:
            torch.manual_seed(seed)
            model = nn.ModuleDict({"decoder": dense(LATENT_DIM, *reversed(WIDTHS))})
            glorot(model)
            model["encoder"] = dense(*WIDTHS, codes)
            glorot(model["encoder"])
            states.append(model.state_dict())
    return {key: torch.stack([state[key] for state in states]).requires_grad_() for key in states[0]}


def dense(*widths: int) -> nn.Sequential:
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def through(weights: Weights, part: str, h: Tensor) -> Tensor:
    """h [S, N, in] -> [S, N, out] through the encoder or decoder of each of S models, before any sigmoid."""
    for index in LAYERS:
        weight, bias = weights[f"{part}.{index}.weight"], weights[f"{part}.{index}.bias"]
        h = torch.baddbmm(bias[:, None], h, weight.transpose(1, 2))
        h = h.relu() if index != LAYERS[-1] else h
    return h


def decode(weights: Weights, z: Tensor) -> Tensor:
    """z [S, N, 8] -> x_hat [S, N, 140] in [0, 1]."""
    return through(weights, "decoder", z).sigmoid()


def posterior(weights: Weights, x: Tensor) -> tuple[Tensor, Tensor]:
    """x [S, N, 140] -> mu and logvar [S, N, 8] of a VAE."""
    mu, logvar = through(weights, "encoder", x).chunk(2, dim=2)
    return mu, logvar


def reconstruct(weights: Weights, x: Tensor, *, name: str) -> Tensor:
    """x [S, N, 140] -> x_hat, from the code of an "ae", or the mu of a "vae"."""
    return decode(weights, posterior(weights, x)[0] if name == "vae" else through(weights, "encoder", x))


def fit(weights: Weights, x: Tensor, *, name: str, epochs: int, batch_size: int, seeds: list[int]) -> Iterator[float]:
    """Train S models in place on x [S, n, 140], each on its own series; yields each epoch's loss, the mean of all.

    The loss that is differentiated is a sum over models and Adam treats every weight by itself, so each model gets the
    steps it would get alone. The AE's loss is the MAE. The VAE's is the negative ELBO less its constant, in the MAE's
    unit: nats times b / 140, so that both have steps of like size.
    """
    optimizer = torch.optim.Adam(weights.values(), lr=LR, eps=1e-7)  # Keras's epsilon
    loss_of = vae_losses if name == "vae" else ae_losses
    orders = [torch.Generator().manual_seed(seed) for seed in seeds]
    noises = [torch.Generator().manual_seed(seed + 1) for seed in seeds]
    rows = torch.arange(len(seeds))[:, None]
    for _ in range(epochs):
        total = 0.0
        shuffled = torch.stack([torch.randperm(x.shape[1], generator=order) for order in orders])
        for batch in shuffled.split(batch_size, dim=1):
            losses = loss_of(weights, x[rows, batch], noises)
            optimizer.zero_grad()
            losses.sum().backward()
            optimizer.step()
            total += losses.mean().item() * batch.shape[1]
        if not math.isfinite(total):
            raise ValueError(f"The training diverged: the {name.upper()}'s loss is no longer a number")
        yield total / x.shape[1]


def ae_losses(weights: Weights, x: Tensor, noises: list[torch.Generator]) -> Tensor:
    """The MAE of each of S models on x [S, n, 140]. An AE needs no noise."""
    return (x - reconstruct(weights, x, name="ae")).abs().mean(dim=(1, 2))


def vae_losses(weights: Weights, x: Tensor, noises: list[torch.Generator]) -> Tensor:
    """(sum |x - x_hat| / b + KL) b / 140 of each of S models on x [S, n, 140], z drawn once."""
    mu, logvar = posterior(weights, x)
    eps = torch.stack([torch.randn(mu.shape[1:], generator=noise) for noise in noises])
    copy = decode(weights, mu + eps * torch.exp(0.5 * logvar))
    kl = kl_per_dim(mu, logvar).sum(2).mean(1)
    return (x - copy).abs().mean(dim=(1, 2)) + kl * SCALE / ECG_LENGTH


def draws() -> Tensor:
    """[16, 8] standard normal numbers, the same for every series, so that equal series have equal scores."""
    return torch.randn(DRAWS, LATENT_DIM, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def negative_elbo(weights: Weights, x: Tensor) -> Tensor:
    """[S, N], in nats: mean over z = mu + draw * sd of sum(|x - x_hat| / b + ln 2b), plus KL to N(0, I).

    A bound on minus the log of a density of the scaled series, so it can be below 0.
    """
    mu, logvar = posterior(weights, x)
    sd = torch.exp(0.5 * logvar)
    errors = torch.stack([(x - decode(weights, mu + draw * sd)).abs().sum(2) for draw in draws()]).mean(0)
    return errors / SCALE + ECG_LENGTH * math.log(2 * SCALE) + kl_per_dim(mu, logvar).sum(2)


@torch.no_grad()
def scores_of(models: dict[str, Weights], x_train: Tensor, x_test: Tensor) -> dict[str, Scored]:
    """By name (see run_ecg), the scores of the training normals and of the test series."""
    middle = medians(x_train)

    def both(score: Callable[[Tensor], Tensor]) -> Scored:
        return Scored(score(x_train).numpy(), score(x_test).numpy())

    return {
        "ae": both(lambda x: (x - reconstruct(models["ae"], x, name="ae")).abs().mean(2)),
        "vae": both(lambda x: (x - reconstruct(models["vae"], x, name="vae")).abs().mean(2)),
        "vae_elbo": both(lambda x: negative_elbo(models["vae"], x)),
        "median": both(lambda x: (x - middle).abs().mean(2)),
    }


def medians(x: Tensor) -> Tensor:
    """[S, 1, 140]: of all copies that are one curve whatever comes in, the one with the least MAE on x [S, n, 140]."""
    return x.quantile(0.5, dim=1, keepdim=True)


def judged(
    scores: dict[str, Scored], thresholds: dict[str, list[float]], anomalous: list[np.ndarray]
) -> dict[str, dict[str, list[float]]]:
    """By score and figure, the values of all splits; normal and anomalous are the mean scores of these test series."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, scored in scores.items():
        rows = [
            {
                **figures_of(test, odd, threshold),
                "normal": float(test[~odd].mean()),
                "anomalous": float(test[odd].mean()),
            }
            for test, odd, threshold in zip(scored.test, anomalous, thresholds[name])
        ]
        found[name] = {key: [row[key] for row in rows] for key in rows[0]}
    return found


@torch.no_grad()
def shown_arrays(
    models: dict[str, Weights],
    scores: dict[str, Scored],
    x_train: Tensor,
    x_test: Tensor,
    labels: np.ndarray,
    cut: Split,
) -> dict[str, np.ndarray]:
    """The arrays of run_ecg: those of the first split."""
    arrays = {
        "series": x_test[0].numpy(),
        "labels": labels[cut.test].astype(np.uint8),
        "indices": cut.test.astype(np.int32),
        "median": medians(x_train)[0, 0].numpy(),
        "draws": draws().numpy(),
    }
    for name, scored in scores.items():
        arrays |= {f"train_scores.{name}": scored.train[0], f"test_scores.{name}": scored.test[0]}
    for name, weights in models.items():
        arrays[f"recon.{name}"] = reconstruct(weights, x_test, name=name)[0].numpy()
        arrays |= {f"{name}.{key}": value[0].numpy() for key, value in weights.items()}
    return arrays


# ---- images: one class left out


def run_images(
    dataset: Dataset, *, odd: int, epochs: int = 10, seed: int = 0, shown: int = 12
) -> Iterator[Step | Result]:
    """Train an AE and a VAE on every class but odd, and look for it among the held-out images of all classes.

    Scores, in nats an image: "ae" and "vae" are the binary cross-entropy of decoding the code, or mu; "vae_elbo" is the
    negative ELBO, 16 draws of z. The control "ink" is the mean brightness, which no model is needed for.
    Record: auc by score, mean_by_class by score (one a class), settings. Arrays: scores.<score> float32 [n]; labels
    uint8 [n], the classes; is_odd uint8 [n]; and, of the odd class and of the others, the shown highest and the shown
    lowest scores of "ae": index int32 [4, shown] (rows: odd highest, odd lowest, other highest, other lowest; each from
    its end inwards), x, recon.ae and recon.vae uint8 [4, shown, C, H, W]. No weights: they would be most of its size.
    Raises ValueError for an odd that is no class, a class too small to show, or settings that cannot be trained with.
    """
    if not 0 <= odd < len(dataset.classes):
        raise ValueError(f"odd must be a class from 0 to {len(dataset.classes) - 1}, got {odd}")
    is_odd = dataset.y_test == odd
    enough = min(int(is_odd.sum()), int((~is_odd).sum()))
    if not 1 <= shown <= enough:
        raise ValueError(f"shown must be from 1 to {enough}, the held-out images of either side, got {shown}")
    x, x_test = torch.from_numpy(dataset.x_train[dataset.y_train != odd]), torch.from_numpy(dataset.x_test)
    models: dict[str, AE] = {}
    for number, name in enumerate(("ae", "vae")):
        models[name] = build(
            name, seed=seed, image_shape=dataset.image_shape, latent_dim=LATENT_DIM, arch="mlp", hidden=IMAGE_HIDDEN
        )
        beta = 1.0 if name == "vae" else 0.0
        news = train(models[name], x, x_test, beta=beta, epochs=epochs, batch_size=IMAGE_BATCH, lr=LR, seed=seed)
        for stats in news:
            done = number * epochs + stats.epoch
            yield Step(done, 2 * epochs, f"{name.upper()}, epoch {stats.epoch}", {"loss": stats.loss})

    copies = {name: image_copies(model, x_test) for name, model in models.items()}
    scores = {name: cross_entropy(logits, to_unit(x_test)).numpy() for name, logits in copies.items()}
    vae = models["vae"]
    assert isinstance(vae, VAE)
    scores["vae_elbo"] = image_negative_elbo(vae, x_test).numpy()
    index = extremes(scores["ae"], is_odd, shown)
    record = {
        **dataset.origin,
        "classes": list(dataset.classes),
        "odd": odd,
        "trained_on": len(x),
        "epochs": epochs,
        "batch_size": IMAGE_BATCH,
        "hidden": list(IMAGE_HIDDEN),
        "latent_dim": LATENT_DIM,
        "seed": seed,
        "auc": {name: auc_of(score, is_odd) for name, score in {**scores, "ink": ink(dataset.x_test)}.items()},
        "mean_by_class": {
            name: [float(score[dataset.y_test == label].mean()) for label in np.unique(dataset.y_test)]
            for name, score in scores.items()
        },
    }
    arrays = {
        **{f"scores.{name}": score for name, score in scores.items()},
        "labels": dataset.y_test,
        "is_odd": is_odd.astype(np.uint8),
        "index": index,
        "x": dataset.x_test[index],
        **{f"recon.{name}": to_bytes(logits[torch.from_numpy(index).long()]) for name, logits in copies.items()},
    }
    yield Result(record, arrays)


@torch.no_grad()
def image_copies(model: AE, x: Tensor) -> Tensor:
    """x uint8 [N, C, H, W] -> logits of the copies, from the code or the mu."""
    model.eval()
    return torch.cat([model.logits(model.encode(to_unit(batch))) for batch in x.split(EVAL_BATCH)])


def cross_entropy(logits: Tensor, unit: Tensor) -> Tensor:
    """[N], in nats: the binary cross-entropy of each image, summed over pixels."""
    return F.binary_cross_entropy_with_logits(logits, unit, reduction="none").flatten(1).sum(1)


@torch.no_grad()
def image_negative_elbo(model: VAE, x: Tensor) -> Tensor:
    """[N], in nats, of x uint8 [N, C, H, W]: mean cross-entropy over z = mu + draw * sd, plus KL to N(0, I)."""
    model.eval()
    found = []
    for batch in x.split(EVAL_BATCH):
        unit = to_unit(batch)
        mu, logvar = model.posterior(unit)
        sd = torch.exp(0.5 * logvar)
        recon = torch.stack([cross_entropy(model.logits(mu + draw * sd), unit) for draw in draws()]).mean(0)
        found.append(recon + kl_per_dim(mu, logvar).sum(1))
    return torch.cat(found)


def extremes(scores: np.ndarray, is_odd: np.ndarray, count: int) -> np.ndarray:
    """int32 [4, count]: indices of the odd with the highest and the lowest scores, then of the others."""
    order = np.argsort(-scores, kind="stable")
    sides = (order[is_odd[order]], order[~is_odd[order]])
    return np.array([row for side in sides for row in (side[:count], side[::-1][:count])], np.int32)


def ink(x: np.ndarray) -> np.ndarray:
    """The mean brightness of each image, [N]."""
    return x.reshape(len(x), -1).mean(axis=1)


def to_bytes(logits: Tensor) -> np.ndarray:
    return (logits.sigmoid() * 255).round().to(torch.uint8).numpy()
