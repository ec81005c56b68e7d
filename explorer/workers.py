"""Worker processes as the server sees them: JSON lines in, an order and perhaps a word to stop; JSON lines out, news.

Two modules speak so. explorer.worker trains here; explorer.remote_worker has a node of a Ray cluster train, and puts
what comes back where the order says. Which of them is started is all that the server has to know of either.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE, ON_RAY = "explorer.worker", "explorer.remote_worker"
BACKENDS = {"processes": HERE, "ray": ON_RAY}
CHOICE = "LATENT_EXPLORER_JOBS"
STATES = "training-*.safetensors"  # explorer.resume, which needs torch, writes and checks them


def chosen() -> str:
    """The module that works for this server's jobs. Raises ValueError if the environment asks for what is not there."""
    name = os.environ.get(CHOICE) or "processes"
    if name not in BACKENDS:
        raise ValueError(f"{CHOICE} must be one of: {', '.join(BACKENDS)}; got {name[:40]!r}")
    if name == "ray" and importlib.util.find_spec("ray") is None:
        raise ValueError(f"{CHOICE}=ray needs Ray: install it with: pip install -e '.[cluster]'")
    return BACKENDS[name]


def start_process(module: str = HERE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        start_new_session=True,  # the Ctrl-C that ends the server is not for them: they end when it is gone
    )


def tell(worker: subprocess.Popen[str], message: dict[str, Any]) -> None:
    """One JSON line to a worker; one that is gone is noticed by whoever follows it."""
    assert worker.stdin is not None
    with contextlib.suppress(OSError, ValueError):  # ValueError: it has been closed
        worker.stdin.write(json.dumps(message) + "\n")
        worker.stdin.flush()


def say(kind: str, **values: Any) -> None:
    """One line of news, from within a worker."""
    print(json.dumps({"kind": kind, **values}), flush=True)


def to_go_on(order: Mapping[str, Any], *, moments: int, trained: bool) -> dict[str, Any]:
    """The order again for a training that was cut off, from the last state in its folder if there is one.

    moments: how many it has said, whose names are taken. trained: all but UMAP is done.
    """
    own = any(Path(order["folder"]).glob(STATES))
    earlier = order["folder"] if own else order["earlier"]
    return {**order, "earlier": earlier, "moments": moments, "trained": trained}


def end_with_reader_alone() -> None:
    """A system that ends a server may tell all its processes: this one goes when the server is gone."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def ended_by_itself(side: str, code: int) -> str:
    """What is told of a process that ended without a word. side: ae, vae or a lab's name; code: as Popen has it."""
    who = f"{side.upper()}: the training" if side in ("ae", "vae") else "The"
    how = f"signal {-code}" if code < 0 else f"status {code}"
    return f"{who} process ended by itself ({how})."
