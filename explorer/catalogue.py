"""What models there are to look at, and where the browser finds their atlases. Needs the standard library alone."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer import atlas, checkpoints, described
from explorer.data import About
from explorer.files import DamagedFile, public, read_record

JUDGES, DIAL, LESSONS, LABS = "classifiers", "dial", "lessons", "labs"
OTHERS = (JUDGES, "frontier", DIAL, LESSONS, LABS)  # folders beside the models that are none
DRAWN = "drawn-"  # how the names of data sets start that are draws, of models without an encoder
FORMAT = 1  # of a table of Learn or of a lab
JUDGE_FORMAT, JUDGE_SMALL_SIDE = 1, 16  # as in explorer.classifier, which needs torch


@dataclass(frozen=True)
class Part:
    """A file the browser may fetch as atlas/<sha256>. packed: whether it lies on the disk gzipped."""

    path: Path
    sha256: str
    bytes: int
    packed: bool = True


@dataclass(frozen=True)
class Entry:
    """One model: its card and its atlas's manifest (layers of the decoder, sizes) and parts."""

    card: checkpoints.Card
    manifest: dict[str, Any]
    parts: dict[str, Part]


@dataclass(frozen=True)
class Judge:
    """The classifier of a data set: its weights, and its layers for a reader without torch."""

    part: Part
    layers: tuple[dict[str, str], ...]


@dataclass(frozen=True)
class Table:
    """Arrays in a file, and the record that goes with them."""

    part: Part
    record: dict[str, Any]


@dataclass(frozen=True)
class Catalogue:
    """The models in the folders of root that are sound, and a sentence about each that is not; judges by data set.

    dial: models that differ in beta alone, and an AE beside them; atlases without weights. lessons: files that
    the scenes of Learn show, by name. labs: what the labs computed before, by name.
    """

    root: Path
    entries: tuple[Entry, ...]
    problems: tuple[str, ...]
    judges: dict[str, Judge]
    dial: tuple[Entry, ...]
    lessons: dict[str, Part]
    labs: dict[str, Table]

    def dial_pair(self, latent_dim: int, beta: float) -> dict[str, str] | None:
        """The address's query for the dial at beta, an AE of the same size left; None where it has no such model."""
        cards = [entry.card for entry in self.dial if entry.card.latent_dim == latent_dim]
        left = next((card for card in cards if card.model == "ae"), None)
        right = next((card for card in cards if card.model == "vae" and card.beta == beta), None)
        if left is None or right is None:
            return None
        return {"data": right.dataset, "d": str(latent_dim), "left": left.name, "right": right.name}


def read(root: Path = checkpoints.PRETRAINED) -> Catalogue:
    """All models in the folders of root, their weights checked by hash; parts are checked when they are served."""
    problems: list[str] = []

    def sound(folders: Iterable[Path], read_folder: Callable[[Path], Entry]) -> tuple[Entry, ...]:
        found = []
        for folder in folders:
            try:
                found.append(read_folder(folder))
            except DamagedFile as error:
                problems.append(f"{folder.name} is left out. {public(str(error), root)}.")
        return tuple(sorted(found, key=entry_order))

    folders = sorted(path for path in root.glob("*") if path.is_dir() and path.name not in OTHERS)
    entries = sound(folders, read_both_halves)
    dial = sound(sorted(path.parent for path in root.glob(f"{DIAL}/*/{atlas.MANIFEST}")), read_shown)
    if not entries:
        problems.append(
            f"There is no model in {root.name}: get the project's files again, or make them with: make pretrained."
        )
    judges = {}
    for folder in sorted(path.parent for path in root.glob(f"{JUDGES}/*/{checkpoints.CARD}")):
        try:
            judges[folder.name] = read_judge(folder)
        except DamagedFile as error:
            problems.append(f"The classifier of {folder.name} is left out. {public(str(error), root)}.")
    lessons, labs = read_lessons(root / LESSONS), read_tables(root / LABS)
    return Catalogue(root, entries, tuple(problems), judges, dial, lessons, labs)


@functools.cache
def shipped() -> Catalogue:
    """The models that ship with the project, read once a process."""
    return read()


def entry_order(entry: Entry) -> tuple[bool, str, int, str, float]:
    """MNIST first, then by data set, dimensions, model and beta."""
    card = entry.card
    return card.dataset != "mnist", card.dataset, card.latent_dim, card.model, card.beta


def read_both_halves(folder: Path) -> Entry:
    """A model in folder, its weights checked and among its parts: with them the browser can encode, too.

    A model that came as ONNX has no such weights.
    """
    entry, path = read_entry(folder), folder / checkpoints.WEIGHTS
    if entry.card.arch == checkpoints.ONNX:
        return entry
    weights = Part(path, entry.card.sha256, path.stat().st_size, packed=False)
    return dataclasses.replace(entry, parts={**entry.parts, "weights": weights})


def read_entry(folder: Path) -> Entry:
    """A model in folder, its weights checked."""
    checkpoints.verify(folder)
    return read_shown(folder)


def read_shown(folder: Path) -> Entry:
    """A model of which folder has the card and the atlas; it can be shown without its weights."""
    card, manifest = checkpoints.read_card(folder), atlas.read_manifest(folder)
    parts = {
        name: Part(path=atlas.part_path(folder, part["file"]), sha256=part["sha256"], bytes=part["bytes"])
        for name, part in manifest["parts"].items()
    }
    return Entry(card=card, manifest=manifest, parts=parts)


