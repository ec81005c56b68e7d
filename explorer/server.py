"""The server beside Streamlit's own: files by hash, health, the headers of every answer, and a packed frontend."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import json
import os
import re
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import explorer
from explorer import (
    data,
    decode_routes,
    demo,
    described,
    export,
    jobs,
    lab_routes,
    logs,
    measurings,
    modules,
    onefile,
    policy,
    training_routes,
    visitors,
)
from explorer.atlas import MAX_PART_BYTES
from explorer.catalogue import Catalogue, Entry
from explorer.files import DamagedFile, Once, public
from explorer.foreign import serving

FOREVER = "public, max-age=31536000, immutable"
MOST_SHARED_BYTES = 64_000_000  # all that ships is 44 MB
MOST_PACKED = 1000  # Streamlit's frontend has some 400 scripts
READY = "ready"
SHOWN_ANYWHERE = ("", "/learn", "/labs")  # pages that may be framed by any site, with embed=true
POWERS = "camera=(self), microphone=(), geolocation=(), usb=(), serial=(), payment=(), display-capture=()"


@dataclass
class Course:
    """Where the server is in its life: starting, ready or closing."""

    status: str = "starting"


@functools.cache
def course() -> Course:
    """The course of this server."""
    return Course()


def routes(base_path: str, models: Catalogue) -> list[Route]:
    """The project's routes under the server's base path ("" or "sub/path")."""
    prefix = prefix_of(base_path)
    parts = {part.sha256: part for entry in (*models.entries, *models.dial) for part in entry.parts.values()}
    labs = [table.part for table in models.labs.values()]
    others = (*(judge.part for judge in models.judges.values()), *models.lessons.values(), *labs)
    parts.update({part.sha256: part for part in others})
    shared = Once(most_bytes=MOST_SHARED_BYTES)

    async def part_by_hash(request: Request) -> Response:
        """One part of an atlas or a classifier, as it lies on the disk. The name is its hash, so it never changes."""
        part = parts.get(request.path_params["sha256"])
        if part is None:
            return PlainTextResponse("There is no atlas file of that name.", status_code=404)
        try:
            content = await asyncio.to_thread(
                shared.read, part.path, expected_sha256=part.sha256, max_bytes=MAX_PART_BYTES
            )
        except DamagedFile as error:
            return PlainTextResponse(f"{public(str(error), models.root)}.", status_code=500)
        headers = {"Cache-Control": FOREVER, **({"Content-Encoding": "gzip"} if part.packed else {})}
        return Response(content, media_type="application/octet-stream", headers=headers)

    async def module(request: Request) -> Response:
        """A module of the stage. The folder's name is the hash of all of them, so it never changes."""
        name = request.path_params["name"]
        if name not in modules.names():
            return PlainTextResponse("There is no module of that name.", status_code=404)
        content = await asyncio.to_thread((modules.FOLDER / name).read_bytes)
        return Response(content, media_type="text/javascript", headers={"Cache-Control": FOREVER})

    def seen_by(request: Request) -> dict[str, Entry]:
        """By name, the models that a visitor may see: shipped ones, and the visitor's own."""
        own = visitors.shelf().of(visitors.visitor_of(request.cookies))
        return {entry.card.name: entry for entry in (*models.entries, *models.dial, *own)}

    async def one_file(request: Request) -> Response:
        """The stage with two models as one HTML file: shipped ones, or the visitor's own. The rest is the view."""
        known = seen_by(request)
        left, right = (known.get(request.query_params.get(side, "")) for side in ("left", "right"))
        if left is None or right is None:
            return PlainTextResponse("There is no model of that name to put into a file.", status_code=404)
        make = functools.partial(onefile.one_file, models=models, titles=data.titles(), query=request.url.query)
        try:
            content = await asyncio.to_thread(make, left, right)
        except ValueError as error:
            return PlainTextResponse(f"{public(str(error), models.root)}.", status_code=400)
        # Not as a page: it is for the disk, and this server's pages get scripts and cookies of their own.
        return attachment(content, f"{left.card.name}-and-{right.card.name}.html", kind="application/octet-stream")

    async def codes(request: Request) -> Response:
        """The codes of a model's held-out images as Parquet."""
        entry = seen_by(request).get(request.query_params.get("model", ""))
        if entry is None:
            return PlainTextResponse("There is no model of that name to take codes from.", status_code=404)
        about = described.about_of(entry.manifest)
        classes = about.classes if about else data.titles().get(entry.card.dataset, ("", ()))[1]
        try:
            content = await asyncio.to_thread(export.codes_parquet, entry.parts["codes"].path.parent, classes)
        except DamagedFile as error:
            return PlainTextResponse(f"{public(str(error), models.root)}.", status_code=500)
        return attachment(content, f"{entry.card.name}-codes.parquet", kind="application/vnd.apache.parquet")

    async def health(request: Request) -> Response:
        """What a load balancer asks: 200 while new visitors are welcome, 503 before and after."""
        work = jobs.here()
        about = {
            "status": course().status,
            "version": explorer.__version__,
            "atlas_files": len(parts),
            "trainings": work.counts(),
            "backend": work.backend,
        }
        return JSONResponse(about, 200 if about["status"] == READY else 503, headers={"Cache-Control": "no-store"})

    return [
        Route(f"{prefix}/atlas/{{sha256:str}}", part_by_hash),
        Route(f"{prefix}/{modules.address()}/{{name:str}}", module),
        Route(f"{prefix}/health", health),
        Route(f"{prefix}/onefile", one_file),
        Route(f"{prefix}/codes", codes),
        *training_routes.routes(prefix, jobs.here(), visitors.shelf()),
        *lab_routes.routes(prefix, jobs.here()),
        *decode_routes.routes(prefix, visitors.shelf(), serving.here()),
    ]


