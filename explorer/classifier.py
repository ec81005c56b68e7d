"""A small image classifier, a judge of generated images: features for Fréchet distances, and class probabilities.

A card beside the weights says what it was trained on, how well it does and how far its confidence can be trusted.
It is sure about garbage too: the card holds the shares of noise and of pixel-shuffled images that it accepts. They are
a matter of luck (0.1 % to 88 % of noise among trainings of similar networks on MNIST), so a measure that counts
accepted images has to ask how near they are to real ones as well. No distance in its features is the FID, which is
defined by those of Inception-v3 (Heusel et al. 2017, arXiv:1706.08500).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.checkpoints import CARD, HEADER_BYTES, MAX_CARD_BYTES, PRETRAINED, WEIGHTS, library_versions
from explorer.files import DamagedFile, read_checked, read_record, sha256, write_record, write_whole
from explorer.models import one_thread, round_to_half
from explorer.settings import MAX_EPOCHS, ImageShape, check_kinds, is_table
from explorer.training import to_unit

FORMAT = 1
CLASSIFIERS = PRETRAINED / "classifiers"
FEATURES = 64
CHANNELS = (16, 32, 32)
SIDES, MAX_CHANNELS, MAX_CLASSES = (4, 64), 4, 256
COLUMNS = (2, 4096)  # of a table, whose rows are images of one line
WIDTH = 128  # of the hidden layer that looks at such a row
SMALL_SIDE = 16  # an image with a smaller side is pooled once, others twice
DROPOUT = 0.1
BATCH = 250  # more are no faster and take more memory

BATCH_SIZES = {10_000: 128, 0: 32}  # from so many images: few images make too few steps of large batches
LR, WEIGHT_DECAY = 3e-3, 1e-4
SHIFT, NOISE = 1 / 28, 0.05  # of the side (at least a pixel), and standard deviation in units of full white
MIN_HELD_OUT = 300  # images, where that is no more than a fifth of them
MIN_IMAGES = 100
TEMPERATURES = np.geomspace(0.2, 5.0, 401)
BINS = 15  # of confidence, as in Guo et al. 2017
ACCEPTED = 0.95
NOISE_IMAGES = 5000


Watch = Callable[[range], Iterable[int]]  # passes the epochs on, one by one, and may tell of them


@dataclass(frozen=True)
class Judgement:
    """features: float32 [N, 64]; probabilities: float32 [N, classes], each row sums to 1."""

    features: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class Figures:
    """How a classifier does on n real images that it did not learn.

    calibration_error: expected calibration error (Guo et al. 2017, arXiv:1706.04599, 15 bins of equal width).
    real_passing: share of the images whose top-class confidence reaches the record's accept. shuffled_passing: the
    same once each image's pixels stand in a random order. noise_passing: the same of 5,000 images of uniform noise.
    """

    n: int
    accuracy: float
    calibration_error: float
    real_passing: float
    shuffled_passing: float
    noise_passing: float


@dataclass(frozen=True)
class Record:
    """What a classifier is. n_train images trained its weights; held_out.n others set temperature and accept.

    temperature: what the logits were divided by to calibrate them; it is in the weights already. accept: the top-class
    confidence that 95 % of the held-out real images reach. test: figures on images that nothing was chosen by, None
    if there were none. sha256 is of the weights file.
    """

    format: int
    dataset: str
    data_source: str
    data_sha256: str
    classes: tuple[str, ...]
    image_shape: ImageShape
    parameters: int
    n_train: int
    epochs: int
    seed: int
    made: str
    temperature: float
    accept: float
    held_out: Figures
    test: Figures | None
    versions: dict[str, str]
    sha256: str


class Network(nn.Module):
    """x [N, C, H, W] in [0, 1] -> features [N, 64] -> logits [N, classes].

    The features are the last hidden layer before its ReLU. A Fréchet distance takes features for Gaussian. Those of the
    MNIST classifier have a mean |skewness| of 0.3 and a covariance of full rank; after the ReLU 72 % of the values are
    0, some features are 0 for every image, and the covariance is singular.
    Columns of a table have no neighbours, so there the convolutions are one dense layer.
    """

    def __init__(self, *, image_shape: ImageShape, classes: int) -> None:
        super().__init__()
        check_network(image_shape=image_shape, classes=classes)
        self.body = dense_body(image_shape[2]) if is_table(image_shape) else conv_body(image_shape)
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(FEATURES, classes))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half the time on a CPU

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x -> (features, logits)."""
        features = self.body(x)
        return features, self.head(features)


