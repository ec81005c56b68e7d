from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import flip_a_bit

import explorer
from explorer import checkpoints, cli, data, own_data, resume, scoreboard, training

QUICK = ["train", "--dataset", "digits", "--hidden", "8", "--epochs", "2"]


def fail(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """The one line on stderr of a command that ends as a user's mistake."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    told = capsys.readouterr()
    assert ended.value.code == 2
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.startswith("explorer: ")
    assert "Traceback" not in told.err
    return told.err


def test_train_writes_a_model_and_a_json_line_an_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([*QUICK, "--model", "vae", "--latent-dim", "2", "--beta", "0.5", "--json", "--out", str(tmp_path / "new")])
    told = capsys.readouterr()
    lines = [json.loads(line) for line in told.out.splitlines()]
    wanted = {"epoch", "recon", "kl", "loss", "test_recon", "test_kl", "seconds"}
    assert [line["epoch"] for line in lines] == [1, 2]
    assert all(wanted <= line.keys() for line in lines)
    assert all(line["loss"] == pytest.approx(line["recon"] + 0.5 * line["kl"]) for line in lines)
    assert "2/2" in told.err, "progress belongs on stderr"
    card = explorer.load(tmp_path / "new").card
    assert (card.dataset, card.model, card.latent_dim, card.beta, card.epochs) == ("digits", "vae", 2, 0.5, 2)
    assert card.history[-1]["recon"] == lines[-1]["recon"]


def test_the_cards_figures_are_those_of_the_weights_beside_it(trained: dict[str, Path], digits: data.Dataset) -> None:
    import torch

    for folder in trained.values():
        model = explorer.load(folder)
        x_test = torch.from_numpy(digits.x_test.copy())
        assert training.evaluate_mean_code(model.module, x_test) == pytest.approx(model.card.test_recon, rel=1e-5)
        recon, kl = training.evaluate(model.module, x_test, seed=model.card.seed)
        assert (recon, kl) == pytest.approx((model.card.test_recon_sampled, model.card.test_kl), rel=1e-5)


def test_one_command_gives_the_same_weights_twice_and_another_seed_others(tmp_path: Path) -> None:
    for folder, seed in (("one", "0"), ("two", "0"), ("three", "1")):
        cli.main([*QUICK, "--seed", seed, "--out", str(tmp_path / folder)])
    one, two, three = (checkpoints.read_card(tmp_path / folder).sha256 for folder in ("one", "two", "three"))
    assert one == two != three


def test_a_conv_network_trains_too(tmp_path: Path) -> None:
    conv = ["--arch", "conv", "--hidden", "4,8", "--epochs", "1"]
    cli.main(["train", "--dataset", "digits", *conv, "--out", str(tmp_path / "conv")])
    model = explorer.load(tmp_path / "conv")
    assert model.decode(np.zeros((1, 2), np.float32)).shape == (1, 1, 8, 8)


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    """A table of one's own with a row that cannot be used."""
    path = tmp_path / "leaves.csv"
    rows = "".join(f"{i},{(7 * i) % 11},{'ab'[i % 2]}\n" for i in range(40))
    path.write_text(f"width,height,label\n{rows}1,nan,a\n")
    return path


def test_a_data_set_of_ones_own_is_trained_on_and_gone_on_with(
    tmp_path: Path, leaves: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--hidden", "8", "--batch-size", "16", "--epochs", "1", "--out", str(tmp_path / "new")]
    cli.main(["train", "--dataset", str(leaves), *quick])
    told = capsys.readouterr().err
    assert "Left out: line 42. It has an empty field, or a value that is no finite number." in told
    assert "leaves: 32 + 8 " in told
    card = explorer.load(tmp_path / "new").card
    assert card.dataset.startswith(own_data.PREFIX)
    go_on = ["train", "--resume", str(tmp_path / "new"), "--epochs", "2"]
    assert "saw a data set of one's own: name its path with --dataset" in fail(capsys, go_on)
    other = leaves.with_name("other.csv")
    other.write_text(leaves.read_text().replace("3,10,b", "3,9,b"))
    with pytest.raises(SystemExit):
        cli.main([*go_on, "--dataset", str(other)])
    assert "name the path that has them with --dataset" in capsys.readouterr().err
    cli.main([*go_on, "--dataset", str(leaves)])
    assert explorer.load(tmp_path / "new").card.epochs == 2


def test_a_file_that_is_no_data_set_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4 and no more")
    train = ["train", "--out", str(tmp_path / "new"), "--dataset"]
    assert "The zip is broken or cut off: make it again" in fail(capsys, [*train, str(tmp_path / "broken.zip")])
    told = fail(capsys, [*train, str(tmp_path / "missing.zip")])
    assert "Must be one of: mnist, fashion-mnist, digits, or the path of a file or folder" in told
    assert not (tmp_path / "new").exists()


def test_a_model_is_not_overwritten(trained: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = trained["ae"]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "already holds a model; choose another folder for --out" in fail(capsys, [*QUICK, "--out", str(folder)])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "cifar"], "Unknown data set: 'cifar'. Must be one of: mnist, fashion-mnist, digits"),
        (["--model", "gan"], "Unknown model: 'gan'. Must be one of: ae, vae"),
        (["--arch", "rnn"], "Unknown architecture: 'rnn'. Must be one of: mlp, conv"),
        (["--hidden", "12,x"], "--hidden must be whole numbers with commas, such as 512,256, got '12,x'"),
        (["--hidden", ""], "--hidden must be whole numbers with commas"),
        (["--hidden", "-5"], "hidden must be 1 to 6 sizes between 1 and 8192, got -5"),
        (["--hidden", "8192,8192"], "A model may have at most 20,000,000 weights"),
        (["--arch", "conv", "--hidden", "4,4,4,4"], "8x8 pixels cannot be halved so often"),
        (["--latent-dim", "0"], "latent_dim must be between 1 and 64, got 0"),
        (["--latent-dim", "two"], "--latent-dim: invalid int value: 'two'"),
        (["--beta", "-1"], "beta must be a number of at least 0, got -1.0"),
        (["--beta", "nan"], "beta must be a number of at least 0, got nan"),
        (["--epochs", "0"], "epochs must be at least 1, got 0"),
        (["--epochs", "5000"], "epochs must be at most 2000, got 5000"),
        (["--batch-size", "-4"], "batch_size must be at least 1, got -4"),
        (["--lr", "inf"], "lr must be above 0 and at most 1, got inf"),
        (["--seed", "-1"], "seed must be at least 0"),
        (["--seed", str(2**80)], "seed must be at least 0 and below"),
        (["--colour", "red"], "unrecognized arguments: --colour red"),
    ],
)
def test_a_wrong_option_is_told_in_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert message in fail(capsys, [*QUICK, *options, "--out", str(tmp_path / "new")])
    assert list(tmp_path.iterdir()) == []


