"""A trained model on disk: weights.safetensors and card.json in one folder.

The card says what the model is, what it was trained on and how well it does; nothing is unpickled and nothing is
believed: the weights must have the card's hash and the shapes of the card's architecture.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.files import DamagedFile, read_checked, read_record, sha256, write_record, write_whole
from explorer.settings import MAX_PARAMETERS, check_kinds

if TYPE_CHECKING:
    from explorer.models import AE

FORMAT = 1
WEIGHTS, CARD = "weights.safetensors", "card.json"
ONNX, ONNX_DECODER = "onnx", "decoder.onnx"  # the arch of a model that was brought as ONNX, and its weights
MAX_CARD_BYTES = 1_000_000
HEADER_BYTES = 100_000
MAX_WEIGHTS_BYTES = 4 * MAX_PARAMETERS + HEADER_BYTES  # float32
PRETRAINED = Path(__file__).parent.parent / "pretrained"


@dataclass(frozen=True)
class Card:
    """What a checkpoint is. Losses in nats an image on the held-out images.

    test_recon decodes the code itself (a VAE's mu); test_recon_sampled decodes a z drawn from the posterior, so
    test_recon_sampled + test_kl is the negative ELBO. history has one record an epoch. sha256 is of the weights file.
    """

    format: int
    name: str
    dataset: str
    data_source: str
    data_sha256: str
    n_train: int
    n_test: int
    model: str
    arch: str
    hidden: tuple[int, ...]
    image_shape: tuple[int, int, int]
    latent_dim: int
    beta: float
    epochs: int
    batch_size: int
    lr: float
    seed: int
    parameters: int
    test_recon: float
    test_recon_sampled: float
    test_kl: float
    history: tuple[dict[str, float], ...]
    versions: dict[str, str]
    sha256: str


def save(folder: Path, module: AE, *, half: bool = False, **about: Any) -> Card:
    """Write module into folder and return its card. about: the card's fields that the module itself does not know.

    The card goes first and comes last, so a save that breaks off leaves a folder without a model, not with half of one.
    half keeps the weights as float16: round the model first (models.round_to_half), so that its figures are those of
    what is kept.
    """
    from safetensors.torch import save as to_bytes

    state = {key: value.detach().contiguous() for key, value in module.state_dict().items()}
    content = to_bytes({key: value.half() for key, value in state.items()} if half else state)
    card = Card(
        format=FORMAT,
        arch=module.arch,
        hidden=module.hidden,
        image_shape=module.image_shape,
        latent_dim=module.latent_dim,
        parameters=sum(value.numel() for value in state.values()),
        sha256=sha256(content),
        **about,
    )
    (folder / CARD).unlink(missing_ok=True)
    write_whole(folder / WEIGHTS, content)
    write_record(folder / CARD, asdict(card))
    return card


def read_card(folder: Path) -> Card:
    """The card in folder. Raises DamagedFile if it is missing, of an unknown format or not a card."""
    path = folder / CARD
    record = read_record(path, what="a model card", known_format=FORMAT, max_bytes=MAX_CARD_BYTES)
    try:
        return check_card(Card(**record))
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DamagedFile(f"{path} is not a model card: {error}") from error


def check_card(card: Card) -> Card:
    """The card with lists as tuples; raises one of four errors, see read_card, if a value is of the wrong kind."""
    check_kinds(card)
    if len(card.image_shape) != 3 or not all(type(n) is int for n in (*card.image_shape, *card.hidden)):
        raise ValueError("image_shape must be three whole numbers and hidden a list of them")
    if not all(math.isfinite(value) for record in card.history for value in record.values()):
        raise ValueError("history must hold finite numbers")
    values = {**card.__dict__, "hidden": tuple(card.hidden), "image_shape": tuple(card.image_shape)}
    return Card(**{**values, "history": tuple(card.history)})


def load(folder: Path) -> tuple[AE, Card]:
    """The model in folder, ready to use, and its card.

    Raises DamagedFile, naming the file and what would be right, if the card or the weights are not sound.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    card = read_card(folder)
    model = empty_model(card, folder / CARD)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    count = sum(math.prod(shape) for shape in shapes.values())
    path = folder / WEIGHTS
    content = read_checked(path, expected_sha256=card.sha256, max_bytes=4 * count + HEADER_BYTES)
    try:
        tensors = from_bytes(content)
    except SafetensorError as error:
        raise DamagedFile(f"{path} is not a safetensors file: {error}") from error
    halves_or_floats = all(value.dtype in (torch.float16, torch.float32) for value in tensors.values())
    if not halves_or_floats or {key: tuple(value.shape) for key, value in tensors.items()} != shapes:
        raise DamagedFile(f"{path} does not hold the weights of the {card.arch} {card.model} that its card describes")
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise DamagedFile(f"{path} holds weights that are not finite numbers")
    model.load_state_dict({key: value.float() for key, value in tensors.items()}, assign=True)
    return model.eval().requires_grad_(False), card


def empty_model(card: Card, path: Path) -> AE:
    """The card's model without memory for its weights, so that a card that lies cannot fill the machine."""
    from explorer.models import outline

    try:
        return outline(
            card.model, image_shape=card.image_shape, latent_dim=card.latent_dim, arch=card.arch, hidden=card.hidden
        )
    except ValueError as error:
        raise DamagedFile(f"{path} describes a model that cannot be built: {error}") from error


def verify(folder: Path) -> Card:
    """The card in folder, after its weights file was checked against it (without torch)."""
    card = read_card(folder)
    weights = ONNX_DECODER if card.arch == ONNX else WEIGHTS
    read_checked(folder / weights, expected_sha256=card.sha256, max_bytes=MAX_WEIGHTS_BYTES)
    return card


def find(name_or_folder: str | Path) -> Path:
    """The folder of a shipped model by name, or a folder itself. Raises ValueError if there is no such model."""
    shipped = sorted(path.parent.name for path in PRETRAINED.glob(f"*/{CARD}"))
    if str(name_or_folder) in shipped:
        return PRETRAINED / str(name_or_folder)
    folder = Path(name_or_folder)
    if (folder / CARD).is_file():
        return folder
    raise ValueError(
        f"Unknown model: {str(name_or_folder)!r}. Must be a folder with a {CARD} or one of: {', '.join(shipped)}"
    )


def library_versions() -> dict[str, str]:
    """What trained this: versions of Python and the libraries that shape the numbers."""
    import platform

    import numpy as np
    import torch

    import explorer

    return {
        "latent-explorer": explorer.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
