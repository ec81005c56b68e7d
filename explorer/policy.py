"""Content security policies: what a page may load, run and send, and who may put it into a frame."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Collection, Mapping, Sequence

INLINE = re.compile(r'<(style|script)(?: type="(?:module|importmap|text/javascript)")?>(.*?)</\1>', re.DOTALL)
ORIGIN = re.compile(r"https?://(\*\.)?[A-Za-z0-9.-]+(:\d{1,5})?")
FRAMES = "LATENT_EXPLORER_FRAMES"
# Streamlit writes its styles into the page, starts workers and shows pictures from blob: addresses.
PAGE = {
    "default-src": ["'self'"],
    "style-src": ["'self'", "'unsafe-inline'"],
    "img-src": ["'self'", "data:", "blob:"],
    "font-src": ["'self'", "data:"],
    "worker-src": ["'self'", "blob:"],
    "frame-src": ["'none'"],
    "object-src": ["'none'"],
    "base-uri": ["'none'"],
    "form-action": ["'none'"],
}
# A page of charts for the disk: Plotly writes its styles into it and makes pictures of the charts.
REPORT = {
    "default-src": ["'none'"],
    "style-src": ["'unsafe-inline'"],
    "img-src": ["data:", "blob:"],
    "base-uri": ["'none'"],
    "form-action": ["'none'"],
}


def text(rules: Mapping[str, Sequence[str]]) -> str:
    """The rules as a browser reads them, in a header or in a meta element."""
    return "; ".join(" ".join([name, *allowed]) for name, allowed in rules.items())


def inline(page: str) -> dict[str, list[str]]:
    """By "style" and "script", the hashes of what stands in the page itself, as a policy names them."""
    hashes: dict[str, list[str]] = {"style": [], "script": []}
    for tag, content in INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        hashes[tag].append(f"'sha256-{digest}'")
    return hashes


def of_page(page: str, *, ancestors: Collection[str]) -> str:
    """The policy of one of the server's pages: nothing from another server, no script that was not written here."""
    rules = {"script-src": ["'self'", *inline(page)["script"]], "frame-ancestors": list(ancestors)}
    return text({**PAGE, **rules})


def of_report(page: str) -> str:
    """The policy of a page of charts: nothing but what is in it."""
    return text({**REPORT, "script-src": inline(page)["script"]})


def frames_here() -> tuple[str, ...]:
    """The sites that may show all pages in a frame, beside this server itself, where the environment names some.

    Raises ValueError for what is no origin, such as https://example.org.
    """
    named = tuple(os.environ.get(FRAMES, "").split())
    for origin in named:
        if not ORIGIN.fullmatch(origin):
            raise ValueError(f"{FRAMES} must be origins such as https://example.org with spaces, got {origin[:80]!r}")
    return named
