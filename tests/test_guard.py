"""Who may give orders, what pages may load, how much may be uploaded: each rule alone, and on the running server."""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from explorer import catalogue, cli, frontend, guard, policy, server, training_routes
from explorer.files import public
from explorer.guard import MAX_HELD, MAX_HELD_BY_ALL, BoundedUploads, OwnPagesOnly, Sessions
from explorer.markdown import JOINER, plain
from tests.asgi import Answer, get

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from launch import serve  # noqa: E402

HOST = "explorer.example"
OWN = f"https://{HOST}"
# As a browser sends them: who asks, and whether that is a page of this server. The cases of Go's own tests of the rule.
ASKED: list[tuple[dict[str, str], bool]] = [
    ({"sec-fetch-site": "same-origin"}, True),
    ({"sec-fetch-site": "none"}, True),
    ({"sec-fetch-site": "same-site"}, False),
    ({"sec-fetch-site": "cross-site"}, False),
    ({"sec-fetch-site": "cross-site", "origin": OWN}, False),
    ({"sec-fetch-site": "same-origin", "origin": "https://rewritten.by.a.proxy"}, True),
    ({}, True),
    ({"origin": OWN}, True),
    ({"origin": "https://evil.example"}, False),
    ({"origin": f"{OWN}.evil.example"}, False),
    ({"origin": f"{OWN}:8443"}, False),
    ({"origin": "null"}, False),
    ({"origin": ""}, False),
    ({"origin": f"https://evil.example/{HOST}"}, False),
]


async def changed(request: Request) -> Response:
    request.app.state.changes += 1
    return PlainTextResponse("changed")


async def joined(socket: WebSocket) -> None:
    socket.app.state.changes += 1
    await socket.accept()
    await socket.close()


@pytest.fixture
def app() -> Starlette:
    every = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    made = Starlette(
        routes=[Route("/", changed, methods=every), WebSocketRoute("/stream", joined)],
        middleware=[Middleware(OwnPagesOnly)],
    )
    made.state.changes = 0
    return made


@pytest.mark.parametrize("number", range(len(ASKED)))
def test_only_the_servers_own_pages_give_orders(app: Starlette, number: int) -> None:
    headers, allowed = ASKED[number]
    assert guard.asked_by_own_page(Headers({"host": HOST, **headers})) is allowed
    sent = {name.replace("-", "_"): value for name, value in headers.items()}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert get(app, "/", method=method, host=HOST, **sent).status == (200 if allowed else 403)
    assert app.state.changes == (4 if allowed else 0)
    assert get(app, "/", host=HOST, **sent).status == 200, "to read is left to the cookie's owner and the browser"


@pytest.mark.parametrize(("origin", "allowed"), [(OWN, True), ("https://evil.example", False)])
def test_a_websocket_of_another_sites_page_is_refused_before_it_is_opened(
    app: Starlette, origin: str, allowed: bool
) -> None:
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Mapping[str, object]) -> None:
        sent.append(str(message["type"]))

    headers = [(b"host", HOST.encode()), (b"origin", origin.encode())]
    scope = {"type": "websocket", "path": "/stream", "headers": headers, "query_string": b"", "scheme": "ws"}
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    assert (sent[0] == "websocket.accept") is allowed
    assert app.state.changes == allowed


# ---- uploads


class Holding:
    """An app that keeps what it is sent, and the uploads it holds, by session."""

    def __init__(self, **held: int) -> None:
        self.held = held
        self.reached = 0
        self.sessions = Sessions()
        self.app = BoundedUploads(
            Starlette(routes=[Route("/base/_stcore/upload_file/{session}/{file}", self.take, methods=["PUT", "GET"])]),
            held=lambda: self.held,
            sessions=self.sessions,
        )

    async def take(self, request: Request) -> Response:
        self.reached += 1
        return PlainTextResponse(str(len(await request.body())))

    def put(self, session: str, body: bytes = b"", **headers: str) -> Answer:
        return get(self.app, f"/base/_stcore/upload_file/{session}/1", method="PUT", body=body, **headers)


def test_a_session_may_leave_so_much_and_no_more() -> None:
    there = Holding(anna=MAX_HELD - 1000)
    assert there.put("anna", content_length="1000").status == 200
    refused = there.put("anna", content_length="1001")
    assert refused.status == 413
    assert "remove one" in refused.body.decode()
    assert there.put("ben", content_length="1001").status == 200
    assert there.reached == 2


