"""Who is asking: each browser gets a name of its own in a cookie, and what a visitor keeps is found by it."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import secrets
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer import catalogue, checkpoints, jobs
from explorer.files import write_whole

COOKIE = "latent_explorer_visitor"
NAME = re.compile(r"[A-Za-z0-9_-]{32}")
MAX_KEPT = 20
PAIR_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def visitor_of(cookies: Mapping[str, str]) -> str:
    """The visitor's name; "" for a browser that has none yet or refuses cookies. Nothing belongs to ""."""
    name = dict(cookies).get(COOKIE, "")
    return name if NAME.fullmatch(name) else ""


class Visitors:
    """Gives a page's visitor a name, unreadable for scripts and not sent along by other sites' forms."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or visitor_of(Request(scope).cookies):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        secure = request.headers.get("x-forwarded-proto", scope["scheme"]) == "https"
        # Framed by another site, as hosts of such apps do, a cookie comes back only if it is made for that.
        kind = "SameSite=None; Secure; Partitioned" if secure else "SameSite=Lax"

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    value = f"{COOKIE}={secrets.token_urlsafe(24)}; Path=/; Max-Age=31536000; HttpOnly; {kind}"
                    headers.append("Set-Cookie", value)
            await send(message)

        await self.app(scope, receive, send_with_cookie)


@functools.cache
def shelf() -> Shelf:
    """The shelf of this server; it goes when the server does."""
    return Shelf(jobs.here().root / "shelf")


class Shelf:
    """The models that visitors keep, each visitor's in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: dict[str, tuple[catalogue.Entry, ...]] = {}
        self.lock = threading.Lock()

    def of(self, visitor: str) -> tuple[catalogue.Entry, ...]:
        return self.entries.get(visitor, ())

    def folder(self, visitor: str) -> Path:
        return self.root / hashlib.sha256(visitor.encode()).hexdigest()[:32]

    def keep(self, visitor: str, folders: list[Path], *, name: str | None = None) -> list[str]:
        """Copy models to the visitor's shelf; a name renames them "<name>-ae" and "<name>-vae". Returns their names.

        Raises ValueError for a name that is taken or cannot be one, or a full shelf.
        """
        if name is not None and not PAIR_NAME.fullmatch(name):
            raise ValueError(f"A name is 1 to 40 letters, digits, dots or dashes, such as my-first, got {name[:60]!r}")
        with self.lock:
            names = [self._name_for(folder, name) for folder in folders]
            taken = {entry.card.name for entry in (*catalogue.shipped().entries, *self.of(visitor))}
            for one in names:
                if one in taken or names.count(one) > 1:
                    raise ValueError(f"There is a model called {one} already: choose another name")
            if len(self.of(visitor)) + len(names) > MAX_KEPT:
                raise ValueError(f"At most {MAX_KEPT} models can be kept: download some and remove them first")
            added = []
            for folder, one in zip(folders, names):
                target = Path(
                    shutil.copytree(folder, self.folder(visitor) / one, ignore=shutil.ignore_patterns("moment-*"))
                )
                card = json.loads((target / checkpoints.CARD).read_bytes())
                write_whole(target / checkpoints.CARD, (json.dumps({**card, "name": one}, indent=1) + "\n").encode())
                added.append(catalogue.read_entry(target))
            self.entries[visitor] = (*self.of(visitor), *added)
        return names

    def _name_for(self, folder: Path, name: str | None) -> str:
        card = checkpoints.read_card(folder)
        return card.name if name is None else f"{name}-{card.model}"

    def redraw(self, visitor: str, name: str, folder: Path) -> None:
        """Take over an atlas that was drawn after the model was kept."""
        with self.lock:
            target = self.folder(visitor) / name
            for file in folder.glob("*.gz"):
                shutil.copy(file, target / file.name)
            write_whole(target / "atlas.json", (folder / "atlas.json").read_bytes())
            fresh = catalogue.read_entry(target)
            self.entries[visitor] = tuple(fresh if entry.card.name == name else entry for entry in self.of(visitor))
