"""Trainings in processes. What a process learns is tested with real ones; the queue with actors that know no torch."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file

import explorer
from explorer import atlas, checkpoints, cli, jobs, packing, projection, resume, worker
from explorer.job import ENDED, KINDS, Job
from explorer.jobs import Jobs, Limits, Refused
from explorer.labs import orders
from explorer.settings import Settings

SMALL = Settings(dataset="digits", hidden=(16,), latent_dim=3, epochs=2, batch_size=64, lr=3e-3, seed=7)
ENDLESS = Settings(dataset="digits", hidden=(16,), epochs=2000, batch_size=64)
BATCHES = 23  # of 64 in the 1,438 training images
PATIENCE_S = 120
EACH_KIND = pytest.mark.parametrize("kind", KINDS)

# Says what a worker says. It is told what to do by the settings: the seed is the number of moments, beta below 1 means
# to end at once, and a learning rate of 1 is a training that cannot be dropped, since it has been finished.
ACTOR = """
import json, pathlib, sys
def say(kind, **values): print(json.dumps({"kind": kind, **values}), flush=True)
say("ready")
print("a library's remark", flush=True)
order = json.loads(sys.stdin.readline())
chosen = order["settings"]
for count in range(chosen["seed"]):
    name = f"moment-{count:05}.safetensors"
    (pathlib.Path(order["folder"]) / name).write_bytes(bytes(1000))
    say("moment", file=name)
say("begun")
if chosen["beta"] < 1:
    say("trained"); say("drawn"); sys.exit()
