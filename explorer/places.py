"""Where a server keeps what must outlive it: a numbered place in the state folder, which one server has at a time.

A place is a folder and, beside it, a file that is locked by the server that has it. The system frees the lock when that
server ends, however it ends, so the next one takes the place over with all that lies there.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from explorer.files import locked, reason

STATE = "LATENT_EXPLORER_STATE"
PREFIX = "latent-explorer-"
NOWHERE = Path(
    os.devnull, "nowhere"
)  # no folder can be made here, so all that is asked of it fails as a full disk does
MOST_PLACES = 100
ORPHANED_S = 7 * 86400.0  # a place that no server has had for so long goes
ORPHANED_BYTES = 20_000_000_000  # all such places together


@dataclass(frozen=True)
class Place:
    """root: the server's own, for as long as lock is open."""

    root: Path
    lock: IO[bytes]

    def leave(self) -> None:
        """For the next server."""
        self.lock.close()


def state_folder() -> Path:
    """Where the places are: LATENT_EXPLORER_STATE, or a folder of this user's among the system's temporary ones.

    Raises ValueError if the system has none that can be written to.
    """
    named = os.environ.get(STATE)
    try:
        return Path(named) if named else Path(tempfile.gettempdir()) / f"{PREFIX}{os.getuid()}"
    except FileNotFoundError as error:
        raise ValueError(f"There is no folder to keep anything in: name one with {STATE}") from error


def take(state: Path) -> Place:
    """The first place that no server has, made if need be; places left long ago are removed.

    Raises ValueError, with the way out, if the state folder is not this user's alone or cannot be written to.
    """
    try:
        make_own(state)
        for number in range(1, MOST_PLACES + 1):
            if lock := locked(state / f"{number}.lock"):
                root = state / str(number)
                root.mkdir(mode=0o700, exist_ok=True)
                remove_orphans(state)
                return Place(root, lock)
    except OSError as error:
        raise ValueError(
            f"The state folder {state} cannot be written to ({reason(error)}): name another with {STATE}"
        ) from error
    raise ValueError(f"The state folder {state} has {MOST_PLACES} servers already: name another with {STATE}")


def make_own(state: Path) -> None:
    """Make the folder, or make sure that nobody else could have put anything into it. Raises ValueError, OSError."""
    state.parent.mkdir(parents=True, exist_ok=True)
    state.mkdir(mode=0o700, exist_ok=True)
    found = state.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise ValueError(f"The state folder {state} is a link, where a folder was expected: name another with {STATE}")
    if found.st_uid != os.getuid():
        raise ValueError(f"The state folder {state} belongs to another user: name one of your own with {STATE}")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError(f"Others may write to the state folder {state}: name one of your own with {STATE}")


def remove_orphans(state: Path) -> None:
    """Remove places that no server has had for long, and the oldest of those that take too much together."""
    left = 0
    for newest, root in sorted(((last_written(root), root) for root in state.glob("*[0-9]")), reverse=True):
        held = locked(root.with_suffix(".lock"))
        if held is None:
            continue
        with held:
            left += sum(file.lstat().st_size for file in root.rglob("*"))
            # A clock that was set back makes an age negative, and the place stays.
            if left > ORPHANED_BYTES or time.time() - newest > ORPHANED_S:
                shutil.rmtree(root, ignore_errors=True)


def last_written(root: Path) -> float:
    return max(path.lstat().st_mtime for path in (root, *root.rglob("*")))


def temporary(what: str = "") -> Path:
    """A new folder that belongs to this process; those of processes that were killed are removed.

    Where the system has no room for one, a path at which nothing can be made.
    """
    prefix = f"{PREFIX}{what}"
    try:
        for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*-*"):
            pid = folder.name.removeprefix(prefix).split("-")[0]
            if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
                shutil.rmtree(folder, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-"))
    except OSError:
        return NOWHERE
