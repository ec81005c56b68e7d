"""python -m explorer ...: the commands. Results go to stdout, progress to stderr.

Exit status: 0 success, 2 a user's mistake told in one line, anything else is ours.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from explorer import policy
from explorer.settings import DEFAULT_HIDDEN, Settings, check_budget, parse_hidden

if TYPE_CHECKING:
    from tqdm import tqdm

    from explorer.data import Dataset
    from explorer.loaded import Model
    from explorer.models import AE
    from explorer.sweep import Datasets, News, Processes
    from explorer.sweep_ray import Cluster
    from explorer.training import State

Step = TypeVar("Step")
Number = TypeVar("Number")
NO_HOME = "/nonexistent"  # as Debian calls it
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

    add_train_options(commands.add_parser("train", help="train one model"))

    measure = commands.add_parser("measure", help="how regular a latent space is, in figures with their controls")
    measure.add_argument("models", nargs="+", metavar="MODEL", help="a folder, or the name of a pretrained model")
    measure.add_argument("--dataset", type=Path, help="path of the data set of one's own that the models learned")
    measure.add_argument("--samples", type=int, default=5000, help="images on either side, at most (default: 5000)")
    measure.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: 0)")
    measure.add_argument("--json", action="store_true", help="one JSON line a figure")
    measure.add_argument("--save", action="store_true", help="keep the figures in the model's folder, for the app")
    measure.set_defaults(command=measure_models)

    add_sweep_options(commands.add_parser("sweep", help="train and measure a grid of betas, dimensions and seeds"))

    export = commands.add_parser("export", help="two models, live, in one HTML file; or all that ship as a static site")
    export.add_argument("left", nargs="?", metavar="LEFT", help="a folder, or the name of a pretrained model")
    export.add_argument("right", nargs="?", metavar="RIGHT", help="a folder, or the name of a pretrained model")
    export.add_argument("--out", type=Path, help="the HTML file to write")
    export.add_argument("--site", type=Path, metavar="DIR", help="alone: the folder to write the site to")
    export.set_defaults(command=export_files)

    data = commands.add_parser("data", help="the full data sets").add_subparsers(required=True, metavar="COMMAND")
    get = data.add_parser("get", help="download a full set")
    get.add_argument("name", help="mnist or fashion-mnist")
    get.add_argument("--root", type=Path, help="default: the user's cache folder")
    get.set_defaults(command=get_data)
    return top


def add_train_options(train: argparse.ArgumentParser) -> None:
    """What is not given is None, so that a training that is resumed keeps what it has."""
    usual = Settings()
    hidden = "; or ".join(f"{','.join(map(str, sizes))} for {arch}" for arch, sizes in DEFAULT_HIDDEN.items())
    train.add_argument(
        "--dataset", help=f"mnist, fashion-mnist, digits, or a path to one's own (default: {usual.dataset})"
    )
    train.add_argument("--root", type=Path, help="folder with the full sets, in torchvision's layout")
    train.add_argument("--model", help="ae or vae (default: vae)")
    train.add_argument("--arch", help=f"mlp or conv (default: {usual.arch})")
    train.add_argument("--hidden", help=f"layer widths (mlp) or channels (conv) (default: {hidden})")
    train.add_argument("--latent-dim", type=int, help=f"dimensions of the code (default: {usual.latent_dim})")
    train.add_argument("--beta", type=float, help=f"weight of KL in the VAE's loss (default: {usual.beta:g})")
    train.add_argument("--epochs", type=int, help=f"passes over the training images (default: {usual.epochs})")
    train.add_argument("--batch-size", type=int, help=f"images a step (default: {usual.batch_size})")
    train.add_argument("--lr", type=float, help=f"Adam's learning rate (default: {usual.lr:g})")
    train.add_argument("--seed", type=int, help=f"of first weights, order and noise (default: {usual.seed})")
    train.add_argument("--out", type=Path, help="new folder for the weights and their card")
    train.add_argument("--resume", type=Path, metavar="DIR", help="go on with the training in DIR, to --epochs in all")
    train.add_argument("--json", action="store_true", help="one JSON line an epoch")
    train.set_defaults(command=train_model)


def add_sweep_options(sweep: argparse.ArgumentParser) -> None:
    usual = Settings()
    sweep.add_argument(
        "--dataset", default=usual.dataset, help=f"one, or several with commas (default: {usual.dataset})"
    )
    sweep.add_argument("--root", type=Path, help="folder with the full sets, in torchvision's layout")
    sweep.add_argument("--betas", default="0,0.1,1,4", help="with commas (default: 0,0.1,1,4)")
    sweep.add_argument("--latent-dims", default="2,16", help="with commas (default: 2,16)")
    sweep.add_argument("--seeds", type=int, default=3, help="how many, from 0 (default: 3)")
    sweep.add_argument("--arch", default=usual.arch, help=f"mlp or conv (default: {usual.arch})")
    sweep.add_argument("--hidden", help="layer widths (mlp) or channels (conv)")
    sweep.add_argument("--epochs", type=int, default=usual.epochs, help=f"(default: {usual.epochs})")
    sweep.add_argument("--batch-size", type=int, default=usual.batch_size, help=f"(default: {usual.batch_size})")
    sweep.add_argument("--lr", type=float, default=usual.lr, help=f"(default: {usual.lr:g})")
    sweep.add_argument("--samples", type=int, default=2000, help="images a measure is taken on (default: 2000)")
    sweep.add_argument(
        "--backend", default="local", choices=["local", "ray"], help="processes here (local), or a cluster"
    )
    sweep.add_argument("--address", help="of the Ray cluster, host:port (default: auto, the one on this machine)")
    sweep.add_argument("--out", type=Path, required=True, help="folder for the cells; one broken off goes on there")
    sweep.add_argument("--json", action="store_true", help="one JSON line a finished cell")
    sweep.set_defaults(command=run_sweep)


def run_app(options: argparse.Namespace) -> None:
    from explorer import demo, logs

    port = os.environ.get("STREAMLIT_SERVER_PORT") if options.port is None else options.port
    if port is not None:
        check_port(port)
        os.environ["STREAMLIT_SERVER_PORT"] = str(port)
    demo.mode()  # refuses what is no such setting, before anything starts
    policy.frames_here()  # a mistake there is told now, in a line
    logs.begin()
    try:
        Path.home()
    except RuntimeError:  # Streamlit looks for settings in a home, and ends where there is none
        os.environ["HOME"] = NO_HOME
    os.chdir(APP.parent)  # Streamlit looks for .streamlit/config.toml here
    import click
    from streamlit import net_util
    from streamlit.web import cli as streamlit_cli

    # To print one more address of the server, Streamlit would ask a web service for it.
    net_util.get_external_ip = lambda: None
    sys.argv = ["streamlit", "run", str(APP)]
    with contextlib.suppress(click.Abort):  # Ctrl-C, of which Streamlit's command would say a word of its own
        streamlit_cli.main(standalone_mode=False)


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


@dataclass(frozen=True)
class Run:
    """One training: where it goes, what it is and where it stands."""

    out: Path
    kind: str
    settings: Settings
    dataset: Dataset
    model: AE
    state: State
    as_json: bool


def train_model(options: argparse.Namespace) -> None:
    run = fresh(options) if options.resume is None else resumed(options)

    from explorer import training

    training.prepare(run.settings.arch, run.settings.hidden)
    try:
        run_training(run)
    except training.Diverged:
        if run.state.history:
            save_trained(run)
        raise
    save_trained(run)


def fresh(options: argparse.Namespace) -> Run:
    """A training from the start. Raises ValueError, before any work, if it cannot be."""
    if options.out is None:
        raise ValueError("the following arguments are required: --out")
    check_empty(options.out)
    check_writable(options.out)
    values = given(options)
    kind = values.pop("model", "vae")
    settings = Settings(**{"hidden": DEFAULT_HIDDEN.get(values.get("arch", Settings.arch), ()), **values})
    dataset = find_data(settings.dataset, root=options.root)
    settings = replace(settings, dataset=dataset.name)

    from explorer import models, training

    check_budget(n=len(dataset.x_train), **settings.budget("vae"))
    model = models.build(
        kind,
        seed=settings.seed,
        image_shape=dataset.image_shape,
        latent_dim=settings.latent_dim,
        arch=settings.arch,
        hidden=settings.hidden,
    )
    state = training.begin(model, lr=settings.lr, seed=settings.seed)
    return Run(options.out, kind, settings, dataset, model, state, options.json)


def find_data(name: str, *, root: Path | None) -> Dataset:
    """The data set of this name, or one's own at the path that it is. Raises ValueError if there is neither."""
    from explorer import bring, data

    if name not in data.NAMES and Path(name).exists():
        return bring.load(Path(name), say=lambda sentence: print(sentence, file=sys.stderr))
    if name not in data.NAMES:
        raise ValueError(
            f"Unknown data set: {name!r}. Must be one of: {', '.join(data.NAMES)}, or the path of a file or folder"
        )
    return data.load(name, root=root)