wish = json.loads(sys.stdin.readline())["stop"]
finished = chosen["lr"] == 1 and order["model"] == "ae"
if finished: __import__("time").sleep(0.3)
say("trained" if wish == "keep" or finished else "dropped")
sys.stdin.readline()
"""
BRIEF, PATIENT = Settings(beta=0.5), Settings()


def wait_until(true: Callable[[], object], what: Callable[[], object] = lambda: "") -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, what()
        time.sleep(0.01)


def wait_for(job: Job, *states: str) -> None:
    wait_until(lambda: job.state in states, lambda: (job.state, job.events[-3:]))


def heard(job: Job, kind: str, side: str | None = None) -> list[dict[str, Any]]:
    return [e for e in list(job.events) if e["kind"] == kind and side in (None, e["side"])]


def states(job: Job) -> list[str]:
    return [e["state"] for e in heard(job, "state")]


def no_drawing(job: Job) -> None:
    """End the processes of a trained job, which would draw UMAP for long; all else is done."""
    for process in list(job.workers.values()):
        process.kill()
    wait_for(job, "done")


def is_sentence(text: str) -> bool:
    return text[0].isupper() and text.endswith(".") and not text.endswith("..") and "\n" not in text and len(text) < 300


def options(settings: Settings) -> list[str]:
    """The same settings as they are given to the command line."""
    given = {**settings.record(), "hidden": ",".join(map(str, settings.hidden))}
    return [word for key, value in given.items() for word in (f"--{key.replace('_', '-')}", str(value))]


def by_command_line(settings: Settings, kind: str, out: Path) -> dict[str, torch.Tensor]:
    cli.main(["train", "--model", kind, *options(settings), "--out", str(out)])
    return load_file(out / checkpoints.WEIGHTS)


def assert_same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].numpy().tobytes() == other[name].numpy().tobytes(), name


# ---- real processes


@pytest.fixture(scope="module")
def crew() -> Iterator[Jobs]:
    made = Jobs(Limits(at_once=1))
    yield made
    made.close()


@pytest.fixture(scope="module")
def finished(crew: Jobs) -> Job:
    """A pair that has been trained; UMAP may still be under way. Not to be changed."""
    job = crew.submit("visitor", SMALL)
    wait_for(job, "drawing", *ENDED)
    return job


@EACH_KIND
def test_a_pair_says_what_it_is_and_how_it_goes(finished: Job, kind: str) -> None:
    told = [e["kind"] for e in list(finished.events) if e["side"] == kind]
    assert told[:2] == ["model", "moment"]
    (model,) = heard(finished, "model", kind)
    assert (model["model"], model["beta"]) == (kind, {"ae": 0, "vae": 1}[kind])
    assert (model["image_shape"], model["n"], model["n_train"], model["done"]) == ([1, 8, 8], 359, 1438, [])
    assert model["parameters"] == explorer.load(finished.model_folder(kind)).card.parameters
    assert [e["epoch"] for e in heard(finished, "epoch", kind)] == [1, 2]
    assert told.index("ending") < told.index("trained")
    assert states(finished)[:2] == ["training", "drawing"]


@EACH_KIND
def test_moments_come_several_times_an_epoch_and_at_its_end(finished: Job, kind: str) -> None:
    epochs = [e["epoch"] for e in heard(finished, "moment", kind)]
    assert epochs[0] == 0
    assert epochs == sorted(set(epochs))
    for last in (1, 2):
        assert sum(last - 1 < epoch <= last for epoch in epochs) >= worker.MOMENTS_AN_EPOCH
        assert last in epochs


@EACH_KIND
def test_each_moment_is_a_file_with_a_map_of_the_images(finished: Job, kind: str) -> None:
    folder = finished.model_folder(kind)
    images = load_arrays(folder / "images.safetensors")
    names = [e["file"] for e in heard(finished, "moment", kind)]
    assert len(set(names)) == len(names)
    for name in names:
        assert load_arrays(folder / name)["codes"].shape == (359, 3)
    assert images["images"].shape == (359, 1, 8, 8)


@EACH_KIND
def test_the_weights_are_those_of_the_command_line_to_the_last_bit(finished: Job, tmp_path: Path, kind: str) -> None:
    wanted = by_command_line(SMALL, kind, tmp_path)
    assert_same_bits(load_file(finished.model_folder(kind) / checkpoints.WEIGHTS), wanted)


@EACH_KIND
def test_the_card_says_of_a_kept_model_what_the_command_line_says(finished: Job, tmp_path: Path, kind: str) -> None:
    by_command_line(SMALL, kind, tmp_path)
    wanted, card = (vars(checkpoints.read_card(place)).copy() for place in (tmp_path, finished.model_folder(kind)))
    for each in (wanted, card):
        assert [record.pop("seconds") > 0 for record in each["history"]] == [True, True]
    assert card.pop("name") == finished.model_folder(kind).name
    assert card == {key: value for key, value in wanted.items() if key != "name"}


@pytest.fixture(scope="module")
def went_on(crew: Jobs, finished: Job) -> Job:
    job = crew.submit("visitor", Settings(**{**vars(SMALL), "epochs": 3}), earlier=finished.folder)
    wait_for(job, "drawing", *ENDED)
    no_drawing(job)
    return job


@EACH_KIND
def test_an_earlier_training_goes_on_as_if_it_had_not_stopped(went_on: Job, tmp_path: Path, kind: str) -> None:
    wanted = by_command_line(Settings(**{**vars(SMALL), "epochs": 3}), kind, tmp_path)
    assert_same_bits(load_file(went_on.model_folder(kind) / checkpoints.WEIGHTS), wanted)
    assert [stats["epoch"] for stats in heard(went_on, "model", kind)[0]["done"]] == [1, 2]
    assert [e["epoch"] for e in heard(went_on, "epoch", kind)] == [3]
    assert heard(went_on, "moment", kind)[0]["epoch"] == 2


def test_a_killed_process_is_told_in_a_sentence_and_leaves_the_last_whole_epochs(crew: Jobs) -> None:
    job = crew.submit("visitor", ENDLESS)
    wait_until(lambda: all(len(heard(job, "epoch", kind)) > 1 for kind in KINDS), lambda: job.events[-1])
    os.kill(job.workers["vae"].pid, signal.SIGKILL)
    wait_for(job, *ENDED)
    assert states(job)[-1] == "failed"
    (failure,) = heard(job, "failed")
    assert failure["text"] == "VAE: the training process ended by itself (signal 9)."
    wait_until(lambda: not job.workers)
    for kind in KINDS:
        model, state, _ = resume.load(job.model_folder(kind))
        assert state.epoch in (len(heard(job, "epoch", kind)), len(heard(job, "epoch", kind)) + 1)
        assert state.step == 0
        assert all(bool(value.isfinite().all()) for value in model.state_dict().values())
    assert not any((job.model_folder(kind) / atlas.MANIFEST).exists() for kind in KINDS)


def test_a_training_that_nobody_listens_to_ends_and_is_kept_even_in_its_first_epoch(tmp_path: Path) -> None:
    lonely = Jobs(Limits(grace_s=0))
    job = lonely.submit("visitor", ENDLESS)
    wait_for(job, "drawing", *ENDED)
    no_drawing(job)
    assert [e["text"] for e in heard(job, "warning")] == ["The page was closed, so this was ended and kept."]
    for kind in KINDS:
        done = len(heard(job, "epoch", kind))
        model = explorer.load(job.model_folder(kind))
        assert (model.card.model, model.card.epochs) == (kind, done)
        trained, state, _ = resume.load(job.model_folder(kind))
        assert (state.epoch, state.step > 0) == (done, True)
        assert_same_bits(trained.state_dict(), model.module.state_dict())
    packing.pack([job.model_folder(kind) for kind in KINDS], tmp_path / "pair.zip")
    assert len(packing.unpack((tmp_path / "pair.zip").read_bytes(), tmp_path / "pair")) == 2
    lonely.close()


@pytest.mark.parametrize(
    ("changes", "max_bytes", "said"),
    [
        ({"latent_dim": 65}, 10**10, "latent_dim must be between 1 and 64, got 65."),
        ({"lr": 1.0, "beta": 1e300}, 10**10, "The training diverged: the loss at step 1 of epoch 1 is no longer a num"),
        ({}, 1_000_000, "The training needs "),
        ({"epochs": "many"}, 10**10, "These are no settings of a training: epochs must be a int"),
    ],
    ids=["more dimensions than pixels", "diverges at once", "memory", "settings"],
)
def test_a_process_says_in_one_sentence_why_it_cannot_train(
    tmp_path: Path, changes: dict[str, Any], max_bytes: int, said: str
) -> None:
    process = jobs.start_process()
    jobs.tell(process, order(tmp_path, max_bytes=max_bytes, **changes))
    assert process.stdout is not None
    *_, last = (json.loads(line) for line in process.stdout)
    assert process.wait() == 0
    assert last["kind"] == "failed"
    assert last["text"].startswith(said)
    assert is_sentence(last["text"][0].upper() + last["text"][1:])


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux bounds another process")
def test_a_disk_that_is_full_is_told_and_the_epochs_before_are_whole(tmp_path: Path) -> None:
    process = jobs.start_process()
    assert process.stdout is not None
    jobs.tell(process, order(tmp_path, epochs=2000))
    news: list[dict[str, Any]] = []
    for line in process.stdout:
        news.append(json.loads(line))
        if len([e for e in news if e["kind"] == "epoch"]) == 2:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2000, 2000))
    process.wait(PATIENCE_S)
    assert news[-1]["kind"] == "failed"
    assert news[-1]["text"] == (
        "The files cannot be written (file too large): make room on the disk, then start again."
    )
    _, state, _ = resume.load(tmp_path)
    assert state.epoch >= 2
    assert state.step == 0
    assert not (tmp_path / checkpoints.CARD).exists()
    assert not list(tmp_path.glob("*.tmp*"))


@pytest.mark.parametrize("kind", ["epoch", "step"], ids=["a training", "a lab"])
def test_a_process_whose_server_is_gone_goes_too(tmp_path: Path, kind: str) -> None:
    lab = {"lab": "basic", "settings": orders.read("basic", {"epochs": 50}), "folder": str(tmp_path)}
    process = jobs.start_process()
    jobs.tell(process, lab if kind == "step" else order(tmp_path, epochs=2000))
    assert process.stdout is not None
    assert process.stdin is not None
    for line in process.stdout:
        if json.loads(line)["kind"] == kind:
            break
    process.stdin.close()
    process.stdout.read()
    assert process.wait(PATIENCE_S) == 0
    assert not (tmp_path / checkpoints.CARD).exists()
    assert not (tmp_path / "result.json").exists()


# ---- what a worker does, without its process


def order(folder: Path, *, model: str = "vae", max_bytes: int = 10**12, **changes: Any) -> dict[str, Any]:
    settings = {**SMALL.record(), **changes}
    return {"model": model, "settings": settings, "folder": str(folder), "full": False, "max_bytes": max_bytes}


@pytest.fixture
def news(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What workers of this process say; UMAP, which takes long, is left out."""
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(worker, "say", lambda kind, **values: said.append({"kind": kind, **values}))
    monkeypatch.setattr(projection, "umap", lambda codes, seed: codes[:, :2].copy())
    return said


