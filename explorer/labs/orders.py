"""What may be asked of a lab that trains or computes here: its settings and their bounds. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from explorer import data
from explorer.data import PUBLISHED

NOISES = ("gaussian", "salt and pepper", "occlusion")
GIVEN = "given"  # the name of a file that came with an order
MAX_GIVEN_BYTES = 5_000_000


@dataclass(frozen=True)
class Number:
    """A number from low to high; whole or not."""

    low: float
    high: float
    usual: float
    whole: bool = True

    def read(self, name: str, value: Any) -> float:
        kinds = int if self.whole else (int, float)
        fits = isinstance(value, kinds) and not isinstance(value, bool)
        if not fits or not self.low <= value <= self.high:
            what = "a whole number" if self.whole else "a number"
            raise ValueError(f"{name} must be {what} from {self.low:g} to {self.high:g}, got {str(value)[:40]!r}")
        return value


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    @property
    def usual(self) -> Any:
        return self.values[0]

    def read(self, name: str, value: Any) -> Any:
        if type(value) not in set(map(type, self.values)) or value not in self.values:
            known = ", ".join(map(str, self.values))
            raise ValueError(f"{name} must be one of: {known}; got {str(value)[:40]!r}")
        return value


CLOTHES = Choice(("fashion-mnist", "mnist"))
DIGITS = Choice(tuple(PUBLISHED))
EPOCHS, SEED = Number(1, 50, 10), Number(0, 2**31, 0)
FULL = Choice((False, True))
ORDERS: dict[str, dict[str, Number | Choice]] = {
    "basic": {"dataset": CLOTHES, "full": FULL, "epochs": EPOCHS, "seed": SEED},
    "denoise": {
        "dataset": CLOTHES,
        "full": FULL,
        "noise": Choice(NOISES),
        "level": Number(0.05, 0.6, 0.2, whole=False),
        "epochs": EPOCHS,
        "seed": SEED,
    },
    "heartbeats": {"splits": Number(1, 20, 20), "epochs": Number(1, 400, 200), "seed": SEED},
    "odd-one-out": {"dataset": DIGITS, "odd": Number(0, 9, 0), "epochs": EPOCHS, "seed": SEED},
    "hashing": {"dataset": DIGITS, "full": FULL, "epochs": EPOCHS, "seed": SEED},
    "documents": {"name": Choice(("documents.txt", "documents.csv")), "bits": Choice((32, 8, 16, 64)), "seed": SEED},
    "projections": {
        "dataset": DIGITS,
        "neighbours": Number(2, 200, 15),
        "min_dist": Number(0, 0.99, 0.1, whole=False),
        "n": Number(100, 2000, 1000),
        "seed": SEED,
    },
}
TAKE_A_FILE = {"documents": "a .txt with one document a line or a .csv with one a row"}


def read(lab: str, given: dict[str, Any]) -> dict[str, Any]:
    """All settings of a lab's run: those given, checked, and the usual ones.

    Raises ValueError with a sentence that says what would be right.
    """
    if lab not in ORDERS:
        raise ValueError(f"Unknown lab: {lab[:40]!r}. Must be one of: {', '.join(ORDERS)}")
    known = ORDERS[lab]
    for name in given:
        if name not in known:
            raise ValueError(f"{lab} has no setting {name[:40]!r}; it has {', '.join(known)}")
    chosen: dict[str, Any] = {
        name: one.read(name, given[name]) if name in given else one.usual for name, one in known.items()
    }
    if chosen.get("full"):
        data.check_full(chosen["dataset"])
    return chosen


def check_file(lab: str, given: bytes) -> None:
    """Raise ValueError if the file that came with an order should be there and is not, or the other way round."""
    if lab in TAKE_A_FILE and not given:
        raise ValueError(f"The file is empty: {TAKE_A_FILE[lab]} was expected")
    if lab not in TAKE_A_FILE and given:
        raise ValueError(f"{lab} takes no file")
