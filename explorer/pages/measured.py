"""Two measured models on the page Measure: the verdict, tables with the pictures behind each row, charts, files."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from explorer import atlas, catalogue, figures, scoreboard
from explorer.files import DamagedFile, public
from explorer.markdown import plain
from explorer.pages.once import drawn_once
from explorer.scoreboard import DISTRIBUTED, DISTRIBUTIONS, MEASURES, Figure, Scoreboard
from explorer.settings import is_table

if TYPE_CHECKING:
    import plotly.graph_objects as go

SIDES = ("left", "right")
GROUPS = ("Completeness", "Continuity", "Prior mismatch", "Price")
STILL = {"displayModeBar": False}
PARQUET = "application/vnd.apache.parquet"
UNITS = {
    "recon": "How the images' errors are spread, in nats.",
    "kl": "How the images' KL is spread, in nats.",
    "path_step": "How the largest steps of the paths are spread.",
    "class_flips": "How the numbers of class changes are spread over the paths.",
    "stretch": "How the decoder's stretch is spread over the held-out codes; 1 is its median.",
}


@dataclass(frozen=True)
class Shown:
    """Two measured models, left and right: where they lie, how they are headed, AE or VAE."""

    boards: list[Scoreboard]
    folders: list[Path]
    heads: list[str]
    kinds: list[str]


def measures_of(group: str, distribution: str) -> list[tuple[str, str | None]]:
    """The measures of a group, each with the distribution that it is taken of here."""
    where = distribution if group == "Completeness" else "prior" if group == "Prior mismatch" else None
    return [(name, where) for name, measure in MEASURES.items() if measure.group == group]


def rows_of(boards: list[Scoreboard], group: str, distribution: str) -> list[tuple[str, list[Figure | None]]]:
    """The figures of a group: by measure, one of each model; without those that no model has a value of."""
    found = [(name, [board.get(name, where) for board in boards]) for name, where in measures_of(group, distribution)]
    return [(name, pair) for name, pair in found if any(one and one.value is not None for one in pair)]


def show_group(shown: Shown, group: str, distribution: str) -> None:
    """A table of one group, and below it what the figures of the row that was clicked were computed from."""
    rows = rows_of(shown.boards, group, distribution)
    where = f": sampled from {DISTRIBUTIONS[distribution]}" if group == "Completeness" else ""
    st.subheader(f"{group}{where}", anchor=False)
    for sentence in scoreboard.left_out(shown.boards, measures_of(group, distribution)):
        st.caption(plain(sentence))
    if not rows:
        return
    table = [
        {
            "What": MEASURES[name].title,
            **{head: scoreboard.text_of(one) for head, one in zip(shown.heads, pair)},
            "Ceiling": end(pair, "ceiling"),
            "Floor": end(pair, "floor"),
            "In words": " ".join([*against_noise(pair, shown.heads), MEASURES[name].means]),
        }
        for name, pair in rows
    ]
    picked = st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        key=f"{group} {distribution} {shown.heads}",
        on_select="rerun",
        selection_mode="single-row",
    )
    for row in picked["selection"]["rows"]:
        show_examples(shown, *rows[row])


def against_noise(pair: list[Figure | None], heads: list[str]) -> list[str]:
    """A sentence for each model that the floor outdoes: then this measure alone proves nothing."""
    floor = {"mmd": "Codes all in one place score", "energy": "Codes all in one place score"}
    worse = [(one, head) for one, head in zip(pair, heads) if one and one.beaten_by_noise]
    return [f"{floor.get(one.measure, 'Noise scores')} no worse than {head}." for one, head in worse]


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


def show_examples(shown: Shown, name: str, pair: list[Figure | None]) -> None:
    """What the figures of a row were computed from."""
    st.markdown(f"**{MEASURES[name].title}.** {MEASURES[name].means}")
    for column, folder, head, one in zip(st.columns(2), shown.folders, shown.heads, pair):
        with column:
            if one is None:
                continue
            st.markdown(plain(f"{head}: {scoreboard.text_of(one)}, from {one.n:,}. {one.note}"))
            try:
                found = scoreboard.pictures(folder, one)
            except DamagedFile as error:
                st.warning(plain(f"{public(str(error), folder.parent)}."))
                continue
            if found:
                bars = (
                    " Each is a row of the table, with a bar for each value."
                    if is_table(found.images.shape[2:])
                    else ""
                )
                st.caption(f"{found.text}.{bars}")
                st.image(figures.contact_sheet(found.images), width="stretch")
    there = [three for three in zip(pair, shown.heads, shown.kinds) if three[0] and three[0].spread]
    if there:
        st.caption(UNITS[name])
        st.plotly_chart(figures.spread(*zip(*there)), width=600, config=STILL)


def drawn(shown: Shown, what: str, draw: Callable[[], go.Figure]) -> go.Figure:
    """A chart of two models, what: its name. Those of one's own models are kept nowhere."""
    shipped = catalogue.shipped().root
    if any(folder.parent != shipped for folder in shown.folders):
        return draw()
    return drawn_once(json.dumps([what, shown.heads, [board.about for board in shown.boards]], sort_keys=True), draw)


