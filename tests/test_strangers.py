"""One visitor against another: what belongs to Anna is for Ben as if it had never been, on every route and page.

And what comes out to anybody names no folder of the server.
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.applications import Starlette

from explorer import (
    atlas,
    catalogue,
    jobs,
    own_data,
    server,
    visitors,
)
from explorer.checkpoints import PRETRAINED
from explorer.job import KINDS, LabRun, Training
from explorer.jobs import Jobs, Limits
from explorer.labs import orders
from explorer.settings import Settings
from explorer.visitors import COOKIE, DataShelf, Shelf
from tests import pages
from tests.asgi import Answer, get

ANNA, BEN = "A" * 32, "B" * 32
NOBODYS = "never-was"


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    """Jobs that start none, and shelves beside them, in the place of the server's."""
    made = Jobs(Limits(at_once=0))
    shelf, sets = Shelf(made.root / "shelf"), DataShelf(made.root / "data", gone_s=60)
    monkeypatch.setattr(jobs, "here", lambda: made)
    monkeypatch.setattr(visitors, "shelf", lambda: shelf)
    monkeypatch.setattr(visitors, "data_shelf", lambda: sets)
    yield made
    made.close()


@pytest.fixture
def training(crew: Jobs) -> Training:
    """A training of Anna's that has ended, kept as "mine"."""
    job = crew.submit(ANNA, Settings(dataset="mnist"))
    shown = {"images": np.zeros((20, 1, 28, 28), np.uint8), "labels": np.zeros(20, np.uint8)}
    moment = {"codes": np.zeros((20, 2), np.float32), "order": np.arange(2, dtype=np.int32)}
    for kind in KINDS:
        folder = job.model_folder(kind)
        shutil.copytree(PRETRAINED / f"mnist-{kind}-2", folder, ignore=shutil.ignore_patterns("measures.*"))
        shutil.copy(PRETRAINED / atlas.read_manifest(folder)["parts"]["images"]["file"], folder)
        (folder / "images.safetensors").write_bytes(atlas.pack(shown))
        (folder / "moment-00000.safetensors").write_bytes(atlas.pack(moment))
        news = {"kind": "moment", "file": "moment-00000.safetensors", "epoch": 1.0, "recon": 20.0, "kl": 1.0}
        job.events.append({**news, "side": kind, "sent": 0.0})
    job.state = "done"
    visitors.shelf().keep(ANNA, [job.model_folder(kind) for kind in KINDS], name="mine")
    return job


@pytest.fixture
def run(crew: Jobs) -> LabRun:
    """A lab's run of Anna's."""
    job = crew.submit_lab(ANNA, "basic", orders.read("basic", {}))
    (job.folder / "result.json").write_text("{}")
    return job


@pytest.fixture
def own_set(crew: Jobs) -> str:
    """The name of a data set on Anna's shelf."""
    x, y = np.zeros((30, 1, 8, 8), np.uint8), np.zeros(30, np.uint8)
    parts = {"x_train": x[1:], "y_train": y[1:], "x_test": x[:1], "y_test": y[:1]}
    made = own_data.make(title="Letters of Anna", source="letters.zip", classes=("all",), **parts)
    place = visitors.data_shelf().place(ANNA)
    own_data.save(place, made)
    return visitors.data_shelf().keep(ANNA, place, name=made.name).name


@pytest.fixture
def app(crew: Jobs) -> Starlette:
    """All routes of the project, over these jobs and shelves."""
    return Starlette(routes=server.routes("", catalogue.shipped()))


def ask(app: Starlette, path: str, *, visitor: str, method: str = "GET", body: bytes = b"") -> Answer:
    path, _, query = path.partition("?")
    return get(app, path, query=query, method=method, body=body, cookie=f"{COOKIE}={visitor}")


# Every route that takes a name or an id, and what Anna has there: {job}, {run}, {part} and {name} are hers.
READ = [
    "/jobs/{job}/events",
    "/jobs/{job}/moments/vae/moment-00000.safetensors",
    "/jobs/{job}/moments/ae/images.safetensors",
    "/jobs/{job}/models.zip",
    "/jobs/{job}/film.gif",
    "/jobs/{run}/events",
    "/labs/runs/{run}/result.json",
    "/mine/{part}",
    "/kept/{pair}.zip",
    "/onefile?left={name}&right=mnist-vae-2",
    "/onefile?left=mnist-ae-2&right={name}",
    "/codes?model={name}",
]
WRITE = [
    ("/jobs/{job}/stop", b'{"keep": true}'),
    ("/jobs/{job}/keep", b'{"name": "taken"}'),
    ("/jobs/{run}/stop", b"{}"),
]


@pytest.fixture
def hers(training: Training, run: LabRun) -> dict[str, str]:
    entry = visitors.shelf().of(ANNA)[0]
    part = entry.parts["codes"].sha256
    return {"job": training.id, "run": run.id, "part": part, "pair": "mine", "name": entry.card.name}


NEVER = {"job": NOBODYS, "run": NOBODYS, "part": "0" * 64, "pair": NOBODYS, "name": NOBODYS}


