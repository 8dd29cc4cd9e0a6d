"""Several objectives: the hypervolume that the Pareto front dominates, over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tunedsl.results.hypervolume import hypervolume_curve
from tunedsl.results.plots import style

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from tunedsl.results.trial_history import RunHistory


def hypervolume(history: RunHistory, reference: Mapping[str, float] | None = None) -> go.Figure:
    """A line that rises whenever a trial joins the Pareto front."""
    curve = hypervolume_curve(history, reference)
    rises = np.flatnonzero(np.diff(curve.volumes, prepend=0.0) > 0)
    shown = np.unique([0, *rises, len(curve.volumes) - 1])
    divisor, unit = style.clock(float(curve.seconds[-1]))
    point = ", ".join(f"{style.text(metric)} {value:.6g}" for metric, value in curve.reference.items())
    notes = [
        f"what the trials' last reports dominate, measured from {point}",
        f"{len(rises):,} of {len(curve.records):,} trials made it larger",
    ]
    made = style.figure("Hypervolume so far", notes)
    made.add_trace(
        style.plotly().Scatter(
            x=curve.seconds[shown] / divisor,
            y=curve.volumes[shown],
            mode="lines+markers" if len(rises) < 60 else "lines",
            line={"color": style.BEST, "width": 2, "shape": "hv"},
            text=[f"trial {style.text(curve.records[place].name)}" for place in shown.tolist()],
            customdata=[curve.records[place].number for place in shown.tolist()],
            hovertemplate="%{text}<br>hypervolume %{y:.6g}<extra></extra>",
            showlegend=False,
        )
    )
    made.update_xaxes(title=f"time since the beginning ({unit})")
    made.update_yaxes(title="hypervolume")
    return made
