from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.files import DamagedFile, read_bounded, read_checked, sha256, write_whole


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
