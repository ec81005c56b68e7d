"""Yours: draw or bring an image, which both models answer in the browser; bring a data set to train on, or a model."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from explorer import arrivals, catalogue, data, demo, visitors
from explorer.bring import limits, process
from explorer.bring.report import AUTO, MEANINGS, NO_LABEL, Choices, Report
from explorer.files import DamagedFile, public, unwritten, write_whole
from explorer.foreign import limits as model_limits
from explorer.foreign.network import UNITS
from explorer.markdown import plain
from explorer.stage import report as show_report
from explorer.stage import yours

KINDS = "a zip of images in class folders, images, an .npz, IDX files (.gz too), or a CSV of pixels or features"
MEANING_TITLES = {AUTO: "what they look like", "pixels": "pixels of square images", "features": "features of a table"}
NO_COOKIE = "Files need a cookie, so that nobody else sees what you bring: allow cookies and reload the page."
KIND_TITLES = {"ae": "an autoencoder (AE)", "vae": "a variational autoencoder (VAE)"}


@dataclass(frozen=True)
class Reading:
    """What came of reading some files: a report and the folder of the data set, or a problem."""

    key: tuple[object, ...]
    folder: Path
    report: Report | None
    problem: str = ""


def read(visitor: str, files: Sequence[UploadedFile], choices: Choices, key: tuple[object, ...]) -> Reading:
    """Read files in a process of its own, with a bar while it lasts."""
    bar = st.progress(0.0, text="Reading")

    def tell(what: str, done: int, of: int) -> None:
        bar.progress(done / of if of else 0.0, text=plain(f"{what}: {done:,} of {of:,}" if of else what))

    try:
        folder = visitors.data_shelf().place(visitor)
    except ValueError as error:
        return Reading(key, Path(), None, f"{error}.")
    except OSError as error:
        return Reading(key, Path(), None, f"{unwritten(error, then='bring it again')}.")
    try:
        given = [(folder / f"given-{i}", file.name) for i, file in enumerate(files)]
        for (path, _), file in zip(given, files):
            write_whole(path, file.getbuffer(), durable=False)
        report = process.read(given, folder, visitor=visitor, choices=choices, tell=tell)
        for path, _ in given:
            path.unlink()
    except (ValueError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        why = unwritten(error, then="bring it again") if isinstance(error, OSError) else public(str(error), folder)
        return Reading(key, folder, None, f"{why}.")
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
        st.warning(plain(report.missing))
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


def data_choices(visitor: str) -> dict[str, tuple[str, Path | None]]:
    """By name, the data sets that a model may be for: a title, and where it lies if it is the visitor's own."""
    shipped: dict[str, tuple[str, Path | None]] = {name: (title, None) for name, (title, _) in data.titles().items()}
    return {**shipped, **{one.name: (one.title, one.folder) for one in visitors.data_shelf().of(visitor)}}


def model_given(visitor: str) -> arrivals.Given | None:
    """What the form holds; None while there is no decoder."""
    left, right = st.columns(2)
    most = model_limits.MAX_FILE_BYTES // 1_000_000
    decoder = left.file_uploader("Decoder (.onnx)", key="decoder file", max_upload_size=most)
    encoder = right.file_uploader("Encoder (.onnx), if you have one", key="encoder file", max_upload_size=most)
    there = data_choices(visitor)
    dataset = left.selectbox("It is for", list(there), format_func=lambda name: there[name][0], key="model data")
    kind = right.selectbox("It is", list(KIND_TITLES), format_func=KIND_TITLES.__getitem__, key="model kind")
    units = left.selectbox("Its values are", list(UNITS), format_func=lambda name: UNITS[name].title, key="model units")
    name = right.text_input("Name", "mine", max_chars=30, key="model name")
    if decoder is None:
        return None
    return arrivals.Given(
        name=name.strip(),
        kind=kind,
        units=units,
        decoder=decoder.getvalue(),
        encoder=encoder.getvalue() if encoder else None,
        dataset=dataset,
        data_folder=there[dataset][1],
    )


def bring_model(visitor: str) -> None:
    st.header("Bring a model", anchor=False)
    st.markdown("A decoder as ONNX, and its encoder if you have it. They are shown like any model here.")
    st.caption(" ".join(model_limits.SENTENCES))
    st.caption(
        "It is read on the server in a process of its own. A plain chain of layers is live in your browser then; any "
        "other decoder stays on the server, and each image takes one answer. "
        f"It is seen by you alone, and gone {visitors.GONE_S / 60:g} minutes after your last page is closed."
    )
    given = model_given(visitor)
    if given and given.encoder is None:
        st.info(
            "Without an encoder no image has a code: the maps show draws from N(0, I) and what is decoded from them."
        )
    if st.button("Bring this model", type="primary", disabled=given is None) and given:
        receive(visitor, given)
    own_models(visitor)


def receive(visitor: str, given: arrivals.Given) -> None:
    """Bring a model with a line that says how far it is; then what was recognised, or why it cannot be brought."""
    line = st.empty()

    def tell(what: str, done: int, of: int) -> None:
        line.markdown(plain(f"{what} …"))

    shelves = {"shelf": visitors.shelf(), "data_shelf": visitors.data_shelf()}
    try:
        arrived = arrivals.bring(visitor, given, **shelves, tell=tell)  # type: ignore[arg-type]
    except ValueError as error:
        st.warning(plain(f"{public(str(error))}."))
    else:
        st.success(plain(f"{arrived.name} is yours now."))
        st.markdown("\n".join(f"- {plain(sentence)}" for sentence in arrived.said))
    finally:
        line.empty()


def own_models(visitor: str) -> None:
    """The models that this visitor has brought as ONNX: explore them, or remove them."""
    for pair in visitors.shelf().pairs(visitor).values():
        if not pair.is_onnx:
            continue
        card = pair.entries[0].card
        row = st.container(horizontal=True, vertical_alignment="center")
        row.markdown(f"**{plain(card.name)}**: {card.model.upper()}, {card.latent_dim} dimensions, ONNX")
        side = "left" if card.model == "ae" else "right"
        query = urlencode({"data": card.dataset, "d": card.latent_dim, side: card.name})
        row.markdown(f"[Explore](./?{query})")
        row.button("Remove", key=f"remove {pair.name}", on_click=visitors.shelf().remove, args=(visitor, pair.name))


an_image, a_data_set, a_model = st.tabs(["An image", "A data set", "A model (ONNX)"])
visitor = visitors.visitor_of(st.context.cookies)
with an_image:
    yours(catalogue.for_browser(catalogue.shipped(), data.titles(), own=visitors.shelf().of(visitor)))
for tab, bring_it in ((a_data_set, bring), (a_model, bring_model)):
    with tab:
        if demo.mode():
            st.info(demo.sentence())
        elif not visitor:
            st.info(NO_COOKIE)
        else:
            bring_it(visitor)
