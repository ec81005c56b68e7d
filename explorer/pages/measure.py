"""Measure: how regular two latent spaces are, as figures between their controls, with the pictures behind them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from explorer import catalogue, checkpoints, demo, described, measurings, scoreboard, visitors
from explorer.files import DamagedFile, public
from explorer.markdown import plain
from explorer.pages import trade
from explorer.pages.measured import SIDES, Shown, show, unlike
from explorer.pages.once import read_once
from explorer.scoreboard import Scoreboard
from explorer.settings import is_table


def models() -> dict[str, tuple[Path, catalogue.Entry]]:
    """By name, the models that this visitor may measure: where each lies, and its entry."""
    shipped = catalogue.shipped()
    own = visitors.shelf().pairs(visitors.visitor_of(st.context.cookies)).values()
    return {
        **{entry.card.name: (shipped.root / entry.card.name, entry) for entry in shipped.entries},
        **{entry.card.name: (folder, entry) for pair in own for folder, entry in zip(pair.folders, pair.entries)},
    }


def choose(there: dict[str, tuple[Path, catalogue.Entry]]) -> list[str]:
    """The two models, kept in the address."""
    names = list(there)
    chosen = []
    for side, column, usual in zip(SIDES, st.columns(2), names):
        asked = st.query_params.get(side, usual)
        start = names.index(asked if asked in there else usual)
        name = column.selectbox(
            f"{side.capitalize()} model", names, index=start, format_func=lambda n: describe(there[n][1])
        )
        st.query_params[side] = name
        chosen.append(name)
    return chosen


def describe(entry: catalogue.Entry) -> str:
    card, about = entry.card, described.about_of(entry.manifest)
    title = about.title if about else card.dataset
    return f"{card.name}: {card.model.upper()} of {title}, {card.latent_dim} dimensions" + (
        f", beta {card.beta:g}" if card.model == "vae" else ""
    )


def board_of(folder: Path, entry: catalogue.Entry) -> Scoreboard | None:
    """What was measured of these very weights; where its file is there but not sound, a word of that."""
    try:
        is_shared = folder.parent == catalogue.shipped().root
        board = read_once(folder / scoreboard.FIGURES, scoreboard.load) if is_shared else scoreboard.load(folder)
    except DamagedFile as error:
        if (folder / scoreboard.FIGURES).exists():
            st.warning(plain(f"{public(str(error), folder.parent)}. It can be measured again."))
        return None
    return board if board.about.get("weights_sha256") == entry.card.sha256 else None


def for_each(action: Callable[[Path], object], folders: list[Path]) -> None:
    for folder in folders:
        action(folder)


@st.fragment(run_every=1.0)
def watch(folders: list[Path], names: list[str]) -> None:
    """A bar for each model being measured, and the figures so far; the whole page again when all are done."""
    under_way = [measurings.here().get(folder) for folder in folders]
    if all(one is None or one.ended for one in under_way):
        st.rerun()
    for name, one in zip(names, under_way):
        if one:
            share, text = progress_of(one)
            st.progress(share, text=plain(f"{name}: {text}"))
    st.button("Stop", on_click=for_each, args=(measurings.here().forget, folders))
    figures_so_far = [one.figures if one else [] for one in under_way]
    longest = max(figures_so_far, key=len)
    table = [
        {
            "What": scoreboard.title(one),
            **{
                head: scoreboard.text_of(some[i] if i < len(some) else None)
                for head, some in zip(unlike(names), figures_so_far)
            },
        }
        for i, one in enumerate(longest)
    ]
    if table:
        st.dataframe(table[::-1], hide_index=True, width="stretch")


def progress_of(one: measurings.Measuring) -> tuple[float, str]:
    """How far a measuring is, as a share and in words."""
    done, total = len(one.figures), scoreboard.COUNT
    if one.started is None:
        return 0.0, "waiting for its turn"
    if not done and one.judge is not None:
        return one.judge, f"a classifier learns your data first: {one.judge:.0%}"
    left = f", about {one.left:.0f} s left" if done > 3 and not one.ended else ""
    return min(done / total, 1.0), f"{done} of {total} figures{left}"


NO_NETWORK = "A model that was brought as ONNX cannot be measured here: its network is known to the file alone."


def show_unmeasured(entries: list[catalogue.Entry], why: str) -> None:
    """What is known of models that cannot be measured now, and why they cannot."""
    st.info(f"{plain(why)} What was reckoned before, in nats, on the held-out items:")
    table = [
        {
            "Model": entry.card.name,
            "Reconstruction": f"{entry.card.test_recon:.2f}",
            "Of perfect copies": f"{entry.manifest['perfect_copy']:.2f}",
            "KL": f"{entry.card.test_kl:.2f}" if entry.card.model == "vae" else "–",
            "Held out": entry.card.n_test,
        }
        for entry in entries
    ]
    st.dataframe(table, hide_index=True, width="stretch")


def start(missing: dict[str, Path], datasets: dict[str, Path]) -> None:
    for name, folder in missing.items():
        measurings.here().start(folder, datasets.get(name))


def offer(missing: dict[str, Path], datasets: dict[str, Path]) -> None:
    """Models that were not measured yet, and a button for it. datasets: by model, where one's own data lies."""
    for name, folder in missing.items():
        one = measurings.here().get(folder)
        if one and one.problem:
            st.warning(plain(f"{name} could not be measured. {one.problem}"))
            measurings.here().forget(folder)
    if demo.mode() == demo.LOOK:
        st.info(f"Not measured: {plain(' and '.join(missing))}. {demo.sentence()}")
        return
    own = any(name in datasets for name in missing)
    first = " Of your own data a classifier learns first, which takes up to a minute more." if own else ""
    st.info(f"Not measured yet: {plain(' and '.join(missing))}. It takes about a minute.{first}")
    st.button("Measure", type="primary", on_click=start, args=(missing, datasets))


st.header("Measure", anchor=False)
st.caption(
    "Continuity: near codes decode to images that are alike. "
    "Completeness: a code drawn from a named distribution decodes to something real."
)
there = models()
if len(there) < 2:
    st.warning("There are not two models to measure: get the project's files again, or train some.")
    st.stop()
names = choose(there)
folders, entries = zip(*(there[name] for name in names))
if any(entry.card.arch == checkpoints.ONNX for entry in entries):
    show_unmeasured(list(entries), NO_NETWORK)
elif any((one := measurings.here().get(folder)) and not one.ended for folder in folders):
    watch(list(folders), names)
else:
    found = [board_of(folder, entry) for folder, entry in zip(folders, entries)]
    missing = {name: folder for name, folder, board in zip(names, folders, found) if board is None}
    sets = visitors.data_shelf().sets(visitors.visitor_of(st.context.cookies))
    brought = {name: there[name][1] for name in missing if described.about_of(there[name][1].manifest)}
    datasets = {name: sets[entry.card.dataset] for name, entry in brought.items() if entry.card.dataset in sets}
    if gone := [entry for name, entry in brought.items() if name not in datasets]:
        lost = " and ".join(dict.fromkeys(entry.card.name for entry in gone))
        show_unmeasured(
            gone,
            f"The data that {lost} learned is not here any more: bring it again on the page Yours, then all can be "
            "measured.",
        )
    elif missing:
        offer(missing, datasets)
    else:
        boards, kinds = [board for board in found if board], [entry.card.model for entry in entries]
        if any(is_table(entry.card.image_shape) for entry in entries):
            st.caption("Of a table: where it says image, read row; where it says pixel, read value.")
        show(Shown(boards, list(folders), unlike(names), kinds))
trade.show_frontier()
trade.show_sweeps()
