"""A process that reads what a person brings, where a hostile file can harm no one: python -m explorer.bring.

It reads one line of JSON, the order, and writes lines of JSON: progress, then "done" or "refused". The data set and its
report go into the folder of the order.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from explorer import own_data, sandbox
from explorer.bring import reading
from explorer.bring.limits import MAX_STORED_BYTES, MEMORY_BYTES, READING_S
from explorer.bring.process import REPORT
from explorer.bring.report import Choices
from explorer.files import unwritten, write_whole


def run(order: dict[str, Any]) -> None:
    given = [reading.Given(Path(one["path"]), one["name"]) for one in order["given"]]
    folder = Path(order["folder"])
    brought = reading.read(given, choices=Choices(**order["choices"]), tell=sandbox.Teller())
    if brought.dataset:
        own_data.save(folder, brought.dataset)
    write_whole(folder / REPORT, json.dumps(brought.report.record()).encode(), durable=False)


def main() -> None:
    sandbox.bound(memory=MEMORY_BYTES, cpu_s=READING_S, file_bytes=2 * MAX_STORED_BYTES)
    try:
        run(json.loads(sys.stdin.readline()))
    except ValueError as error:
        sandbox.say("refused", text=" ".join(str(error).split()))
    except MemoryError:
        sandbox.say(
            "refused", text=f"Reading it takes more than the {MEMORY_BYTES / 1e9:g} GB of memory that one may take"
        )
    except OSError as error:
        sandbox.say("refused", text=unwritten(error, then="bring it again"))
    else:
        sandbox.say("done")


if __name__ == "__main__":
    main()
