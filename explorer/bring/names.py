"""Names that come from outside, made fit to be shown: of classes, columns, files."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from explorer.bring.limits import MAX_NAME

JOINERS = "\u200c\u200d"  # emoji and some scripts need them; other invisible characters can turn or hide text
FILLERS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and signs that show nothing
NAMELESS = "(no name)"


def clean(text: str, *, longest: int = MAX_NAME) -> str:
    """text in NFC, without what cannot be seen or turns the writing around, at most longest characters."""
    visible = "".join(" " if character.isspace() else character for character in text if is_visible(character))
    whole = " ".join(unicodedata.normalize("NFC", visible).split()).strip(JOINERS)
    return whole if len(whole) <= longest else whole[: longest - 1] + "…"


def is_visible(character: str) -> bool:
    if character in FILLERS:
        return False
    return character.isspace() or character in JOINERS or unicodedata.category(character) not in ("Cc", "Cf", "Cs")


def distinct(names: Sequence[str]) -> list[str]:
    """The names, each cleaned; one that another has already gets a number."""
    taken: set[str] = set()
    found = []
    for name in names:
        short = clean(name) or NAMELESS
        one, number = short, 2
        while one in taken:
            ending = f" ({number})"
            one, number = short[: MAX_NAME - len(ending)] + ending, number + 1
        taken.add(one)
        found.append(one)
    return found
