"""What becomes of Streamlit's own answers: headers, the head of each page, scripts packed once, no files in a demo."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import OrderedDict
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer import demo, modules, policy
from explorer.catalogue import Catalogue

FAULT = "Something went wrong on the server, which has noted it: try again."
SCRIPTS = ("text/javascript", "application/javascript", "text/css")
MOST_PACKED = 1000  # Streamlit's frontend has some 400 scripts
SHOWN_ANYWHERE = ("", "/learn", "/labs")  # pages that may be framed by any site, with embed=true
POWERS = "camera=(self), microphone=(), geolocation=(), usb=(), serial=(), payment=(), display-capture=()"


def prefix_of(base_path: str) -> str:
    """ "" or "/sub/path", from "", "sub/path" or "/sub/path/"."""
    return f"/{base_path.strip('/')}".rstrip("/")


class PageHeaders:
    """Adds to every answer: no sniffing of types, no address of ours told to other sites, no use of it by their pages.
    To pages: what they may do, who may frame them. The outermost of all, so that refusals and faults have them too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered = scope["type"] != "http"

        async def send_with_headers(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                headers = MutableHeaders(scope=message)
                del headers["Access-Control-Allow-Origin"]  # Streamlit's uploads have one
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                if not is_page(headers):
                    headers["Cross-Origin-Resource-Policy"] = "same-origin"
                else:
                    headers["Permissions-Policy"] = POWERS
                    headers.setdefault("Content-Security-Policy", policy.of_page("", ancestors=["'none'"]))
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)
        except Exception:
            if not answered:
                await PlainTextResponse(FAULT, status_code=500)(scope, receive, send_with_headers)
            raise