def test_a_root_without_the_set_is_told_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "root"
    line = fail(capsys, ["train", "--dataset", "mnist", "--root", str(root), "--out", str(tmp_path / "new")])
    assert f"get it with: python -m explorer data get mnist --root {root}" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["file", "file/below", "x" * 300])
def test_an_out_that_cannot_be_a_folder_is_told_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.setattr(training, "train", lambda *about, **more: pytest.fail("it trained"))
    (tmp_path / "file").write_bytes(b"mine")
    fail(capsys, [*QUICK, "--out", str(tmp_path / out)])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"mine"


# ---- going on with a training


@pytest.fixture(scope="module")
def in_one_go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four epochs of QUICK. Not to be changed."""
    folder = tmp_path_factory.mktemp("whole") / "model"
    cli.main([*QUICK, "--epochs", "4", "--out", str(folder)])
    return folder


@pytest.fixture(scope="module")
def half_way(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs of QUICK. Not to be changed."""
    folder = tmp_path_factory.mktemp("half") / "model"
    cli.main([*QUICK, "--out", str(folder)])
    return folder


@pytest.fixture
def half(half_way: Path, tmp_path: Path) -> Path:
    """A test's own copy of the training half way."""
    return Path(shutil.copytree(half_way, tmp_path / "model"))


