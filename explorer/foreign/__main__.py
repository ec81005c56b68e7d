"""A process that runs what a person brought as ONNX: python -m explorer.foreign.

It reads one line of JSON, the order. To bring a model it writes lines of JSON: progress, then "done" or "refused"; to
draw its UMAP, "done". To serve one, it answers codes with images until its input ends: explorer.foreign.serving has the
bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from explorer import sandbox
from explorer.foreign import bringing, structure
from explorer.foreign.limits import BRINGING_S, MAX_FILE_BYTES, MEMORY_BYTES, SERVING_CPU_S
from explorer.foreign.network import Decoder
from explorer.foreign.serving import HEAD


def bring(order: dict[str, Any]) -> None:
    try:
        said = bringing.bring(bringing.Order(**order), sandbox.Teller())
    except ValueError as error:
        sandbox.say("refused", text=" ".join(str(error).split()))
    except MemoryError:
        sandbox.say("refused", text=f"It takes more than the {MEMORY_BYTES / 1e9:g} GB of memory that one may take")
    else:
        sandbox.say("done", said=said)


def serve(order: dict[str, Any], given: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the input ends; what the graph refuses is answered with its sentence."""
    graph = structure.read(Path(order["decoder"]).read_bytes(), what="decoder")
    decoder = Decoder(graph, image_shape=tuple(order["image_shape"]), units=order["units"])
    while head := given.read(HEAD.size):
        _, size = HEAD.unpack(head)
        codes = np.frombuffer(given.read(size), np.float32).reshape(-1, decoder.latent_dim)
        try:
            good, content = 1, decoder(codes).tobytes()
        except (ValueError, MemoryError) as error:
            good, content = 0, " ".join(str(error).split()).encode()
        answers.write(HEAD.pack(good, len(content)) + content)
        answers.flush()


def main() -> None:
    order = json.loads(sys.stdin.buffer.readline())
    do = order.pop("do")
    seconds, file_bytes = (SERVING_CPU_S, 0) if do == "serve" else (BRINGING_S, 4 * MAX_FILE_BYTES)
    sandbox.bound(memory=MEMORY_BYTES, cpu_s=seconds, file_bytes=file_bytes)
    if do == "bring":
        bring(order)
    elif do == "draw":
        bringing.draw(Path(order["folder"]))
        sandbox.say("done")
    else:
        serve(order, sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
