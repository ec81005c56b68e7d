"""Whatever bytes come: a data set or one sentence, in bounded time and memory, and nothing written elsewhere."""

from __future__ import annotations

import gzip
import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from brought import idx, picture, some_pixels, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer import bring, own_data, sandbox
from explorer.bring import limits, process
from explorer.bring.report import Choices, Report

bounded = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def a_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for i, kind in enumerate(("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")):
            archive.writestr(f"{'ab'[i % 2]}/{i}", picture(some_pixels(i), kind))
    return file.getvalue()


HONEST = {
    "images.zip": a_zip(),
    "arrays.npz": npz(images=some_pixels(0, (5, 8, 8)), labels=np.arange(5)),
    "floats.npz": npz(x=np.random.default_rng(0).random((5, 4)), y=np.array(list("abcab"))),
    "images-idx3": idx(some_pixels(0, (5, 8, 8))),
    "images-idx3.gz": gzip.compress(idx(some_pixels(0, (5, 8, 8)))),
    "table.csv": b"a,b,label\n1,2.5,x\n3,4,y\n5,-6e3,x\n7,8,y\n",
    "table16.csv": "a;b;label\n1;2,5;x\n3;4;y\n5;6;x\n".encode("utf-16"),
    "picture.png": picture(some_pixels(0)),
}


def data_set_or_sentence(folder: Path, name: str, content: bytes) -> bool:
    """Read content as a file; whether there is a data set in it. Anything but that or a sentence fails the test."""
    path = folder / name
    path.write_bytes(content)
    found, told = None, ""
    try:
        found = bring.read([path])
    except ValueError as error:
        told = str(error)
    finally:
        assert [*folder.iterdir()] == [path]
        path.unlink()
    if found is None:
        assert 0 < len(told) < 1000
        return False
    report = Report.of(json.loads(json.dumps(found.report.record())))
    assert report == found.report
    assert sum(one.count for one in report.classes) == report.n_train + report.n_test
    if found.dataset:
        assert len(found.dataset.x_train) == report.n_train
        own_data.check({key: getattr(found.dataset, key) for key in own_data.KEYS}, found.dataset.classes, ())
    return True


@pytest.mark.parametrize("name", HONEST)
def test_the_honest_files_are_read(tmp_path: Path, name: str) -> None:
    assert data_set_or_sentence(tmp_path, name, HONEST[name])


@bounded
@given(
    head=st.sampled_from([b"", b"PK\3\4", b"\0\0\x08\x03", b"\x1f\x8b\x08", b"\x89PNG\r\n", b"a,b\n1,2\n"]),
    rest=st.binary(),
)
def test_random_bytes_end_in_a_data_set_or_a_sentence(tmp_path: Path, head: bytes, rest: bytes) -> None:
    data_set_or_sentence(tmp_path, "file", head + rest)


@bounded
@given(text=st.text(alphabet='0123456789,;\t\n\r.-eaxN"=\u202eé', max_size=200))
def test_random_tables_end_in_a_data_set_or_a_sentence(tmp_path: Path, text: str) -> None:
    data_set_or_sentence(tmp_path, "t.csv", text.encode())


@pytest.mark.parametrize("name", HONEST)
@bounded
@given(data=st.data())
def test_files_with_some_bytes_changed_end_in_a_data_set_or_a_sentence(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    content = bytearray(HONEST[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    data_set_or_sentence(tmp_path, name, bytes(content))


@bounded
@given(
    x=st.integers(1, 6).flatmap(
        lambda n: st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=n, max_size=n)
    )
)
def test_a_table_of_any_numbers_comes_back_within_half_a_step(tmp_path: Path, x: list[list[float]]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n" + "\n".join(",".join(map(repr, row)) for row in x))
    found = bring.read([path])
    path.unlink()
    if not found.dataset:
        assert len(x) == 1
        return
    items = np.concatenate([found.dataset.x_train, found.dataset.x_test])[:, 0, 0].astype(float)
    given_rows = np.array(x)
    for column, feature in enumerate(found.dataset.features):
        assert (feature.low, feature.high) == (given_rows[:, column].min(), given_rows[:, column].max())
        back = feature.low + items[:, column] / 255 * (feature.high - feature.low)
        step = (feature.high - feature.low) / 255
        np.testing.assert_allclose(np.sort(back), np.sort(given_rows[:, column]), atol=0.51 * step + 1e-9)


# ---- the process


def nothing(what: str, done: int, of: int) -> None:
    pass


def read_apart(folder: Path, name: str, content: bytes, *, visitor: str = "anna", **more: float) -> Report:
    (folder / "given").write_bytes(content)
    given = [(folder / "given", name)]
    return process.read(given, folder / "out", visitor=visitor, choices=Choices(), tell=nothing, **more)


def test_a_file_read_in_a_process_of_its_own_gives_the_same_data_set(tmp_path: Path) -> None:
    report = read_apart(tmp_path, "../images.zip", HONEST["images.zip"])
    here = bring.read([tmp_path / "given"])
    assert here.dataset
    assert report.name == here.dataset.name == own_data.load(tmp_path / "out").name
    assert report.title == "images"
    assert {*tmp_path.iterdir()} == {tmp_path / "given", tmp_path / "out"}


def test_what_the_process_refuses_is_told_here(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="The zip is broken or cut off: make it again"):
        read_apart(tmp_path, "z.zip", HONEST["images.zip"][:100])
    with process.room.turn("anna", waiting="", tell=nothing):  # her place is free again, and she has one at a time
        with pytest.raises(ValueError, match="Something of yours is being read already"):
            read_apart(tmp_path, "images.zip", HONEST["images.zip"])
        assert read_apart(tmp_path, "images.zip", HONEST["images.zip"], visitor="ben").title == "images"


@pytest.mark.parametrize(
    ("variable", "value"), [("READING_S", "0"), ("MEMORY_BYTES", "200_000_000")], ids=["time", "memory"]
)
def test_a_reading_that_takes_too_much_is_ended_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    code = f"from explorer.bring import limits; limits.{variable} = {value}; import runpy; "
    code += "runpy.run_module('explorer.bring', run_name='__main__')"
    start: Callable = sandbox.subprocess.Popen
    monkeypatch.setattr(
        sandbox.subprocess, "Popen", lambda command, **more: start([sys.executable, "-c", code], **more)
    )
    big = np.random.default_rng(0).integers(0, 256, (20_000, 64, 64), dtype=np.uint8)
    with pytest.raises(ValueError, match="takes more than"):
        read_apart(tmp_path, "big.npz", npz(x=big))


def test_a_reading_without_an_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="takes more than one may take here"):
        read_apart(tmp_path, "images.zip", HONEST["images.zip"], longest_s=0.01)


def test_the_page_states_the_limits_that_are_kept() -> None:
    said = " ".join(limits.SENTENCES)
    for kept in ("100 MB", "100,000 items", "100 classes", "8×8 to 64×64", "40 million pixels", "2 to 4,096 columns"):
        assert kept in said


def test_a_zip_with_a_table_in_it_is_that_table(tmp_path: Path) -> None:
    files = {"t/table.csv": HONEST["table.csv"], "t/README": b"about it"}
    assert bring.read([zipped(tmp_path / "z.zip", files)]).report.label == "label"
