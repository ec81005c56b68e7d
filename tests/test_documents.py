from __future__ import annotations

import itertools

import numpy as np
import pytest

from explorer.labs import documents
from explorer.labs.documents import MIN_DOCUMENTS, read_documents
from explorer.labs.result import Result, Step

LINES = [f"document number {i}" for i in range(MIN_DOCUMENTS)]


def topics(n: int, *, kinds: int = 4, seed: int = 0) -> list[str]:
    """Documents of 30 words each, three quarters of them from the 40 of its topic, the i-th having topic i % kinds."""
    random = np.random.default_rng(seed)
    return [
        " ".join(
            f"topic{i % kinds}word{word}" if own else f"common{word}"
            for own, word in zip(random.random(30) < 0.75, random.integers(40, size=30))
        )
        for i in range(n)
    ]


def ending(texts: list[str], **settings: int) -> Result:
    *_, result = documents.run_documents(texts, **settings)  # type: ignore[arg-type]
    assert isinstance(result, Result)
    return result


@pytest.fixture(scope="module")
def outcome() -> Result:
    return ending(topics(240), epochs=40)


# ---- reading


def test_a_text_has_one_document_a_line_and_blank_lines_do_not_count() -> None:
    content = "\r\n".join(["", *LINES, "  "]).encode()
    assert read_documents(content, "my.TXT") == LINES


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert read_documents("\n".join(LINES).encode("utf-8-sig"), "a.txt")[0] == LINES[0]


def test_a_table_with_a_header_gives_the_column_it_names() -> None:
    rows = ["id,Text,notes", *(f'{i},"{line}, and more",{"x" * 90}' for i, line in enumerate(LINES))]
    assert read_documents("\n".join(rows).encode(), "a.csv") == [f"{line}, and more" for line in LINES]


def test_a_table_without_a_header_gives_the_column_with_the_most_text() -> None:
    rows = [f"{i},{line},tag" for i, line in enumerate(LINES)]
    assert read_documents("\n".join(rows).encode(), "a.csv") == LINES


def test_a_quoted_cell_may_hold_lines() -> None:
    content = "\n".join(f'"{line}\nsecond line"' for line in LINES).encode()
    assert read_documents(content, "a.csv") == [f"{line}\nsecond line" for line in LINES]


