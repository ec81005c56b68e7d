"""Files that are whole or not there: written under a temporary name, checked by hash and size when read.

No other module writes a file; tests/test_writers.py keeps it so.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

SEAL = "sealed"  # the key of a record's own hash
LEAST_FREE_BYTES = 500_000_000
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^/\s'\"]+/)+")


class DamagedFile(ValueError):
    """A file that is missing, too large or not the one that was written. The message names it and the way out."""


class UnknownFormat(DamagedFile):
    """A file that may be sound, but is of a version that this one does not read."""


def unknown_format(path: Path, given: object, *, known: int) -> UnknownFormat:
    """What to raise for a file of ours with another format number than is read here."""
    is_older = type(given) is int and given < known
    way_out = "it is an older version's, make it anew" if is_older else "update Latent Explorer"
    return UnknownFormat(f"{path} has format {given!r:.40}; this version reads format {known}: {way_out}")


class Unwritten(OSError):
    """A file that could not be written; what was there before is as it was. The message names it and the way out."""

    def __str__(self) -> str:
        return f"{self.filename} cannot be written ({reason(self)}): {remedy(self)}"


def reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def remedy(error: OSError) -> str:
    return "make room on the disk" if error.errno in FULL else "choose a folder that can be written to"


def unwritten(error: OSError, *, then: str) -> str:
    """For a visitor: a sentence's words without the server's paths. then: what to do when there is room again."""
    return f"The files cannot be written ({reason(error)}): make room on the disk, then {then}"


def check_room(folder: Path) -> None:
    """Raise ValueError, in a visitor's words, if a folder's disk is so full that what is under way needs the rest."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:  # who writes there next will be told why
        return
    if usage.free < min(LEAST_FREE_BYTES, usage.total // 20):
        raise ValueError("The server's disk is nearly full: download what you want to keep, and try again another time")


def public(message: str, *roots: Path) -> str:
    """The message without the server's own folders: what a visitor may read. roots: below them names may stay."""
    for root in roots:
        message = message.replace(f"{root}/", f"{root.name}/")
    return FOLDERS.sub("", message)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """The hash of a file, without having it in memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_whole(path: Path, content: bytes | memoryview, *, durable: bool = True) -> None:
    """Write content to path so that a reader sees the old file or the new one, never a part.

    durable: wait until it would survive a power cut too. Raises Unwritten.
    """
    make_whole(path, lambda unfinished: unfinished.write_bytes(content), durable=durable)


def make_whole(path: Path, make: Callable[[Path], object], *, durable: bool = True) -> None:
    """As write_whole, for content that make writes to the path it is given: what only a library can write."""
    unfinished: Path | None = None
    try:
        if path.is_symlink():
            path = path.resolve()
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "what is there is no file")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        unfinished = Path(name)
        make(unfinished)
        move_whole(unfinished, path, durable=durable)
    except BaseException as error:
        if unfinished:
            unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise Unwritten(error.errno, error.strerror, str(path)) from error
        raise


def move_whole(source: Path, target: Path, *, durable: bool = True) -> None:
    """Put a finished file in target's place; both lie on one disk."""
    source.chmod(0o644)
    if durable:
        to_disk(source)
    source.replace(target)
    if durable:
        to_disk(target.parent)


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def copy_whole(files: Iterable[Path], folder: Path) -> None:
    """Copy files into folder, each whole. What is left of a copy that breaks off, folder and all, goes."""
    new = not folder.exists()
    try:
        for file in files:
            make_whole(folder / file.name, lambda unfinished, file=file: shutil.copyfile(file, unfinished))  # type: ignore[misc]
    except BaseException:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def lock(file: IO[bytes], *, wait: bool = False, shared: bool = False) -> bool:
    """Take a lock on an open file, which ends with it, however its process ends; False if another has it.

    wait: until it is free. shared: beside others that share it. Raises ValueError where the file system has no locks.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        where = Path(file.name).parent
        raise ValueError(f"{where} cannot be locked ({reason(error)}): take a folder on a local disk") from error
    return True


def locked(path: Path) -> IO[bytes] | None:
    """The file, made if need be and locked until it is closed; None if another process has it."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("ab"))
        if not lock(file):
            return None
        stack.pop_all()
    return file


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """While this lasts no other process is in here with the same file, which is made if need be."""
    with path.open("ab") as file:
        lock(file, wait=True)
        yield


def write_record(path: Path, record: dict[str, Any], *, indent: int | None = 1, durable: bool = True) -> None:
    """Write a record, with the hash of what it says, as JSON; read_record reads it. Raises Unwritten."""
    plain = json.loads(json.dumps(record))  # as a reader will have it
    plain.pop(SEAL, None)
    sealed = {**plain, SEAL: seal_of(plain)}
    write_whole(path, (json.dumps(sealed, indent=indent) + "\n").encode(), durable=durable)


def seal_of(record: dict[str, Any]) -> str:
    """The hash of what a record says, whatever its spaces and the order of its keys."""
    return sha256(json.dumps(record, sort_keys=True).encode())


def read_bounded(path: Path, *, max_bytes: int) -> bytes:
    """The file's bytes. Raises DamagedFile if it is missing or larger than max_bytes; a large one is never read."""
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise DamagedFile(f"{path} is too large: {size:,} bytes, at most {max_bytes:,} were expected")
        return path.read_bytes()
    except OSError as error:
        raise DamagedFile(f"{path} cannot be read: {error.strerror or error}") from error


def read_checked(path: Path, *, expected_sha256: str, max_bytes: int) -> bytes:
    """The file's bytes if they have the expected hash; DamagedFile otherwise."""
    content = read_bounded(path, max_bytes=max_bytes)
    found = sha256(content)
    if found != expected_sha256:
        raise DamagedFile(
            f"{path} is damaged: its sha256 is {found[:12]}…, it should be {expected_sha256[:12]}…; get the file again"
        )
    return content


class Once:
    """Files named by their hash, each read and checked once and then shared by all who ask for it.

    most_bytes: how much is kept in all; what was asked for longest ago goes first. Every method may be called from any
    thread.
    """

    def __init__(self, *, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.kept: OrderedDict[str, bytes] = OrderedDict()
        self.lock = threading.Lock()

    def read(self, path: Path, *, expected_sha256: str, max_bytes: int) -> bytes:
        """As read_checked, whose DamagedFile it raises."""
        with self.lock:  # also while it is read: a class that comes all at once reads a file once
            content = self.kept.get(expected_sha256)
            if content is None:
                content = read_checked(path, expected_sha256=expected_sha256, max_bytes=max_bytes)
                self.kept[expected_sha256] = content
            self.kept.move_to_end(expected_sha256)
            while sum(map(len, self.kept.values())) > self.most_bytes:
                self.kept.popitem(last=False)
            return content


def read_record(path: Path, *, what: str, known_format: int, max_bytes: int) -> dict[str, Any]:
    """A JSON file of ours with a format number; what names it in the message ("a model card").

    Raises DamagedFile if the file is missing, too large, no such record or says something else than was written,
    UnknownFormat for a format we do not know. Records of before there were seals have none.
    """
    content = read_bounded(path, max_bytes=max_bytes)
    try:
        record = json.loads(content)
        given = record["format"]
        seal = record.pop(SEAL, None)
        found = seal and seal_of(record)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DamagedFile(f"{path} is not {what}: JSON with a format number was expected") from error
    if given != known_format:
        raise unknown_format(path, given, known=known_format)
    if seal != found:
        raise DamagedFile(f"{path} is damaged: it does not say what was written; get the file again")
    return record
