"""Write the README's table of measures from the figures that ship: python scripts/make_tables.py"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
START, END = "<!-- measures: written by scripts/make_tables.py -->\n", "<!-- end of measures -->\n"
COLUMNS = {
    "recon": ("recon", None),
    "from N(0, I)": ("frechet", "prior"),
    "Gaussian": ("frechet", "gaussian"),
    "mixture": ("frechet", "mixture"),
    "accepted": ("accepted", "prior"),
    "largest step": ("path_step", None),
    "uneven stretch": ("stretch", None),
}


def table() -> str:
    """A line for each shipped model; ceiling and floor of MNIST first."""
    from explorer import catalogue, scoreboard
    from explorer.scoreboard import MEASURES

    boards = [scoreboard.load(catalogue.shipped().root / entry.card.name) for entry in catalogue.shipped().entries]
    lines = [f"| model | {' | '.join(COLUMNS)} |", "|---" * (1 + len(COLUMNS)) + "|"]
    for which in ("ceiling", "floor"):
        cells = []
        for measure, where in COLUMNS.values():
            found = boards[0].get(measure, where)
            value = getattr(found, which) if found else None
            cells.append("" if value is None else f"{value:.{MEASURES[measure].digits}f}")
        lines.append(f"| *{which}, MNIST* | {' | '.join(cells)} |")
    for board in boards:
        cells = [scoreboard.text_of(board.get(*column)) for column in COLUMNS.values()]
        lines.append(f"| {board.about['model']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def renewed(text: str) -> str:
    """The README with the table as it should be."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{table()}{END}{after}"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    readme = ROOT / "README.md"
    readme.write_text(renewed(readme.read_text()))