def given(options: argparse.Namespace) -> dict[str, Any]:
    """The model and the settings that were asked for, by the names that Settings has."""
    asked = {name: getattr(options, name) for name in ("model", *(field.name for field in fields(Settings)))}
    if asked["hidden"] is not None:
        asked["hidden"] = parse_hidden(asked["hidden"], name="--hidden")
    return {name: value for name, value in asked.items() if value is not None}


def resumed(options: argparse.Namespace) -> Run:
    """The training in the folder --resume. Raises ValueError, before any work, if it cannot go on as was asked."""
    from explorer import own_data, resume
    from explorer.models import VAE

    folder, asked = options.resume, given(options)
    out = options.out or folder
    if out.resolve() != folder.resolve():
        check_empty(out)
    check_writable(out)
    model, state, about = resume.load(folder)
    settings, kind = recorded(folder, model, state, about), "vae" if isinstance(model, VAE) else "ae"
    own = settings.dataset.startswith(own_data.PREFIX)
    where = asked.pop("dataset", settings.dataset) if own else settings.dataset
    check_same(folder, asked, {**vars(settings), "model": kind})
    settings = replace(settings, epochs=asked.get("epochs", settings.epochs))
    check_goes_on(folder, settings.epochs, done=state.epoch)
    if own and where == settings.dataset:
        raise ValueError(f"The training in {folder} saw a data set of one's own: name its path with --dataset")
    dataset = find_data(where, root=options.root)
    if (dataset.sha256, dataset.image_shape) != (about.get("data_sha256"), model.image_shape):
        raise ValueError(
            f"The training in {folder} saw other images than {dataset.source} of {dataset.title}; "
            f"name the {'path' if own else 'folder'} that has them with {'--dataset' if own else '--root'}"
        )
    check_budget(n=len(dataset.x_train), **settings.budget(kind))
    return Run(out, kind, settings, dataset, model, state, options.json)


