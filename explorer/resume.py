"""A training on disk: one safetensors file with the weights, Adam's averages, the random states and how far it is.

From it a training goes on to the last bit as if it had not stopped. Nothing is unpickled and nothing is believed: the
name has the content's hash, and every value is checked before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from explorer import training
from explorer.files import DamagedFile, read_bounded, sha256, unknown_format, write_whole
from explorer.models import AE, MODELS, outline
from explorer.settings import MAX_PARAMETERS, ImageShape, check_kinds

FORMAT = 1
METADATA = "training"
HASH_DIGITS = 16
PATTERN = f"training-{'[0-9a-f]' * HASH_DIGITS}.safetensors"
MAX_HEADER_BYTES = 4_000_000
MAX_BYTES = 3 * 4 * MAX_PARAMETERS + MAX_HEADER_BYTES  # weights and two averages, float32
MAX_STEPS = 2**24  # Adam counts its steps in float32


@dataclass(frozen=True)
class Record:
    """What there is to a training beside its tensors. The names are those of models.outline and training.State."""

    format: int
    about: dict[str, Any]
    model: str
    arch: str
    hidden: tuple[int, ...]
    image_shape: ImageShape
    latent_dim: int
    adam_step: int
    lr: float
    epoch: int
    step: int
    recon: float
    kl: float
    seconds: float
    history: tuple[training.EpochStats, ...]


def save(folder: Path, model: AE, state: training.State, *, about: dict[str, Any]) -> Path:
    """Write the training into folder in place of an older one and return the file. about: anything that JSON can hold.

    A reader finds the old training or this one, never a part. Raises OSError when it cannot be written.
    """
    averages = [state.optimizer.state.get(parameter, {}) for parameter in model.parameters()]
    record = Record(
        format=FORMAT,
        about=about,
        model=next(name for name, kind in MODELS.items() if type(model) is kind),
        arch=model.arch,
        hidden=model.hidden,
        image_shape=model.image_shape,
        latent_dim=model.latent_dim,
        adam_step=int(averages[0].get("step", 0)),
        lr=state.optimizer.param_groups[0]["lr"],
        epoch=state.epoch,
        step=state.step,
        recon=state.recon,
        kl=state.kl,
        seconds=state.seconds,
        history=tuple(state.history),
    )
    metadata = {METADATA: json.dumps(asdict(record), allow_nan=False)}
    content = to_bytes(tensors_of(model, state), metadata=metadata)
    path = folder / f"training-{sha256(content)[:HASH_DIGITS]}.safetensors"
    write_whole(path, content)
    for other in (*folder.glob(PATTERN), *folder.glob(f".{PATTERN}.*")):  # the latter are parts a killed save left
        if other != path:
            other.unlink(missing_ok=True)
    return path


def load(folder: Path) -> tuple[AE, training.State, dict[str, Any]]:
    """The training in folder: its model, ready to be trained on, where it stands, and what was told about it.

    Of two that a crash left, the sound one that is farther on. Raises DamagedFile, naming the file and what would be
    right, if there is none.
    """
    sound, problems = [], []
    for path in sorted(folder.glob(PATTERN)):
        try:
            sound.append(read(path))
        except DamagedFile as error:
            problems.append(error)
    if sound:
        return max(sound, key=lambda found: (found[1].epoch, found[1].step))
    missing = DamagedFile(f"{folder} holds no training: a file training-*.safetensors was expected")
    raise problems[0] if problems else missing


def is_in(folder: Path) -> bool:
    """Whether folder holds a training, sound or not."""
    return any(folder.glob(PATTERN))


def tensors_of(model: AE, state: training.State) -> dict[str, Tensor]:
    """All tensors of a training by their names in the file. Before its first step Adam has no averages."""
    tensors = {f"weights.{name}": value.detach().contiguous() for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        averages = state.optimizer.state.get(parameter, {})
        tensors |= {f"adam.{key}.{name}": averages[key] for key in ("exp_avg", "exp_avg_sq") if key in averages}
    return {**tensors, "order_at_start": state.order_at_start, "noise": state.noise.get_state()}


def read(path: Path) -> tuple[AE, training.State, dict[str, Any]]:
    """The training in one file. Raises DamagedFile as load does."""
    content = read_bounded(path, max_bytes=MAX_BYTES)
    found = sha256(content)[:HASH_DIGITS]
    if path.name != f"training-{found}.safetensors":
        raise DamagedFile(f"{path} is damaged: the hash in its name should be {found}; go on from another training")
    if int.from_bytes(content[:8], "little") > MAX_HEADER_BYTES:
        raise DamagedFile(f"{path} is not a training: its header may have at most {MAX_HEADER_BYTES:,} bytes")
    try:
        tensors = from_bytes(content)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise DamagedFile(f"{path} is not a safetensors file that can be read: {error}") from error
    record = read_record(content, path)
    model = empty_model(record, path)
    check_tensors(tensors, expected_tensors(model, record), record, path)
    return model, restore(model, tensors, record, path), record.about


def read_record(content: bytes, path: Path) -> Record:
    """The record in the header of a safetensors file that could be read; path is for the messages."""
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        record = json.loads(header["__metadata__"][METADATA])
        given = record["format"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DamagedFile(f"{path} is not a training: JSON with a format number was expected in its header") from error
    if given != FORMAT:
        raise unknown_format(path, given, known=FORMAT)
    try:
        return check_record(Record(**record))
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DamagedFile(f"{path} is not a training: {error}") from error


def check_record(record: Record) -> Record:
    """The record with lists as tuples; raises one of four errors, see read_record, if a value cannot be."""
    history = tuple(training.EpochStats(**stats) for stats in record.history)  # type: ignore[arg-type]
    for part in (record, *history):
        check_kinds(part)
    if not isinstance(record.about, dict):
        raise ValueError(f"about must be an object, got {record.about!r:.40}")
    if len(record.image_shape) != 3 or not all(type(n) is int for n in (*record.image_shape, *record.hidden)):
        raise ValueError("image_shape must be three whole numbers and hidden a list of them")
    if not 0 < record.lr <= 1:
        raise ValueError(f"lr must be above 0 and at most 1, got {record.lr}")
    if min(record.epoch, record.step, record.adam_step, record.seconds) < 0:
        raise ValueError("epoch, step, adam_step and seconds must be at least 0")
    if record.adam_step > MAX_STEPS or (record.adam_step == 0) != (record.epoch == record.step == 0):
        raise ValueError(
            f"Adam's {record.adam_step} steps are not those of {record.epoch} epochs and {record.step} steps"
        )
    if [stats.epoch for stats in history] != list(range(1, len(history) + 1)) or len(history) != record.epoch:
        raise ValueError(f"history must have one record for each of {record.epoch} epochs")
    lists = {"hidden": tuple(record.hidden), "image_shape": tuple(record.image_shape), "history": history}
    return Record(**{**record.__dict__, **lists})


def empty_model(record: Record, path: Path) -> AE:
    """The record's model without memory for its weights, so that a record that lies cannot fill the machine."""
    architecture = {"latent_dim": record.latent_dim, "arch": record.arch, "hidden": record.hidden}
    try:
        return outline(record.model, image_shape=record.image_shape, **architecture)  # type: ignore[arg-type]
    except ValueError as error:
        raise DamagedFile(f"{path} describes a model that cannot be built: {error}") from error