def read_judge(folder: Path) -> Judge:
    path = folder / checkpoints.CARD
    card = read_record(
        path, what="a classifier's card", known_format=JUDGE_FORMAT, max_bytes=checkpoints.MAX_CARD_BYTES
    )
    weights = folder / checkpoints.WEIGHTS
    try:
        _, height, width = card["image_shape"]
        part = Part(path=weights, sha256=str(card["sha256"]), bytes=weights.stat().st_size, packed=False)
        return Judge(part=part, layers=judge_layers(pooled_twice=min(height, width) >= JUDGE_SMALL_SIDE))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFile(f"{path} is not a classifier's card: {error}") from error
    except OSError as error:
        raise DamagedFile(f"{weights} cannot be read: {error.strerror}") from error


def read_lessons(folder: Path) -> dict[str, Part]:
    """The weights and tables of Learn; one that is not sound is missing, and its scene says so."""
    found = {}
    for path in sorted(folder.glob(f"*/{checkpoints.CARD}")):
        with contextlib.suppress(DamagedFile, OSError):
            weights, sha256 = path.parent / checkpoints.WEIGHTS, checkpoints.read_card(path.parent).sha256
            found[path.parent.name] = Part(weights, sha256, weights.stat().st_size, packed=False)
    return {**found, **{name: table.part for name, table in read_tables(folder).items()}}


def read_tables(folder: Path) -> dict[str, Table]:
    """The arrays in folder that have a record beside them, by name; one that is not sound is missing."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        arrays = path.with_suffix(".safetensors")
        with contextlib.suppress(DamagedFile, OSError, KeyError):
            record = read_record(path, what="a table", known_format=FORMAT, max_bytes=checkpoints.MAX_CARD_BYTES)
            part = Part(arrays, str(record["sha256"]), arrays.stat().st_size, packed=False)
            found[path.stem] = Table(part, record)
    return found


def judge_layers(*, pooled_twice: bool) -> tuple[dict[str, str], ...]:
    """The steps of explorer.classifier.Network, weights by their names in the file."""

    def learned(kind: str, name: str) -> dict[str, str]:
        return {"kind": kind, "weight": f"{name}.weight", "bias": f"{name}.bias"}

    pool, relu = {"kind": "max_pool"}, {"kind": "relu"}
    return (
        *(learned("conv", "body.0"), pool, relu),
        *(learned("conv", "body.3"), *([pool] if pooled_twice else []), relu),
        *(learned("conv", "body.6"), relu),
        *(learned("linear", "body.10"), relu, learned("linear", "head.2")),
    )


def encoder_layers(card: checkpoints.Card) -> tuple[dict[str, Any], ...]:
    """The steps of a model's encoder for a reader without torch, weights by their names in the weights file.

    They are explorer.models.mlp_encoder and conv_encoder, flattening left out: a flat array needs none.
    """
    conv = {"kind": "conv", "stride": 2, "padding": 1}
    first, body = (0, conv) if card.arch == "conv" else (1, {"kind": "linear"})
    last = first + 2 * len(card.hidden) + (1 if card.arch == "conv" else 0)

    def learned(layer: dict[str, Any], index: int) -> dict[str, Any]:
        return {**layer, "weight": f"encoder.{index}.weight", "bias": f"encoder.{index}.bias"}

    hidden = [(learned(body, first + 2 * i), {"kind": "relu"}) for i in range(len(card.hidden))]
    return (*(layer for pair in hidden for layer in pair), learned({"kind": "linear"}, last))


def for_browser(
    catalogue: Catalogue, titles: dict[str, tuple[str, tuple[str, ...]]], *, own: tuple[Entry, ...] = ()
) -> dict[str, Any]:
    """The catalogue in plain values, as the stage wants it. titles: by a data set's name, its title and classes.

    own: models that this visitor alone may see. A data set without a title there is as its models' atlases have it.
    """
    entries = (*catalogue.entries, *own)
    used = {entry.card.dataset for entry in entries}
    known = {name: About(*titles[name]) for name in titles if name in used}
    brought = {entry.card.dataset: about for entry in entries if (about := described.about_of(entry.manifest))}
    return {
        "datasets": {
            name: {**dataclasses.asdict(about), "classifier": describe_judge(catalogue.judges.get(name))}
            for name, about in {**brought, **known}.items()
        },
        "models": [*map(describe, catalogue.entries), *(describe(entry, folder="mine") for entry in own)],
        "dial": [*map(describe, catalogue.dial)],
        "problems": list(catalogue.problems),
    }


def describe(entry: Entry, *, folder: str = "atlas") -> dict[str, Any]:
    """One model in plain values. folder: where the browser fetches its parts."""
    wanted = ("name", "dataset", "model", "arch", "hidden", "image_shape", "latent_dim", "beta", "epochs", "seed")
    figures = ("n_train", "n_test", "test_recon", "test_recon_sampled", "test_kl", "parameters")
    return {
        **{key: getattr(entry.card, key) for key in (*wanted, *figures)},
        "own": folder == "mine",
        "n": entry.manifest["n"],
        "layers": entry.manifest["layers"],
        "decode": f"{folder}/{entry.card.name}/decode" if atlas.is_served(entry.manifest) else None,
        "drawn": entry.card.dataset.startswith(DRAWN),
        "encoder": list(encoder_layers(entry.card)) if "weights" in entry.parts else None,
        "trust": entry.manifest["trust"],
        "perfect_copy": entry.manifest["perfect_copy"],
        "parts": {name: {"url": f"{folder}/{part.sha256}", "bytes": part.bytes} for name, part in entry.parts.items()},
    }


def describe_judge(judge: Judge | None) -> dict[str, Any] | None:
    """A classifier in plain values, None where a data set has none."""
    return None if judge is None else {"url": f"atlas/{judge.part.sha256}", "layers": list(judge.layers)}
