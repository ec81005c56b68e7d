"""Train: choose a budget, watch an AE and a VAE learn the same data, keep them."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from explorer import data, demo, described, jobs, own_data, visitors
from explorer.files import DamagedFile, public, unwritten
from explorer.job import Training, is_id
from explorer.markdown import plain
from explorer.settings import ImageShape, Settings, check_architecture, count_parameters, is_table, parse_hidden
from explorer.stage import live

BETAS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 4.0, 10.0, 20.0, 50.0, 100.0)
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0)
BATCHES = (32, 64, 128, 256, 512, 1024, 2048)
MAX_LATENT_DIM, MAX_EPOCHS, MAX_WEIGHTS = 32, 200, 5_000_000
FEW = 20  # images
PRESETS = {
    "collapse": ("beta 20: KL costs so much that the code says nothing", {"beta": 20.0}),
    "barely regularised": ("beta 0.01: a VAE that is nearly an AE", {"beta": 0.01}),
    "one dimension": ("a code of one number: every image on one line", {"latent_dim": 1}),
    "back to the defaults": ("beta 1, two dimensions, 10 epochs", {}),
}
DEFAULTS: dict[str, Any] = {
    "data": "mnist",
    "arch": "mlp",
    "hidden_mlp": "512,256",
    "hidden_conv": "16,32",
    "latent_dim": 2,
    "beta": 1.0,
    "epochs": 10,
    "batch_size": 256,
    "lr": 1e-3,
    "seed": 0,
}
HELP = {
    "data": "Both models see the same images in the same order. Bring your own on the page Yours.",
    "latent_dim": "How many numbers the code has.",
    "arch": "mlp: fully connected layers. conv: layers of 4×4 filters, each halves the side.",
    "hidden": "Widths of the encoder's layers (mlp) or its channels (conv), with commas; the decoder mirrors them.",
    "beta": "The weight of KL in the VAE's loss: 0 is a stochastic AE, 1 the bound itself; more means more order and "
    "worse copies.",
    "epochs": "Passes over all training images.",
    "lr": "Adam's step. Too large a one diverges: then the last good weights are kept.",
    "batch_size": "Images a step.",
    "seed": "Of first weights, order and noise: the same seed gives the same models.",
}
GONE = "There is no such data set here any more: bring it again, or choose another one"


@dataclass(frozen=True)
class Source:
    """What may be trained on: its name, what the person reads, one item's shape, and how many there are to train on.

    folder: where one's own set lies.
    """

    dataset: str
    label: str
    image_shape: ImageShape
    n: int
    full: bool = False
    folder: Path | None = None


def most_epochs() -> int:
    return demo.MAX_EPOCHS if demo.mode() else MAX_EPOCHS


def defaults() -> dict[str, Any]:
    """What the widgets start with, within what this server grants."""
    return {**DEFAULTS, "epochs": min(DEFAULTS["epochs"], most_epochs())}


def choose_preset(values: dict[str, object]) -> None:
    st.session_state.update({**defaults(), "data": st.session_state["data"], **values})


def sources(visitor: str) -> dict[str, Source]:
    """By its key, all that this visitor may train on."""
    titles = {name: title for name, (title, _) in data.titles().items()}
    large = {name: Source(name, f"{titles[name]}, 10,000 images", (1, 28, 28), 10_000) for name in data.PUBLISHED}
    full = {
        f"{name} full": replace(one, label=f"{titles[name]}, all 60,000", n=60_000, full=True)
        for name, one in large.items()
        if data.has_full(name) and not demo.mode()
    }
    digits = Source("digits", f"{titles['digits']}, 1,438 images", (1, 8, 8), 1438)
    return {**large, **full, "digits": digits, **own_sources(visitor)}


def own_sources(visitor: str) -> dict[str, Source]:
    """The visitor's own sets. What a person chooses by must differ, so a second one of a name gets a number."""
    found, seen = {}, Counter[str]()
    for own in visitors.data_shelf().of(visitor):
        label = f"{own.title}, {size_of(own)}"
        seen[label] += 1
        number = f" ({seen[label]})" if seen[label] > 1 else ""
        found[own.name] = Source(own.name, label + number, own.image_shape, own.n_train, folder=own.folder)
    return found


def size_of(own: visitors.OwnSet) -> str:
    channels, height, width = own.image_shape
    if height == 1:
        return f"{own.n_train:,} rows of {width:,} features"
    return f"{own.n_train:,} {'colour ' if channels == 3 else ''}images, {height}×{width}"


def first_choice(there: dict[str, Source]) -> None:
    """What the address asks for, and what is gone since it was chosen."""
    asked = st.query_params.get("data")
    if "data" not in st.session_state and asked:
        st.session_state["data"] = asked
    if st.session_state.get("data", DEFAULTS["data"]) not in there:
        del st.session_state["data"]
        st.warning(f"{GONE}.")