def test_a_long_document_is_cut() -> None:
    content = "\n".join([*LINES, "x" * 10_001]).encode()
    assert len(read_documents(content, "a.txt")[-1]) == 10_000


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"", "a.txt", "The file is empty"),
        (b" \n\n", "a.csv", "The file is empty"),
        (b"one document alone", "a.txt", "20 to 20,000 documents, got 1"),
        ("\n".join(LINES[1:]).encode(), "a.txt", "20 to 20,000 documents, got 19"),
        (b"a\n" * 20_001, "a.txt", "got 20,001"),
        (b"text\x00,junk", "a.csv", "must be text in UTF-8, character 4 is NUL"),
        (b"\x89PNG\r\n\x1a\n", "a.csv", "must be text in UTF-8, byte 0 is not"),
        ("ä".encode("latin-1"), "a.txt", "must be text in UTF-8, byte 0 is not"),
        (b"x" * 5_000_001, "a.txt", "at most 5,000,000 bytes, this one has 5,000,001"),
        (b'"' + b"x" * 200_000, "a.csv", "cannot be read as CSV"),
        (b"%PDF", "a.pdf", "'a.pdf' must be a .txt"),
        (b"text", "txt", "'txt' must be a .txt"),
    ],
)
def test_a_file_that_is_no_list_of_documents_is_refused(content: bytes, name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_documents(content, name)
    assert "\n" not in str(caught.value)
    assert not str(caught.value).endswith(".")


# ---- words and neighbours


def test_nearest_by_cosine_are_those_of_the_whole_table() -> None:
    x = documents.weigh(topics(60)).x
    dense = x.toarray().astype(np.float64)
    assert np.linalg.norm(dense, axis=1) == pytest.approx(1)
    cosine = dense @ dense.T - 2 * np.eye(60)
    nearest = documents.nearest_by_cosine(x, size=7)
    found = np.take_along_axis(cosine, nearest.astype(int), axis=1)
    assert found == pytest.approx(np.sort(cosine, axis=1)[:, ::-1][:, :10], abs=1e-6)
    assert not (nearest == np.arange(60)[:, None]).any()


def test_overlap_counts_the_neighbours_that_a_code_finds_again() -> None:
    codes = np.array([[0b0], [0b1], [0b111], [0b11111], [0b1111111]] * 12, np.uint8)
    nearest = np.tile(np.arange(0, 50, 5, dtype=np.int32), (60, 1))  # ten with code 0
    found = documents.figures_of(codes, nearest, np.array([0, 4]))
    # the first has 11 others at distance 0, nine of its ten wanted ones among them and one itself
    at_zero = 10 / 11
    assert found["overlap_at_10"] == pytest.approx((at_zero + 0) / 2, abs=1e-4)
    # from the last on, code 0 is the farthest: 47 others come before, then 3 of 12
    assert found["overlap_at_50"] == pytest.approx((1 + 3 / 12) / 2, abs=1e-4)


# ---- the lab


def test_the_lab_ends_with_codes_of_every_method(outcome: Result) -> None:
    assert {name: array.shape for name, array in outcome.arrays.items()} == {
        **dict.fromkeys(("ae", "lsh", "pca", "itq"), (240, 4)),
        "nearest": (240, 10),
        "texts": outcome.arrays["texts"].shape,
        "starts": (241,),
    }
    assert {array.dtype.name for array in outcome.arrays.values()} == {"uint8", "int32"}
    assert outcome.record["documents"] == 240
    assert outcome.record["blank"] == 0


def test_the_beginning_of_every_document_is_kept() -> None:
    found = documents.beginnings(["äöü", "", "x" * 151])
    content, starts = found["texts"].tobytes(), found["starts"]
    kept = [content[start:end].decode() for start, end in itertools.pairwise(starts)]
    assert kept == ["äöü", "", "x" * 150]


def test_documents_of_a_topic_have_alike_codes(outcome: Result) -> None:
    bits = np.unpackbits(outcome.arrays["ae"], axis=1).astype(int)
    apart = np.abs(bits[:, None] - bits).sum(axis=2)
    same = np.arange(240)[:, None] % 4 == np.arange(240) % 4
    assert apart[same & ~np.eye(240, dtype=bool)].mean() < 0.6 * apart[~same].mean()


def test_every_method_finds_more_neighbours_than_chance_and_random_codes_do_not(outcome: Result) -> None:
    methods, chance = outcome.record["methods"], outcome.record["chance"]["overlap_at_50"]
    assert chance == pytest.approx(50 / 239)
    assert methods["random"]["overlap_at_50"] == pytest.approx(chance, abs=0.04)
    assert all(methods[name]["overlap_at_50"] > 1.3 * chance for name in ("ae", "lsh", "pca", "itq"))


def test_the_same_seed_gives_the_same_codes() -> None:
    first, again, other = (ending(topics(60), bits=16, epochs=3, seed=seed).arrays for seed in (0, 0, 1))
    assert all((first[name] == again[name]).all() for name in first)
    assert (first["ae"] != other["ae"]).any()


def test_a_document_without_a_shared_word_is_no_query() -> None:
    assert ending([*topics(60), "unheard"], bits=8, epochs=1).record["blank"] == 1


def test_news_comes_after_every_epoch_and_every_method() -> None:
    *steps, _ = documents.run_documents(topics(40), bits=8, epochs=3)
    news = [step for step in steps if isinstance(step, Step)]
    assert [step.done for step in news] == list(range(1, 9))
    assert {step.total for step in news} == {8}
    assert [set(step.arrays) for step in news] == [{"lsh"}, {"pca"}, {"itq"}, set(), set(), set(), set(), {"ae"}]


@pytest.mark.parametrize(
    ("texts", "settings", "words"),
    [
        (topics(40), {"bits": 12}, "bits must be a multiple of 8 from 8 to 64, got 12"),
        (topics(40), {"epochs": 0}, "epochs must be at least 1, got 0"),
        (topics(19), {}, "20 to 20,000 documents, got 19"),
        (["alpha beta"] * 5 + [f"only{i}" for i in range(20)], {"bits": 8}, "8 bits need at least 8 words"),
        ([f"only{i}" for i in range(20)], {}, "share too few words"),
    ],
)
def test_texts_that_cannot_be_hashed_are_refused(texts: list[str], settings: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        next(documents.run_documents(texts, **settings))  # type: ignore[arg-type]
