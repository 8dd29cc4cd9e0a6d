"""The best value so far of several runs, over time or over the reports of all trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from tunedsl.base.errors import NoResult
from tunedsl.base.objective import Objective
from tunedsl.results.plots import style
from tunedsl.results.plots.what_if import Over, best_so_far
from tunedsl.results.trial_history import RunHistory

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_STEPS: Final = 1_000
LOOKS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#7F7F7F", "#B0B0B0")
"""Colours that can be told apart with colour blindness (Okabe and Ito)."""
DASHES: Final = ("solid", "dash", "dot")


def several(runs: Mapping[str, RunHistory], objective: Objective, over: Over = "seconds") -> go.Figure:
    """One line per run.

    Args:
        runs: by name.
        over: the axis: seconds since each run began, or reports of all trials.

    Raises:
        NoResult: when no run has reported the objective.
    """
    curves = {name: best_so_far(history, objective) for name, history in runs.items()}
    if not any(len(times) for times, _ in curves.values()):
        raise NoResult(f"No run has reported {objective.metric!r}.")
    divisor, unit = style.clock(max(each.seconds for each in runs.values())) if over == "seconds" else (1.0, "")
    values = np.concatenate([best for _, best in curves.values()])
    axis, outside = style.y_axis(objective.metric, values[np.isfinite(values)], objective.sign)
    silent = [style.text(name) for name, (times, _) in curves.items() if not len(times)]
    metric = style.text(objective.metric)
    made = style.figure(f"Best {metric} so far", [f"no report of {', '.join(silent)}" if silent else "", outside])
    for place, (name, (times, best)) in enumerate(curves.items()):
        along = times / divisor if over == "seconds" else np.arange(1.0, len(times) + 1)
        steps = np.flatnonzero(np.append(True, best[1:] != best[:-1])) if len(best) else None
        shown = style.sample(len(along), MAX_STEPS, steps)
        line = {
            "color": LOOKS[place % len(LOOKS)],
            "dash": DASHES[place // len(LOOKS) % len(DASHES)],
            "width": 2,
            "shape": "hv",
        }
        made.add_trace(
            style.plotly().Scatter(x=along[shown], y=best[shown], mode="lines", name=style.text(name), line=line)
        )
    made.update_xaxes(title=f"time since the beginning ({unit})" if over == "seconds" else "reports of all trials")
    made.update_yaxes(axis)
    return made
