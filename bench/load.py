"""How many people one server takes: their pages, their reruns, its memory, beside an empty Streamlit app.

Run: python bench/load.py [--people 100] [--sessions 1000]          (at most seven minutes; nginx for the last table)

This process is the people (see people.py); each server has a process of its own. What a page fetches was recorded from
a real browser in the same run: the first visit, and the second, for which it has kept what it may. The peer is
peers/empty_app.py, three widgets: the floor of the platform, under the same load in the same run. A second peer is the
same with this app's own settings of Streamlit, which is a lower floor than the platform's.

- Arriving: so many people open Explore within ten seconds. A page counts until its script has finished, from the asking
  for its HTML; "all files" until everything that the browser fetches is there, of Explore the atlases too.
- At work: each has one interaction with the server every 20 s, as in a class where the stage does the rest in the
  browser: another page, a row of Measure's tables, a slider of Train. The empty app's is its slider.
- Opened and closed: visitors with a name of their own who open Explore, every fifth one more page. Streamlit keeps the
  last 128 sessions for two minutes, in case they come back, so the first ones cost and the later ones must not: the
  rise counts from the middle to the end.
- Two trainings: ten people at work while two pairs, four processes, train.
- Two processes: behind nginx as deploy/nginx.conf has it, each person at one of them; sixteen people go to and fro
  between Explore and Learn as fast as they are answered. What is possible is bounded by the cores, of which these
  people and nginx need some too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import os
import random
import re
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from common import Row, browser, p, show, show_machine
from get_nginx import MISSING, find
from launch import APP, Server, nginx, serve, sticky
from people import Person, Troubles, Visit, person, recorded

from explorer.server import take_many

EMPTY = (sys.executable, "-m", "streamlit", "run", "empty_app.py", "--server.port", "{port}")
PEERS = Path(__file__).parent / "peers"
ARRIVE_S, EVERY_S, WORK_S, HURRY_S, CHURN_S = 10.0, 20.0, 30.0, 8.0, 75.0
FEW, HURRIED, AT_ONCE = 10, 16, 8
PAGE_TIMES, RERUN_MS, SESSION_MB, RISE_MB = 1.3, 500.0, 5.0, 8.0
OTHERS = ("", "measure", "train", "learn", "labs", "yours")

Act = Callable[[Person, random.Random], Awaitable[tuple[str, float]]]


@dataclass
class Found:
    """What people of one app met; times in seconds, memory in MB."""

    pages: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    reruns: dict[str, list[float]] = field(default_factory=dict)
    session_mb: float = 0.0
    rise_mb: float = 0.0
    sessions: int = 0
    troubles: Troubles = field(default_factory=Troubles)

    @property
    def all_reruns(self) -> list[float]:
        return [one for some in self.reruns.values() for one in some]


# --- what people do ---------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def crowd(
    url: str, n: int, visit: Visit, troubles: Troubles, *, within_s: float = ARRIVE_S
) -> AsyncIterator[tuple[list[Person], list[tuple[float, float]]]]:
    """n people who open the page one after another, all within some seconds; they stay as long as the block lasts."""
    async with contextlib.AsyncExitStack() as stack:
        there: list[Person] = []
        times: list[tuple[float, float]] = []

        async def come(number: int) -> None:
            await asyncio.sleep(number * within_s / n)
            with troubles.caught():
                one = await stack.enter_async_context(person(url))
                times.append(await one.open(visit=visit))
                there.append(one)

        await asyncio.gather(*map(come, range(n)))
        yield there, times


async def work(
    people: list[Person], act: Act, troubles: Troubles, *, every_s: float, last_s: float
) -> dict[str, list[float]]:
    """Each person acts every so many seconds, out of step with the others. By what they did, how long it took."""
    found: dict[str, list[float]] = {}
    end = time.perf_counter() + last_s

    async def live(number: int, one: Person) -> None:
        chance = random.Random(number)
        await asyncio.sleep(chance.uniform(0, min(every_s, last_s)))
        while time.perf_counter() < end:
            lost = True
            with troubles.caught():
                what, taken = await act(one, chance)
                found.setdefault(what, []).append(taken)
                lost = False
            if lost:
                return
            await asyncio.sleep(max(0.0, min(every_s - taken, end - time.perf_counter())))

    await asyncio.gather(*(live(number, one) for number, one in enumerate(people)))
    return found


async def as_in_class(one: Person, chance: random.Random) -> tuple[str, float]:
    """What needs the server: another page, a row's examples, a training's settings."""
    if one.path == "/measure" and chance.random() < 0.5:
        return "a row of Measure", await one.pick(chance.randrange(2))
    if one.path == "/train" and chance.random() < 0.5:
        return "a slider of Train", await one.slide(chance.randint(1, 32))
    name = chance.choice([name for name in OTHERS if f"/{name}" != one.path])
    return f"to {name.capitalize() or 'Explore'}", await one.go(name)


async def slides(one: Person, chance: random.Random) -> tuple[str, float]:
    return "a slider", await one.slide(chance.randint(0, 10))


async def to_and_fro(one: Person, chance: random.Random) -> tuple[str, float]:
    return "to and fro", await one.go("" if one.path == "/learn" else "learn")


async def churn(url: str, total: int, pid: int, troubles: Troubles, *, others: tuple[str, ...]) -> tuple[int, float]:
    """Open and close sessions, some at a time. How many there were, and by how many MB the second half grew.

    others: pages of which every fifth opens one more, in turn.
    """
    used: list[float] = []
    numbers = iter(range(total))
    end = time.perf_counter() + CHURN_S

    async def come_and_go() -> None:
        for number in numbers:
            if time.perf_counter() > end:
                return
            with troubles.caught():
                async with person(url) as one:
                    await one.open(visit=Visit())
                    if others and number % 5 == 4:
                        await one.go(others[number // 5 % len(others)])
            used.append(resident_mb(pid))

    await asyncio.gather(*(come_and_go() for _ in range(AT_ONCE)))
    middle = len(used) // 2
    return len(used), mean(used[-20:]) - mean(used[middle : middle + 20])


# --- one app under load -----------------------------------------------------------------------------------------------


async def visits(url: str) -> tuple[Visit, Visit]:
    """The first visit of a browser and its second."""
    async with browser() as context:
        return await recorded(context, url), await recorded(context, url)


async def under_load(server: Server, act: Act, *, people: int, sessions: int, others: tuple[str, ...] = ()) -> Found:
    found = Found()
    first, second = await visits(server.url)
    print(f"  {server.url}: a first visit is {first.requests} requests, a second {second.requests}", flush=True)
    async with person(server.url) as one:  # the first of all pays for imports
        await one.open(visit=first)
        await work([one], act, found.troubles, every_s=0.0, last_s=4.0)
    before = resident_mb(server.pid)
    async with crowd(server.url, people, first, found.troubles) as (there, times):
        found.pages, found.whole = [finished for finished, _ in times], [whole for _, whole in times]
        found.reruns = await work(there, act, found.troubles, every_s=EVERY_S, last_s=WORK_S)
        found.session_mb = (resident_mb(server.pid) - before) / max(len(there), 1)
    async with crowd(server.url, people, second, found.troubles) as (_, times):
        found.again = [finished for finished, _ in times]
    if sessions:
        found.sessions, found.rise_mb = await churn(server.url, sessions, server.pid, found.troubles, others=others)
    return found


def table(ours: Found, peer: Found, people: int) -> list[Row]:
    def times(what: str, mine: list[float], theirs: list[float]) -> list[Row]:
        floor = p(theirs, 95) * 1000
        return [
            Row(f"{what}, median", p(mine, 50) * 1000, "ms", None, p(theirs, 50) * 1000),
            Row(f"{what}, p95", p(mine, 95) * 1000, "ms", PAGE_TIMES * floor, floor),
        ]

    by_kind = [Row(f"  {what}, p95", p(some, 95) * 1000, "ms") for what, some in sorted(ours.reruns.items())]
    return [
        Row("troubles that people met", ours.troubles.total(), "", 0, peer.troubles.total()),
        *times(f"{people} arriving, page", ours.pages, peer.pages),
        Row(f"{people} arriving, all files, p95", p(ours.whole, 95) * 1000, "ms", None, p(peer.whole, 95) * 1000),
        *times(f"{people} arriving again, page", ours.again, peer.again),
        Row(
            f"{people} at work, rerun, median", p(ours.all_reruns, 50) * 1000, "ms", None, p(peer.all_reruns, 50) * 1000
        ),
        Row(
            f"{people} at work, rerun, p95",
            p(ours.all_reruns, 95) * 1000,
            "ms",
            RERUN_MS,
            p(peer.all_reruns, 95) * 1000,
        ),
        *by_kind,
        Row("memory a session", ours.session_mb, "MB", SESSION_MB, peer.session_mb),
        Row(f"rise, second half of {ours.sessions:,} sessions", ours.rise_mb, "MB", RISE_MB, peer.rise_mb),
    ]


def beside_the_leanest(ours: Found, leanest: Found, people: int) -> list[Row]:
    """The same figures of ours beside those of an empty app with the same settings."""

    def row(what: str, mine: list[float], theirs: list[float], share: float) -> Row:
        return Row(what, p(mine, share) * 1000, "ms", None, p(theirs, share) * 1000)

    return [
        Row("troubles that people met", ours.troubles.total(), "", 0, leanest.troubles.total()),
        row(f"{people} arriving, page, p95", ours.pages, leanest.pages, 95),
        row(f"{people} arriving again, page, median", ours.again, leanest.again, 50),
        row(f"{people} arriving again, page, p95", ours.again, leanest.again, 95),
        row(f"{people} at work, rerun, median", ours.all_reruns, leanest.all_reruns, 50),
        row(f"{people} at work, rerun, p95", ours.all_reruns, leanest.all_reruns, 95),
    ]


# --- trainings --------------------------------------------------------------------------------------------------------


async def beside_trainings() -> tuple[list[Row], Troubles]:
    """Ten people at work, without and with two pairs in training on the same server."""
    troubles = Troubles()
    with serve(APP, LATENT_EXPLORER_AT_ONCE="2") as server:
        async with crowd(server.url, FEW, Visit(), troubles, within_s=2.0) as (there, _):
            await work(there[:1], as_in_class, troubles, every_s=0.0, last_s=4.0)
            alone = await work(there, as_in_class, troubles, every_s=EVERY_S / 10, last_s=WORK_S / 2)
            async with contextlib.AsyncExitStack() as stack:
                heard = [await stack.enter_async_context(training(server.url, troubles)) for _ in range(2)]
                await asyncio.wait_for(asyncio.gather(*(one.wait() for one in heard)), 90)
                beside = await work(there, as_in_class, troubles, every_s=EVERY_S / 10, last_s=WORK_S / 2)
    quiet, busy = ([one for some in found.values() for one in some] for found in (alone, beside))
    rows = [
        Row("troubles that people met", troubles.total(), "", 0),
        Row(f"{FEW} at work, rerun, median (peer: no training)", p(busy, 50) * 1000, "ms", None, p(quiet, 50) * 1000),
        Row(f"{FEW} at work, rerun, p95 (peer: no training)", p(busy, 95) * 1000, "ms", RERUN_MS, p(quiet, 95) * 1000),
    ]
    return rows, troubles


@contextlib.asynccontextmanager
async def training(url: str, troubles: Troubles) -> AsyncIterator[asyncio.Event]:
    """A person who starts a training that lasts, and follows it. The event is set at its first epoch's news."""
    learning = asyncio.Event()
    async with person(url) as one:
        await one.open("/train", visit=Visit())
        epochs = next(box for box in one.those("number_input") if box.label == "Epochs")
        one.widget(epochs.id).int_value = 200
        await one.press("Start")
        job = re.search(r"job=(\w+)", one.query)
        if job is None:
            raise SystemExit(f"A training could not be started: {[text.body for text in one.those('alert')]}")

        async def follow() -> None:
            with troubles.caught():
                async with one.http.get(f"{url}/jobs/{job[1]}/events", timeout=None) as answer:
                    async for line in answer.content:
                        if b'"epoch"' in line:
                            learning.set()

        task = asyncio.create_task(follow())
        try:
            yield learning
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


