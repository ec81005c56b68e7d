"""Ways to spoil a file, for the tests of what happens then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from explorer import checkpoints
from explorer.files import SEAL, sha256


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def inflate(path: Path) -> None:
    """A terabyte of holes: to read it would take all memory."""
    with path.open("ab") as file:
        file.truncate(1 << 40)


def unsealed(content: bytes) -> dict[str, Any]:
    """A JSON record without its seal, as one has it who means to change what it says."""
    record = json.loads(content)
    record.pop(SEAL, None)
    return dict(record)


def change_json(path: Path, **changes: Any) -> None:
    """Set keys of the JSON record in path."""
    path.write_text(json.dumps({**unsealed(path.read_bytes()), **changes}))


def replace_weights(folder: Path, content: bytes) -> None:
    """Put content in place of the weights and its hash into the card, as one who means harm would."""
    (folder / checkpoints.WEIGHTS).write_bytes(content)
    change_json(folder / checkpoints.CARD, sha256=sha256(content))


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)
