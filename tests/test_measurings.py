"""Measuring in processes: figures as they come, trouble in a sentence, nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from explorer import measurings
from explorer.measurings import Measurings
from explorer.scoreboard import Figure

PATIENCE_S = 60
FIGURE = Figure("m", "recon", None, 75.0, 74.0, 76.0, 45.0, 206.0, 100, "Nats.")
SAYS = f"import sys; print({json.dumps(json.dumps(FIGURE.record()))}, flush=True)"

Act = Callable[..., Measurings]


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch) -> Iterator[Act]:
    """Measurings whose processes run a script of the test."""
    made: list[Measurings] = []

    def make(script: str, *, at_once: int = 1, unasked_s: float = 60) -> Measurings:
        def start(folder: Path, dataset: Path | None) -> subprocess.Popen[str]:
            pipe = subprocess.PIPE
            return subprocess.Popen([sys.executable, "-S", "-c", script], stdout=pipe, stderr=pipe, text=True)

        monkeypatch.setattr(measurings, "start_process", start)
        made.append(Measurings(at_once=at_once, unasked_s=unasked_s))
        return made[-1]

    yield make
    for each in made:
        each.close()


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_figures_come_one_by_one_and_then_the_end(act: Act) -> None:
    one = act(f"{SAYS}; import time; time.sleep(60)").start(Path("m"))
    wait_until(lambda: one.figures)
    assert one.figures == [FIGURE]
    assert not one.ended
    assert one.seconds > 0
    one.stop()
    wait_until(lambda: one.ended)
    assert one.problem == ""


def test_a_mistake_is_told_as_the_command_tells_it(act: Act) -> None:
    script = "import sys; print('explorer: /m holds no model', file=sys.stderr); sys.exit(2)"
    one = act(script).start(Path("m"))
    wait_until(lambda: one.ended)
    assert one.problem == "/m holds no model."


def test_an_end_that_nobody_wanted_is_told(act: Act) -> None:
    one = act("import os; os.abort()").start(Path("m"))
    wait_until(lambda: one.ended)
    assert one.problem == "The measuring ended by itself (status -6)."


def test_the_same_model_is_measured_once_at_a_time_and_again_when_asked_again(act: Act) -> None:
    many = act(f"{SAYS}; import time; time.sleep(0.3)")
    one = many.start(Path("m"))
    assert many.start(Path("m")) is one
    assert many.get(Path("m")) is one
    assert many.get(Path("other")) is None
    wait_until(lambda: one.ended)
    assert many.start(Path("m")) is not one


def test_others_wait_for_their_turn(act: Act) -> None:
    many = act("import time; time.sleep(60)")
    first, second = many.start(Path("one")), many.start(Path("two"))
    wait_until(lambda: first.process)
    assert second.started is None
    many.forget(Path("one"))
    wait_until(lambda: second.process)
    assert many.get(Path("one")) is None


def test_what_nobody_asks_for_ends(act: Act) -> None:
    many = act("import time; time.sleep(600)", unasked_s=0.2)
    first, second = many.start(Path("one")), many.start(Path("two"))
    wait_until(lambda: first.ended and second.ended)
    assert second.process is None
    assert first.process
    assert first.process.poll() is not None


def test_a_real_model_is_measured_and_its_figures_are_kept(library: Path) -> None:
    from explorer import scoreboard

    many = Measurings()
    one = many.start(library / "digits-vae-3")
    wait_until(lambda: many.get(one.folder) and one.ended)
    assert one.problem == ""
    assert len(one.figures) == scoreboard.COUNT
    kept = scoreboard.load(one.folder)
    assert [each.record() for each in kept.figures] == [each.record() for each in one.figures]
    assert scoreboard.pictures(one.folder, kept.figures[0])


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    many = Measurings()
    one = many.start(tmp_path)
    wait_until(lambda: many.get(tmp_path) and one.ended)
    assert one.problem.endswith(".")
    assert "Traceback" not in one.problem
    assert one.figures == []
