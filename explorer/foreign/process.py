"""Bringing a model in a process of its own, bounded in time and memory, with word of how far it is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from explorer import sandbox
from explorer.foreign.bringing import Order
from explorer.foreign.limits import AT_ONCE, BRINGING_S, MEMORY_BYTES

room = sandbox.Room(AT_ONCE)


def bring(order: Order, *, visitor: str, tell: sandbox.Tell, longest_s: float = BRINGING_S) -> list[str]:
    """Make the model in the order's folder; returns what was recognised, in sentences.

    Raises ValueError, in one sentence, for what cannot be brought, and for a second one of the visitor's at a time.
    """
    told = {"do": "bring", **asdict(order)}
    with room.turn(visitor, waiting="Waiting until others' models are read", tell=tell):
        done = sandbox.follow("explorer.foreign", told, tell=tell, longest_s=longest_s, cwd=Path(order.folder))
    if done is None:
        raise ValueError(
            f"The model takes more than one may take here, {MEMORY_BYTES / 1e9:g} GB of memory and "
            f"{BRINGING_S / 60:g} minutes, or it cannot be run at all: bring a smaller one"
        )
    return list(done["said"])


def draw(folder: Path, *, longest_s: float = BRINGING_S) -> bool:
    """Add UMAP to the atlas of the model in folder; whether that worked. Without it the other views are there."""
    order = {"do": "draw", "folder": str(folder)}
    return sandbox.follow("explorer.foreign", order, tell=lambda *_: None, longest_s=longest_s) is not None
