"""A zip read where it lies: names are never used as paths, sizes are checked as declared and as they come out."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from explorer.bring import limits
from explorer.bring.report import Notes

UTF8_FLAG, ENCRYPTED_FLAG = 0x800, 0x1
FILES_OF_SYSTEMS = {"thumbs.db", "desktop.ini"}
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True)
class Entry:
    """A file among others: its name with the folders before it, its size, and how to read it."""

    name: str
    size: int
    read: Callable[[], bytes]

    @property
    def folder(self) -> str:
        """The name of the folder it lies in, "" for none."""
        return self.name.split("/")[-2] if "/" in self.name else ""


class Unfit(ValueError):
    """An item that cannot be used; the message says why, as a sentence about it."""


def open_zip(path: Path) -> zipfile.ZipFile:
    """Raises ValueError if there is no sound zip at path, or one with too much in it."""
    try:
        archive = zipfile.ZipFile(path)
    except BROKEN as error:
        raise ValueError("The zip is broken or cut off: make it again") from error
    infos = archive.infolist()
    if len(infos) > limits.MAX_ENTRIES:
        raise ValueError(f"The zip has {len(infos):,} files, at most {limits.MAX_ENTRIES:,} can be read")
    declared = sum(info.file_size for info in infos)
    if declared > limits.MAX_UNPACKED_BYTES:
        raise ValueError(
            f"Unpacked, the zip would be {declared / 1e6:,.0f} MB, at most {limits.MAX_UNPACKED_BYTES / 1e6:,.0f} "
            "can be read"
        )
    return archive


def entries(archive: zipfile.ZipFile, notes: Notes) -> Iterator[Entry]:
    """The files of a zip that may be read; what may not is noted by its name."""
    for info in archive.infolist():
        name = name_of(info)
        if info.is_dir() or is_of_a_system(name):
            continue
        try:
            check(info, name)
        except Unfit as unfit:
            notes.left_out(str(unfit), name)
            continue
        yield Entry(name, info.file_size, lambda info=info: read(archive, info))  # type: ignore[misc]


def name_of(info: zipfile.ZipInfo) -> str:
    """The entry's name. Zips made without the flag for UTF-8 mostly hold it nevertheless."""
    name = info.orig_filename
    if not info.flag_bits & UTF8_FLAG:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = info.orig_filename
    return name.replace("\\", "/")


def is_of_a_system(name: str) -> bool:
    """Whether a computer has put it there for itself."""
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or (
        bool(parts) and parts[-1].lower() in FILES_OF_SYSTEMS
    )


def check(info: zipfile.ZipInfo, name: str) -> None:
    """Raise Unfit for an entry that is none of an honest zip."""
    if name.startswith("/") or ".." in name.split("/") or name[1:2] == ":" or "\0" in name:
        raise Unfit("Its name leads out of the zip.")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise Unfit("It is a link, not a file.")
    if info.flag_bits & ENCRYPTED_FLAG:
        raise Unfit("It is encrypted: make the zip without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unfit("It is packed in an unusual way: deflate, the usual one, can be read.")
    if info.file_size > limits.RATIO_FROM_BYTES and info.file_size > limits.MAX_RATIO * info.compress_size:
        raise Unfit(f"It would unpack to more than {limits.MAX_RATIO} times its size.")


def read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The entry's bytes. Raises Unfit if it is broken or larger than it says."""
    try:
        with archive.open(info) as file:
            return read_at_most(file, info.file_size)
    except BROKEN as error:
        raise Unfit("It is broken or cut off.") from error


def read_at_most(file: IO[bytes], size: int) -> bytes:
    """All of file. Raises ValueError, without reading on, if there is more of it than size."""
    content = file.read(size + 1)
    if len(content) > size:
        raise ValueError("There is more in it than it says")
    return content
