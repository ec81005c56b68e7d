"""A CSV of pixels or features: its encoding, its separator, its columns and its rows, each as they turn out to be."""

from __future__ import annotations

import codecs
import csv
import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.bring.arrays import Raw, square_of
from explorer.bring.limits import MAX_CLASSES, MAX_FEATURES, MAX_ITEMS, MAX_SIDE
from explorer.bring.names import distinct
from explorer.bring.report import NO_LABEL, Notes, Tell

LABEL_NAMES = ("label", "labels", "class", "target", "y", "category", "species")
SEPARATORS = ",;\t"
MAX_COLUMNS = max(MAX_FEATURES, 3 * MAX_SIDE * MAX_SIDE) + 100
MAX_FIELD = 100_000
LONG_FIELD = f"a field has more than {MAX_FIELD:,} letters, as where a quote is never closed"
HEAD_ROWS = 200  # from which separator, header and kinds of columns are told
BLOCK_ROWS = 500
TOLD_ROWS = 1000
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
EMPTY = ("", "na", "n/a", "nan", "null", "none", "?", "-")


@dataclass(frozen=True)
class Shape:
    """How a CSV is written: its separator, whether numbers have a decimal comma, its columns' names, their number."""

    separator: str
    comma: bool
    names: tuple[str, ...]
    header: bool
    n: int


@dataclass(frozen=True)
class Table:
    """Rows of numbers, the name of each column, a label each or None, and which column that was, of all."""

    rows: Raw
    names: list[str]
    labels: list[str] | None
    columns: list[str]
    label: str


def read(content: bytes, name: str, notes: Notes, *, label: str | None, tell: Tell) -> Table:
    """The table in a CSV. label: as in Choices. Raises ValueError, with the line where there is one."""
    csv.field_size_limit(MAX_FIELD)
    encoding = encoding_of(content, name, notes)
    shape = shape_of(content, encoding, name)
    rows = [row for _, row in zip(range(HEAD_ROWS), (row for _, row in lines(content, encoding, shape)))]
    if not rows:
        raise ValueError(f"{name} has a header but no rows below it")
    columns = distinct(shape.names)
    texts = {i for i in range(shape.n) if is_text([row[i] for row in rows if len(row) == shape.n], shape)}
    place = label_column(columns, texts, rows, shape, label, notes)
    numeric = [i for i in range(shape.n) if i not in texts and i != place]
    left_out = [columns[i] for i in sorted(texts) if i != place]
    for one in left_out:
        notes.left_out("The column holds text, not numbers.", f"column “{one}”")
    if not numeric:
        raise ValueError(f"{name} has no column of numbers beside its label")
    return gather(content, encoding, shape, name, notes, columns=columns, numeric=numeric, place=place, tell=tell)


def encoding_of(content: bytes, name: str, notes: Notes) -> str:
    """utf-16 if the file begins like it, utf-8 if it is that, else latin-1. Raises ValueError for no text at all."""
    if content.startswith(UTF16):
        return "utf-16"
    if b"\0" in content:
        raise ValueError(
            f"{name} is none of the files that can be read: a zip or files of images, .npz, IDX, or a CSV as text"
        )
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(content), 1 << 20):
            decoder.decode(content[start : start + (1 << 20)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        notes.say("The text is not UTF-8; it was read as Latin-1, so letters beyond English may be wrong.")
        return "latin-1"
    return "utf-8-sig"


def text(content: bytes, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content), encoding=encoding, errors="replace", newline="")


def filled(stream: io.TextIOBase, separator: str) -> Iterator[list[str]]:
    """The rows in which something stands."""
    for row in csv.reader(stream, delimiter=separator):
        if any(field.strip() for field in row):
            yield row


def shape_of(content: bytes, encoding: str, name: str) -> Shape:
    """Tell separator, decimal comma and header from the first rows: the separator that gives most rows most fields."""
    found = []
    for separator in SEPARATORS:
        try:
            rows = [row for _, row in zip(range(HEAD_ROWS), filled(text(content, encoding), separator))]
        except csv.Error:  # by the wrong separator a whole row is one field, and may be too long
            continue
        if not rows:
            raise ValueError(f"{name} has no rows")
        widths = Counter(map(len, rows))
        width, count = widths.most_common(1)[0]
        found.append((count if width > 1 else 0, width, separator, rows))
    if not found:
        raise ValueError(f"{name} cannot be read as a table: {LONG_FIELD}")
    alike, width, separator, rows = max(found, key=lambda one: one[:2])
    if not alike:
        raise ValueError(f"{name} has one column only: columns are separated by commas, semicolons or tabs")
    if width > MAX_COLUMNS:
        raise ValueError(f"{name} has {width:,} columns, at most {MAX_COLUMNS:,} can be read")
    fitting = [row for row in rows if len(row) == width]
    comma = separator != "," and any(is_comma_number(field) for row in fitting[1:] for field in row)
    plain = Shape(separator, comma, (), False, width)
    header = len(rows[0]) == width and has_header(fitting, plain)
    names = rows[0] if header else [f"column {i + 1}" for i in range(width)]
    return Shape(separator, comma, tuple(names), header, width)


def is_comma_number(field: str) -> bool:
    return field.count(",") == 1 and number(field.replace(",", ".")) is not None


def number(field: str) -> float | None:
    """The number that a field holds; None for text; NaN for a field that says there is none."""
    field = field.strip()
    if field.lower() in EMPTY:
        return math.nan
    if "_" in field or len(field) > 60:
        return None
    try:
        return float(field)
    except ValueError:
        return None


def value(field: str, shape: Shape) -> float | None:
    return number(field.replace(",", ".") if shape.comma else field)


def has_header(rows: Sequence[Sequence[str]], shape: Shape) -> bool:
    """Whether the first row names the columns: text stands in it over numbers, or all of it is text, each once."""
    first, below = rows[0], rows[1:HEAD_ROWS]
    texts = [value(field, shape) is None for field in first]
    if not any(texts):
        return False
    if any(
        is_there and below and all(value(row[i], shape) is not None for row in below)
        for i, is_there in enumerate(texts)
    ):
        return True
    return all(texts) and len({*first}) == len(first)


def lines(content: bytes, encoding: str, shape: Shape) -> Iterator[tuple[int, list[str]]]:
    """Each row below the header with the number of the line that it ends on."""
    reader = csv.reader(text(content, encoding), delimiter=shape.separator)
    skip = shape.header
    try:
        for row in reader:
            if any(field.strip() for field in row):
                if skip:
                    skip = False
                else:
                    yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"Line {reader.line_num} cannot be read as a row: {LONG_FIELD}") from error


