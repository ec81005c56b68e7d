"""People at an app, without their browsers: what a browser fetches, and Streamlit's own messages over its websocket.

The messages are Streamlit's protobuf ones: BackMsg up, ForwardMsg down, one a frame. As its frontend does, a person
keeps messages that are marked as cacheable, tells their hashes with each rerun, takes a reference to one for the
message itself, and forgets it when as many reruns as the server says went by without it. Of its widgets a person tells
those that were touched. What a page fetches is not guessed: a real browser makes the visits once (see recorded), and
each person repeats them, six connections at a time.
Sources: streamlit/proto/*.proto; streamlit/runtime/forward_msg_cache.py; WebsocketConnection of its frontend, 1.67.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from yarl import URL

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

CONNECTIONS = 6  # to one host, as browsers have it with HTTP/1.1
STREAM, HEALTH, HOST_CONFIG = "_stcore/stream", "_stcore/health", "_stcore/host-config"
XSRF = "_streamlit_xsrf"
DONE = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)
PATIENCE_S = 60.0
QUIET_MS = 1500


class Trouble(Exception):
    """What a person would have seen as an error: an answer that is none, a script that failed, a lost connection."""


@dataclass(frozen=True)
class Visit:
    """What a browser asks for when a page is opened, as paths: before it opens the websocket, and after."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def requests(self) -> int:
        return len(self.before) + len(self.after) + 3  # the page itself, health, host configuration


