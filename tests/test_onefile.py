"""One HTML file with two models: what is in it, and what cannot be put into it."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from damage import flip_a_bit
from safetensors.numpy import load as tensors_of
from starlette.applications import Starlette

from explorer import atlas, catalogue, cli, modules, onefile, server, visitors
from explorer.catalogue import Catalogue, Entry
from tests.asgi import get
from tests.test_cli import fail

HOSTILE = "</script><script>alert(1)</script><!--{{files}}&amp;\u2028"
TITLES = {"digits": ("Digits", tuple("0123456789"))}
VIEWS = ("digits-ae-3", "digits-vae-3")


class Elements(HTMLParser):
    """Every element of a page that runs, styles or holds something, as a parser of HTML finds them."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.inside = False
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), ""))
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def one(self, tag: str, **wanted: str) -> str:
        texts = [text for name, has, text in self.found if name == tag and wanted.items() <= has.items()]
        assert len(texts) == 1, (tag, wanted, len(texts))
        return texts[0]


def record(page: bytes, name: str) -> Any:
    return json.loads(Elements(page).one("script", id=name))


@pytest.fixture(scope="module")
def models(shipped: Path) -> Catalogue:
    return replace(catalogue.read(shipped), judges=catalogue.shipped().judges)


@pytest.fixture
def make(models: Catalogue) -> Callable[..., bytes]:
    return functools.partial(onefile.one_file, models=models, titles=TITLES)


def test_every_part_of_both_models_and_the_classifier_are_in_the_file_once(
    models: Catalogue, make: Callable[..., bytes]
) -> None:
    page = make(*models.entries)
    files, shown = record(page, "files"), record(page, "catalogue")
    wanted = [part for entry in models.entries for name, part in entry.parts.items() if name != "weights"]
    assert [model["name"] for model in shown["models"]] == list(VIEWS)
    urls = {part["url"] for model in shown["models"] for part in model["parts"].values()}
    assert {*urls, shown["datasets"]["digits"]["classifier"]["url"]} == files.keys()
    assert len(files) == len({part.sha256 for part in wanted}) + 1 < len(wanted) + 1, "both models share their images"
    for part in wanted:
        kind, _, content = files[f"atlas/{part.sha256}"].partition(";base64,")
        assert kind == "data:application/gzip"
        assert base64.b64decode(content) == part.path.read_bytes()
    codes = files[shown["models"][1]["parts"]["codes"]["url"]].partition(",")[2]
    assert "quantiles" in tensors_of(gzip.decompress(base64.b64decode(codes)))
    assert files[shown["datasets"]["digits"]["classifier"]["url"]].startswith("data:application/octet-stream;base64,")


def test_the_modules_are_those_of_the_app_but_for_the_names_they_import_by(
    models: Catalogue, make: Callable[..., bytes]
) -> None:
    imports = json.loads(Elements(make(*models.entries)).one("script", type="importmap"))["imports"]
    assert {"stage.js", "atlas.js", "map.js", "decoder.js"} <= imports.keys()
    for name, address in imports.items():
        kind, _, content = address.partition(";base64,")
        assert kind == "data:text/javascript"
        text = base64.b64decode(content).decode()
        changed = [i for i, line in enumerate(text.splitlines()) if "from '" in line and not line.startswith(" *")]
        original = (modules.FOLDER / name).read_text()
        for i, (mine, theirs) in enumerate(zip(text.splitlines(), original.splitlines(), strict=True)):
            assert mine == (theirs.replace("from './", "from '") if i in changed else theirs)
        imported = {re.findall(r"from '(.*)'", text.splitlines()[i])[0] for i in changed}
        assert imported <= imports.keys()


def test_what_runs_is_named_by_its_hash_and_nothing_comes_from_outside(
    models: Catalogue, make: Callable[..., bytes]
) -> None:
    elements = Elements(make(*models.entries))
    (rules,) = (has["content"] for tag, has, _ in elements.found if has.get("http-equiv") == "Content-Security-Policy")
    policy = {name: allowed for name, *allowed in (rule.split() for rule in str(rules).split("; "))}
    for kind in ("script", "style"):
        texts = [text for tag, has, text in elements.found if tag == kind and has.get("type") != "application/json"]
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        assert [f"'sha256-{digest}'" for digest in digests] == [
            allowed for allowed in policy[f"{kind}-src"] if allowed != "data:"
        ]
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == ["'none'"]
    assert {allowed for rule in policy.values() for allowed in rule if "sha256" not in allowed} == {
        "'none'",
        "data:",
        "blob:",
    }
    addresses = [value for _, has, _ in elements.found for name, value in has.items() if name in ("src", "href")]
    assert addresses == ["data:,"]


