"""Write what the project stands on: docs/licences.md, under which licences, as installed packages say themselves, and
constraints.txt, which version each has that the requirements ask for in turn.

python scripts/make_licences.py: after a pin was raised or a package was added.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
CONSTRAINTS = ROOT / "constraints.txt"
OURS = "explorer"
FILES = ("requirements.txt", "requirements-dev.txt")
PYTHON = 'python_version >= "3.11"'
CLASSIFIER = "License :: "
HEAD = """# Licences

The code is MIT (see LICENSE); of the data the README speaks. Written by `python scripts/make_licences.py` from what the
installed packages say of themselves. The stage's modules in `explorer/stage` use no library.
"""


def pinned(name: str) -> list[Requirement]:
    """The requirements in a file of ours that hold for this Python; lines that begin with - lead elsewhere."""
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return [one for one in found if one.marker is None or one.marker.evaluate()]


def closure(wanted: Iterable[Requirement]) -> dict[str, Distribution]:
    """By canonical name, all that is installed because of these."""
    found: dict[str, Distribution] = {}
    waiting = list(wanted)
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name in found or name == OURS:
            continue
        try:
            found[name] = distribution(one.name)
        except PackageNotFoundError:  # for another system
            continue
        needs = [Requirement(text) for text in found[name].requires or ()]
        extras = one.extras or {""}
        waiting += [
            need
            for need in needs
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return found


def licence_of(package: Distribution) -> str:
    """The SPDX expression, else the classifiers, else the first line of what is said freely."""
    told: Any = package.metadata  # an email message, which its type does not say
    if expression := told.get("License-Expression"):
        return str(expression)
    classes = [one.split(" :: ")[-1] for one in told.get_all("Classifier") or () if one.startswith(CLASSIFIER)]
    classes = [one for one in classes if one != "OSI Approved"]
    freely = str(told.get("License") or "").strip().splitlines()
    return ", ".join(classes) or (re.sub(r"[|`]", " ", freely[0])[:60] if freely else "not said: see its files")


def version_of(package: Distribution) -> str:
    """Its version, without what a build of it adds, such as +cpu."""
    return package.version.split("+")[0]


def table(packages: dict[str, Distribution]) -> list[str]:
    rows = [f"| {name} | {version_of(packages[name])} | {licence_of(packages[name])} |" for name in sorted(packages)]
    return ["| package | version | licence |", "|---|---|---|", *rows]


def constraints() -> str:
    """A pin for each package that is here because others ask for it."""
    asked = {canonicalize_name(one.name) for file in FILES for one in pinned(file)}
    others = closure(one for file in FILES for one in pinned(file))
    pins = [f"{name}=={version_of(others[name])}; {PYTHON}" for name in sorted(others) if name not in asked]
    head = "# What the requirements ask for in turn, as it was tested. Written by python scripts/make_licences.py."
    return "\n".join([head, *pins, ""])


def page() -> str:
    app, all_of_it = (closure(one for file in files for one in pinned(file)) for files in (FILES[:1], FILES))
    tools = {name: one for name, one in all_of_it.items() if name not in app}
    parts = [HEAD, "## The app", "", *table(app), "", "## Tests and benchmarks", "", *table(tools)]
    return "\n".join([*parts, ""])


if __name__ == "__main__":
    PAGE.write_text(page())
    CONSTRAINTS.write_text(constraints())