def assert_is(folder: Path, expected: Path) -> None:
    """The model in folder has the weights and figures of the expected one."""
    found, wanted = (explorer.load(place).card for place in (folder, expected))
    assert found.sha256 == wanted.sha256
    times = {"seconds": 0.0}
    assert [{**record, **times} for record in found.history] == [{**record, **times} for record in wanted.history]
    assert (found.epochs, found.test_kl, found.beta) == (wanted.epochs, wanted.test_kl, wanted.beta)


def stop_after(monkeypatch: pytest.MonkeyPatch, epochs: int, error: BaseException) -> None:
    """Let training raise error in the middle of the epoch after so many."""
    advance = training.advance

    def stopping(model: Any, x_train: Any, batches: Any, state: training.State, **more: Any) -> None:
        if state.epoch < epochs:
            return advance(model, x_train, batches, state, **more)
        advance(model, x_train, batches[:2], state, **more)
        raise error

    monkeypatch.setattr(training, "advance", stopping)


def test_a_resumed_training_ends_as_one_in_one_go(
    half: Path, in_one_go: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["train", "--resume", str(half), "--epochs", "4", "--json"])
    told = capsys.readouterr()
    assert [json.loads(line)["epoch"] for line in told.out.splitlines()] == [3, 4]
    assert "4/4" in told.err
    assert_is(half, in_one_go)


def test_a_resumed_training_can_go_to_another_folder(half: Path, half_way: Path, in_one_go: Path) -> None:
    out = half.parent / "out"
    cli.main(["train", "--resume", str(half), "--epochs", "4", "--seed", "0", "--hidden", "8", "--out", str(out)])
    assert_is(out, in_one_go)
    assert {path.name for path in half.iterdir()} == {path.name for path in half_way.iterdir()}
    assert resume.load(half)[1].epoch == 2


