from __future__ import annotations

import asyncio
import gzip
import json
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

import explorer
from explorer import atlas, catalogue, checkpoints, files, modules, server
from explorer.files import sha256
from explorer.jobs import Jobs, Limits
from tests.asgi import get

NOTHING = catalogue.read(Path("there-is-no-such-folder"))


def app_for(root: Path, base_path: str = "") -> Starlette:
    models = catalogue.read(root)
    return Starlette(
        routes=server.routes(base_path, models),
        middleware=[Middleware(server.PageHeaders)],
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
        async with server.lifespan(None):
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


# ---- the frontend


async def found(request: Request) -> Response:
    return HTMLResponse("<html><head><title>t</title></head></html>")


def page_of(root: Path, path: str, query: str = "") -> str:
    """The text of a page of an app under /sub/path."""
    app = Starlette(routes=[Route("/sub/path/{name}", found), Route("/sub/path/", found)])
    head = server.PageHead(app, base_path="sub/path", models=catalogue.read(root))
    return get(head, path, query=query, accept="text/html").body.decode()


def imported_from(name: str) -> set[str]:
    """The modules that a browser loads for one: whatever the lines say that come from './."""
    known: set[str] = set()
    waiting = {name}
    while waiting:
        one = waiting.pop()
        known.add(one)
        lines = (modules.FOLDER / one).read_text().splitlines()
        named = {
            line.split("'./")[1].split("'")[0] for line in lines if "from './" in line and not line.startswith("//")
        }
        waiting |= named - known
    return known


@pytest.mark.parametrize(
    ("path", "entry"), [("", "stage.js"), ("learn", "learn.js"), ("labs", "labs.js"), ("yours", "yours.js")]
)
def test_a_page_names_just_the_modules_it_will_run(shipped: Path, path: str, entry: str) -> None:
    text = page_of(shipped, f"/sub/path/{path}")
    named = re.findall(rf'<link rel="modulepreload" href="\./{modules.address()}/([\w.]+)">', text)
    assert set(named) == imported_from(entry)
    assert len(named) == len(set(named))
    assert '<link rel="modulepreload" href="./_stcore/bidi-components/explorer.stage/index.js">' in text


def test_a_page_without_a_stage_names_no_modules(shipped: Path) -> None:
    assert "modulepreload" not in page_of(shipped, "/sub/path/measure")


def test_the_headers_of_a_page_fit_a_proxy(shipped: Path) -> None:
    app = Starlette(
        routes=[Route("/", found)],
        middleware=[
            Middleware(server.PageHeaders),
            Middleware(server.PageHead, base_path="", models=catalogue.read(shipped)),
        ],
    )
    headers = get(app, "/", accept="text/html").headers
    assert sum(len(name) + len(value) + 4 for name, value in headers.items()) < 2000, "nginx takes 4 KB in all"


def test_a_module_may_be_kept_for_ever_since_its_address_holds_the_hash_of_all(shipped: Path) -> None:
    answer = get(app_for(shipped), f"/{modules.address()}/decoder.js")
    assert answer.body == (modules.FOLDER / "decoder.js").read_bytes()
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("name", ["__init__.py", "nothing.js", "..%2Fapp.py"])
def test_only_modules_are_served_as_modules(shipped: Path, name: str) -> None:
    assert get(app_for(shipped), f"/{modules.address()}/{name}").status == 404


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", {"mnist-ae-2", "mnist-vae-2"}),
        ("d=16&view=pca", {"mnist-ae-16", "mnist-vae-16"}),
        ("data=fashion-mnist", {"fashion-mnist-ae-2", "fashion-mnist-vae-2"}),
        ("data=%00nothing", set()),
    ],
)
def test_a_page_names_the_atlases_that_its_address_asks_for(query: str, wanted: set[str]) -> None:
    text = page_of(checkpoints.PRETRAINED, "/sub/path/", query)
    named = {
        entry.card.name
        for entry in catalogue.read().entries
        if f'<link rel="preload" as="fetch" crossorigin href="./atlas/{entry.parts["codes"].sha256}">' in text
    }
    assert named == wanted


