"""Measure: how regular two latent spaces are, as figures between their controls, with the pictures behind them."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from explorer import (
    atlas,
    catalogue,
    cells,
    checkpoints,
    demo,
    described,
    figures,
    frontier,
    measurings,
    scoreboard,
    visitors,
)
from explorer.files import DamagedFile, public
from explorer.frontier import Frontier
from explorer.markdown import plain
from explorer.scoreboard import DISTRIBUTED, DISTRIBUTIONS, MEASURES, Figure, Scoreboard
from explorer.settings import is_table

if TYPE_CHECKING:
    import plotly.graph_objects as go

SIDES = ("left", "right")
GROUPS = ("Completeness", "Continuity", "Prior mismatch", "Price")
STILL = {"displayModeBar": False}
MOST_DRAWN = 300  # charts of what ships, some 10 KB each
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
        board = scoreboard.load(folder)
    except DamagedFile as error:
        if (folder / scoreboard.FIGURES).exists():
            st.warning(f"{public(str(error), folder.parent)}. It can be measured again.")
        return None
    return board if board.about.get("weights_sha256") == entry.card.sha256 else None


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


@st.cache_resource(max_entries=MOST_DRAWN, show_spinner=False)
def drawn_once(key: str, _draw: Callable[[], go.Figure]) -> go.Figure:
    """A chart of what ships, drawn once a process and shared: to draw one costs ten times what it costs to send it."""
    return _draw()


def drawn(shown: Shown, what: str, draw: Callable[[], go.Figure]) -> go.Figure:
    """A chart of two models, what: its name. Those of one's own models are kept nowhere."""
    shipped = catalogue.shipped().root
    if any(folder.parent != shipped for folder in shown.folders):
        return draw()
    return drawn_once(json.dumps([what, shown.heads, [board.about for board in shown.boards]], sort_keys=True), draw)


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
        st.info(f"Not measured: {' and '.join(missing)}. {demo.sentence()}")
        return
    own = any(name in datasets for name in missing)
    first = " Of your own data a classifier learns first, which takes up to a minute more." if own else ""
    st.info(f"Not measured yet: {plain(' and '.join(missing))}. It takes about a minute.{first}")
    st.button("Measure", type="primary", on_click=start, args=(missing, datasets))


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
            st.warning(f"KL of each dimension cannot be shown. {public(str(error), shown.folders[0].parent)}.")
            return
        bars = sum(len(trace.x) for trace in chart.data)
        st.plotly_chart(chart, width=min(1200, 120 + 60 * bars), config=STILL)


def show_frontier() -> None:
    """What beta trades, from the sweep that ships."""
    root = catalogue.shipped().root
    try:
        found = frontier.load(root / "frontier" / "mnist.json")
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

SWEEPS, REFRESH_S = "LATENT_EXPLORER_SWEEPS", 2.0
NEEDED = ("measure", "distribution", "value", "ceiling", "floor", "n")


def show_sweeps() -> None:
    """A sweep of the folder that the environment names: how far it is, and what it has found. Nothing without one."""
    root = os.environ.get(SWEEPS)
    folders = {folder.name: folder for folder in cells.sweeps(Path(root))} if root else {}
    if not folders:
        return
    st.header("Sweeps on this server", anchor=False)
    name = st.selectbox("Sweep", list(folders)) if len(folders) > 1 else next(iter(folders))
    seen = seen_of(folders[name])
    st.fragment(show_sweep, run_every=REFRESH_S if seen and seen.running else None)(folders[name], seen)


def seen_of(folder: Path) -> cells.Look | None:
    """Where a sweep stands; None, and why, if that cannot be read."""
    try:
        return cells.look(folder, read=from_memory)
    except DamagedFile as error:
        st.warning("This sweep cannot be shown.")
        st.text(public(str(error), folder.parent))  # its folder's name is no markup
        return None


def show_sweep(folder: Path, before: cells.Look | None) -> None:
    """How far a sweep is, and its charts as they fill. before: where it stood when the page was drawn."""
    seen = seen_of(folder) if before and before.running else before
    if seen is None:
        return
    if before and before.running and not seen.running:
        st.rerun()
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
    if seen.records:
        show_charts(
            frontier.collect(seen.records),
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
    """As cells.read_cell, without reading again what has not changed."""
    try:
        changed = (folder / cells.CELL).stat().st_mtime_ns
    except OSError as error:
        raise DamagedFile(f"{folder / cells.CELL} is not there") from error
    return needed(str(folder), changed)


@st.cache_data(max_entries=4000, show_spinner=False)
def needed(folder: str, changed: int) -> dict[str, Any]:
    """What the page needs of a finished cell."""
    record = cells.read_cell(Path(folder))
    measures = [{key: one[key] for key in NEEDED} for one in record["measures"]]
    return {**{key: record[key] for key in ("cell", "recon", "kl", "seconds")}, "measures": measures}


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
show_frontier()
show_sweeps()
