"""Who is asking, and what each visitor keeps."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import re
import shutil
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from explorer import atlas, checkpoints, own_data, resume
from explorer.visitors import (
    COOKIE,
    HOST_COOKIE,
    KEPT_S,
    MAX_KEPT,
    MAX_PLACES,
    MAX_SETS,
    NAME,
    RECORD,
    DataShelf,
    Other,
    Shelf,
    Visitors,
    folder_of,
    visitor_of,
)
from tests.asgi import get

ANNA, BEN = "A" * 32, "B" * 32


@pytest.fixture
def data_shelf(tmp_path: Path) -> DataShelf:
    """One that waits for a moment only."""
    return DataShelf(tmp_path / "data", gone_s=0.2)


@pytest.fixture
def page(data_shelf: DataShelf) -> Starlette:
    async def html(request: object) -> HTMLResponse:
        return HTMLResponse("<html>")

    async def plain(request: object) -> PlainTextResponse:
        return PlainTextResponse("text")

    async def until_left(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()

    return Starlette(
        routes=[Route("/", html), Route("/plain", plain), WebSocketRoute("/stream", until_left)],
        middleware=[Middleware(Visitors, present=data_shelf.present)],
    )


def test_a_page_gives_a_new_browser_a_name_that_scripts_cannot_read(page: Starlette) -> None:
    cookie = get(page, "/").headers["set-cookie"]
    assert re.fullmatch(rf"{COOKIE}=[\w-]{{32}}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax", cookie)
    assert visitor_of({COOKIE: cookie.split(";")[0].partition("=")[2]})
    assert cookie != get(page, "/").headers["set-cookie"]


def test_over_https_the_name_comes_back_in_a_frame_of_another_site_too(page: Starlette) -> None:
    cookie = get(page, "/", x_forwarded_proto="https").headers["set-cookie"]
    assert cookie.startswith(f"{HOST_COOKIE}=")
    assert cookie.endswith("; Path=/; Max-Age=31536000; HttpOnly; SameSite=None; Secure; Partitioned")


@pytest.mark.parametrize(
    ("told", "secure"),
    [("https", True), ("HTTPS", True), ("https, http", True), ("http, https", False), ("http", False), ("", False)],
)
def test_the_first_of_several_proxies_says_how_a_visitor_came(page: Starlette, told: str, secure: bool) -> None:
    assert ("Secure" in get(page, "/", x_forwarded_proto=told).headers["set-cookie"]) is secure


def test_over_https_a_name_that_another_host_of_the_domain_has_planted_is_not_believed(page: Starlette) -> None:
    """Any host of a domain can set a cookie for all of it, but none whose name begins with __Host-."""
    planted = f"{COOKIE}={BEN}"
    assert HOST_COOKIE in get(page, "/", x_forwarded_proto="https", cookie=planted).headers["set-cookie"]
    own = f"{planted}; {HOST_COOKIE}={ANNA}"
    assert "set-cookie" not in get(page, "/", x_forwarded_proto="https", cookie=own).headers
    assert visitor_of({COOKIE: BEN, HOST_COOKIE: ANNA}) == ANNA


def test_no_proxy_may_keep_an_answer_with_a_name_in_it(page: Starlette) -> None:
    assert get(page, "/").headers["cache-control"] == "private, no-cache"


def test_only_pages_give_names(page: Starlette) -> None:
    assert "set-cookie" not in get(page, "/plain").headers


def test_a_name_stays_and_what_is_none_is_replaced(page: Starlette) -> None:
    assert "set-cookie" not in get(page, "/", cookie=f"{COOKIE}={ANNA}").headers
    assert "set-cookie" in get(page, "/", cookie=f"{COOKIE}=short").headers


@given(st.text(max_size=40))
def test_what_does_not_look_like_a_name_belongs_to_nobody(text: str) -> None:
    assert visitor_of({COOKIE: text}) == (text if NAME.fullmatch(text) else "")


# ---- the shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


@pytest.fixture
def pair(shipped: Path, tmp_path: Path) -> list[Path]:
    """An AE and a VAE, each with all its files in its own folder."""
    folders = [tmp_path / "job" / f"x-{kind}" for kind in ("ae", "vae")]
    for folder, kind in zip(folders, ("ae", "vae")):
        shutil.copytree(shipped / f"digits-{kind}-3", folder)
        for images in shipped.glob("images-*.gz"):
            shutil.copy(images, folder)
        (folder / "moment-00000.safetensors").write_bytes(b"a picture of the film")
    return folders


def test_what_is_kept_is_a_copy_under_its_own_name_without_the_film(shelf: Shelf, pair: list[Path]) -> None:
    assert shelf.keep(ANNA, pair, name="first.try") == ["first.try-ae", "first.try-vae"]
    shutil.rmtree(pair[0].parent)
    entries = shelf.of(ANNA)
    assert [entry.card.name for entry in entries] == ["first.try-ae", "first.try-vae"]
    for folder in shelf.pairs(ANNA)["first.try"].folders:
        assert atlas.load(folder).codes["codes"].shape[1] == 3
        assert not list(folder.glob("moment-*"))


def test_nobody_has_what_another_keeps(shelf: Shelf, pair: list[Path]) -> None:
    shelf.keep(ANNA, pair, name="mine")
    assert shelf.of(BEN) == shelf.of("") == ()
    shelf.keep(BEN, pair, name="mine")
    shelf.remove(BEN, "mine")
    assert len(shelf.of(ANNA)) == 2
    assert all(folder.is_dir() for folder in shelf.pairs(ANNA)["mine"].folders)


@pytest.mark.parametrize("name", ["", " ", "../up", "a/b", ".hidden", "-rf", "x" * 41, "näme", "a b", "a\n", "<b>"])
def test_a_name_that_is_none_is_told_with_an_example(shelf: Shelf, pair: list[Path], name: str) -> None:
    with pytest.raises(ValueError, match="A name is 1 to 40 letters, digits, dots or dashes, such as my-first"):
        shelf.keep(ANNA, pair, name=name)
    assert not shelf.root.exists()


def test_a_name_that_is_taken_is_told_and_what_has_it_stays(shelf: Shelf, pair: list[Path]) -> None:
    shelf.keep(ANNA, pair, name="mine")
    before = shelf.of(ANNA)
    for name in ("mine", "mnist-ae"):
        copies = pair if name == "mine" else [pair[0]] * 2
        with pytest.raises(ValueError, match=f"There is a model called {name} already: choose another name"):
            shelf.keep(ANNA, copies, name=name)
    assert shelf.of(ANNA) == before


def test_a_shelf_has_an_end(shelf: Shelf, pair: list[Path]) -> None:
    for i in range(MAX_KEPT // 2):
        shelf.keep(ANNA, pair, name=f"pair{i}")
    with pytest.raises(ValueError, match=f"At most {MAX_KEPT} models can be kept at a time: remove one first"):
        shelf.keep(ANNA, pair, name="more")
    shelf.remove(ANNA, "pair0")
    shelf.keep(ANNA, pair, name="more")


def test_two_models_of_one_kind_get_numbers(shelf: Shelf, pair: list[Path]) -> None:
    assert shelf.keep(ANNA, [pair[0], pair[0]], name="two") == ["two-1", "two-2"]


def test_a_pair_can_go_on_only_with_the_state_of_both(shelf: Shelf, pair: list[Path], trained: dict[str, Path]) -> None:
    shelf.keep(ANNA, pair, name="whole")
    assert shelf.pairs(ANNA)["whole"].can_go_on == all(any(f.glob("training-*")) for f in pair)
    for folder in pair:
        for state in folder.glob(resume.PATTERN):
            state.unlink()
    shelf.keep(ANNA, pair, name="without")
    assert not shelf.pairs(ANNA)["without"].can_go_on


def test_umap_that_was_drawn_later_is_taken_over(shelf: Shelf, pair: list[Path]) -> None:
    whole = [atlas.load(folder) for folder in pair]
    manifests = [(folder / atlas.MANIFEST).read_bytes() for folder in pair]
    for folder, made in zip(pair, whole):
        codes = {name: value for name, value in made.codes.items() if "umap" not in name}
        atlas.save(atlas.Atlas(made.images, codes, made.decoder, made.posterior, made.layers), folder)
    shelf.keep(ANNA, pair, name="mine")
    kept = shelf.pairs(ANNA)["mine"]
    assert "umap" not in atlas.load(kept.folders[0]).codes
    for folder, made, manifest in zip(pair, whole, manifests):
        atlas.save(made, folder)
        assert json.loads((folder / atlas.MANIFEST).read_bytes())["n"] == json.loads(manifest)["n"]
    shelf.redraw(ANNA, "mine", pair)
    again = shelf.pairs(ANNA)["mine"]
    assert "umap" in atlas.load(again.folders[0]).codes
    assert again.entries[0].parts["codes"].sha256 != kept.entries[0].parts["codes"].sha256
    assert checkpoints.read_card(again.folders[0]).name == "mine-ae"


def test_what_was_removed_is_gone_and_not_drawn_again(shelf: Shelf, pair: list[Path]) -> None:
    shelf.keep(ANNA, pair, name="mine")
    folders = shelf.pairs(ANNA)["mine"].folders
    shelf.remove(ANNA, "mine")
    shelf.redraw(ANNA, "mine", pair)
    shelf.remove(ANNA, "mine")
    assert shelf.of(ANNA) == ()
    assert not folders[0].parent.exists()


# ---- the shelf of data sets


def brought(data_shelf: DataShelf, visitor: str, seed: int = 0) -> str:
    """Put a small data set on the visitor's shelf; its name."""
    x = np.random.default_rng(seed).integers(0, 256, (6, 1, 8, 9), dtype=np.uint8)
    y = np.zeros(6, np.uint8)
    dataset = own_data.make(
        title="Leaves", source="leaves.zip", classes=("a",), x_train=x[:4], y_train=y[:4], x_test=x[4:], y_test=y[4:]
    )
    folder = data_shelf.place(visitor)
    own_data.save(folder, dataset)
    assert data_shelf.keep(visitor, folder, name=dataset.name).name == dataset.name
    return dataset.name