# --- two processes ----------------------------------------------------------------------------------------------------

PATH = "explorer"  # as in deploy/nginx.conf


@dataclass(frozen=True)
class Pace:
    """Reruns a second, and the cores that servers and people took for them."""

    reruns: float
    server_cores: float
    people_cores: float


async def pace(url: str, servers: list[Server], troubles: Troubles) -> Pace:
    """How many reruns a second people get who never pause."""
    async with crowd(url, HURRIED, Visit(), troubles, within_s=1.0) as (there, _):
        mine, theirs, start = cpu_s(os.getpid()), sum(cpu_s(one.pid) for one in servers), time.perf_counter()
        found = await work(there, to_and_fro, troubles, every_s=0.0, last_s=HURRY_S)
        taken = time.perf_counter() - start
        counted = sum(map(len, found.values()))
        spent = (sum(cpu_s(one.pid) for one in servers) - theirs, cpu_s(os.getpid()) - mine)
    return Pace(counted / taken, *(one / taken for one in spent))


async def with_processes() -> tuple[list[Row], Troubles]:
    troubles = Troubles()
    program = await asyncio.to_thread(find)
    if program is None:
        print(MISSING)
        return [], troubles
    start = functools.partial(serve, STREAMLIT_SERVER_BASE_URL_PATH=PATH)
    with start() as first, start() as second:
        for one in (first, second):
            await pace(f"{one.url}/{PATH}", [one], troubles)  # the first pays for imports
        with nginx(program, sticky([port_of(first)] * 2)) as front:
            single = await pace(f"{front.url}/{PATH}", [first], troubles)
        with nginx(program, sticky([port_of(first), port_of(second)])) as front:
            double = await pace(f"{front.url}/{PATH}", [first, second], troubles)
    cores = os.cpu_count() or 1
    possible = min(2.0, (cores - double.people_cores) / (single.server_cores or float("nan")))
    rows = [
        Row("troubles that people met", troubles.total(), "", 0),
        Row("reruns a second, one process", single.reruns, "/s"),
        Row("reruns a second, two processes (peer: one)", double.reruns, "/s", None, single.reruns),
        Row(f"times as many as {cores} cores leave room for", possible, ""),
        Row("cores that two processes took (peer: one)", double.server_cores, "", None, single.server_cores),
        Row("cores that their people took (peer: of one)", double.people_cores, "", None, single.people_cores),
    ]
    return rows, troubles