@EACH_KIND
def test_a_training_stopped_in_the_middle_of_an_epoch_is_kept_and_goes_on_exactly(
    tmp_path: Path, news: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    stopped = worker.Worker(order(folders[0], model=kind))
    say_moment = stopped.say_moment

    def stop_at_the_eighth(moment: Any) -> None:
        say_moment(moment)
        stopped.wish = "keep" if stopped.count == 8 else None

    monkeypatch.setattr(stopped, "say_moment", stop_at_the_eighth)
    stopped.run()
    _, state, _ = resume.load(folders[0])
    assert state.epoch == explorer.load(folders[0]).card.epochs == 1
    assert 0 < state.step < BATCHES
    assert news[-2]["kind"] == "trained"
    worker.Worker({**order(folders[1], model=kind), "earlier": str(folders[0])}).run()
    assert_same_bits(load_file(folders[1] / checkpoints.WEIGHTS), by_command_line(SMALL, kind, tmp_path / "in one go"))


def test_a_training_that_is_dropped_leaves_no_model(tmp_path: Path, news: list[dict[str, Any]]) -> None:
    dropped = worker.Worker(order(tmp_path))
    dropped.wish = "drop"
    dropped.run()
    assert news[-1] == {"kind": "dropped"}
    assert not (tmp_path / checkpoints.CARD).exists()
    assert not (tmp_path / atlas.MANIFEST).exists()


def test_a_training_that_diverges_says_where_and_keeps_the_last_good_weights(
    tmp_path: Path, news: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt = worker.Worker(order(tmp_path))
    say_moment = spoilt.say_moment
    good: dict[str, torch.Tensor] = {}

    def spoil_the_eighth(moment: Any) -> None:
        say_moment(moment)
        if spoilt.count == 8:
            good.update({name: value.clone() for name, value in spoilt.model.state_dict().items()})
            with torch.no_grad():
                next(iter(spoilt.model.parameters()))[:] = torch.nan

    monkeypatch.setattr(spoilt, "say_moment", spoil_the_eighth)
    spoilt.run()
    (warning,) = [e["text"] for e in news if e["kind"] == "warning"]
    assert warning.startswith("VAE: The training diverged: the loss at step ")
    assert "of epoch 2 is no longer a number" in warning
    assert warning.endswith("try a learning rate below 0.003.")
    assert news[-2]["kind"] == "trained"
    assert_same_bits(load_file(tmp_path / checkpoints.WEIGHTS), good)
    _, state, _ = resume.load(tmp_path)
    assert (state.epoch, state.step) == (1, 0)


def test_a_collapse_and_a_rising_loss_are_told_once_each(tmp_path: Path, news: list[dict[str, Any]]) -> None:
    worker.Worker(order(tmp_path, beta=100.0, epochs=4)).run()
    warnings = [e["text"] for e in news if e["kind"] == "warning"]
    assert len([text for text in warnings if text.startswith("VAE: KL has collapsed to 0.0")]) == 1
    assert len(warnings) == len(set(warnings)) <= 2


def test_models_of_other_images_do_not_go_on(
    tmp_path: Path, news: list[dict[str, Any]], trained: dict[str, Path]
) -> None:
    going_on = worker.Worker({**order(tmp_path), "earlier": str(trained["vae"])})
    going_on.settings = Settings(hidden=(16,))
    with pytest.raises(ValueError, match=r"trained on other images than the ones here"):
        going_on.run()


# ---- the queue, with actors


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Jobs]]:
    """Makes Jobs whose processes are actors."""
    made: list[Jobs] = []
    command = [sys.executable, "-S", "-c", ACTOR]
    pipe = subprocess.PIPE
    monkeypatch.setattr(jobs, "start_process", lambda _: subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))

    def make(**limits: Any) -> Jobs:
        made.append(Jobs(Limits(**{"at_once": 1, **limits})))
        return made[-1]

    yield make
    for each in made:
        each.close()


