from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer import files
from explorer.files import DamagedFile, Once, Unwritten, check_room, read_bounded, read_checked, sha256, write_whole


@given(content=st.binary(max_size=3000))
def test_what_was_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("round") / "new folder" / "file.bin"
    write_whole(path, content)
    assert read_checked(path, expected_sha256=sha256(content), max_bytes=len(content)) == content


@given(content=st.binary(min_size=1, max_size=300), position=st.integers(min_value=0))
def test_one_flipped_bit_is_noticed(tmp_path_factory: pytest.TempPathFactory, content: bytes, position: int) -> None:
    path = tmp_path_factory.mktemp("flip") / "file.bin"
    flipped = bytearray(content)
    flipped[position // 8 % len(content)] ^= 1 << position % 8
    path.write_bytes(flipped)
    with pytest.raises(DamagedFile, match=r"file\.bin is damaged"):
        read_checked(path, expected_sha256=sha256(content), max_bytes=1000)


def test_the_hash_is_that_of_the_standard() -> None:
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    write_whole(path, b"old")
    with pytest.raises(TypeError):
        write_whole(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [child.name for child in tmp_path.iterdir()] == ["file.bin"]


def test_a_write_onto_a_folder_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_whole(tmp_path / "taken", b"new")
    assert [child.name for child in tmp_path.iterdir()] == ["taken"]


def test_what_is_there_and_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unwritten, match="pipe cannot be written"):
        write_whole(tmp_path / "pipe", b"new")
    assert (tmp_path / "pipe").is_fifo()


def test_a_link_stays_and_the_file_that_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_reader_never_sees_a_part_of_a_write(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    contents = [letter * 200_000 for letter in (b"a", b"b")]
    write_whole(path, contents[0])

    def write_in_turn() -> None:
        for i in range(40):
            write_whole(path, contents[i % 2])

    writer = threading.Thread(target=write_in_turn)
    writer.start()
    seen = []
    while writer.is_alive():
        seen.append(path.read_bytes() in contents)
    writer.join()
    assert seen
    assert all(seen)


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.bin"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of holes: to read it would take all memory
    with pytest.raises(DamagedFile, match=r"huge\.bin is too large: 1,099,511,627,776 bytes, at most 10 were expected"):
        read_bounded(path, max_bytes=10)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()], ids=["missing", "a folder"])
def test_what_cannot_be_read_is_named(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "it")
    with pytest.raises(DamagedFile, match="it cannot be read: "):
        read_bounded(tmp_path / "it", max_bytes=1 << 20)


# ---- what is shared


def files_of(folder: Path, *sizes: int) -> list[tuple[Path, str]]:
    """Files of some sizes, each with its hash."""
    found = []
    for number, size in enumerate(sizes):
        content = bytes([number]) * size
        (folder / str(number)).write_bytes(content)
        found.append((folder / str(number), sha256(content)))
    return found


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read from the disk, in order."""
    names: list[str] = []
    plain = files.read_checked
    monkeypatch.setattr(files, "read_checked", lambda path, **how: names.append(path.name) or plain(path, **how))
    return names


def test_many_who_ask_at_once_share_one_reading(tmp_path: Path, read: list[str]) -> None:
    [(path, digest)] = files_of(tmp_path, 1000)
    once, given = Once(most_bytes=5000), []
    threads = [
        threading.Thread(target=lambda: given.append(once.read(path, expected_sha256=digest, max_bytes=1000)))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == ["0"]
    assert len(given) == 20
    assert all(content is given[0] for content in given), "a copy for each would cost each its memory"


def test_what_is_kept_has_a_bound_and_what_was_asked_for_longest_ago_goes(tmp_path: Path, read: list[str]) -> None:
    known = files_of(tmp_path, 400, 400, 400)
    once = Once(most_bytes=1000)
    for number in (0, 1, 0, 2, 0, 1):
        path, digest = known[number]
        assert once.read(path, expected_sha256=digest, max_bytes=1000) == path.read_bytes()
        assert sum(map(len, once.kept.values())) <= 1000
    assert read == ["0", "1", "2", "1"]


def test_one_file_larger_than_the_bound_is_given_and_not_kept(tmp_path: Path) -> None:
    [(path, digest)] = files_of(tmp_path, 400)
    once = Once(most_bytes=100)
    assert once.read(path, expected_sha256=digest, max_bytes=1000) == bytes(400)
    assert not once.kept


def test_a_damaged_file_is_not_kept_and_a_mended_one_is_read(tmp_path: Path) -> None:
    [(path, digest)] = files_of(tmp_path, 400)
    once = Once(most_bytes=1000)
    path.write_bytes(b"damaged")
    with pytest.raises(DamagedFile, match="is damaged"):
        once.read(path, expected_sha256=digest, max_bytes=1000)
    path.write_bytes(bytes(400))
    assert once.read(path, expected_sha256=digest, max_bytes=1000) == bytes(400)


@pytest.mark.parametrize(
    ("free", "total", "fits"), [(600, 10_000, True), (400, 10_000, False), (6, 100, True), (4, 100, False)]
)
def test_a_disk_that_is_nearly_full_takes_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, total: int, fits: bool
) -> None:
    """In MB: a twentieth of a small disk has to stay free, 500 MB of a large one."""
    usage = shutil._ntuple_diskusage(total * 10**6, (total - free) * 10**6, free * 10**6)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with contextlib.nullcontext() if fits else pytest.raises(ValueError, match="The server's disk is nearly full"):
        check_room(tmp_path)
