"""What beta trades, on the page Measure: the sweep that ships, and those that run on this server, as they fill."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from explorer import catalogue, cells, figures, frontier, scoreboard
from explorer.files import DamagedFile, public
from explorer.frontier import Frontier
from explorer.markdown import plain
from explorer.pages.once import drawn_once, read_once

if TYPE_CHECKING:
    import plotly.graph_objects as go

STILL = {"displayModeBar": False}
FRONTIER = Path("frontier", "mnist.json")


def show_frontier() -> None:
    """What beta trades, from the sweep that ships."""
    root = catalogue.shipped().root
    try:
        found = read_once(root / FRONTIER, lambda folder: frontier.load(folder / FRONTIER.name))
    except DamagedFile as error:
        st.warning(plain(f"What beta trades cannot be shown. {public(str(error), root)}."))
        return
    st.header("What beta trades", anchor=False)
    settings = found.settings
    seeds = len({one.seed for one in found.points})
    about = (
        f"MNIST, {'-'.join(map(str, settings['hidden']))}, {settings['epochs']} epochs, {seeds} seeds each, "
        f"{settings['samples']:,} samples. Beta 0 is an AE with noise in its code; a large one says nothing any more. "
        "Orange: an AE of the same size. Numbers at points: beta. Bars: lowest and highest seed."
    )
    st.caption(f"{about} Click a point to see its model on the stage.")

    def draw(make: Callable[[], go.Figure], key: str) -> None:
        visit(clickable(drawn_once(f"{key} {settings}", make), key))

    what, title = show_charts(found, draw, against="against", bind="query-params")
    st.download_button(
        "Both figures (HTML, 4.9 MB)",
        lambda: figures.frontier_page(found, what, title, about),
        "what-beta-trades.html",
        "text/html",
    )


def show_charts(
    found: Frontier, draw: Callable[[Callable[[], go.Figure], str], object], *, against: str, **kept: Any
) -> tuple[str, str]:
    """Rate against distortion, and a figure that is chosen, with its title, against beta. against: the choice's key."""
    names = {key: scoreboard.title_of(key) for key in found.controls}
    left, right = st.columns(2)
    with left:
        st.markdown("**Rate against distortion**")
        draw(lambda: figures.rate_distortion(found), f"rate {against}")
    with right:
        what = st.selectbox(
            "Against beta",
            list(names),
            format_func=names.__getitem__,
            index=list(names).index("frechet/prior"),
            key=against,
            **kept,
        )
        draw(lambda: figures.against_beta(found, what, names[what]), f"{what} {against}")
    return what, names[what]


def clickable(figure: go.Figure, key: str) -> list[dict[str, Any]]:
    """Show a figure; the points that were clicked."""
    event = st.plotly_chart(figure, config=STILL, key=key, on_select="rerun", selection_mode="points")
    return list(event["selection"]["points"])


def visit(points: list[dict[str, Any]]) -> None:
    """Go to the stage with the model of the point that was clicked, if one was; its customdata: latent_dim, beta, …"""
    for point in points[:1]:
        latent_dim, beta, *_ = point["customdata"]
        pair = catalogue.shipped().dial_pair(latent_dim, beta)
        if pair:
            st.switch_page("explore.py", query_params=pair)
        st.warning("The model of this point is not here: get the project's files again.")


# ---- sweeps on this server

SWEEPS = "LATENT_EXPLORER_SWEEPS"
BUSY_S, QUIET_S = 2.0, 15.0
NEEDED = ("measure", "distribution", "value", "ceiling", "floor", "n")


def show_sweeps() -> None:
    """The sweeps of the folder that the environment names, as they come and go. Nothing without such a folder."""
    if root := os.environ.get(SWEEPS):
        busy = is_busy(looked_at(Path(root)))
        st.fragment(follow_sweeps, run_every=BUSY_S if busy else QUIET_S)(Path(root), busy)


def looked_at(root: Path) -> dict[str, cells.Look | DamagedFile]:
    """By name, where each sweep below root stands, or why that cannot be read."""

    def seen_of(folder: Path) -> cells.Look | DamagedFile:
        try:
            return cells.look(folder, read=from_memory)
        except DamagedFile as error:
            return error

    return {folder.name: seen_of(folder) for folder in cells.sweeps(root)}


def is_busy(sweeps: dict[str, cells.Look | DamagedFile]) -> bool:
    return any(isinstance(seen, cells.Look) and seen.running for seen in sweeps.values())


def follow_sweeps(root: Path, busy: bool) -> None:
    """One of the sweeps, as it stands now. busy: whether any was running when the page was drawn."""
    sweeps = looked_at(root)
    if is_busy(sweeps) != busy:
        st.rerun()  # at the other pace
    if not sweeps:
        return
    st.header("Sweeps on this server", anchor=False)
    name = st.selectbox("Sweep", list(sweeps)) if len(sweeps) > 1 else next(iter(sweeps))
    seen = sweeps[name]
    if isinstance(seen, DamagedFile):
        st.warning("This sweep cannot be shown.")
        st.text(public(str(seen), root))  # its folder's name is no markup
        return
    show_progress(seen)
    show_found(seen)


def show_progress(seen: cells.Look) -> None:
    """How far a sweep is, cell by cell."""
    done, total = len(seen.records), len(seen.plan.cells)
    st.text(f"{seen.name}: {done:,} of {total:,} cells done{how_long(seen)}")
    st.progress(done / total)
    table = [
        {
            "Cell": one.cell.name,
            "Epoch": f"{one.epoch} of {one.cell.settings.epochs}" if one.where else "waits for a place",
            "Machine": one.where,
            "Reconstruction": rounded(one.stats.get("test_recon")),
            "KL": rounded(one.stats.get("test_kl")),
        }
        for one in seen.running
    ]
    table += [{"Cell": cell.name, "Epoch": "could not be trained: start the sweep again"} for cell in seen.failed]
    if table:
        st.dataframe(table, hide_index=True, width="stretch")


def show_found(seen: cells.Look) -> None:
    """The charts of a sweep as they fill, of one data set at a time."""
    by_data: dict[str, list[dict[str, Any]]] = {}
    for record in seen.records:
        by_data.setdefault(record["cell"]["dataset"], []).append(record)
    names = [name for name in seen.plan.datasets if name in by_data]
    if names:
        name = st.selectbox("Data", names, key=f"data in {seen.name}") if len(seen.plan.datasets) > 1 else names[0]
        show_charts(
            frontier.collect(by_data[name]),
            lambda make, key: st.plotly_chart(make(), config=STILL, key=key),
            against=f"against in {seen.name}",
        )


def rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def how_long(seen: cells.Look) -> str:
    """When a sweep will be done, in words, after how far it is."""
    if not seen.left:
        return ""
    if not seen.running:
        return "; nothing runs now: start the same command again to go on"
    if seen.left_s is None:
        return ""
    minutes = seen.left_s / 60
    return ", less than a minute left" if minutes < 1 else f", about {minutes:,.0f} min left"


def from_memory(folder: Path) -> dict[str, Any]:
    """As cells.read_cell, what the page needs of it, without reading again what has not changed."""
    return read_once(folder / cells.CELL, needed)


def needed(folder: Path) -> dict[str, Any]:
    record = cells.read_cell(folder)
    measures = [{key: one[key] for key in NEEDED} for one in record["measures"]]
    return {**{key: record[key] for key in ("cell", "recon", "kl", "seconds")}, "measures": measures}
