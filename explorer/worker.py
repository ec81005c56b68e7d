"""A process that trains one model, or runs one lab, and says how it goes: python -m explorer.worker.

It reads JSON lines, one order and then perhaps a word to stop, and writes JSON lines, its news. It starts with torch in
memory and waits, so that a training can begin at once. When its reader is gone, so is it.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explorer import atlas, checkpoints, data, logs, models, own_data, resume, training
from explorer.files import DamagedFile, public, unwritten, write_whole
from explorer.labs import work as labs
from explorer.loaded import Model
from explorer.settings import Settings
from explorer.sketch import POINTS, sketch
from explorer.workers import end_with_reader_alone, say

if TYPE_CHECKING:
    from explorer.data import Dataset

MOMENTS_AN_EPOCH = 4
STEPS_A_MOMENT = 20  # of a long epoch
COLLAPSED_KL = 0.05  # nats
NICE = 10  # the server and the pages it serves come first


class Worker:
    """One training: of which model, on what, where its files go."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.settings = Settings.of(order["settings"])
        self.kind: str = order["model"]
        self.folder = Path(order["folder"])
        self.max_bytes: int = order["max_bytes"]
        self.earlier = Path(order["earlier"]) if order.get("earlier") else None
        self.full: bool = order["full"]
        self.data_folder = Path(order["data_folder"]) if order.get("data_folder") else None
        self.wish: str | None = None
        self.exact = True  # whether the state fits the weights: after a loss that is no number it does not
        self.count: int = order.get("moments", 0)
        self.trained: bool = order.get("trained", False)
        self.warned: set[str] = set()

    def listen(self) -> None:
        """Hear a wish to stop ("keep" or "drop"); without a reader nobody wants the result."""
        for line in sys.stdin:
            self.wish = json.loads(line)["stop"]
        os._exit(0)

    def run(self) -> None:
        self.dataset = self.load_data()
        self.chosen = self.choose_shown()
        if self.trained:
            self.draw(Model.load(self.folder), with_umap=True)
            return
        self.settings.check(image_shape=self.dataset.image_shape, n=len(self.dataset.x_train))
        x_train, x_test = (torch.from_numpy(x) for x in (self.dataset.x_train, self.dataset.x_test))
        self.shown = x_test[self.chosen]
        self.make_model()
        self.say_model()
        self.say_moment(training.Moment(epoch=self.state.epoch, recon=0, kl=0, images=0, seconds=0))
        try:
            self.train(x_train, x_test)
        except training.Diverged as error:
            if not self.state.history:
                raise
            self.exact = False
            say("warning", text=f"{self.kind.upper()}: {error}.")
        if self.wish == "drop":
            say("dropped")
            return
        self.keep(x_test)

    def load_data(self) -> Dataset:
        """The set that was ordered. Raises ValueError for one that is gone or damaged, without the server's paths."""
        try:
            if self.data_folder:
                return own_data.load(self.data_folder)
            return (data.load_full if self.full else data.load_subset)(self.settings.dataset)
        except DamagedFile as error:
            way_out = "bring it again" if self.data_folder else "get the project's files, or the full set, again"
            raise ValueError(f"The data set cannot be read any more: {way_out}") from error

    def choose_shown(self) -> slice | np.ndarray:
        """Which held-out images are shown. One's own may come class by class: then they are taken evenly from all."""
        n = len(self.dataset.x_test)
        return slice(POINTS) if self.data_folder is None else np.arange(n)[:: -(-n // POINTS)]

    def make_model(self) -> None:
        if self.earlier:
            self.model, self.state, about = resume.load(self.earlier)
            if about.get("data_sha256") != self.dataset.sha256:
                raise ValueError("These models were trained on other images than the ones here: they cannot go on")
            return
        s = self.settings
        self.model = models.build(
            self.kind,
            seed=s.seed,
            image_shape=self.dataset.image_shape,
            latent_dim=s.latent_dim,
            arch=s.arch,
            hidden=s.hidden,
        )
        self.state = training.begin(self.model, lr=s.lr, seed=s.seed)

    def say_model(self) -> None:
        """What the browser has to know of the model, and the images on its map."""
        labels = self.dataset.y_test[self.chosen]
        arrays = {"images": self.shown.numpy(), "labels": labels}
        write_whole(self.folder / "images.safetensors", atlas.pack(arrays), durable=False)
        say(
            "model",
            name=self.folder.name,
            model=self.kind,
            image_shape=self.model.image_shape,
            n=len(labels),
            n_train=len(self.dataset.x_train),
            n_test=len(self.dataset.x_test),
            source=self.dataset.source,
            data=asdict(self.dataset.about),
            perfect_copy=atlas.perfect_copy(arrays["images"]),
            parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            layers=atlas.decoder_layers(self.model),
            done=[asdict(stats) for stats in self.state.history],
            **{key: value for key, value in self.settings.record().items() if key != "beta"},
            beta=self.settings.budget(self.kind)["beta"],
        )

    def train(self, x_train: torch.Tensor, x_test: torch.Tensor) -> None:
        steps = -(-len(x_train) // self.settings.batch_size)
        every = max(1, min(STEPS_A_MOMENT, steps // MOMENTS_AN_EPOCH))
        budget = self.settings.budget(self.kind)
        for news in training.moments(self.model, x_train, x_test, state=self.state, every=every, **budget):
            if isinstance(news, training.Moment):
                self.say_moment(news)
            else:
                resume.save(self.folder, self.model, self.state, about=self.about())
                say("epoch", **asdict(news))
                self.warn(news)
            self.check_memory()
            if self.wish:
                return

    def say_moment(self, moment: training.Moment) -> None:
        """A sketch of this moment as a file, and word of it."""
        made = sketch(self.model, self.shown)
        name = f"moment-{self.count:05}.safetensors"
        self.count += 1
        write_whole(self.folder / name, atlas.pack(made.arrays), durable=False)
        say("moment", file=name, kl_per_dim=made.kl_per_dim, active_units=made.active_units, **asdict(moment))

    def warn(self, stats: training.EpochStats) -> None:
        """Say once what goes wrong, and why."""
        history = self.state.history
        if self.kind == "vae" and self.settings.beta > 0 and stats.test_kl < COLLAPSED_KL:
            self.warn_once(
                f"VAE: KL has collapsed to {stats.test_kl:.3f} nats in epoch {stats.epoch}. The encoder gives every "
                "image the same cloud, so the decoder can only paint the mean. A smaller beta lets the code speak."
            )
        if len(history) > 1 and stats.loss > 1.5 * min(past.loss for past in history):
            self.warn_once(
                f"{self.kind.upper()}: the loss rises: {stats.loss:.0f} nats in epoch {stats.epoch}, it was "
                f"{min(past.loss for past in history):.0f}. A smaller learning rate is steadier."
            )

    def warn_once(self, text: str) -> None:
        kind = text.split(":")[1][:20]
        if kind not in self.warned:
            self.warned.add(kind)
            say("warning", text=text)

    def check_memory(self) -> None:
        used = resource_peak()
        if used > self.max_bytes:
            raise MemoryError(
                f"The training needs {used / 1e6:.0f} MB, more than the {self.max_bytes / 1e6:.0f} allowed"
            )

    def about(self) -> dict[str, Any]:
        return {
            "settings": self.settings.record(),
            "dataset": self.dataset.name,
            "data_sha256": self.dataset.sha256,
            "full": self.full,
        }

    def keep(self, x_test: torch.Tensor) -> None:
        """State, weights, card and atlas; the atlas first without UMAP, which takes its time."""
        say("ending")
        if self.exact:
            resume.save(self.folder, self.model, self.state, about=self.about())
        recon, kl = training.evaluate(self.model, x_test, seed=self.settings.seed)
        budget = self.settings.budget(self.kind)
        card = checkpoints.save(
            self.folder,
            self.model,
            name=self.folder.name,
            model=self.kind,
            test_recon=training.evaluate_mean_code(self.model, x_test),
            test_recon_sampled=recon,
            test_kl=kl,
            history=tuple(asdict(stats) for stats in self.state.history),
            versions=checkpoints.library_versions(),
            **self.dataset.origin,
            **{**budget, "epochs": self.state.epoch},
        )
        for with_umap in (False, True):
            self.draw(Model(self.model.eval(), card), with_umap=with_umap)

    def draw(self, model: Model, *, with_umap: bool) -> None:
        """The model's atlas into the folder, and word of it."""
        images, labels, about = self.for_atlas()
        atlas.save(atlas.build(model, images, labels, with_umap=with_umap, about=about), self.folder)
        card = model.card
        say("drawn" if with_umap else "trained", test_recon=card.test_recon, test_kl=card.test_kl, epochs=card.epochs)

    def for_atlas(self) -> tuple[np.ndarray, np.ndarray, data.About | None]:
        """Images and labels that the atlas shows, and what it has to say of the set where that is one's own."""
        if self.data_folder is None:
            images, labels = (each[:POINTS] for each in atlas.held_out(self.dataset.name))
            return images, labels, None
        return self.dataset.x_test[self.chosen], self.dataset.y_test[self.chosen], self.dataset.about


def warm_up() -> None:
    """Train and sketch a model of no importance: what torch loads at its first step is then loaded."""
    model = models.build("vae", seed=0, image_shape=(1, 4, 4), latent_dim=2, arch="mlp", hidden=(8,))
    x = torch.zeros(8, 1, 4, 4, dtype=torch.uint8)
    for _ in training.train(model, x, x, epochs=1, batch_size=4):
        sketch(model, x)


def outlive_nobody() -> None:
    """End when the reader has gone."""
    sys.stdin.read()
    os._exit(0)


def resource_peak() -> int:
    """The most memory this process ever held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    end_with_reader_alone()
    logs.begin()
    os.nice(NICE)
    training.prepare("mlp", (1,), threads=1)
    warm_up()
    say("ready")
    line = sys.stdin.readline()
    if not line:
        return
    order = json.loads(line)
    try:
        if "lab" in order:
            threading.Thread(target=outlive_nobody, daemon=True).start()
            labs.run(order["lab"], order["settings"], Path(order["folder"]), say)
        else:
            worker = Worker(order)
            threading.Thread(target=worker.listen, daemon=True).start()
            worker.run()
    except OSError as error:
        say("failed", text=f"{unwritten(error, then='start again')}.")
    except RuntimeError as error:
        if not re.search("memory|could not create a primitive", str(error)):
            raise
        say("failed", text="There is not enough memory for this here: choose a smaller network or smaller batches.")
    except (ValueError, MemoryError, training.Diverged) as error:
        say("failed", text=f"{' '.join(public(str(error)).split())}.".replace("..", "."))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