def gone(path: Path) -> bool:
    """Whether path disappears while we wait."""
    end = time.monotonic() + 10
    while path.exists() and time.monotonic() < end:
        time.sleep(0.02)
    return not path.exists()


def test_a_data_set_is_found_by_its_visitor_alone(data_shelf: DataShelf) -> None:
    with data_shelf.present(ANNA), data_shelf.present(BEN):
        name = brought(data_shelf, ANNA)
        (one,) = data_shelf.of(ANNA)
        assert (one.title, one.image_shape, one.n_train, one.n_test) == ("Leaves", (1, 8, 9), 4, 2)
        assert own_data.load(data_shelf.sets(ANNA)[name]).name == name
        assert data_shelf.sets(BEN) == data_shelf.sets("") == {}
        assert ANNA not in str(one.folder)
        brought(data_shelf, BEN)
        data_shelf.remove(BEN, name)
        assert one.folder.is_dir()


def test_nobody_can_bring_nothing_for_nobody(data_shelf: DataShelf) -> None:
    with pytest.raises(ValueError, match="needs a cookie, so that nobody else sees it: allow cookies and reload"):
        data_shelf.place("")


def test_the_same_data_set_takes_one_place_and_a_full_shelf_says_what_to_do(data_shelf: DataShelf) -> None:
    with data_shelf.present(ANNA):
        names = [brought(data_shelf, ANNA, seed) for seed in (0, 0, *range(1, MAX_SETS))]
        assert len(data_shelf.of(ANNA)) == MAX_SETS
        with pytest.raises(ValueError, match=f"At most {MAX_SETS} data sets can be kept at a time: remove one first"):
            brought(data_shelf, ANNA, seed=99)
        data_shelf.remove(ANNA, names[0])
        assert brought(data_shelf, ANNA, seed=99) in data_shelf.sets(ANNA)


