"""A dry run compared with the actual run: progress over time, and iterations reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunedsl.base.errors import NoResult, wrong_value
from tunedsl.journal import Journal
from tunedsl.results.plots import style
from tunedsl.results.stats import Stats
from tunedsl.results.trial_history import RunHistory

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST: Final = 400
"""Steps of a line."""
NAMES: Final = (("forecast", "#7F7F7F", "dash"), ("happened", style.COLOURS["completed"], "solid"))


def forecast(history: RunHistory, dry: Any) -> go.Figure:
    """Iterations and ended trials over time, and how many trials came how far; each forecast and as it happened.

    Args:
        dry: what `dry_run` gave.
    """
    style.plotly()
    from plotly.subplots import make_subplots

    if not isinstance(getattr(dry, "journal", None), Journal):
        raise wrong_value("forecast.dry", dry, "a forecast", "write experiment.dry_run() to make one")
    both = RunHistory.of(dry.journal), history
    if not any(record.iterations for each in both for record in each.records.values()):
        raise NoResult("No trial has reported anything yet.")
    until = max(each.seconds for each in both)
    divisor, unit = style.clock(until)
    notes = [_said("forecast", both[0], divisor, unit), _said("happened", both[1], divisor, unit)]
    notes += [f"assumed: {style.text(each, 120)}" for each in getattr(dry, "assumptions", ())]
    frame = style.figure("Forecast and what happened", notes, 780)
    made = make_subplots(3, 1, vertical_spacing=0.11)
    made.update_layout(frame.layout)
    farthest = max(record.iterations for each in both for record in each.records.values())
    for each, (name, colour, dash) in zip(both, NAMES, strict=True):
        look = {"name": name, "mode": "lines", "line": {"color": colour, "dash": dash, "width": 2, "shape": "hv"}}
        records = list(each.records.values())
        reports = np.sort(np.concatenate([np.zeros(0), *(record.seconds for record in records if record.iterations)]))
        lasts = [span for record in records for span in record.spans[-1:] if span.outcome != "paused"]
        ended = np.sort([span.end for span in lasts if span.end is not None])
        far = np.sort([record.iterations for record in records if record.iterations])
        for row, times in enumerate((reports, ended), 1):
            steps = style.sample(len(times), MOST)
            x, y = [0.0, *(times[steps] / divisor)], [0, *(steps + 1)]
            made.add_trace(_line(x, y, look, row == 1), row=row, col=1)
        steps = np.unique(far)
        came = len(far) - np.searchsorted(far, steps, side="left")
        x, y = ([1, *steps], [len(far), *came]) if len(far) else ([], [])
        made.add_trace(_line(x, y, {**look, "line": {**look["line"], "shape": "vh"}}, False), row=3, col=1)  # type: ignore[dict-item]
    for row, title in enumerate(("iterations, all trials", "trials ended", "trials that came so far"), 1):
        most = max((max(trace.y, default=0) for trace in made.select_traces(row=row, col=1)), default=0)
        made.update_yaxes(title=title, rangemode="tozero", **style.whole(0, most), row=row, col=1)
        along = f"time since the beginning ({unit})"
        made.update_xaxes({"title": along} if row < 3 else style.iterations(farthest), row=row, col=1)
    return made


def _line(x: Any, y: Any, look: dict[str, Any], legend: bool) -> go.Scatter:
    hover = f"%{{x:.6g}}: %{{y:,}}<extra>{look['name']}</extra>"
    return style.plotly().Scatter(x=x, y=y, legendgroup=look["name"], showlegend=legend, hovertemplate=hover, **look)


def _said(name: str, history: RunHistory, divisor: float, unit: str) -> str:
    stats = Stats.of(history)
    time = f"{stats.seconds / divisor:.4g} {unit}"
    return f"{name}: {stats.trials:,} trials, {stats.iterations:,} iterations, {time}, {history.width} at a time"
