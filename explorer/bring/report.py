"""How a reading went: what was found, scaled, repaired and left out, as plain values for the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from explorer.bring.limits import MAX_NAMED
from explorer.bring.names import clean

LEFT_OUT, REPAIRED = "left out", "repaired"
AUTO, PIXELS, FEATURES = "auto", "pixels", "features"
MEANINGS = (AUTO, PIXELS, FEATURES)
NO_LABEL = ""
MAX_SHOWN_NAME = 100
Tell = Callable[[str, int, int], None]  # what is being done, how many are done, of how many (0: not known)


@dataclass(frozen=True)
class Choices:
    """What a person may decide of rows of numbers.

    label: the name of the column with the classes; NO_LABEL for none; None for the one that looks like it.
    meaning: whether the numbers are pixels or features; AUTO for what they look like.
    """

    label: str | None = None
    meaning: str = AUTO

    def __post_init__(self) -> None:
        if self.meaning not in MEANINGS:
            raise ValueError(f"Unknown meaning: {self.meaning!r}. Must be one of: {', '.join(MEANINGS)}")


@dataclass(frozen=True)
class Problem:
    """What was wrong with count items, of which some are named, and whether they were repaired or left out."""

    what: str
    fate: str
    count: int
    items: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {self.count - len(self.items):,} more" if self.count > len(self.items) else ""
        return f"{self.fate.capitalize()}: {', '.join(self.items)}{more}. {self.what}"


@dataclass(frozen=True)
class ClassCount:
    """A class, how many items it has, and some of them in one picture (a data: URL; "" for tables)."""

    name: str
    count: int
    examples: str = ""


@dataclass(frozen=True)
class Report:
    """name: that of the data set, "" if it cannot be trained on; missing then says why.

    shape: of one item, [C, H, W]. notes: sentences about the whole. features: name, low, high of each column of a
    table, rows its first rows. columns: those of a CSV, any of which may be chosen as label.
    """

    name: str
    title: str
    source: str
    shape: tuple[int, int, int]
    n_train: int
    n_test: int
    classes: tuple[ClassCount, ...]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]
    missing: str = ""
    features: tuple[tuple[str, float, float], ...] = ()
    rows: tuple[tuple[float, ...], ...] = ()
    columns: tuple[str, ...] = ()
    label: str | None = None
    rows_of_numbers: bool = False

    def record(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, record: dict[str, Any]) -> Report:
        """The report whose record this is."""
        plain: dict[str, Any] = {
            **{key: tuple(value) if isinstance(value, list) else value for key, value in record.items()},
            "classes": tuple(ClassCount(**one) for one in record["classes"]),
            "problems": tuple(Problem(**{**one, "items": tuple(one["items"])}) for one in record["problems"]),
            "features": tuple((name, low, high) for name, low, high in record["features"]),
            "rows": tuple(map(tuple, record["rows"])),
        }
        return cls(**plain)


@dataclass
class Notes:
    """Collects what there is to say while files are read."""

    sentences: list[str] = field(default_factory=list)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    items: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def say(self, sentence: str) -> None:
        if sentence not in self.sentences:
            self.sentences.append(sentence)

    def left_out(self, what: str, item: str) -> None:
        self._add(what, LEFT_OUT, item)

    def repaired(self, what: str, item: str) -> None:
        self._add(what, REPAIRED, item)

    def _add(self, what: str, fate: str, item: str) -> None:
        key = (what, fate)
        self.counts[key] = self.counts.get(key, 0) + 1
        named = self.items.setdefault(key, [])
        if len(named) < MAX_NAMED:
            named.append(clean(item, longest=MAX_SHOWN_NAME) or "(no name)")

    def because(self) -> str:
        """What most items were left out for, with the first of them, in brackets; "" if none were."""
        left_out = {key: count for key, count in self.counts.items() if key[1] == LEFT_OUT}
        if not left_out:
            return ""
        key = max(left_out, key=lambda one: left_out[one])
        return f" ({self.items[key][0]}: {key[0].rstrip('.')})"

    def problems(self) -> tuple[Problem, ...]:
        return tuple(
            Problem(what, fate, count, tuple(self.items[what, fate])) for (what, fate), count in self.counts.items()
        )
