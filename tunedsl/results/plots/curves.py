"""Learning curves, with the ends of stopped and failed trials marked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from tunedsl.results.plots import style
from tunedsl.results.plots.data import PlotTrials

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST: Final = 150
"""Curves that are drawn one by one."""
FIRST: Final = 20
"""Number of best trials among them."""
DOTS: Final = 100
"""Reports of a curve that are drawn."""
EVENLY: Final = 8
"""Reports of each trial that the axis is fitted to."""
SYMBOLS: Final = {"stopped": "x", "failed": "cross", "paused": "line-ns-open", "running": "triangle-right"}


def curves(trials: PlotTrials) -> go.Figure:
    """One line per trial; with many trials, the best and a sample of the others over the quantiles of all."""
    go, metric = style.plotly(), trials.objective.metric
    held = np.array([place for place, record in enumerate(trials.records) if record.column(metric) is not None])
    ranked = trials.ranked
    shown = held[style.sample(len(held), MOST - FIRST if len(held) > MOST else MOST)]
    shown = np.union1d(shown, ranked[:FIRST]).astype(np.intp)
    everything, evenly = _values(trials, held)
    axis, outside = style.y_axis(metric, everything, trials.sign, evenly, "reports")
    name = style.text(metric)
    few = len(shown) < len(held)
    notes = [
        style.drawn(len(shown), len(held), "trials"),
        f"the best {FIRST} by the {trials.said} and others evenly from first to last" if few else "",
        "band: 10 to 90 % of all trials that came so far, dotted: their median" if few else "",
        outside,
    ]
    made = style.figure(f"Learning curves of {name}", notes)
    if few:
        _band(made, trials, held)
    status = np.array([trials.records[place].status for place in shown])
    opacity = 0.75 if len(shown) < 40 else 0.4
    for word, colour in style.COLOURS.items():
        chosen = shown[status == word]
        if len(chosen):
            x, y, labels, numbers = _lines(trials, chosen)
            made.add_trace(
                go.Scatter(
                    x=x,
                    y=y,
                    text=labels,
                    customdata=numbers,
                    mode="lines",
                    name=word,
                    legendgroup=word,
                    opacity=opacity,
                    line={"color": colour, "width": 1.2},
                    hovertemplate=f"trial %{{text}}<br>iteration %{{x}}<br>{name} %{{y:.6g}}<extra>{word}</extra>",
                )
            )
            _ends(made, trials, chosen, word)
    if len(ranked):
        x, y, labels, numbers = _lines(trials, ranked[:1])
        made.add_trace(
            go.Scatter(
                x=x,
                y=y,
                text=labels,
                customdata=numbers,
                mode="lines+markers" if len(x) < 3 else "lines",
                name="best trial",
                line={"color": style.BEST, "width": 2.5},
                hovertemplate=f"best trial %{{text}}<br>iteration %{{x}}<br>{name} %{{y:.6g}}<extra></extra>",
            )
        )
    made.update_xaxes(style.iterations(max(trials.records[place].iterations for place in shown)))
    made.update_yaxes(axis)
    return made


def _values(trials: PlotTrials, places: NDArray[np.intp]) -> tuple[style.Floats, style.Floats]:
    """All values of the metric, and as many of each trial, so that long ones do not decide about the axis."""
    columns = [trials.records[place].column(trials.objective.metric) for place in places]
    values = [np.asarray(column.values) for column in columns if column is not None]
    evenly = [each[np.linspace(0, len(each) - 1, EVENLY).round().astype(np.intp)] for each in values]
    return np.concatenate([np.zeros(0), *values]), np.concatenate([np.zeros(0), *evenly])


def _lines(
    trials: PlotTrials, places: NDArray[np.intp]
) -> tuple[list[float | None], list[float | None], list[str], list[int]]:
    """Curves one after another, with gaps between them, and the name and the number of each dot's trial."""
    x: list[float | None] = []
    y: list[float | None] = []
    labels: list[str] = []
    numbers: list[int] = []
    for place in places:
        record = trials.records[place]
        column = record.column(trials.objective.metric)
        assert column is not None  # trials without it are not drawn
        dots = style.sample(len(column.values), DOTS)
        x += [column.rows[dot] + 1 for dot in dots]
        y += [column.values[dot] if math.isfinite(column.values[dot]) else None for dot in dots]
        labels += [style.text(record.name)] * (len(dots) + 1)
        numbers += [record.number] * (len(dots) + 1)
        x.append(None)
        y.append(None)
    return x, y, labels, numbers


def _ends(made: go.Figure, trials: PlotTrials, places: NDArray[np.intp], word: str) -> None:
    """Marks at the last reports of trials that did not complete; circles where one completed after a single report."""
    metric = trials.objective.metric
    columns = [(trials.records[place], trials.records[place].column(metric)) for place in places]
    ends = [(r, c) for r, c in columns if c is not None and (word != "completed" or len(c.values) == 1)]
    if not ends:
        return
    made.add_trace(
        style.plotly().Scatter(
            x=[column.rows[-1] + 1 for _, column in ends],
            y=[column.values[-1] for _, column in ends],
            text=[style.text(record.name) for record, _ in ends],
            customdata=[record.number for record, _ in ends],
            mode="markers",
            showlegend=False,
            legendgroup=word,
            marker={"color": style.COLOURS[word], "symbol": SYMBOLS.get(word, "circle"), "size": 7, "opacity": 0.8},
            hovertemplate=f"trial %{{text}}<br>{word} after iteration %{{x}}<extra></extra>",
        )
    )


def _band(made: go.Figure, trials: PlotTrials, places: NDArray[np.intp]) -> None:
    """The quantiles of all trials that came as far as an iteration."""
    go, metric = style.plotly(), trials.objective.metric
    columns = [column for place in places if (column := trials.records[place].column(metric)) is not None]
    last = max(column.rows[-1] for column in columns) + 1
    grid = np.unique(np.round(np.geomspace(1, last, 60))).astype(int)
    found = []
    rows = np.concatenate([np.asarray(column.rows) for column in columns])
    values = np.concatenate([np.asarray(column.values) for column in columns])
    for at in grid:
        here = values[rows == at - 1]
        finite = here[np.isfinite(here)]
        if len(finite) >= 5:
            found.append((at, *np.quantile(finite, [0.1, 0.5, 0.9])))
    if not found:
        return
    x, low, middle, high = (list(column) for column in zip(*found, strict=True))
    made.add_trace(
        go.Scatter(
            x=[*x, *x[::-1]],
            y=[*high, *low[::-1]],
            fill="toself",
            fillcolor="rgba(120,130,150,0.18)",
            line={"width": 0},
            mode="lines",
            name="10 to 90 %",
            hoverinfo="skip",
        )
    )
    made.add_trace(
        go.Scatter(
            x=x,
            y=middle,
            mode="lines",
            name="median",
            line={"color": "#5A6474", "dash": "dot", "width": 2},
            hovertemplate="iteration %{x}<br>median %{y:.6g}<extra></extra>",
        )
    )
