"""What may be brought: sizes, counts, time. Stated on the page before anything is chosen."""

from __future__ import annotations

MAX_FILE_BYTES = 100_000_000  # of all files chosen at once
MAX_ITEMS = 100_000
MAX_ENTRIES = 150_000  # of a zip, whatever they are
MAX_UNPACKED_BYTES = 1_000_000_000
MAX_RATIO, RATIO_FROM_BYTES = 200, 10_000_000  # a larger entry that was packed more tightly than this is a bomb
MAX_PICTURE_BYTES = 20_000_000
MAX_PIXELS = 40_000_000  # of one picture, looked up before it is decoded
MAX_STORED_BYTES = 450_000_000  # 100,000 grey images of 64x64
MIN_SIDE, MAX_SIDE = 8, 64
MAX_CLASSES = 100
MIN_FEATURES, MAX_FEATURES = 2, 4096
MAX_NAME = 60
MAX_NAMED = 40  # items that one problem lists; the rest are counted
AT_ONCE = 2  # files being read on one server
READING_S = 120
MEMORY_BYTES = 3_000_000_000

SENTENCES = (
    f"At most {MAX_FILE_BYTES // 1_000_000} MB, {MAX_ITEMS:,} items and {MAX_CLASSES} classes.",
    f"Images: grey or colour, kept at {MIN_SIDE}×{MIN_SIDE} to {MAX_SIDE}×{MAX_SIDE} pixels. Larger ones are scaled "
    f"down; one may have {MAX_PICTURE_BYTES // 1_000_000} MB and {MAX_PIXELS // 1_000_000} million pixels.",
    f"Tables: {MIN_FEATURES} to {MAX_FEATURES:,} columns of numbers, each scaled from its lowest to its highest value.",
)
