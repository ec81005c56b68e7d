"""Jobs on a real Ray cluster of two nodes on the loopback, of which one dies; and what a node does, without Ray."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import explorer
from explorer import data, models, remote_node, resume, training, workers
from explorer.job import ENDED, KINDS, LabRun, Training
from explorer.jobs import Jobs, Limits
from explorer.settings import Settings
from tests.test_jobs import ENDLESS, assert_same_bits, heard, no_drawing, order, states, wait_for, wait_until

OFF = {"include_dashboard": False, "object_store_memory": 80_000_000}
CHOSEN = Settings(dataset="digits", hidden=(16,), latent_dim=3, epochs=2000, batch_size=64, lr=3e-3, seed=7)
TEXT = "\n".join(f"{' '.join(f'word{(i * 7 + j * j) % 40}' for j in range(12))}" for i in range(300)).encode()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **OFF})
        patch.setenv("RAY_ADDRESS", made.address)
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def crew(cluster: Any) -> Iterator[Jobs]:
    made = Jobs(Limits(at_once=2, grace_s=600), module=workers.ON_RAY)
    yield made
    made.close()


@pytest.fixture(scope="module")
def lab(crew: Jobs, survivor: Training) -> LabRun:
    return crew.submit_lab("visitor", "documents", {"name": "documents.txt", "bits": 8, "seed": 0}, given=TEXT)


@pytest.fixture(scope="module")
def survivor(crew: Jobs, cluster: Any) -> Training:
    """A pair of which one side's node was killed in the middle; it went on and was then stopped and kept."""
    doomed = cluster.add_node(num_cpus=1, object_store_memory=OFF["object_store_memory"])
    job = crew.submit("visitor", CHOSEN)
    wait_until(lambda: all(len(heard(job, "epoch", kind)) > 1 for kind in KINDS), lambda: job.events[-3:])
    cluster.remove_node(doomed, allow_graceful=False)
    cluster.add_node(num_cpus=2, object_store_memory=OFF["object_store_memory"])
    wait_until(lambda: len(heard(job, "model")) > len(KINDS), lambda: job.events[-3:])
    wait_until(lambda: job.events[-1]["side"] == lost_side(job) and job.events[-1]["kind"] == "epoch")
    crew.stop(job, keep=True)
    wait_for(job, "drawing", *ENDED)
    no_drawing(job)
    return job


def lost_side(job: Training) -> str:
    return str(heard(job, "warning")[0]["side"])


def in_one_go(chosen: Settings, kind: str, *, epoch: int, step: int) -> dict[str, torch.Tensor]:
    """The weights of a training in this process, when it has come that far."""
    digits = data.load("digits")
    network = {"latent_dim": chosen.latent_dim, "arch": chosen.arch, "hidden": chosen.hidden}
    model = models.build(kind, seed=chosen.seed, image_shape=digits.image_shape, **network)  # type: ignore[arg-type]
    x_train, x_test = (torch.from_numpy(x) for x in (digits.x_train, digits.x_test))
    state = training.begin(model, lr=chosen.lr, seed=chosen.seed)
    for _ in training.moments(model, x_train, x_test, state=state, every=1, **chosen.budget(kind)):
        if (state.epoch, state.step) == (epoch, step):
            break
    return model.state_dict()


@pytest.mark.cluster
def test_a_training_whose_node_dies_goes_on_elsewhere_to_the_same_weights(survivor: Training) -> None:
    side = lost_side(survivor)
    folder = survivor.model_folder(side)
    trained, state, _ = resume.load(folder)
    again = heard(survivor, "model", side)[1]
    assert state.epoch > len(again["done"]) > 0
    assert_same_bits(explorer.load(folder).module.state_dict(), trained.state_dict())
    assert_same_bits(trained.state_dict(), in_one_go(CHOSEN, side, epoch=state.epoch, step=state.step))


@pytest.mark.cluster
def test_each_picture_of_the_film_is_here_under_a_name_of_its_own(survivor: Training) -> None:
    for kind in KINDS:
        names = [e["file"] for e in heard(survivor, "moment", kind)]
        assert len(names) == len(set(names))
        assert all((survivor.model_folder(kind) / name).is_file() for name in names)
        assert len(list(survivor.model_folder(kind).glob(workers.STATES))) == 1


