"""The stage's modules as the browser fetches them: under an address that changes with their content."""

from __future__ import annotations

import functools
from pathlib import Path

from explorer.files import sha256

FOLDER = Path(__file__).parent / "stage"
ENTRY = "index.js"
ENTRY_ADDRESS = f"_stcore/bidi-components/explorer.stage/{ENTRY}"  # where Streamlit itself looks for it


@functools.cache
def names() -> tuple[str, ...]:
    return tuple(sorted(path.name for path in FOLDER.glob("*.js")))


@functools.cache
def address() -> str:
    """The folder "stage/<hash of all modules>", relative to the app: what comes from there may be kept for ever."""
    return f"stage/{sha256(b''.join((FOLDER / name).read_bytes() for name in names()))[:16]}"