@pytest.mark.parametrize("stranger", [BEN, ""])
def test_what_is_annas_is_for_others_as_what_never_was(app: Starlette, hers: dict[str, str], stranger: str) -> None:
    for path in READ:
        found = ask(app, path.format(**hers), visitor=stranger)
        never = ask(app, path.format(**NEVER), visitor=stranger)
        assert found.status == 404, path
        assert found == never, path
    for path, body in WRITE:
        found, never = (
            ask(app, path.format(**ids), visitor=stranger, method="POST", body=body) for ids in (hers, NEVER)
        )
        assert found.status == 404, path
        assert found == never, path
    decoded = [
        ask(app, f"/mine/{name}/decode", visitor=stranger, method="POST", body=bytes(12)) for name in ("mine-vae", "x")
    ]
    assert decoded[0] == decoded[1]
    run = jobs.here().get(hers["run"], ANNA)
    assert run
    assert run.state == "waiting", "it was not stopped"
    assert list(visitors.shelf().pairs(ANNA)) == ["mine"]


def test_every_route_with_a_name_in_it_was_tried(app: Starlette, hers: dict[str, str]) -> None:
    """A new route has to be added above, or named here with the reason."""
    shipped, starts_ones_own = {"/atlas/{sha256:str}", "/images/{name:str}"}, {"/labs/{lab:str}/run"}
    tried = [path.format(**hers).partition("?")[0] for path in (*READ, *(path for path, _ in WRITE), "/mine/x/decode")]
    for route in app.routes:
        if "{" in route.path and route.path not in shipped | starts_ones_own and not route.path.startswith("/stage/"):  # type: ignore[attr-defined]
            assert any(route.path_regex.match(path) for path in tried), route.path  # type: ignore[attr-defined]


def members(content: bytes) -> bytes:
    """The content of a zip's files, or what was given."""
    if not content.startswith(b"PK\x03\x04"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return b"".join(name.encode() + archive.read(name) for name in archive.namelist())


def folders_of(crew: Jobs) -> list[bytes]:
    return [str(path).encode() for path in (crew.root, PRETRAINED.parent, Path.home())]


def as_visitor(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(visitors, "visitor_of", lambda cookies: name)


def shown(page: object) -> str:
    """All that a page's run sent to the browser, without the two addresses' own echo."""
    return " ".join(str(one.proto) for one in page if hasattr(one, "proto"))  # type: ignore[attr-defined]


def test_no_page_shows_anything_of_annas_to_ben_or_a_folder_of_the_server_to_anybody(
    crew: Jobs, hers: dict[str, str], own_set: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = ("Letters of Anna", "mine-ae", "mine-vae", own_set)
    asked = {
        "train.py": {"job": hers["job"], "data": own_set},
        "measure.py": {"left": "mine-ae", "right": "mine-vae"},
        "main.py": {"left": "mine-ae", "data": own_set},
        "learn.py": {"left": "mine-ae"},
        "yours.py": {"models": "mine", "data": own_set},
    }
    for visitor, wanted in ((ANNA, set(secrets)), (BEN, set())):
        as_visitor(monkeypatch, visitor)
        texts = [shown(pages.open_page(name, **query)) for name, query in asked.items()]
        assert {secret for secret in secrets for text in texts if secret in text} == wanted
        assert min(map(len, texts)) > 500
        assert not [folder for folder in folders_of(crew) for text in texts if folder.decode() in text]
    as_visitor(monkeypatch, BEN)
    hers_, never = (pages.open_page("train.py", job=job) for job in (hers["job"], NOBODYS))
    assert [one.value for one in hers_.info] == [one.value for one in never.info]
    hers_, never = (pages.open_page("train.py", data=name) for name in (own_set, f"{own_set[:-1]}0"))
    assert [one.value for one in hers_.warning] == [one.value for one in never.warning]


# ---- no folder of the server


def test_nothing_that_comes_out_names_a_folder_of_the_server(app: Starlette, crew: Jobs, hers: dict[str, str]) -> None:
    for path in (*READ[:5], *READ[6:9], "/onefile?left={name}&right=mine-vae", "/codes?model={name}", "/health"):
        if "{run}" in path or "{job}/events" not in path:
            answer = ask(app, path.format(**hers), visitor=ANNA)
            assert answer.status == (503 if path == "/health" else 200), path  # no server runs: it is starting
            everything = members(answer.body) + json.dumps(answer.headers).encode()
            assert not [folder for folder in folders_of(crew) if folder in everything], path


@pytest.mark.parametrize("part", ["codes.gz", "decoder.gz", "atlas.json", "card.json"])
def test_damage_is_told_without_a_folder_of_the_server(
    app: Starlette, crew: Jobs, hers: dict[str, str], part: str
) -> None:
    for folder in visitors.shelf().pairs(ANNA)["mine"].folders:
        (folder / part).write_bytes(b"damaged")
    for path in ("/mine/{part}", "/onefile?left={name}&right=mine-vae", "/codes?model={name}", "/kept/{pair}.zip"):
        answer = ask(app, path.format(**hers), visitor=ANNA)
        assert not [folder for folder in folders_of(crew) if folder in answer.body], path
        assert answer.status == 200 or answer.body.endswith((b".", b'."}')), path


# ---- names that nobody can guess


def test_places_and_visitors_have_names_of_128_random_bits_or_more(crew: Jobs) -> None:
    """64 letters of base64 have 6 bits each."""
    names = [visitors.data_shelf().place(ANNA).name.removeprefix(visitors.NEW) for _ in range(3)]
    assert all(len(name) * 6 >= 128 for name in names)
    assert len(set(names)) == 3
    assert visitors.NAME.fullmatch("x" * 32)
    assert not visitors.NAME.fullmatch("x" * 31)
