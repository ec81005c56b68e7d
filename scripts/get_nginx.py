"""Print the path of an nginx for the tests and benchmarks that need one, after getting it if there is none.

Tried in turn: one that is installed, one that was got before, Debian's package. That is unpacked into .venv and not
installed: so nobody has to be root, and no service starts on port 80.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parents[1] / ".venv" / "nginx"
PACKAGES = ("nginx", "nginx-light")  # where the program itself is: in Debian 12 and later, and before
MISSING = "No nginx could be found or got: install one, or name it in NGINX"


def installed() -> str | None:
    named = os.environ.get("NGINX")
    return named or shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def unpacked() -> str | None:
    path = HERE / "usr" / "sbin" / "nginx"
    return str(path) if path.exists() and runs(str(path)) else None


def runs(path: str) -> bool:
    """Whether the program starts: an unpacked one may miss a library."""
    return subprocess.run([path, "-v"], check=False, capture_output=True).returncode == 0


def run_quietly(*command: str, folder: Path | None = None) -> None:
    subprocess.run(command, cwd=folder, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def unpack(package: str) -> None:
    """The package's files into HERE, whole or not at all."""
    HERE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HERE.parent, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        run_quietly("apt-get", "-qq", "download", package, folder=folder)
        for archive in folder.glob("*.deb"):
            run_quietly("dpkg-deb", "-x", str(archive), str(folder / "whole"))
            with contextlib.suppress(OSError):  # another process was faster
                (folder / "whole").replace(HERE)


def find() -> str | None:
    """The path of nginx; None if there is none and none can be got."""
    if path := installed() or unpacked():
        return path
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return None
    shutil.rmtree(HERE, ignore_errors=True)  # one that does not run
    for update in (False, True):
        if update:
            run_quietly(*([] if os.geteuid() == 0 else ["sudo", "-n"]), "apt-get", "-qq", "update")
        for package in PACKAGES:
            unpack(package)
            if path := unpacked():
                return path
    return None


if __name__ == "__main__":
    print(find() or sys.exit(MISSING))
