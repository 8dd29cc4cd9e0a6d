"""Slices: the objective over each single parameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunedsl.results.plots import style
from tunedsl.results.plots.data import Axis, PlotTrials

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST: Final = 1_200
"""Points of a panel."""
PANELS: Final = 12
ACROSS: Final = 3
LONGEST: Final = 24
"""Characters of a parameter's name: the panels stand close."""
ROOM: Final = 32
"""Characters below a panel, for the names of its options."""
MAX_FLAT: Final = 6
"""Options whose names lie side by side."""
UPRIGHT: Final = 5
"""Characters of each where they are more."""


def slices(trials: PlotTrials, parameters: Sequence[str] | None = None) -> go.Figure:
    """One panel per parameter, one point per trial, later trials darker; a line for the median of many."""
    style.plotly()
    from plotly.subplots import make_subplots

    axes, valued = trials.axes(parameters), trials.valued
    count = len(axes)
    axes = axes if parameters is not None else axes[:PANELS]
    across = min(ACROSS, len(axes))
    rows = math.ceil(len(axes) / across)
    shown = valued[style.sample(len(valued), MOST, np.flatnonzero(np.isin(valued, trials.ranked[:50])))]
    values = trials.values[valued]
    axis_y, outside = style.y_axis(trials.objective.metric, values, trials.sign)
    notes = [
        style.drawn(len(shown), len(valued), "trials with a value"),
        "the best 50 among them" if len(shown) < len(valued) else "",
        f"the first {len(axes)} of {count} parameters" if len(axes) < count else "",
        trials.compared,
        "line: the median of all trials near by" if len(valued) >= 60 else "",
        outside,
    ]
    frame = style.figure(f"{trials.named} over each parameter", notes, 300 * rows if rows > 1 else 380)
    made = make_subplots(rows, across, shared_yaxes=True, horizontal_spacing=0.035, vertical_spacing=0.62 / rows / 2.6)
    made.update_layout(frame.layout)
    for index, axis in enumerate(axes):
        row, column = divmod(index, across)
        place = {"row": row + 1, "col": column + 1}
        some = shown[axis.exists[shown]]
        made.add_trace(_points(trials, axis, some, bar=index == 0), **place)
        if len(valued) >= 60 and not axis.options:
            made.add_trace(_middle(trials, axis, valued[axis.exists[valued]]), **place)
        made.update_xaxes(_x_axis(axis), **place)
        made.update_yaxes({**axis_y, "title": axis_y["title"] if column == 0 else None}, **place)
    made.update_layout(showlegend=False)
    return made


def _points(trials: PlotTrials, axis: Axis, places: Any, bar: bool) -> go.Scatter:
    x = axis.values[places]
    spread = (places * 0.618034 % 1 - 0.5) * 0.5 if axis.options else 0.0  # options are lines without it
    most = max(len(trials) - 1, 1)
    colour = {**style.BAR, **style.whole(0, most), "title": {"text": "trial (number)", "side": "right"}}
    numbers = [trials.records[place].number for place in places]
    options = [style.text(axis.options[int(each)]) for each in x] if axis.options else [f"{each:.6g}" for each in x]
    return style.plotly().Scatter(
        x=x + spread,
        y=trials.values[places],
        mode="markers",
        marker={
            "color": numbers,
            "colorscale": [[0, "#9ECAE1"], [1, "#08306B"]],
            "cmin": 0,
            "cmax": most,
            "size": 6 if len(places) < 200 else 4,
            "opacity": 0.75 if len(places) < 200 else 0.5,
            "line": {"width": 0.3, "color": "#345"},
            "showscale": bar,
            "colorbar": colour if bar else None,
        },
        text=[style.text(trials.records[place].name) for place in places],
        hovertext=options,
        customdata=numbers,
        hovertemplate=f"trial %{{text}}<br>{style.text(axis.name)} %{{hovertext}}"
        f"<br>{style.text(trials.objective.metric)} %{{y:.6g}}<extra></extra>",
    )


def _middle(trials: PlotTrials, axis: Axis, places: Any) -> go.Scatter:
    """The median in twenty parts of equal counts."""
    order = places[np.argsort(axis.values[places], kind="stable")]
    parts = [part for part in np.array_split(order, min(20, max(3, len(order) // 15))) if len(part)]
    return style.plotly().Scatter(
        x=[float(np.median(axis.values[part])) for part in parts],
        y=[float(np.median(trials.values[part])) for part in parts],
        mode="lines",
        line={"color": "#D55E00", "width": 2},
        hovertemplate="median %{y:.6g}<extra></extra>",
    )


def _x_axis(axis: Axis) -> dict[str, Any]:
    name = style.label(axis.name, LONGEST) + (" (log)" if axis.log else "")
    made: dict[str, Any] = {"title": {"text": name, "standoff": 4}}
    if axis.options:
        flat = len(axis.options) <= MAX_FLAT  # plotly would slant them, and push the name into the panel below
        texts = [style.text(option, ROOM // len(axis.options) if flat else UPRIGHT) for option in axis.options]
        made |= {"tickvals": list(range(len(texts))), "ticktext": texts, "range": [-0.6, len(texts) - 0.4]}
        made["tickangle"] = 0 if flat else 90
    elif axis.log:
        found = axis.scaled[axis.exists]
        made |= {"type": "log", "exponentformat": "power", "dtick": style.log_step(found.max() - found.min())}
    elif axis.whole:
        made |= style.whole(*(float(each) for each in (np.nanmin(axis.values), np.nanmax(axis.values))))
    return made