def controls(there: dict[str, Source]) -> None:
    """The widgets; what they say is read by as_chosen."""
    first_choice(there)
    for key, value in defaults().items():
        st.session_state.setdefault(key, value)
    what, network, weights, steps = st.columns(4)
    what.selectbox("Data", list(there), format_func=lambda key: there[key].label, key="data", help=HELP["data"])
    what.slider("Latent dimensions", 1, MAX_LATENT_DIM, key="latent_dim", help=HELP["latent_dim"])
    arch = network.segmented_control("Network", ["mlp", "conv"], key="arch", required=True, help=HELP["arch"])
    network.text_input("Hidden sizes", key=f"hidden_{arch}", help=HELP["hidden"])
    weights.select_slider("beta (the VAE's only)", BETAS, key="beta", help=HELP["beta"])
    weights.number_input("Epochs", 1, most_epochs(), key="epochs", help=HELP["epochs"])
    steps.select_slider("Learning rate", RATES, key="lr", format_func=lambda rate: f"{rate:g}", help=HELP["lr"])
    left, right = steps.columns(2)
    left.selectbox("Batch", BATCHES, key="batch_size", help=HELP["batch_size"])
    right.number_input("Seed", 0, 2**32 - 2, key="seed", help=HELP["seed"])


def as_chosen(there: dict[str, Source]) -> tuple[Settings, Source]:
    """The settings and the data as the widgets have them. Raises ValueError for what cannot be trained here."""
    keys = ("arch", "latent_dim", "beta", "epochs", "batch_size", "lr", "seed")
    values = {key: st.session_state[key] for key in keys}
    source = there.get(st.session_state["data"])
    if source is None:
        raise ValueError(GONE)
    hidden = parse_hidden(st.session_state[f"hidden_{values['arch']}"], name="Hidden sizes")
    chosen = Settings(dataset=source.dataset, hidden=hidden, **values)
    check(chosen, source)
    return chosen, source


def weights_of(chosen: Settings, source: Source) -> tuple[int, int]:
    """How many the AE and the VAE would have. Raises ValueError if they cannot be built."""
    network = {"latent_dim": chosen.latent_dim, "arch": chosen.arch, "hidden": chosen.hidden}
    check_architecture(image_shape=source.image_shape, **network)  # type: ignore[arg-type]
    ae, vae = (count_parameters(model, image_shape=source.image_shape, **network) for model in ("ae", "vae"))  # type: ignore[arg-type]
    return ae, vae


def check(chosen: Settings, source: Source) -> None:
    """Raise ValueError, in a sentence, if the pair cannot be trained here."""
    if is_table(source.image_shape) and chosen.arch == "conv":
        raise ValueError("The rows of a table are no pictures, so conv has no neighbours to look at: choose mlp")
    _, vae = weights_of(chosen, source)
    demo.check_training(chosen, shipped=not source.full and source.folder is None)
    if vae > MAX_WEIGHTS:
        raise ValueError(f"On this page a model may have at most {MAX_WEIGHTS:,} weights, this one has {vae:,}")
    chosen.check(image_shape=source.image_shape, n=source.n)


def size_of_pair(chosen: Settings, source: Source) -> str:
    ae, vae = weights_of(chosen, source)
    return (
        f"{ae:,} weights in the AE; {vae:,} in the VAE, whose encoder gives two numbers a dimension. "
        "Everything but beta is the same for both."
    )


def about_source(source: Source) -> str:
    """How one's own data is scaled, and what there is too little of."""
    if source.folder is None:
        return ""
    try:
        about = own_data.read_about(source.folder)
    except DamagedFile as error:
        raise ValueError("This data set cannot be read any more: bring it again") from error
    scaled = (
        "Each feature is scaled: its lowest value is 0, its highest 1, in 256 steps."
        if is_table(source.image_shape)
        else ""
    )
    single = "All are of one class, so the maps have one colour." if len(about["classes"]) == 1 else ""
    few = f"{source.n} to train on are very few: the models will know them by heart." if source.n < FEW else ""
    return " ".join(filter(None, (scaled, single, few)))


def start() -> None:
    """Order what the widgets say now: the click that starts may also end the typing of a number."""
    try:
        chosen, source = as_chosen(sources(visitors.visitor_of(st.context.cookies)))
    except ValueError as error:
        st.session_state["refusal"] = f"{error}."
        return
    submit(chosen, full=source.full, data_folder=source.folder)


def submit(
    chosen: Settings, *, full: bool = False, data_folder: Path | None = None, earlier: Path | None = None
) -> None:
    """Order a training and put its id into the address; or say why not."""
    visitor = visitors.visitor_of(st.context.cookies)
    if not visitor:
        st.session_state["refusal"] = (
            "Training needs a cookie, so that nobody else can see or stop it: allow cookies and reload the page."
        )
        return
    try:
        st.query_params["job"] = (
            jobs.here().submit(visitor, chosen, full=full, data_folder=data_folder, earlier=earlier).id
        )
    except jobs.Refused as refusal:
        st.session_state["refusal"] = f"{refusal}."


