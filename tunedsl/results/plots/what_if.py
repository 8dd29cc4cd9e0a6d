"""A replay under another policy compared with the actual run: the best value so far, over iterations or time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from tunedsl.base.errors import NoResult, wrong_value
from tunedsl.base.objective import Objective
from tunedsl.journal import Journal
from tunedsl.results.plots import style
from tunedsl.results.selection import choose_objective
from tunedsl.results.trial_history import RunHistory

if TYPE_CHECKING:
    import plotly.graph_objects as go

Over = Literal["iterations", "seconds"]

_MAX_STEPS: Final = 1_000
_LOOKS: Final = (("what happened", style.COLOURS["completed"]), ("what if", "#B5542B"))


def what_if(history: RunHistory, forecast: Any, over: Over = "iterations") -> go.Figure:
    """The best value so far of the run and of the replay; estimates are dashed.

    Args:
        history: the run.
        forecast: what `results.what_if(...)` returned.
        over: the axis: reports of all trials, or seconds since the run began.
    """
    journal = getattr(forecast, "journal", None)
    if not isinstance(journal, Journal) or not hasattr(forecast, "known_seconds"):
        raise wrong_value("what_if", forecast, "a forecast", "results.what_if(...) returns one")
    objective = choose_objective(history.plan)
    go, runs = style.plotly(), (history, RunHistory.of(journal))
    curves = [best_so_far(each, objective) for each in runs]
    if not any(len(times) for times, _ in curves):
        raise NoResult("No trial has reported the objective yet.")
    divisor, unit = style.clock(max(each.seconds for each in runs)) if over == "seconds" else (1.0, "")
    values = np.concatenate([best for _, best in curves])
    axis, outside = style.y_axis(objective.metric, values[np.isfinite(values)], objective.sign)
    notes = [str(figure) for figure in forecast.figures] + [f"assumed: {each}" for each in forecast.assumptions]
    metric = style.text(objective.metric)
    made = style.figure(f"Best {metric}: what happened, and what if", [*map(style.text, notes), outside])
    for (name, colour), (times, best), known in zip(_LOOKS, curves, (math.inf, forecast.known_seconds), strict=True):
        along = times / divisor if over == "seconds" else np.arange(1.0, len(times) + 1)
        split = int(np.searchsorted(times, known, side="right"))
        parts = ((name, slice(0, split), "solid"), (f"{name}, estimated", slice(max(split - 1, 0), None), "dash"))
        for label, part, dash in parts if split < len(times) else parts[:1]:
            x, y = along[part], best[part]
            shown = style.sample(
                len(x), _MAX_STEPS, np.flatnonzero(np.append(True, y[1:] != y[:-1])) if len(y) else None
            )
            line = {"color": colour, "width": 2, "dash": dash, "shape": "hv"}
            made.add_trace(go.Scatter(x=x[shown], y=y[shown], mode="lines", name=label, line=line))
    title = f"time since the beginning ({unit})" if over == "seconds" else "reports of all trials"
    made.update_xaxes(title=title)
    made.update_yaxes(axis)
    return made


def best_so_far(history: RunHistory, objective: Objective) -> tuple[Any, Any]:
    """The times of all reports of the objective, ascending, and the best finite value up to each."""
    pairs = []
    for record in history.records.values():
        column = record.column(objective.metric)
        if column is not None:
            pairs.append((record.seconds[np.asarray(column.rows, int)], np.asarray(column.values, float)))
    if not pairs:
        return np.zeros(0), np.zeros(0)
    times, values = (np.concatenate(each) for each in zip(*pairs, strict=True))
    order = np.argsort(times, kind="stable")
    scores = np.where(np.isfinite(values), objective.sign * values, -math.inf)[order]
    best = np.maximum.accumulate(scores)
    return times[order], np.where(np.isfinite(best), objective.sign * best, math.nan)