def recorded(folder: Path, model: AE, state: State, about: dict[str, Any]) -> Settings:
    """The settings of the training in folder. Raises DamagedFile if they are not those of its model."""
    from explorer.files import DamagedFile

    try:
        settings = Settings.of(about.get("settings"))
    except ValueError as error:
        raise DamagedFile(f"The training in {folder} cannot go on here: {error}") from error
    found = (settings.arch, settings.hidden, settings.latent_dim, settings.lr)
    if found != (model.arch, model.hidden, model.latent_dim, state.optimizer.param_groups[0]["lr"]):
        raise DamagedFile(f"The training in {folder} cannot go on: its settings are not those of its model")
    return settings


def check_same(folder: Path, asked: dict[str, Any], found: dict[str, Any]) -> None:
    """Raise ValueError if a setting was asked for, other than epochs, that the training in folder does not have."""
    for name in asked.keys() - {"epochs"}:
        if asked[name] != found[name]:
            option = "--" + name.replace("_", "-")
            raise ValueError(
                f"{option} is {as_text(asked[name])}, but the training in {folder} has {as_text(found[name])}; "
                f"leave {option} out to go on with it"
            )


def as_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def check_goes_on(folder: Path, epochs: int, *, done: int) -> None:
    """Raise ValueError if there is nothing left to do; a training killed just before its model was saved still has."""
    from explorer import checkpoints

    if epochs < done or (epochs == done and (folder / checkpoints.CARD).exists()):
        raise ValueError(
            f"The training in {folder} has done {done} epochs already; give --epochs above {done} to go on"
        )


def run_training(run: Run) -> None:
    """Train run.model in place, saved after each epoch; progress goes to stderr, with as_json each epoch to stdout."""
    import torch
    from tqdm import tqdm

    from explorer import resume, training

    dataset, settings, state = run.dataset, run.settings, run.state
    x_train, x_test = (torch.from_numpy(x.copy()) for x in (dataset.x_train, dataset.x_test))
    print(f"{dataset.title}: {len(x_train):,} + {len(x_test):,} images of {dataset.source}", file=sys.stderr)
    about = {"settings": settings.record(), "data_sha256": dataset.sha256}
    with tqdm(total=settings.epochs, initial=state.epoch, unit="epoch", file=sys.stderr) as bar:
        for stats in training.train(run.model, x_train, x_test, state=state, **settings.budget(run.kind)):
            resume.save(run.out, run.model, state, about=about)
            bar.set_postfix_str(
                f"recon {stats.recon:.1f} kl {stats.kl:.1f} | test {stats.test_recon:.1f} {stats.test_kl:.1f}"
            )
            bar.update()
            if run.as_json:
                print(json.dumps(asdict(stats)), flush=True)