def test_all_sessions_together_may_leave_what_the_server_can_hold() -> None:
    there = Holding(**{f"session-{i}": MAX_HELD for i in range(MAX_HELD_BY_ALL // MAX_HELD)})
    assert there.put("ben", content_length="1").status == 413


def test_all_sessions_of_a_visitor_count_together_and_those_of_nobody_each_alone() -> None:
    there = Holding(one=MAX_HELD - 1000, two=900)
    assert there.put("three", content_length="200").status == 200
    for session in ("one", "two", "three"):
        there.sessions.note(session, "anna")
    assert there.put("three", content_length="200").status == 413
    for session in ("one", "two", "three"):
        there.sessions.note(session, "")
    assert there.put("three", content_length="200").status == 200


@pytest.mark.parametrize("length", [None, "-1", "9" * 400, "²", "3"])
def test_what_comes_counts_whatever_its_length_is_said_to_be(length: str | None) -> None:
    headers = {} if length is None else {"content_length": length}
    there = Holding(anna=MAX_HELD - 1000)
    if length != "9" * 400:
        assert there.put("anna", b"x" * 999, **headers).status == 200
    assert there.put("anna", b"x" * 1001, **headers).status == 413


def test_uploads_that_are_on_their_way_count_as_far_as_they_have_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who promises much and sends little takes no room from others."""
    monkeypatch.setattr(guard, "MAX_HELD", 1000)

    async def reads(scope: object, receive: Callable[[], Awaitable[object]], send: object) -> None:
        while True:
            await receive()

    async def together() -> list[int]:
        app = BoundedUploads(reads, held=dict, sessions=Sessions())  # type: ignore[arg-type]
        answers: list[int] = []

        async def send(message: dict[str, int]) -> None:
            if "status" in message:
                answers.append(message["status"])

        def sends(size: int) -> Callable[[], Awaitable[dict[str, object]]]:
            parts = iter([{"type": "http.request", "body": b"x" * size, "more_body": True}])

            async def receive() -> dict[str, object]:
                return next(parts, None) or await asyncio.Event().wait()  # type: ignore[return-value]

            return receive

        def scope() -> dict[str, object]:
            headers = [(b"content-length", b"600")]
            return {"type": "http", "method": "PUT", "path": "/_stcore/upload_file/anna/1", "headers": headers}

        tasks = [asyncio.create_task(app(scope(), sends(size), send)) for size in (300, 300, 500)]  # type: ignore[arg-type]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert app.arriving.total() == 0, "those that were broken off count no more"
        return answers

    assert asyncio.run(together()) == [413]


def test_a_body_that_comes_too_slowly_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second half never comes here."""
    monkeypatch.setattr(training_routes, "BODY_S", 0.01)

    async def order(request: Request) -> Response:
        return Response(await training_routes.bounded_body(request, most=1000))

    sent: list[int] = []
    halves = iter([{"type": "http.request", "body": b"half", "more_body": True}])

    async def receive() -> dict[str, object]:
        return next(halves, None) or await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: dict[str, int]) -> None:
        sent.append(message.get("status", 0))

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    asyncio.run(Starlette(routes=[Route("/", order, methods=["POST"])])(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0] == 408


# ---- policies


def rules_of(text: str) -> dict[str, list[str]]:
    return {name: allowed for name, *allowed in map(str.split, text.split(";"))}


async def page(request: Request) -> Response:
    return HTMLResponse("<html><head><script>let a = 1</script><title>t</title></head></html>")


def page_rules(path: str, query: str = "", base_path: str = "") -> dict[str, list[str]]:
    app = Starlette(
        routes=[Route("/{rest:path}", page)],
        middleware=[
            Middleware(frontend.PageHeaders),
            Middleware(frontend.PageHead, base_path=base_path, models=catalogue.shipped()),
        ],
    )
    return rules_of(get(app, path, query=query, accept="text/html").headers["content-security-policy"])


def test_a_page_may_load_nothing_from_outside_and_run_no_script_but_its_own() -> None:
    rules = page_rules("/learn")
    assert rules["default-src"] == ["'self'"]
    loaded = {source for name, allowed in rules.items() if name.endswith("-src") for source in allowed}
    assert {one for one in loaded if not one.startswith("'sha256-")} <= {
        "'self'",
        "'none'",
        "'unsafe-inline'",
        "data:",
        "blob:",
    }
    assert rules["style-src"] == ["'self'", "'unsafe-inline'"]
    own, *scripts = rules["script-src"]
    assert own == "'self'"
    assert len(scripts) == 2, "the one in the page, and the one that says where the server is"
    # the hash of the script in the page, as OpenSSL has it: printf 'let a = 1' | openssl dgst -sha256 -binary | base64
    assert "'sha256-LAfYd7pbFUgwfQu8b4q135PeTG2z+/coPEUYCd74eCQ='" in scripts


@pytest.mark.parametrize(
    ("path", "query", "anywhere"),
    [
        ("/", "embed=true", True),
        ("/", "view=pca&embed=True", True),
        ("/learn", "embed=true", True),
        ("/labs", "embed=true&lab=hashing", True),
        ("/", "", False),
        ("/", "embed=false", False),
        ("/", "xembed=true", False),
        ("/train", "embed=true", False),
        ("/yours", "embed=true", False),
        ("/measure", "embed=true", False),
    ],
)
def test_only_what_is_made_for_frames_is_shown_in_those_of_other_sites(path: str, query: str, anywhere: bool) -> None:
    wanted = ["*"] if anywhere else ["'self'"]
    assert page_rules(path, query)["frame-ancestors"] == wanted
    assert page_rules(f"/sub{path}", query, "sub")["frame-ancestors"] == wanted


def test_a_host_that_shows_the_app_in_a_frame_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(policy.FRAMES, "https://host.example https://*.other.example:8443")
    assert page_rules("/train")["frame-ancestors"] == ["'self'", "https://host.example", "https://*.other.example:8443"]


@pytest.mark.parametrize("named", ["*", "host.example", "https://a.example;x", "https://a.example/x", "'x'"])
def test_what_is_no_origin_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], named: str
) -> None:
    monkeypatch.setenv(policy.FRAMES, named)
    with pytest.raises(SystemExit) as ended:
        cli.main(["run"])
    assert ended.value.code == 2
    assert "must be origins such as https://example.org" in capsys.readouterr().err


def test_a_page_that_the_browser_has_already_is_sent_with_its_policy_again() -> None:
    async def known(request: Request) -> Response:
        return Response(status_code=304) if "if-none-match" in request.headers else HTMLResponse("<head>")

    app = frontend.PageHead(Starlette(routes=[Route("/", known)]), base_path="", models=catalogue.shipped())
    answer = get(app, "/", accept="text/html", if_none_match='"1"')
    assert (answer.status, "content-security-policy" in answer.headers) == (200, True)


# ---- what every answer has


def test_refusals_and_faults_have_the_headers_of_every_answer() -> None:
    async def fails(request: Request) -> Response:
        raise KeyError("/srv/secret")

    async def open_to_all(request: Request) -> Response:
        return Response("{}", headers={"Access-Control-Allow-Origin": "http://localhost:3000"})

    app = Starlette(
        routes=[Route("/fails", fails), Route("/open", open_to_all)],
        middleware=[Middleware(frontend.PageHeaders), Middleware(OwnPagesOnly)],
    )

    async def logged(*asked: Any) -> None:
        with pytest.raises(KeyError):  # it goes on to the server's log
            await app(*asked)

    fault, refused = get(logged, "/fails"), get(app, "/fails", method="POST", origin="https://evil.example")
    assert (fault.status, refused.status) == (500, 403)
    assert b"secret" not in fault.body
    for answer in (fault, refused, get(app, "/open")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers


# ---- names from outside

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](http://evil.example/a.png)",
    "www.evil.example",
    "https://evil.example",
    "a@evil.example",
    "$\\href{http://evil.example}{x}$",
    ":red[x]",
    ":material/home:",
    ":streamlit:",
    ":smile:",
    "`code` | a | b |",
    "a\n\n# heading\n\n- list",
    "x -> y -- z",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_as_markdown_has_all_of_its_letters(text: str) -> None:
    """What Streamlit's Markdown makes of it is tried in tests/browser/test_guard.py."""
    read = re.sub(r"\\(.)", r"\1", plain(text)).replace(JOINER, "")
    assert read == " ".join(text.split())


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("/srv/app/models/x/card.json is damaged", "card.json is damaged"),
        ("/srv/the models/x/card.json is damaged", "the models/x/card.json is damaged"),
        ("No space left on device: '/srv/explorer-1/data/given-0'", "No space left on device: 'given-0'"),
        ("x-ae/card.json is damaged: and/or", "x-ae/card.json is damaged: and/or"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
    ],
)
def test_what_is_told_names_no_folder_of_the_server(message: str, shown: str) -> None:
    assert public(message, Path("/srv/the models")) == shown


# ---- as shipped, on a running server


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    with serve() as started:
        yield urlsplit(started.url).netloc


def ask(running: str, method: str, path: str, *, body: bytes = b"", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(running, timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_the_servers_own_pages_say_what_they_may_do(running: str) -> None:
    for path in ("/", "/train", "/measure", "/learn", "/labs", "/yours", "/nosuch"):
        answer = ask(running, "GET", path, accept="text/html")
        rules = rules_of(answer.headers["content-security-policy"])
        assert rules["frame-ancestors"] == ["'self'"]
        assert "'unsafe-eval'" not in str(rules)
        assert "'unsafe-inline'" not in rules["script-src"]
        assert answer.headers["permissions-policy"].startswith("camera=(self), microphone=(), geolocation=()")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert not re.search(r"\d", answer.headers.get("server", "")), "no version"
    for path in ("/health", "/atlas/nothing", "/_stcore/health", "/jobs/x/events"):
        headers = ask(running, "GET", path).headers
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["access-control-allow-origin"] is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/jobs/x/stop"),
        ("POST", "/jobs/x/keep"),
        ("POST", "/labs/basic/run"),
        ("POST", "/mine/x/decode"),
        ("PUT", "/_stcore/upload_file/x/y"),
        ("DELETE", "/_stcore/upload_file/x/y"),
        ("POST", "/_stcore/agent/interact"),
        ("POST", "/_stcore/agent/mcp"),
    ],
)
def test_no_order_is_taken_from_another_site(running: str, method: str, path: str) -> None:
    for headers in ({"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}, {"origin": "null"}):
        assert ask(running, method, path, body=b"{}", **headers).status == 403
    if path.startswith("/_stcore/upload"):
        assert ask(running, method, path, body=b"{}").status == 403, "Streamlit's own token is wanted too"


def test_every_route_of_ours_that_changes_something_was_tried() -> None:
    marks = test_no_order_is_taken_from_another_site.pytestmark  # type: ignore[attr-defined]
    tried = {path for method, path in marks[0].args[1] if method == "POST"}
    posts = [one for one in server.routes("", catalogue.shipped()) if "POST" in (one.methods or ())]
    assert len(posts) >= 4
    for one in posts:
        assert any(one.path_regex.match(path) for path in tried), one.path


def test_the_programs_door_of_streamlit_is_shut(running: str) -> None:
    assert ask(running, "POST", "/_stcore/agent/interact", body=b"{}", content_type="application/json").status != 200


@pytest.mark.parametrize(("origin", "status"), [("http://{host}", 101), ("https://evil.example", 403), ("null", 403)])
def test_a_websocket_is_for_the_servers_own_pages(running: str, origin: str, status: int) -> None:
    host, port = running.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as line:
        line.sendall(
            f"GET /_stcore/stream HTTP/1.1\r\nHost: {running}\r\nOrigin: {origin.format(host=running)}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: streamlit\r\n\r\n".encode()
        )
        assert line.recv(12) == f"HTTP/1.1 {status}".encode()


def test_a_body_without_a_length_is_not_read_beyond_its_bound(running: str) -> None:
    """The server answers before the body has ended: it never ends here."""
    host, port = running.split(":")
    cookie = f"latent_explorer_visitor={'A' * 32}"
    with socket.create_connection((host, int(port)), timeout=30) as line:
        line.sendall(
            f"POST /labs/documents/run HTTP/1.1\r\nHost: {running}\r\nCookie: {cookie}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        for _ in range(5_000_000 // 0x10000 + 1):
            line.sendall(chunk)
        assert line.recv(12) == b"HTTP/1.1 413"