def test_what_is_only_looked_at_takes_bounded_room_and_the_newest_stays(data_shelf: DataShelf) -> None:
    with data_shelf.present(ANNA), data_shelf.present(BEN):
        bens, *places = data_shelf.place(BEN), *(data_shelf.place(ANNA) for _ in range(MAX_PLACES + 2))
        assert {*places[0].parent.glob("new-*")} == {*places[-MAX_PLACES:]}
        assert bens.is_dir()


@pytest.mark.parametrize("name", ["../up", "own-", "own-0123456789ab/..", "mnist"])
def test_only_the_name_of_a_data_set_of_ones_own_gets_onto_the_shelf(data_shelf: DataShelf, name: str) -> None:
    with data_shelf.present(ANNA), pytest.raises(ValueError, match="12 hexadecimal digits"):
        data_shelf.keep(ANNA, data_shelf.place(ANNA), name=name)


@contextlib.asynccontextmanager
async def open_page(app: Starlette, visitor: str) -> AsyncIterator[None]:
    """A page of the visitor's, as its websocket shows it to the server."""
    said: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    accepted = asyncio.Event()

    async def hear(message: dict[str, object]) -> None:
        accepted.set()

    cookie = (b"cookie", f"{COOKIE}={visitor}".encode())
    scope = {"type": "websocket", "path": "/stream", "query_string": b"", "headers": [cookie]}
    said.put_nowait({"type": "websocket.connect"})
    server = asyncio.create_task(app(scope, said.get, hear))  # type: ignore[arg-type]
    await accepted.wait()
    yield
    said.put_nowait({"type": "websocket.disconnect", "code": 1001})
    await server


