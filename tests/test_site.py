"""The static site: what is written, that nothing else is, and that nothing is lost where it is refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import sys
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from damage import flip_a_bit
from safetensors.numpy import load as tensors_of

from explorer import catalogue, checkpoints, cli, scenes, site
from explorer.files import DamagedFile
from tests.test_cli import fail

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import get_nginx
from launch import nginx

ROOT = Path(__file__).parents[1]
PAGES = ("index.html", "learn.html", "yours.html")
IMPORT = re.compile(r"^(?:import|export)\b[^;]*? from '([^']+)';", re.MULTILINE)
TITLES = {"mnist": ("MNIST", tuple("0123456789"))}


class Named(HTMLParser):
    """What a page names: by attribute, in its record, in its script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[tuple[str, str]] = []
        self.policy = self.record = self.script = ""
        self.inside: dict[str, str | None] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        self.addresses += [(tag, str(value)) for name, value in attrs if name in ("href", "src", "action", "data")]
        if has.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(has["content"])
        self.inside = has if tag == "script" else None

    def handle_data(self, text: str) -> None:
        if self.inside and self.inside.get("id") == "given":
            self.record += text
        elif self.inside and self.inside.get("type") == "module":
            self.script += text

    def handle_endtag(self, tag: str) -> None:
        self.inside = None


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of what ships. Not to be changed."""
    folder = tmp_path_factory.mktemp("web") / "latent"
    cli.main(["export", "--site", str(folder)])
    return folder


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A test's own copy of two models that ship, to be damaged."""
    root = tmp_path / "models"
    for name in ("mnist-ae-2", "mnist-vae-2"):
        shutil.copytree(checkpoints.PRETRAINED / name, root / name)
    for images in checkpoints.PRETRAINED.glob("images-*.gz"):
        shutil.copy(images, root)
    return root


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def addresses_in(value: Any) -> set[str]:
    """Every text of a record that is an address of a part."""
    if isinstance(value, dict):
        return set().union(*map(addresses_in, value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*map(addresses_in, value)) if value else set()
    return {value} if isinstance(value, str) and re.match(r"\w+/[0-9a-f]{16}", value) else set()


def modules_of(page: Path) -> set[str]:
    """The modules of a page's script and all that they import, by their paths in the site."""
    found: set[str] = set()
    waiting = [
        page.parent / path for path in re.findall(r"(?:from |import\()'\./([^']+)'", Named(page.read_text()).script)
    ]
    while waiting:
        path = waiting.pop().resolve()
        name = path.relative_to(page.parent.resolve()).as_posix()
        if name not in found:
            found.add(name)
            waiting += [path.parent / one for one in IMPORT.findall(path.read_text())]
    return found


def test_there_is_what_the_pages_name_and_nothing_else(out: Path) -> None:
    wanted = {*PAGES, "site.json"}
    for page in PAGES:
        named, modules = Named((out / page).read_text()), modules_of(out / page)
        linked = {address for tag, address in named.addresses if tag == "link" and address != "data:,"}
        assert {address for address in linked if not address.startswith("styles/")} == modules
        wanted |= {*linked, *addresses_in(json.loads(named.record))}
        links = [address for tag, address in named.addresses if tag == "a"]
        assert links == ["./", "learn.html", "yours.html"]
    texts = {name for name in wanted if Path(name).suffix in (".html", ".js", ".css")}
    assert files_in(out).keys() == wanted | {f"{name}.gz" for name in texts}


def test_every_shipped_model_every_scene_and_both_classifiers_are_there(out: Path) -> None:
    shown, lessons = (json.loads(Named((out / page).read_text()).record) for page in PAGES[:2])
    folders = {path.parent.name for path in checkpoints.PRETRAINED.glob("*/atlas.json")}
    assert len(folders) >= 8
    assert {model["name"] for model in shown["models"]} == folders
    assert {model["name"] for model in shown["dial"]} == {
        path.parent.name for path in checkpoints.PRETRAINED.glob("dial/*/atlas.json")
    }
    assert all(one["classifier"]["url"] for one in shown["datasets"].values())
    assert [scene["title"] for scene in lessons["scenes"]] == [scene.title for scene in scenes.SCENES]
    assert lessons["catalogue"] == shown


def test_names_and_list_hold_the_hash_of_each_file(out: Path) -> None:
    files, listed = files_in(out), json.loads((out / "site.json").read_text())["files"]
    assert listed == {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in files.items()
        if name != "site.json"
    }
    atlas = {name: content for name, content in files.items() if name.startswith("atlas/")}
    assert {name.removeprefix("atlas/") for name in atlas} == {
        hashlib.sha256(content).hexdigest() for content in atlas.values()
    }
    unpacked = [gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content for content in atlas.values()]
    assert all(tensors_of(content) for content in unpacked)
    for name, packed in files.items():
        content = gzip.decompress(packed) if name.endswith(".gz") else packed
        assert files[name.removesuffix(".gz")] == content
        if name.endswith(".css"):
            assert hashlib.sha256(content).hexdigest().startswith(Path(name).stem)
        if name.endswith(".js"):
            assert content == (ROOT / "explorer" / "stage" / Path(name).name).read_bytes()


def test_no_address_leads_outside_and_no_path_of_this_machine_is_told(out: Path) -> None:
    here = (str(ROOT), str(Path.home()), str(out.parents[1]), sys.prefix)
    for name, content in files_in(out).items():
        if not name.startswith("atlas/") and not name.endswith(".gz"):
            text = content.decode()
            assert set(re.findall(r"\bhttps?://[\w.]+", text)) <= {"http://www.w3.org"}, name
            assert not re.search(r"""(?:src|href|from|url\()\s*=?\s*["'(]/""", text), name
            assert not any(path in text for path in here if len(path) > 5), name


def test_a_policy_allows_what_comes_from_the_same_host_and_the_pages_own_script(out: Path) -> None:
    for page in PAGES:
        named = Named((out / page).read_text())
        rules = {name: allowed for name, *allowed in (rule.split() for rule in named.policy.split("; "))}
        assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
        assert rules["connect-src"] == ["'self'"]
        assert rules["img-src"] == ["data:", "blob:"]
        for kind in ("script-src", "style-src"):
            assert [allowed for allowed in rules[kind] if not allowed.startswith("'sha256-")] == ["'self'"]
            assert len(rules[kind]) == 2


def test_hostile_names_stay_text(library: Path, tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><!--{{policy}}"
    site.write(tmp_path / "site", models=catalogue.read(library), titles={"mnist": (hostile, (hostile,) * 10)})
    page = (tmp_path / "site" / "index.html").read_text()
    assert hostile not in page
    assert json.loads(Named(page).record)["datasets"]["mnist"]["title"] == hostile


# ---- where it goes


def test_it_is_written_again_over_an_earlier_one_to_the_last_byte(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = Path(shutil.copytree(out, tmp_path / "latent"))
    (again / "index.html").unlink()
    (again / "learn.html").write_text("cut off")
    cli.main(["export", "--site", str(again)])
    files = files_in(again)
    assert files == files_in(out)
    megabytes = sum(map(len, files.values())) / 1e6
    assert capsys.readouterr().out == f"{again}: {len(files)} files, {megabytes:.1f} MB, for any web host\n"
    assert list(tmp_path.iterdir()) == [again]


def test_the_documents_state_about_its_size(out: Path) -> None:
    megabytes = sum(map(len, files_in(out).values())) / 1e6
    (stated,) = re.findall(r"as plain files, about (\d+) MB", (ROOT / "docs" / "hosting.md").read_text())
    assert abs(int(stated) / megabytes - 1) < 0.05


@pytest.mark.parametrize(
    "kind",
    ["a file", "a folder of something else", "an empty folder in it", "a site with more in it", "a list cut off"],
)
def test_what_is_no_site_of_ours_is_refused_and_kept(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    place = tmp_path / "place"
    if kind == "a file":
        place.write_text("mine")
    elif kind == "an empty folder in it":
        (place / "mine").mkdir(parents=True)
    else:
        place.mkdir()
        (place / "notes.txt").write_text("mine")
    if kind == "a site with more in it":
        shutil.copy(out / "site.json", place)
    if kind == "a list cut off":
        (place / "site.json").write_text('{"format": 1, "files": ')
    before = files_in(tmp_path)
    told = fail(capsys, ["export", "--site", str(place)])
    expected = {
        "a file": "must be a folder, got the file",
        "a site with more in it": "holds notes.txt, which is not of",
    }
    assert expected.get(kind, "is not empty and no earlier site: choose another folder for --site") in told
    assert files_in(tmp_path) == before
    assert place.exists()


def test_ctrl_c_at_the_last_moment_leaves_the_earlier_site(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, place = catalogue.read(library), tmp_path / "site"
    site.write(place, models=models, titles=TITLES)
    before, rename = files_in(tmp_path), Path.rename

    def interrupted(path: Path, target: Path) -> None:
        rename(path, target)
        if path == place:
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        site.write(place, models=models, titles=TITLES)
    assert files_in(tmp_path) == before


def test_an_empty_folder_is_taken_and_a_web_server_may_read_what_is_written(library: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    usual = os.umask(0o077)
    try:
        site.write(tmp_path / "empty", models=catalogue.read(library), titles=TITLES)
    finally:
        os.umask(usual)
    assert (tmp_path / "empty" / "index.html").exists()
    modes = {path.stat().st_mode & 0o777 for path in [tmp_path / "empty", *(tmp_path / "empty").rglob("*")]}
    assert modes == {0o755, 0o644}


def test_a_damaged_model_is_told_and_the_earlier_site_is_kept(library: Path, tmp_path: Path) -> None:
    models, place = catalogue.read(library), tmp_path / "site"
    site.write(place, models=models, titles=TITLES)
    before = files_in(tmp_path)
    flip_a_bit(library / "mnist-ae-2" / "codes.gz")
    with pytest.raises(DamagedFile, match=r"codes\.gz is damaged"):
        site.write(place, models=models, titles=TITLES)
    flip_a_bit(library / "mnist-ae-2" / "weights.safetensors")
    with pytest.raises(DamagedFile, match="mnist-ae-2 is left out"):
        site.write(place, models=catalogue.read(library), titles=TITLES)
    shutil.rmtree(library)
    assert files_in(tmp_path) == {name: content for name, content in before.items() if name.startswith("site/")}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Either LEFT RIGHT --out view.html, or --site DIR"),
        (["mnist-ae-2", "mnist-vae-2"], "Either LEFT RIGHT --out view.html, or --site DIR"),
        (["mnist-ae-2", "mnist-vae-2", "--site", "somewhere"], "--site takes no models and no --out"),
        (["--out", "view.html", "--site", "somewhere"], "--site takes no models and no --out"),
    ],
)
def test_it_is_asked_for_alone(capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    assert told in fail(capsys, ["export", *arguments])


# ---- served


def test_nginx_with_the_documents_settings_gives_each_file_as_it_was_written(out: Path) -> None:
    program = get_nginx.find()
    if program is None:
        pytest.skip(get_nginx.MISSING)
    text = (ROOT / "docs" / "hosting.md").read_text()
    (settings,) = re.findall(r"```nginx\n(server \{\n    listen 80;\n    root /srv/www;.*?)```", text, re.DOTALL)
    settings = settings.replace("listen 80;", "listen 127.0.0.1:PORT;").replace("/srv/www", str(out.parent))
    listed = json.loads((out / "site.json").read_text())["files"]
    with nginx(program, settings) as server:
        for name, one in listed.items():
            with urllib.request.urlopen(f"{server.url}/latent/{name}") as answer:
                assert hashlib.sha256(answer.read()).hexdigest() == one["sha256"]
                kept = "no-cache" if name.startswith(PAGES) else "public, max-age=31536000, immutable"
                assert answer.headers["Cache-Control"] == kept
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
        asked = urllib.request.Request(f"{server.url}/latent/", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(asked) as answer:
            assert gzip.decompress(answer.read()) == (out / "index.html").read_bytes()
            assert answer.headers["Content-Type"].startswith("text/html")
