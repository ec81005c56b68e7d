"""The app, where each visitor finds the data sets of a folder on their shelf: python app_with_sets.py PORT FOLDER."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from streamlit.web import cli

from explorer import visitors

ROOT = Path(__file__).parents[2]
plain = visitors.DataShelf.of


def of(shelf: visitors.DataShelf, visitor: str) -> tuple[visitors.OwnSet, ...]:
    for folder in sorted(GIVEN.iterdir()) if visitor and not plain(shelf, visitor) else ():
        place = shelf.place(visitor)
        shutil.copytree(folder, place, dirs_exist_ok=True)
        shelf.keep(visitor, place, name=folder.name)
    return plain(shelf, visitor)


if __name__ == "__main__":
    os.environ["STREAMLIT_SERVER_PORT"], GIVEN = sys.argv[1], Path(sys.argv[2])
    os.chdir(ROOT)
    visitors.DataShelf.of = of  # type: ignore[method-assign]
    sys.argv = ["streamlit", "run", str(ROOT / "app.py")]
    sys.exit(cli.main())
