"""What is read or drawn once a process for everybody. Nothing of a visitor's own is kept here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_DRAWN = 300  # charts of what ships, some 10 KB each
MOST_READ = 4000  # records of what ships and of sweeps, 1 to 100 KB each

T = TypeVar("T")


@st.cache_resource(max_entries=MOST_DRAWN, show_spinner=False)
def drawn_once(key: str, _draw: Callable[[], go.Figure]) -> go.Figure:
    """A chart of what ships, drawn once a process and shared: to draw one costs ten times what it costs to send it."""
    return _draw()


def read_once(file: Path, read: Callable[[Path], T]) -> T:
    """What read makes of the folder of a file, shared, and read again only when the file was written anew.

    Raises what read does, each time.
    """
    try:
        about = file.stat()
    except OSError:
        return read(file.parent)
    found: T = _as_read(str(file), about.st_mtime_ns, about.st_size, read)
    return found


@st.cache_resource(max_entries=MOST_READ, show_spinner=False)
def _as_read(file: str, changed: int, size: int, _read: Callable[[Path], Any]) -> Any:
    return _read(Path(file).parent)
