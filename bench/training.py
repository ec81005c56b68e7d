"""How fast a model trains: seconds an epoch, ours beside Keras, pytorch/examples' own loop and pythae, in one run.

Run: python bench/training.py --root FOLDER [--rounds 3] [--epochs 3] [--full] [--only NAME ...]

FOLDER holds MNIST as torchvision lays it out. The task, the same for all, stands in bench/peers/contest.py, each
contender beside it. Each runs in a process of its own, on the CPU, with the number of threads it takes by itself.
Only training is timed: not the start, not the reading of the data, not the test. They run in rounds, and each round
begins with another one, so that what disturbs the machine disturbs all of them. The first epoch of a contender that
compiles is not counted. --full trains each once more, for 10 epochs, for the test loss.

The peak is the best of this run's large float32 products; an epoch's operations are those of the layers' products,
forward and backward, without the gradient towards the images, which nobody needs. Where the processor multiplies
bfloat16, ours does so for the large products; "Latent Explorer, float32" is the same code as it runs elsewhere.

The peers live in an environment of their own (--peers), made on first use from bench/training_peers.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from common import show_machine

from explorer.data import cache_root

sys.path.insert(0, str(Path(__file__).parent / "peers"))

from contest import BATCH, HIDDEN, LATENT, PIXELS

HERE = Path(__file__).parent
PINS = HERE / "training_peers.txt"
TRAINING_IMAGES = 60_000
FULL_EPOCHS = 10
GOAL = 1.0
PEAK_SIDE, PEAK_TRIES = 2048, 8


@dataclass(frozen=True)
class Contender:
    """Who trains: a script below peers/ with its arguments. uncounted: epochs at the start that are for compiling."""

    name: str
    title: str
    script: str
    arguments: tuple[str, ...] = ()
    uncounted: int = 0
    ours: bool = False


@dataclass(frozen=True)
class Training:
    """What one process did. seconds: of each counted epoch; made_with: packages and arithmetic."""

    seconds: tuple[float, ...]
    test_loss: float
    made_with: str


class CannotRun(Exception):
    """A contender's process failed; the message is the last line it wrote."""


CONTENDERS = (
    Contender("ours", "Latent Explorer", "ours.py", ours=True),
    Contender("ours-float32", "Latent Explorer, float32", "ours.py", ("--float32",), ours=True),
    Contender("keras-jax", "Keras on JAX", "keras_vae.py", ("--backend", "jax"), uncounted=1),
    Contender("keras-torch", "Keras on torch", "keras_vae.py", ("--backend", "torch")),
    Contender("pytorch-example", "pytorch/examples' loop", "pytorch_example.py"),
    Contender("pythae", "pythae's trainer", "pythae_vae.py"),
)


# --- the peers' environment -------------------------------------------------------------------------------------------


def peers_python(folder: Path) -> Path:
    """The Python of the peers' environment, made or renewed first; ours, with a line that says why, if it cannot be."""
    python, mark = folder / "bin" / "python", folder / "installed.txt"
    if python.exists() and mark.is_file() and mark.read_text() == PINS.read_text():
        return python
    print(f"Installing the peers in {folder}: takes a few minutes, once", flush=True)
    for step in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(PINS)],
    ):
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode:
            why = last_line(done.stderr or done.stdout)
            print(f"The peers cannot be installed ({why}); going on with those that can run")
            return Path(sys.executable)
    mark.write_text(PINS.read_text())
    return python


def last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it wrote nothing")


# --- the contest ------------------------------------------------------------------------------------------------------


def run(contender: Contender, python: Path, root: Path, epochs: int) -> Training:
    """Let it train in a process of its own. Raises CannotRun."""
    command = [str(python), str(HERE / "peers" / contender.script), *contender.arguments]
    done = subprocess.run(
        [*command, "--root", str(root), "--epochs", str(epochs)],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise CannotRun(last_line(done.stderr))
    return parse(done.stdout, uncounted=contender.uncounted)


def environment() -> dict[str, str]:
    """CPU for all, and none of the user's own Keras settings."""
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        "KERAS_HOME": str(cache_root() / "bench-keras"),
    }


def parse(printed: str, *, uncounted: int) -> Training:
    """The JSON lines among what a contender printed; libraries may print other things."""
    *epochs, end = (json.loads(line) for line in printed.splitlines() if line.startswith("{"))
    return Training(tuple(epoch["seconds"] for epoch in epochs[uncounted:]), end["test_loss"], end["made_with"])


def compete(
    contenders: dict[Contender, Path], root: Path, *, rounds: int, epochs: int
) -> tuple[dict[Contender, list[Training]], float]:
    """The trainings of those that can run, and this machine's best GFLOP/s. contenders: each with its Python."""
    running = list(contenders)
    found: dict[Contender, list[Training]] = {contender: [] for contender in running}
    peak = 0.0
    for turn in range(rounds):
        peak = max(peak, peak_gflops())
        first = turn % max(1, len(running))
        for contender in [*running[first:], *running[:first]]:
            try:
                training = run(contender, contenders[contender], root, epochs)
            except CannotRun as error:
                print(f"  {contender.title} cannot run: {error}")
                running.remove(contender)
                continue
            found[contender].append(training)
            seconds = "  ".join(f"{value:.2f}" for value in training.seconds)
            print(f"  round {turn + 1}: {contender.title:26}{seconds}", flush=True)
    return {contender: found[contender] for contender in running}, peak


