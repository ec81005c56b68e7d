"""The stage's modules as the browser fetches them: under an address that changes with their content."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from explorer.files import sha256

FOLDER = Path(__file__).parent / "stage"
ENTRY = "index.js"
ENTRY_FOLDER = "_stcore/bidi-components/explorer.stage"  # where Streamlit itself looks for it
PAGES = {"": "stage.js", "train": "live.js", "learn": "learn.js", "labs": "labs.js", "yours": "yours.js"}


@functools.cache
def names() -> tuple[str, ...]:
    return tuple(sorted(path.name for path in FOLDER.glob("*.js")))


@functools.cache
def address() -> str:
    """The folder "stage/<hash of all modules>", relative to the app: what comes from there may be kept for ever."""
    return f"stage/{sha256(b''.join((FOLDER / name).read_bytes() for name in names()))[:16]}"


IMPORT = re.compile(r"(?<=\bfrom ')\./(?=([\w.]+)';)")  # the ./ of: import { h } from './dom.js';


def texts(*entries: str) -> dict[str, str]:
    """The text of modules and of all that they import, by name."""
    found: dict[str, str] = {}
    waiting = [*entries]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = (FOLDER / name).read_text(encoding="utf-8")
            waiting += [match[1] for match in IMPORT.finditer(found[name])]
    return found


def bare(*entries: str) -> dict[str, str]:
    """Modules and all that they import, by name, for a page without a folder of them: each imports by the bare name.

    Nothing else is changed in their text; an import map says what the names stand for.
    """
    return {name: IMPORT.sub("", text) for name, text in texts(*entries).items()}