class Counting:
    """An app that counts how often it is asked for its one long script."""

    def __init__(self) -> None:
        self.asked = 0
        self.app = Starlette(routes=[Route("/static/{name}", self.answer)])

    async def answer(self, request: Request) -> Response:
        self.asked += 1
        if request.path_params["name"] == "none.js":
            return Response("no", 404)
        return Response(b"let a = 1;" * 1000, headers={"Cache-Control": "immutable", "ETag": '"1"'})


def test_a_script_of_the_frontend_is_packed_once_and_says_the_same() -> None:
    counting = Counting()
    app = server.PackedFrontend(counting.app, base_path="")
    answers = [get(app, "/static/a.js", accept_encoding="br, gzip") for _ in range(3)]
    assert counting.asked == 1
    for answer in answers:
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["cache-control"] == "immutable"
        assert answer.headers["vary"] == "Accept-Encoding"
        assert int(answer.headers["content-length"]) == len(answer.body) < 1000
        assert gzip.decompress(answer.body) == b"let a = 1;" * 1000


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/static/a.js", {}),
        ("/static/a.js", {"accept_encoding": "gzip", "range": "bytes=0-9"}),
        ("/static/a.js", {"accept_encoding": "gzip", "if_none_match": '"1"'}),
        ("/static/a.woff2", {"accept_encoding": "gzip"}),
    ],
)
def test_what_cannot_be_packed_goes_through_as_it_is(path: str, headers: dict[str, str]) -> None:
    answer = get(server.PackedFrontend(Counting().app, base_path=""), path, **headers)
    assert "content-encoding" not in answer.headers
    assert answer.body == b"let a = 1;" * 1000


def test_a_path_written_in_a_thousand_ways_is_not_kept_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_PACKED", 3)
    app = server.PackedFrontend(Counting().app, base_path="")
    for number in range(5):
        answer = get(app, f"/static/a{number}.js", accept_encoding="gzip")
        assert gzip.decompress(answer.body) == b"let a = 1;" * 1000
    assert len(app.packed) == 3


def test_a_browser_that_hangs_up_leaves_no_empty_script_for_the_others() -> None:
    counting = Counting()

    async def hung_up_on(scope: Any, receive: Any, send: Any) -> None:
        """At first as Streamlit's app is to one who has gone: the head of the answer, and nothing in it."""
        if not counting.asked:
            counting.asked += 1
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10000")]})
            await send({"type": "http.response.body", "body": b""})
        else:
            await counting.app(scope, receive, send)

    app = server.PackedFrontend(hung_up_on, base_path="")
    assert get(app, "/static/a.js", accept_encoding="gzip").body == b""
    assert gzip.decompress(get(app, "/static/a.js", accept_encoding="gzip").body) == b"let a = 1;" * 1000


def test_a_missing_script_stays_missing() -> None:
    app = server.PackedFrontend(Counting().app, base_path="")
    assert get(app, "/static/none.js", accept_encoding="gzip").status == 404


@pytest.mark.parametrize("base_path", ["", "sub/path", "/a</script>b/"])
def test_a_page_is_told_where_its_server_is(base_path: str) -> None:
    app = server.PageHead(Starlette(routes=[Route("/learn", found)]), base_path=base_path, models=NOTHING)
    answer = get(app, "/learn", accept="text/html,*/*", accept_encoding="gzip")
    text = answer.body.decode()
    assert text.count("<script>const base=") + text.count("<script>{const base=") == 1
    assert "<head><script>" in text
    assert text.count("</script>") == 1
    assert text.endswith("<title>t</title></head></html>")
    assert int(answer.headers["content-length"]) == len(answer.body)


def test_what_is_no_page_is_left_as_it_is() -> None:
    app = server.PageHead(Counting().app, base_path="", models=NOTHING)
    for accept in ("*/*", "text/html"):
        assert get(app, "/static/a.js", accept=accept).body == b"let a = 1;" * 1000
    assert get(app, "/static/none.js", accept="text/html").status == 404
