"""Rungs: the iterations at which trials were compared, and then continued, stopped, paused or promoted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from tunedsl.base.errors import NoResult
from tunedsl.results.plots import style
from tunedsl.schedulers.contract import At

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from tunedsl.results.trial_history import RunHistory

MOST: Final = 24
"""Bars; more iterations than that are put together."""


def rungs(history: RunHistory) -> go.Figure:
    """One bar per iteration at which trials were compared or ended: the outcome of the trials that reached it."""
    records = [record for record in history.records.values() if record.iterations]
    if not records:
        raise NoResult("No trial has reported anything yet.")
    points = history.plan.decision_points
    compared = points.iterations if isinstance(points, At) else ()
    most = max(record.iterations for record in records)
    reached = np.array([record.iterations for record in records])
    ends = sorted({*reached.tolist(), *(at for at in compared if at <= most), *(at for at, _ in history.turns)})
    ends = [at for at in ends if at]
    binned = len(ends) > MOST
    if binned:
        ends = sorted({*np.unique(np.round(np.linspace(0, most, MOST + 1)[1:]).astype(int)).tolist(), most})
    edges = np.array(ends)
    labels = [
        f"{low + 1}-{at}" if binned and low + 1 < at else str(at) for low, at in zip([0, *ends], ends, strict=False)
    ]
    came = [int((reached >= (low + 1 if binned else at)).sum()) for low, at in zip([0, *ends], ends, strict=False)]
    stays: Counter[tuple[int, str]] = Counter()
    for record in records:
        stays[int(np.searchsorted(edges, record.iterations)), record.status] += 1
    promoted = np.zeros(len(ends), dtype=int)
    for (at, turn), count in history.turns.items():
        if turn == "promoted" and 0 < at <= most:
            promoted[int(np.searchsorted(edges, at))] += count
    notes = [
        f"{len(records):,} trials that reported, the whole bar: those that came so far",
        f"iterations in {len(ends)} groups" if binned else "at each iteration where trials were compared or ended",
        f"{promoted.sum():,} promotions from a pause" if promoted.any() else "",
    ]
    made = style.figure("How far trials came", notes)
    go = style.plotly()
    rest = np.array(came)
    for status, colour in style.COLOURS.items():
        counts = np.array([stays[place, status] for place in range(len(ends))])
        if counts.any():
            rest = rest - counts
            made.add_trace(_bar(labels, counts, f"{status} here", colour))
    made.add_trace(_bar(labels, rest, "continued", style.FAINT))
    if promoted.any():
        some = np.flatnonzero(promoted)
        made.add_trace(
            go.Scatter(
                x=[labels[place] for place in some],
                y=promoted[some],
                mode="markers",
                name="promoted",
                marker={"symbol": "triangle-up", "size": 11, "color": style.BEST},
                hovertemplate="%{y:,} promotions from iteration %{x}<extra></extra>",
            )
        )
    made.update_layout(barmode="stack", bargap=0.25)
    made.update_xaxes(title="iteration (reports of the trial)", type="category", tickangle=-40 if binned else 0)
    made.update_yaxes(title="trials", rangemode="tozero", **style.whole(0, max(came)))
    return made


def _bar(labels: list[str], counts: object, name: str, colour: str) -> go.Bar:
    return style.plotly().Bar(
        x=labels,
        y=counts,
        name=name,
        marker={"color": colour},
        hovertemplate=f"iteration %{{x}}<br>%{{y:,}} {name}<extra></extra>",
    )
