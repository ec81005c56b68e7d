"""Semantic hashing of texts that somebody brings along: their words weighed, then codes as in the lab of hashing.

There are no labels to judge by. What counts as right are a document's nearest others by the cosine of their TF-IDF
vectors, and the question is how many of them a code finds again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.labs.hashing import (
    BATCH,
    METHODS,
    NEIGHBOURS,
    bits_of,
    blocks,
    build,
    count_by_distance,
    distances_to,
    itq,
    losses_of,
    lsh,
    overlap,
    pack,
    principal,
    settings_record,
    settle,
    through,
)
from explorer.labs.result import Result, Step

MAX_BYTES, MAX_DOCUMENTS, MAX_CHARACTERS = 5_000_000, 20_000, 10_000
MIN_DOCUMENTS = 2 * NEIGHBOURS
MAX_WORDS = 2000
TEXT_COLUMNS = ("text", "document", "title", "body", "abstract", "content", "description")
DEPTHS = (10, 50)
SHOWN_CHARACTERS = 150
STEPS, MAX_EPOCHS = 600, 200


# ---- reading


def read_documents(content: bytes, name: str) -> list[str]:
    """The documents of a file: of a .txt one a line, of a .csv one a row, blank ones left out, long ones cut.

    A .csv whose first row names a column as one of TEXT_COLUMNS has a header: that row is skipped and the column of
    the first such name in that row taken. Any other has none, and the column with the most characters is taken.
    Raises ValueError, in one clause, for another ending, more than MAX_BYTES, what is not UTF-8 (a byte order mark is
    allowed) or holds NUL, and fewer than MIN_DOCUMENTS or more than MAX_DOCUMENTS documents.
    """
    ending = PurePath(name).suffix.lower()
    if ending not in (".txt", ".csv"):
        raise ValueError(f"{name[:60]!r} must be a .txt with one document a line or a .csv with one a row")
    if len(content) > MAX_BYTES:
        raise ValueError(f"A file may have at most {MAX_BYTES:,} bytes, this one has {len(content):,}")
    text = decoded(content)
    found = (part.strip()[:MAX_CHARACTERS] for part in (cells(text) if ending == ".csv" else text.splitlines()))
    documents = [part for part in found if part]
    if not MIN_DOCUMENTS <= len(documents) <= MAX_DOCUMENTS:
        raise ValueError(f"There must be {MIN_DOCUMENTS} to {MAX_DOCUMENTS:,} documents, got {len(documents):,}")
    return documents


def decoded(content: bytes) -> str:
    """The text of UTF-8. Raises ValueError for anything else, and for an empty file."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"The file must be text in UTF-8, byte {error.start:,} is not") from error
    if "\0" in text:
        raise ValueError(f"The file must be text in UTF-8, character {text.index(chr(0)):,} is NUL")
    if not text.strip():
        raise ValueError("The file is empty, one document a line or row was expected")
    return text


def cells(text: str) -> list[str]:
    """The text column of a CSV. Raises ValueError if it cannot be read as one."""
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error as error:
        raise ValueError(f"The file cannot be read as CSV with commas and double quotes: {error}") from error
    named = [column for column, title in enumerate(rows[0]) if title.strip().lower() in TEXT_COLUMNS]
    if named:
        return [row[named[0]] for row in rows[1:] if len(row) > named[0]]
    lengths = [sum(len(row[column]) for row in rows if len(row) > column) for column in range(max(map(len, rows)))]
    longest = int(np.argmax(lengths))
    return [row[longest] for row in rows if len(row) > longest]


# ---- words


@dataclass(frozen=True)
class Weighed:
    """Documents as TF-IDF vectors: a sparse matrix x, float32 [N, f], rows of length 1 or 0; and which words f are."""

    x: Any
    words: list[str]


