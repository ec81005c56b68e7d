"""How long 10,000 images take to be read, checked and reported, and how much memory, beside Pillow alone in a loop.

Run: python bench/bring.py

Colour images of 64x64, as PNG in a zip and as an array in an .npz. Memory is the most that the reading process ever
held, with its interpreter and libraries, over the size of the decoded images. Pillow in a loop decodes the same zip
into one array, without any check.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import Row, show, show_machine
from PIL import Image

N, SIDE, CLASSES = 10_000, 64, 10
DECODED = N * 3 * SIDE * SIDE
SECONDS, TIMES = 5.0, 4.0
# Of this process's own memory; the peak that getrusage gives is also that of the process it was started from.
PEAK = """
import sys
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) * 1024, file=sys.stderr)
"""
OURS = f"import runpy\nrunpy.run_module('explorer.bring', run_name='__main__')\n{PEAK}"
PILLOW = f"""
import io, sys, zipfile
import numpy as np
from PIL import Image
with zipfile.ZipFile(sys.argv[1]) as archive:
    x = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in archive.namelist()])
assert x.nbytes == {DECODED}
{PEAK}
"""


def images() -> np.ndarray:
    """uint8 [N, 64, 64, 3]: smooth colours in 32 steps, so that they are small enough to be brought."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (N, 4, 4, 3), dtype=np.uint8)
    smooth = np.array([np.asarray(Image.fromarray(one).resize((SIDE, SIDE))) for one in coarse])
    return smooth // 8 * 8


def write(folder: Path) -> dict[str, Path]:
    x, paths = images(), {kind: folder / f"images.{kind}" for kind in ("zip", "npz")}
    with zipfile.ZipFile(paths["zip"], "w") as archive:
        for i, one in enumerate(x):
            file = io.BytesIO()
            Image.fromarray(one).save(file, "PNG")
            archive.writestr(f"{i % CLASSES}/{i}.png", file.getvalue())
    np.savez_compressed(paths["npz"], images=x, labels=np.arange(N) % CLASSES)
    return paths


def run(code: str, arguments: Sequence[str] = (), given: str = "") -> tuple[float, float]:
    """Seconds that a process took, and the most memory it held over the decoded size."""
    start = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], input=given, capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - start
    if given and json.loads(ended.stdout.splitlines()[-1])["kind"] != "done":
        sys.exit(ended.stdout)
    return seconds, int(ended.stderr.split()[-1]) / DECODED


def main() -> None:
    show_machine()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write(folder)
        for kind, path in paths.items():
            given = [{"path": str(path), "name": path.name}]
            order = {"given": given, "folder": str(folder / kind), "choices": {}}
            seconds, times = run(OURS, given=json.dumps(order))
            megabytes = path.stat().st_size / 1e6
            rows.append(Row(f"{kind} of {megabytes:.0f} MB -> read, checked, saved", seconds, "s", SECONDS))
            rows.append(Row(f"{kind}: memory over decoded size", times, "times", TIMES))
        seconds, times = run(PILLOW, [str(paths["zip"])])
        rows.append(Row("zip, Pillow in a loop, no checks", seconds, "s"))
        rows.append(Row("zip, Pillow in a loop: memory", times, "times"))
    show(f"{N:,} colour images of {SIDE}x{SIDE}", rows)


if __name__ == "__main__":
    main()
