"""A worker on a Ray cluster: python -m explorer.remote_worker speaks as explorer.worker does, and a node does the work.

It is a process of its own, so that a cluster that breaks takes no server with it. If the node is lost, the training
goes on elsewhere from the last state that came back. When its reader is gone, so is it, and what it had running.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from explorer import remote_node
from explorer.files import reason, unwritten, write_whole
from explorer.workers import STATES, end_with_reader_alone, ended_by_itself, say, to_go_on

ANSWER_S = 5.0
PATIENCE_S = 10.0  # for a free processor, before the person is told
LOST_AT_MOST = 5


class Remote:
    """One order, and whatever works on it now."""

    def __init__(self) -> None:
        self.order: dict[str, Any] | None = None
        self.ordered = threading.Event()
        self.wish: dict[str, Any] | None = None
        self.node: Any = None
        self.moments = 0
        self.trained = False
        self.lock = threading.Lock()

    def listen(self) -> None:
        """Hear the order, then a wish to stop; without a reader nobody wants the result."""
        for line in sys.stdin:
            if self.order is None:
                self.order = json.loads(line)
                self.moments = self.order.get("moments", 0)
                self.trained = self.order.get("trained", False)
                self.ordered.set()
                continue
            with self.lock:
                self.wish = json.loads(line)
                if self.node:
                    self.node.stop.remote(self.wish)
                elif self.wish["stop"] == "drop":
                    say("dropped")
                    leave()
        leave()

    def connect(self) -> None:
        """Wait until the cluster answers; who waits for the result is told so."""
        told = False
        while problem := unreachable():
            if self.order and not told:
                self.warn(f"The cluster does not answer ({problem}): this waits until it does.")
                told = True
            time.sleep(ANSWER_S)
        say("ready")

    def warn(self, text: str) -> None:
        side = (self.order or {}).get("model", "")
        say("warning", text=f"{side.upper()}: {text[0].lower()}{text[1:]}" if side else text)

    def work(self) -> None:
        """Have the order done, on one node after another if need be."""
        from ray.exceptions import RayError, RayTaskError

        assert self.order is not None
        for _ in range(LOST_AT_MOST):
            try:
                self.work_on_a_node(self.order)
                return
            except RayTaskError as error:  # it is this that could not be done, not the node that went
                why = " ".join(str(error.cause).split())
                say("failed", text=f"The machine that should do this cannot ({why[:200]}): start again.")
                return
            except RayError:
                with self.lock:
                    self.node = None
                hang_up()
                if "model" in self.order:
                    self.order = to_go_on(self.order, moments=self.moments, trained=self.trained)
                    self.warn("The machine that trained is lost. Another one goes on from the last whole epoch.")
                else:
                    self.warn("The machine that computed this is lost. Another one begins anew.")
                self.connect()
        say("failed", text=f"The machines that did this were lost {LOST_AT_MOST} times: ask who runs the cluster.")

    def work_on_a_node(self, order: dict[str, Any]) -> None:
        import ray

        # SPREAD: the two of a pair, where there is room, on two nodes.
        options: dict[str, Any] = {"num_cpus": 1, "max_concurrency": 2, "scheduling_strategy": "SPREAD"}
        node: Any = ray.remote(**options)(remote_node.Node).remote()
        ready = node.ready.remote()
        if not ray.wait([ready], timeout=PATIENCE_S)[0]:
            self.warn("No processor of the cluster is free: this waits for one.")
        ray.get(ready)
        said = node.run.options(num_returns="streaming").remote(order, ray.put(remote_node.pack(order)))
        with self.lock:
            self.node = node
            if self.wish:
                node.stop.remote(self.wish)
        for ref in said:
            self.take_over(*ray.get(ref))

    def take_over(self, line: str, files: remote_node.Files) -> None:
        """The files to where the order says, whole, then the line to who listens."""
        assert self.order is not None
        folder, code = Path(self.order["folder"]), files.pop("code", None)
        for name, content in files.items():
            write_whole(folder / Path(name).name, content, durable=not name.startswith("moment-"))
        for newest in [name for name in files if Path(name).match(STATES)][-1:]:
            for other in folder.glob(STATES):
                if other.name != newest:
                    other.unlink()
        if code is not None:
            if int(code):
                say("failed", text=ended_by_itself(self.order.get("model") or self.order["lab"], int(code)))
            return
        with contextlib.suppress(ValueError):  # a library's remark
            news = json.loads(line)
            self.moments += news["kind"] == "moment"
            self.trained |= news["kind"] == "trained"
            if news["kind"] != "ready":
                print(line, end="", flush=True)


def unreachable() -> str:
    """Join the cluster at RAY_ADDRESS, else the one that this machine belongs to; "" if that worked, else why not."""
    address = os.environ.get("RAY_ADDRESS") or "auto"
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "://" not in host:
        try:  # Ray itself takes most of a minute to say so
            socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
        except OSError as error:
            return reason(error)

    import ray

    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            ignore_reinit_error=True,
        )
    except Exception as error:  # Ray raises many kinds, and all mean the same here
        return " ".join(str(error).split())[:120].rstrip(".:")
    return ""


def hang_up() -> None:
    """Leave the cluster, and nothing running there: the connection itself may be what went.

    Ends this process, so that the server takes up its work with another, if Ray does not let go.
    """
    import ray

    thread = threading.Thread(target=ray.shutdown, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    if thread.is_alive():
        os._exit(1)


def leave() -> None:
    """End at once; Ray ends what this process had running."""
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    end_with_reader_alone()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    remote = Remote()
    threading.Thread(target=remote.listen, daemon=True).start()
    remote.connect()
    remote.ordered.wait()
    try:
        remote.work()
    except OSError as error:
        say("failed", text=f"{unwritten(error, then='start again')}.")
    leave()


if __name__ == "__main__":
    main()