@pytest.mark.cluster
def test_a_lost_node_is_told_in_a_sentence(survivor: Training) -> None:
    told = {e["text"].partition(": ")[2] or e["text"] for e in heard(survivor, "warning")}
    assert told <= {
        "the machine that trained is lost. Another one goes on from the last whole epoch.",
        "No processor of the cluster is free: this waits for one.",
        "no processor of the cluster is free: this waits for one.",
        "The connection to the cluster was lost. This goes on from what has come back.",
    }
    assert any("lost" in text for text in told)
    assert states(survivor)[:2] == ["training", "drawing"]


@pytest.mark.cluster
def test_a_lab_on_the_cluster_gets_its_file_and_gives_its_result(lab: LabRun) -> None:
    wait_for(lab, *ENDED)
    assert lab.state == "done", lab.events
    assert json.loads((lab.folder / "result.json").read_bytes())["format"] == 1
    assert (lab.folder / "result.safetensors").is_file()


@pytest.mark.cluster
def test_a_cluster_that_does_not_answer_is_told_and_a_stop_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    many = Jobs(Limits(), module=workers.ON_RAY)
    job = many.submit("visitor", ENDLESS)
    wait_until(lambda: len(heard(job, "warning")) == len(KINDS), lambda: job.events)
    assert all(e["text"].endswith("this waits until it does.") for e in heard(job, "warning"))
    many.stop(job, keep=False)
    wait_for(job, *ENDED)
    assert job.state == "stopped"
    many.close()


# ---- on the node, without Ray


def test_what_a_folder_gets_is_taken_once_and_the_newest_last(tmp_path: Path) -> None:
    (tmp_path / "given").write_bytes(b"known before")
    changes = remote_node.Changes(tmp_path)
    assert changes.take() == {}
    for second, name in enumerate(("b", "a"), start=1):
        (tmp_path / name).write_bytes(name.encode())
        os.utime(tmp_path / name, (second, second))
    (tmp_path / ".unfinished").write_bytes(b"half")
    assert list(changes.take().items()) == [("b", b"b"), ("a", b"a")]
    (tmp_path / "a").write_bytes(b"changed")
    assert changes.take() == {"a": b"changed"}
    assert changes.take() == {}


def test_a_picture_of_the_film_is_gone_from_the_node_when_it_is_sent(tmp_path: Path) -> None:
    changes = remote_node.Changes(tmp_path)
    (tmp_path / "moment-00000.safetensors").write_bytes(b"a picture")
    assert changes.take() == {"moment-00000.safetensors": b"a picture"}
    assert list(tmp_path.iterdir()) == []


def test_only_what_the_worker_needs_travels_to_the_node(tmp_path: Path) -> None:
    for name in ("card.json", "training-0123456789abcdef.safetensors", "moment-00000.safetensors", ".models.zip"):
        (tmp_path / name).write_bytes(name.encode())
    training_alone = {"training-0123456789abcdef.safetensors": b"training-0123456789abcdef.safetensors"}
    going_on = remote_node.pack({**order(tmp_path), "earlier": str(tmp_path), "data_folder": None})
    assert going_on == {"folder": {}, "earlier": training_alone}
    to_be_drawn = remote_node.pack({**order(tmp_path), "trained": True})
    assert to_be_drawn == {"folder": {"card.json": b"card.json", **training_alone}}


@pytest.mark.parametrize(
    ("name", "said"),
    [("cloud", "LATENT_EXPLORER_JOBS must be one of: processes, ray; got 'cloud'"), ("processes", None), ("", None)],
)
def test_which_backend_works_is_said_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, said: str | None
) -> None:
    monkeypatch.setenv(workers.CHOICE, name)
    if said is None:
        assert workers.chosen() == workers.HERE
    else:
        with pytest.raises(ValueError, match=said):
            workers.chosen()


def test_ray_that_is_not_installed_is_told_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(workers.CHOICE, "ray")
    assert workers.chosen() == workers.ON_RAY
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs Ray: install it with: pip install -e '\.\[cluster\]'"):
        workers.chosen()
