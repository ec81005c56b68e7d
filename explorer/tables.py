"""Tables to take along: CSV that no spreadsheet runs, and Parquet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

# What OWASP names under "CSV injection", also behind white space; as in stage/csv.js.
FORMULA = re.compile(r"[\s\x00-\x1f\ufeff]*[=+\-@＝＋－＠]|[\t\r\n]")


def harmless(cell: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets an apostrophe in front. Numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of one kind as RFC 4180 has it: a line each, under a line of their keys; None is an empty cell."""
    target = io.StringIO(newline="")
    writer = csv.writer(target, lineterminator="\r\n")
    writer.writerow([harmless(key) for key in rows[0]])
    writer.writerows([harmless(cell) for cell in row.values()] for row in rows)
    return target.getvalue()


def as_parquet(columns: Mapping[str, Any], *, about: Mapping[str, Any]) -> bytes:
    """Columns of one length, each an array (its type stays) or a list of texts, or of numbers and None (float64).

    about is kept in the file's metadata, as JSON under the key latent_explorer.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def typed(values: Any) -> Any:
        if hasattr(values, "dtype"):
            return pa.array(values)
        return pa.array(values, pa.string() if any(isinstance(value, str) for value in values) else pa.float64())

    table = pa.table({name: typed(values) for name, values in columns.items()})
    target = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"latent_explorer": json.dumps(about)}), target)
    return target.getvalue()
