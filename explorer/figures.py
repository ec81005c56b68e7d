"""Plotly figures and pictures from plain values, and the one-page report. AE and VAE keep their colours everywhere."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from explorer import policy, scoreboard
from explorer.frontier import Frontier, mean
from explorer.scoreboard import DISTRIBUTED, DISTRIBUTIONS, MEASURES, Figure, Scoreboard
from explorer.settings import is_table

if TYPE_CHECKING:
    import plotly.graph_objects as go

ACCENTS = {"ae": "#c04a12", "vae": "#1a67ab"}
SHORT = {"prior": "N(0, I)", "gaussian": "Gaussian", "mixture": "mixture", "box": "box"}
GAP = 2
BAR, TALL, MOST_BARS = 3, 24, 64  # of a row of a table: a bar's width, the height of a full one, how many at most
DECADES = {"type": "log", "dtick": 1}


def contact_sheet(images: np.ndarray) -> np.ndarray:
    """[3, K, C, H, W] uint8 -> one picture, uint8 [height, width] or with colours: a row for each of the three."""
    images = bars(images) if is_table(images.shape[2:]) else images
    rows, count, channels, height, width = images.shape
    sheet = np.full((rows * (height + GAP) - GAP, count * (width + GAP) - GAP, channels), 128, np.uint8)
    for i in range(rows):
        for j in range(count):
            top, left = i * (height + GAP), j * (width + GAP)
            sheet[top : top + height, left : left + width] = images[i, j].transpose(1, 2, 0)
    return sheet[:, :, 0] if channels == 1 else sheet


def bars(images: np.ndarray) -> np.ndarray:
    """[3, K, 1, 1, F] uint8, rows of a table, -> [3, K, 1, height, width]: a bar for each value, black on white.

    Of very many columns some, evenly chosen.
    """
    columns = images.shape[-1]
    chosen = images[..., 0, np.linspace(0, columns - 1, min(columns, MOST_BARS)).round().astype(int)]
    heights = np.repeat(chosen.astype(int), BAR, axis=-1)[..., None, :] * TALL
    return np.where(np.arange(TALL, 0, -1)[:, None] * 255 <= heights, 40, 235).astype(np.uint8)


def by_distribution(
    boards: Sequence[Scoreboard], names: Sequence[str], kinds: Sequence[str], measure: str
) -> go.Figure:
    """A measure of completeness from each distribution, with intervals; the first model circles, the second diamonds,
    the ceiling a dotted line, the floor a dashed one."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for board, name, kind, symbol in zip(boards, names, kinds, ("circle", "diamond")):
        found = [(where, board.get(measure, where)) for where in DISTRIBUTIONS]
        there = [(where, one, one.value) for where, one in found if one is not None and one.value is not None]
        figure.add_trace(
            go.Scatter(
                x=[SHORT[where] for where, _, _ in there],
                y=[value for _, _, value in there],
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [(value if one.high is None else one.high) - value for _, one, value in there],
                    "arrayminus": [value - (value if one.low is None else one.low) for _, one, value in there],
                },
                mode="markers",
                name=as_text(name),
                marker={"color": ACCENTS[kind], "size": 9, "symbol": symbol},
            )
        )
    one = boards[0].get(measure, "prior")
    for which, dash in (("ceiling", "dot"), ("floor", "dash")):
        value = getattr(one, which) if one else None
        if value is not None and (value > 0 or measure != "frechet"):
            figure.add_hline(value, line={"dash": dash, "width": 1, "color": "#808890"})
    figure.update_yaxes(DECADES if measure == "frechet" else {})
    figure.update_layout(title={"text": MEASURES[measure].title, "font": {"size": 14}}, showlegend=False)
    return plain(figure, height=230)


def spread(pair: Sequence[Figure], names: Sequence[str], kinds: Sequence[str]) -> go.Figure:
    """How the values behind a figure are spread: each model's quantiles as a line, the second one dashed."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for one, name, kind, dash in zip(pair, names, kinds, ("solid", "dash")):
        shares = np.linspace(0, 100, len(one.spread)).tolist()
        line = {"color": ACCENTS[kind], "dash": dash}
        figure.add_trace(go.Scatter(x=shares, y=list(one.spread), name=as_text(name), mode="lines", line=line))
    figure.update_xaxes(title="share of them that have less, %")
    figure.update_yaxes(title=MEASURES[pair[0].measure].title, rangemode="tozero")
    return plain(figure, height=260)


def kl_per_dim(values: dict[str, list[float]]) -> go.Figure:
    """Bars: by a VAE's name, the KL of each of its dimensions in nats."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, each in values.items():
        marker = {"color": ACCENTS["vae"], "opacity": 0.9 if len(values) == 1 else 0.6}
        figure.add_trace(go.Bar(x=[f"z{i + 1}" for i in range(len(each))], y=each, name=as_text(name), marker=marker))
    return plain(figure, height=200)


