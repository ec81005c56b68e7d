"""Who may give orders to the server, and how much may be left with it: no other site, no more than it can hold."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HARMLESS = ("GET", "HEAD", "OPTIONS")
REFUSED = "This has to be asked by the page itself."
UPLOADS = "/_stcore/upload_file/"
MAX_HELD = 400_000_000  # bytes of one visitor's uploads: each of the pages' bounds, and a second try
MAX_HELD_BY_ALL = 2_000_000_000
NOT_YOURS = "This upload is for a page that another browser opened: reload the page."
PROTOCOLS, BEFORE_SESSION = "sec-websocket-protocol", 2  # "streamlit", the XSRF token, then a session to join
MAX_BEGIN_BYTES = 65_536  # a message that begins a run has some 3,000
MOST_SESSIONS = 20_000
FULL = "The server holds as many uploads as it can: remove one, or try again in some minutes."


def asked_by_own_page(headers: Headers) -> bool:
    """Whether a request may change something: it was made by a page of this server, or by no page at all.

    Browsers say so themselves, and no page can make them say otherwise: Sec-Fetch-Site, and where that is missing (over
    plain http), Origin. A program sends neither, and has no one's cookies either. Source of the rule: Go's
    net/http.CrossOriginProtection (2025), after F. Valsorda, "Cross-Site Request Forgery".
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")


class OwnPagesOnly:
    """Refuses orders and websockets that another site's page asks for, before anything looks at them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        concerned = scope["type"] == "websocket" or (scope["type"] == "http" and scope["method"] not in HARMLESS)
        if not concerned or asked_by_own_page(Headers(scope=scope)):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": REFUSED})
        else:
            await JSONResponse({"problem": REFUSED}, status_code=403)(scope, receive, send)


class Sessions:
    """Which visitor opened each of Streamlit's sessions, of the newest ones. Its methods are called from one thread."""

    def __init__(self) -> None:
        self.opened: OrderedDict[str, str] = OrderedDict()

    def note(self, session: str, visitor: str) -> None:
        self.opened[session] = visitor
        self.opened.move_to_end(session)
        if len(self.opened) > MOST_SESSIONS:
            self.opened.popitem(last=False)

    def visitor(self, session: str) -> str | None:
        """ "" for a browser without a name, None for a session that nobody has opened."""
        return self.opened.get(session)


class OwnSessions:
    """A session of Streamlit's, and what is uploaded to it, is for the visitor alone who opened it.

    Streamlit lets everybody join a session who knows its id, and writes that into the paths of uploads. Of what it says
    of each run of the script, the server's folder and the machine's number are nobody's business.
    message: Streamlit's ForwardMsg. visitor_of: who has these cookies.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        sessions: Sessions,
        message: Callable[[], Any],
        visitor_of: Callable[[Mapping[str, str]], str],
    ) -> None:
        self.app = app
        self.sessions = sessions
        self.message = message
        self.visitor_of = visitor_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        concerned = scope["type"] == "websocket" or (scope["type"] == "http" and UPLOADS in scope["path"])
        if not concerned:
            await self.app(scope, receive, send)
            return
        visitor = self.visitor_of(HTTPConnection(scope).cookies)
        if scope["type"] == "http":
            theirs = self.sessions.visitor(session_of(scope["path"])) == visitor
            refusal = JSONResponse({"problem": NOT_YOURS}, status_code=403)
            await (self.app if theirs else refusal)(scope, receive, send)
            return

        async def send_noted(message: Message) -> None:
            if message["type"] == "websocket.send" and message.get("bytes"):
                message = {**message, "bytes": self.noted(message["bytes"], visitor)}
            await send(message)

        await self.app(self.without_others(scope, visitor), receive, send_noted)

    def without_others(self, scope: Scope, visitor: str) -> Scope:
        """The scope of a websocket, without a session to join that the visitor did not open."""
        headers = MutableHeaders(raw=list(scope["headers"]))
        offered = [part.strip() for part in headers.get(PROTOCOLS, "").split(",")]
        if len(offered) > BEFORE_SESSION and self.sessions.visitor(offered[BEFORE_SESSION]) != visitor:
            headers[PROTOCOLS] = ", ".join(offered[:BEFORE_SESSION])
        return {**scope, "headers": headers.raw}

    def noted(self, content: bytes, visitor: str) -> bytes:
        """A message as it may go out; one that begins a run of the script tells whose session it is."""
        if len(content) > MAX_BEGIN_BYTES:
            return content
        message = self.message()
        message.ParseFromString(content)
        if message.WhichOneof("type") != "new_session":
            return content
        begun = message.new_session
        begun.main_script_path = ""
        begun.initialize.user_info.Clear()
        self.sessions.note(begun.initialize.session_id, visitor)
        return bytes(message.SerializeToString())


def session_of(path: str) -> str:
    """The session that an upload's path names."""
    return path.partition(UPLOADS)[2].partition("/")[0]


class TooMuch(HTTPException):
    """More has come than may be left here."""

    def __init__(self) -> None:
        super().__init__(413, FULL)


class BoundedUploads:
    """Refuses uploads beyond what one visitor, and all together, may leave in memory.

    Streamlit bounds each file, but not how many there are. held: by session, the bytes of what was uploaded to it.
    What is on its way counts as it comes, so that who sends slowly keeps no room from the others.
    """

    def __init__(self, app: ASGIApp, *, held: Callable[[], Mapping[str, int]], sessions: Sessions) -> None:
        self.app = app
        self.held = held
        self.sessions = sessions
        self.arriving: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "PUT" or UPLOADS not in scope["path"]:
            await self.app(scope, receive, send)
            return
        who = self.whose(session_of(scope["path"]))
        length = Headers(scope=scope).get("content-length", "")
        arrived, answered = 0, False

        async def receive_counted() -> Message:
            nonlocal arrived
            message = await receive()
            size = len(message.get("body", b""))
            self.arriving[who] += size
            arrived += size
            if not self.has_room(who):
                raise TooMuch
            return message

        async def send_noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            if not self.has_room(who, int(length) if length.isdecimal() and len(length) < 16 else 0):
                raise TooMuch
            await self.app(scope, receive_counted, send_noted)
        except TooMuch:
            if not answered:
                await JSONResponse({"problem": FULL}, status_code=413)(scope, receive, send)
        finally:
            self.arriving[who] -= arrived
            self.arriving += Counter()  # without those that are at nought

    def whose(self, session: str) -> str:
        """Who has a session: its visitor; a browser without a name has but this one."""
        return self.sessions.visitor(session) or session

    def has_room(self, who: str, more: int = 0) -> bool:
        held = self.held()
        own = sum(size for session, size in held.items() if self.whose(session) == who) + self.arriving[who]
        return own + more <= MAX_HELD and sum(held.values()) + self.arriving.total() + more <= MAX_HELD_BY_ALL
