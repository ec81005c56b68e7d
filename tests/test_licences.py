"""What the project stands on: pinned, listed with its licence, and silent about who uses it."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from streamlit import config

from scripts.make_licences import CONSTRAINTS, FILES, PAGE, ROOT, closure, licence_of, pinned

ROWS = dict(re.findall(r"^\| (\S+) \| (\S+) \| .+ \|$", PAGE.read_text(), re.MULTILINE))


class Told:
    """A package that says of itself what a test makes it say."""

    def __init__(self, **told: str) -> None:
        self.metadata = Metadata(told)


class Metadata(dict[str, str]):
    def get_all(self, name: str) -> list[str] | None:
        return self[name].split(";") if name in self else None


@pytest.mark.parametrize("file", FILES)
def test_every_requirement_is_pinned_and_listed_with_its_licence(file: str) -> None:
    lines = [line for line in (ROOT / file).read_text().splitlines() if line and line[0] not in "-#"]
    assert len(lines) > 5
    pins: dict[str, set[str]] = {}
    for requirement in map(Requirement, lines):
        (pin,) = requirement.specifier
        assert pin.operator == "==", requirement
        pins.setdefault(requirement.name, set()).add(pin.version)
    for name, versions in pins.items():
        assert ROWS[name] in versions, f"{name} was raised: run python scripts/make_licences.py"


def test_what_is_asked_for_in_turn_is_pinned_too_and_held_to() -> None:
    assert "-c constraints.txt" in (ROOT / FILES[0]).read_text().splitlines()
    pins = {}
    for requirement in pinned(CONSTRAINTS.name):
        (pin,) = requirement.specifier
        assert pin.operator == "=="
        pins[requirement.name] = pin.version
    asked = {requirement.name for file in FILES for requirement in pinned(file)}
    assert not asked & pins.keys(), "each is pinned in one place"
    there = closure(one for file in FILES for one in pinned(file))
    assert there.keys() <= asked | pins.keys(), "run python scripts/make_licences.py"
    assert {name: there[name].version.split("+")[0] for name in pins.keys() & there.keys()} == {
        name: pins[name] for name in pins.keys() & there.keys()
    }
    assert all(ROWS[name] == version for name, version in pins.items())


def test_only_the_pins_for_this_python_are_taken() -> None:
    names = [one.name for one in pinned("requirements.txt")]
    assert names.count("numpy") == 1
    assert "torch" in names


def test_no_licence_is_one_that_would_bind_the_project_itself() -> None:
    assert not re.search(r"\| [^|]*\b(A?GPL|GNU General)", PAGE.read_text())


@pytest.mark.parametrize(
    ("told", "licence"),
    [
        ({"License-Expression": "MIT", "License": "long"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: MIT License;Topic :: X", "License": "other"}, "MIT License"),
        ({"Classifier": "License :: OSI Approved", "License": "BSD | 3\nand so on"}, "BSD   3"),
        ({}, "not said: see its files"),
    ],
)
def test_a_licence_is_what_the_package_says_most_exactly(told: dict[str, str], licence: str) -> None:
    assert licence_of(Told(**told)) == licence  # type: ignore[arg-type]


def test_streamlit_tells_nobody_who_uses_it_and_asks_nobody_for_its_address() -> None:
    assert config.get_option("browser.gatherUsageStats") is False
    assert config.is_manually_set("browser.serverAddress"), "else it asks a service elsewhere when it starts"
