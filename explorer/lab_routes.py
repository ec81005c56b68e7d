"""What a page asks of the labs: a run, its files, and the embedded images. Runs are for their owner alone."""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from explorer import atlas, data, demo
from explorer.files import DamagedFile
from explorer.job import LabRun
from explorer.jobs import Jobs, Refused
from explorer.labs import orders
from explorer.labs.result import RESULT
from explorer.training_routes import KEPT, bounded_body, problem
from explorer.visitors import visitor_of

FILE = re.compile(rf"({RESULT}\.json|{RESULT}\.safetensors|step-\d{{5}}\.safetensors)")
FOREVER = "public, max-age=31536000, immutable"
NO_COOKIE = "This needs a cookie, so that nobody else can see or stop it: allow cookies and reload the page."


def routes(prefix: str, jobs: Jobs) -> list[Route]:
    """The routes under the server's base path; prefix is "" or "/sub/path"."""

    async def run(request: Request) -> Response:
        """Start a lab: its settings as JSON in the query, a file that belongs to it as the body."""
        visitor, lab = visitor_of(request.cookies), request.path_params["lab"]
        if not visitor:
            return problem(NO_COOKIE, 403)
        try:
            demo.check_lab({}, given=lab in orders.TAKE_A_FILE)
        except ValueError as error:
            return problem(f"{error}.", 403)
        given = await bounded_body(request, most=orders.MAX_GIVEN_BYTES)
        if given is None:
            return problem(f"A file may have at most {orders.MAX_GIVEN_BYTES // 10**6} MB: send a part of it.", 413)
        try:
            chosen = orders.read(lab, settings_of(request))
            orders.check_file(lab, given)
            return JSONResponse({"id": jobs.submit_lab(visitor, lab, chosen, given=given).id})
        except Refused as refusal:
            return problem(f"{refusal}.", 409)
        except ValueError as error:
            return problem(f"{error}.", 400)

    async def file(request: Request) -> Response:
        job, name = jobs.get(request.path_params["id"], visitor_of(request.cookies)), request.path_params["name"]
        if not isinstance(job, LabRun) or not FILE.fullmatch(name) or not (job.folder / name).is_file():
            return problem("There is no such file of yours.", 404)
        content = await asyncio.to_thread((job.folder / name).read_bytes)
        kind = "application/json" if name.endswith(".json") else "application/octet-stream"
        return Response(content, media_type=kind, headers={"Cache-Control": KEPT, "Content-Encoding": "identity"})

    async def images(request: Request) -> Response:
        """Training images: those that ship with the project, by the hash of their file; or a full set that is here."""
        wanted = request.path_params["name"]
        shipped = {published.embedded: name for name, published in data.PUBLISHED.items()}
        full = {f"{name}-full": name for name in data.PUBLISHED if data.has_full(name)}
        if wanted not in shipped and wanted not in full:
            return problem("There are no images of that name.", 404)
        find = data.load_embedded if wanted in shipped else data.load
        try:
            content = await asyncio.to_thread(packed_images, find, shipped.get(wanted) or full[wanted])
        except DamagedFile:
            return problem("The images' file is damaged: get the project's files, or the full set, again.", 500)
        headers = {"Cache-Control": FOREVER, "Content-Encoding": "gzip"}
        return Response(content, media_type="application/octet-stream", headers=headers)

    return [
        Route(f"{prefix}/labs/{{lab:str}}/run", run, methods=["POST"]),
        Route(f"{prefix}/labs/runs/{{id:str}}/{{name:str}}", file),
        Route(f"{prefix}/images/{{name:str}}", images),
    ]


def settings_of(request: Request) -> dict[str, object]:
    try:
        given = json.loads(request.query_params.get("settings", "{}"))
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise ValueError("The settings must be a JSON object")
    return given


@functools.cache
def packed_images(find: Callable[[str], data.Dataset], name: str) -> bytes:
    """x_train uint8 [N, C, H, W] and y_train uint8 [N] of a set, as gzipped safetensors."""
    found = find(name)
    return gzip.compress(atlas.pack({"images": found.x_train, "labels": found.y_train}), 4)