def begin(many: Jobs, owner: str = "visitor", settings: Settings = PATIENT) -> Job:
    """A training of which both sides have begun."""
    job = many.submit(owner, settings)
    wait_until(lambda: len(heard(job, "begun")) == 2)
    return job


def test_a_job_runs_to_its_end_through_all_states(act: Callable[..., Jobs]) -> None:
    job = act().submit("visitor", BRIEF)
    wait_for(job, *ENDED)
    assert states(job) == ["training", "drawing", "done"]
    assert not job.workers
    assert not heard(job, "ready")


def test_those_who_wait_are_told_their_place_and_start_in_turn(act: Callable[..., Jobs]) -> None:
    many = act()
    first = begin(many)
    second, third = many.submit("other", PATIENT), many.submit("third", BRIEF)
    assert [(e["state"], e["place"]) for e in second.events] == [("waiting", 1)]
    assert [(e["state"], e["place"]) for e in third.events] == [("waiting", 2)]
    many.stop(first, keep=False)
    wait_until(lambda: len(heard(second, "begun")) == 2)
    assert [e["place"] for e in heard(third, "state")] == [2, 1]
    many.stop(second, keep=True)
    wait_for(third, "done")
    assert states(third) == ["waiting", "waiting", "training", "drawing", "done"]