@dataclass
class Person:
    """One browser tab. url: of the app, without a slash at the end; elements: what its page shows, by place."""

    url: str
    http: aiohttp.ClientSession
    kept: dict[str, tuple[ForwardMsg, int]] = field(default_factory=dict)
    widgets: dict[str, WidgetState] = field(default_factory=dict)
    elements: dict[tuple[int, ...], Element] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    page: str = ""
    query: str = ""
    path: str = "/"
    session: str = ""
    runs: int = 0
    keep_runs: int = 2
    references: int = 0
    stream: aiohttp.ClientWebSocketResponse | None = None

    # --- coming and going -------------------------------------------------------------------------------------------

    async def open(self, path: str = "/", *, visit: Visit | None = None) -> tuple[float, float]:
        """Open a page as a browser does. Seconds until its script has finished, and until all files are there too.

        visit: what else is fetched; None for the page's messages alone.
        """
        self.path = path
        start = time.perf_counter()
        if visit is None:
            visit = Visit()
        else:
            await self.get(path, accept="text/html")
            await self.fetch(visit.before)
            await self.fetch((f"/{HEALTH}", f"/{HOST_CONFIG}"))
        rest = asyncio.create_task(self.fetch(visit.after))
        try:
            await self.connect()
            await self.rerun(page_name=path.strip("/"))
            finished = time.perf_counter() - start
        finally:
            await rest
        return finished, time.perf_counter() - start

    async def connect(self) -> None:
        cookies = self.http.cookie_jar.filter_cookies(URL(self.url))
        token = cookies[XSRF].value if XSRF in cookies else "PLACEHOLDER_AUTH_TOKEN"
        self.stream = await self.http.ws_connect(
            f"{self.url}/{STREAM}", protocols=("streamlit", token), origin=str(URL(self.url).origin()), max_msg_size=0
        )

    async def leave(self) -> None:
        if self.stream is not None:
            await self.stream.close()

    # --- what is asked of the script --------------------------------------------------------------------------------

    async def rerun(self, *, page_name: str = "", fragment: str = "") -> float:
        """Run the script with the widgets as they are. Seconds until it has finished."""
        message = BackMsg()
        asked = message.rerun_script
        asked.widget_states.widgets.extend(self.widgets.values())
        asked.page_script_hash, asked.page_name, asked.query_string = self.page, page_name, self.query
        asked.fragment_id = fragment
        asked.cached_message_hashes.extend(self.kept)
        about = asked.context_info
        about.url, about.timezone, about.locale, about.color_scheme = self.url + self.path, "UTC", "en-US", "light"
        about.is_embedded, about.timezone_offset = False, 0
        assert self.stream is not None
        start = time.perf_counter()
        await self.stream.send_bytes(message.SerializeToString())
        media = await self.listen()
        taken = time.perf_counter() - start
        for widget in self.widgets.copy().values():
            if widget.WhichOneof("value") == "trigger_value":  # a click is over when it was told
                del self.widgets[widget.id]
        await self.fetch(media)
        return taken

    async def go(self, name: str) -> float:
        """Choose another page from the menu by its path ("" for the first). Seconds until it is there."""
        if name not in self.pages:
            raise Trouble(f"there is no page {name!r}, but {sorted(self.pages)}")
        self.page, self.path, self.query, self.widgets = self.pages[name], f"/{name}", "", {}
        return await self.rerun()

    async def slide(self, value: float, *, index: int = 0) -> float:
        """Release a slider of the page at a value."""
        self.widget(self.those("slider")[index].id).double_array_value.data[:] = [value]
        return await self.rerun()

    async def press(self, label: str) -> float:
        """Press the button of this label."""
        self.widget(next(one.id for one in self.those("button") if one.label == label)).trigger_value = True
        return await self.rerun()

    async def pick(self, row: int, *, index: int = 0) -> float:
        """Click a row of a table whose rows can be chosen."""
        tables = [one for one in self.those("dataframe") if one.id]
        self.widget(tables[index].id).string_value = f'{{"selection":{{"rows":[{row}],"columns":[],"cells":[]}}}}'
        return await self.rerun()

    def widget(self, name: str) -> WidgetState:
        self.widgets[name] = WidgetState(id=name)
        return self.widgets[name]

    def those(self, kind: str) -> list[Any]:
        """All that the page shows of a kind of element, in its order: slider, button, dataframe, ..."""
        return [getattr(one, kind) for _, one in sorted(self.elements.items()) if one.WhichOneof("type") == kind]

    # --- what comes back --------------------------------------------------------------------------------------------

    async def listen(self) -> set[str]:
        """Take messages until the script has finished. Returns the media files that its elements show."""
        media: set[str] = set()
        fresh: dict[tuple[int, ...], Element] = {}
        while True:
            message = await self.receive()
            kind = message.WhichOneof("type")
            if kind == "ref_hash":
                message, kind = self.looked_up(message), "delta"
            elif message.metadata.cacheable:
                self.kept[message.hash] = (message, self.runs)
            if kind == "new_session":
                self.keep_runs = message.new_session.config.max_cached_message_age or self.keep_runs
                self.page = message.new_session.page_script_hash
                self.session = message.new_session.initialize.session_id
            elif kind == "navigation":
                self.pages = {
                    "" if one.is_default else one.url_pathname: one.page_script_hash
                    for one in message.navigation.app_pages
                }
                self.page = message.navigation.page_script_hash
            elif kind == "page_info_changed":
                self.query = message.page_info_changed.query_string
            elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                element = message.delta.new_element
                if element.WhichOneof("type") == "exception":
                    raise Trouble(f"the script failed: {element.exception.type}")
                fresh[tuple(message.metadata.delta_path)] = element
                media.update(media_of(element))
            elif kind == "script_finished" and message.script_finished in DONE:
                whole = message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
                self.elements = fresh if whole else {**self.elements, **fresh}
                self.forget_old()
                return media

    async def receive(self) -> ForwardMsg:
        assert self.stream is not None
        frame = await asyncio.wait_for(self.stream.receive(), PATIENCE_S)
        if frame.type is not aiohttp.WSMsgType.BINARY:
            raise Trouble(f"the connection ended ({frame.type.name}, {self.stream.close_code})")
        message = ForwardMsg()
        message.ParseFromString(frame.data)
        return message

    def looked_up(self, reference: ForwardMsg) -> ForwardMsg:
        """The kept message that a reference stands for, at the reference's place."""
        if reference.ref_hash not in self.kept:
            raise Trouble("a message that was never sent is referred to")
        self.references += 1
        known, _ = self.kept[reference.ref_hash]
        self.kept[reference.ref_hash] = (known, self.runs)
        found = ForwardMsg()
        found.CopyFrom(known)
        found.metadata.CopyFrom(reference.metadata)
        return found

    def forget_old(self) -> None:
        self.runs += 1
        self.kept = {
            name: (message, used) for name, (message, used) in self.kept.items() if self.runs - used <= self.keep_runs
        }

    # --- files --------------------------------------------------------------------------------------------------------

    async def get(self, path: str, *, accept: str = "*/*") -> int:
        """How many bytes came, packed as they were sent."""
        headers = {"Accept": accept, "Accept-Encoding": "gzip, deflate"}
        async with self.http.get(f"{self.url}{path}", headers=headers) as answer:
            size = len(await answer.read())
            if answer.status != 200:
                raise Trouble(f"{path.split('?')[0]} answers {answer.status}")
            return size

    async def fetch(self, paths: Iterable[str]) -> None:
        await asyncio.gather(*map(self.get, paths))