def test_what_was_brought_goes_some_time_after_the_last_page(page: Starlette, data_shelf: DataShelf) -> None:
    async def come_and_go() -> None:
        async with open_page(page, BEN):
            async with open_page(page, ANNA):
                brought(data_shelf, ANNA)
                brought(data_shelf, BEN)
                unfinished = data_shelf.place(ANNA)
                async with open_page(page, ANNA):
                    pass
                (annas,), (bens,) = data_shelf.of(ANNA), data_shelf.of(BEN)
            assert gone(annas.folder.parent)
            assert unfinished.parent == annas.folder.parent
            assert data_shelf.of(ANNA) == ()
            assert bens.folder.is_dir()
        assert gone(bens.folder.parent)

    asyncio.run(come_and_go())


def test_who_comes_back_in_time_has_all_of_it(tmp_path: Path) -> None:
    data_shelf = DataShelf(tmp_path / "data", gone_s=60)
    with data_shelf.present(ANNA):
        name = brought(data_shelf, ANNA)
    assert data_shelf.leaving[ANNA].is_alive()
    with data_shelf.present(ANNA):
        assert not data_shelf.leaving
        assert own_data.load(data_shelf.sets(ANNA)[name]).name == name
        data_shelf._forget(ANNA)  # a timer that could not be called off any more
        assert name in data_shelf.sets(ANNA)
    data_shelf.leaving[ANNA].cancel()


def test_models_that_were_uploaded_go_with_their_visitor_and_those_that_were_trained_stay(
    shelf: Shelf, pair: list[Path], tmp_path: Path
) -> None:
    left: list[str] = []
    others = (Other(has=shelf.has_brought, forget=shelf.forget_brought), Other(has=lambda _: False, forget=left.append))
    data_shelf = DataShelf(tmp_path / "data", gone_s=0.05, others=others)
    shelf.keep(ANNA, pair, name="trained")
    shelf.keep(ANNA, pair, name="uploaded", uploaded=True)
    uploaded = shelf.pairs(ANNA)["uploaded"].folders[0]
    with data_shelf.present(ANNA):
        pass
    assert gone(uploaded)
    for timer in [one for one in threading.enumerate() if isinstance(one, threading.Timer)]:
        timer.join()
    assert set(shelf.pairs(ANNA)) == {"trained"}
    assert left == [ANNA]


# ---- after another server


