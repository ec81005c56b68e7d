"""Start the real app on a free port, for tests, benchmarks and pictures; and how a browser is started there."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
START_SECONDS = 60
BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
APP = (sys.executable, "-m", "explorer", "run", "--port", "{port}")


@dataclass(frozen=True)
class Server:
    """A started server. started: when its process was made, seconds since 1970; listening: when it took connections."""

    pid: int
    url: str
    started: float
    listening: float


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serve(
    command: Sequence[str] = APP, *, folder: Path = ROOT, port: int | None = None, **environment: str
) -> Iterator[Server]:
    """Run a command that starts a server; "{port}" in it is replaced. Its whole process group ends with the block.

    port: where an earlier one was, for its pages to find again; None: a free one.
    """
    port = port or free_port()
    quiet = {"STREAMLIT_SERVER_HEADLESS": "true", "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false"}
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as state:
        settings = {**quiet, "LATENT_EXPLORER_STATE": state, **environment}
        started = time.time()
        process = subprocess.Popen(
            [part.format(port=port) for part in command],
            cwd=folder,
            env={**os.environ, **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            if not answers(port, process):
                log.seek(0)
                sys.exit(f"The server ended before it answered: {' '.join(command)}\n{log.read().decode()}")
            yield Server(process.pid, f"http://127.0.0.1:{port}", started, time.time())
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


NGINX = """
{user}
worker_processes {workers};
daemon off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    types {{ text/html html; text/javascript js; text/css css; application/json json; image/svg+xml svg; }}
    default_type application/octet-stream;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    {http}
}}
"""


@contextlib.contextmanager
def nginx(program: str, http: str, *, workers: int = 1) -> Iterator[Server]:
    """Run nginx (its path: see get_nginx) with http inside its block of that name; PORT in it is a free port.

    All that it writes goes to a folder of its own, so that nobody has to be root.
    """
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers could not read what is this user's alone
    with tempfile.TemporaryDirectory() as folder:
        settings = NGINX.format(user=user, workers=workers, http=http.replace("PORT", str(port)))
        (Path(folder) / "nginx.conf").write_text(settings)
        command = (program, "-p", folder, "-c", "nginx.conf", "-e", "stderr")
        with serve(command, folder=Path(folder), port=port) as server:
            yield server


def sticky(ports: Sequence[int]) -> str:
    """deploy/nginx.conf itself, before servers on two ports, which may be the same; for nginx(...)."""
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    replaced = [(f":{there} max", f":{here} max") for there, here in zip((8501, 8502), ports)]
    for there, here in (("listen 80;", "listen 127.0.0.1:PORT;"), *replaced):
        assert text.count(there) == 1
        text = text.replace(there, here)
    return text


def answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Whether something listens on port before the process ends or the time is up."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.01)
    return False