def media_of(element: Element) -> list[str]:
    """The files that a browser fetches at once to show an element."""
    kind = element.WhichOneof("type")
    shown = [one.url for one in element.imgs.imgs] if kind == "imgs" else []
    offered = [element.download_button.url] if kind == "download_button" else []
    return [url for url in (*shown, *offered) if url.startswith("/media/")]


@contextlib.asynccontextmanager
async def person(url: str) -> AsyncIterator[Person]:
    """A person with an empty browser. Everything of theirs is closed with the block."""
    connector = aiohttp.TCPConnector(limit_per_host=CONNECTIONS)
    # Addresses in place of names have cookies too: the apps under test have no others.
    jar = aiohttp.CookieJar(unsafe=True)
    wait = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, timeout=wait, auto_decompress=False) as http:
        one = Person(url, http)
        try:
            yield one
        finally:
            await one.leave()


class Troubles(Counter[str]):
    """What went wrong, counted by what it was. One person's trouble does not end the others' visits."""

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        try:
            yield
        except (Trouble, aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            self[f"{type(error).__name__}: {error}"[:120]] += 1


async def recorded(context: BrowserContext, url: str) -> Visit:
    """What the browser fetches over the wire when it opens an app's first page, without what it kept from earlier."""
    page = await context.new_page()
    network = await context.new_cdp_session(page)
    addresses: dict[str, str] = {}
    kept: set[str] = set()
    before: list[str] = []

    def asked(event: dict[str, Any]) -> None:
        addresses[event["requestId"]] = path_of(event)

    def answered(event: dict[str, Any]) -> None:
        if event["response"].get("fromDiskCache"):
            kept.add(event["requestId"])

    network.on("Network.requestWillBeSent", asked)
    network.on("Network.responseReceived", answered)
    network.on("Network.requestServedFromCache", lambda event: kept.update([event["requestId"]]))
    network.on("Network.webSocketCreated", lambda event: before.extend(addresses))
    await network.send("Network.enable")
    await page.goto(url)
    await page.wait_for_load_state("networkidle")
    await page.wait_for_timeout(QUIET_MS)
    await page.close()
    known = {"/", f"/{HEALTH}", f"/{HOST_CONFIG}", ""}  # each person asks for these anyway; "" is not of the server
    wanted = [name for name, path in addresses.items() if name not in kept and path not in known]
    early = set(before)
    return Visit(
        before=tuple(addresses[name] for name in wanted if name in early),
        after=tuple(addresses[name] for name in wanted if name not in early),
    )


def path_of(event: dict[str, Any]) -> str:
    """The path and query of what is asked for; "" for what no server is asked for."""
    address = urlsplit(event["request"]["url"])
    return address._replace(scheme="", netloc="").geturl() if address.scheme in ("http", "https") else ""
