"""What a lab's computation says while it runs, and what it comes to: figures as JSON, arrays as safetensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from explorer.files import sha256, write_record, write_whole

FORMAT = 1
RESULT = "result"


@dataclass(frozen=True)
class Step:
    """News: done of total equal parts are over; text says in a few words which.

    figures and arrays: of this moment, by name, where there is something to show already.
    """

    done: int
    total: int
    text: str
    figures: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """record: figures and settings, plain values for JSON. arrays: by name, float16, float32, uint8 or int32."""

    record: dict[str, Any]
    arrays: dict[str, np.ndarray]


def save(result: Result, folder: Path, name: str) -> dict[str, Any]:
    """Write <name>.safetensors and <name>.json, which has the hash of the first; returns what the second says."""
    from safetensors.numpy import save as to_bytes

    content = to_bytes({key: np.ascontiguousarray(value) for key, value in result.arrays.items()})
    record = {"format": FORMAT, "sha256": sha256(content), **result.record}
    write_whole(folder / f"{name}.safetensors", content)
    write_record(folder / f"{name}.json", record)
    return record
