"""Files that are whole or not there: written under a temporary name, checked by hash and size when read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^/\s'\"]+/)+")


class DamagedFile(ValueError):
    """A file that is missing, too large or not the one that was written. The message names it and the way out."""


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


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write content to path so that a reader sees the old file or the new one, never a part.

    durable: wait until it would survive a power cut too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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


def read_record(path: Path, *, what: str, known_format: int, max_bytes: int) -> dict[str, Any]:
    """A JSON file of ours with a format number; what names it in the message ("a model card").

    Raises DamagedFile if the file is missing, too large, no such record or of a format we do not know.
    """
    content = read_bounded(path, max_bytes=max_bytes)
    try:
        record = json.loads(content)
        given = record["format"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DamagedFile(f"{path} is not {what}: JSON with a format number was expected") from error
    if given != known_format:
        ways_out = f"this version reads format {known_format}: update Latent Explorer"
        raise DamagedFile(f"{path} has format {given!r}; {ways_out}")
    return record
