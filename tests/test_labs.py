"""What the labs take, compute and serve. Their own computations have files of their own, but for the two short ones."""

from __future__ import annotations

import dataclasses
import gzip
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as read_arrays
from safetensors.numpy import load_file
from sklearn.decomposition import PCA
from starlette.applications import Starlette
from torch import nn

from explorer import catalogue, checkpoints, data, lab_routes
from explorer.files import sha256
from explorer.job import LabRun
from explorer.jobs import Jobs, Limits
from explorer.labs import basic, denoise, orders, work
from explorer.labs.result import FORMAT, Result, Step, save
from explorer.visitors import COOKIE
from tests.asgi import Answer, get

ANNA, BEN = "A" * 32, "B" * 32
NOTHING = orders.read("basic", {})


@pytest.fixture(scope="module")
def clothes() -> data.Dataset:
    """A few of them."""
    found = data.load_subset("fashion-mnist")
    return dataclasses.replace(
        found,
        x_train=found.x_train[:1000],
        y_train=found.y_train[:1000],
        x_test=found.x_test[:200],
        y_test=found.y_test[:200],
    )


def last(news: Iterator[Step | Result]) -> tuple[list[Step], Result]:
    *steps, result = news
    assert isinstance(result, Result)
    return [step for step in steps if isinstance(step, Step)], result


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lab", orders.ORDERS)
def test_what_is_not_given_is_the_usual(lab: str) -> None:
    assert set(orders.read(lab, {})) == set(orders.ORDERS[lab])


@pytest.mark.parametrize(
    ("lab", "given_settings", "told"),
    [
        ("tea", {}, "Unknown lab: 'tea'. Must be one of: basic, denoise, "),
        ("basic", {"cups": 2}, "basic has no setting 'cups'; it has dataset, full, epochs, seed"),
        ("basic", {"epochs": 0}, "epochs must be a whole number from 1 to 50, got '0'"),
        ("basic", {"epochs": 1.5}, "epochs must be a whole number"),
        ("basic", {"epochs": True}, "epochs must be a whole number"),
        ("basic", {"epochs": "3"}, "epochs must be a whole number"),
        ("basic", {"full": 1}, "full must be one of: False, True; got '1'"),
        ("basic", {"dataset": "cats"}, "dataset must be one of: fashion-mnist, mnist; got 'cats'"),
        ("denoise", {"level": float("nan")}, "level must be a number from 0.05 to 0.6"),
        ("denoise", {"noise": ["gaussian"]}, "noise must be one of"),
        ("projections", {"neighbours": 10**400}, "neighbours must be a whole number from 2 to 200"),
    ],
)
def test_a_setting_that_cannot_be_is_told_with_what_would_be_right(
    lab: str, given_settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        orders.read(lab, given_settings)
    assert told in str(error.value)


def test_a_full_set_that_is_not_here_is_told_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "has_full", lambda name: name == "mnist")
    assert orders.read("basic", {"full": True, "dataset": "mnist"})["full"]
    with pytest.raises(ValueError, match=r"The whole of Fashion-MNIST is not here; get it with: .* get fashion-mnist$"):
        orders.read("basic", {"full": True})


def test_all_of_the_heartbeats_get_the_published_budget(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    few = data.load_ecg()
    many = dataclasses.replace(few, series=np.tile(few.series, (10, 1)), labels=np.tile(few.labels, 10))
    monkeypatch.setattr(data, "load_ecg", lambda: many)
    _, result = last(work.heartbeats(tmp_path, splits=1, epochs=200, seed=0))
    assert (result.record["series"], result.record["epochs"], result.record["batch_size"]) == (5000, 20, 512)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["epochs", "seed", "dataset", "full", "x"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
    )
)
def test_whatever_is_asked_is_read_or_refused_in_a_sentence(asked: dict[str, Any]) -> None:
    told = ""
    try:
        assert set(orders.read("basic", asked)) == set(NOTHING)
    except ValueError as error:
        told = str(error)
    assert len(told) < 250


