"""What a page may ask of a training: by its owner all, by anybody else nothing."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load, load_file
from starlette.applications import Starlette

import explorer
from explorer import atlas, checkpoints, data, packing, training_routes
from explorer.job import KINDS, Job
from explorer.jobs import Jobs, Limits
from explorer.settings import Settings
from explorer.sketch import sketch
from explorer.visitors import COOKIE, Shelf
from tests.asgi import Answer, get

ANNA, BEN = "A" * 32, "B" * 32
MOMENTS = 3


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    """Jobs that start none: what happens in them is written by the tests."""
    made = Jobs(Limits(at_once=0))
    yield made
    made.close()


@pytest.fixture
def shelf(jobs: Jobs) -> Shelf:
    return Shelf(jobs.root / "shelf")


@pytest.fixture
def app(jobs: Jobs, shelf: Shelf) -> Starlette:
    return Starlette(routes=training_routes.routes("", jobs, shelf))


@pytest.fixture
def waiting(jobs: Jobs) -> Job:
    return jobs.submit(ANNA, Settings(dataset="digits"))


@pytest.fixture
def ended(jobs: Jobs, waiting: Job, shipped: Path, trained: dict[str, Path], digits: data.Dataset) -> Job:
    """A training of Anna's that has ended well, with a film of three moments."""
    x = torch.from_numpy(digits.x_test[:50])
    for kind in KINDS:
        folder = waiting.model_folder(kind)
        shutil.copytree(shipped / f"digits-{kind}-3", folder)
        for images in shipped.glob("images-*.gz"):
            shutil.copy(images, folder)
        shown = {"images": digits.x_test[:50], "labels": digits.y_test[:50]}
        (folder / "images.safetensors").write_bytes(atlas.pack(shown))
        made = sketch(explorer.load(trained[kind]).module, x)
        for i in range(MOMENTS):
            name = f"moment-{i:05}.safetensors"
            (folder / name).write_bytes(atlas.pack(made.arrays))
            news = {"kind": "moment", "file": name, "epoch": i / 2, "recon": 20.0 * i, "kl": 1.0}
            waiting.events.append({**news, "side": kind, "sent": 0.0})
    waiting.state = "done"
    waiting.events.append({"kind": "state", "state": "done", "side": "", "sent": 0.0})
    return waiting


def ask(app: Starlette, path: str, *, visitor: str = ANNA, body: Any = None, **headers: str) -> Answer:
    """A GET, or a POST if there is a body."""
    if body is None:
        return get(app, path, cookie=f"{COOKIE}={visitor}", **headers)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return get(app, path, method="POST", body=content, cookie=f"{COOKIE}={visitor}", **headers)


def told(answer: Answer) -> str:
    """The sentence of a refusal."""
    return str(json.loads(answer.body)["problem"])


# ---- whose it is

GETS = ("events", "moments/vae/moment-00000.safetensors", "moments/ae/images.safetensors", "models.zip", "film.gif")


@pytest.mark.parametrize("visitor", [BEN, "", "A", ANNA + "A", ANNA.lower()])
def test_a_training_is_there_for_its_owner_alone(app: Starlette, ended: Job, visitor: str) -> None:
    for path in GETS:
        assert ask(app, f"/jobs/{ended.id}/{path}").status == 200
        refused = ask(app, f"/jobs/{ended.id}/{path}", visitor=visitor)
        assert refused.status == 404
        assert told(refused) == told(ask(app, f"/jobs/nosuchjob/{path}"))
    for path in ("stop", "keep"):
        assert ask(app, f"/jobs/{ended.id}/{path}", visitor=visitor, body={"name": "x", "keep": True}).status == 404


def test_what_is_kept_is_served_to_who_kept_it_alone(app: Starlette, shelf: Shelf, ended: Job) -> None:
    assert json.loads(ask(app, f"/jobs/{ended.id}/keep", body={"name": "mine"}).body)["names"] == [
        "mine-ae",
        "mine-vae",
    ]
    for entry in shelf.of(ANNA):
        for part in entry.parts.values():
            answer = ask(app, f"/mine/{part.sha256}")
            assert answer.status == 200
            assert answer.headers["cache-control"].startswith("private")
            assert (answer.headers["content-encoding"] == "gzip") is part.packed
            content = gzip.decompress(answer.body) if part.packed else answer.body
            assert "decoder.0.weight" in load(content) if part.path.name == checkpoints.WEIGHTS else load(content)
            assert ask(app, f"/mine/{part.sha256}", visitor=BEN).status == 404
    assert ask(app, "/kept/mine.zip").status == 200
    assert ask(app, "/kept/mine.zip", visitor=BEN).status == 404
    assert ask(app, "/kept/other.zip").status == 404


