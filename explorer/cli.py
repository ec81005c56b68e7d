"""python -m explorer ...: the commands. Results go to stdout, progress to stderr.

Exit status: 0 success, 2 a user's mistake told in one line, anything else is ours.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from explorer.data import Dataset
    from explorer.models import AE

APP = Path(__file__).parent.parent / "app.py"


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    try:
        options.command(options)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"explorer: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


class Parser(argparse.ArgumentParser):
    """One that tells a mistake in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"explorer: {message} (--help shows what there is)\n")


def parser() -> Parser:
    top = Parser(prog="python -m explorer", description="Latent Explorer")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="start the app")
    run.add_argument("--port", type=int, help="default 8501, or the next free port")
    run.set_defaults(command=run_app)

    models = commands.add_parser("models", help="what is pretrained, with its figures")
    models.add_argument("--json", action="store_true", help="one JSON line a model")
    models.set_defaults(command=list_models)

    train = commands.add_parser("train", help="train one model", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    train.add_argument("--dataset", default="mnist", help="mnist, fashion-mnist or digits")
    train.add_argument("--root", type=Path, help="folder with the full sets, in torchvision's layout")
    train.add_argument("--model", default="vae", help="ae or vae")
    train.add_argument("--arch", default="mlp", help="mlp or conv")
    train.add_argument("--hidden", help="layer widths (mlp, 512,256) or channels (conv, 16,32)")
    train.add_argument("--latent-dim", type=int, default=2, help="dimensions of the code")
    train.add_argument("--beta", type=float, default=1.0, help="weight of KL in the VAE's loss")
    train.add_argument("--epochs", type=int, default=10, help="passes over the training images")
    train.add_argument("--batch-size", type=int, default=256, help="images a step")
    train.add_argument("--lr", type=float, default=1e-3, help="Adam's learning rate")
    train.add_argument("--seed", type=int, default=0, help="of first weights, order and noise")
    train.add_argument("--out", type=Path, required=True, help="new folder for the weights and their card")
    train.add_argument("--json", action="store_true", help="one JSON line an epoch")
    train.set_defaults(command=train_model)

    data = commands.add_parser("data", help="the full data sets").add_subparsers(required=True, metavar="COMMAND")
    get = data.add_parser("get", help="download a full set")
    get.add_argument("name", help="mnist or fashion-mnist")
    get.add_argument("--root", type=Path, help="default: the user's cache folder")
    get.set_defaults(command=get_data)
    return top


def run_app(options: argparse.Namespace) -> None:
    port = os.environ.get("STREAMLIT_SERVER_PORT") if options.port is None else options.port
    if port is not None:
        check_port(port)
        os.environ["STREAMLIT_SERVER_PORT"] = str(port)
    os.chdir(APP.parent)  # Streamlit looks for .streamlit/config.toml here
    from streamlit.web import cli as streamlit_cli

    sys.argv = ["streamlit", "run", str(APP)]
    sys.exit(streamlit_cli.main())


def check_port(port: int | str) -> None:
    """Raise ValueError, in one sentence, if nothing can listen on port."""
    try:
        number = int(port)
        if number == 0:
            raise ValueError("0 stands for any port")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", number))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"Port {port} is not a port: a number from 1 to 65535 was expected") from error
    except OSError as error:
        raise ValueError(f"Port {port} is in use or not allowed; take another one, for example --port 8601") from error


def list_models(options: argparse.Namespace) -> None:
    from explorer import catalogue

    shipped = catalogue.read()
    keys = ("name", "dataset", "model", "arch", "hidden", "latent_dim", "beta", "epochs", "seed", "parameters")
    figures = ("test_recon", "test_recon_sampled", "test_kl", "sha256")
    if not options.json:
        header = f"{'name':24}{'network':16}{'weights':>10}{'epochs':>8}{'recon':>9}{'KL':>7}"
        print(f"{header}   (nats, test images, mean code)")
    for entry in shipped.entries:
        card = asdict(entry.card)
        if options.json:
            print(json.dumps({key: card[key] for key in (*keys, *figures)}))
        else:
            network = f"{card['arch']} {','.join(map(str, card['hidden']))}"
            print(
                f"{card['name']:24}{network:16}{card['parameters']:>10,}{card['epochs']:>8}"
                f"{card['test_recon']:>9.1f}{card['test_kl']:>7.1f}"
            )
    for problem in shipped.problems:
        print(f"explorer: {problem}", file=sys.stderr)


def train_model(options: argparse.Namespace) -> None:
    from explorer import data

    check_out(options.out)
    hidden = parse_hidden(options.hidden)
    dataset = data.load(options.dataset, root=options.root)

    from explorer import models, training

    settings = {key: getattr(options, key) for key in ("beta", "epochs", "batch_size", "lr", "seed")}
    training.check_settings(n=len(dataset.x_train), **settings)
    model = models.build(
        options.model,
        seed=options.seed,
        image_shape=dataset.image_shape,
        latent_dim=options.latent_dim,
        arch=options.arch,
        hidden=models.DEFAULT_HIDDEN.get(options.arch, ()) if hidden is None else hidden,
    )
    if options.model == "ae":
        settings["beta"] = 0.0
    history = run_training(model, dataset, settings, as_json=options.json)
    save_trained(options, model, dataset, settings, history)


def run_training(model: AE, dataset: Dataset, settings: dict[str, Any], *, as_json: bool) -> list[dict[str, Any]]:
    """Train model in place and return its history; progress goes to stderr, with as_json each epoch to stdout."""
    import torch
    from tqdm import tqdm

    from explorer import training

    x_train, x_test = (torch.from_numpy(x.copy()) for x in (dataset.x_train, dataset.x_test))
    print(f"{dataset.title}: {len(x_train):,} + {len(x_test):,} images of {dataset.source}", file=sys.stderr)
    history = []
    with tqdm(total=settings["epochs"], unit="epoch", file=sys.stderr) as bar:
        for stats in training.train(model, x_train, x_test, **settings):
            history.append(asdict(stats))
            bar.set_postfix_str(
                f"recon {stats.recon:.1f} kl {stats.kl:.1f} | test {stats.test_recon:.1f} {stats.test_kl:.1f}"
            )
            bar.update()
            if as_json:
                print(json.dumps(history[-1]), flush=True)
    return history


def check_out(out: Path) -> None:
    """Raise ValueError, before any training, if a model cannot be written into out."""
    from explorer import checkpoints

    if (out / checkpoints.CARD).exists():
        raise ValueError(f"{out} already holds a model; choose another folder for --out")
    nearest = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise ValueError(f"--out must be a folder that can be written to, got {out} ({nearest} is not one)")


def save_trained(
    options: argparse.Namespace,
    model: AE,
    dataset: Dataset,
    settings: dict[str, Any],
    history: list[dict[str, Any]],
) -> None:
    from explorer import checkpoints

    last = history[-1]
    card = checkpoints.save(
        options.out,
        model,
        name=options.out.resolve().name,
        dataset=dataset.name,
        data_source=dataset.source,
        data_sha256=dataset.sha256,
        n_train=len(dataset.x_train),
        n_test=len(dataset.x_test),
        model=options.model,
        test_recon=last["test_recon_mean_code"],
        test_recon_sampled=last["test_recon"],
        test_kl=last["test_kl"],
        history=tuple(history),
        versions=checkpoints.library_versions(),
        **settings,
    )
    if not options.json:
        print(
            f"{options.out}: test recon {card.test_recon_sampled:.2f} with z sampled, {card.test_recon:.2f} from the "
            f"mean code; test KL {card.test_kl:.2f} (nats an image)"
        )


def parse_hidden(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError as error:
        raise ValueError(f"--hidden must be whole numbers with commas, such as 512,256, got {text!r}") from error


def get_data(options: argparse.Namespace) -> None:
    from explorer import data

    root = options.root or data.cache_root()
    dataset = data.download(options.name, root=root)
    print(f"{dataset.title}: {len(dataset.x_train):,} + {len(dataset.x_test):,} images in {root}")
