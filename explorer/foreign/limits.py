"""What may be brought as ONNX: sizes, counts, time. Stated on the page before anything is chosen."""

from __future__ import annotations

from explorer.bring.limits import MAX_FEATURES, MAX_SIDE, MIN_FEATURES, MIN_SIDE
from explorer.settings import MAX_LATENT_DIM

MAX_FILE_BYTES = 50_000_000
MAX_NODES = 2000
MAX_ITEMS = 2000  # held-out items that are encoded, or draws that stand for them
MEMORY_BYTES = 3_000_000_000
BRINGING_S = 240  # of one model: encode, decode, draw its maps
DECODING_S = 20  # of one answer while one explores, the start of its process included
SERVING_CPU_S = 600  # then the process ends, and the next wish starts a new one
AT_ONCE = 2  # models being read on one server
SERVED_AT_ONCE = 4
IDLE_S = 60.0
MAX_CODES = 64  # of one answer

SENTENCES = (
    f"At most {MAX_FILE_BYTES // 1_000_000} MB a file, 1 to {MAX_LATENT_DIM} latent dimensions, "
    f"{BRINGING_S // 60} minutes and {MEMORY_BYTES / 1e9:g} GB of memory to be read, "
    f"{DECODING_S} seconds for an answer.",
    f"Images of {MIN_SIDE}×{MIN_SIDE} to {MAX_SIDE}×{MAX_SIDE} pixels, grey or colour, or {MIN_FEATURES} to "
    f"{MAX_FEATURES:,} features: those of the data set that you choose.",
    "Standard ONNX operators, one input, all in one file: no external data, no loops, no functions of its own.",
)
