"""What becomes of Streamlit's own answers: the head of each page, what it fetches early, scripts packed once."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from explorer import catalogue, checkpoints, frontend, modules
from tests.asgi import get

NOTHING = catalogue.read(Path("there-is-no-such-folder"))


async def found(request: Request) -> Response:
    return HTMLResponse("<html><head><title>t</title></head></html>")


def page_of(root: Path, path: str, query: str = "") -> str:
    """The text of a page of an app under /sub/path."""
    app = Starlette(routes=[Route("/sub/path/{name}", found), Route("/sub/path/", found)])
    head = frontend.PageHead(app, base_path="sub/path", models=catalogue.read(root))
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
            Middleware(frontend.PageHeaders),
            Middleware(frontend.PageHead, base_path="", models=catalogue.read(shipped)),
        ],
    )
    headers = get(app, "/", accept="text/html").headers
    assert sum(len(name) + len(value) + 4 for name, value in headers.items()) < 2000, "nginx takes 4 KB in all"


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
        headers = {"Cache-Control": "immutable", "ETag": '"1"'}
        return Response(b"let a = 1;" * 1000, media_type="text/javascript", headers=headers)


def test_a_script_of_the_frontend_is_packed_once_and_says_the_same() -> None:
    counting = Counting()
    app = frontend.PackedFrontend(counting.app, base_path="")
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
    answer = get(frontend.PackedFrontend(Counting().app, base_path=""), path, **headers)
    assert "content-encoding" not in answer.headers
    assert answer.body == b"let a = 1;" * 1000


def test_a_path_written_in_a_thousand_ways_is_not_kept_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontend, "MOST_PACKED", 3)
    app = frontend.PackedFrontend(Counting().app, base_path="")
    for number in range(5):
        answer = get(app, f"/static/a{number}.js", accept_encoding="gzip")
        assert gzip.decompress(answer.body) == b"let a = 1;" * 1000
    assert list(app.packed) == ["/static/a2.js", "/static/a3.js", "/static/a4.js"]


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

    app = frontend.PackedFrontend(hung_up_on, base_path="")
    assert get(app, "/static/a.js", accept_encoding="gzip").body == b""
    assert gzip.decompress(get(app, "/static/a.js", accept_encoding="gzip").body) == b"let a = 1;" * 1000


def test_a_page_in_place_of_a_script_is_none_and_its_cookie_reaches_nobody() -> None:
    """Else the cookie of who asks first, which is a visitor's name, would be given to all."""

    async def page(request: Request) -> Response:
        return HTMLResponse("<html></html>", headers={"Set-Cookie": "who=anna"})

    app = frontend.PackedFrontend(Starlette(routes=[Route("/static/{name}", page)]), base_path="")
    for _ in range(2):
        answer = get(app, "/static/gone.js", accept_encoding="gzip")
        assert (answer.status, "set-cookie" in answer.headers) == (404, False)
    assert not app.packed


def test_a_script_with_a_cookie_is_for_who_asked_alone() -> None:
    asked = []

    async def script(request: Request) -> Response:
        asked.append(1)
        return Response(b"1", media_type="text/javascript", headers={"Set-Cookie": f"n={len(asked)}"})

    app = frontend.PackedFrontend(Starlette(routes=[Route("/static/{name}", script)]), base_path="")
    cookies = [get(app, "/static/a.js", accept_encoding="gzip").headers["set-cookie"] for _ in range(2)]
    assert cookies == ["n=1", "n=2"]


def test_a_missing_script_stays_missing() -> None:
    app = frontend.PackedFrontend(Counting().app, base_path="")
    assert get(app, "/static/none.js", accept_encoding="gzip").status == 404


@pytest.mark.parametrize("base_path", ["", "sub/path", "/a</script>b/"])
def test_a_page_is_told_where_its_server_is(base_path: str) -> None:
    app = frontend.PageHead(Starlette(routes=[Route("/learn", found)]), base_path=base_path, models=NOTHING)
    answer = get(app, "/learn", accept="text/html,*/*", accept_encoding="gzip")
    text = answer.body.decode()
    assert text.count("<script>const base=") + text.count("<script>{const base=") == 1
    assert "<head><script>" in text
    assert text.count("</script>") == 1
    assert text.endswith("<title>t</title></head></html>")
    assert int(answer.headers["content-length"]) == len(answer.body)


def test_what_is_no_page_is_left_as_it_is() -> None:
    app = frontend.PageHead(Counting().app, base_path="", models=NOTHING)
    for accept in ("*/*", "text/html"):
        assert get(app, "/static/a.js", accept=accept).body == b"let a = 1;" * 1000
    assert get(app, "/static/none.js", accept="text/html").status == 404
