"""The objective over two parameters at once: a smoothed mean of the trials near by, with the trials on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunedsl.base.errors import NoResult, wrong_value
from tunedsl.results.plots import style
from tunedsl.results.plots.data import Axis, PlotTrials
from tunedsl.results.plots.slices import _x_axis as axis_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST: Final = 600
"""Points."""
CELLS: Final = 48
"""Of the smoothed surface, along an axis of numbers."""


def contour(trials: PlotTrials, x: str | None = None, y: str | None = None) -> go.Figure:
    """Two parameters; without names the two first that vary, numbers before options."""
    one, two = _pair(trials, x, y)
    both = trials.valued[one.exists[trials.valued] & two.exists[trials.valued]]
    if len(both) < 3:
        raise NoResult(f"A contour needs three trials with {one.name} and {two.name}, but there are {len(both)}.")
    values, metric = trials.values[both], style.text(trials.objective.metric)
    log = style.is_log(values, trials.sign)
    height = np.log10(values) if log else values
    low, high = style.colour_range(height, trials.sign)
    best = both[[np.argmax(trials.sign * values)]]
    shown = both[style.sample(len(both), MOST)]
    across, up = _cells(one), _cells(two)
    near = _weights(one, across, both), _weights(two, up, both)
    mass = near[1] @ near[0].T
    with np.errstate(invalid="ignore", divide="ignore"):
        surface = (near[1] * height) @ near[0].T / mass
    surface[mass < 0.15] = np.nan  # nobody was there
    surface = np.clip(surface, low, high)
    notes = [
        f"the mean of {metric} of trials near by, smoothed; blank without trials near by",
        style.drawn(len(shown), len(both), "trials with both"),
        f"star: the best of them, trial {style.text(trials.records[best[0]].name)}",
        trials.compared,
    ]
    made = style.figure(f"{trials.named} over {style.text(one.name)} and {style.text(two.name)}", notes, 520)
    go = style.plotly()
    kind = go.Heatmap if one.options or two.options else go.Contour
    extra: dict[str, Any] = {} if kind is go.Heatmap else {"contours": {"coloring": "heatmap"}, "line": {"width": 0.5}}
    made.add_trace(
        kind(
            x=10**across if one.log else across,
            y=10**up if two.log else up,
            z=surface,
            colorscale=style.SCALE,
            reversescale=trials.sign > 0,
            zmin=low,
            zmax=high,
            colorbar=style.colour_bar(metric, height, low, high, log),
            hoverinfo="skip",
            **extra,
        )
    )
    for places, mark in ((shown, {"size": 5, "color": "rgba(255,255,255,0.75)"}), (best, _STAR)):
        made.add_trace(
            go.Scatter(
                x=one.values[places],
                y=two.values[places],
                mode="markers",
                cliponaxis=False,
                showlegend=False,
                marker={"line": {"width": 0.8, "color": "#222"}, **mark},
                text=[style.text(trials.records[place].name) for place in places],
                hovertext=[f"{value:.6g}" for value in trials.values[places]],
                customdata=[trials.records[place].number for place in places],
                hovertemplate=f"trial %{{text}}<br>{metric} %{{hovertext}}<extra></extra>",
            )
        )
    made.update_xaxes(axis_of(one))
    made.update_yaxes(axis_of(two))
    return made


_STAR: Final = {"size": 16, "symbol": "star", "color": "#D55E00"}


def _pair(trials: PlotTrials, x: str | None, y: str | None) -> tuple[Axis, Axis]:
    if x is not None and x == y:
        raise wrong_value("contour.y", y, "a parameter other than x")
    named = {axis.name: axis for axis in trials.axes([name for name in (x, y) if name is not None])} if x or y else {}
    others = [] if len(named) == 2 else [axis for axis in trials.axes() if axis.name not in named]
    others.sort(key=lambda axis: (bool(axis.options), not axis.exists.all()))
    if len(named) + len(others) < 2:
        raise NoResult("A contour needs two parameters with more than one value.")
    rest = iter(others)
    return named[x] if x is not None else next(rest), named[y] if y is not None else next(rest)


def _cells(axis: Axis) -> style.Floats:
    """The places along an axis, as they lie on it."""
    if axis.options:
        return np.arange(len(axis.options), dtype=float)
    found = axis.scaled[axis.exists]
    return np.linspace(found.min(), found.max(), CELLS)


def _weights(axis: Axis, cells: style.Floats, places: Any) -> style.Floats:
    """How much each trial counts at each place: all at its own option, or by its distance."""
    found = axis.scaled[places]
    if axis.options:
        chosen: style.Floats = (cells[:, None] == found[None, :]).astype(float)
        return chosen
    width = (cells[-1] - cells[0]) or 1.0
    near = max(0.05, 0.32 * len(places) ** -0.3) * width
    weights: style.Floats = np.exp(-0.5 * ((cells[:, None] - found[None, :]) / near) ** 2)
    return weights
