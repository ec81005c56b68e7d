"""Streamlit's sessions on the running server: whoever has another cookie joins none, and no message names a folder."""

from __future__ import annotations

import asyncio
import io
import socket
import sys
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


async def upload(one: Person, session: str, method: str) -> int:
    token = one.http.cookie_jar.filter_cookies(URL(one.url))[XSRF].value
    path = f"{one.url}/_stcore/upload_file/{session}/some-file"
    async with one.http.request(
        method, path, data={"file": io.BytesIO(b"1")}, headers={"X-Xsrftoken": token}
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