def weigh(documents: list[str]) -> Weighed:
    """TF-IDF with (1 + log tf) and smoothed idf, of the MAX_WORDS most frequent words; rows of length 1.

    No list of stop words: it would help one language alone, and idf weighs common words down. Words that more than half
    of the documents have are left out instead, and those of a single document, which make nothing alike.
    Raises ValueError if no word is left.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(max_features=MAX_WORDS, min_df=2, max_df=0.5, sublinear_tf=True, dtype=np.float32)
    try:
        x = vectorizer.fit_transform(documents)
    except ValueError as error:
        raise ValueError("The documents share too few words: some must be in two of them, but not in half") from error
    return Weighed(x, vectorizer.get_feature_names_out().tolist())


def nearest_by_cosine(x: Any, *, k: int = NEIGHBOURS, size: int = 500) -> np.ndarray:
    """The k other rows of the largest cosine with each row of x [N, f], rows of length 1: int32 [N, k], nearest first.

    Of equal ones the first. Some rows at a time, so no array of N x N is held.
    """
    found = []
    for start in range(0, x.shape[0], size):
        cosine = (x[start : start + size] @ x.T).toarray()
        cosine[np.arange(len(cosine)), np.arange(start, start + len(cosine))] = -np.inf
        found.append(np.argsort(-cosine, axis=1, kind="stable")[:, :k].astype(np.int32))
    return np.concatenate(found)


# ---- codes


def word_loss(logits: Tensor, x: Tensor) -> Tensor:
    """Cross-entropy in nats of the words' shares in x [B, f] under the softmax of logits [B, f], a mean over the batch.

    Salakhutdinov and Hinton's own model of counts: a softmax over all words. A document without words adds 0.
    """
    shares = x / x.sum(1, keepdim=True).clamp(min=1e-12)
    return -(shares * F.log_softmax(logits, dim=1)).sum(1).mean()


def planar(x: Any, *, bits: int, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """The codes uint8 [N, bits/8] of LSH, PCA and ITQ of x [N, f], a sparse matrix."""
    mean = np.asarray(x.mean(axis=0), np.float64).ravel()
    covariance = (x.T @ x).toarray().astype(np.float64) / x.shape[0] - np.outer(mean, mean)
    yield "lsh", pack(lsh(mean, bits=bits, seed=seed).bits(x))
    directions = principal(covariance, bits=bits)
    yield "pca", pack(through(mean, directions).bits(x))
    yield "itq", pack(itq(x, mean, directions, seed=seed).bits(x))


def learned(x: Any, *, bits: int, epochs: int, seed: int) -> Iterator[float | np.ndarray]:
    """Train an autoencoder on x [N, f], a sparse matrix: each epoch's loss, and last its codes [N, bits/8]."""

    def rows(chosen: Tensor) -> Tensor:
        return torch.from_numpy(x[chosen.numpy()].toarray()) * np.sqrt(x.shape[1])

    n = x.shape[0]
    coder = build(x.shape[1], bits=bits, seed=seed)
    yield from losses_of(coder, rows, n=n, loss=word_loss, epochs=epochs, seed=seed)
    settle(coder, rows, n=n)
    yield pack(bits_of(coder, rows, n=n))