def conv_body(image_shape: ImageShape) -> nn.Sequential:
    channels, height, width = image_shape
    twice = min(height, width) >= SMALL_SIDE
    shrunk = 4 if twice else 2
    return nn.Sequential(
        nn.Conv2d(channels, CHANNELS[0], kernel_size=3, padding=1),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(CHANNELS[0], CHANNELS[1], kernel_size=3, padding=1),
        nn.MaxPool2d(2) if twice else nn.Identity(),
        nn.ReLU(),
        nn.Conv2d(CHANNELS[1], CHANNELS[2], kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(DROPOUT),
        nn.Linear(CHANNELS[2] * (height // shrunk) * (width // shrunk), FEATURES),
    )


def dense_body(columns: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(columns, WIDTH), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(WIDTH, FEATURES)
    )


@dataclass(frozen=True)
class Classifier:
    """A trained classifier and its record.

    x is float32 [N, C, H, W] in [0, 1]; all three raise ValueError for another shape and for values that are not
    finite or lie outside. An image's answer does not depend on the others.
    """

    module: Network
    record: Record

    def features(self, x: np.ndarray) -> np.ndarray:
        """x -> float32 [N, 64], the last hidden layer before its ReLU."""
        return self.judge(x).features

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """x -> float32 [N, classes], each row sums to 1."""
        return self.judge(x).probabilities

    def judge(self, x: np.ndarray) -> Judgement:
        """Features and probabilities in one pass."""
        return judge(self.module, check_images(x, image_shape=self.record.image_shape))


def check_images(x: np.ndarray, *, image_shape: ImageShape) -> Tensor:
    """x as float32 tensor. Raises ValueError, in one sentence, if it is not [N, *image_shape] in [0, 1]."""
    tensor = torch.tensor(np.asarray(x, dtype=np.float32))
    if tensor.ndim != 4 or tuple(tensor.shape[1:]) != image_shape:
        raise ValueError(f"x must have the shape [N, {', '.join(map(str, image_shape))}], got {list(tensor.shape)}")
    if not torch.isfinite(tensor).all():
        raise ValueError("x must hold finite numbers only")
    if tensor.numel() and not (tensor.min() >= 0 and tensor.max() <= 1):
        raise ValueError(f"x must lie in [0, 1], got {tensor.min():g} to {tensor.max():g}")
    return tensor


@torch.no_grad()
def judge(module: Network, x: Tensor) -> Judgement:
    """x [N, C, H, W], uint8 or float32 in [0, 1] -> features and probabilities, at most 250 images at a time."""
    module.eval()
    parts = [module(to_unit(part) if part.dtype is torch.uint8 else part) for part in x.split(BATCH)]
    features, logits = (torch.cat(both) for both in zip(*parts))
    return Judgement(features=features.numpy(), probabilities=logits.softmax(dim=1).numpy())


# ---- training


def train(
    x: np.ndarray,
    y: np.ndarray,
    *,
    image_shape: ImageShape,
    classes: tuple[str, ...],
    epochs: int,
    seed: int,
    dataset: str = "own images",
    data_source: str = "given",
    data_sha256: str = "",
    made: str = "explorer.classifier.train",
    watch: Watch = iter,
) -> Classifier:
    """A classifier of images x (uint8 [N, C, H, W], 0 to 255 for [0, 1]) with labels y (whole numbers [N]).

    A tenth of the images (of small sets up to a fifth) is held out: it sets the temperature (Guo et al. 2017) and
    accept. The weights are rounded to float16. The same arguments give the same weights on one machine. watch: see
    fit. Raises
    ValueError for images, labels or settings that cannot be trained with.
    """
    check_training(x, y, image_shape=image_shape, classes=classes, epochs=epochs, seed=seed)
    order = np.random.default_rng(seed).permutation(len(x))
    held_out, rest = np.split(order, [max(len(x) // 10, min(MIN_HELD_OUT, len(x) // 5))])
    with one_thread():
        images, labels = torch.from_numpy(x[rest]), torch.from_numpy(y[rest].astype(np.int64))
        module = fit(images, labels, len(classes), epochs, seed, watch=watch)
        temperature = calibrate(module, torch.from_numpy(x[held_out]), y[held_out])
        round_to_half(module)
        confidence = judge(module, torch.from_numpy(x[held_out])).probabilities.max(axis=1)
        accept = float(np.quantile(confidence, 1 - ACCEPTED, method="lower"))
        figures = measure(module, x[held_out], y[held_out], accept=accept, seed=seed)
    record = Record(
        format=FORMAT,
        dataset=dataset,
        data_source=data_source,
        data_sha256=data_sha256,
        classes=classes,
        image_shape=image_shape,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        n_train=len(rest),
        epochs=epochs,
        seed=seed,
        made=made,
        temperature=temperature,
        accept=accept,
        held_out=figures,
        test=None,
        versions=library_versions(),
        sha256=sha256(to_bytes(module)),
    )
    return Classifier(module.eval().requires_grad_(False), record)


def fit(x: Tensor, y: Tensor, classes: int, epochs: int, seed: int, *, watch: Watch = iter) -> Network:
    """A network trained on x (uint8 [N, C, H, W]) and y (int64 [N]) with cross-entropy, Adam and a one-cycle rate.

    No label smoothing: it would empty the features of what tells two images of a class apart (Müller et al. 2019,
    arXiv:1906.02629). torch's global random state is left alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for the first weights, the batches, the shifts, the noise and the dropout
        module = Network(image_shape=(x.shape[1], x.shape[2], x.shape[3]), classes=classes).train()
        optimizer = torch.optim.AdamW(module.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True)
        batch_size = next(size for least, size in BATCH_SIZES.items() if len(x) >= least)
        steps = epochs * math.ceil(len(x) / batch_size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LR, total_steps=steps)
        for _ in watch(range(epochs)):
            for batch in torch.randperm(len(x)).split(batch_size):
                _, logits = module(vary(to_unit(x[batch])))
                loss = F.cross_entropy(logits, y[batch])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
    return module


def vary(x: Tensor) -> Tensor:
    """x [N, C, H, W] in [0, 1], each image shifted by a pixel at most (two from 42 pixels on), with a little noise.

    The rows of a table have the noise alone.
    """
    n, channels, height, width = x.shape
    if is_table((channels, height, width)):
        return (x + NOISE * torch.randn(x.shape)).clamp(0, 1)
    reach_y, reach_x = (max(1, round(side * SHIFT)) for side in (height, width))
    padded = F.pad(x, (reach_x, reach_x, reach_y, reach_y))
    rows = torch.arange(height) + torch.randint(0, 2 * reach_y + 1, (n, 1))
    columns = torch.arange(width) + torch.randint(0, 2 * reach_x + 1, (n, 1))
    shifted = padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return (shifted + NOISE * torch.randn(x.shape)).clamp(0, 1)


@torch.no_grad()
def calibrate(module: Network, x: Tensor, y: np.ndarray) -> float:
    """Divide the last layer in place by the temperature that makes y likeliest on held-out images x; return it."""
    logits = np.log(np.maximum(judge(module, x).probabilities.astype(np.float64), 1e-30))
    losses = [
        F.cross_entropy(torch.from_numpy(logits / temperature), torch.from_numpy(y.astype(np.int64))).item()
        for temperature in TEMPERATURES
    ]
    temperature = float(TEMPERATURES[int(np.argmin(losses))])
    last = module.head[-1]
    assert isinstance(last, nn.Linear)
    last.weight.div_(temperature)
    last.bias.div_(temperature)
    return temperature


# ---- how well it does


def measure(module: Network, x: np.ndarray, y: np.ndarray, *, accept: float, seed: int) -> Figures:
    """The figures on images x (uint8 [N, C, H, W]) that module did not learn; seed draws the noise and the orders."""
    probabilities = judge(module, torch.from_numpy(x)).probabilities
    random = np.random.default_rng(seed)
    noise = random.random((NOISE_IMAGES, *x.shape[1:]), dtype=np.float32)
    shuffled = random.permuted(x.reshape(len(x), -1), axis=1).reshape(x.shape)

    def passing(images: np.ndarray) -> float:
        return float((judge(module, torch.from_numpy(images)).probabilities.max(axis=1) >= accept).mean())

    return Figures(
        n=len(x),
        accuracy=float((probabilities.argmax(axis=1) == y).mean()),
        calibration_error=calibration_error(probabilities, y),
        real_passing=float((probabilities.max(axis=1) >= accept).mean()),
        shuffled_passing=passing(shuffled),
        noise_passing=passing(noise),
    )


def calibration_error(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Expected calibration error in [0, 1]: |share right - mean confidence| of each bin, weighted by its images."""
    confidence, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == y
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(y))


def tested(classifier: Classifier, x: np.ndarray, y: np.ndarray) -> Classifier:
    """The classifier with the figures on test images x (uint8 [N, C, H, W]) and labels y in its record."""
    record = classifier.record
    check_labelled(x, y, image_shape=record.image_shape, classes=record.classes)
    with one_thread():
        figures = measure(classifier.module, x, y, accept=record.accept, seed=record.seed)
    return replace(classifier, record=replace(record, test=figures))


# ---- what cannot be trained with


def check_network(*, image_shape: ImageShape, classes: int) -> None:
    """Raise ValueError, in one sentence that says what would be right, if this network cannot be built."""
    if len(image_shape) != 3 or not all(type(side) is int for side in image_shape):
        raise ValueError(f"image_shape must be three whole numbers, got {image_shape!r:.60}")
    channels, *sides = image_shape
    table = is_table(image_shape)
    if table and not COLUMNS[0] <= image_shape[2] <= COLUMNS[1]:
        raise ValueError(f"A table must have {COLUMNS[0]} to {COLUMNS[1]:,} columns, got {image_shape[2]:,}")
    sound = 1 <= channels <= MAX_CHANNELS and all(SIDES[0] <= side <= SIDES[1] for side in sides)
    if not (table or sound):
        raise ValueError(
            f"image_shape must be 1 to {MAX_CHANNELS} channels and two sides of {SIDES[0]} to {SIDES[1]} pixels, "
            f"got {list(image_shape)}"
        )
    if not 2 <= classes <= MAX_CLASSES:
        raise ValueError(f"A classifier must have 2 to {MAX_CLASSES} classes, got {classes}")


def check_labelled(x: np.ndarray, y: np.ndarray, *, image_shape: ImageShape, classes: tuple[str, ...]) -> None:
    """Raise ValueError if x is not uint8 [N, *image_shape] with one label in y for each image."""
    if x.dtype != np.uint8 or x.shape[1:] != image_shape or not len(x):
        expected = ", ".join(map(str, image_shape))
        raise ValueError(f"x must be uint8 of the shape [N, {expected}] and hold images, got {x.dtype} {list(x.shape)}")
    if y.shape != x.shape[:1] or not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"y must hold one whole number for each of {len(x)} images, got {y.dtype} {list(y.shape)}")
    if not 0 <= y.min() <= y.max() < len(classes):
        raise ValueError(f"y must lie in 0 to {len(classes) - 1}, got {y.min()} to {y.max()}")


def check_training(
    x: np.ndarray, y: np.ndarray, *, image_shape: ImageShape, classes: tuple[str, ...], epochs: int, seed: int
) -> None:
    """Raise ValueError, in one sentence that says what would be right, if one cannot train with these."""
    check_network(image_shape=image_shape, classes=len(classes))
    check_labelled(x, y, image_shape=image_shape, classes=classes)
    if len(x) < MIN_IMAGES:
        raise ValueError(f"A classifier needs at least {MIN_IMAGES} images to learn from, got {len(x)}")
    if not 1 <= epochs <= MAX_EPOCHS:
        raise ValueError(f"epochs must be between 1 and {MAX_EPOCHS}, got {epochs}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be at least 0 and below {2**32}, got {seed}")


# ---- on disk


def to_bytes(module: Network) -> bytes:
    """The weights as a safetensors file of float16."""
    from safetensors.torch import save

    return save({key: value.detach().half().contiguous() for key, value in module.state_dict().items()})


def save(folder: Path, classifier: Classifier) -> None:
    """Write weights and card into folder. The card goes first and comes last, as in checkpoints.save."""
    record = classifier.record
    (folder / CARD).unlink(missing_ok=True)
    write_whole(folder / WEIGHTS, to_bytes(classifier.module))
    write_record(folder / CARD, asdict(record))


def load(dataset: str) -> Classifier:
    """The classifier that ships for a data set.

    Raises ValueError, naming those there are, if there is none, and DamagedFile if its files are not sound.
    """
    known = sorted(path.parent.name for path in CLASSIFIERS.glob(f"*/{CARD}"))
    if dataset not in known:
        raise ValueError(f"No classifier for the data set {dataset!r}. Must be one of: {', '.join(known)}")
    return read(CLASSIFIERS / dataset)


def read(folder: Path) -> Classifier:
    """The classifier that was saved in folder. Raises DamagedFile if its card or its weights are not sound."""
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    record = read_card(folder)
    path = folder / WEIGHTS
    module = Network(image_shape=record.image_shape, classes=len(record.classes))
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    size = 2 * sum(math.prod(shape) for shape in shapes.values()) + HEADER_BYTES
    content = read_checked(path, expected_sha256=record.sha256, max_bytes=size)
    try:
        tensors = from_bytes(content)
    except SafetensorError as error:
        raise DamagedFile(f"{path} is not a safetensors file: {error}") from error
    halves = all(value.dtype is torch.float16 for value in tensors.values())
    if not halves or {key: tuple(value.shape) for key, value in tensors.items()} != shapes:
        raise DamagedFile(f"{path} does not hold the weights of the classifier that its card describes")
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise DamagedFile(f"{path} holds weights that are not finite numbers")
    module.load_state_dict(tensors)
    return Classifier(module.eval().requires_grad_(False), record)


def read_card(folder: Path) -> Record:
    """The record in folder. Raises DamagedFile if it is missing, of an unknown format or not a classifier's card."""
    path = folder / CARD
    values = read_record(path, what="a classifier's card", known_format=FORMAT, max_bytes=MAX_CARD_BYTES)
    try:
        return check_card(values)
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
        raise DamagedFile(f"{path} is not a classifier's card: {error}") from error


def check_card(values: dict[str, Any]) -> Record:
    """The record of a card's values; raises one of five errors, see read_card, if one is of the wrong kind."""
    test = values["test"]
    record = Record(
        **{
            **values,
            "classes": tuple(values["classes"]),
            "image_shape": tuple(values["image_shape"]),
            "held_out": Figures(**values["held_out"]),
            "test": None if test is None else Figures(**test),
        }
    )
    check_kinds(record)
    check_network(image_shape=record.image_shape, classes=len(record.classes))
    if not all(type(name) is str for name in record.classes):
        raise ValueError("classes must be a list of names")
    for figures in (record.held_out, record.test):
        check_figures(figures)
    if not 0 <= record.accept <= 1:
        raise ValueError(f"accept must lie in [0, 1], got {record.accept}")
    return record


def check_figures(figures: Figures | None) -> None:
    """Raise ValueError, naming the field, unless all figures are numbers and all shares lie in [0, 1]."""
    if figures is None:
        return
    check_kinds(figures)
    for name, share in asdict(figures).items():
        if name != "n" and not 0 <= share <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {share}")
