"""One line in the log for each request, with nothing in it that a visitor typed or is known by (explorer.logs)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from starlette.requests import HTTPConnection
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer import logs

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
PAGES = {"train", "measure", "learn", "labs", "yours"}
STREAMLITS = {"_stcore", "stream", "health", "host-config", "upload_file", "static", "media", "bidi-components"}
MOST_PARTS = 6
OTHER = "*"
SWITCHED = 101


class RequestLog:
    """A line when a request has been answered, or a websocket was closed.

    routes: of their addresses the words may be read in the log. visitor_of: who has these cookies, "" for nobody.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Iterable[Route],
        base_path: str,
        visitor_of: Callable[[Mapping[str, str]], str],
    ) -> None:
        self.app = app
        self.visitor_of = visitor_of
        paths = [base_path, *(route.path for route in routes)]
        words = {part for path in paths for part in path.split("/") if part and "{" not in part}
        self.known = words | PAGES | STREAMLITS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not logs.is_json():
            await self.app(scope, receive, send)
            return
        begun, status, sent = time.monotonic(), 500, 0

        async def counted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "websocket.accept":
                status = SWITCHED
            status = message.get("status", status)
            sent += len(message.get("body") or message.get("bytes") or message.get("text") or b"")
            await send(message)

        try:
            await self.app(scope, receive, counted)
        finally:
            method = scope.get("method", "GET")
            logs.say(
                "request",
                method=method if method in METHODS else OTHER,
                path=self.public(scope["path"]),
                status=status,
                ms=round(1000 * (time.monotonic() - begun)),
                bytes=sent,
                session=logs.named(self.visitor_of(HTTPConnection(scope).cookies)),
            )

    def public(self, path: str) -> str:
        """The path with * for all that is no word of our own: ids, names, whatever was typed."""
        parts = path.strip("/").split("/")[:MOST_PARTS]
        return "/" + "/".join(part if part in self.known or not part else OTHER for part in parts)