# --- measuring --------------------------------------------------------------------------------------------------------


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def cpu_s(pid: int) -> float:
    """The processor's time that a process has had, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--people", type=int, default=100, help="how many arrive within ten seconds")
    parser.add_argument("--sessions", type=int, default=1000, help="how many are opened and closed")
    options = parser.parse_args()
    take_many()
    show_machine()
    start = time.perf_counter()
    # Without watching files, as ours has it: that costs each page 0.4 s.
    empty = functools.partial(serve, EMPTY, folder=PEERS, STREAMLIT_SERVER_FILE_WATCHER_TYPE="none")
    with serve() as server, empty() as stock:
        peer = await under_load(stock, slides, people=options.people, sessions=options.sessions // 3)
        ours = await under_load(
            server, as_in_class, people=options.people, sessions=options.sessions, others=OTHERS[1:]
        )
        with empty(STREAMLIT_RUNNER_POST_SCRIPT_GC="false") as lean:  # as .streamlit/config.toml has it
            leanest = await under_load(lean, slides, people=options.people, sessions=0)
    tables: dict[str, list[Row]] = {}

    def tell(title: str, rows: list[Row], *met: Troubles) -> None:
        tables[title] = rows
        show(title, rows)
        for text, count in sum(met, Troubles()).most_common(5):
            print(f"    {count} times {text}", flush=True)

    tell("Many people on one server (peer: three widgets)", table(ours, peer, options.people), ours.troubles)
    tell("The same (peer: three widgets, with this app's settings)", beside_the_leanest(ours, leanest, options.people))
    tell("Two trainings beside them", *await beside_trainings())
    tell("Two processes behind nginx", *await with_processes())
    print(f"  {time.perf_counter() - start:.0f} s in all")
    print(json.dumps({title: [asdict(row) for row in rows] for title, rows in tables.items()}))


if __name__ == "__main__":
    asyncio.run(main())
