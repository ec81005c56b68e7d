"""Bad days: a full disk, a home that is not there or not one's own, no network, damaged files, a clock set back."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer import atlas, catalogue, checkpoints, cli, data, frontier, own_data, packing, scoreboard
from explorer.files import DamagedFile, Unwritten, read_bounded, read_record, write_record, write_whole
from explorer.job import now
from explorer.labs.result import Result
from explorer.labs.result import save as save_result
from explorer.visitors import Shelf
from scripts.launch import answers, free_port
from tests import pages
from tests.damage import flip_a_bit

ROOT = Path(__file__).parent.parent
STRANGER = 64999  # a user without a name, a home or a folder
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to be another user")


# ---- a full disk


@contextlib.contextmanager
def full_disk(room: int = 0) -> Iterator[None]:
    """No file of this process may grow beyond room bytes: what a full disk says, said by the kernel."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@dataclass(frozen=True)
class Writer:
    """Writes a first or a second version into a folder, and reads which one is there."""

    write: Callable[[Path, int], object]
    read: Callable[[Path], object]


def a_set(which: int) -> data.Dataset:
    x = np.full((6, 1, 8, 8), which, np.uint8)
    y = np.array([0, 1, 0, 1, 0, 1], np.uint8)
    parts = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    return own_data.make(title=f"version {which}", source="a test", classes=("a", "b"), **parts)


def a_frontier(which: int) -> frontier.Frontier:
    point = frontier.Point("vae", 2, 1.0, which, 1.0, 1.0, {"frechet/prior": 1.0})
    return frontier.Frontier({"epochs": which}, (point,), {"frechet/prior": (1.0, 2.0)})


def save_board(folder: Path, which: int) -> None:
    shipped = scoreboard.load(checkpoints.PRETRAINED / "mnist-ae-2")
    scoreboard.save(folder, scoreboard.Scoreboard(shipped.figures, {**shipped.about, "which": which}))


def save_lab(folder: Path, which: int) -> None:
    save_result(Result({"which": which}, {"a": np.full(500, which, np.float32)}), folder, "lab")


