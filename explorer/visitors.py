"""Who is asking: each browser gets a name of its own in a cookie, and what a visitor keeps is found by it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer import catalogue, checkpoints, data, demo, jobs, logs, own_data
from explorer.files import DamagedFile, check_room, copy_whole, public, read_record, unwritten, write_record
from explorer.places import age

COOKIE = "latent_explorer_visitor"
# Over https: a name of which browsers promise that this very host has set it, and no other of the same domain.
HOST_COOKIE = f"__Host-{COOKIE}"
NAME = re.compile(r"[A-Za-z0-9_-]{32}")
MAX_KEPT = 20
MAX_SETS = 5
MAX_PLACES = 3  # of what is being read or looked at; the oldest goes
MAX_SET_BYTES = 1_000_000_000  # of all the data sets that one visitor has
NEW = "new-"
RECORD = "whose.json"  # in a visitor's folder of data sets, and in a kept pair's
FORMAT, MAX_RECORD_BYTES = 1, 10_000
KEPT_S = 30 * 86400.0  # models, from one server to the next
GONE_S = 300.0  # a reload, or a laptop's lid, must not cost a data set
PAIR_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def visitor_of(cookies: Mapping[str, str]) -> str:
    """The visitor's name; "" for a browser that has none yet or refuses cookies. Nothing belongs to ""."""
    given = (dict(cookies).get(name, "") for name in (HOST_COOKIE, COOKIE))
    return next(filter(NAME.fullmatch, given), "")


class Visitors:
    """Gives a page's visitor a name, unreadable for scripts and not sent along by other sites' forms.

    present: told of a visitor as long as a page of theirs is open, which each page's websocket shows.
    """

    def __init__(self, app: ASGIApp, *, present: Callable[[str], contextlib.AbstractContextManager[None]]) -> None:
        self.app = app
        self.present = present

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            with self.present(visitor_of(HTTPConnection(scope).cookies)):
                await self.app(scope, receive, send)
            return
        request = Request(scope) if scope["type"] == "http" else None
        secure = request is not None and came_by_https(request)
        if request is None or NAME.fullmatch(request.cookies.get(HOST_COOKIE if secure else COOKIE, "")):
            await self.app(scope, receive, send)
            return
        # Framed by another site, as hosts of such apps do, a cookie comes back only if it is made for that.
        name, kind = (HOST_COOKIE, "SameSite=None; Secure; Partitioned") if secure else (COOKIE, "SameSite=Lax")

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    value = f"{name}={secrets.token_urlsafe(24)}; Path=/; Max-Age=31536000; HttpOnly; {kind}"
                    headers.append("Set-Cookie", value)
                    headers["Cache-Control"] = "private, no-cache"  # no proxy on the way may give it to others
            await send(message)

        await self.app(scope, receive, send_with_cookie)


def came_by_https(request: Request) -> bool:
    """Whether the visitor came that way, as the proxy in front says; the first of several proxies knows."""
    told = request.headers.get("x-forwarded-proto", request.scope["scheme"])
    return told.partition(",")[0].strip().lower() == "https"


@functools.cache
def shelf() -> Shelf:
    """The shelf of this server."""
    return Shelf(jobs.here().root / "shelf")


@functools.cache
def data_shelf() -> DataShelf:
    """The data sets that this server's visitors have brought."""
    models, trainings = shelf(), jobs.here()
    others = (
        Other(has=models.has_brought, forget=models.forget_brought),
        Other(has=trainings.has_own_data, forget=trainings.forget_own_data),
    )
    made = DataShelf(trainings.root / "data", others=others)
    made.expect({*models.kept, *trainings.owners()})
    return made


@dataclass(frozen=True)
class Pair:
    """Models that were kept or brought together: their folders lie in one, and they go on from there together."""

    name: str
    folders: tuple[Path, ...]
    entries: tuple[catalogue.Entry, ...]
    uploaded: bool = False

    @property
    def is_brought(self) -> bool:
        """Whether they were uploaded, or show items of a data set that was."""
        return self.uploaded or any(entry.card.dataset not in data.NAMES for entry in self.entries)

    @property
    def is_onnx(self) -> bool:
        """Whether they were brought as ONNX: there is nothing to train on with, and no zip of them."""
        return any(entry.card.arch == checkpoints.ONNX for entry in self.entries)

    @property
    def can_go_on(self) -> bool:
        """Whether there is an AE and a VAE, each with the state of its training."""
        kinds = sorted(entry.card.model for entry in self.entries)
        return kinds == ["ae", "vae"] and all(any(folder.glob("training-*.safetensors")) for folder in self.folders)