def test_an_interrupted_training_keeps_its_last_whole_epoch(
    tmp_path: Path, in_one_go: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model"
    with monkeypatch.context() as patched:
        stop_after(patched, 3, KeyboardInterrupt())
        with pytest.raises(SystemExit) as ended:
            cli.main([*QUICK, "--epochs", "4", "--out", str(out)])
    assert ended.value.code == 130
    assert not (out / checkpoints.CARD).exists()
    assert (resume.load(out)[1].epoch, resume.load(out)[1].step) == (3, 0)
    cli.main(["train", "--resume", str(out)])
    assert_is(out, in_one_go)


def test_a_killed_training_loses_at_most_the_epoch_under_way(tmp_path: Path) -> None:
    out = tmp_path / "model"
    command = [sys.executable, "-m", "explorer", *QUICK, "--epochs", "2000", "--json", "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        told = [json.loads(process.stdout.readline())["epoch"] for _ in range(3)]
        process.send_signal(signal.SIGKILL)
        told += [json.loads(line)["epoch"] for line in process.stdout if line.endswith("\n")]
    done = resume.load(out)[1].epoch
    assert told[-1] <= done <= told[-1] + 1
    cli.main(["train", "--resume", str(out), "--epochs", str(done + 1)])
    assert explorer.load(out).card.epochs == done + 1


def test_a_training_killed_before_its_model_was_written_still_gets_it(half: Path, half_way: Path) -> None:
    (half / checkpoints.CARD).unlink()
    cli.main(["train", "--resume", str(half)])
    assert_is(half, half_way)


def test_a_training_that_diverges_leaves_its_last_good_epoch(
    tmp_path: Path, half_way: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = training.vae_loss
    calls = iter(range(10**6))
    steps = 6 * 2 + 3  # 1,438 images are 6 batches
    monkeypatch.setattr(
        training, "vae_loss", lambda *about, **more: loss(*about, **more) * (1 if next(calls) < steps else float("nan"))
    )
    out = tmp_path / "model"
    with pytest.raises(SystemExit) as ended:
        cli.main([*QUICK, "--epochs", "5", "--out", str(out)])
    assert ended.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("explorer: The training diverged: the loss at step 4 of epoch 3 is no longer a number.")
    assert told.endswith("try a learning rate below 0.001")
    assert_is(out, half_way)


def test_a_training_that_diverges_at_once_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*QUICK, "--beta", "1e39", "--out", str(tmp_path / "model")])
    assert ended.value.code == 2
    assert "the loss at step 1 of epoch 1 is no longer a number" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "has done 2 epochs already; give --epochs above 2 to go on"),
        (["--epochs", "2"], "has done 2 epochs already; give --epochs above 2 to go on"),
        (["--epochs", "1"], "has done 2 epochs already"),
        (["--epochs", "9999"], "epochs must be at most 2000"),
        (["--dataset", "mnist"], "--dataset is mnist, but the training in"),
        (["--model", "ae"], "--model is ae, but the training in"),
        (["--arch", "conv"], "--arch is conv, but the training in"),
        (["--hidden", "9,4"], "--hidden is 9,4, but the training in"),
        (["--hidden", "x"], "--hidden must be whole numbers with commas"),
        (["--latent-dim", "5"], "--latent-dim is 5, but the training in"),
        (["--beta", "4"], "has 1.0; leave --beta out to go on with it"),
        (["--batch-size", "7"], "has 256; leave --batch-size out to go on with it"),
        (["--lr", "0.5"], "--lr is 0.5, but the training in"),
        (["--seed", "3"], "--seed is 3, but the training in"),
    ],
)
def test_a_training_that_cannot_go_on_as_asked_is_told_and_left_alone(
    half: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    before = {path.name: path.read_bytes() for path in half.iterdir()}
    epochs = [] if "--epochs" in options or not options else ["--epochs", "4"]
    assert message in fail(capsys, ["train", "--resume", str(half), *epochs, *options])
    assert {path.name: path.read_bytes() for path in half.iterdir()} == before


def test_other_images_than_the_trainings_are_told(
    half: Path, capsys: pytest.CaptureFixture[str], digits: data.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = data.Dataset(**{**vars(digits), "sha256": "0" * 64})
    monkeypatch.setattr(data, "load", lambda *about, **more: other)
    line = fail(capsys, ["train", "--resume", str(half), "--epochs", "4"])
    assert f"The training in {half} saw other images than the full set of Digits 8×8; name the folder" in line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": None}, "cannot go on here: These are no settings of a training"),
        ({"settings": {}}, "cannot go on here: These are no settings of a training"),
        ({"lr": 0.1}, "its settings are not those of its model"),
        ({"latent_dim": 3}, "its settings are not those of its model"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"beta": -1.0}, "beta must be a number of at least 0"),
        ({"seed": "0"}, "seed must be a int, got '0'"),
        ({"dataset": "../digits"}, "Unknown data set: '../digits'"),
    ],
)
def test_what_a_training_says_about_itself_is_not_believed(
    half: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], message: str
) -> None:
    model, state, about = resume.load(half)
    settings = change["settings"] if "settings" in change else {**about["settings"], **change}
    resume.save(half, model, state, about={**about, "settings": settings})
    assert message in fail(capsys, ["train", "--resume", str(half), "--epochs", "4"])


