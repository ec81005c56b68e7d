"""The people of bench/load.py at the real app: they speak as browsers do, and what they had goes when they went."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

from launch import Server, serve
from people import Person, Trouble, Visit, person

KEPT_FOR_RETURN = 128  # sessions that Streamlit keeps when they are closed: runtime/memory_session_storage.py
FILES_A_SESSION = 3  # that the event loop of each has open


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as started:
        yield started


def shown(one: Person) -> dict[str, int]:
    """How many elements of each kind a page has."""
    kinds = [element.WhichOneof("type") for element in one.elements.values()]
    return {kind: kinds.count(kind) for kind in kinds}


def test_a_person_opens_explore_and_measure_and_gets_what_they_are_for(server: Server) -> None:
    async def live() -> None:
        async with person(server.url) as one:
            await one.open("/", visit=Visit())
            assert set(one.pages) == {"", "train", "measure", "learn", "labs", "yours"}
            (stage,) = one.those("bidi_component")
            names = [model["name"] for model in json.loads(stage.json)["catalogue"]["models"]]
            assert {"mnist-ae-2", "mnist-vae-2"} <= set(names)
            assert one.references == 0

            await one.go("measure")
            assert shown(one)["dataframe"] == 4
            assert shown(one)["plotly_chart"] >= 8
            assert "imgs" not in shown(one)
            await one.pick(0)
            assert shown(one)["imgs"] == 2, "a row shows what it was computed from, of both models"

            await one.go("train")
            (before,) = (text.body for text in one.those("markdown") if "weights in the AE" in text.body)
            await one.slide(7)
            (after,) = (text.body for text in one.those("markdown") if "weights in the AE" in text.body)
            assert before != after, "more dimensions, more weights"

    asyncio.run(live())


def test_what_a_browser_has_kept_is_not_sent_again(server: Server) -> None:
    async def live() -> None:
        async with person(server.url) as one:
            await one.open()
            first = one.those("bidi_component")
            await one.go("train")
            await one.go("")
            assert one.references == 1
            assert one.those("bidi_component") == first
            for name in ("train", "learn", "train", ""):
                await one.go(name)
            assert one.references == 1, "too old to be kept, so it came whole"

    asyncio.run(live())


def test_what_a_session_had_goes_when_it_is_given_up(server: Server) -> None:
    def open_files() -> int:
        return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))

    async def live() -> None:
        async with person(server.url) as one:
            await one.open("/measure")
            await one.pick(0)
            (picture, *_) = (image.url for images in one.those("imgs") for image in images.imgs)
            assert await one.get(picture) > 1000
        async with person(server.url) as other:
            for _ in range(KEPT_FOR_RETURN):
                async with person(server.url) as passing:
                    await passing.open("/learn")
            with pytest.raises(Trouble, match="404"):
                await other.get(picture)
            there = open_files()
            for _ in range(20):
                async with person(server.url) as passing:
                    await passing.open("/learn")
            assert open_files() < there + FILES_A_SESSION * 5, "those who left take nothing with those who come"

    asyncio.run(live())


def test_an_error_is_told_as_one(server: Server) -> None:
    async def live() -> None:
        async with person(server.url) as one:
            await one.open()
            with pytest.raises(Trouble, match="no page 'nothing'"):
                await one.go("nothing")
            with pytest.raises(Trouble, match="never sent"):
                one.looked_up(ForwardMsg(ref_hash="0" * 32))
            with pytest.raises(Trouble, match="404"):
                await one.get(f"/atlas/{'0' * 64}")

    asyncio.run(live())
