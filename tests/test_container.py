"""The container file, as far as it can be tried without a container: what it copies is enough, what it runs runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from scripts.launch import free_port, serve

ROOT = Path(__file__).parents[1]

UID = 10001
KNOWN = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "ENV", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "CMD"}
LINES = re.sub(r"\\\n\s*", "", (ROOT / "Containerfile").read_text()).splitlines()
STEPS = [line.split(" ", 1) for line in LINES if line and not line.startswith("#")]


def steps(instruction: str) -> list[str]:
    """What follows an instruction, wherever it stands in the file."""
    return [rest for name, rest in STEPS if name == instruction]


def environment() -> dict[str, str]:
    return dict(word.split("=", 1) for rest in steps("ENV") for word in shlex.split(rest))


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """/app as the image has it: what is copied, and nothing else of the project."""
    folder = tmp_path / "app"
    for rest in steps("COPY"):
        *sources, target = rest.split()
        for source in sources:
            place = folder / target / source if target == "./" else folder / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)
    return folder


def contents(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_its_base_is_pinned_and_its_steps_are_known() -> None:
    (base,) = steps("FROM")
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+\.\d+-slim-\w+", base)
    assert {name for name, _ in STEPS} == KNOWN
    assert steps("USER") == [str(UID)]
    assert steps("WORKDIR") == ["/app"]


def test_nothing_that_is_copied_is_kept_from_the_builder() -> None:
    ignored = set((ROOT / ".dockerignore").read_text().split())
    for rest in steps("COPY"):
        for source in rest.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] not in ignored


def test_each_pinned_package_is_installed_in_one_of_two_steps(app: Path) -> None:
    (split,) = (rest for rest in steps("RUN") if rest.startswith("grep"))
    subprocess.run(["sh", "-ec", split], cwd=app, check=True)
    of_torch, others = ((app / name).read_text().splitlines() for name in ("torch.txt", "packages.txt"))
    assert [line.split("==")[0] for line in of_torch] == ["torch", "torchvision"]
    wanted = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("-e")]
    assert others == wanted
    for name in ("torch.txt", "packages.txt"):
        assert any(f"-r {name}" in rest for rest in steps("RUN"))


def test_what_it_copies_starts_and_is_healthy_and_leaves_its_own_folder_alone(app: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    port = free_port()
    given = {name: value.replace("/state", str(state)) for name, value in environment().items()}
    given |= {"STREAMLIT_SERVER_PORT": str(port), "PATH": os.environ["PATH"], "TMPDIR": str(state)}
    before = contents(app)
    ((_, _, _, _, check),) = (rest.split(maxsplit=4) for rest in steps("HEALTHCHECK"))
    health = [sys.executable, *(word.replace("/app", str(app)) for word in json.loads(check)[1:])]
    (command,) = steps("CMD")
    words = [sys.executable, *json.loads(command)[1:]]
    with serve(words, folder=app, port=port, **given) as server:
        healthy = subprocess.run(health, env=given, check=False, capture_output=True, text=True)
        assert healthy.returncode == 0, healthy.stderr
        with urllib.request.urlopen(urllib.request.Request(f"{server.url}/", headers={"Accept": "text/html"})) as page:
            assert b"<title>" in page.read()
        with urllib.request.urlopen(f"{server.url}/health") as answer:
            assert json.load(answer)["atlas_files"] > 100, "the shipped models are there"
    gone = subprocess.run(health, env=given, check=False, capture_output=True, text=True)
    assert gone.returncode == 1
    assert "not ready" in gone.stderr
    assert contents(app) == before
