"""No module writes a file but explorer.files, and a writer that is killed leaves the old file or the new one."""

from __future__ import annotations

import ast
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WRITES = {"write_bytes", "write_text", "touch", "savez", "savez_compressed", "save_file", "copy", "copy2", "copyfile"}
WRITES |= {"copytree", "move", "rename", "renames", "tofile", "to_csv", "symlink_to", "hardlink_to", "urlretrieve"}
ALLOWED = {
    ("explorer.own_data", "save_file"): "to the path that files.make_whole gives it",
    ("explorer.visitors", "rename"): "a whole folder moves to its place",
    ("explorer.remote_node", "write_bytes"): "to a folder of this process alone, which goes when it ends",
    ("explorer.site", "rename"): "a whole folder moves to its place",
    ("explorer.job_files", "open"): "a line more of a job's news; one that was cut off is left out when they are read",
    ("explorer.packing", "rename"): "a whole folder moves to its place",
    ("explorer.packing", "copy"): "a value, no file",
    ("explorer.packing", "move"): "its own, which moves folders",
    ("explorer.packing", "ZipFile"): "into memory",
    ("explorer.cli", "copy"): "an array, no file",
}


def opens_to_write(call: ast.Call) -> bool:
    """Whether this is open(path, "w"), path.open("w"), ZipFile(path, "w") or the like."""
    words = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    words += [one.value.value for one in call.keywords if one.arg == "mode" and isinstance(one.value, ast.Constant)]
    return any(set(word) <= set("rwxab+t") and set(word) & set("wxa+") for word in words)


def writers(tree: ast.AST) -> Iterator[str]:
    """What is called in a module that writes to a disk."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in WRITES or (name in ("open", "ZipFile", "fdopen") and opens_to_write(node)):
                yield name


def test_no_module_writes_a_file_but_through_the_one_that_writes_whole_ones() -> None:
    found = set()
    for path in sorted((ROOT / "explorer").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if module != "explorer.files":
            found |= {(module, name) for name in writers(ast.parse(path.read_text()))}
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    "line", ["path.write_bytes(b'')", "open(p, 'w')", "p.open(mode='ab')", "shutil.copy2(a, b)", "ZipFile(p, 'w')"]
)
def test_the_walk_sees_what_writes(line: str) -> None:
    assert list(writers(ast.parse(line)))
    assert not list(writers(ast.parse("path.read_bytes(); p.open('rb'); open(p); ZipFile(p); text.replace('a', 'b')")))


ENDLESS = """
import sys
from pathlib import Path
from explorer.files import write_record, write_whole
folder, count = Path(sys.argv[1]), 0
print("on", flush=True)
while True:
    count += 1
    write_whole(folder / "file", bytes([count % 251]) * 400_000, durable=False)
    write_record(folder / "record", {"format": 1, "text": str(count % 251) * 4000}, durable=False)
"""


def kill_a_writer(folder: Path, *, after_s: float) -> None:
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(folder)], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(after_s)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def assert_whole(folder: Path) -> None:
    from explorer.files import read_record

    content = (folder / "file").read_bytes()
    assert len(content) == 400_000
    assert len(set(content)) == 1
    read_record(folder / "record", what="a record", known_format=1, max_bytes=100_000)


@pytest.mark.parametrize("kills", [6, pytest.param(100, marks=pytest.mark.soak)])
def test_a_writer_killed_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path: Path, kills: int) -> None:
    moments = random.Random(0)
    for _ in range(kills):
        kill_a_writer(tmp_path, after_s=0.05 + moments.random() / 10)
        assert_whole(tmp_path)
