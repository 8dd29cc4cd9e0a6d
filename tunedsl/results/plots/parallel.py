"""Parallel coordinates: one line per trial through its parameters to the objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunedsl.results.plots import style
from tunedsl.results.plots.data import ABSENT, Axis, PlotTrials

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST: Final = 800
"""Lines."""
BEST: Final = 100
"""Number of best trials among them."""
WIDEST: Final = 10
"""Parameters."""
OPTIONS: Final = 14
"""Characters of an option's name: the axes stand close."""
LEAST_GAP: Final = 0.07
"""Between an end of an axis and its next tick, as a share of its length."""


def parallel(trials: PlotTrials, parameters: Sequence[str] | None = None) -> go.Figure:
    """One line per trial with a value, coloured by the objective."""
    axes, ranked, metric = trials.axes(parameters), trials.ranked, trials.objective.metric
    count = len(axes)
    axes = axes if parameters is not None else axes[:WIDEST]
    shown = ranked
    if len(ranked) > MOST:
        shown = np.concatenate([ranked[:BEST], ranked[BEST:][style.sample(len(ranked) - BEST, MOST - BEST)]])
    shown = shown[::-1]  # the best are drawn last
    values = trials.values[shown]
    log = style.is_log(values, trials.sign)
    colour, name = np.log10(values) if log else values, style.text(metric)
    low, high = style.colour_range(colour, trials.sign)
    notes = [
        style.drawn(len(shown), len(ranked), "trials with a value"),
        f"the best {BEST} and others evenly by rank" if len(shown) < len(ranked) else "",
        f"the first {len(axes)} of {count} parameters" if len(axes) < count else "",
        "the lines that stand out most are the best",
        trials.compared,
        "drag along an axis to pick trials",
    ]
    made = style.figure(f"Parameters and {trials.named}", notes, 480)
    last = {
        "label": f"{name}{' (log)' if log else ''}",
        "values": colour,
        **_ticks(colour, log, style.are_whole(values)),
    }
    made.add_trace(
        style.plotly().Parcoords(
            dimensions=[*(_dimension(axis, shown) for axis in axes), last],
            line={
                "color": colour,
                "colorscale": style.DARK,
                "reversescale": trials.sign > 0,
                "cmin": low,
                "cmax": high,
                "showscale": True,
                "colorbar": style.colour_bar(name, colour, low, high, log),
            },
            labelangle=-18 if len(axes) > 5 else 0,
            labelside="bottom" if len(axes) > 5 else "top",
            unselected={"line": {"opacity": 0.04}},
            customdata=[trials.records[place].number for place in shown],
            ids=[style.text(trials.records[place].name) for place in shown],
        )
    )
    made.update_layout(margin={"l": 90, "r": 110, "b": 90 if len(axes) > 5 else 40})
    made.update_layout(margin_t=made.layout.margin.t + 34)
    return made


def _dimension(axis: Axis, shown: Any) -> dict[str, Any]:
    """An axis; trials without the parameter pass below it.

    It has ticks in any case: without them the library writes its ends where its name stands.
    """
    values = axis.scaled[shown]
    made: dict[str, Any] = {"label": f"{style.label(axis.name, 24)}{' (log)' if axis.log else ''}"}
    absent = np.isnan(values)
    if axis.options:
        ticks = [float(place) for place in range(len(axis.options))]
        texts = [style.short(option, OPTIONS) for option in axis.options]
    elif absent.all():
        ticks, texts = [], []
    else:
        found = _ticks(values[~absent], axis.log, axis.whole)
        ticks, texts = found["tickvals"], found["ticktext"]
    if absent.any():
        low, high = (0.0, float(len(ticks) - 1)) if axis.options else (np.nanmin(values), np.nanmax(values))
        below = -1.0 if axis.options else low - 0.12 * ((high - low) or 1.0)
        values = np.where(absent, below, values)
        ticks, texts = [below, *ticks], [ABSENT, *texts]
        made["range"] = [below, high if high > below else below + 1]
    return {**made, "values": values, "tickvals": ticks, "ticktext": texts}


def _ticks(values: style.Floats, log: bool, whole: bool) -> dict[str, Any]:
    """Both ends, and round numbers between them; of logarithms powers of ten, or both ends without any."""
    low, high = float(values.min()), float(values.max())
    inner = [tick for tick in style.ticks(low, high) if not whole or tick == round(tick)]
    if log:
        inner = [float(power) for power in range(math.ceil(low), math.floor(high) + 1)]
        inner = inner if len(inner) > 1 else [float(each) for each in np.linspace(low, high, 4)]
        inner = [math.log10(round(10**tick)) for tick in inner] if whole else inner
    gap = LEAST_GAP * (high - low)
    ticks = [low, *(tick for tick in inner if low + gap < tick < high - gap), *([high] if high > low else [])]
    plain = [10**tick if log else tick for tick in ticks]
    return {"tickvals": ticks, "ticktext": [f"{round(at):,}" if whole else f"{at:.4g}" for at in plain]}