# ---- news


def told_events(answer: Answer) -> list[tuple[int, dict[str, Any]]]:
    blocks = [block for block in answer.body.decode().split("\n\n") if block.startswith("id: ")]
    return [(int(block.split("\n")[0][4:]), json.loads(block.split("data: ")[1])) for block in blocks]


def test_all_news_comes_in_order_and_then_the_end(app: Starlette, ended: Job) -> None:
    answer = ask(app, f"/jobs/{ended.id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert told_events(answer) == list(enumerate(ended.events))
    assert answer.body.endswith(b"event: end\ndata: {}\n\n")


@pytest.mark.parametrize(
    ("after", "first"),
    [("0", 1), ("3", 4), ("999", 0), ("-1", 0), ("x", 0), ("", 0), ("1e3", 0), ("9" * 5000, 0), ("²", 0)],
)
def test_who_lost_the_connection_hears_what_was_missed(app: Starlette, ended: Job, after: str, first: int) -> None:
    """All of it, if the number is none of this server's: one that lost its last words, or that never was."""
    answer = ask(app, f"/jobs/{ended.id}/events", last_event_id=after)
    assert told_events(answer) == list(enumerate(ended.events))[first:]


def test_a_server_that_is_to_end_lets_listening_pages_go(jobs: Jobs, waiting: Job) -> None:
    async def hear() -> list[str]:
        news = training_routes.stream(jobs, waiting, 0)
        heard = [await anext(news) for _ in range(1 + len(waiting.events))]
        asyncio.get_running_loop().call_later(0.01, jobs.hang_up)
        return [*heard, *[line async for line in news]]

    assert not any("event: end" in line for line in asyncio.run(hear())), (
        "the training has not ended, so it is heard on"
    )
    assert waiting.listeners == []


def test_news_comes_when_it_happens_and_the_job_knows_who_listens(jobs: Jobs, waiting: Job) -> None:
    async def listen() -> list[str]:
        news = training_routes.stream(jobs, waiting, len(waiting.events))
        heard = [await anext(news)]
        coming = asyncio.ensure_future(anext(news))
        await asyncio.sleep(0.05)
        assert not coming.done()
        assert len(waiting.listeners) == 1
        await asyncio.to_thread(jobs.stop, waiting, keep=False)
        heard.append(await asyncio.wait_for(coming, 10))
        heard += [text async for text in news]
        return heard

    heard = asyncio.run(listen())
    assert '"state": "stopped"' in heard[1]
    assert heard[-1].startswith("event: end")
    assert waiting.listeners == []


# ---- pictures and files


def test_a_picture_goes_out_as_it_is_without_time_spent_on_packing(app: Starlette, ended: Job) -> None:
    answer = ask(app, f"/jobs/{ended.id}/moments/vae/moment-00001.safetensors", accept_encoding="gzip")
    assert answer.body == (ended.model_folder("vae") / "moment-00001.safetensors").read_bytes()
    assert answer.headers["content-encoding"] == "identity"  # else a gzip around all answers would take 100 ms


@pytest.mark.parametrize(
    "path",
    [
        "vae/weights.safetensors",
        "vae/card.json",
        "vae/moment-00099.safetensors",
        "vae/moment-00000.safetensors\n",
        "vae/..",
        "vae/%2e%2e",
        "../vae/moment-00000.safetensors",
        "xae/moment-00000.safetensors",
        "vae/",
    ],
)
def test_nothing_but_pictures_is_served_as_a_picture(app: Starlette, ended: Job, path: str) -> None:
    assert ask(app, f"/jobs/{ended.id}/moments/{path}").status == 404


@pytest.mark.parametrize("kept", [False, True])
def test_a_download_is_a_file_that_another_installation_takes(
    app: Starlette, ended: Job, trained: dict[str, Path], tmp_path: Path, kept: bool
) -> None:
    ask(app, f"/jobs/{ended.id}/keep", body={"name": "mine"})
    answer = ask(app, "/kept/mine.zip" if kept else f"/jobs/{ended.id}/models.zip")
    assert answer.headers["content-type"] == "application/zip"
    folders = packing.unpack(answer.body, tmp_path / "there")
    assert [checkpoints.read_card(folder).model for folder in folders] == ["ae", "vae"]
    for folder, kind in zip(folders, KINDS):
        wanted = load_file(trained[kind] / checkpoints.WEIGHTS)
        for name, value in load_file(folder / checkpoints.WEIGHTS).items():
            assert torch.equal(value, wanted[name])


def test_the_film_has_a_frame_for_each_moment_that_both_have(app: Starlette, ended: Job) -> None:
    with Image.open(io.BytesIO(ask(app, f"/jobs/{ended.id}/film.gif").body)) as film:
        assert film.n_frames == MOMENTS
    (ended.model_folder("ae") / "moment-00001.safetensors").unlink()
    with Image.open(io.BytesIO(ask(app, f"/jobs/{ended.id}/film.gif").body)) as film:
        assert film.n_frames == MOMENTS - 1


def test_before_there_is_anything_it_is_said_so(app: Starlette, waiting: Job) -> None:
    for path, body in (("models.zip", None), ("film.gif", None), ("keep", {"name": "mine"})):
        answer = ask(app, f"/jobs/{waiting.id}/{path}", body=body)
        assert answer.status == 409
        assert told(answer).startswith("There is no")


def test_a_part_that_was_damaged_is_not_served(app: Starlette, shelf: Shelf, ended: Job) -> None:
    ask(app, f"/jobs/{ended.id}/keep", body={"name": "mine"})
    part = shelf.of(ANNA)[0].parts["codes"]
    part.path.write_bytes(b"damaged")
    answer = ask(app, f"/mine/{part.sha256}")
    assert (answer.status, told(answer)) == (500, "This model's files are damaged: load it again.")


# ---- orders


@pytest.mark.parametrize(
    "body", [{"keep": False}, {"keep": True}, {}, b"not JSON", [1], b"\xff", b"x" * 5000, b"[" * 999]
)
def test_a_stop_is_understood_whatever_comes_with_it(app: Starlette, waiting: Job, body: Any) -> None:
    assert json.loads(ask(app, f"/jobs/{waiting.id}/stop", body=body).body) == {"state": "stopped"}


@pytest.mark.parametrize(("body", "keep"), [({"keep": True}, True), ({"keep": 1}, False), ({"keep": "yes"}, False)])
def test_only_a_plain_yes_keeps(
    app: Starlette, jobs: Jobs, waiting: Job, monkeypatch: pytest.MonkeyPatch, body: Any, keep: bool
) -> None:
    heard: list[bool] = []
    monkeypatch.setattr(jobs, "stop", lambda job, *, keep: heard.append(keep))
    ask(app, f"/jobs/{waiting.id}/stop", body=body)
    assert heard == [keep]


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": "../up"}, {"name": ["a"]}, [1], b"no", b"[" * 999, {"name": "x" * 2000}]
)
def test_a_name_that_is_none_is_told_and_nothing_is_lost(app: Starlette, shelf: Shelf, ended: Job, body: Any) -> None:
    answer = ask(app, f"/jobs/{ended.id}/keep", body=body)
    assert answer.status == 400
    assert told(answer).startswith("A name is 1 to 40 letters, digits, dots or dashes")
    assert shelf.of(ANNA) == ()
    assert ask(app, f"/jobs/{ended.id}/keep", body={"name": "mine"}).status == 200
    assert ask(app, f"/jobs/{ended.id}/keep", body={"name": "mine"}).status == 400


def test_a_stream_ends_when_the_server_is_about_to_and_says_no_end_of_the_job(
    app: Starlette, jobs: Jobs, waiting: Job
) -> None:
    called = threading.Timer(0.2, jobs.hang_up)
    called.start()
    answer = ask(app, f"/jobs/{waiting.id}/events").body.decode()
    called.join()
    assert '"place": 1' in answer
    assert "event: end" not in answer


def test_moments_that_came_again_after_a_cut_are_in_the_film_once() -> None:
    def moment(side: str, epoch: float, name: str) -> dict[str, Any]:
        return {"kind": "moment", "side": side, "epoch": epoch, "file": name}

    events = [
        {"kind": "model", "side": "ae", "done": []},
        *(moment(side, epoch, f"{side}{epoch}") for epoch in (0, 0.5, 1, 1.5) for side in KINDS),
        {"kind": "model", "side": "ae", "done": [{"epoch": 1}]},
        moment("ae", 1, "again1"),
        moment("ae", 1.5, "again1.5"),
    ]
    files = {side: [e["file"] for e in training_routes.moments_of(events) if e["side"] == side] for side in KINDS}
    assert files == {"ae": ["ae0", "ae0.5", "again1", "again1.5"], "vae": ["vae0", "vae0.5", "vae1", "vae1.5"]}