def test_who_draws_no_longer_keeps_others_waiting(act: Callable[..., Jobs]) -> None:
    many = act()
    first = begin(many)
    second = many.submit("other", PATIENT)
    many.stop(first, keep=True)
    wait_until(lambda: len(heard(second, "begun")) == 2)
    assert first.state == "drawing"


def test_a_job_that_waits_can_be_stopped_and_the_next_moves_up(act: Callable[..., Jobs]) -> None:
    many = act(at_once=0)
    first, second = many.submit("visitor", PATIENT), many.submit("other", PATIENT)
    many.stop(first, keep=True)
    assert states(first) == ["waiting", "stopped"]
    assert second.events[-1]["place"] == 1


def test_what_is_stopped_without_keeping_is_gone(act: Callable[..., Jobs]) -> None:
    many = act()
    job = begin(many)
    many.stop(job, keep=False)
    wait_for(job, *ENDED)
    assert states(job) == ["training", "stopped"]
    wait_until(lambda: not job.workers)


@pytest.mark.parametrize("keep", [False, True])
def test_a_process_that_hangs_when_it_is_told_to_stop_is_ended_and_the_next_job_begins(
    act: Callable[..., Jobs], keep: bool
) -> None:
    many = act(patience_s=0.5)
    job, second = begin(many), many.submit("other", BRIEF)
    hung = job.workers["ae"]
    hung.send_signal(signal.SIGSTOP)
    many.stop(job, keep=keep)
    wait_for(job, *ENDED)
    wait_for(second, "done")
    assert hung.wait(PATIENCE_S) == -signal.SIGKILL
    assert states(job) == ["training", "failed" if keep else "stopped"]
    assert [news["text"] for news in heard(job, "failed")] == ["AE: the training did not end when it should."] * keep


def test_a_side_that_was_past_stopping_does_not_keep_a_dropped_pair(act: Callable[..., Jobs]) -> None:
    many = act()
    job = begin(many, settings=Settings(lr=1.0))
    many.stop(job, keep=False)
    wait_for(job, "drawing", *ENDED)
    assert [(e["side"], e["kind"]) for e in job.events][-3:] == [("vae", "dropped"), ("ae", "trained"), ("", "state")]
    assert states(job) == ["training", "stopped"]