def renamed(entry: Entry, name: str) -> Entry:
    return replace(entry, card=replace(entry.card, name=name))


def test_hostile_names_stay_text_in_every_place(models: Catalogue) -> None:
    left, right = (renamed(entry, f"{i}{HOSTILE}") for i, entry in enumerate(models.entries))
    titles = {"digits": (HOSTILE, (HOSTILE, *"123456789"))}
    page = onefile.one_file(left, right, models=models, titles=titles, query=f"view={HOSTILE}")
    plain = onefile.one_file(*models.entries, models=models, titles=TITLES)
    assert [tag for tag, _, _ in Elements(page).found] == [tag for tag, _, _ in Elements(plain).found]
    shown = record(page, "catalogue")
    assert [model["name"] for model in shown["models"]] == [f"0{HOSTILE}", f"1{HOSTILE}"]
    assert shown["datasets"]["digits"]["title"] == shown["datasets"]["digits"]["classes"][0] == HOSTILE
    assert Elements(page).one("title").startswith(f"0{HOSTILE} and 1{HOSTILE}")


def test_two_models_of_one_name_are_told_apart_and_one_model_may_stand_on_both_sides(
    models: Catalogue, make: Callable[..., bytes]
) -> None:
    left, right = models.entries
    assert record(make(left, renamed(right, left.card.name)), "catalogue")["start"]["pair"] == {
        "left": "digits-ae-3",
        "right": "digits-ae-3 (right)",
    }
    shown = record(make(right, right), "catalogue")
    assert [model["name"] for model in shown["models"]] == ["digits-vae-3"]
    assert shown["start"]["pair"] == {"left": "digits-vae-3", "right": "digits-vae-3"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dataset": "mnist"}, "one data set, but digits-ae-3 has digits and digits-vae-3 has mnist"),
        ({"image_shape": (1, 28, 28)}, "one image shape, but"),
        ({"latent_dim": 2}, "one number of latent dimensions, but digits-ae-3 has 3 and digits-vae-3 has 2"),
        ({"dataset": "cats"}, "is of 'cats': a model of mnist, digits was expected"),
    ],
)
def test_models_that_do_not_go_together_are_refused(models: Catalogue, changes: dict[str, Any], told: str) -> None:
    left, right = models.entries
    with pytest.raises(onefile.NoPair, match=re.escape(told)):
        onefile.check_pair(left.card, replace(right.card, **changes), {"mnist": ("M", ()), **TITLES})


# ---- the command


def test_export_writes_the_file_of_folders_and_says_what_it_is(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "view.html"
    cli.main(["export", *(str(library / name) for name in reversed(VIEWS)), "--out", str(out)])
    told = capsys.readouterr()
    assert told.out == f"{out}: digits-vae-3 and digits-ae-3, {out.stat().st_size / 1e6:.1f} MB\n"
    assert record(out.read_bytes(), "catalogue")["start"] == {
        "pair": {"left": "digits-vae-3", "right": "digits-ae-3"},
        "query": "",
    }
    assert sorted(path.name for path in out.parent.iterdir()) == ["view.html"]


def test_export_draws_the_maps_of_a_model_that_was_trained_without(
    trained: dict[str, Path], library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atlas, "umap_arrays", lambda codes, *, seed: {})  # half a minute, and tested elsewhere
    before = sorted(trained["ae"].iterdir())
    out = tmp_path / "view.html"
    cli.main(["export", str(trained["ae"]), str(library / VIEWS[1]), "--out", str(out)])
    left, right = record(out.read_bytes(), "catalogue")["models"]
    assert (left["name"], right["name"]) == VIEWS
    assert left["n"] == len(atlas.held_out("digits")[0])
    assert sorted(trained["ae"].iterdir()) == before


def test_the_default_pair_fits_into_eight_megabytes(tmp_path: Path) -> None:
    out = tmp_path / "view.html"
    cli.main(["export", "mnist-ae-2", "mnist-vae-2", "--out", str(out)])
    assert out.stat().st_size <= 8_000_000


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("mnist-ae-2", "nothing"), "Unknown model: 'nothing'. Must be a folder"),
        (("mnist-ae-2", "fashion-mnist-vae-2"), "Both models must have one data set"),
        (("mnist-ae-2", "mnist-vae-16"), "Both models must have one number of latent dimensions"),
    ],
)
def test_export_tells_a_mistake_in_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, str], told: str
) -> None:
    assert told in fail(capsys, ["export", *names, "--out", str(tmp_path / "view.html")])
    assert list(tmp_path.iterdir()) == []


