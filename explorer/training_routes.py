"""What a page asks of a job and of kept models: events, pictures, stop, keep, download. For the owner alone."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from explorer import export, packing
from explorer.atlas import MAX_PART_BYTES
from explorer.files import DamagedFile, public, read_checked, unwritten
from explorer.job import ENDED, KINDS, Job, Training
from explorer.jobs import Jobs
from explorer.visitors import Shelf, visitor_of

PING_S = 15
MAX_BODY = 1000
BODY_S = 60.0  # a body that comes more slowly than that is not waited for
PICTURE = re.compile(r"(moment-\d{5}|images)\.safetensors")
KEPT = "private, max-age=31536000, immutable"

Endpoint = Callable[[Request], Awaitable[Response]]


def problem(text: str, status: int) -> Response:
    return JSONResponse({"problem": text}, status_code=status)


def routes(prefix: str, jobs: Jobs, shelf: Shelf) -> list[Route]:
    """The routes under the server's base path; prefix is "" or "/sub/path"."""

    def owned(handler: Callable[[Request, Any], Awaitable[Response]], kind: type[Job] = Training) -> Endpoint:
        async def handle(request: Request) -> Response:
            job = jobs.get(request.path_params["id"], visitor_of(request.cookies))
            if not isinstance(job, kind):
                return problem("There is no such training of yours. It may have ended long ago.", 404)
            return await handler(request, job)

        return handle

    async def events(request: Request, job: Job) -> Response:
        after = request.headers.get("last-event-id", "")
        start = int(after) + 1 if after.isdecimal() and len(after) < 10 else 0
        start = start if start <= len(job.events) else 0  # numbers of a server that lost its last words
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream(jobs, job, start), media_type="text/event-stream", headers=headers)

    async def moment(request: Request, job: Training) -> Response:
        kind, name = request.path_params["kind"], request.path_params["name"]
        path = job.model_folder(kind) / name
        if kind not in KINDS or not PICTURE.fullmatch(name) or not path.is_file():
            return problem("There is no such picture.", 404)
        # To pack weights takes far longer than to send them, and the picture is wanted now.
        headers = {"Cache-Control": KEPT, "Content-Encoding": "identity"}
        return Response(
            await asyncio.to_thread(path.read_bytes), media_type="application/octet-stream", headers=headers
        )

    async def stop(request: Request, job: Job) -> Response:
        jobs.stop(job, keep=(await body_of(request)).get("keep") is True)
        return JSONResponse({"state": job.state})

    async def keep(request: Request, job: Training) -> Response:
        name = str((await body_of(request)).get("name", ""))
        folders = trained(job)
        if not folders:
            return problem("There is nothing to keep yet.", 409)
        try:
            names = await asyncio.to_thread(shelf.keep, job.owner, folders, name=name)
        except ValueError as error:
            return problem(f"{public(str(error))}.", 400)
        if job.state == "drawing":
            pending.add(task := asyncio.create_task(redraw(jobs, shelf, job, folders, name)))
            task.add_done_callback(pending.discard)
        return JSONResponse({"names": names})

    async def download(request: Request, job: Training) -> Response:
        folders = trained(job)
        if not folders:
            return problem("There is nothing to download yet.", 409)
        return await packed(folders, job.folder / "models.zip", f"{job.settings.dataset}-pair.zip")

    async def film(request: Request, job: Training) -> Response:
        content = await asyncio.to_thread(film_of, job)
        if content is None:
            return problem("There is no film yet: a training has to run first.", 409)
        headers = {"Content-Disposition": 'attachment; filename="training.gif"', "Cache-Control": "no-store"}
        return Response(content, media_type="image/gif", headers=headers)

    async def download_kept(request: Request) -> Response:
        pair = shelf.pairs(visitor_of(request.cookies)).get(request.path_params["pair"])
        if pair is None:
            return problem("There is no such model of yours.", 404)
        if pair.is_onnx:
            return problem("This model was brought as ONNX: the file that you brought is all there is of it.", 409)
        return await packed(list(pair.folders), pair.folders[0].parent / ".models.zip", f"{pair.name}.zip")

    async def part(request: Request) -> Response:
        wanted = request.path_params["sha256"]
        for entry in shelf.of(visitor_of(request.cookies)):
            for one in entry.parts.values():
                if one.sha256 == wanted:
                    try:
                        content = await asyncio.to_thread(
                            read_checked, one.path, expected_sha256=wanted, max_bytes=MAX_PART_BYTES
                        )
                    except DamagedFile:
                        return problem("This model's files are damaged: load it again.", 500)
                    headers = {"Cache-Control": KEPT, "Content-Encoding": "gzip" if one.packed else "identity"}
                    return Response(content, media_type="application/octet-stream", headers=headers)
        return problem("There is no such file of yours.", 404)

    pending: set[asyncio.Task[None]] = set()
    job = f"{prefix}/jobs/{{id:str}}"
    return [
        Route(f"{job}/events", owned(events, Job)),
        Route(f"{job}/moments/{{kind:str}}/{{name:str}}", owned(moment)),
        Route(f"{job}/stop", owned(stop, Job), methods=["POST"]),
        Route(f"{job}/keep", owned(keep), methods=["POST"]),
        Route(f"{job}/models.zip", owned(download)),
        Route(f"{job}/film.gif", owned(film)),
        Route(f"{prefix}/mine/{{sha256:str}}", part),
        Route(f"{prefix}/kept/{{pair:str}}.zip", download_kept),
    ]