def check_empty(out: Path) -> None:
    """Raise ValueError, before any training, if out holds a model or a training that would be lost."""
    from explorer import checkpoints, resume

    if (out / checkpoints.CARD).exists():
        raise ValueError(f"{out} already holds a model; choose another folder for --out")
    if resume.is_in(out):
        raise ValueError(
            f"{out} already holds a training; go on with --resume {out} or choose another folder for --out"
        )


def check_writable(out: Path, *, option: str = "--out") -> None:
    """Raise ValueError, before any work, if nothing can be written into out, which option names."""
    nearest = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise ValueError(f"{option} must be a folder that can be written to, got {out} ({nearest} is not one)")


def save_trained(run: Run) -> None:
    from explorer import checkpoints

    history, dataset = run.state.history, run.dataset
    last, budget = history[-1], run.settings.budget(run.kind)
    card = checkpoints.save(
        run.out,
        run.model,
        name=run.out.resolve().name,
        model=run.kind,
        test_recon=last.test_recon_mean_code,
        test_recon_sampled=last.test_recon,
        test_kl=last.test_kl,
        history=tuple(map(asdict, history)),
        versions=checkpoints.library_versions(),
        **dataset.origin,
        **{**budget, "epochs": len(history)},
    )
    if not run.as_json:
        print(
            f"{run.out}: test recon {card.test_recon_sampled:.2f} with z sampled, {card.test_recon:.2f} from the "
            f"mean code; test KL {card.test_kl:.2f} (nats an image)"
        )


def check_samples(samples: int) -> None:
    """Raise ValueError for fewer than a measure can be taken on."""
    from explorer import world

    if samples < world.LEAST:
        raise ValueError(f"--samples must be at least {world.LEAST}, got {samples}")


def measure_models(options: argparse.Namespace) -> None:
    from explorer import checkpoints, regularity, scoreboard, world
    from explorer.loaded import Model

    check_budget(**{**Settings().budget("ae"), "n": 1, "seed": options.seed})
    check_samples(options.samples)
    folders = [checkpoints.find(name) for name in options.models]
    models = [Model.load(folder) for folder in folders]
    own = find_own(options.dataset, models)
    worlds: dict[str, world.World] = {}
    for folder, model in zip(folders, models):
        dataset = model.card.dataset
        if dataset not in worlds:
            print(f"{dataset}: judging real images and noise", file=sys.stderr)
            worlds[dataset] = (
                world.of(own, samples=options.samples, seed=options.seed, watch=watch_judge)
                if own
                else world.make(dataset, samples=options.samples, seed=options.seed)
            )
        here = worlds[dataset]
        figures = []
        for figure in progress(regularity.measure(model, here), model.card.name, scoreboard.COUNT, unit="figure"):
            figures.append(figure)
            if options.json:
                print(json.dumps(figure.record()), flush=True)
        board = scoreboard.Scoreboard(tuple(figures), regularity.about(model, here))
        if options.save:
            scoreboard.save(folder, board)
        if not options.json:
            print(scoreboard.as_text(board))


def find_own(path: Path | None, models: Sequence[Model]) -> Dataset | None:
    """The data set of one's own at path, which all models learned. Raises ValueError, before any work, if not."""
    from explorer import data

    if path is None:
        strange = [model.card.name for model in models if model.card.dataset not in data.NAMES]
        if strange:
            raise ValueError(f"{strange[0]} learned a data set of one's own: name its path with --dataset")
        return None
    if not path.exists():
        raise ValueError(f"--dataset must be the path of a file or folder, and there is none at {path}")
    own = find_data(str(path), root=None)
    for model in models:
        if model.card.data_sha256 != own.sha256:
            raise ValueError(f"{model.card.name} learned other data than {path} holds: name the data that it learned")
    return own


def watch_judge(epochs: range) -> Iterable[int]:
    """The epochs of a judge in training, with a bar on stderr."""
    from explorer.measurings import JUDGE

    return progress(epochs, JUDGE, len(epochs), unit="epoch")