def test_export_needs_a_file_to_write_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = ["export", "mnist-ae-2", "mnist-vae-2"]
    assert "--out must be a file" in fail(capsys, [*pair, "--out", str(tmp_path)])
    assert "--out" in fail(capsys, pair)
    (tmp_path / "plain").write_text("kept")
    assert "--out" in fail(capsys, [*pair, "--out", str(tmp_path / "plain" / "view.html")])
    assert (tmp_path / "plain").read_text() == "kept"


def test_a_damaged_part_is_told_and_an_earlier_file_is_kept(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip_a_bit(library / VIEWS[0] / "codes.gz")
    out = tmp_path / "view.html"
    out.write_text("earlier")
    told = fail(capsys, ["export", *(str(library / name) for name in VIEWS), "--out", str(out)])
    assert "codes.gz is damaged" in told
    assert out.read_text() == "earlier"


# ---- the route

ANNA, BEN = "A" * 32, "B" * 32


@pytest.fixture
def app(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Starlette:
    """A server with the shipped models, and one pair that Anna has kept."""
    shelf = visitors.Shelf(tmp_path / "shelf")
    monkeypatch.setattr(visitors, "shelf", lambda: shelf)
    folders = [tmp_path / "job" / name for name in VIEWS]
    for folder in folders:
        shutil.copytree(shipped / folder.name, folder)
        for images in shipped.glob("images-*.gz"):
            shutil.copy(images, folder)
    shelf.keep(ANNA, folders, name="own")
    return Starlette(routes=server.routes("sub", catalogue.read(shipped)))


def test_the_server_gives_the_file_as_an_attachment_with_the_view_it_was_asked_for(app: Starlette) -> None:
    query = "left=digits-vae-3&right=digits-ae-3&view=pca&z=1,2,3&a=i7"
    answer = get(app, "/sub/onefile", query=query)
    assert answer.status == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="digits-vae-3-and-digits-ae-3.html"'
    assert record(answer.body, "catalogue")["start"] == {
        "pair": {"left": "digits-vae-3", "right": "digits-ae-3"},
        "query": "view=pca&z=1%2C2%2C3&a=i7",
    }


def test_what_is_too_long_for_a_view_is_left_out_of_the_file(app: Starlette) -> None:
    answer = get(app, "/sub/onefile", query=f"left=digits-ae-3&right=digits-vae-3&z={'1,' * onefile.MAX_QUERY}")
    assert answer.status == 200
    assert record(answer.body, "catalogue")["start"]["query"] == ""


def test_a_visitors_own_models_are_for_that_visitor_alone(app: Starlette) -> None:
    query = "left=digits-ae-3&right=own-vae"
    mine = get(app, "/sub/onefile", query=query, cookie=f"{visitors.COOKIE}={ANNA}")
    assert [model["name"] for model in record(mine.body, "catalogue")["models"]] == ["digits-ae-3", "own-vae"]
    assert get(app, "/sub/onefile", query=query, cookie=f"{visitors.COOKIE}={BEN}").status == 404
    assert get(app, "/sub/onefile", query=query).status == 404


@pytest.mark.parametrize("query", ["", "left=digits-ae-3", "left=digits-ae-3&right=../digits-vae-3", "left=%00&right="])
def test_a_model_that_is_not_there_is_told_in_a_sentence(app: Starlette, query: str) -> None:
    answer = get(app, "/sub/onefile", query=query)
    assert (answer.status, answer.body) == (404, b"There is no model of that name to put into a file.")


def test_a_model_damaged_while_the_server_runs_is_told_without_the_servers_folders(library: Path) -> None:
    app = Starlette(routes=server.routes("", catalogue.read(library)))
    flip_a_bit(library / VIEWS[0] / "decoder.gz")
    answer = get(app, "/onefile", query="left=digits-ae-3&right=digits-vae-3")
    assert answer.status == 400
    assert b"digits-ae-3/decoder.gz is damaged" in answer.body
    assert str(library.parent).encode() not in answer.body
