"""Parameter importance, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tunedsl.results.importance import Importance
from tunedsl.results.plots import style
from tunedsl.results.plots.data import PlotTrials

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST: Final = 25
"""Bars."""


def weights(trials: PlotTrials, found: Importance) -> go.Figure:
    """One bar per parameter, the most important on top."""
    metric = style.text(trials.objective.metric)
    count = min(MOST, len(found.names))
    sometimes = [number < len(trials.valued) for number in found.trials[:count]]
    names = [
        f"{style.text(name)}{' *' if some else ''}  {share:.1%} "
        for name, some, share in zip(found.names, sometimes, found.shares, strict=False)
    ]
    notes = [
        f"share of the effect on the rank of {metric} that is lost when the parameter is shuffled",
        trials.compared,
        f"random forest over {found.trial_count:,} of {len(trials.valued):,} trials, explains {max(found.skill, 0):.0%}"
        " of trials it did not see" + (": too little to rely on" if found.skill < 0.2 else ""),
        "* only in some trials, and shuffled among those" if any(sometimes) else "",
        f"the first {count} of {len(found.names)} parameters" if count < len(found.names) else "",
    ]
    made = style.figure(f"What {trials.named} depends on", notes, 120 + 30 * count)
    made.add_trace(
        style.plotly().Bar(
            x=[100 * share for share in found.shares[:count]],
            y=list(range(count)),
            orientation="h",
            marker={"color": style.COLOURS["completed"]},
            error_x={"array": [100 * sd for sd in found.sds[:count]], "thickness": 1.2, "color": "#444"},
            hovertext=[str(count) for count in found.trials[:count]],
            hovertemplate="%{x:.1f} %<br>in %{hovertext} trials<extra></extra>",
        )
    )
    most = max(100 * share + 100 * sd for share, sd in zip(found.shares, found.sds, strict=True))
    made.update_xaxes(title="importance (% of the sum)", range=[0, min(max(1.05 * most, 1), 115)])
    made.update_yaxes(tickvals=list(range(count)), ticktext=names, autorange="reversed", automargin=True)
    return made
