from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware

from explorer import atlas, server
from explorer.files import sha256


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def get(app: Starlette, path: str, *, method: str = "GET") -> Answer:
    """What app answers, by the ASGI protocol itself."""
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    asyncio.run(app(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    return Answer(messages[0]["status"], headers, b"".join(message.get("body", b"") for message in messages[1:]))


def app_for(root: Path, base_path: str = "") -> Starlette:
    return Starlette(routes=server.routes(base_path, root=root), middleware=[Middleware(server.SafeHeaders)])


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
        assert get(app, f"/sub{path}").status == 200
        assert get(app, path).status == 404


def test_health_tells_how_many_files_can_be_asked_for(shipped: Path) -> None:
    hashes = {part["sha256"] for model in ("ae", "vae") for part in parts_of(shipped / f"digits-{model}-3").values()}
    answer = get(app_for(shipped), "/health")
    assert json.loads(answer.body) == {"status": "ok", "atlas_files": len(hashes)}


def test_a_server_without_a_sound_model_still_answers(tmp_path: Path) -> None:
    assert json.loads(get(app_for(tmp_path), "/health").body) == {"status": "ok", "atlas_files": 0}


@pytest.mark.parametrize("path", ["/health", "/atlas/nothing", "/elsewhere"])
def test_every_answer_forbids_sniffing_and_keeps_its_address(shipped: Path, path: str) -> None:
    headers = get(app_for(shipped), path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_files_are_for_reading_only(shipped: Path, method: str) -> None:
    digest = parts_of(shipped / "digits-ae-3")["images"]["sha256"]
    assert get(app_for(shipped), f"/atlas/{digest}", method=method).status == 405
