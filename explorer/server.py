"""The routes beside Streamlit's own: files by hash, health; and the headers of every answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer import catalogue, checkpoints
from explorer.atlas import MAX_PART_BYTES
from explorer.files import DamagedFile, read_checked

FOREVER = "public, max-age=31536000, immutable"


def routes(base_path: str, *, root: Path = checkpoints.PRETRAINED) -> list[Route]:
    """The project's routes under the server's base path ("" or "sub/path"), for the models in the folders of root."""
    prefix = f"/{base_path.strip('/')}".rstrip("/")
    parts = {part.sha256: part for entry in catalogue.read(root).entries for part in entry.parts.values()}

    async def part_by_hash(request: Request) -> Response:
        """One part of an atlas, gzipped as it lies on the disk. The name is its hash, so it never changes."""
        part = parts.get(request.path_params["sha256"])
        if part is None:
            return PlainTextResponse("There is no atlas file of that name.", status_code=404)
        try:
            content = await asyncio.to_thread(
                read_checked, part.path, expected_sha256=part.sha256, max_bytes=MAX_PART_BYTES
            )
        except DamagedFile as error:
            return PlainTextResponse(f"{catalogue.public(str(error), root)}.", status_code=500)
        headers = {"Content-Encoding": "gzip", "Cache-Control": FOREVER}
        return Response(content, media_type="application/octet-stream", headers=headers)

    async def health(request: Request) -> Response:
        """Whether the server answers, and how many atlas files it knows."""
        return JSONResponse({"status": "ok", "atlas_files": len(parts)})

    return [
        Route(f"{prefix}/atlas/{{sha256:str}}", part_by_hash),
        Route(f"{prefix}/health", health),
    ]


class SafeHeaders:
    """Adds to every answer: no sniffing of types, no address of ours told to other sites."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)