def film_of(job: Training) -> bytes | None:
    """The moments that both models have, as a GIF; the axes are the two most active dimensions at the end."""
    from safetensors.numpy import load_file

    told = [(e["side"], e["file"], e["epoch"], e["recon"], e["kl"]) for e in moments_of(list(job.events))]
    there = {
        kind: {t[1]: t for t in told if t[0] == kind and (job.model_folder(kind) / t[1]).is_file()} for kind in KINDS
    }
    names = sorted(set(there["ae"]) & set(there["vae"]))
    if not names:
        return None
    labels = load_file(job.model_folder("ae") / "images.safetensors")["labels"]
    scenes: dict[str, list[export.Scene]] = {}
    for kind in KINDS:
        folder = job.model_folder(kind)
        axes = load_file(folder / names[-1])["order"][:2].tolist()
        scenes[kind] = []
        for name in names:
            _, _, epoch, recon, kl = there[kind][name]
            text = f"epoch {epoch:.2f}  reconstruction {recon:.0f} nats" + (f"  KL {kl:.1f}" if kind == "vae" else "")
            scenes[kind].append(
                export.scene(folder / name, labels, axes=axes, text=text if recon else "not trained yet")
            )
    return export.gif(scenes, labels)


def moments_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The moments of a training, without those that were lost with their epoch and came again."""
    found: list[dict[str, Any]] = []
    for news in events:
        if news["kind"] == "model":
            again = len(news["done"])
            found = [e for e in found if e["side"] != news["side"] or e["epoch"] < again]
        elif news["kind"] == "moment":
            found.append(news)
    return found


async def redraw(jobs: Jobs, shelf: Shelf, job: Training, folders: list[Path], name: str) -> None:
    """What was kept before UMAP was drawn gets it when it is."""
    async for _ in stream(jobs, job, len(job.events)):
        pass
    await asyncio.to_thread(shelf.redraw, job.owner, name, folders)


def trained(job: Training) -> list[Path]:
    """The folders of the models that a job has finished."""
    folders = [job.model_folder(kind) for kind in KINDS]
    return folders if all((folder / "atlas.json").is_file() for folder in folders) else []


async def packed(folders: list[Path], target: Path, name: str) -> Response:
    try:
        await asyncio.to_thread(packing.pack, folders, target)
    except ValueError as error:
        return problem(f"{public(str(error), folders[0].parent)}.", 500)
    except OSError as error:
        return problem(f"{unwritten(error, then='download it again')}.", 507)
    return FileResponse(target, media_type="application/zip", filename=name, headers={"Cache-Control": "no-store"})


async def body_of(request: Request) -> dict[str, object]:
    """A small JSON object; {} for anything else."""
    try:
        value = json.loads(await bounded_body(request, most=MAX_BODY) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


async def bounded_body(request: Request, *, most: int) -> bytes | None:
    """The request's body; None for one that is too long, of which the rest is not read.

    Raises HTTPException (408) for one that is too slow.
    """
    try:
        return await asyncio.wait_for(up_to(request, most), BODY_S)
    except asyncio.TimeoutError as error:
        raise HTTPException(408, "The request took too long to arrive: send it again.") from error


async def up_to(request: Request, most: int) -> bytes | None:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > most:
            return None
    return bytes(content)


async def stream(jobs: Jobs, job: Job, start: int) -> AsyncIterator[str]:
    """All events from number start on as server-sent events, and then each as it comes, until the job has ended.

    A server that is asked to end stops in the middle, and the browser asks again.
    """
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def listener() -> None:
        loop.call_soon_threadsafe(news.set)

    jobs.listen(job, listener)
    try:
        yield "retry: 1000\n\n"
        while not jobs.ending.is_set():
            news.clear()
            while start < len(job.events):
                yield f"id: {start}\ndata: {json.dumps(job.events[start])}\n\n"
                start += 1
            if job.state in ENDED and start >= len(job.events):
                yield "event: end\ndata: {}\n\n"
                return
            try:
                await asyncio.wait_for(news.wait(), PING_S)
            except asyncio.TimeoutError:
                yield "event: beat\ndata: {}\n\n"  # which a page hears: without it the connection is dead
    finally:
        jobs.unlisten(job, listener)
