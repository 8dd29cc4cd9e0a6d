"""Two objectives: one point per trial, and the Pareto front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tunedsl.base.errors import NoResult, wrong_value
from tunedsl.base.pareto import pareto_front
from tunedsl.results.fidelity import Fidelity
from tunedsl.results.plots import style
from tunedsl.results.plots.data import PlotTrials, described

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from tunedsl.results.trial_history import RunHistory

MAX_POINTS: Final = 2_000
"""Points that are not on the front."""


def pareto(history: RunHistory, x: str | None = None, y: str | None = None, fidelity: Fidelity = "last") -> go.Figure:
    """One point per trial; the Pareto front by all objectives, joined by steps if there are two."""
    columns = _columns(history, x, y, fidelity)
    across, up, *others = columns
    records = across.records
    able = [place for place, record in enumerate(records) if record.status != "failed"]
    whole = np.array([place for place in able if all(np.isfinite(each.values[place]) for each in columns)], np.intp)
    if not len(whole):
        raise NoResult(f"No trial has finite values of {', '.join(each.objective.metric for each in columns)}.")
    feasible = across.feasible[whole]
    compared = whole[feasible] if feasible.any() else whole
    on = pareto_front(np.stack([-each.sign * each.values[compared] for each in columns], axis=1))
    best = compared[on]
    rest = np.setdiff1d(whole, best)
    shown = rest[style.sample(len(rest), MAX_POINTS)]
    names = [style.text(each.objective.metric) for each in columns]
    axes = [
        style.y_axis(each.objective.metric, each.values[whole], each.sign, keep=each.values[best])
        for each in (across, up)
    ]
    aims = [
        f"{'less' if each.sign < 0 else 'more'} {name} is better" for each, name in zip(columns, names, strict=True)
    ]
    notes = [
        f"{len(best):,} of {len(compared):,} trials on the front: no other one is better in one objective and as good"
        f" in {'the other' if len(columns) == 2 else 'all others'}",
        *aims,
        style.drawn(len(shown), len(rest), "other trials") if len(shown) < len(rest) else "",
        f"infeasible trials are not on the front: {(~feasible).sum():,}" if len(compared) < len(whole) else "",
        "failed trials are left out" if len(able) < len(records) else "",
        *(f"{names[place]}: {note}" for place, (_, note) in enumerate(axes) if note),
        across.compared,
    ]
    at = "" if across.fidelity is None else f" at iteration {across.fidelity:,}"
    made = style.figure(f"Pareto front of {' and '.join(names[:2])}{at}", notes, 520)
    best = best[np.lexsort((up.values[best], across.values[best]))]
    colour = others[0] if others else None
    made.add_trace(_points(columns, shown, "other trials", {"color": style.FAINT, "size": 6, "opacity": 0.9}))
    if len(columns) == 2 and len(best) > 1:
        made.add_trace(_steps(across, up, best))
    look: dict[str, Any] = {"size": 10, "color": style.BEST, "line": {"width": 0.8, "color": "white"}}
    if colour is not None:
        low, high = style.colour_range(colour.values[whole], colour.sign)
        bar = style.colour_bar(names[2], colour.values[whole], low, high)
        look |= {"color": colour.values[best], "colorscale": style.SCALE, "reversescale": colour.sign > 0}
        look |= {"cmin": low, "cmax": high, "colorbar": bar}
    made.add_trace(_points(columns, best, "Pareto front", look))
    made.update_xaxes(axes[0][0])
    made.update_yaxes(axes[1][0])
    made.update_layout(legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"})
    return made


def _columns(history: RunHistory, x: str | None, y: str | None, fidelity: Fidelity) -> list[PlotTrials]:
    """The values of all objectives, those of the two axes first."""
    goals = {goal.metric: goal for goal in history.plan.objectives}
    if len(goals) < 2:
        raise NoResult("A Pareto front needs two objectives.\n  help: add .minimize(...) or .maximize(...)")
    for name, metric in (("x", x), ("y", y)):
        if metric is not None and metric not in goals:
            raise wrong_value(f"pareto.{name}", metric, f"one of the objectives {', '.join(goals)}")
    if x is not None and x == y:
        raise wrong_value("pareto.y", y, "an objective other than x")
    first = x if x is not None else next(name for name in goals if name != y)
    second = y if y is not None else next(name for name in goals if name != first)
    order = dict.fromkeys([first, second, *goals])
    columns = [PlotTrials.of(history, metric, goals[metric].mode, "last", fidelity) for metric in order]
    if fidelity == "auto":  # one iteration for all objectives
        at = min(each.fidelity for each in columns if each.fidelity is not None)
        columns = [PlotTrials.of(history, metric, goals[metric].mode, "last", at) for metric in order]
    return columns


def _points(columns: list[PlotTrials], places: NDArray[np.intp], name: str, look: dict[str, Any]) -> go.Scatter:
    across, up = columns[:2]
    names = [style.text(each.objective.metric) for each in columns]
    texts = [
        "<br>".join(
            [
                f"trial {style.text(across.records[place].name)}",
                *(f"{name} {each.values[place]:.6g}" for name, each in zip(names, columns, strict=True)),
                style.text(described(across.records[place]), 120),
            ]
        )
        for place in places
    ]
    return style.plotly().Scatter(
        x=across.values[places],
        y=up.values[places],
        mode="markers",
        name=name,
        marker=look,
        text=texts,
        customdata=[across.records[place].number for place in places],
        hovertemplate=f"%{{text}}<extra>{name}</extra>",
    )


def _steps(across: PlotTrials, up: PlotTrials, best: NDArray[np.intp]) -> go.Scatter:
    """The edge of what the front beats: from each of its trials to the next, by the corner that both beat."""
    shape = "hv" if across.sign < 0 else "vh"
    return style.plotly().Scatter(
        x=across.values[best],
        y=up.values[best],
        mode="lines",
        line={"shape": shape, "color": style.BEST, "width": 1.5},
        showlegend=False,
        hoverinfo="skip",
    )
