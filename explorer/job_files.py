"""What of a job outlives its server, in the job's folder: the order, written once, and all its news, line by line.

The order is what was asked for; where the job stands follows from the news. A line is written before anyone hears it,
so who has heard something will find it again. Each line begins with its own hash.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from explorer.files import read_record, sha256, write_record

FORMAT = 1
ORDER, NEWS = "order.json", "news.jsonl"
MAX_ORDER_BYTES = 1_000_000


def write_order(folder: Path, record: dict[str, Any]) -> None:
    """Raises OSError when it cannot be written."""
    write_record(folder / ORDER, {"format": FORMAT, **record}, indent=None)


def read_order(folder: Path) -> dict[str, Any]:
    """Raises DamagedFile if there is none."""
    return read_record(folder / ORDER, what="a job's order", known_format=FORMAT, max_bytes=MAX_ORDER_BYTES)


def add_news(folder: Path, news: dict[str, Any]) -> None:
    """One line more. Where it cannot be written the job goes on all the same: only a new server would miss it."""
    with contextlib.suppress(OSError), (folder / NEWS).open("ab", buffering=0) as file:
        text = json.dumps(news)
        file.write(f"\n{sha256(text.encode())} {text}\n".encode())  # begins anew after a line that was cut off


def read_news(folder: Path) -> list[dict[str, Any]]:
    """All news; lines that were cut off by a full disk or a crash, or are damaged, are left out."""
    found = []
    with contextlib.suppress(OSError):
        for line in (folder / NEWS).read_bytes().splitlines():
            digest, _, text = line.partition(b" ")
            if text and sha256(text) == digest.decode(errors="replace"):
                found.append(json.loads(text))
    return found