# --- the two short labs -----------------------------------------------------------------------------------------------


def test_the_basic_copy_learns_and_its_figures_are_those_of_the_kept_weights(clothes: data.Dataset) -> None:
    steps, result = last(basic.run(clothes, epochs=3))
    assert [step.done for step in steps] == [1, 2, 3]
    values = [step.figures["val_mse"] for step in steps]
    assert values[0] > values[-1]
    weights = {name: value.astype(np.float64) for name, value in result.arrays.items()}
    x = clothes.x_test.reshape(200, -1) / 255
    hidden = np.maximum(x @ weights["0.weight"].T + weights["0.bias"], 0)
    x_hat = 1 / (1 + np.exp(-(hidden @ weights["2.weight"].T + weights["2.bias"])))
    assert np.square(x - x_hat).mean() == pytest.approx(result.record["val_mse"], rel=1e-4)
    assert result.record["val_mse"] < result.record["mean_mse"]


def test_the_control_is_pca_with_as_many_numbers(clothes: data.Dataset) -> None:
    x, x_test = (part.reshape(len(part), -1).astype(np.float64) / 255 for part in (clothes.x_train, clothes.x_test))
    fitted = PCA(64, svd_solver="full").fit(x)
    found = fitted.inverse_transform(fitted.transform(x_test))
    assert basic.pca_mse(x, x_test) == pytest.approx(np.square(found - x_test).mean(), rel=1e-6)


def test_the_same_seed_gives_the_same_weights(clothes: data.Dataset) -> None:
    one, same, other = (last(basic.run(clothes, epochs=1, seed=seed))[1].arrays for seed in (3, 3, 4))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["0.weight"], other["0.weight"])


def test_denoising_beats_the_noise_it_was_trained_with(clothes: data.Dataset) -> None:
    steps, result = last(denoise.run(clothes, epochs=6, noise="salt and pepper", level=0.3))
    assert len(steps) == 6
    assert result.record["val_mse"] < 0.6 * result.record["noisy_mse"]
    assert set(result.record["others"]) == set(orders.NOISES)
    assert {name for layer in result.record["layers"] for name in layer.values()} >= set(result.arrays)