def expected_tensors(model: AE, record: Record) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Type and shape of every tensor that a training with this record has."""
    prefixes = ("weights", "adam.exp_avg", "adam.exp_avg_sq") if record.adam_step else ("weights",)
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    random_state = (torch.uint8, tuple(torch.Generator().get_state().shape))
    floats = {f"{prefix}.{name}": (torch.float32, shape) for prefix in prefixes for name, shape in shapes.items()}
    return {**floats, "order_at_start": random_state, "noise": random_state}


def check_tensors(
    tensors: dict[str, Tensor], expected: dict[str, tuple[torch.dtype, tuple[int, ...]]], record: Record, path: Path
) -> None:
    """Raise DamagedFile if the tensors are not those that the record promises, or hold values that cannot be."""
    if {name: (value.dtype, tuple(value.shape)) for name, value in tensors.items()} != expected:
        raise DamagedFile(f"{path} does not hold the tensors of the {record.arch} {record.model} that it describes")
    if not all(bool(value.isfinite().all()) for value in tensors.values()):
        raise DamagedFile(f"{path} holds weights or averages that are not finite numbers")
    squares = (value for name, value in tensors.items() if name.startswith("adam.exp_avg_sq."))
    if any(bool((value < 0).any()) for value in squares):
        raise DamagedFile(f"{path} holds averages of squares below 0; they must be at least 0")


def restore(model: AE, tensors: dict[str, Tensor], record: Record, path: Path) -> training.State:
    """Give the empty model its weights and return where the training stands."""
    model.to_empty(device="cpu")
    model.load_state_dict(dict(under(tensors, "weights")))
    state = training.begin(model, lr=record.lr, seed=0)
    state.order_at_start = tensors["order_at_start"].clone()
    try:
        state.order.set_state(state.order_at_start)
        state.noise.set_state(tensors["noise"].clone())
    except RuntimeError as error:
        raise DamagedFile(f"{path} holds a random state that is none: {error}") from error
    averages = {key: dict(under(tensors, f"adam.{key}")) for key in ("exp_avg", "exp_avg_sq")}
    for name, parameter in model.named_parameters():
        if record.adam_step:
            step = torch.tensor(float(record.adam_step))
            state.optimizer.state[parameter] = {"step": step, **{key: averages[key][name] for key in averages}}
    state.epoch, state.step, state.history = record.epoch, record.step, list(record.history)
    state.recon, state.kl, state.seconds = record.recon, record.kl, record.seconds
    return state


def under(tensors: dict[str, Tensor], prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Copies of the tensors whose names begin so, by the rest of their names."""
    for name, value in tensors.items():
        if name.startswith(f"{prefix}."):
            yield name.removeprefix(f"{prefix}."), value.clone()
