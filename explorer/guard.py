"""Who may give orders to the server, and how much may be left with it: no other site, no more than it can hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HARMLESS = ("GET", "HEAD", "OPTIONS")
REFUSED = "This has to be asked by the page itself."
UPLOADS = "/_stcore/upload_file/"
MAX_HELD = 400_000_000  # bytes of one session's uploads: each of the pages' bounds, and a second try
MAX_HELD_BY_ALL = 2_000_000_000
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


class BoundedUploads:
    """Refuses uploads beyond what one session, and all together, may leave in memory.

    Streamlit bounds each file, but not how many there are. held: by session, the bytes of what it has uploaded.
    max_file: what one file may have; as many are reserved for a body of unknown length.
    """

    def __init__(self, app: ASGIApp, *, held: Callable[[], Mapping[str, int]], max_file: int) -> None:
        self.app = app
        self.held = held
        self.max_file = max_file
        self.arriving: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "PUT" or UPLOADS not in scope["path"]:
            await self.app(scope, receive, send)
            return
        session = scope["path"].partition(UPLOADS)[2].partition("/")[0]
        length = Headers(scope=scope).get("content-length", "")
        size = int(length) if length.isdecimal() and len(length) < 16 else self.max_file
        held = self.held()
        own, all_together = held.get(session, 0) + self.arriving[session], sum(held.values()) + self.arriving.total()
        if own + size > MAX_HELD or all_together + size > MAX_HELD_BY_ALL:
            await JSONResponse({"problem": FULL}, status_code=413)(scope, receive, send)
            return
        self.arriving[session] += size
        try:
            await self.app(scope, receive, send)
        finally:
            self.arriving[session] -= size
            self.arriving += Counter()  # without those that are at nought