class Shelf:
    """The models that visitors keep, each visitor's in a folder of its own, for some weeks.

    What lies in root from a server before is taken over.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kept: dict[str, dict[str, Pair]] = {}
        self.lock = threading.RLock()
        for place in sorted(root.glob("*/*"), key=lambda place: place.stat().st_mtime):
            self._take_over(place)

    def _take_over(self, place: Path) -> None:
        """The pair in a folder of an earlier server; one that was not copied to its end, or is old, is removed.

        One that cannot be read now stays where it is, since a disk may be well again tomorrow, and a newer version read
        it; unless it was uploaded, of which the visitor has a copy, and nobody else is to.
        """
        record_file, record = place / RECORD, dict[str, Any]()
        try:
            if not record_file.exists() or age(record_file) > KEPT_S:
                shutil.rmtree(place, ignore_errors=True)
                return
            record = read_record(record_file, what="a kept pair", known_format=FORMAT, max_bytes=MAX_RECORD_BYTES)
            folders = tuple(place / name for name in record["models"])
            entries = tuple(map(catalogue.read_both_halves, folders))
            pair = Pair(place.name, folders, entries, record["uploaded"])
            self.kept.setdefault(record["visitor"], {})[place.name] = pair
        except (OSError, DamagedFile, KeyError, TypeError) as error:
            if record.get("uploaded"):
                shutil.rmtree(place, ignore_errors=True)
            logs.warn(f"A kept pair is left out, {logs.named(place.name)}: {public(str(error))}.")

    def pairs(self, visitor: str) -> dict[str, Pair]:
        """By name, what a visitor has kept."""
        return self.kept.get(visitor, {})

    def of(self, visitor: str) -> tuple[catalogue.Entry, ...]:
        """All the visitor's models."""
        return tuple(entry for pair in self.pairs(visitor).values() for entry in pair.entries)

    def keep(self, visitor: str, folders: list[Path], *, name: str, uploaded: bool = False) -> list[str]:
        """Copy models to the visitor's shelf as "<name>-ae" and "<name>-vae". Returns their names.

        uploaded: they came as files, and go when the visitor does.
        Raises ValueError for a name that is taken or cannot be one, a full shelf or disk, a server that takes no files.
        """
        if uploaded:
            demo.check_upload()
        if not PAIR_NAME.fullmatch(name):
            raise ValueError(f"A name is 1 to 40 letters, digits, dots or dashes, such as my-first, got {name[:60]!r}")
        cards = [checkpoints.read_card(folder) for folder in folders]
        names = [f"{name}-{card.model}" for card in cards]
        if len(set(names)) < len(names):
            names = [f"{name}-{number}" for number in range(1, len(cards) + 1)]
        check_room(self.root.parent)
        with self.lock:
            taken = {entry.card.name for entry in (*catalogue.shipped().entries, *self.of(visitor))}
            place = self.root / folder_of(visitor) / name
            if place.exists() or taken & set(names):
                raise ValueError(f"There is a model called {name} already: choose another name")
            if len(self.of(visitor)) + len(names) > MAX_KEPT:
                raise ValueError(f"At most {MAX_KEPT} models can be kept at a time: remove one first")
            targets = tuple(place / one for one in names)
            try:
                for folder, target in zip(folders, targets):
                    copy_as(folder, target)
                entries = tuple(map(catalogue.read_both_halves, targets))
                write_own(place, visitor, models=names, uploaded=uploaded)
            except BaseException as error:
                shutil.rmtree(place, ignore_errors=True)
                if isinstance(error, OSError):
                    raise ValueError(unwritten(error, then="keep it again")) from error
                raise
            self.kept.setdefault(visitor, {})[name] = Pair(name, targets, entries, uploaded)
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
            self.kept[visitor][name] = replace(pair, entries=entries)

    def has_brought(self, visitor: str) -> bool:
        """Whether something of what the visitor uploaded is here, or was made from it."""
        return any(pair.is_brought for pair in self.pairs(visitor).values())

    def forget_brought(self, visitor: str) -> None:
        """Remove what the visitor uploaded, and what was made from it."""
        for name in [pair.name for pair in self.pairs(visitor).values() if pair.is_brought]:
            self.remove(visitor, name)

    def remove(self, visitor: str, name: str) -> None:
        with self.lock:
            pair = self.kept.get(visitor, {}).pop(name, None)
        if pair:
            shutil.rmtree(pair.folders[0].parent, ignore_errors=True)


