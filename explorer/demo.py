"""A server for everybody: LATENT_EXPLORER_DEMO=look grants looking, try also small trainings; unset, all is granted.

Refused where work is taken, whoever asks; the pages only say so beforehand.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from explorer import data
from explorer.settings import Settings, count_parameters

SETTING = "LATENT_EXPLORER_DEMO"
LOOK, TRY = "look", "try"
MAX_EPOCHS = 5
MAX_WEIGHTS = 1_200_000  # room for the network that the page proposes
TRAINING_S = 120.0
ACTIVE_A_VISITOR = 1
USUAL_SHAPE = (1, 28, 28)  # no shipped set has larger images
YOUR_OWN = "run your own, with make run, to have it"


def mode() -> str:
    """look, try, or "" where this is no demo. Raises ValueError for anything else: a demo must not open by a slip."""
    asked = os.environ.get(SETTING, "")
    if asked not in ("", LOOK, TRY):
        raise ValueError(f"{SETTING} must be {LOOK} or {TRY}, or not be set; got {asked[:40]!r}")
    return asked


def sentence() -> str:
    """What is off, for a page; "" where nothing is."""
    off = {
        LOOK: "This is a public demo: nothing is trained, measured or computed anew here, and no files are taken.",
        TRY: f"This is a public demo: it trains small models of the shipped images, {MAX_EPOCHS} epochs and "
        f"{TRAINING_S / 60:g} minutes at most, one at a time, and takes no files.",
    }
    return f"{off[mode()]} On a machine of your own, make run gives you all of it." if mode() else ""


def check_upload() -> None:
    """Raise ValueError, in a sentence, where nothing may be brought."""
    if mode():
        raise ValueError(f"This public demo takes no files: {YOUR_OWN}")


def check_work() -> None:
    """Raise ValueError, in a sentence, where nothing may be computed that takes the server longer than an answer."""
    if mode() == LOOK:
        raise ValueError(f"This public demo computes nothing anew: {YOUR_OWN}")


def check_training(chosen: Settings, *, shipped: bool) -> None:
    """Raise ValueError, in a sentence, for a training that is too much here.

    shipped: whether it starts afresh, on images that come with the project.
    """
    check_work()
    if mode() != TRY:
        return
    if not shipped or chosen.dataset not in data.NAMES:
        raise ValueError(f"This public demo trains afresh, on the shipped images only: {YOUR_OWN}")
    if chosen.epochs > MAX_EPOCHS:
        raise ValueError(f"This public demo trains {MAX_EPOCHS} epochs at most, not {chosen.epochs}: {YOUR_OWN}")
    network = {"latent_dim": chosen.latent_dim, "arch": chosen.arch, "hidden": chosen.hidden}
    weights = count_parameters("vae", image_shape=USUAL_SHAPE, **network)  # type: ignore[arg-type]
    if weights > MAX_WEIGHTS:
        raise ValueError(f"This public demo trains models of {MAX_WEIGHTS:,} weights at most: {YOUR_OWN}")


def check_lab(chosen: Mapping[str, object], *, given: bool) -> None:
    """Raise ValueError, in a sentence, for a lab's run that is too much here. given: whether a file comes with it."""
    check_work()
    if given:
        check_upload()
    if mode() == TRY and chosen.get("full"):
        raise ValueError(f"This public demo uses the images that ship with it: {YOUR_OWN}")