# ---- the frontier

DASHES = {0: "solid", 1: "dot"}
SYMBOLS = {0: "circle", 1: "square"}
ABOVE_BELOW = {0: "top center", 1: "bottom center"}
ZERO = 0.003  # where beta = 0 stands on a log axis
NO_RATE = 0.01  # where a KL below it does


def rate_distortion(found: Frontier) -> go.Figure:
    """kl against recon: a curve through the means of each latent_dim, every seed a point; the AE's recon as a line."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for i, d in enumerate(found.latent_dims):
        betas = found.betas(d)
        means = [
            (beta, mean(found.of("vae", d, beta), "kl"), mean(found.of("vae", d, beta), "recon")) for beta in betas
        ]
        there = [(beta, kl[0], recon[0]) for beta, kl, recon in means if kl and recon]
        figure.add_trace(
            go.Scatter(
                x=[max(kl, NO_RATE) for _, kl, _ in there],
                y=[recon for _, _, recon in there],
                text=[f"{beta:g}" for beta, _, _ in there],
                textposition=ABOVE_BELOW[i % 2],
                customdata=[[d, beta, kl] for beta, kl, _ in there],
                hovertemplate="VAE, %{customdata[0]} dimensions, β %{text}<br>KL %{customdata[2]:.3g}, recon %{y:.1f}"
                "<extra></extra>",
                mode="lines+markers+text",
                name=f"VAE, {d} dimensions",
                line={"color": ACCENTS["vae"], "dash": DASHES[i % 2]},
                marker={"size": 10, "symbol": SYMBOLS[i % 2]},
            )
        )
        seeds = found.of("vae", d)
        figure.add_trace(
            go.Scatter(
                x=[max(one.kl, NO_RATE) for one in seeds],
                y=[one.recon for one in seeds],
                mode="markers",
                marker={"color": ACCENTS["vae"], "size": 5, "opacity": 0.35, "symbol": SYMBOLS[i % 2]},
                hoverinfo="skip",
                showlegend=False,
            )
        )
        add_ae_line(figure, mean(found.of("ae", d), "recon"), d, dash=DASHES[i % 2])
    decades = {NO_RATE: f"≤ {NO_RATE:g}", 0.1: "0.1", 1: "1", 10: "10", 100: "100"}
    figure.update_xaxes(
        title="rate: KL, nats an image", type="log", tickvals=list(decades), ticktext=list(decades.values())
    )
    figure.update_yaxes(title="distortion: recon, nats an image")
    return plain(figure, height=420)


def against_beta(found: Frontier, what: str, title: str) -> go.Figure:
    """A figure against beta: the mean over the seeds with its range; the AE as a line, ceiling and floor where there
    are any."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for i, d in enumerate(found.latent_dims):
        means = [(beta, mean(found.of("vae", d, beta), what)) for beta in found.betas(d)]
        there = [(beta, *values) for beta, values in means if values]
        figure.add_trace(
            go.Scatter(
                x=[max(beta, ZERO) for beta, *_ in there],
                y=[value for _, value, _, _ in there],
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [high - value for _, value, _, high in there],
                    "arrayminus": [value - low for _, value, low, _ in there],
                },
                customdata=[[d, beta] for beta, *_ in there],
                hovertemplate="VAE, %{customdata[0]} dimensions, β %{customdata[1]}: %{y:.3g}<extra></extra>",
                mode="lines+markers",
                name=f"VAE, {d} dimensions",
                line={"color": ACCENTS["vae"], "dash": DASHES[i % 2]},
                marker={"size": 9, "symbol": SYMBOLS[i % 2]},
            )
        )
        add_ae_line(figure, mean(found.of("ae", d), what), d, dash=DASHES[i % 2])
    betas = sorted({beta for d in found.latent_dims for beta in found.betas(d)})
    figure.update_xaxes(
        title="beta (0: a stochastic AE)",
        type="log",
        tickvals=[max(beta, ZERO) for beta in betas],
        ticktext=[f"{beta:g}" for beta in betas],
    )
    for value, dash in zip(found.controls.get(what, (None, None)), ("dot", "dash")):
        if value is not None and not (what.startswith("frechet") and value <= 0):
            figure.add_hline(value, line={"dash": dash, "width": 1, "color": "#808890"})
    figure.update_yaxes(title=title, **(DECADES if what.startswith("frechet") else {}))
    return plain(figure, height=420)