def peak_gflops() -> float:
    """GFLOP/s of the fastest of a few large float32 products, on torch's own number of threads."""
    a, b = torch.rand(2, PEAK_SIDE, PEAK_SIDE)
    seconds = []
    for _ in range(PEAK_TRIES):
        start = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - start)
    return 2 * PEAK_SIDE**3 / min(seconds) / 1e9


def epoch_gflop() -> float:
    """Operations of an epoch's matrix products, 2 for each multiplication, in units of 1e9."""
    layers = [(PIXELS, HIDDEN), (HIDDEN, 2 * LATENT), (LATENT, HIDDEN), (HIDDEN, PIXELS)]
    forward = weights = sum(a * b for a, b in layers)
    inputs = sum(a * b for a, b in layers[1:])
    return 2 * (forward + weights + inputs) * TRAINING_IMAGES / 1e9


# --- what is printed --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A contender's figures; seconds an epoch."""

    contender: Contender
    best: float
    median: float
    test_loss: float
    made_with: str


def line(contender: Contender, trainings: Sequence[Training], last: Training) -> Line:
    """last: the training whose test loss is shown."""
    seconds = [value for training in trainings for value in training.seconds]
    return Line(contender, min(seconds), statistics.median(seconds), last.test_loss, last.made_with)


def show_lines(lines: Sequence[Line], *, peak: float, epochs: int) -> None:
    """The table, and whether ours is faster than the fastest peer. ratio: to the fastest peer."""
    peers = [entry for entry in lines if not entry.contender.ours]
    best = min((peer.best for peer in peers), default=float("nan"))
    median = min((peer.median for peer in peers), default=float("nan"))
    print(
        f"\nSeconds an epoch: VAE {PIXELS}-{HIDDEN}-{LATENT}, {TRAINING_IMAGES:,} images, batches of {BATCH}\n"
        f"{'':28}{'best':>7}{'ratio':>8}{'median':>9}{'ratio':>8}{'GFLOP/s':>10}{'of peak':>9}"
        f"{f'test loss after {epochs}':>20}"
    )
    for entry in lines:
        speed = epoch_gflop() / entry.best
        print(
            f"  {entry.contender.title:26}{entry.best:>7.2f}{entry.best / best:>8.2f}{entry.median:>9.2f}"
            f"{entry.median / median:>8.2f}{speed:>10.0f}{speed / peak:>9.0%}{entry.test_loss:>20.2f}"
        )
    for entry in lines:
        print(f"  {entry.contender.title}: {entry.made_with}")
    print(f"  An epoch is {epoch_gflop():.1f} GFLOP; this machine's float32 peak in this run: {peak:.0f} GFLOP/s")
    known = sum(not contender.ours for contender in CONTENDERS)
    for entry in lines:
        if peers and entry.contender.name == "ours":
            verdict = "met" if entry.best < GOAL * best else "MISSED"
            print(f"  Ours to the fastest peer: {entry.best / best:.2f}, goal below {GOAL:g}: {verdict}", end="")
            print("" if len(peers) == known else f" (only {len(peers)} of {known} peers ran)")


def main(arguments: argparse.Namespace) -> None:
    chosen = [contender for contender in CONTENDERS if contender.name in arguments.only]
    here = Path(sys.executable)
    there = here if all(contender.ours for contender in chosen) else peers_python(arguments.peers)
    pythons = {contender: here if contender.ours else there for contender in chosen}
    show_machine()
    found, peak = compete(pythons, arguments.root, rounds=arguments.rounds, epochs=arguments.epochs)
    shown = found
    if arguments.full:
        print(f"  {FULL_EPOCHS} epochs each:")
        pythons = {contender: pythons[contender] for contender in found}
        shown, _ = compete(pythons, arguments.root, rounds=1, epochs=FULL_EPOCHS)
    lines = [line(contender, found[contender], trainings[-1]) for contender, trainings in shown.items()]
    show_lines(
        sorted(lines, key=lambda entry: entry.best),
        peak=peak,
        epochs=FULL_EPOCHS if arguments.full else arguments.epochs,
    )


def parse_arguments() -> argparse.Namespace:
    names = [contender.name for contender in CONTENDERS]
    parser = argparse.ArgumentParser(description="Seconds per epoch of training a VAE, ours beside its peers")
    parser.add_argument("--root", type=Path, required=True, help="the folder that holds MNIST/raw")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3, help="of each contender in each round")
    parser.add_argument("--full", action="store_true", help=f"train {FULL_EPOCHS} epochs too, for the test loss")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--peers", type=Path, default=cache_root() / "bench-peers", help="the peers' environment")
    arguments = parser.parse_args()
    if not (arguments.root / "MNIST" / "raw").is_dir():
        parser.error(f"{arguments.root} has no folder MNIST/raw; get it with: python -m explorer data get mnist")
    if arguments.rounds < 1 or arguments.epochs < 2:
        parser.error("at least one round of two epochs: the first one of who compiles is not counted")
    return arguments


if __name__ == "__main__":
    main(parse_arguments())
