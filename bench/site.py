"""How many loads of the static site's start page a second nginx serves on this machine's loopback.

Run: python bench/site.py

A load is a connection of its own on which all files are asked for at once, each answer counted to its last byte; a
first visit fetches what a browser was seen to fetch, a later one the page alone, since the rest is kept. Client and
server share the cores. The peers, in the same run: one file of as many bytes from the same nginx, and as many bytes
from a process that does nothing but send them, which is what the loopback gives. Goal: 1,000 loads a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import re
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from common import Row, browser, show, show_machine
from get_nginx import MISSING
from get_nginx import find as find_nginx
from launch import ROOT, nginx

from explorer import catalogue, data, site

CLIENTS, WORKERS, SECONDS = 4, 2, 5.0
GOAL_MS = 1.0  # 1,000 loads a second
BLOCK = 1 << 20
DROP = getattr(socket, "MSG_TRUNC", 0)  # on Linux: count what came, without copying it
AT_ONCE = struct.pack("ii", 1, 0)  # close without waiting, so that ports are free again
Address = tuple[str, int]


def settings(root: Path) -> str:
    """Those of docs/hosting.md, for the site at root/latent."""
    text = (ROOT / "docs" / "hosting.md").read_text()
    (found,) = re.findall(r"```nginx\n(server \{\n    listen 80;\n    root /srv/www;.*?)```", text, re.DOTALL)
    return str(found).replace("listen 80;", "listen 127.0.0.1:PORT backlog=4096;").replace("/srv/www", str(root))


async def fetched_by_a_browser(address: str) -> list[str]:
    """The paths that a first visit asks for, until both maps answer and the images are here."""
    paths: list[str] = []
    async with browser() as context:
        page = context.pages[0]
        page.on("request", lambda asked: paths.append(urlsplit(asked.url).path))
        await page.goto(address)
        await page.locator('[data-ready="true"]').wait_for()
        await page.wait_for_load_state("networkidle")
    return [path for path in paths if path.startswith("/latent/")]


def asking(paths: Sequence[str]) -> bytes:
    """One request after the other, as a browser sends them but for what it says of itself."""
    head = "Host: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
    return "".join(f"GET {path} HTTP/1.1\r\n{head}" for path in paths).encode()


def size_of(address: Address, paths: Sequence[str]) -> int:
    """The bytes of all answers, heads and contents. Each must be there."""
    received = b""
    with socket.create_connection(address) as connection, contextlib.suppress(TimeoutError):
        connection.settimeout(2)
        connection.sendall(asking(paths))
        while block := connection.recv(BLOCK):
            received += block
    came = received.count(b"HTTP/1.1 200 OK\r\n")
    if came != len(paths):
        sys.exit(f"{len(paths)} files were asked for, {came} came")
    return len(received)


def loads(address: Address, ask: bytes, size: int, start: float, results: multiprocessing.Queue[int]) -> None:
    """Load after load from start on; how many were whole in SECONDS."""
    count, waste = 0, bytearray(BLOCK)
    time.sleep(max(0.0, start - time.monotonic()))
    while time.monotonic() < start + SECONDS:
        with socket.create_connection(address) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            connection.sendall(ask)
            left = size
            while left > 0:
                got = connection.recv_into(waste, min(left, BLOCK), DROP)
                if not got:
                    sys.exit(f"An answer ended {left} bytes too soon")
                left -= got
            count += 1
    results.put(count)


def ms_a_load(address: Address, ask: bytes, size: int) -> float:
    """Wall time of one load with CLIENTS of them going on at once."""
    results: multiprocessing.Queue[int] = multiprocessing.Queue()
    given = (address, ask, size, time.monotonic() + 0.5, results)
    clients = [multiprocessing.Process(target=loads, args=given) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    total = sum(results.get(timeout=SECONDS + 60) for _ in clients)
    for client in clients:
        client.join()
    return 1000 * SECONDS / total


@contextlib.contextmanager
def sender(path: Path) -> Iterator[Address]:
    """Processes, as many as nginx has, that send the file to whoever connects, without a word about it."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
        processes = [multiprocessing.Process(target=send, args=(server, path), daemon=True) for _ in range(WORKERS)]
        for process in processes:
            process.start()
        try:
            yield server.getsockname()
        finally:
            for process in processes:
                process.kill()
                process.join()


def send(server: socket.socket, path: Path) -> None:
    with path.open("rb") as file:
        size = path.stat().st_size
        while True:
            connection, _ = server.accept()
            with connection, contextlib.suppress(ConnectionError):
                sent = 0
                while sent < size:
                    sent += os.sendfile(connection.fileno(), file.fileno(), sent, size - sent)


def measure(what: str, address: Address, paths: Sequence[str], *, root: Path, goal: float | None) -> list[Row]:
    """A load of these paths, beside one file of as many bytes from the same server, and beside these bytes alone."""
    size = size_of(address, paths)
    same = root / "same"
    same.write_bytes(os.urandom(size))
    one = ms_a_load(address, asking(["/same"]), size_of(address, ["/same"]))
    with sender(same) as bare:
        floor = ms_a_load(bare, b"", size)
    load = ms_a_load(address, asking(paths), size)
    told = f"{what}: {len(paths)} files, {size / 1e6:.2f} MB"
    return [
        Row(f"{told}; peer: loopback", load, "ms", goal, floor),
        Row(f"{told}; peer: one file", load, "ms", None, one),
    ]


async def main() -> None:
    program = find_nginx() or sys.exit(MISSING)
    show_machine()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        site.write(root / "latent", models=catalogue.shipped(), titles=data.titles())
        with nginx(program, settings(root), workers=WORKERS) as server:
            address = ("127.0.0.1", urlsplit(server.url).port or 0)
            first = await fetched_by_a_browser(f"{server.url}/latent/")
            rows = measure("later visit", address, first[:1], root=root, goal=GOAL_MS)
            rows += measure("first visit", address, first, root=root, goal=GOAL_MS)
    show(f"The site's start page, wall time a load with {CLIENTS} at once", rows)
    for row in rows[::2]:
        seen, floor = 1000 / row.figure, 1000 / (row.peer or 1)
        print(f"  {row.what.split(';')[0]}: {seen:,.0f} loads a second; the loopback gives {floor:,.0f}")


if __name__ == "__main__":
    asyncio.run(main())
