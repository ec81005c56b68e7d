"""The server beside Streamlit's own: files by hash, health, and the course of its life."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import explorer
from explorer import (
    data,
    decode_routes,
    described,
    export,
    jobs,
    lab_routes,
    logs,
    measurings,
    modules,
    onefile,
    training_routes,
    visitors,
)
from explorer.atlas import MAX_PART_BYTES
from explorer.catalogue import Catalogue, Entry
from explorer.files import DamagedFile, Once, public
from explorer.foreign import serving
from explorer.frontend import prefix_of

FOREVER = "public, max-age=31536000, immutable"
MOST_SHARED_BYTES = 64_000_000  # all that ships is 44 MB
READY = "ready"
PATIENCE_S = 10.0
TIDY_S = 60.0


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


def lifespan(*, tidy: Callable[[], None]) -> Callable[[object], contextlib.AbstractAsyncContextManager[None]]:
    """What runs while the server does. tidy: called once a minute."""

    async def tidy_up() -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            tidy()

    @contextlib.asynccontextmanager
    async def live(app: object) -> AsyncIterator[None]:
        begin()
        tidying = asyncio.create_task(tidy_up())
        try:
            with told_of_the_end(close_doors, late=end):
                yield
        finally:
            tidying.cancel()
            end()

    return live


def begin() -> None:
    logs.begin()
    answer_at_once()
    take_many()
    course().status = READY
    logs.say("server", state=READY, version=explorer.__version__)


def end() -> None:
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
def told_of_the_end(tell: Callable[[], None], *, late: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Call tell when this process is asked to end. What the server does then it does as well, but it waits for all
    answers: those of a running training have no end, and who reads slowly has PATIENCE_S. Then late is called, and the
    server ends at once.
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
        loop.call_soon_threadsafe(loop.call_later, PATIENCE_S, give_up)

    def give_up() -> None:
        late()
        if callable(again := usual[signal.SIGINT]):  # heard a second time, the server waits no longer
            again(signal.SIGINT, None)

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
