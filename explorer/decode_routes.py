"""What the stage asks of a model that cannot run in the browser: images for codes. For the model's owner alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from explorer import atlas, checkpoints
from explorer.catalogue import Entry
from explorer.foreign.limits import MAX_CODES
from explorer.foreign.serving import Decoders, Model, Unanswered
from explorer.training_routes import bounded_body, problem
from explorer.visitors import Shelf, visitor_of

MAX_WAITING = 4  # answers of one model that are asked for at a time


def routes(prefix: str, shelf: Shelf, decoders: Decoders) -> list[Route]:
    """POST mine/<name>/decode: float32 codes [n, latent_dim] in, float32 items [n, C, H, W] out."""
    waiting: Counter[Path] = Counter()

    async def decode(request: Request) -> Response:
        found = served(shelf, visitor_of(request.cookies), request.path_params["name"])
        if found is None:
            return problem("There is no such model of yours here any more: bring it again.", 404)
        entry, model = found
        codes = codes_of(await bounded_body(request, most=4 * MAX_CODES * entry.card.latent_dim), entry.card.latent_dim)
        if codes is None:
            right = f"1 to {MAX_CODES} codes of {entry.card.latent_dim} finite float32 numbers"
            return problem(f"These are no codes of this model: {right} were expected.", 400)
        if waiting[model.decoder] >= MAX_WAITING:
            return problem("This model has more to answer than it can: wait a moment.", 429)
        waiting[model.decoder] += 1
        try:
            content = await asyncio.to_thread(decoders.decode, model, codes)
        except Unanswered as error:
            return problem(f"{error}.", 500)
        finally:
            waiting[model.decoder] -= 1
        headers = {"Cache-Control": "no-store", "Content-Encoding": "identity"}
        return Response(content, media_type="application/octet-stream", headers=headers)

    return [Route(f"{prefix}/mine/{{name:str}}/decode", decode, methods=["POST"])]


def served(shelf: Shelf, visitor: str, name: str) -> tuple[Entry, Model] | None:
    """The visitor's model of this name, if the server has to run it, and how."""
    for pair in shelf.pairs(visitor).values():
        for folder, entry in zip(pair.folders, pair.entries):
            if entry.card.name == name and atlas.is_served(entry.manifest):
                units = str(entry.manifest["layers"][0]["units"])
                return entry, Model(folder / checkpoints.ONNX_DECODER, entry.card.image_shape, units)
    return None


def codes_of(body: bytes | None, latent_dim: int) -> np.ndarray | None:
    """float32 [n, latent_dim]; None for anything else."""
    if not body or len(body) % (4 * latent_dim):
        return None
    codes = np.frombuffer(body, "<f4").reshape(-1, latent_dim)
    return codes if np.isfinite(codes).all() else None