class PageHead:
    """Writes into the head of each page where its server is and what to fetch next; tells what the page may do.

    All stand here, since the policy names the page's scripts by their hashes. Streamlit's frontend would look for its
    server: under the page's own path first, which is 404 for all pages but the first, and browsers put that into their
    list of errors. The browser works it out, since a proxy may have put more before the base path: the last part of the
    address is the page's, but where the base path itself is the end.

    The stage's modules import one another three deep, and which atlases are wanted is known once they run; named in the
    page, its own modules and atlases come while Streamlit starts. They are not named in a header: proxies have bounds
    for those, nginx 4 KB unless told otherwise.
    """

    def __init__(self, app: ASGIApp, *, base_path: str, models: Catalogue) -> None:
        self.app = app
        self.prefix = prefix_of(base_path)
        self.entries, self.dial = models.entries, models.dial
        self.shown_anywhere = [self.prefix + path for path in SHOWN_ANYWHERE]
        self.frames = policy.frames_here()
        base = json.dumps(self.prefix).replace("<", "\\u003c")
        self.script = (
            f"<script>{{const base={base},path=location.pathname;window.__streamlit={{BACKEND_BASE_URL:location.origin+"
            'String(base&&path.endsWith(base)?path:path.replace(/[^/]*$/,""))}}</script>'
        )
        entry = f"{modules.ENTRY_FOLDER}/{modules.ENTRY}"
        self.modules = {
            page: [entry, *(f"{modules.address()}/{name}" for name in modules.texts(first))]
            for page, first in modules.PAGES.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asks_for_page = scope["type"] == "http" and scope["method"] == "GET"
        if not asks_for_page or "text/html" not in Headers(scope=scope).get("accept", ""):
            await self.app(scope, receive, send)
            return
        status, headers, body = await collect(self.app, plainly(scope), receive)
        if is_page(headers):
            page = scope["path"].removeprefix(self.prefix).strip("/")
            head = f"<head>{self.script}{self.links(page, scope['query_string'])}"
            body = body.replace(b"<head>", head.encode(), 1)
            headers["Content-Length"] = str(len(body))
            headers["Content-Security-Policy"] = policy.of_page(body.decode(), ancestors=self.ancestors(scope))
        answer = Response(body, status)
        answer.raw_headers = headers.raw
        await answer(scope, receive, send)

    def links(self, page: str, query_string: bytes) -> str:
        """What a page is to fetch, relative to it: its modules and, on the first one, the atlases it starts with."""
        wanted = [f'<link rel="modulepreload" href="./{path}">' for path in self.modules.get(page, [])]
        atlases = [] if page else self.atlases(query_string)
        return "".join(
            [*wanted, *(f'<link rel="preload" as="fetch" crossorigin href="./atlas/{part}">' for part in atlases)]
        )

    def atlases(self, query_string: bytes) -> list[str]:
        """The hashes of the parts that the stage will fetch first for the models an address asks for."""
        if not self.entries:
            return []
        query, first = parse_qs(query_string.decode("ascii", "replace")), self.entries[0].card
        wanted = (query.get("data", [first.dataset])[0], query.get("d", [str(first.latent_dim)])[0])
        turned = [entry for entry in self.dial if [entry.card.name] in (query.get("left"), query.get("right"))]
        usual = [entry for entry in self.entries if (entry.card.dataset, str(entry.card.latent_dim)) == wanted]
        return sorted(
            {entry.parts[name].sha256 for entry in turned or usual for name in ("codes", "decoder", "images")}
        )

    def ancestors(self, scope: Scope) -> list[str]:
        """Who may show the page in a frame: all sites where it was made for that, else this server and sites named."""
        embedded = "true" in parse_qs(scope["query_string"].decode("ascii", "replace").lower()).get("embed", [])
        if embedded and scope["path"].rstrip("/") in self.shown_anywhere:
            return ["*"]
        return ["'self'", *self.frames]


class PackedFrontend:
    """Sends scripts and styles gzipped, each read and compressed once: Streamlit's own are 0.9 MB then, not 2.9 MB.

    Streamlit leaves that to a proxy, or compresses for every visitor anew. As one of the outer layers this answers most
    of what a first visit asks for without asking the others. What is kept goes to everybody, so that is scripts and
    styles alone, and nothing that names a visitor. Streamlit answers with a page where it has no script of a name.
    """

    def __init__(self, app: ASGIApp, *, base_path: str) -> None:
        self.app = app
        folders = ("static", modules.address(), modules.ENTRY_FOLDER)
        self.folders = tuple(f"{prefix_of(base_path)}/{folder}/" for folder in folders)
        self.packed: OrderedDict[str, Response] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.concerns(scope):
            await self.app(scope, receive, send)
            return
        answer = self.packed.get(scope["path"]) or await self.packed_anew(scope, receive)
        await answer(scope, receive, send)

    async def packed_anew(self, scope: Scope, receive: Receive) -> Response:
        """The answer to who asks, which is kept for the next if it is one for everybody."""
        status, headers, body = await collect(self.app, plainly(scope), receive)
        if is_page(headers):
            return PlainTextResponse("There is no script of that name.", status_code=404)
        # To a browser that has hung up Streamlit's app answers with nothing: that must not be kept for the others.
        is_whole = headers.get("content-length") == str(len(body))
        is_for_all = headers.get("content-type", "").startswith(SCRIPTS) and "set-cookie" not in headers
        if status != 200 or "content-encoding" in headers or not (is_whole and is_for_all):
            return Response(body, status, headers)
        content = await asyncio.to_thread(gzip.compress, body, 6)
        headers["Content-Length"] = str(len(content))
        headers["Content-Encoding"] = "gzip"
        headers.add_vary_header("Accept-Encoding")
        answer = self.packed[scope["path"]] = Response(content, headers=headers)
        if len(self.packed) > MOST_PACKED:  # a path can be written in many ways
            self.packed.popitem(last=False)
        return answer

    def concerns(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(self.folders):
            return False
        headers = Headers(scope=scope)
        return (
            scope["path"].endswith((".js", ".css"))
            and "gzip" in headers.get("accept-encoding", "")
            and not {"range", "if-none-match", "if-modified-since"} & set(headers.keys())
        )


class NoUploads:
    """In a public demo Streamlit's own door for files is shut, whether a page shows it or not."""

    def __init__(self, app: ASGIApp, *, base_path: str) -> None:
        self.app = app
        self.door = f"{prefix_of(base_path)}/_stcore/upload_file"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http" and scope["method"] == "PUT" and scope["path"].startswith(self.door):
            try:
                demo.check_upload()
            except ValueError as error:
                app = PlainTextResponse(f"{error}.", status_code=403)
        await app(scope, receive, send)


# What is read here has to be plain and whole: a page that a browser has kept may have come with another policy.
NOT_FORWARDED = (b"accept-encoding", b"if-none-match", b"if-modified-since")


def plainly(scope: Scope) -> Scope:
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name not in NOT_FORWARDED]}


def is_page(headers: MutableHeaders) -> bool:
    return headers.get("content-type", "").startswith("text/html")


async def collect(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[int, MutableHeaders, bytes]:
    """The whole answer of app: status, headers, body."""
    start: Message = {}
    parts: list[bytes] = []

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await app(scope, receive, keep)
    return start["status"], MutableHeaders(raw=list(start["headers"])), b"".join(parts)