def is_text(fields: Sequence[str], shape: Shape) -> bool:
    """Whether most of what stands in a column is no number."""
    there = [field for field in fields if field.strip().lower() not in EMPTY]
    return 2 * sum(value(field, shape) is None for field in there) > len(there)


def label_column(
    columns: Sequence[str],
    texts: set[int],
    rows: Sequence[Sequence[str]],
    shape: Shape,
    asked: str | None,
    notes: Notes,
) -> int | None:
    """Which column holds the classes: the one asked for, or the one that looks like it. Raises ValueError."""
    if asked == NO_LABEL:
        return None
    if asked is not None:
        if asked not in columns:
            raise ValueError(f"There is no column “{asked}”; there are: {', '.join(columns[:20])}")
        return columns.index(asked)
    lowered = [column.lower() for column in columns]
    for known in LABEL_NAMES:
        if known in lowered:
            return lowered.index(known)
    fitting = [row for row in rows if len(row) == shape.n]
    few = [i for i in sorted(texts) if 1 < len({row[i] for row in fitting}) <= min(MAX_CLASSES, len(fitting) // 2)]
    if len(few) == 1:
        notes.say(f"The column “{columns[few[0]]}” holds text that comes again and again: it was taken as the label.")
        return few[0]
    if not texts and square_of(shape.n - 1) and not square_of(shape.n):
        for place in (0, shape.n - 1):
            values = {value(row[place], shape) for row in fitting}
            if len(values) <= MAX_CLASSES and all(
                one is not None and one == round(one) for one in values if one == one
            ):
                where = "first" if place == 0 else "last"
                notes.say(f"The other columns make a square image, so the {where} one was taken as the label.")
                return place
    notes.say("No column looks like a label: all rows are in one class.")
    return None


def gather(
    content: bytes,
    encoding: str,
    shape: Shape,
    name: str,
    notes: Notes,
    *,
    columns: list[str],
    numeric: Sequence[int],
    place: int | None,
    tell: Tell,
) -> Table:
    """All rows that can be used; the others are noted by line. Raises ValueError if they are over half."""
    blocks: list[np.ndarray] = []
    block: list[list[float]] = []
    labels: list[str] = []
    seen = 0
    for line, row in lines(content, encoding, shape):
        seen += 1
        if seen % TOLD_ROWS == 0:
            tell("Reading rows", seen, 0)
        values = values_of(row, shape, numeric)
        if isinstance(values, str):
            notes.left_out(values, f"line {line}")
            continue
        if len(labels) >= MAX_ITEMS:
            raise ValueError(f"{name} has more than {MAX_ITEMS:,} rows, the most that can be read: leave some out")
        labels.append(label_of(row[place], shape) if place is not None else "")
        block.append(values)
        if len(block) == BLOCK_ROWS:
            blocks.append(compact(block))
            block = []
    if 2 * len(labels) < seen or not labels:
        raise ValueError(f"{seen - len(labels):,} of {seen:,} rows cannot be used{notes.because()}")
    if block:
        blocks.append(compact(block))
    if shape.comma:
        notes.say("Numbers are written with a decimal comma and were read so.")
    dtype = np.dtype(np.uint8 if all(one.dtype == np.uint8 for one in blocks) else np.float64)
    rows = Raw(name, (len(labels), len(numeric)), dtype, lambda: iter(blocks))
    label = columns[place] if place is not None else NO_LABEL
    return Table(rows, [columns[i] for i in numeric], labels if place is not None else None, columns, label)


def values_of(row: Sequence[str], shape: Shape, numeric: Sequence[int]) -> list[float] | str:
    """The numbers of a row, or what is wrong with it."""
    if len(row) != shape.n:
        return "It has more or fewer fields than the others."
    try:
        values = [float(row[i]) for i in numeric]
    except ValueError:
        found = [value(row[i], shape) for i in numeric]
        if any(one is None for one in found):
            return "It has text where a number was expected."
        values = [one for one in found if one is not None]
    if not all(map(math.isfinite, values)):
        return "It has an empty field, or a value that is no finite number."
    return values


def label_of(field: str, shape: Shape) -> str:
    """A label as text: 3.0 and 3 are one class."""
    found = value(field, shape)
    if found is not None and math.isfinite(found) and found == round(found) and abs(found) < 1e15:
        return str(int(found))
    return field.strip()


def compact(block: Sequence[Sequence[float]]) -> np.ndarray:
    """[rows, columns], as bytes if all values are."""
    values = np.array(block)
    if ((values >= 0) & (values <= 255) & (values == np.floor(values))).all():
        return values.astype(np.uint8)
    return values