def form(visitor: str, *, running: bool) -> None:
    with st.expander("What to train", expanded=not running):
        with st.container(horizontal=True):
            for name, (why, values) in PRESETS.items():
                st.button(name.capitalize(), help=why, on_click=choose_preset, args=(values,), type="tertiary")
        there = sources(visitor)
        controls(there)
        try:
            chosen, source = as_chosen(there)
            st.caption(size_of_pair(chosen, source))
            if said := about_source(source):
                st.caption(said)
            possible = True
        except ValueError as error:
            st.warning(plain(f"{error}."))
            possible = False
        st.button("Start", type="primary", disabled=not possible, on_click=start)


def go_on(name: str, more: int) -> None:
    """Train a kept pair for some epochs more, from exactly where it stood."""
    visitor = visitors.visitor_of(st.context.cookies)
    pair = visitors.shelf().pairs(visitor)[name]
    card = next(entry.card for entry in pair.entries if entry.card.model == "vae")
    keys = ("dataset", "arch", "hidden", "latent_dim", "beta", "batch_size", "lr", "seed")
    chosen = Settings(**{key: getattr(card, key) for key in keys}, epochs=card.epochs + more)
    full, own = card.dataset in data.PUBLISHED and card.data_source == "the full set", card.dataset not in data.NAMES
    data_folder = visitors.data_shelf().sets(visitor).get(card.dataset)
    if own and data_folder is None:
        st.session_state["refusal"] = (
            f"The data that {name} was trained on is not here any more: bring it again, then it can go on."
        )
        return
    submit(chosen, full=full, data_folder=data_folder, earlier=pair.folders[0].parent)


def bring(visitor: str) -> None:
    """Put the models of an uploaded file on the shelf, or say what is wrong with it."""
    file = st.session_state["upload"]
    if file is None:
        return
    from explorer import packing

    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            folders = packing.unpack(file.getvalue(), Path(folder) / "models")
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(file.name).stem).strip("-._")[:30] or "brought"
            names = visitors.shelf().keep(visitor, folders, name=name, uploaded=True)
        except ValueError as error:
            st.session_state["refusal"] = f"{file.name} cannot be loaded. {public(str(error))}."
            return
        except OSError as error:
            st.session_state["refusal"] = f"{unwritten(error, then='load it again')}."
            return
    st.session_state["welcome"] = f"Loaded as {' and '.join(names)}: choose them in Explore."


def own_models(visitor: str) -> None:
    """What this visitor has kept: download, go on, remove; and a place to bring more."""
    pairs = {name: pair for name, pair in visitors.shelf().pairs(visitor).items() if not pair.is_onnx}
    if demo.mode() and not pairs:
        return
    with st.expander(f"Your models ({len(pairs)})" if pairs else "Your models: load a file", expanded=False):
        for pair in pairs.values():
            row = st.container(horizontal=True, vertical_alignment="center")
            cards = [entry.card for entry in pair.entries]
            first = cards[0]
            about = described.about_of(pair.entries[0].manifest)
            # As text: a title is anybody's, and must not become a link or a picture.
            row.text(
                f"{pair.name}: {' and '.join(card.model.upper() for card in cards)} of "
                f"{about.title if about else first.dataset}, "
                f"{first.latent_dim} dimensions, {first.epochs} epochs"
            )
            models = {"left": cards[0].name, "right": cards[-1].name}
            query = urlencode({"data": first.dataset, "d": first.latent_dim, **models})
            row.markdown(f"[Explore](./?{query}) · [Download](./kept/{pair.name}.zip)")
            if pair.can_go_on and not demo.mode():
                row.button("10 epochs more", key=f"more {pair.name}", on_click=go_on, args=(pair.name, 10))
            row.button("Remove", key=f"remove {pair.name}", on_click=visitors.shelf().remove, args=(visitor, pair.name))
        if not demo.mode():
            st.file_uploader(
                "Load a file that was downloaded here or elsewhere (.zip)",
                type="zip",
                key="upload",
                on_change=bring,
                args=(visitor,),
            )
    if welcome := st.session_state.pop("welcome", None):
        st.success(plain(welcome))


jobs.here().warm()
st.header("Train", anchor=False)
st.caption("An autoencoder and a variational autoencoder learn the same data, on the same budget, side by side.")
visitor = visitors.visitor_of(st.context.cookies)
job_id = st.query_params.get("job", "")
job = jobs.here().get(job_id, visitor)
if demo.mode():
    st.info(demo.sentence())
if demo.mode() != demo.LOOK:
    form(visitor, running=job is not None)
if visitor:
    own_models(visitor)
if refusal := st.session_state.pop("refusal", None):
    st.warning(plain(refusal))
told = st.empty()
if job_id and not isinstance(job, Training):
    told.info("There is no such training of yours on this server: it has ended long ago, or another person started it.")
if is_id(job_id):  # also of one that is not known here: behind a proxy this may not be the server that trains it
    live(job_id)