def run_sweep(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    from explorer import cells, data, sweep

    hidden = (
        DEFAULT_HIDDEN.get(options.arch, ())
        if options.hidden is None
        else parse_hidden(options.hidden, name="--hidden")
    )
    budget = {name: getattr(options, name) for name in ("arch", "epochs", "batch_size", "lr")}
    names = dict.fromkeys(name.strip() for name in options.dataset.split(","))
    datasets = {name: data.load(name, root=options.root) for name in names}
    grid = cells.grid(
        Settings(hidden=hidden, **budget),
        datasets=list(datasets),
        betas=numbers(options.betas, name="--betas", kind=float),
        latent_dims=numbers(options.latent_dims, name="--latent-dims", kind=int),
        seeds=options.seeds,
    )
    for cell in grid:
        dataset = datasets[cell.settings.dataset]
        cell.settings.check(image_shape=dataset.image_shape, n=len(dataset.x_train))
    if options.address and options.backend == "local":
        raise ValueError("--address is a cluster's: give it with --backend ray")
    check_samples(options.samples)
    check_writable(options.out)
    plan = sweep.make_plan(grid, datasets, samples=options.samples)
    results = sys.stdout
    with (
        contextlib.redirect_stdout(sys.stderr),  # Ray prints
        backend_of(options, datasets) as backend,
        tqdm(desc="sweep", total=len(grid), unit="cell", file=sys.stderr) as bar,
    ):
        for record in sweep.run(plan, options.out, backend, tell=lambda news: tell_of_cell(bar, news)):
            bar.update()
            print(json.dumps(record) if options.json else sweep.as_text(record), file=results, flush=True)


def backend_of(options: argparse.Namespace, datasets: Datasets) -> Processes | Cluster:
    """Where a sweep's cells are trained. Raises ConnectionError if there is no such cluster."""
    if options.backend == "ray":
        from explorer.sweep_ray import Cluster

        return Cluster(datasets, samples=options.samples, address=options.address or "auto")
    from explorer.sweep import Processes

    return Processes(datasets, samples=options.samples)


def tell_of_cell(shown: tqdm, news: News) -> None:
    """Beside the bar: which cell came how far, and in a line of its own what failed."""
    from explorer.sweep import TRIES, Epoch, Failed

    name, epochs = news.cell.name, news.cell.settings.epochs
    if isinstance(news, Epoch):
        shown.set_postfix_str(f"{name} on {news.where}: epoch {news.epoch} of {epochs}")
    elif isinstance(news, Failed):
        shown.write(f"{name}: {news.why}{f' (tried {TRIES} times at most)' if news.again else ''}", file=sys.stderr)


def export_files(options: argparse.Namespace) -> None:
    """One file of two models, or the site. Raises ValueError unless it is clear which."""
    pair = (options.left, options.right, options.out)
    if options.site is not None and any(one is not None for one in pair):
        raise ValueError("--site takes no models and no --out: the site is of all models that ship with the project")
    if options.site is not None:
        export_site(options.site)
    elif None in pair:
        raise ValueError("What is to be exported? Either LEFT RIGHT --out view.html, or --site DIR")
    else:
        export_pair(options)


def export_site(out: Path) -> None:
    from explorer import catalogue, data, site

    check_writable(out.absolute().parent, option="--site")
    written = site.write(out, models=catalogue.shipped(), titles=data.titles())
    print(f"{out}: {written.files} files, {written.bytes / 1e6:.1f} MB, for any web host")


def export_pair(options: argparse.Namespace) -> None:
    from explorer import atlas, catalogue, checkpoints, data, onefile
    from explorer.files import write_whole

    names, titles, out = (options.left, options.right), data.titles(), options.out
    cards = onefile.check_names(names, titles)
    check_writable(out.absolute().parent)
    if out.is_dir():
        raise ValueError(f"--out must be a file, such as {out / 'view.html'}, got the folder {out}")
    with tempfile.TemporaryDirectory() as scratch:
        entries = []
        for side, name in zip(("left", "right"), names):
            if not (checkpoints.find(name) / atlas.MANIFEST).exists():
                print(f"{name}: drawing its maps, which takes a minute", file=sys.stderr)
            entries.append(onefile.find(name, scratch=Path(scratch) / side))
        content = onefile.one_file(entries[0], entries[1], models=catalogue.shipped(), titles=titles)
    write_whole(out, content)
    print(f"{out}: {cards[0].name} and {cards[1].name}, {len(content) / 1e6:.1f} MB")


def numbers(text: str, *, name: str, kind: Callable[[str], Number]) -> list[Number]:
    """The numbers in text, with commas between them. Raises ValueError with an example."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"{name} must be numbers with commas, such as 1,4, got {text[:40]!r}") from error


def progress(steps: Iterable[Step], what: str, total: int, *, unit: str) -> Iterable[Step]:
    """The steps, with a bar on stderr."""
    from tqdm import tqdm

    return tqdm(steps, desc=what, total=total, unit=unit, file=sys.stderr)


def get_data(options: argparse.Namespace) -> None:
    from explorer import data

    root = options.root or data.cache_root()
    dataset = data.download(options.name, root=root)
    print(f"{dataset.title}: {len(dataset.x_train):,} + {len(dataset.x_test):,} images in {root}")
