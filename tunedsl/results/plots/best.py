"""The best value over time: each trial's value, and the best so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from tunedsl.results.plots import style
from tunedsl.results.plots.data import PlotTrials, described

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST: Final = 2_000
"""Trials that are drawn as points."""

Over = Literal["seconds", "trials"]


def best(trials: PlotTrials, over: Over = "seconds") -> go.Figure:
    """One point per trial, and a line of the best value so far."""
    places = trials.valued
    at = trials.ended[places] if over == "seconds" else np.array([trials.records[i].number for i in places], float)
    order = np.argsort(at, kind="stable")
    places, at = places[order], at[order]
    values = trials.values[places]
    status = np.array([trials.records[place].status for place in places])
    whole, feasible = status != "failed", trials.feasible[places]
    able = next((each for each in (whole & feasible, whole) if each.any()), np.ones(len(places), bool))
    line = trials.sign * np.maximum.accumulate(np.where(able, trials.sign * values, -np.inf))
    line = np.where(np.isfinite(line), line, np.nan)
    steps = np.flatnonzero(np.concatenate([[True], line[1:] != line[:-1]]) & ~np.isnan(line))
    shown = style.sample(len(places), MOST, steps)
    divisor, unit = style.clock(float(at[-1])) if over == "seconds" else (1.0, "")
    axis, outside = style.y_axis(trials.objective.metric, values, trials.sign)
    metric = style.text(trials.objective.metric)
    notes = [
        f"{'least' if trials.sign < 0 else 'largest'} {metric} by the {trials.said} of each trial",
        style.drawn(len(shown), len(places), "trials with a value"),
        "and each that was the best when it came" if len(shown) < len(places) else "",
        "failed trials are not the best" if not (able | whole).all() else "",
        "infeasible trials are not the best" if not (able | feasible).all() else "",
        outside,
    ]
    made = style.figure(f"Best {metric} so far", notes)
    go = style.plotly()
    for name, colour in style.COLOURS.items():
        chosen = shown[status[shown] == name]
        if len(chosen):
            made.add_trace(
                go.Scatter(
                    x=at[chosen] / divisor,
                    y=values[chosen],
                    mode="markers",
                    name=name,
                    marker={"color": colour, "size": 7 if len(shown) < 300 else 4, "opacity": 0.65},
                    text=[_hover(trials, place) for place in places[chosen]],
                    customdata=[trials.records[place].number for place in places[chosen]],
                    hovertemplate=f"%{{text}}<br>{metric} %{{y:.6g}}<extra>{name}</extra>",
                )
            )
    ends = np.append(steps, len(line) - 1)
    made.add_trace(
        go.Scatter(
            x=at[ends] / divisor,
            y=line[ends],
            mode="lines+markers" if len(steps) < 60 else "lines",
            name="best so far",
            line={"color": style.BEST, "width": 2, "shape": "hv"},
            marker={"size": [5] * len(steps) + [0]},
            text=[_hover(trials, places[step]) for step in steps] + ["until here"],
            customdata=[*(trials.records[place].number for place in places[steps]), None],
            hovertemplate=f"%{{text}}<br>best {metric} %{{y:.6g}}<extra></extra>",
        )
    )
    title = f"time since the beginning ({unit})" if over == "seconds" else "trial (number)"
    made.update_xaxes(title=title, **({} if over == "seconds" else style.whole(0, at.max())))
    made.update_yaxes(axis)
    return made


def _hover(trials: PlotTrials, place: int) -> str:
    record = trials.records[place]
    return f"trial {style.text(record.name)}<br>{style.text(described(record), 120)}"