def test_a_damaged_training_is_told_in_one_line(half: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = half.glob(resume.PATTERN)
    flip_a_bit(path)
    assert f"{path} is damaged" in fail(capsys, ["train", "--resume", str(half), "--epochs", "4"])
    path.unlink()
    assert "holds no training" in fail(capsys, ["train", "--resume", str(half), "--epochs", "4"])


def test_neither_a_model_nor_an_unfinished_training_is_written_over(
    half: Path, capsys: pytest.CaptureFixture[str], trained: dict[str, Path]
) -> None:
    again = ["train", "--resume", str(half), "--epochs", "4", "--out", str(trained["ae"])]
    assert "already holds a model; choose another folder for --out" in fail(capsys, again)
    (half / checkpoints.CARD).unlink()
    assert f"already holds a training; go on with --resume {half}" in fail(capsys, [*QUICK, "--out", str(half)])


# ---- commands


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["train"], "the following arguments are required: --out"),
        (["data"], "the following arguments are required: COMMAND"),
        (["data", "get", "cifar"], "Unknown data set: 'cifar'. Must be one of: mnist, fashion-mnist"),
        (["run", "--port", "web"], "invalid int value: 'web'"),
        (["run", "--port", "0"], "Port 0 is not a port: a number from 1 to 65535 was expected"),
        (["run", "--port", "-1"], "Port -1 is not a port"),
        (["run", "--port", "70000"], "Port 70000 is not a port"),
    ],
)
def test_a_wrong_command_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in fail(capsys, arguments)


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_in_use_is_told_in_one_line(capsys: pytest.CaptureFixture[str], busy_port: int) -> None:
    line = fail(capsys, ["run", "--port", str(busy_port)])
    assert f"Port {busy_port} is in use or not allowed; take another one, for example --port 8601" in line


def test_a_port_in_the_environment_is_checked_too(
    capsys: pytest.CaptureFixture[str], busy_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLIT_SERVER_PORT", str(busy_port))
    assert f"Port {busy_port} is in use" in fail(capsys, ["run"])
    monkeypatch.setenv("STREAMLIT_SERVER_PORT", "web")
    assert "Port web is not a port" in fail(capsys, ["run"])


def test_models_lists_what_ships(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["models", "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    cards = {line["name"]: checkpoints.read_card(checkpoints.find(line["name"])) for line in lines}
    assert {"mnist-ae-2", "mnist-vae-2", "fashion-mnist-ae-16", "fashion-mnist-vae-16"} <= cards.keys()
    wanted = {"dataset", "model", "arch", "hidden", "latent_dim", "beta", "epochs", "seed", "parameters"}
    for line in lines:
        assert wanted | {"test_recon", "test_kl", "sha256"} <= line.keys()
        assert line["sha256"] == cards[line["name"]].sha256
    cli.main(["models"])
    table = capsys.readouterr().out
    assert all(line["name"] in table and f"{line['test_recon']:.1f}" in table for line in lines)


def test_measure_says_a_json_line_a_figure(trained: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(folder) for folder in trained.values()]
    cli.main(["measure", *folders, "--samples", "60", "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["model"] for line in lines] == ["digits-ae-3"] * scoreboard.COUNT + ["digits-vae-3"] * scoreboard.COUNT
    wanted = {"model", "measure", "distribution", "value", "low", "high", "ceiling", "floor", "n"}
    assert all(wanted <= line.keys() for line in lines)
    cli.main(["measure", folders[1], "--samples", "60"])
    table = capsys.readouterr().out
    assert "digits-vae-3, 60 samples, seed 0" in table
    recon = next(line for line in lines if (line["model"], line["measure"]) == ("digits-vae-3", "recon"))
    assert f"{recon['value']:.1f} (" in table


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere"], "nowhere"),
        (["mnist-ae-2", "--samples", "3"], "--samples must be at least 20, got 3"),
        (["mnist-ae-2", "--samples", "many"], "invalid int value"),
        (["mnist-ae-2", "--seed", "-1"], "seed must be at least 0"),
        ([], "required: MODEL"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert message in fail(capsys, ["measure", *options])


def test_the_module_runs_as_a_command_and_ends_with_its_status(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "explorer", *QUICK, "--epochs", "0", "--out", str(tmp_path / "new")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "explorer: epochs must be at least 1, got 0\n"
