"""A public demo: what is off is refused where work is taken, and the pages say so in a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from streamlit.testing.v1 import AppTest

from explorer import arrivals, cli, demo, frontend, jobs, lab_routes, measurings, visitors
from explorer.jobs import Jobs, Limits, Refused
from explorer.settings import Settings
from explorer.visitors import COOKIE, DataShelf, Shelf
from tests import pages
from tests.asgi import Answer, get

ANNA = "A" * 32
SMALL = Settings(dataset="digits", hidden=(16,), epochs=demo.MAX_EPOCHS)
EACH_MODE = pytest.mark.parametrize("mode", [demo.LOOK, demo.TRY])


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    """Jobs in which nothing starts; Anna is asking, and has a shelf."""
    made = Jobs(replace(jobs.limits_here(), at_once=0))
    shelf, sets = Shelf(made.root / "shelf"), DataShelf(made.root / "data")
    monkeypatch.setattr(jobs, "here", lambda: made)
    monkeypatch.setattr(visitors, "shelf", lambda: shelf)
    monkeypatch.setattr(visitors, "data_shelf", lambda: sets)
    monkeypatch.setattr(visitors, "visitor_of", lambda cookies: ANNA)
    yield made
    made.close()
    for timer in sets.leaving.values():
        timer.cancel()


def be(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setenv(demo.SETTING, mode)


def infos(page: AppTest) -> list[str]:
    return [info.value for info in page.info]


def run_lab(crew: Jobs, lab: str, settings: dict[str, Any], body: bytes = b"") -> Answer:
    return get(
        Starlette(routes=lab_routes.routes("", crew)),
        f"/labs/{lab}/run",
        method="POST",
        query=f"settings={json.dumps(settings)}",
        body=body,
        cookie=f"{COOKIE}={ANNA}",
        x_latent_explorer="1",
    )


def problem(answer: Answer) -> str:
    return str(json.loads(answer.body)["problem"])


# ---- the setting


@pytest.mark.parametrize("value", ["Look", "yes", "1", "look,try"])
def test_a_slip_in_the_setting_stops_the_server_before_it_starts(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    be(monkeypatch, value)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        f"explorer: LATENT_EXPLORER_DEMO must be look or try, or not be set; got {value!r}\n"
    )
    with pytest.raises(ValueError, match="must be look or try"):
        jobs.limits_here()


def test_without_the_setting_nothing_is_off(crew: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(demo.SETTING, raising=False)
    assert demo.sentence() == ""
    assert jobs.limits_here() == Limits()
    demo.check_upload()
    crew.submit(ANNA, Settings(epochs=200, hidden=(1024, 1024)))
    assert visitors.data_shelf().place(ANNA).is_dir()


# ---- nothing comes in


@EACH_MODE
def test_nothing_can_be_brought(
    mode: str, crew: Jobs, trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    be(monkeypatch, mode)
    with pytest.raises(ValueError, match="takes no files"):
        visitors.data_shelf().place(ANNA)
    with pytest.raises(ValueError, match="takes no files"):
        visitors.shelf().keep(ANNA, list(trained.values()), name="mine", uploaded=True)
    given = arrivals.Given("mine", "vae", "logits", b"", None, "mnist")
    shelves = {"shelf": visitors.shelf(), "data_shelf": visitors.data_shelf()}
    with pytest.raises(ValueError, match="takes no files"):
        arrivals.bring(ANNA, given, **shelves, tell=lambda *_: None)  # type: ignore[arg-type]
    assert visitors.shelf().of(ANNA) == ()
    assert not visitors.data_shelf().root.exists()


@EACH_MODE
def test_streamlits_door_for_files_is_shut_and_the_rest_is_open(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def inner(request: Request) -> PlainTextResponse:
        return PlainTextResponse("taken" if request.method == "PUT" else "other")

    route = Route("/sub/{rest:path}", inner, methods=["GET", "PUT", "DELETE"])
    app = frontend.NoUploads(Starlette(routes=[route]), base_path="sub")
    door = "/sub/_stcore/upload_file/session/file"
    monkeypatch.delenv(demo.SETTING, raising=False)
    assert get(app, door, method="PUT").body == b"taken"
    be(monkeypatch, mode)
    refused = get(app, door, method="PUT", body=b"x")
    assert refused.status == 403
    assert b"takes no files" in refused.body
    assert get(app, "/sub/_stcore/health").body == b"other"


@EACH_MODE
def test_a_lab_takes_no_file(mode: str, crew: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, mode)
    answer = run_lab(crew, "documents", {}, body=b"one document\nanother")
    assert answer.status == 403
    assert "public demo" in problem(answer)
    with pytest.raises(Refused, match="public demo"):
        crew.submit_lab(ANNA, "documents", {}, given=b"one")
    assert crew.of(ANNA) == []


# ---- look


def test_to_look_is_not_to_train(crew: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, demo.LOOK)
    with pytest.raises(Refused, match="computes nothing anew"):
        crew.submit(ANNA, SMALL)
    assert run_lab(crew, "basic", {}).status == 403
    with pytest.raises(Refused, match="computes nothing anew"):
        crew.submit_lab(ANNA, "basic", {})
    with pytest.raises(ValueError, match="computes nothing anew"):
        measurings.Measurings().start(tmp_path)
    crew.warm()
    assert crew.spares == [], "processes that hold torch would only cost memory"
    assert crew.of(ANNA) == []


# ---- try


def test_a_small_training_is_granted_and_one_at_a_time(crew: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, demo.TRY)
    crew.limits = replace(jobs.limits_here(), at_once=0)
    job = crew.submit(ANNA, replace(Settings(), epochs=demo.MAX_EPOCHS))
    with pytest.raises(Refused, match="a training already: stop it first"):
        crew.submit(ANNA, SMALL)
    crew.stop(job, keep=False)
    assert run_lab(crew, "basic", {}).status == 200


@pytest.mark.parametrize(
    ("change", "how", "said"),
    [
        ({"epochs": 6}, {}, "5 epochs at most, not 6"),
        ({"hidden": (1024, 1024)}, {}, "1,200,000 weights at most"),
        ({"arch": "conv", "hidden": (512, 512)}, {}, "1,200,000 weights at most"),
        ({}, {"full": True}, "the shipped images only"),
        ({}, {"data_folder": Path("mine")}, "the shipped images only"),
        ({}, {"earlier": Path("kept")}, "afresh"),
        ({"dataset": "own-0123456789ab"}, {}, "the shipped images only"),
    ],
)
def test_a_large_training_is_not_granted(
    change: dict[str, Any], how: dict[str, Any], said: str, crew: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(monkeypatch, demo.TRY)
    with pytest.raises(Refused, match=said):
        crew.submit(ANNA, replace(SMALL, **change), **how)
    assert crew.of(ANNA) == []


def test_a_demos_time_can_be_shortened_and_not_prolonged(monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, demo.TRY)
    for given, granted in (("30", 30), ("3600", demo.TRAINING_S)):
        monkeypatch.setenv("LATENT_EXPLORER_TRAINING_S", given)
        assert jobs.limits_here().training_s == granted


def test_a_lab_may_not_use_the_whole_of_a_set(crew: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, demo.TRY)
    with pytest.raises(Refused, match="images that ship with it"):
        crew.submit_lab(ANNA, "basic", {"dataset": "mnist", "full": True})


# ---- what the pages say


def test_train_offers_nothing_to_who_may_only_look(crew: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, demo.LOOK)
    page = pages.open_page("train.py")
    assert infos(page) == [demo.sentence()]
    assert "make run" in demo.sentence()
    assert not page.button
    assert not page.get("file_uploader")


def test_train_offers_what_is_granted(crew: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, demo.TRY)
    monkeypatch.setattr(crew, "warm", lambda: None)
    page = pages.open_page("train.py")
    assert infos(page) == [demo.sentence()]
    assert not page.get("file_uploader")
    start = next(button for button in page.button if button.label == "Start")
    assert not start.disabled, "what the page proposes is granted"
    page.text_input(key="hidden_mlp").set_value("2000").run()
    assert "1,200,000 weights at most" in page.warning[0].value
    page.text_input(key="hidden_mlp").set_value("64").run()
    next(button for button in page.button if button.label == "Start").click()
    page.run()
    (job,) = crew.of(ANNA)
    assert job.settings == Settings(hidden=(64,), epochs=demo.MAX_EPOCHS)  # type: ignore[attr-defined]


@EACH_MODE
def test_yours_takes_pictures_in_the_browser_and_no_files(
    mode: str, crew: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(monkeypatch, mode)
    page = pages.open_page("yours.py")
    assert infos(page) == [demo.sentence()] * 2
    assert not page.get("file_uploader")
    assert len(page.get("bidi_component")) == 1, "one's own image stays in the browser: that is no upload"


def test_labs_say_what_is_off(crew: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, demo.LOOK)
    assert infos(pages.open_page("labs.py")) == [demo.sentence()]