def test_each_noise_is_what_its_level_says() -> None:
    x = torch.full((400, 1, 28, 28), 0.5)
    gaussian = denoise.add_noise(x, noise="gaussian", level=0.1, seed=0)
    assert float((gaussian - x).std()) == pytest.approx(0.1, rel=0.02)
    salted = denoise.add_noise(x, noise="salt and pepper", level=0.3, seed=0)
    assert float((salted != 0.5).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float((salted == 1).float().mean()) == pytest.approx(0.15, abs=0.01)
    hidden = denoise.add_noise(x, noise="occlusion", level=0.25, seed=0)
    assert ((hidden == 0).flatten(1).sum(1) == 49).all(), "a square of 7 by 7"
    assert (hidden == 0).float().mean(dim=0).max() < 0.3, "at another place in each image"
    strong = denoise.add_noise(x, noise="gaussian", level=3.0, seed=0)
    assert (float(strong.min()), float(strong.max())) == (0.0, 1.0)


def test_the_noise_free_limit_is_the_image_itself() -> None:
    x = torch.rand(5, 1, 28, 28)
    for noise in orders.NOISES:
        assert torch.equal(denoise.add_noise(x, noise=noise, level=0.0, seed=1), x)


def test_the_layers_describe_the_network() -> None:
    kinds = {nn.Conv2d: "conv", nn.ConvTranspose2d: "conv_transpose", nn.ReLU: "relu", nn.Sigmoid: "sigmoid"}
    assert [layer["kind"] for layer in denoise.layers()] == [kinds[type(one)] for one in denoise.build(seed=0)]


# --- what ships -------------------------------------------------------------------------------------------------------


def shipped(name: str) -> dict[str, Any]:
    return catalogue.shipped().labs[name].record


def test_the_published_figures_come_out_again_on_the_full_data() -> None:
    for name, bar in (("basic", 0.0090), ("denoise", 0.0080)):
        record = shipped(name)
        assert record["val_mse"] <= bar
        assert (record["data_source"], record["n_train"], record["n_test"]) == ("the full set", 60_000, 10_000)
        assert (record["epochs"], len(record["history"])) == (10, 10)


@pytest.mark.parametrize("name", ["basic", "denoise"])
def test_the_shipped_weights_are_those_that_were_measured(name: str) -> None:
    module = basic.build(784, seed=0) if name == "basic" else denoise.build(seed=0)
    arrays = load_file(checkpoints.PRETRAINED / catalogue.LABS / f"{name}.safetensors")
    module.load_state_dict({key: torch.from_numpy(value).float() for key, value in arrays.items()})
    x = basic.unit(data.load_subset("fashion-mnist").x_test)
    x = x.flatten(1) if name == "basic" else x
    given_x = x if name == "basic" else denoise.add_noise(x, noise="gaussian", level=0.2, seed=1)
    assert basic.mse(module, given_x, x) == pytest.approx(shipped(name)["val_mse"], rel=0.03)


def test_the_document_has_the_shipped_figures() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
    import make_labs

    text = make_labs.DOCUMENT.read_text()
    assert make_labs.renewed(text) == text
    assert f"{shipped('basic')['val_mse']:.5f}" in text


# --- files and runs ---------------------------------------------------------------------------------------------------


def test_a_result_is_kept_with_the_hash_of_its_arrays(tmp_path: Path) -> None:
    save(Result({"figure": 1.5}, {"a": np.arange(3, dtype=np.float32)}), tmp_path, "made")
    record = json.loads((tmp_path / "made.json").read_bytes())
    assert (record["format"], record["figure"]) == (FORMAT, 1.5)
    assert record["sha256"] == sha256((tmp_path / "made.safetensors").read_bytes())


def test_a_run_says_each_step_and_leaves_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clothes: data.Dataset
) -> None:
    monkeypatch.setattr(data, "load_subset", lambda name: clothes)
    told: list[dict[str, Any]] = []
    chosen = orders.read("basic", {"epochs": 2})
    work.run("basic", chosen, tmp_path, lambda kind, **values: told.append({"kind": kind, **values}))
    assert [one["kind"] for one in told] == ["step", "step", "result"]
    assert json.dumps(told)
    for one in told[:2]:
        assert load_file(tmp_path / one["arrays"])["0.weight"].shape == (64, 784)
    assert load_file(tmp_path / "result.safetensors")["2.weight"].shape == (784, 64)


def test_every_lab_that_can_be_ordered_can_be_run() -> None:
    assert set(work.RUNS) == set(orders.ORDERS)


def test_a_process_runs_a_lab_to_its_end_and_another_is_stopped() -> None:
    jobs = Jobs(Limits(at_once=1))
    try:
        job = jobs.submit_lab(ANNA, "basic", orders.read("basic", {"epochs": 1}))
        later = jobs.submit_lab(ANNA, "basic", NOTHING)
        until(lambda: job.state == "done", job)
        kinds = [news["kind"] for news in job.events]
        assert kinds.count("step") == 1
        assert kinds[-2:] == ["result", "state"]
        assert (job.folder / "result.json").is_file()
        until(lambda: later.state == "training", later)
        jobs.stop(later, keep=False)
        assert later.state == "stopped"
        assert not (later.folder / "result.json").exists()
    finally:
        jobs.close()


def test_a_lab_that_cannot_be_run_says_why_in_a_sentence() -> None:
    jobs = Jobs(Limits(at_once=1))
    try:
        job = jobs.submit_lab(ANNA, "documents", orders.read("documents", {}), given=b"\x00\x01 no text")
        until(lambda: job.state == "failed", job)
        (failed,) = [news for news in job.events if news["kind"] == "failed"]
        assert failed["text"].endswith(".")
        assert "must be text in UTF-8" in failed["text"]
    finally:
        jobs.close()


def until(true: Any, job: LabRun) -> None:
    end = time.monotonic() + 90
    while not true():
        assert time.monotonic() < end, job.events
        time.sleep(0.05)


