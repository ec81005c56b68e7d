"""The state folder: one place a server, taken over from a dead one, and nobody else's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from explorer import places
from explorer.files import write_whole
from explorer.places import take

TAKE = "import sys, pathlib\nfrom explorer import places\nplace = places.take(pathlib.Path(sys.argv[1]))\n"
HOLD = f"{TAKE}print(place.root.name, flush=True)\nsys.stdin.read()"


def holder(state: Path) -> tuple[subprocess.Popen[str], str]:
    """A process that has a place until it is killed, and the place's name."""
    command = [sys.executable, "-c", HOLD, str(state)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_two_servers_on_one_folder_get_two_places_and_a_dead_ones_is_taken_over(tmp_path: Path) -> None:
    process, name = holder(tmp_path / "state")
    second = take(tmp_path / "state")
    assert (name, second.root.name) == ("1", "2")
    (tmp_path / "state" / "1" / "left").write_text("by the first")
    process.kill()
    process.wait()
    third = take(tmp_path / "state")
    assert third.root.name == "1"
    assert (third.root / "left").read_text() == "by the first"
    for place in (second, third):
        place.leave()


def test_a_place_that_was_left_is_for_the_next_and_for_no_other_user(tmp_path: Path) -> None:
    first = take(tmp_path / "state")
    first.leave()
    second = take(tmp_path / "state")
    assert second.root == first.root
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "state", second.root)] == [0o700, 0o700]
    second.leave()


def test_a_state_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="is a link, where a folder was expected: name another with LATENT_EXPLORER"):
        take(tmp_path / "state")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_state_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: (tmp_path / "state").stat().st_uid + 1)
    with pytest.raises(ValueError, match="belongs to another user: name one of your own with LATENT_EXPLORER_STATE"):
        take(tmp_path / "state")
    assert list((tmp_path / "state").iterdir()) == []


def test_a_state_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    with pytest.raises(ValueError, match="Others may write to the state folder"):
        take(tmp_path / "state")


def test_a_state_folder_that_cannot_be_made_is_told_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ValueError, match=r"cannot be written to \(file exists\): name another with"):
        take(tmp_path / "file" / "state")


def leave_behind(state: Path, *, days: float, size: int = 10) -> Path:
    """A place that a server left so long ago."""
    place = take(state)
    (place.root / "kept").write_bytes(bytes(size))
    then = time.time() - days * 86400
    for path in (place.root / "kept", place.root):
        os.utime(path, (then, then))
    place.leave()
    return place.root


@pytest.mark.parametrize(("days", "stays"), [(6.9, True), (7.1, False), (-400, True)])
def test_a_place_that_no_server_wants_goes_after_a_week_by_whatever_clock(
    tmp_path: Path, days: float, stays: bool
) -> None:
    first = take(tmp_path)
    orphan = leave_behind(tmp_path, days=days)
    first.leave()
    (first.root / "kept").write_text("mine, however old")
    os.utime(first.root, (0, 0))
    again = take(tmp_path)
    assert orphan.exists() == stays
    assert (again.root / "kept").exists()
    again.leave()


@pytest.mark.parametrize("name", ["photos-2019", "2019", "7"])
def test_other_things_in_the_state_folder_are_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine").write_text("my only copy")
    then = time.time() - 400 * 86400
    for path in (tmp_path / name / "mine", tmp_path / name):
        os.utime(path, (then, then))
    for _ in range(7):
        take(tmp_path)
    assert (tmp_path / name / "mine").read_text() == "my only copy"
    assert not (tmp_path / f"{name}.lock").exists()
    assert not (tmp_path / name / "jobs").exists()


def test_a_server_starts_while_another_writes_and_renames(tmp_path: Path) -> None:
    first = take(tmp_path)
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            write_whole(first.root / "news", b"more", durable=False)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            take(tmp_path).leave()
    finally:
        done.set()
        writer.join()


def test_of_places_that_take_too_much_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "ORPHANED_BYTES", 25_000)
    held = [take(tmp_path) for _ in range(3)]
    for place, age in zip(held[1:], (1, 2)):
        (place.root / "kept").write_bytes(bytes(15_000))
        then = time.time() - age * 3600
        for path in (place.root / "kept", place.root):
            os.utime(path, (then, then))
        place.leave()
    held[0].leave()
    take(tmp_path).leave()
    assert [place.root.exists() for place in held] == [True, True, False]


def test_folders_of_dead_processes_are_removed_and_those_of_living_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    dead, alive = (tmp_path / f"latent-explorer-{pid}-x" for pid in (gone.pid, os.getpid()))
    for folder in (dead, alive, tmp_path / "latent-explorer-0"):
        folder.mkdir()
    made = places.temporary()
    assert {path.name for path in tmp_path.iterdir()} == {alive.name, made.name, "latent-explorer-0"}


def test_where_nothing_can_be_written_the_temporary_folder_is_one_in_which_nothing_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    made = places.temporary()
    assert not made.exists()
    with pytest.raises(OSError, match="Not a directory"):
        (made / "shelf").mkdir(parents=True)
    shutil.rmtree(made, ignore_errors=True)