def figures_of(codes: np.ndarray, nearest: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    """overlap_at_10 and overlap_at_50: the share of nearest [N, 10] among the first 10 and 50 by Hamming distance.

    asked: int [Q], which documents are queries. A document itself is not counted; ties are in random order, and the
    expectation is given.
    """
    bits, queries = 8 * codes.shape[1], codes[asked]
    counts = np.concatenate([count_by_distance(part, bits=bits) for _, part in blocks(queries, codes)])
    counts[:, 0] -= 1
    distances = distances_to(queries, codes, nearest[asked])
    return {f"overlap_at_{k}": round(overlap(counts, distances, k), 5) for k in DEPTHS}


def hashed(x: Any, *, bits: int, epochs: int, seed: int) -> Iterator[float | tuple[str, np.ndarray]]:
    """Every method's codes of x [N, f], a sparse matrix, and before the autoencoder's the losses of its epochs."""
    yield from planar(x, bits=bits, seed=seed)
    yield "random", np.random.default_rng(seed).integers(256, size=(x.shape[0], bits // 8), dtype=np.uint8)
    for news in learned(x, bits=bits, epochs=epochs, seed=seed):
        yield news if isinstance(news, float) else ("ae", news)


def check(weighed: Weighed, *, documents: int, bits: int, epochs: int) -> None:
    """Raise ValueError, naming what was given and what would be right, if they cannot be hashed."""
    if bits % 8 or not 8 <= bits <= 64:
        raise ValueError(f"bits must be a multiple of 8 from 8 to 64, got {bits}")
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    if not MIN_DOCUMENTS <= documents <= MAX_DOCUMENTS:
        raise ValueError(f"There must be {MIN_DOCUMENTS} to {MAX_DOCUMENTS:,} documents, got {documents:,}")
    if len(weighed.words) < bits:
        raise ValueError(
            f"{bits} bits need at least {bits} words that some but not most documents share, got {len(weighed.words)}"
        )


def run_documents(
    documents: list[str], *, bits: int = 32, epochs: int | None = None, seed: int = 0
) -> Iterator[Step | Result]:
    """Hash documents in every way; a Step follows each epoch and each method, whose codes it brings.

    epochs: None trains for some STEPS batches, however many documents there are.

    Arrays: "ae", "lsh", "pca" and "itq" uint8 [N, bits/8], the codes; "nearest" int32 [N, 10], each document's nearest
    others by cosine, nearest first; "texts" uint8 [bytes], the first SHOWN_CHARACTERS of every document in UTF-8, one
    after the other, and "starts" int32 [N + 1], where each begins, and last of all the end.
    Record: "methods" has for each (and random, the control) overlap_at_10 and overlap_at_50 (see figures_of), over the
    documents that have a word; "chance" what random order comes to; "words" how many there are, "blank" how many
    documents have none of them; "history" the losses.

    Raises ValueError for other than 8, 16, ..., 64 bits, too few documents or words, or no epochs.
    """
    weighed = weigh(documents)
    epochs = epochs_for(len(documents)) if epochs is None else epochs
    check(weighed, documents=len(documents), bits=bits, epochs=epochs)
    nearest, asked = nearest_by_cosine(weighed.x), np.flatnonzero(np.diff(weighed.x.indptr))
    total, methods, history = epochs + len(METHODS), {}, []
    arrays = {"nearest": nearest, **beginnings(documents)}
    for done, news in enumerate(hashed(weighed.x, bits=bits, epochs=epochs, seed=seed), start=1):
        if isinstance(news, float):
            history.append(round(news, 4))
            yield Step(done, total, f"ae, epoch {len(history)}", figures={"loss": news})
            continue
        method, codes = news
        methods[method] = figures_of(codes, nearest, asked)
        kept = {} if method == "random" else {method: codes}
        arrays |= kept
        yield Step(done, total, method, figures=methods[method], arrays=kept)
    record = {
        "documents": len(documents),
        "words": len(weighed.words),
        "blank": len(documents) - len(asked),
        **settings_record(bits=[bits], epochs=epochs, seed=seed),
        "chance": {f"overlap_at_{k}": min(1.0, k / (len(documents) - 1)) for k in DEPTHS},
        "methods": methods,
        "history": history,
    }
    yield Result(record, arrays)


def beginnings(documents: list[str]) -> dict[str, np.ndarray]:
    """The first SHOWN_CHARACTERS of each document, as run_documents gives them: texts and starts."""
    shown = [document[:SHOWN_CHARACTERS].encode() for document in documents]
    starts = np.cumsum([0, *map(len, shown)], dtype=np.int32)
    return {"texts": np.frombuffer(b"".join(shown), np.uint8), "starts": starts}


def epochs_for(documents: int) -> int:
    """How many epochs come to some STEPS batches, at least 5 and at most MAX_EPOCHS."""
    return min(MAX_EPOCHS, max(5, round(STEPS * BATCH / documents)))