def attachment(content: bytes, name: str, *, kind: str) -> Response:
    """A file for the disk. What its name has beside plain letters becomes dashes."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    headers = {"Content-Disposition": f'attachment; filename="{plain}"', "Cache-Control": "no-store"}
    return Response(content, media_type=kind, headers=headers)


class PageHeaders:
    """Adds to every answer: no sniffing of types, no address of ours told to other sites, no use of it by their pages.
    To pages: what they may do, who may frame them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                if not is_page(headers):
                    headers["Cross-Origin-Resource-Policy"] = "same-origin"
                else:
                    headers["Permissions-Policy"] = POWERS
                    headers.setdefault("Content-Security-Policy", policy.of_page("", ancestors=["'none'"]))
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


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
    of what a first visit asks for without asking the others.
    """

    def __init__(self, app: ASGIApp, *, base_path: str) -> None:
        self.app = app
        folders = ("static", modules.address(), modules.ENTRY_FOLDER)
        self.folders = tuple(f"{prefix_of(base_path)}/{folder}/" for folder in folders)
        self.packed: dict[str, Response] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.concerns(scope):
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        if path not in self.packed:
            status, headers, body = await collect(self.app, plainly(scope), receive)
            # To a browser that has hung up Streamlit's app answers with nothing: that must not be kept for the others.
            is_whole = headers.get("content-length") == str(len(body))
            if status != 200 or "content-encoding" in headers or not is_whole:
                await Response(body, status, headers)(scope, receive, send)
                return
            content = await asyncio.to_thread(gzip.compress, body, 6)
            headers["Content-Length"] = str(len(content))
            headers["Content-Encoding"] = "gzip"
            headers.add_vary_header("Accept-Encoding")
            answer = Response(content, headers=headers)
            if len(self.packed) < MOST_PACKED:  # a path can be written in many ways
                self.packed[path] = answer
            await answer(scope, receive, send)
            return
        await self.packed[path](scope, receive, send)

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


@contextlib.asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    """Runs while the server does."""
    logs.begin()
    answer_at_once()
    take_many()
    course().status = READY
    logs.say("server", state=READY, version=explorer.__version__)
    try:
        with told_of_the_end(close_doors):
            yield
    finally:
        close_doors()
        logs.say("server", state="closed")
        jobs.here().close()
        measurings.here().close()
        serving.here().close()


def close_doors() -> None:
    """Send nobody here any more, and let those go who listen."""
    course().status = "closing"
    jobs.here().hang_up()


@contextlib.contextmanager
def told_of_the_end(tell: Callable[[], None]) -> Iterator[None]:
    """Call tell when this process is asked to end. What the server does then it does as well, but it waits for all
    answers, and those of a running training have no end.
    """
    if threading.current_thread() is not threading.main_thread():  # where signals cannot be heard
        yield
        return
    loop = asyncio.get_running_loop()
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def hear(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(tell)
        if callable(handler := usual[signal.Signals(number)]):
            handler(number, frame)

    for number in usual:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


def answer_at_once() -> None:
    """Switch off Nagle's algorithm on the sockets that the server is about to listen on; connections inherit it.

    asyncio does so for sockets made with IPPROTO_TCP; Streamlit makes its own without, and then each small answer
    waits 40 ms for the browser's delayed acknowledgement.
    """
    for name in os.listdir("/dev/fd") if os.path.isdir("/dev/fd") else []:  # noqa: PTH112, PTH208
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name))) as candidate:
            if candidate.family in (socket.AF_INET, socket.AF_INET6) and candidate.type == socket.SOCK_STREAM:
                candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def take_many() -> None:
    """Raise the number of open files to what the system grants: 100 people need 1,400, and many systems start at 1,024.

    Of those each person's browser holds seven connections, and Streamlit three files a session, also for the last 128
    that were closed.
    """
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on Windows; not everywhere allowed
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def prefix_of(base_path: str) -> str:
    """ "" or "/sub/path", from "", "sub/path" or "/sub/path/"."""
    return f"/{base_path.strip('/')}".rstrip("/")