def downloads(shown: Shown) -> None:
    stem = "-".join(dict.fromkeys(board.about["model"] for board in shown.boards))
    with st.container(horizontal=True):
        record = {"models": [{"about": board.about, "figures": scoreboard.table([board])} for board in shown.boards]}
        st.download_button("JSON", json.dumps(record, indent=1), f"{stem}.json", "application/json")
        st.download_button("CSV", scoreboard.as_csv(shown.boards), f"{stem}.csv", "text/csv")
        st.download_button("Parquet", lambda: scoreboard.as_parquet(shown.boards), f"{stem}.parquet", PARQUET)
        st.download_button(
            "Report (HTML, 4.9 MB)",
            lambda: figures.report(shown.boards, shown.heads, shown.kinds),
            f"{stem}.html",
            "text/html",
        )


def show(shown: Shown) -> None:
    if sorted(shown.kinds) == ["ae", "vae"]:
        by_kind = dict(zip(shown.kinds, shown.boards))
        with st.container(border=True):
            st.markdown(scoreboard.verdict(by_kind["ae"], by_kind["vae"]))
    for sentence in dict.fromkeys(filter(None, map(scoreboard.judged_by, shown.boards))):
        st.caption(sentence)
    st.caption(
        "Click a row to see what it was computed from. In brackets: 95 % intervals. "
        "Ceiling: what real held-out images reach. Floor: the better of noise and shuffled pixels."
    )
    distribution = st.segmented_control(
        "Sample from",
        list(DISTRIBUTIONS),
        default="prior",
        required=True,
        format_func=DISTRIBUTIONS.__getitem__,
        key="from",
        bind="query-params",
    )
    for group in GROUPS:
        show_group(shown, group, str(distribution))
        if group == "Completeness":
            show_distributions(shown)
    show_kl(shown)
    downloads(shown)


def show_distributions(shown: Shown) -> None:
    """The completeness of both from every distribution."""
    there = {one.measure for board in shown.boards for one in board.figures if one.value is not None}
    measures = [name for name in DISTRIBUTED if name in there]
    if not measures:
        return
    with st.container(horizontal=True):
        for measure in measures:
            draw = functools.partial(figures.by_distribution, shown.boards, shown.heads, shown.kinds, measure)
            st.plotly_chart(drawn(shown, measure, draw), width=172, config=STILL, key=f"from each {measure}")
    st.caption(plain(figures.legend(shown.heads)))


def show_kl(shown: Shown) -> None:
    """KL of each dimension, of the VAEs."""
    vaes = {head: folder for head, folder, kind in zip(shown.heads, shown.folders, shown.kinds) if kind == "vae"}

    def draw() -> go.Figure:
        parts = {head: atlas.read_part(folder, "codes") for head, folder in vaes.items()}
        return figures.kl_per_dim({head: codes["kl_per_dim"].tolist() for head, codes in parts.items()})

    if vaes:
        st.caption("KL of each dimension in nats (a nat is 1.44 bits): one near 0 says nothing of the image.")
        try:
            chart = drawn(shown, "kl of each dimension", draw)
        except DamagedFile as error:
            st.warning(plain(f"KL of each dimension cannot be shown. {public(str(error), shown.folders[0].parent)}."))
            return
        bars = sum(len(trace.x) for trace in chart.data)
        st.plotly_chart(chart, width=min(1200, 120 + 60 * bars), config=STILL)
