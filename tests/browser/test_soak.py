"""Two bad minutes with a fixed seed: people who open, train, stop and bring rubbish, while processes are killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from launch import APP, ROOT, answers, free_port
from playwright.sync_api import Browser, Error, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.soak,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc, to see what is left"),
]
SEED, LASTS_S, SETTLES_S = 8, 100, 30
PAGES = ("", "train", "measure", "learn", "labs", "yours")
MEMORY_MARGIN = 150_000_000  # bytes; a session left behind would be there a hundred times


class Scene:
    """A server on a port of its own, whose processes and files are known by their mark."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.mark = folder, free_port(), f"SOAK_MARK={folder.name}-{os.getpid()}"
        self.url = f"http://127.0.0.1:{self.port}"
        self.random = random.Random(SEED)
        self.start()

    def start(self) -> None:
        name, value = self.mark.split("=")
        environment = {**os.environ, name: value, "TMPDIR": str(self.folder), "STREAMLIT_SERVER_HEADLESS": "true"}
        self.server = subprocess.Popen(
            [part.format(port=self.port) for part in APP],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert answers(self.port, self.server)

    def processes(self) -> list[int]:
        """All that the servers here started, and the server."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
        return found

    def memory(self) -> int:
        """Bytes that the server holds."""
        pages = (Path("/proc") / str(self.server.pid) / "statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    # --- what happens -----------------------------------------------------------------------------------------------

    def look(self, page: Page) -> None:
        page.goto(f"{self.url}/{self.random.choice(PAGES)}", wait_until="commit")
        page.wait_for_timeout(self.random.randint(200, 2500))

    def train(self, page: Page) -> None:
        page.goto(f"{self.url}/train")
        page.get_by_role("button", name="Start", exact=True).click(timeout=8000)
        page.wait_for_timeout(self.random.randint(500, 4000))

    def stop(self, page: Page) -> None:
        page.get_by_role("button", name="Stop", exact=True).click(timeout=1000)

    def rubbish(self, page: Page) -> None:
        page.goto(f"{self.url}/yours")
        page.get_by_role("tab", name="A data set").click(timeout=8000)
        content = self.random.randbytes(20_000)
        name = self.random.choice(("a.zip", "b.csv", "c.npz", "d.png", "e-idx3-ubyte.gz"))
        rubbish = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        page.locator('input[type="file"]:not([accept*="image"])').first.set_input_files(rubbish, timeout=5000)  # type: ignore[arg-type]
        page.wait_for_timeout(1500)

    def kill_a_worker(self, page: Page) -> None:
        workers = sorted(set(self.processes()) - {self.server.pid})
        if workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(workers), signal.SIGKILL)

    def kill_the_server(self) -> None:
        os.kill(self.server.pid, signal.SIGKILL)
        self.server.wait()
        self.start()

    def end(self) -> None:
        self.server.terminate()
        self.server.wait(60)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    for pid in made.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def until(true: Callable[[], bool]) -> bool:
    """Whether it gets true before long."""
    end = time.monotonic() + SETTLES_S
    while time.monotonic() < end and not true():
        time.sleep(0.5)
    return true()


def test_two_bad_minutes_leave_nothing_behind(
    scene: Scene, browser: Browser, record_property: Callable[[str, object], None]
) -> None:
    people = [browser.new_context(viewport={"width": 1200, "height": 900}) for _ in range(2)]
    pages = [person.new_page() for person in people]
    gestures = [scene.look, scene.look, scene.train, scene.stop, scene.rubbish, scene.kill_a_worker]
    done, begun, killed, warm = dict.fromkeys((g.__name__ for g in gestures), 0), time.monotonic(), False, 0
    while time.monotonic() - begun < LASTS_S:
        gesture = scene.random.choice(gestures)
        with contextlib.suppress(Error):  # who stops what does not run finds no button
            gesture(scene.random.choice(pages))
            done[gesture.__name__] += 1
        if not killed and time.monotonic() - begun > LASTS_S / 4:
            scene.kill_the_server()
            killed = True
        if killed and not warm and time.monotonic() - begun > LASTS_S / 2:
            warm = scene.memory()
    with urllib.request.urlopen(f"{scene.url}/health") as answer:
        assert answer.status == 200
    grown = scene.memory() - warm
    for person in people:
        person.close()
    scene.end()
    record_property("gestures", done)
    print(f"{sum(done.values())} gestures {done}; the server grew by {grown / 1e6:.0f} MB over {warm / 1e6:.0f} MB")
    assert all(done[name] for name in ("look", "train", "rubbish")), done
    assert until(lambda: not scene.processes()), scene.processes()
    assert not list(scene.folder.glob("latent-explorer-*[0-9]-*"))
    assert grown < MEMORY_MARGIN
