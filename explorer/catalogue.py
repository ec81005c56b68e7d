"""What models there are to look at, and where the browser finds their atlases. Needs the standard library alone."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer import atlas, checkpoints
from explorer.files import DamagedFile

JUDGES = "classifiers"  # the one folder beside the models that is none


@dataclass(frozen=True)
class Part:
    """A file the browser may fetch as atlas/<sha256>."""

    path: Path
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Entry:
    """One model: its card and its atlas's manifest (layers of the decoder, sizes) and parts."""

    card: checkpoints.Card
    manifest: dict[str, Any]
    parts: dict[str, Part]


@dataclass(frozen=True)
class Catalogue:
    """The models in the folders of root that are sound, and a sentence about each that is not."""

    root: Path
    entries: tuple[Entry, ...]
    problems: tuple[str, ...]


def read(root: Path = checkpoints.PRETRAINED) -> Catalogue:
    """All models in the folders of root, their weights checked by hash; parts are checked when they are served."""
    entries, problems = [], []
    for folder in sorted(path for path in root.glob("*") if path.is_dir() and path.name != JUDGES):
        try:
            entries.append(read_entry(folder))
        except DamagedFile as error:
            problems.append(f"{folder.name} is left out. {public(str(error), root)}.")
    if not entries:
        problems.append(
            f"There is no model in {root.name}: get the project's files again, or make them with: make pretrained."
        )
    return Catalogue(root=root, entries=tuple(sorted(entries, key=entry_order)), problems=tuple(problems))


@functools.cache
def shipped() -> Catalogue:
    """The models that ship with the project, read once a process."""
    return read()


def entry_order(entry: Entry) -> tuple[bool, str, int, str]:
    """MNIST first, then by data set, dimensions and model."""
    card = entry.card
    return card.dataset != "mnist", card.dataset, card.latent_dim, card.model


def read_entry(folder: Path) -> Entry:
    card, manifest = checkpoints.verify(folder), atlas.read_manifest(folder)
    parts = {
        name: Part(path=atlas.part_path(folder, part["file"]), sha256=part["sha256"], bytes=part["bytes"])
        for name, part in manifest["parts"].items()
    }
    return Entry(card=card, manifest=manifest, parts=parts)


def for_browser(
    catalogue: Catalogue, titles: dict[str, tuple[str, tuple[str, ...]]], *, own: tuple[Entry, ...] = ()
) -> dict[str, Any]:
    """The catalogue in plain values, as the stage wants it. titles: by a data set's name, its title and classes.

    own: models that this visitor alone may see.
    """
    used = {entry.card.dataset for entry in (*catalogue.entries, *own)}
    return {
        "datasets": {
            name: {"title": title, "classes": list(classes)}
            for name, (title, classes) in titles.items()
            if name in used
        },
        "models": [*map(describe, catalogue.entries), *(describe(entry, folder="mine") for entry in own)],
        "problems": list(catalogue.problems),
    }


def describe(entry: Entry, *, folder: str = "atlas") -> dict[str, Any]:
    """One model in plain values. folder: where the browser fetches its parts."""
    wanted = ("name", "dataset", "model", "arch", "hidden", "image_shape", "latent_dim", "beta", "epochs", "seed")
    figures = ("n_train", "n_test", "test_recon", "test_recon_sampled", "test_kl", "parameters")
    card = dataclasses.asdict(entry.card)
    return {
        **{key: card[key] for key in (*wanted, *figures)},
        "n": entry.manifest["n"],
        "layers": entry.manifest["layers"],
        "trust": entry.manifest["trust"],
        "perfect_copy": entry.manifest["perfect_copy"],
        "parts": {name: {"url": f"{folder}/{part.sha256}", "bytes": part.bytes} for name, part in entry.parts.items()},
    }


def public(message: str, root: Path) -> str:
    """The message without the server's own folders: what a visitor may read."""
    return message.replace(f"{root.parent}/", "").replace(f"{root}/", "")