def test_trainings_on_data_that_was_brought_end_and_go_with_who_brought_it(
    act: Callable[..., Jobs], tmp_path: Path
) -> None:
    many = act(at_once=3)
    on_own, on_shipped = (many.submit("anna", PATIENT, data_folder=folder) for folder in (tmp_path, None))
    of_another = many.submit("ben", PATIENT, data_folder=tmp_path)
    for job in (on_own, on_shipped, of_another):
        wait_until(lambda job=job: len(heard(job, "begun")) == len(KINDS))  # type: ignore[misc]
    processes = list(on_own.workers.values())
    assert many.has_own_data("anna")
    many.forget_own_data("anna")
    assert all(process.wait(PATIENCE_S) for process in processes)
    assert not many.has_own_data("anna")
    assert not on_own.folder.exists()
    assert on_shipped.state == of_another.state == "training"


def test_what_is_stopped_and_kept_is_drawn_and_done(act: Callable[..., Jobs]) -> None:
    many = act()
    job = begin(many)
    many.stop(job, keep=True)
    wait_for(job, "drawing")
    no_drawing(job)
    assert states(job) == ["training", "drawing", "done"]
    assert not heard(job, "failed")


def test_a_process_that_ends_by_itself_fails_the_job_and_ends_the_other(act: Callable[..., Jobs]) -> None:
    many = act()
    job = begin(many)
    other = job.workers["vae"]
    job.workers["ae"].terminate()
    wait_for(job, *ENDED)
    (failure,) = heard(job, "failed")
    assert failure["text"] == "AE: the training process ended by itself (signal 15)."
    assert states(job) == ["training", "failed"]
    assert other.wait(PATIENCE_S) == -signal.SIGKILL


def test_a_training_has_a_time_bound_and_is_kept_then(act: Callable[..., Jobs]) -> None:
    job = begin(act(training_s=0))
    wait_for(job, "drawing")
    (warning,) = heard(job, "warning")
    assert warning["text"] == "This was ended and kept after 0 minutes, the most that one may take here."
    assert job.wish == "keep"


def test_a_training_that_somebody_listens_to_goes_on_until_nobody_does(act: Callable[..., Jobs]) -> None:
    many = act(grace_s=0.5, at_once=2)

    def listener() -> None:
        pass

    job = many.submit("visitor", PATIENT)
    many.listen(job, listener)
    deserted = many.submit("other", PATIENT)
    wait_for(deserted, "drawing")
    assert job.state == "training"
    many.unlisten(job, listener)
    wait_for(job, "drawing")
    assert [len(heard(each, "warning")) for each in (job, deserted)] == [1, 1]


def test_listeners_are_called_for_each_piece_of_news(act: Callable[..., Jobs]) -> None:
    many = act(at_once=0)
    job = many.submit("visitor", PATIENT)
    called: list[int] = []
    many.listen(job, lambda: called.append(len(job.events)))
    many.stop(job, keep=False)
    assert called == [2]


def test_a_fourth_training_of_one_visitor_is_refused_in_one_sentence(act: Callable[..., Jobs]) -> None:
    many = act(at_once=1)
    three = [many.submit("visitor", PATIENT) for _ in range(3)]
    with pytest.raises(Refused) as refusal:
        many.submit("visitor", PATIENT)
    assert str(refusal.value) == "You have 3 trainings already: stop one of them first"
    assert many.of("visitor") == three
    assert many.submit("other", PATIENT).state == "waiting"
    many.stop(three[2], keep=False)
    assert many.submit("visitor", PATIENT).state == "waiting"


def test_a_full_queue_is_told_in_one_sentence(act: Callable[..., Jobs]) -> None:
    many = act(at_once=0, waiting=2)
    for owner in ("one", "two"):
        many.submit(owner, PATIENT)
    with pytest.raises(Refused) as refusal:
        many.submit("three", PATIENT)
    assert str(refusal.value) == "The queue is full: try again in some minutes"
    assert many.of("three") == []


def test_a_job_is_its_owners_alone(act: Callable[..., Jobs]) -> None:
    many = act(at_once=0)
    job = many.submit("visitor", PATIENT)
    assert many.get(job.id, "visitor") is job
    for stranger in ("", "other", "visitor2", "Visitor"):
        assert many.get(job.id, stranger) is None
    assert many.get("nothing", "visitor") is None
    assert many.of("other") == []


