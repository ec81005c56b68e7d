"""A page of the app, run without a browser."""

from __future__ import annotations

import re
from pathlib import Path

from streamlit.testing.v1 import AppTest

PAGES = Path(__file__).parent.parent / "explorer" / "pages"


def open_page(name: str, **query: str) -> AppTest:
    """The page called name after its first run, at an address with query; it raised nothing."""
    page = AppTest.from_file(PAGES / name, default_timeout=30)
    for key, value in query.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception
    return page


def seen(markdown: str) -> str:
    """What a person reads of Markdown in which nothing is marked up: without backslashes and joiners."""
    return re.sub(r"\\(.)", r"\1", markdown).replace("\N{WORD JOINER}", "")