@dataclass(frozen=True)
class OwnSet:
    """A data set on a visitor's shelf: as explorer.own_data saved it in folder, which holds bytes in all."""

    name: str
    title: str
    folder: Path
    image_shape: tuple[int, int, int]
    n_train: int
    n_test: int
    bytes: int

    @classmethod
    def of(cls, folder: Path) -> OwnSet:
        """Raises DamagedFile if there is no data set in folder."""
        about, shapes = own_data.read_about(folder), own_data.read_shapes(folder)
        n_train, channels, height, width = shapes["x_train"]
        n_test = shapes["x_test"][0]
        size = sum(file.stat().st_size for file in folder.iterdir())
        return cls(folder.name, about["title"], folder, (channels, height, width), n_train, n_test, size)


@dataclass(frozen=True)
class Other:
    """Where else lies what visitors brought: whether a visitor has something there, and how to remove it."""

    has: Callable[[str], bool]
    forget: Callable[[str], None]


class DataShelf:
    """The data sets that visitors bring, each visitor's in a folder of its own, gone a while after their last page.

    others: what goes with them.
    """

    def __init__(self, root: Path, *, gone_s: float = GONE_S, others: tuple[Other, ...] = ()) -> None:
        self.root = root
        self.gone_s = gone_s
        self.others = others
        self.kept: dict[str, dict[str, OwnSet]] = {}
        self.pages: Counter[str] = Counter()
        self.leaving: dict[str, threading.Timer] = {}
        self.lock = threading.RLock()
        for folder in root.glob("*"):
            self._take_over(folder)
        self.expect(self.kept)

    def _take_over(self, folder: Path) -> None:
        """The data sets in a visitor's folder of an earlier server; what was only looked at is removed."""
        for place in folder.glob(f"{NEW}*"):
            shutil.rmtree(place, ignore_errors=True)
        try:
            record = read_record(folder / RECORD, what="a visitor", known_format=FORMAT, max_bytes=MAX_RECORD_BYTES)
            there = self.kept.setdefault(record["visitor"], {})
        except (DamagedFile, KeyError, TypeError):
            shutil.rmtree(folder, ignore_errors=True)
            return
        for place in sorted(folder.glob(f"{own_data.PREFIX}*"), key=lambda place: place.stat().st_mtime):
            try:
                there[place.name] = OwnSet.of(place)
            except (DamagedFile, OSError):
                shutil.rmtree(place, ignore_errors=True)

    def expect(self, visitors: Iterable[str]) -> None:
        """Visitors of an earlier server: what they brought goes, unless a page of theirs comes back in time."""
        with self.lock:
            for visitor in visitors:
                self._mind(visitor)

    def sets(self, visitor: str) -> dict[str, Path]:
        """By name, the folders of the visitor's data sets."""
        return {one.name: one.folder for one in self.of(visitor)}

    def of(self, visitor: str) -> tuple[OwnSet, ...]:
        """The visitor's data sets, in the order they came."""
        with self.lock:
            return tuple(self.kept.get(visitor, {}).values())

    def place(self, visitor: str) -> Path:
        """A new empty folder among the visitor's own, for what is being read.

        Raises ValueError for nobody, on a server that takes no files, and on one whose disk is nearly full.
        """
        demo.check_upload()
        if not visitor:
            raise ValueError(
                "A data set needs a cookie, so that nobody else sees it: allow cookies and reload the page"
            )
        check_room(self.root.parent)
        own = self.root / folder_of(visitor)
        folder = own / f"{NEW}{time.monotonic_ns():020}-{secrets.token_urlsafe(16)}"
        with self.lock:
            there = sorted(own.glob(f"{NEW}*"))  # by age
            for place in there[: max(0, len(there) - MAX_PLACES + 1)]:
                shutil.rmtree(place, ignore_errors=True)
            try:
                folder.mkdir(parents=True)
                write_own(own, visitor)
            except OSError as error:
                raise ValueError(unwritten(error, then="keep it again")) from error
            self._mind(visitor)
        return folder

    def keep(self, visitor: str, folder: Path, *, name: str) -> OwnSet:
        """Move the data set of this name from a place of the visitor's to the shelf; one that is there stays as it is.

        Raises ValueError for a full shelf or a folder without a data set; the folder is then as it was.
        """
        if not own_data.NAME.fullmatch(name):
            raise ValueError(f"A data set's name is {own_data.PREFIX} and 12 hexadecimal digits, got {name[:60]!r}")
        size = OwnSet.of(folder).bytes
        with self.lock:
            there = self.kept.setdefault(visitor, {})
            if name in there:
                shutil.rmtree(folder, ignore_errors=True)
                return there[name]
            if len(there) >= MAX_SETS:
                raise ValueError(f"At most {MAX_SETS} data sets can be kept at a time: remove one first")
            if size + sum(one.bytes for one in there.values()) > MAX_SET_BYTES:
                allowed = f"{MAX_SET_BYTES / 1e6:,.0f} MB"
                raise ValueError(f"Your data sets may take {allowed} in all, this one needs {size / 1e6:,.0f} more")
            target = folder.rename(self.root / folder_of(visitor) / name)
            there[name] = OwnSet.of(target)
            self._mind(visitor)
            return there[name]

    def remove(self, visitor: str, name: str) -> None:
        with self.lock:
            one = self.kept.get(visitor, {}).pop(name, None)
        if one:
            shutil.rmtree(one.folder, ignore_errors=True)

    @contextlib.contextmanager
    def present(self, visitor: str) -> Iterator[None]:
        """While this lasts, a page of the visitor's is open."""
        with self.lock:
            self.pages[visitor] += 1
            self._mind(visitor)
        try:
            yield
        finally:
            with self.lock:
                self.pages[visitor] -= 1
                self.pages += Counter()  # without those that are at nought
                self._mind(visitor)

    def _mind(self, visitor: str) -> None:
        """Forget a visitor who has something here and no page open, after a while, unless they come back."""
        timer = self.leaving.pop(visitor, None)
        if timer:
            timer.cancel()
        has = (self.root / folder_of(visitor)).exists() or any(other.has(visitor) for other in self.others)
        if has and not self.pages[visitor]:
            timer = self.leaving[visitor] = threading.Timer(self.gone_s, self._forget, [visitor])
            timer.daemon = True
            timer.start()

    def _forget(self, visitor: str) -> None:
        with self.lock:
            if not self.pages[visitor]:
                self.leaving.pop(visitor, None)
                self.kept.pop(visitor, None)
                shutil.rmtree(self.root / folder_of(visitor), ignore_errors=True)
                for other in self.others:
                    other.forget(visitor)


def folder_of(visitor: str) -> str:
    """The name of the visitor's own folder, from which nobody can tell the visitor's name."""
    return hashlib.sha256(visitor.encode()).hexdigest()[:32]


def write_own(folder: Path, visitor: str, **more: Any) -> None:
    """Say in a folder whose it is, for the next server: the folder's name does not tell."""
    write_record(folder / RECORD, {"format": FORMAT, "visitor": visitor, **more}, indent=None)


def copy_as(folder: Path, target: Path) -> None:
    """A copy of a model under its new folder's name, whole or not there."""
    kept = [file for file in folder.iterdir() if not file.name.startswith((".", "moment-", "images.safetensors"))]
    copy_whole(kept, target)
    card = replace(checkpoints.read_card(target), name=target.name)
    write_record(target / checkpoints.CARD, asdict(card))