def test_an_earlier_pair_that_was_removed_meanwhile_fails_and_the_queue_goes_on(
    act: Callable[..., Jobs], tmp_path: Path
) -> None:
    many = act()
    first = begin(many)
    second, third = many.submit("visitor", PATIENT, earlier=tmp_path), many.submit("visitor", BRIEF)
    many.stop(first, keep=False)
    wait_for(third, "done")
    assert states(second) == ["waiting", "failed"]
    assert [e["text"] for e in heard(second, "failed")] == ["There is no AE to go on from."]


def test_the_film_is_thinned_evenly_when_it_is_full(act: Callable[..., Jobs]) -> None:
    bound = 20_000  # for both: ten moments of an actor a side
    job = act(film_bytes=bound).submit("visitor", Settings(seed=50, beta=0.5))
    wait_for(job, "done")
    assert len(heard(job, "moment")) == 100
    for kind in KINDS:
        left = sorted(int(file.stem.removeprefix("moment-")) for file in job.model_folder(kind).glob("moment-*"))
        assert 3 <= len(left) <= bound // 1000 // 2
        assert (left[0], left[-1]) == (0, 49)


def test_the_oldest_ended_jobs_make_room(act: Callable[..., Jobs]) -> None:
    many = act(at_once=0, kept_jobs=2)
    ended = [many.submit("visitor", PATIENT) for _ in range(2)]
    for job in ended:
        many.stop(job, keep=False)
    third = many.submit("visitor", PATIENT)
    assert many.of("visitor") == [ended[1], third]
    assert [job.folder.exists() for job in (*ended, third)] == [False, True, True]


def test_processes_that_were_made_ready_are_those_that_train(act: Callable[..., Jobs]) -> None:
    many = act()
    many.warm()
    many.warm()
    ready = [spare.pid for spare in many.spares]
    assert len(ready) == 2
    job = begin(many)
    assert [process.pid for process in job.workers.values()] == ready


def test_a_ready_process_that_died_is_passed_over(act: Callable[..., Jobs]) -> None:
    many = act()
    many.warm()
    for spare in many.spares:
        spare.kill()
        spare.wait()
    job = begin(many)
    assert job.state == "training"


def test_ready_processes_go_when_nobody_wants_them(act: Callable[..., Jobs]) -> None:
    many = act(idle_s=0)
    many.warm()
    spares = list(many.spares)
    wait_until(lambda: not many.spares)
    assert [spare.wait(PATIENCE_S) for spare in spares] == [-signal.SIGKILL] * 2


def test_closing_leaves_no_process_and_no_folder_and_starts_nothing_that_waits(act: Callable[..., Jobs]) -> None:
    many = act()
    many.warm()
    job = begin(many)
    many.warm()
    processes = [*many.spares, *job.workers.values()]
    waiting = many.submit("visitor", PATIENT)
    many.close()
    assert [process.poll() for process in processes] == [-signal.SIGKILL] * 4
    wait_until(lambda: not job.workers)
    assert not waiting.workers
    assert waiting.state == "waiting"
    assert not many.root.exists()


def test_the_limits_can_be_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENT_EXPLORER_AT_ONCE", "3")
    monkeypatch.setenv("LATENT_EXPLORER_GRACE_S", "7.5")
    assert jobs.limits_here() == Limits(at_once=3, grace_s=7.5)


@pytest.mark.parametrize("given", ["many", "0", "-1", "inf", "1.5"])
def test_a_limit_that_is_none_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("LATENT_EXPLORER_AT_ONCE", given)
    with pytest.raises(ValueError, match=rf"LATENT_EXPLORER_AT_ONCE must be a whole number above 0, got '{given}'"):
        jobs.limits_here()


# ---- the end of a job, which takes long: last


def test_a_job_is_done_when_umap_is_drawn(finished: Job) -> None:
    wait_for(finished, *ENDED)
    assert states(finished) == ["training", "drawing", "done"]
    assert sorted(e["side"] for e in heard(finished, "drawn")) == ["ae", "vae"]
    assert not finished.workers
    for kind in KINDS:
        drawn = atlas.load(finished.model_folder(kind)).codes["umap"]
        assert drawn.shape == (359, 2)
        assert len({tuple(point) for point in drawn.tolist()}) > 300