WRITERS = {
    "a file": Writer(
        lambda f, w: write_whole(f / "a", b"%d" % w * 999), lambda f: read_bounded(f / "a", max_bytes=9999)
    ),
    "a record": Writer(
        lambda f, w: write_record(f / "r", {"format": 1, "w": w}),
        lambda f: read_record(f / "r", what="a record", known_format=1, max_bytes=999),
    ),
    "a data set": Writer(lambda f, w: own_data.save(f, a_set(w)), lambda f: own_data.load(f).title),
    "a frontier": Writer(lambda f, w: frontier.save(f / "f", a_frontier(w)), lambda f: frontier.load(f / "f").settings),
    "figures": Writer(save_board, lambda f: scoreboard.load(f).about["which"]),
    "a lab's result": Writer(save_lab, lambda f: (f / "lab.json").read_bytes()),
}


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_full_disk_is_told_with_the_way_out_and_the_old_file_stays(tmp_path: Path, name: str) -> None:
    writer = WRITERS[name]
    writer.write(tmp_path, 1)
    before, files = writer.read(tmp_path), sorted(path.name for path in tmp_path.iterdir())
    with full_disk(), pytest.raises(Unwritten) as told:
        writer.write(tmp_path, 2)
    assert str(told.value).endswith("cannot be written (file too large): make room on the disk")
    assert writer.read(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    writer.write(tmp_path, 2)
    assert writer.read(tmp_path) != before


def test_a_model_that_cannot_be_kept_leaves_nothing_on_the_shelf(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    folders = [checkpoints.PRETRAINED / "mnist-ae-2", checkpoints.PRETRAINED / "mnist-vae-2"]
    with full_disk(1000), pytest.raises(ValueError, match="make room on the disk, then keep it again") as told:
        shelf.keep("somebody", folders, name="mine")
    assert str(told.value) == "The files cannot be written (file too large): make room on the disk, then keep it again"
    assert not list(shelf.root.rglob("*.*"))
    assert shelf.keep("somebody", folders, name="mine") == ["mine-ae", "mine-vae"]


def test_a_zip_that_cannot_be_written_leaves_none(tmp_path: Path) -> None:
    with full_disk(1000), pytest.raises(Unwritten, match="make room on the disk"):
        packing.pack([checkpoints.PRETRAINED / "mnist-ae-2"], tmp_path / "models.zip")
    assert not list(tmp_path.glob("*zip*"))


def test_an_export_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "view.html"
    out.write_text("the old one")
    with full_disk(1000), pytest.raises(SystemExit) as ended:
        cli.main(["export", "mnist-ae-2", "mnist-vae-2", "--out", str(out)])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"explorer: {out} cannot be written (file too large): make room on the disk\n"
    assert out.read_text() == "the old one"


# ---- another user's folders, no home, no network


@contextlib.contextmanager
def somebody_else() -> Iterator[None]:
    """This process as another user, who may not look into root's own folders."""
    os.seteuid(STRANGER)
    try:
        yield
    finally:
        os.seteuid(0)


@AS_ROOT
def test_the_cache_of_another_user_is_passed_over_and_told_to_who_wants_to_write_there(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest's own folders are closed to others, too, so that nothing below would be found for another reason.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        home = Path(name)
        home.chmod(0o755)
        (home / "latent-explorer" / "MNIST" / "raw").mkdir(parents=True)
        (home / "latent-explorer").chmod(0o700)
        monkeypatch.setenv("XDG_CACHE_HOME", str(home))
        assert data.has_full("mnist"), "for its owner it is there"
        with somebody_else():
            assert not data.has_full("mnist")
            assert [one.parent for one in data.candidate_roots(None)][-1:] == [home]
            with pytest.raises(Unwritten, match=r"\(permission denied\): choose a folder that can be written to"):
                data.download("mnist", root=home / "mine")
            with pytest.raises(Unwritten, match=r"\(permission denied\): choose a folder that can be written to"):
                write_whole(home / "file", b"")


def test_without_a_home_sets_are_looked_for_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("LATENT_EXPLORER_DATA", str(tmp_path))
    assert data.candidate_roots(None) == [tmp_path]
    assert data.load("mnist").source == "the embedded subset"


READS_ALL = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
BECOME = ("setpriv", "--reuid", str(STRANGER), "--regid", str(STRANGER), "--clear-groups", *READS_ALL)


def stranger(*command: str, folder: Path) -> dict[str, Any]:
    """How to run python as a user without a name or a home, who may read all and write only into folder."""
    folder.chmod(0o777)
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    return {"args": [*BECOME, sys.executable, *command], "cwd": ROOT, "env": environment, "text": True}


def as_a_stranger(*command: str, folder: Path, network: bool = True) -> subprocess.CompletedProcess[str]:
    how = stranger(*command, folder=folder)
    how["args"] = [*([] if network else ["unshare", "-n"]), *how["args"]]
    return subprocess.run(**how, capture_output=True, check=False, timeout=240)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder in which everybody may write: pytest's own are behind closed doors."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


ALL_PAGES = """
import json, os
os.environ["HOME"] = "/nonexistent"  # as python -m explorer run does: Streamlit itself ends without one
from explorer import jobs
from streamlit.testing.v1 import AppTest
said = {}
for name in ("main", "train", "measure", "learn", "labs", "yours"):
    page = AppTest.from_file(f"{os.getcwd()}/explorer/pages/{name}.py", default_timeout=60).run()
    said[name] = [one.message for one in page.exception] + [one.value for one in page.error]
jobs.here().close()
print(json.dumps(said))
"""


@AS_ROOT
def test_without_a_home_and_without_a_network_every_page_opens(open_folder: Path) -> None:
    done = as_a_stranger("-c", ALL_PAGES, folder=open_folder, network=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        name: [] for name in ("main", "train", "measure", "learn", "labs", "yours")
    }


@AS_ROOT
@pytest.mark.parametrize("home", [None, "/proc/1/root", "/etc/hostname"], ids=["none", "closed", "a file"])
def test_without_a_home_the_server_starts_and_leaves_a_place_for_the_next_when_it_ends(
    open_folder: Path, home: str | None
) -> None:
    port = free_port()
    how = stranger("-m", "explorer", "run", "--port", str(port), folder=open_folder)
    how["env"] |= {"STREAMLIT_SERVER_HEADLESS": "true", **({"HOME": home} if home else {})}
    process = subprocess.Popen(**how, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert answers(port, process)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            assert json.loads(answer.read())["status"] == "ready"
    finally:
        process.terminate()
        said = process.communicate(timeout=60)[0]
    assert "Traceback" not in said
    (state,) = open_folder.glob("latent-explorer-*")
    assert not [path for path in state.rglob("*") if path.is_file() and path.suffix != ".lock"]


@AS_ROOT
def test_without_a_home_data_get_says_where_to_put_it(open_folder: Path) -> None:
    done = as_a_stranger("-m", "explorer", "data", "get", "mnist", folder=open_folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "explorer: There is no home folder to keep data in: name a folder with --root\n"


DRAWS = """
import numpy as np
from explorer import projection
print(projection.umap(np.random.default_rng(0).normal(size=(60, 4)).astype("float32")).shape)
"""


@AS_ROOT
@pytest.mark.soak
def test_umap_is_drawn_where_neither_home_nor_packages_can_be_written_to(open_folder: Path) -> None:
    done = as_a_stranger("-c", DRAWS, folder=open_folder)
    assert done.stdout == "(60, 2)\n", done.stderr
    (cache,) = open_folder.iterdir()
    assert (cache.name, cache.stat().st_mode & 0o077) == (f"latent-explorer-cache-{STRANGER}", 0)


def test_compiled_code_that_another_user_could_have_put_there_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from explorer import projection

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ours = projection.own_cache()
    assert projection.own_cache() == ours
    ours.chmod(0o777)
    assert projection.own_cache() != ours
    shutil.rmtree(ours)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    ours.symlink_to(tmp_path / "elsewhere")
    assert projection.own_cache() not in (ours, tmp_path / "elsewhere")


# ---- damaged files among those that ship


@pytest.fixture
def shipped_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that ships, to be damaged; the pages show what is there."""
    root = tmp_path / "pretrained"
    shutil.copytree(checkpoints.PRETRAINED, root, copy_function=os.symlink)
    monkeypatch.setattr(catalogue, "shipped", lambda: catalogue.read(root))
    return root


def cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def damage(path: Path, how: Callable[[Path], None]) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    how(path)


def told(page: Any) -> str:
    """All that a page says in words, the stage's sentences among it, without Markdown's escapes."""
    stages = [json.loads(one.proto.json) for one in page.get("bidi_component")]
    problems = [sentence for one in stages for sentence in one.get("catalogue", {}).get("problems", [])]
    said = " ".join([*problems, *(one.value for one in (*page.warning, *page.info, *page.error))])
    return said.replace("\\", "")


@pytest.mark.parametrize("how", [cut_in_half, flip_a_bit, Path.unlink])
@pytest.mark.parametrize(
    ("file", "page", "sentence"),
    [
        ("mnist-ae-2/weights.safetensors", "main.py", "mnist-ae-2 is left out. pretrained/mnist-ae-2/weights.safeten"),
        ("mnist-ae-2/card.json", "yours.py", "mnist-ae-2 is left out. pretrained/mnist-ae-2/card.json"),
        ("mnist-ae-2/atlas.json", "learn.py", "mnist-ae-2 is left out. pretrained/mnist-ae-2/atlas.json"),
        ("mnist-vae-2/codes.gz", "measure.py", "KL of each dimension cannot be shown. pretrained/mnist-vae-2/codes"),
        ("frontier/mnist.json", "measure.py", "What beta trades cannot be shown. pretrained/frontier/mnist.json"),
        ("mnist-vae-2/measures.json", "measure.py", "Not measured yet: mnist-vae-2."),
        ("lessons/pixels.json", "learn.py", ""),
        ("labs/basic.json", "labs.py", ""),
    ],
    ids=lambda value: value if "/" in str(value) else "",
)
def test_a_damaged_file_is_told_on_its_page_and_the_rest_lives_on(
    shipped_files: Path, file: str, page: str, sentence: str, how: Callable[[Path], None]
) -> None:
    damage(shipped_files / file, how)
    said = told(pages.open_page(page))
    assert sentence in said
    assert str(shipped_files.parent) not in said
    models = catalogue.shipped()
    assert len(models.entries) == (7 if file.startswith("mnist-ae-2/") else 8)
    assert len(models.lessons) >= 5
    assert len(models.labs) >= 10


@pytest.mark.parametrize("how", [cut_in_half, flip_a_bit])
def test_a_damaged_classifier_is_told_and_the_models_live_on(shipped_files: Path, how: Callable[[Path], None]) -> None:
    damage(shipped_files / "classifiers/mnist/card.json", how)
    assert "The classifier of mnist is left out. pretrained/classifiers/mnist" in told(pages.open_page("main.py"))
    assert "mnist" not in catalogue.shipped().judges
    assert len(catalogue.shipped().entries) == 8


def test_figures_that_were_damaged_are_told_before_they_are_offered_anew(shipped_files: Path) -> None:
    damage(shipped_files / "mnist-vae-2" / "measures.json", flip_a_bit)
    assert "mnist-vae-2/measures.json" in told(pages.open_page("measure.py"))


def test_a_record_that_says_something_else_than_was_written_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path / "r", {"format": 1, "recon": 67.3, "by": {"10": 1, "9": 2}})
    assert read_record(tmp_path / "r", what="a record", known_format=1, max_bytes=999)["recon"] == 67.3
    (tmp_path / "r").write_text((tmp_path / "r").read_text().replace("67.3", "57.3"))
    with pytest.raises(DamagedFile, match="it does not say what was written; get the file again"):
        read_record(tmp_path / "r", what="a record", known_format=1, max_bytes=999)


def test_every_record_that_ships_is_sealed_and_says_what_was_written() -> None:
    records = list(checkpoints.PRETRAINED.rglob("*.json"))
    assert len(records) > 90
    for path in records:
        known = json.loads(path.read_bytes())
        assert "sealed" in known, path
        read_record(path, what="a record", known_format=known["format"], max_bytes=3_000_000)


def test_images_for_a_new_atlas_are_the_subsets_where_the_shipped_ones_are_damaged(
    shipped_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "PRETRAINED", shipped_files)
    assert len(atlas.held_out("mnist")[0]) == 10_000
    damage(shipped_files / "mnist-ae-2" / "codes.gz", flip_a_bit)
    assert len(atlas.held_out("mnist")[0]) == 2_000


# ---- the clock


def test_a_clock_that_is_set_back_does_not_turn_news_around(monkeypatch: pytest.MonkeyPatch) -> None:
    before = now()
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert before <= now() <= now()


def test_nothing_is_decided_by_the_clock_on_the_wall() -> None:
    """time.time, datetime.now and the ages of files jump when the clock is set; time.monotonic does not."""
    wall = {"time.time", "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.localtime"}
    found = set()
    for path in sorted((ROOT / "explorer").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and (
                node.attr in ("st_mtime", "st_ctime", "st_atime") or ast.unparse(node) in wall
            ):
                found.add((path.stem, ast.unparse(node)))
    assert found == {
        ("job", "time.time"),  # when the server started, for people to read
        ("logs", "datetime.now"),  # when something was said, for people to read
        ("sweep", "time.time"),  # when a sweep started, for people to read
        *(("places", wall) for wall in ("time.time", "path.lstat().st_mtime")),  # how old what nobody has is, in days:
        ("visitors", "place.stat().st_mtime"),  # in which order what an earlier server had is shown
    }
