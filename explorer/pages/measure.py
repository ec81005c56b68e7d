"""Measure: how regular two latent spaces are, as figures between their controls, with the pictures behind them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from explorer import catalogue, figures, measurings, scoreboard, visitors
from explorer.files import DamagedFile
from explorer.scoreboard import DISTRIBUTIONS, MEASURES, Figure, Scoreboard

SIDES = ("left", "right")
GROUPS = ("Completeness", "Continuity", "Prior mismatch", "Price")
ROWS = ("best", "median", "worst")


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
    card = entry.card
    return f"{card.name}: {card.model.upper()} of {card.dataset}, {card.latent_dim} dimensions" + (
        f", beta {card.beta:g}" if card.model == "vae" else ""
    )


def board_of(folder: Path, entry: catalogue.Entry) -> Scoreboard | None:
    """What was measured of these very weights."""
    try:
        board = scoreboard.load(folder)
    except DamagedFile:
        return None
    return board if board.about.get("weights_sha256") == entry.card.sha256 else None


def rows_of(boards: list[Scoreboard], group: str, distribution: str) -> list[tuple[str, list[Figure | None]]]:
    """The figures of a group: by measure, one of each model."""
    found = []
    for name, measure in MEASURES.items():
        if measure.group == group:
            where = distribution if group == "Completeness" else "prior" if group == "Prior mismatch" else None
            found.append((name, [board.get(name, where) for board in boards]))
    return [(name, pair) for name, pair in found if any(pair)]


def show_group(
    boards: list[Scoreboard], names: list[str], group: str, distribution: str
) -> tuple[str, list[Figure | None]] | None:
    """A table of one group; the row that was clicked."""
    rows = rows_of(boards, group, distribution)
    if not rows:
        return None
    where = f": sampled from {DISTRIBUTIONS[distribution]}" if group == "Completeness" else ""
    st.subheader(f"{group}{where}", anchor=False)
    heads = unlike(names)
    table = [
        {
            "What": MEASURES[name].title,
            **{head: scoreboard.text_of(one) for head, one in zip(heads, pair)},
            "Ceiling": end(pair, "ceiling"),
            "Floor": end(pair, "floor"),
            "In words": MEASURES[name].means,
        }
        for name, pair in rows
    ]
    picked = st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        key=f"{group} {distribution} {names}",
        on_select="rerun",
        selection_mode="single-row",
    )
    chosen = picked["selection"]["rows"]
    return rows[chosen[0]] if chosen else None


def unlike(names: list[str]) -> list[str]:
    """Headings for two models, which may be the same one."""
    return names if names[0] != names[1] else [f"{name} ({side})" for name, side in zip(names, SIDES)]


def end(pair: list[Figure | None], which: str) -> str:
    """A control of both models: they share it where they are held against the same images."""
    texts = [
        f"{value:.{MEASURES[one.measure].digits}f}" if one and (value := getattr(one, which)) is not None else "–"
        for one in pair
    ]
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)


def show_examples(folders: list[Path], names: list[str], row: tuple[str, list[Figure | None]]) -> None:
    """What the figures of a row were computed from."""
    name, pair = row
    st.markdown(f"**{MEASURES[name].title}.** {MEASURES[name].means}")
    for column, folder, model, one in zip(st.columns(2), folders, names, pair):
        with column:
            if one is None:
                continue
            st.markdown(f"{model}: {scoreboard.text_of(one)} of {one.n:,}. {one.note}")
            try:
                found = scoreboard.pictures(folder, one)
            except DamagedFile as error:
                st.warning(f"{catalogue.public(str(error), folder.parent)}.")
                continue
            if found:
                st.caption(f"{found.text}.")
                st.image(figures.contact_sheet(found.images), width="stretch")


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
        if one is None:
            continue
        done, total = len(one.figures), scoreboard.COUNT
        left = f", about {one.seconds / done * (total - done):.0f} s left" if done > 3 and not one.ended else ""
        text = "waiting for its turn" if one.started is None else f"{done} of {total} figures{left}"
        st.progress(min(done / total, 1.0), text=f"{name}: {text}")
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


def offer(missing: dict[str, Path]) -> None:
    """Models that were not measured yet, and a button for it."""
    for name, folder in missing.items():
        one = measurings.here().get(folder)
        if one and one.problem:
            st.warning(f"{name} could not be measured. {one.problem}")
            measurings.here().forget(folder)
    st.info(f"Not measured yet: {' and '.join(missing)}. It takes about a minute.")
    st.button("Measure", type="primary", on_click=for_each, args=(measurings.here().start, list(missing.values())))


def downloads(boards: list[Scoreboard], names: list[str], kinds: list[str]) -> None:
    stem = "-".join(dict.fromkeys(names))
    with st.container(horizontal=True):
        record = {"models": [{"about": board.about, "figures": scoreboard.table([board])} for board in boards]}
        st.download_button("JSON", json.dumps(record, indent=1), f"{stem}.json", "application/json")
        st.download_button("CSV", scoreboard.as_csv(boards), f"{stem}.csv", "text/csv")
        st.download_button(
            "Report (HTML)", lambda: figures.report(boards, unlike(names), kinds), f"{stem}.html", "text/html"
        )


def show(boards: list[Scoreboard], folders: list[Path], names: list[str], kinds: list[str]) -> None:
    if sorted(kinds) == ["ae", "vae"]:
        by_kind = dict(zip(kinds, boards))
        st.markdown(f"> {scoreboard.verdict(by_kind['ae'], by_kind['vae'])}")
    distribution = st.segmented_control(
        "Sample from", list(DISTRIBUTIONS), default="prior", required=True, format_func=DISTRIBUTIONS.__getitem__
    )
    picked = [show_group(boards, names, group, str(distribution)) for group in GROUPS[:1]]
    st.plotly_chart(
        figures.by_distribution(boards, unlike(names), kinds), width="stretch", config={"displayModeBar": False}
    )
    picked += [show_group(boards, names, group, str(distribution)) for group in GROUPS[1:]]
    st.caption(
        "Click a row to see what it was computed from. In brackets: 95 % intervals. "
        "Ceiling: what real held-out images reach. Floor: noise."
    )
    for row in picked:
        if row:
            show_examples(folders, names, row)
    downloads(boards, names, kinds)


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
if any((one := measurings.here().get(folder)) and not one.ended for folder in folders):
    watch(list(folders), names)
else:
    found = [board_of(folder, entry) for folder, entry in zip(folders, entries)]
    missing = {name: folder for name, folder, board in zip(names, folders, found) if board is None}
    if missing:
        offer(missing)
    else:
        show([board for board in found if board], list(folders), names, [entry.card.model for entry in entries])
