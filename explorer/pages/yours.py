"""Yours: draw or bring an image, which both models answer in the browser; or bring a data set to train them on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from explorer import catalogue, data, visitors
from explorer.bring import limits, process
from explorer.bring.report import AUTO, MEANINGS, NO_LABEL, Choices, Report
from explorer.files import DamagedFile
from explorer.stage import report as show_report
from explorer.stage import yours

KINDS = "a zip of images in class folders, images, an .npz, IDX files (.gz too), or a CSV of pixels or features"
MEANING_TITLES = {AUTO: "what they look like", "pixels": "pixels of square images", "features": "features of a table"}
MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~:$&])")


@dataclass(frozen=True)
class Reading:
    """What came of reading some files: a report and the folder of the data set, or a problem."""

    key: tuple[object, ...]
    folder: Path
    report: Report | None
    problem: str = ""


def plain(text: str) -> str:
    """text as Markdown that shows it as it is: names in it come from outside."""
    return MARKUP.sub(r"\\\1", text)


def read(visitor: str, files: Sequence[UploadedFile], choices: Choices, key: tuple[object, ...]) -> Reading:
    """Read files in a process of its own, with a bar while it lasts."""
    bar = st.progress(0.0, text="Reading")

    def tell(what: str, done: int, of: int) -> None:
        bar.progress(done / of if of else 0.0, text=f"{what}: {done:,} of {of:,}" if of else what)

    try:
        folder = visitors.data_shelf().place(visitor)
    except ValueError as error:
        return Reading(key, Path(), None, f"{error}.")
    try:
        given = [(folder / f"given-{i}", file.name) for i, file in enumerate(files)]
        for (path, _), file in zip(given, files):
            path.write_bytes(file.getbuffer())
        report = process.read(given, folder, choices=choices, tell=tell)
        for path, _ in given:
            path.unlink()
    except (ValueError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        return Reading(key, folder, None, f"{error}.")
    except BaseException:  # the visitor has gone on: Streamlit ends the script this way
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        bar.empty()
    return Reading(key, folder, report)


def brought(visitor: str, files: Sequence[UploadedFile]) -> Reading:
    """What came of these files with the choices made; read anew only if one of them has changed."""
    ids = tuple(file.file_id for file in files)
    label, meaning = (st.session_state.get(f"{name} of {ids}") for name in ("label", "meaning"))
    key = (ids, label, meaning)
    there: Reading | None = st.session_state.get("brought")
    if there is None or there.key != key:
        if there and there.report:
            shutil.rmtree(there.folder, ignore_errors=True)
        there = read(visitor, files, Choices(label=label, meaning=meaning or AUTO), key)
        st.session_state["brought"] = there
    return there


def choose(report: Report, ids: object) -> None:
    """What a person may decide of rows of numbers; each choice reads the files anew."""
    left, right = st.columns(2)
    if report.columns:
        names = [NO_LABEL, *report.columns]
        left.selectbox(
            "Column with the classes",
            names,
            index=names.index(report.label or NO_LABEL),
            format_func=lambda name: name or "none: all rows in one class",
            key=f"label of {ids}",
        )
    right.selectbox(
        "Read the numbers as", MEANINGS, format_func=lambda name: MEANING_TITLES[name], key=f"meaning of {ids}"
    )


def summary(report: Report) -> str:
    channels, height, width = report.shape
    n, classes = report.n_train + report.n_test, len(report.classes)
    if report.features:
        what = f"{n:,} {'row' if n == 1 else 'rows'} of {width:,} features"
    else:
        kind = "grey" if channels == 1 else "colour"
        what = f"{n:,} {kind} {'image' if n == 1 else 'images'} of {width}×{height} pixels"
    text = f"{what} in {classes} {'class' if classes == 1 else 'classes'}."
    return f"{text} {report.n_train:,} to learn from, {report.n_test:,} held out." if report.name else text


def use(visitor: str, reading: Reading) -> None:
    """Put what was read on the visitor's shelf; or say why not."""
    assert reading.report
    try:
        visitors.data_shelf().keep(visitor, reading.folder, name=reading.report.name)
    except DamagedFile:
        st.session_state["refused"] = "What was read is not there any more: choose the files again."
    except ValueError as error:
        st.session_state["refused"] = f"{error}."


def show(visitor: str, reading: Reading) -> None:
    report = reading.report
    if report is None:
        st.warning(plain(reading.problem))
        return
    st.markdown(f"**{plain(report.title)}**: {summary(report)}")
    if report.rows_of_numbers:
        choose(report, reading.key[0])
    for note in report.notes:
        st.markdown(f"- {plain(note)}")
    kept = visitors.data_shelf().sets(visitor)
    if report.missing:
        st.warning(report.missing)
    elif report.name in kept:
        st.success(f"This data set is yours now. [Train on it](./train?data={report.name})")
    else:
        st.button("Use this data set", type="primary", on_click=use, args=(visitor, reading))
    if refused := st.session_state.pop("refused", None):
        st.warning(plain(refused))
    show_report(report.record())


def own_sets(visitor: str) -> None:
    """What this visitor has brought: train on it, or remove it."""
    for one in visitors.data_shelf().of(visitor):
        row = st.container(horizontal=True, vertical_alignment="center")
        row.markdown(f"**{plain(one.title)}**: {one.n_train + one.n_test:,} items")
        row.markdown(f"[Train on it](./train?data={one.name})")
        row.button("Remove", key=f"remove {one.name}", on_click=visitors.data_shelf().remove, args=(visitor, one.name))


def bring(visitor: str) -> None:
    st.header("Bring a data set", anchor=False)
    st.markdown(f"Choose {KINDS}.")
    st.caption(" ".join(limits.SENTENCES))
    minutes = f"{visitors.GONE_S / 60:g}"
    st.caption(
        f"It is read on the server, seen by you alone, and gone {minutes} minutes after your last page is closed."
    )
    files = st.file_uploader(
        "Files of one data set",
        accept_multiple_files=True,
        key="data files",
        max_upload_size=limits.MAX_FILE_BYTES // 1_000_000,
    )
    if files:
        show(visitor, brought(visitor, files))
    own_sets(visitor)


an_image, a_data_set = st.tabs(["An image", "A data set"])
visitor = visitors.visitor_of(st.context.cookies)
with an_image:
    yours(catalogue.for_browser(catalogue.shipped(), data.titles(), own=visitors.shelf().of(visitor)))
with a_data_set:
    bring(visitor)