def test_what_was_kept_is_there_for_the_next_server_and_for_its_visitor_alone(shelf: Shelf, pair: list[Path]) -> None:
    for name, uploaded in (("second", False), ("first", True)):
        shelf.keep(ANNA, pair, name=name, uploaded=uploaded)
    for age, name in enumerate(("first", "second")):
        os.utime(shelf.pairs(ANNA)[name].folders[0].parent, (age, age))
    found = Shelf(shelf.root)
    assert list(found.pairs(ANNA)) == ["first", "second"]
    assert found.pairs(ANNA)["first"] == shelf.pairs(ANNA)["first"]
    assert found.pairs(ANNA)["first"].uploaded
    assert found.of(BEN) == ()


def test_a_pair_that_was_not_copied_to_its_end_or_is_old_is_gone(shelf: Shelf, pair: list[Path]) -> None:
    for name in ("half", "old", "clockless", "sound"):
        shelf.keep(ANNA, pair, name=name)
    places = {name: one.folders[0].parent for name, one in shelf.pairs(ANNA).items()}
    (places["half"] / RECORD).unlink()
    then = time.time() - KEPT_S - 60
    os.utime(places["old"] / RECORD, (then, then))
    os.utime(places["clockless"] / RECORD, (86400, 86400))  # a machine whose clock began in 1970
    assert set(Shelf(shelf.root).pairs(ANNA)) == {"clockless", "sound"}
    assert {name for name, place in places.items() if place.exists()} == {"clockless", "sound"}


@pytest.mark.parametrize("uploaded", [False, True])
def test_a_pair_that_cannot_be_read_stays_for_better_days_unless_its_visitor_has_a_copy(
    shelf: Shelf, pair: list[Path], capsys: pytest.CaptureFixture[str], uploaded: bool
) -> None:
    shelf.keep(ANNA, pair, name="newer", uploaded=uploaded)
    place = shelf.pairs(ANNA)["newer"].folders[0].parent
    card = place / "newer-vae" / checkpoints.CARD
    sound = card.read_text()
    card.write_text(json.dumps({**json.loads(sound), "format": 99}))
    found = Shelf(shelf.root)
    assert found.of(ANNA) == ()
    told = capsys.readouterr().err
    assert "card.json has format 99; this version reads format 1: update Latent Explorer" in told
    assert "newer" not in told
    assert str(shelf.root) not in told
    if uploaded:
        assert not place.exists()
        return
    with pytest.raises(ValueError, match="There is a model called newer already"):
        found.keep(ANNA, pair, name="newer")
    card.write_text(sound)
    assert set(Shelf(shelf.root).pairs(ANNA)) == {"newer"}


def test_a_full_disk_keeps_nothing_by_halves_and_is_told(
    shelf: Shelf, pair: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("explorer.visitors.write_record", full)
    with pytest.raises(
        ValueError, match=r"The files cannot be written \(no space left on device\): make room on the disk"
    ):
        shelf.keep(ANNA, pair, name="mine")
    assert shelf.of(ANNA) == ()
    assert not any(path.is_file() for path in shelf.root.rglob("*"))


def test_data_sets_are_there_again_for_who_comes_back_and_go_for_who_does_not(tmp_path: Path) -> None:
    former = DataShelf(tmp_path / "data", gone_s=60)
    names = {visitor: brought(former, visitor) for visitor in (ANNA, BEN)}
    looked_at = former.place(ANNA)
    for timer in former.leaving.values():
        timer.cancel()
    found = DataShelf(tmp_path / "data", gone_s=0.5)
    (bens,) = found.of(BEN)
    with found.present(ANNA):
        assert not looked_at.exists()
        assert gone(bens.folder.parent)
        assert own_data.load(found.sets(ANNA)[names[ANNA]]).name == names[ANNA]


def test_what_was_uploaded_to_the_server_before_goes_too_if_its_visitor_stays_away(
    shelf: Shelf, pair: list[Path], tmp_path: Path
) -> None:
    shelf.keep(ANNA, pair, name="uploaded", uploaded=True)
    found = Shelf(shelf.root)
    others = (Other(has=found.has_brought, forget=found.forget_brought),)
    DataShelf(tmp_path / "data", gone_s=0.05, others=others).expect(found.kept)
    assert gone(found.root / folder_of(ANNA) / "uploaded")
