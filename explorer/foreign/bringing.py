"""A model made of ONNX files: checked by running it, encoded, measured, its maps drawn, saved beside its card.

Without an encoder no image has a code. Then codes are drawn from N(0, I), and what the decoder makes of them stands
where images of the data would be: a data set of its own, whose title says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from explorer import atlas, catalogue, checkpoints, data, own_data, projection
from explorer.data import About
from explorer.files import sha256, write_record
from explorer.foreign import structure
from explorer.foreign.limits import MAX_CODES, MAX_FILE_BYTES, MAX_ITEMS
from explorer.foreign.live import layers_of
from explorer.foreign.network import UNITS, Decoder, Encoder
from explorer.foreign.structure import Graph
from explorer.sandbox import Tell

LEAST = 1e-7  # a probability's distance from 0 and 1, so that its logarithm is finite
SEED = 0


@dataclass(frozen=True)
class Order:
    """What is brought. kind: ae or vae; units: one of UNITS; folder: where the model goes, decoder.onnx is there.

    encoder: in the same folder, if there is one. dataset: a shipped one's name, or own data in data_folder.
    """

    kind: str
    units: str
    dataset: str
    folder: str
    encoder: str | None = None
    data_folder: str | None = None

    def check(self) -> None:
        if self.kind not in ("ae", "vae") or self.units not in UNITS:
            raise ValueError(f"A model is ae or vae and its values {', '.join(UNITS)}, got {self.kind}, {self.units}")


@dataclass(frozen=True)
class Items:
    """Held-out items x uint8 [N, C, H, W], their labels, and what the data set is called."""

    dataset: str
    x: np.ndarray
    y: np.ndarray
    about: About | None
    title: str


def bring(order: Order, tell: Tell) -> list[str]:
    """Make the model that is ordered; returns what was recognised, in sentences. Raises ValueError."""
    order.check()
    folder = Path(order.folder)
    tell("Reading the files", 0, 0)
    items = held_out(order)
    image_shape = items.x.shape[1:]
    graph = structure.read(content_of(folder / checkpoints.ONNX_DECODER), what="decoder")
    decoder = Decoder(graph, image_shape=image_shape, units=order.units)
    encoder = encoder_of(order, decoder)
    said = [decoder.check(draws(decoder.latent_dim)[:MAX_CODES])]
    tell("Encoding", 0, 0)
    if encoder:
        said.append(encoder.check(unit(items.x[:MAX_CODES])))
        mu, logvar = encoder(unit(items.x))
    else:
        mu, logvar = draws(decoder.latent_dim), None
        items = drawn(items, mu, decoder, name=sha256(graph.content)[:12])
        said.append("There is no encoder: the points are draws from N(0, I), and their images are what it decodes.")
    tell("Measuring", 0, 0)
    figures = measure(items.x, mu, logvar, decoder)
    tell("Drawing the maps", 0, 0)
    live = layers_of(decoder, order.units)
    layers, weights = live or (({"kind": atlas.SERVED, "units": order.units},), {})
    said.append(
        "Its decoder is a plain chain of layers: it is live in the browser."
        if live
        else "It is not live: each image comes from the server."
    )
    made = atlas.of_codes(
        mu,
        items.x,
        items.y,
        logvar=logvar,
        decoder=weights,
        layers=layers,
        seed=SEED,
        with_umap=False,  # that takes ten times as long as all the rest: see draw
        about=items.about,
    )
    atlas.save(made, folder)
    graphs = [graph, *([encoder.session.graph] if encoder else [])]
    save_card(folder, order, graphs, items, decoder.latent_dim, figures)
    return said


def draw(folder: Path) -> None:
    """Add UMAP to the atlas of the model in folder, where there are codes enough for it."""
    there = atlas.load(folder)
    if len(there.codes["codes"]) >= projection.UMAP_LEAST:
        drawn = atlas.umap_arrays(there.codes["codes"], seed=SEED)
        atlas.save(replace(there, codes={**there.codes, **drawn}), folder)


def save_card(
    folder: Path, order: Order, graphs: list[Graph], items: Items, latent_dim: int, figures: dict[str, float]
) -> None:
    card = checkpoints.Card(
        format=checkpoints.FORMAT,
        name=folder.name,
        dataset=items.dataset,
        data_source="brought as ONNX: unknown",
        data_sha256="",
        n_train=0,
        n_test=len(items.x),
        model=order.kind,
        arch=checkpoints.ONNX,
        hidden=(),
        image_shape=items.x.shape[1:],
        latent_dim=latent_dim,
        beta=0.0,
        epochs=0,
        batch_size=0,
        lr=0.0,
        seed=SEED,
        parameters=sum(graph.parameters for graph in graphs),
        history=(),
        versions={"opset": str(graphs[0].opset)},
        sha256=sha256(graphs[0].content),
        **figures,
    )
    write_record(folder / checkpoints.CARD, asdict(card), durable=False)


def held_out(order: Order) -> Items:
    """The held-out items of the data set that was chosen, taken evenly from all where there are many."""
    if order.data_folder is None:
        x, y = atlas.held_out(order.dataset)
        return Items(order.dataset, x[:MAX_ITEMS], y[:MAX_ITEMS], None, data.titles()[order.dataset][0])
    own = own_data.load(Path(order.data_folder))
    every = -(-len(own.x_test) // MAX_ITEMS)
    return Items(own.name, own.x_test[::every], own.y_test[::every], own.about, own.title)


def drawn(items: Items, z: np.ndarray, decoder: Decoder, *, name: str) -> Items:
    """What the decoder makes of draws, in place of a data set's items."""
    x = np.rint(255 * decoder(z)).astype(np.uint8)
    title = f"drawn from N(0, I), as large as {items.title}"
    features = items.about.features if items.about else ()
    return Items(f"{catalogue.DRAWN}{name}", x, np.zeros(len(x), np.uint8), About(title, ("drawn",), features), title)


def encoder_of(order: Order, decoder: Decoder) -> Encoder | None:
    if order.encoder is None:
        return None
    graph = structure.read(content_of(Path(order.folder) / order.encoder), what="encoder")
    return Encoder(
        graph, image_shape=decoder.image_shape, latent_dim=decoder.latent_dim, kind=order.kind, units=order.units
    )


def content_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def draws(latent_dim: int) -> np.ndarray:
    """float32 [2000, latent_dim] from N(0, I), always the same."""
    return np.random.default_rng(SEED).standard_normal((MAX_ITEMS, latent_dim)).astype(np.float32)


def unit(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) / 255


def measure(x: np.ndarray, mu: np.ndarray, logvar: np.ndarray | None, decoder: Decoder) -> dict[str, float]:
    """recon and kl in nats an item, as a card holds them: of the code itself, of a z from the posterior, and KL."""
    plain = recon(x, decoder(mu))
    if logvar is None:
        return {"test_recon": plain, "test_recon_sampled": plain, "test_kl": 0.0}
    noise = np.random.default_rng(SEED).standard_normal(mu.shape)
    sampled = decoder((mu + np.exp(logvar / 2) * noise).astype(np.float32))
    kl = atlas.kl_per_dim(mu, {"logvar": logvar}).sum()
    return {"test_recon": plain, "test_recon_sampled": recon(x, sampled), "test_kl": float(kl)}


def recon(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Binary cross-entropy in nats, summed over an item's values, mean over the items."""
    t, p = unit(x).astype(np.float64), x_hat.astype(np.float64).clip(LEAST, 1 - LEAST)
    return float(-(t * np.log(p) + (1 - t) * np.log1p(-p)).sum() / len(x))
