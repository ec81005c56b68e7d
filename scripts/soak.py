"""Try every promise of RELIABILITY.md, in at most ten minutes, and say of each whether it held: make soak.

The table there is the list: a row's last column but one names the tests that hold its promise. Status 1 if one broke.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
LIST = ROOT / "RELIABILITY.md"
LONGEST_S = 590
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@dataclass(frozen=True)
class Promise:
    """What is promised, and the tests that hold it: each a file and a name."""

    text: str
    tests: tuple[tuple[str, str], ...]


def promises(document: str) -> list[Promise]:
    """The rows of the document's tables that name tests."""
    rows = [line for line in document.splitlines() if line.startswith("| ") and TEST.search(line)]
    return [Promise(row.split("|")[1].strip(), tuple(TEST.findall(row))) for row in rows]


def run(tests: list[tuple[str, str]], report: Path, *, longest_s: float) -> dict[tuple[str, str], str]:
    """How each test ended: held, broke or skipped; one that is missing was not reached in time."""
    paths, names = sorted({path for path, _ in tests}), sorted({name for _, name in tests})
    told = ["-rP", "-m", "", "-k", " or ".join(names), "--junitxml", str(report), "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *paths, *told]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        process.wait(longest_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # it still writes its report
        process.wait()
    return ended(report) if report.exists() else {}


def ended(report: Path) -> dict[tuple[str, str], str]:
    """By file and name. A test of several cases held if all that were not skipped did."""
    found: dict[tuple[str, str], str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        key = f"{case.get('classname', '').replace('.', '/')}.py", case.get("name", "").split("[")[0]
        how = "broke" if case.find("failure") is not None or case.find("error") is not None else "held"
        how = "skipped" if case.find("skipped") is not None else how
        found[key] = min(how, found.get(key, how))  # broke before held before skipped
    return found


def verdict(promise: Promise, found: dict[tuple[str, str], str]) -> str:
    ends = [found.get(test, "not reached") for test in promise.tests]
    return next((end for end in ("broke", "not reached", "skipped") if end in ends), "held")


def main() -> None:
    begun = time.monotonic()
    listed = promises(LIST.read_text(encoding="utf-8"))
    tests = {test for promise in listed for test in promise.tests}
    found: dict[tuple[str, str], str] = {}
    with tempfile.TemporaryDirectory() as folder:
        # The browser's apart: its loop and those of other tests do not go together.
        for browser in (False, True):
            mine = [test for test in tests if ("/browser/" in test[0]) == browser]
            left = LONGEST_S - (time.monotonic() - begun)
            if mine:
                found |= run(mine, Path(folder) / f"{browser}.xml", longest_s=left)
    verdicts = {promise.text: verdict(promise, found) for promise in listed}
    for text, how in verdicts.items():
        print(f"{how:12} {text}")
    held = sum(how == "held" for how in verdicts.values())
    print(f"{held} of {len(verdicts)} promises held, in {time.monotonic() - begun:.0f} s.")
    sys.exit(any(how in ("broke", "not reached") for how in verdicts.values()))


if __name__ == "__main__":
    main()
