"""RELIABILITY.md names tests that there are, and the soak reads them right."""

from __future__ import annotations

from pathlib import Path

from scripts import soak


def test_every_promise_names_tests_that_there_are() -> None:
    listed = soak.promises(soak.LIST.read_text(encoding="utf-8"))
    assert len(listed) > 15
    assert len({promise.text for promise in listed}) == len(listed)
    for promise in listed:
        for path, name in promise.tests:
            assert f"def {name}(" in (soak.ROOT / path).read_text(encoding="utf-8"), name


REPORT = """<testsuites><testsuite>
<testcase classname="tests.test_a" name="test_one[x]"/>
<testcase classname="tests.test_a" name="test_one[y]"><failure/></testcase>
<testcase classname="tests.test_a" name="test_two[x]"><skipped/></testcase>
<testcase classname="tests.test_a" name="test_two[y]"/>
<testcase classname="tests.browser.test_b" name="test_three"><skipped/></testcase>
</testsuite></testsuites>"""


def test_a_promise_holds_only_if_all_its_tests_were_run_and_held(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    found = soak.ended(tmp_path / "report.xml")

    def verdict(*names: str) -> str:
        (promise,) = soak.promises("| a promise | " + " ".join(f"`tests/{name}`" for name in names) + " | last |")
        return soak.verdict(promise, found)

    assert verdict("test_a.py::test_two") == "held"
    assert verdict("test_a.py::test_one") == "broke"
    assert verdict("test_a.py::test_two", "test_a.py::test_one") == "broke"
    assert verdict("browser/test_b.py::test_three") == "skipped"
    assert verdict("test_a.py::test_four") == "not reached"
