"""Streamlit's sessions on the running server: whoever has another cookie joins none, and no message names a folder."""

from __future__ import annotations

import asyncio
import io
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from explorer.guard import OwnSessions, Sessions

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

from launch import ROOT, Server, serve
from people import STREAM, XSRF, Person, Visit, person
from yarl import URL


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(LATENT_EXPLORER_STATE=str(tmp_path_factory.mktemp("a state folder"))) as started:
        yield started


async def joined(one: Person, session: str) -> str:
    """The session that a person gets who asks for one."""
    token = one.http.cookie_jar.filter_cookies(URL(one.url))[XSRF].value
    await one.leave()
    protocols = ("streamlit", token, session)
    one.stream = await one.http.ws_connect(f"{one.url}/{STREAM}", protocols=protocols, origin=one.url)
    await one.rerun()
    return one.session


async def upload(one: Person, session: str, method: str, *, content: bytes = b"1") -> int:
    token = one.http.cookie_jar.filter_cookies(URL(one.url))[XSRF].value
    path = f"{one.url}/_stcore/upload_file/{session}/some-file"
    async with one.http.request(
        method, path, data={"file": io.BytesIO(content)}, headers={"X-Xsrftoken": token}
    ) as answer:
        return answer.status


def test_a_session_is_for_the_visitor_alone_who_opened_it(server: Server) -> None:
    async def live() -> None:
        async with person(server.url) as anna, person(server.url) as ben:
            await anna.open("/yours", visit=Visit())
            await ben.open("/yours", visit=Visit())
            hers, his = anna.session, ben.session
            assert hers != his
            assert await joined(ben, hers) not in (hers, ""), "while she is there"
            assert await joined(anna, hers) == hers
            await anna.leave()
            await asyncio.sleep(0.5)
            assert await joined(ben, hers) not in (hers, ""), "and when she is gone for a moment"
            assert await joined(anna, hers) == hers, "she comes back to her own"

            for method in ("PUT", "DELETE"):
                assert await upload(ben, hers, method) == 403
                assert await upload(ben, "no-such-session", method) == 403
            assert await upload(anna, hers, "PUT") != 403

    asyncio.run(live())


TIDIES_OFTEN = """
import sys
from explorer import cli, server
server.TIDY_S = 1.0
cli.main(["run", "--port", sys.argv[1]])
"""


def test_what_was_uploaded_is_gone_from_memory_when_nobody_comes_back_for_it() -> None:
    """On a quiet server, where no other session is closed."""
    size_mb = 80

    def resident_mb(pid: int) -> float:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6

    async def live(server: Server) -> None:
        async with person(server.url) as stays:
            await stays.open("/yours", visit=Visit())
            async with person(server.url) as leaves:
                await leaves.open("/yours", visit=Visit())
                before = resident_mb(server.pid)
                assert await upload(leaves, leaves.session, "PUT", content=bytes(size_mb * 1_000_000)) == 204
                assert resident_mb(server.pid) > before + size_mb / 2
            end = time.monotonic() + 30
            while resident_mb(server.pid) > before + size_mb / 2:
                assert time.monotonic() < end, "it is still there"
                await asyncio.sleep(0.2)

    command = (sys.executable, "-c", TIDIES_OFTEN, "{port}")
    with serve(command, STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL="2") as started:
        asyncio.run(live(started))


IMPATIENT = """
import sys
from explorer import cli, server
server.PATIENCE_S = 1.0
cli.main(["run", "--port", sys.argv[1]])
"""


def test_a_server_that_is_asked_to_end_waits_for_who_reads_slowly_and_then_no_longer() -> None:
    """And what lies in its state folder is free for the next one."""
    with serve((sys.executable, "-c", IMPATIENT, "{port}")) as started, socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", int(started.url.rpartition(":")[2])))
        line.sendall(b"GET /onefile?left=mnist-ae-2&right=mnist-vae-2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert line.recv(12) == b"HTTP/1.1 200"  # and no more of it is read
        os.kill(started.pid, signal.SIGTERM)
        end = time.monotonic() + 20
        while Path(f"/proc/{started.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < end, "it waits still"
            time.sleep(0.1)


def test_no_message_names_a_folder_of_the_server_or_the_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []
    receive = Person.receive

    async def noted(one: Person) -> ForwardMsg:
        message = await receive(one)
        heard.append(message.SerializeToString())
        return message

    monkeypatch.setattr(Person, "receive", noted)

    async def live() -> None:
        async with person(server.url) as one:
            await one.open("/", visit=Visit())
            for name in ("train", "measure", "learn", "labs", "yours"):
                await one.go(name)

    asyncio.run(live())
    begun = [message for message in map(ForwardMsg.FromString, heard) if message.WhichOneof("type") == "new_session"]
    assert len(begun) == 6
    assert all(one.new_session.initialize.session_id for one in begun)
    assert not any(one.new_session.initialize.user_info.ListFields() for one in begun)
    for needle in (str(ROOT), "a state folder", socket.gethostname()):
        assert not any(needle.encode() in message for message in heard), needle


def test_who_comes_first_is_forgotten_first_and_cannot_be_joined_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.guard.MOST_SESSIONS", 2)
    asked: list[str] = []

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        headers = dict(scope["headers"])  # type: ignore[call-overload]
        asked.append(headers[b"sec-websocket-protocol"].decode())

    sessions = OwnSessions(
        app,  # type: ignore[arg-type]
        sessions=Sessions(),
        message=ForwardMsg,
        visitor_of=lambda cookies: cookies.get("who", ""),
    )
    for number in range(3):
        begun = ForwardMsg()
        begun.new_session.initialize.session_id = f"s{number}"
        sessions.noted(begun.SerializeToString(), "anna")
    for wanted in ("s0", "s1", "s2"):
        headers = [(b"cookie", b"who=anna"), (b"sec-websocket-protocol", f"streamlit, token, {wanted}".encode())]
        asyncio.run(sessions({"type": "websocket", "headers": headers}, None, None))  # type: ignore[arg-type]
    assert asked == ["streamlit, token", "streamlit, token, s1", "streamlit, token, s2"]
