"""Where a server keeps what must outlive it: a numbered place in the state folder, which one server has at a time.

A place is a folder and, beside it, a file that is locked by the server that has it. The system frees the lock when that
server ends, however it ends, so the next one takes the place over with all that lies there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
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
BEFORE_US = 1_700_000_000.0  # seconds since 1970; nothing of ours is older, whatever a clock without a battery said


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
        for root, lock_file in numbered(state):
            if lock := locked(lock_file):
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


def numbered(state: Path) -> Iterator[tuple[Path, Path]]:
    """Each place that there is or can be, and its lock; what someone else has by such a name has none."""
    for number in range(1, MOST_PLACES + 1):
        root, lock_file = state / str(number), state / f"{number}.lock"
        if lock_file.exists() or not root.exists():
            yield root, lock_file


def remove_orphans(state: Path) -> None:
    """Remove places that no server has had for long, and the oldest of those that take too much together.

    Nothing else in the folder is touched: it may be one that someone has other things in.
    """
    with contextlib.ExitStack() as stack:
        orphans = []
        for root, lock_file in numbered(state):
            if root.is_dir() and (lock := locked(lock_file)):
                stack.enter_context(lock)  # until all are looked at: now nobody writes there
                orphans.append((min(map(age, (root, *root.rglob("*")))), root))
        left = 0
        for since, root in sorted(orphans):
            left += sum(file.lstat().st_size for file in root.rglob("*"))
            if left > ORPHANED_BYTES or since > ORPHANED_S:
                shutil.rmtree(root, ignore_errors=True)


def age(path: Path) -> float:
    """How many seconds ago a file was written; 0 where that cannot be told, since a clock was wrong then or is now."""
    written = path.lstat().st_mtime
    return max(0.0, time.time() - written) if written > BEFORE_US else 0.0


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