# --- routes -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    """Jobs that start none."""
    made = Jobs(Limits(at_once=0, active_a_visitor=2))
    yield made
    made.close()


def ask(jobs: Jobs, path: str, *, visitor: str = ANNA, method: str = "GET", **more: Any) -> Answer:
    app = Starlette(routes=lab_routes.routes("", jobs))
    return get(app, path, method=method, cookie=f"{COOKIE}={visitor}", **more)


def order(jobs: Jobs, lab: str, chosen: object, **more: Any) -> Answer:
    query = f"settings={json.dumps(chosen)}"
    return ask(jobs, f"/labs/{lab}/run", method="POST", query=query, **more)


def test_a_run_is_ordered_and_its_files_are_for_its_owner_alone(jobs: Jobs) -> None:
    name = json.loads(order(jobs, "denoise", {"epochs": 3}).body)["id"]
    job = jobs.get(name, ANNA)
    assert isinstance(job, LabRun)
    assert (job.lab, job.chosen["epochs"], job.chosen["noise"]) == ("denoise", 3, "gaussian")
    (job.folder / "result.json").write_text("{}")
    assert ask(jobs, f"/labs/runs/{name}/result.json").status == 200
    assert ask(jobs, f"/labs/runs/{name}/result.json", visitor=BEN).status == 404
    assert ask(jobs, f"/labs/runs/{name}/given").status == 404


def test_a_document_comes_with_its_order(jobs: Jobs) -> None:
    name = json.loads(order(jobs, "documents", {"bits": 16}, body=b"one\ntwo").body)["id"]
    job = jobs.get(name, ANNA)
    assert job
    assert (job.folder / "given").read_bytes() == b"one\ntwo"


@pytest.mark.parametrize(
    ("lab", "chosen", "more", "status", "told"),
    [
        ("basic", {}, {"visitor": "short"}, 403, "This needs a cookie"),
        ("basic", [], {}, 400, "The settings must be a JSON object."),
        ("tea", {}, {}, 400, "Unknown lab: 'tea'."),
        ("basic", {"epochs": 99}, {}, 400, "epochs must be a whole number from 1 to 50"),
        ("documents", {}, {}, 400, "The file is empty: a .txt with one document a line"),
        ("basic", {}, {"body": b"text"}, 400, "basic takes no file."),
        ("documents", {}, {"body": b"x" * 5_000_001}, 413, "A file may have at most 5 MB"),
    ],
)
def test_an_order_that_cannot_be_taken_says_why(
    jobs: Jobs, lab: str, chosen: object, more: dict[str, Any], status: int, told: str
) -> None:
    answer = order(jobs, lab, chosen, **more)
    assert answer.status == status
    assert told in json.loads(answer.body)["problem"]
    assert jobs.of(ANNA) == []


def test_a_visitor_has_only_so_many_runs(jobs: Jobs) -> None:
    assert [order(jobs, "basic", {}).status for _ in range(3)] == [200, 200, 409]


def test_the_embedded_images_are_served_by_their_hash(jobs: Jobs) -> None:
    answer = ask(jobs, f"/images/{data.PUBLISHED['mnist'].embedded}")
    arrays = read_arrays(gzip.decompress(answer.body))
    assert np.array_equal(arrays["images"], data.load_embedded("mnist").x_train)
    assert "immutable" in answer.headers["cache-control"]
    assert ask(jobs, f"/images/{'0' * 64}").status == 404


def test_a_full_set_is_served_where_it_is_and_nowhere_else(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "has_full", lambda name: False)
    assert ask(jobs, "/images/mnist-full").status == 404
    monkeypatch.setattr(data, "has_full", lambda name: name == "mnist")
    monkeypatch.setattr(data, "load", data.load_subset)
    answer = ask(jobs, "/images/mnist-full")
    assert read_arrays(gzip.decompress(answer.body))["images"].shape == (10_000, 1, 28, 28)
    assert ask(jobs, "/images/fashion-mnist-full").status == 404
