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
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Pair:
    """Models that were kept or brought together: their folders lie in one, and they go on from there together."""

    name: str
    folders: tuple[Path, ...]
    entries: tuple[catalogue.Entry, ...]

    @property
    def can_go_on(self) -> bool:
        """Whether there is an AE and a VAE, each with the state of its training."""
        kinds = sorted(entry.card.model for entry in self.entries)
        return kinds == ["ae", "vae"] and all(any(folder.glob("training-*.safetensors")) for folder in self.folders)


class Shelf:
    """The models that visitors keep, each visitor's in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kept: dict[str, dict[str, Pair]] = {}
        self.lock = threading.RLock()

    def pairs(self, visitor: str) -> dict[str, Pair]:
        """By name, what a visitor has kept."""
        return self.kept.get(visitor, {})

    def of(self, visitor: str) -> tuple[catalogue.Entry, ...]:
        """All the visitor's models."""
        return tuple(entry for pair in self.pairs(visitor).values() for entry in pair.entries)

    def keep(self, visitor: str, folders: list[Path], *, name: str) -> list[str]:
        """Copy models to the visitor's shelf as "<name>-ae" and "<name>-vae". Returns their names.

        Raises ValueError for a name that is taken or cannot be one, or a full shelf.
        """
        if not PAIR_NAME.fullmatch(name):
            raise ValueError(f"A name is 1 to 40 letters, digits, dots or dashes, such as my-first, got {name[:60]!r}")
        cards = [checkpoints.read_card(folder) for folder in folders]
        names = [f"{name}-{card.model}" for card in cards]
        if len(set(names)) < len(names):
            names = [f"{name}-{number}" for number in range(1, len(cards) + 1)]
        with self.lock:
            taken = {entry.card.name for entry in (*catalogue.shipped().entries, *self.of(visitor))}
            if name in self.pairs(visitor) or taken & set(names):
                raise ValueError(f"There is a model called {name} already: choose another name")
            if len(self.of(visitor)) + len(names) > MAX_KEPT:
                raise ValueError(f"At most {MAX_KEPT} models can be kept at a time: remove one first")
            place = self.root / hashlib.sha256(visitor.encode()).hexdigest()[:32] / name
            targets = tuple(place / one for one in names)
            for folder, target in zip(folders, targets):
                copy_as(folder, target)
            entries = tuple(map(catalogue.read_both_halves, targets))
            self.kept.setdefault(visitor, {})[name] = Pair(name, targets, entries)
        return names

    def redraw(self, visitor: str, name: str, folders: list[Path]) -> None:
        """Take over atlases that were drawn after the models were kept."""
        with self.lock:
            pair = self.pairs(visitor).get(name)
            if pair is None:
                return
            for folder, target in zip(folders, pair.folders):
                copy_as(folder, target)
            entries = tuple(map(catalogue.read_both_halves, pair.folders))
            self.kept[visitor][name] = Pair(name, pair.folders, entries)

    def remove(self, visitor: str, name: str) -> None:
        with self.lock:
            pair = self.kept.get(visitor, {}).pop(name, None)
        if pair:
            shutil.rmtree(pair.folders[0].parent, ignore_errors=True)


def copy_as(folder: Path, target: Path) -> None:
    """A copy of a model under its new folder's name."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("moment-*", "images.safetensors"), dirs_exist_ok=True)
    card = json.loads((target / checkpoints.CARD).read_bytes())
    write_whole(target / checkpoints.CARD, (json.dumps({**card, "name": target.name}, indent=1) + "\n").encode())