def add_ae_line(figure: go.Figure, values: tuple[float, float, float] | None, d: int, *, dash: str) -> None:
    if values:
        figure.add_hline(
            values[0],
            line={"color": ACCENTS["ae"], "dash": dash, "width": 1.5},
            annotation={"text": f"AE, {d} dimensions", "font": {"color": ACCENTS["ae"]}},
        )


def plain(figure: go.Figure, *, height: int) -> go.Figure:
    """On the page's own ground, with little margin."""
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        legend={"orientation": "h", "y": -0.25},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return figure


# ---- pages to take along


def as_text(name: str) -> str:
    """A name as Plotly is to show it, which takes tags in a text for its own."""
    return html.escape(name, quote=False)


def page(title: str, body: str) -> str:
    """An HTML page of figures that needs nothing else, and may load nothing else."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy.of_report(body)}">'
        f"<title>{html.escape(title)}</title>"
        "<style>body{font:15px system-ui;max-width:70rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse}td,th{padding:.25rem .6rem;border-bottom:1px solid #ccc;text-align:left}"
        f".chart{{display:inline-block;width:15rem}}</style>{body}</html>"
    )


def frontier_page(found: Frontier, what: str, title: str, about: str) -> str:
    """Both figures of the frontier, interactive; about: what they are of."""
    charts = interactive([rate_distortion(found), against_beta(found, what, title)])
    return page(
        "Latent Explorer: what beta trades",
        f"<h1>What beta trades</h1><p>{html.escape(about)}</p><h2>Rate against distortion</h2>{charts[0]}"
        f"<h2>{html.escape(title)} against beta</h2>{charts[1]}",
    )


def interactive(charts: Sequence[go.Figure]) -> list[str]:
    """The figures as parts of one page; the first brings Plotly (4.8 MB), so that the page works offline."""
    return [chart.to_html(full_html=False, include_plotlyjs=i == 0) for i, chart in enumerate(charts)]


def legend(names: Sequence[str]) -> str:
    """What the marks in by_distribution are."""
    return f"Circles: {names[0]}. Diamonds: {names[1]}. Dotted line: ceiling. Dashed line: floor. Bars: 95 % intervals."


def report(boards: Sequence[Scoreboard], names: Sequence[str], kinds: Sequence[str]) -> str:
    """One page that needs nothing else: verdict, table, figure, and how it was made."""
    by_kind = dict(zip(kinds, boards))
    said = scoreboard.verdict(by_kind["ae"], by_kind["vae"]) if set(by_kind) == {"ae", "vae"} else ""
    spreads = with_spread(boards)
    charts = interactive(
        [
            *(by_distribution(boards, names, kinds, measure) for measure in DISTRIBUTED),
            *(spread(pair, names, kinds) for _, pair in spreads),
        ]
    )
    made = "".join(
        f"<li>{html.escape(name)}: {html.escape(str(board.about))}</li>" for name, board in zip(names, boards)
    )
    heads = "".join(f"<th>{html.escape(text)}</th>" for text in ("What", *names, "Ceiling", "Floor", "Note"))
    rows = "".join(report_row(boards, figure) for figure in boards[0].figures)
    drawn = "".join(f'<div class="chart">{chart}</div>' for chart in charts[: len(DISTRIBUTED)])
    spread_out = "".join(
        f"<h3>{html.escape(title)}</h3>{chart}" for (title, _), chart in zip(spreads, charts[len(DISTRIBUTED) :])
    )
    return page(
        "Latent Explorer: measures",
        f"<h1>{html.escape(' and '.join(names))}</h1><p>{html.escape(said)}</p>{drawn}"
        f"<p>{html.escape(legend(names))}</p>"
        "<p>In brackets: 95 % intervals. Ceiling: what real held-out images reach. Floor: noise.</p>"
        f"<table><tr>{heads}</tr>{rows}</table><h2>How the values are spread</h2>{spread_out}"
        f"<h2>How it was made</h2><ul>{made}</ul>",
    )


def with_spread(boards: Sequence[Scoreboard]) -> list[tuple[str, list[Figure]]]:
    """By title, the figures of all boards whose values have a spread."""
    found = [(one, [board.get(one.measure, one.distribution) for board in boards]) for one in boards[0].figures]
    return [
        (scoreboard.title(one), [each for each in pair if each])
        for one, pair in found
        if all(each and each.spread for each in pair)
    ]


def report_row(boards: Sequence[Scoreboard], figure: Figure) -> str:
    pair = [board.get(figure.measure, figure.distribution) for board in boards]
    digits = MEASURES[figure.measure].digits
    ends = ["–" if value is None else f"{value:.{digits}f}" for value in (figure.ceiling, figure.floor)]
    cells = [scoreboard.title(figure), *map(scoreboard.text_of, pair), *ends, figure.note]
    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
