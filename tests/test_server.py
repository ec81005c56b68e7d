from __future__ import annotations

import asyncio
import gzip
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware

import explorer
from explorer import atlas, catalogue, checkpoints, files, frontend, modules, server
from explorer.files import sha256
from explorer.jobs import Jobs, Limits
from tests.asgi import get


def app_for(root: Path, base_path: str = "") -> Starlette:
    models = catalogue.read(root)
    return Starlette(
        routes=server.routes(base_path, models),
        middleware=[Middleware(frontend.PageHeaders)],
    )


def parts_of(folder: Path) -> dict[str, dict[str, Any]]:
    return atlas.read_manifest(folder)["parts"]


@pytest.mark.parametrize("model", ["ae", "vae"])
def test_each_part_is_served_as_it_lies_on_the_disk(shipped: Path, model: str) -> None:
    app = app_for(shipped)
    for part in parts_of(shipped / f"digits-{model}-3").values():
        answer = get(app, f"/atlas/{part['sha256']}")
        assert answer.status == 200
        assert sha256(answer.body) == part["sha256"]
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["content-length"] == str(part["bytes"])
        assert gzip.decompress(answer.body)


def test_a_part_is_read_once_and_then_given_to_everybody(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app, read = app_for(shipped), []
    plain = files.read_checked
    monkeypatch.setattr(files, "read_checked", lambda path, **how: read.append(path) or plain(path, **how))
    digests = [part["sha256"] for part in parts_of(shipped / "digits-vae-3").values()]
    answers = [get(app, f"/atlas/{digest}").body for _ in range(3) for digest in digests]
    assert len(read) == len(set(read)) == len(digests)
    assert [sha256(body) for body in answers] == digests * 3


def test_what_is_named_by_its_hash_may_be_kept_for_ever(shipped: Path) -> None:
    part = parts_of(shipped / "digits-vae-3")["codes"]
    assert get(app_for(shipped), f"/atlas/{part['sha256']}").headers["cache-control"] == (
        "public, max-age=31536000, immutable"
    )


@pytest.mark.parametrize(
    "name", ["0" * 64, "", "card.json", "../digits-vae-3/card.json", "..%2f..%2fetc%2fpasswd", "%00", "codes.gz"]
)
def test_nothing_but_a_known_hash_is_served(shipped: Path, name: str) -> None:
    answer = get(app_for(shipped), f"/atlas/{name}")
    assert answer.status == 404
    assert "cache-control" not in answer.headers


def test_a_file_damaged_while_the_server_runs_is_told_without_the_servers_folders(library: Path) -> None:
    app = app_for(library)
    part = parts_of(library / "digits-vae-3")["codes"]
    other = parts_of(library / "digits-vae-3")["decoder"]
    (library / "digits-vae-3" / "codes.gz").write_bytes(b"damaged")
    answer = get(app, f"/atlas/{part['sha256']}")
    assert answer.status == 500
    assert "cache-control" not in answer.headers
    assert "digits-vae-3/codes.gz is damaged" in answer.body.decode()
    assert str(library.parent) not in answer.body.decode()
    assert get(app, f"/atlas/{other['sha256']}").status == 200


@pytest.mark.parametrize("base_path", ["sub", "/sub", "sub/", "/sub/"])
def test_all_routes_move_under_the_base_path(shipped: Path, base_path: str) -> None:
    app = app_for(shipped, base_path)
    digest = parts_of(shipped / "digits-ae-3")["images"]["sha256"]
    for path in ("/health", f"/atlas/{digest}"):
        assert get(app, f"/sub{path}").status != 404
        assert get(app, path).status == 404


@pytest.fixture
def course(monkeypatch: pytest.MonkeyPatch) -> server.Course:
    """The course of a server that is just starting."""
    made = server.Course()
    monkeypatch.setattr(server, "course", lambda: made)
    return made


def test_health_tells_what_a_load_balancer_asks(shipped: Path, course: server.Course) -> None:
    hashes = {part["sha256"] for model in ("ae", "vae") for part in parts_of(shipped / f"digits-{model}-3").values()}
    course.status = "ready"
    answer = get(app_for(shipped), "/health")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert json.loads(answer.body) == {
        "status": "ready",
        "version": explorer.__version__,
        "atlas_files": len(hashes) + 2,  # both weights are among them
        "trainings": {"running": 0, "waiting": 0},
        "backend": "processes",
    }


def test_a_server_is_ready_while_it_runs_and_not_before_and_after(
    shipped: Path, course: server.Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Jobs(Limits(at_once=0))
    monkeypatch.setattr(server.jobs, "here", lambda: work)
    app, seen = app_for(shipped), []

    def ask() -> None:
        with ThreadPoolExecutor(1) as elsewhere:
            answer = elsewhere.submit(get, app, "/health").result()
        seen.append((answer.status, json.loads(answer.body)["status"]))

    async def live() -> None:
        ask()
        async with server.lifespan(tidy=lambda: None)(None):
            ask()
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0)
            ask()

    heard: list[int] = []
    usual = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        asyncio.run(live())
    finally:
        signal.signal(signal.SIGTERM, usual)
    assert seen == [(503, "starting"), (200, "ready"), (503, "closing")]
    assert heard == [signal.SIGTERM], "what the server does about it, it does too"
    assert work.ending.is_set()


def test_the_weights_of_a_model_are_served_as_they_lie_on_the_disk(shipped: Path) -> None:
    content = (shipped / "digits-vae-3" / checkpoints.WEIGHTS).read_bytes()
    answer = get(app_for(shipped), f"/atlas/{checkpoints.read_card(shipped / 'digits-vae-3').sha256}")
    assert answer.status == 200
    assert "content-encoding" not in answer.headers
    assert answer.body == content


def test_a_server_without_a_sound_model_still_answers(tmp_path: Path) -> None:
    assert json.loads(get(app_for(tmp_path), "/health").body)["atlas_files"] == 0


@pytest.mark.parametrize("path", ["/health", "/atlas/nothing", "/elsewhere"])
def test_every_answer_forbids_sniffing_and_keeps_its_address(shipped: Path, path: str) -> None:
    headers = get(app_for(shipped), path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_files_are_for_reading_only(shipped: Path, method: str) -> None:
    digest = parts_of(shipped / "digits-ae-3")["images"]["sha256"]
    assert get(app_for(shipped), f"/atlas/{digest}", method=method).status == 405


def test_a_module_may_be_kept_for_ever_since_its_address_holds_the_hash_of_all(shipped: Path) -> None:
    answer = get(app_for(shipped), f"/{modules.address()}/decoder.js")
    assert answer.body == (modules.FOLDER / "decoder.js").read_bytes()
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("name", ["__init__.py", "nothing.js", "..%2Fapp.py"])
def test_only_modules_are_served_as_modules(shipped: Path, name: str) -> None:
    assert get(app_for(shipped), f"/{modules.address()}/{name}").status == 404
