"""The timeline of workers: the trials they ran, with pauses and failures."""

from __future__ import annotations

import heapq
from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Final

import attrs
import numpy as np

from tunedsl.base.errors import NoResult
from tunedsl.results.plots import style
from tunedsl.results.trial_history import RunHistory, Span, TrialHistory

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST: Final = 1_500
"""Stretches that are drawn one by one."""
LANES: Final = 40
"""Workers with a line of their own; more are put together."""
MOMENTS: Final = 240
"""Columns of the picture of many."""
MARKS: Final = 400


@attrs.frozen(eq=False)
class _Stretch:
    """A trial's time on a lane."""

    lane: int
    record: TrialHistory
    span: Span
    end: float


def workers(history: RunHistory) -> go.Figure:
    """One bar for each span of a trial on a worker; with many spans, how busy each worker was."""
    spans = [(record, span) for record in history.records.values() for span in record.spans]
    if not spans:
        raise NoResult("No trial has started yet.")
    spans.sort(key=lambda item: (item[1].start, item[0].number))
    names, stretches = _lanes(spans, history.seconds)
    until = max(history.seconds, *(each.end for each in stretches)) or 1.0
    divisor, unit = style.clock(until)
    busy = _worked(stretches) / (until * len(names))
    many = len(stretches) > MOST or len(names) > LANES
    failures = sum(each.span.outcome == "failed" for each in stretches)
    pauses = sum(each.span.outcome == "paused" for each in stretches)
    groups = min(len(names), LANES)
    notes = [
        f"{_count(stretches, 'stretch', 'es')} of {_count(history.records, 'trial', 's')} on "
        f"{_count(names, 'worker', 's')}, busy {busy:.0%}",
        f"{failures:,} failed" if failures else "none failed",
        f"{pauses:,} pauses" if pauses else "",
        "" if many else "the colour says how a stretch ended",
        f"too many to draw one by one: how busy each worker was in {MOMENTS} parts of the time" if many else "",
        f"workers in {groups} groups" if many and len(names) > LANES else "",
        "workers without a name: trials are put on the first free line" if not spans[0][1].worker else "",
    ]
    made = style.figure("Who ran what when", notes, 150 + 26 * max(groups, 3) if groups < 24 else 720)
    if many:
        _busy(made, stretches, len(names), until, divisor)
    else:
        _bars(made, stretches, divisor)
    _marks(made, stretches, divisor, len(names), many)
    step = -(-len(names) // LANES) if many else 1
    lanes = range(0, len(names), step)
    labels = [
        style.text(names[lane], 28)
        + (f" … {style.text(names[min(lane + step, len(names)) - 1], 20)}" if step > 1 else "")
        for lane in lanes
    ]
    made.update_xaxes(
        title=f"time since the beginning ({unit})", range=[-0.005 * until / divisor, 1.005 * until / divisor]
    )
    made.update_yaxes(
        tickvals=[lane // step for lane in lanes], ticktext=labels, range=[len(labels) - 0.4, -0.6], automargin=True
    )
    return made


def _count(some: Sized, noun: str, plural: str) -> str:
    return f"{len(some):,} {noun}{'' if len(some) == 1 else plural}"


def _lanes(spans: Sequence[tuple[TrialHistory, Span]], now: float) -> tuple[list[str], list[_Stretch]]:
    """A lane for each worker; where workers have no names, as few lanes as hold all stretches."""
    names: dict[str, int] = {}
    free: list[int] = []
    taken: list[tuple[float, int]] = []
    found = []
    for record, span in spans:
        end = max(span.start, now if span.end is None else span.end)
        if span.worker:
            lane = names.setdefault(span.worker, len(names))
        else:
            while taken and taken[0][0] <= span.start:
                heapq.heappush(free, heapq.heappop(taken)[1])
            lane = heapq.heappop(free) if free else names.setdefault(f"line {len(names) + 1}", len(names))
            heapq.heappush(taken, (end, lane))
        found.append(_Stretch(lane, record, span, end))
    return list(names), found


def _worked(stretches: Sequence[_Stretch]) -> float:
    """Seconds in which lanes had a trial; a process that was given several at a time has one of them at work."""
    until: dict[int, float] = {}
    seconds = 0.0
    for each in stretches:  # by their starts
        reached = max(each.span.start, until.get(each.lane, each.span.start))
        if each.end > reached:
            seconds += each.end - reached
            until[each.lane] = each.end
    return seconds


def _bars(made: go.Figure, stretches: Sequence[_Stretch], divisor: float) -> None:
    go = style.plotly()
    for outcome, colour in style.COLOURS.items():
        some = [each for each in stretches if each.span.outcome == outcome]
        if some:
            made.add_trace(
                go.Bar(
                    base=[each.span.start / divisor for each in some],
                    x=[(each.end - each.span.start) / divisor for each in some],
                    y=[each.lane for each in some],
                    orientation="h",
                    width=0.7,
                    name=outcome,
                    marker={"color": colour, "line": {"width": 0.6, "color": "white"}},
                    text=[_hover(each) for each in some],
                    customdata=[each.record.number for each in some],
                    textposition="none",
                    hovertemplate="%{text}<extra></extra>",
                )
            )
    made.update_layout(barmode="overlay", bargap=0.3)


def _busy(made: go.Figure, stretches: Sequence[_Stretch], lanes: int, until: float, divisor: float) -> None:
    """A map of the share of each part of the time that a worker, or a group of them, was busy."""
    step = -(-lanes // LANES)
    edges = np.linspace(0, until, MOMENTS + 1)
    # Time worked before each edge, by the sum over starts less the sum over ends.
    before = np.zeros((-(-lanes // step), MOMENTS + 1))
    for group in range(len(before)):
        some = [each for each in stretches if each.lane // step == group]
        starts = np.sort([each.span.start for each in some])
        ends = np.sort([each.end for each in some])
        for sign, times in ((1, starts), (-1, ends)):
            counts = np.searchsorted(times, edges)
            sums = np.concatenate([[0.0], np.cumsum(times)])
            before[group] += sign * (counts * edges - sums[counts])
    sizes = np.minimum(step, lanes - step * np.arange(len(before)))
    share = np.clip(np.diff(before, axis=1) / (until / MOMENTS) / sizes[:, None], 0, 1)
    made.add_trace(
        style.plotly().Heatmap(
            x=(edges[:-1] + edges[1:]) / 2 / divisor,
            y=list(range(len(before))),
            z=100 * share,
            zmin=0,
            zmax=100,
            colorscale=[[0, "#F4F5F7"], [1, "#8DBBD9"]],
            colorbar={"title": {"text": "busy (%)"}, "thickness": 14, "outlinewidth": 0, "y": 0.4, "len": 0.75},
            ygap=1,
            hovertemplate="%{z:.0f} % busy<extra></extra>",
        )
    )


def _marks(made: go.Figure, stretches: Sequence[_Stretch], divisor: float, lanes: int, many: bool) -> None:
    """Failures, and where single bars are not drawn pauses too."""
    step = -(-lanes // LANES) if many else 1
    for outcome, symbol in (("failed", "x"), ("paused", "line-ns-open")):
        some = [each for each in stretches if each.span.outcome == outcome]
        if not some or (outcome == "paused" and not many):
            continue
        shown = [some[place] for place in style.sample(len(some), MARKS)]
        made.add_trace(
            style.plotly().Scatter(
                x=[each.end / divisor for each in shown],
                y=[each.lane // step for each in shown],
                mode="markers",
                name=f"{outcome} ({style.drawn(len(shown), len(some), 'marks')})"
                if len(shown) < len(some)
                else outcome,
                showlegend=many,
                marker={"symbol": symbol, "size": 8, "color": "#8B1A00" if outcome == "failed" else "#7A2E63"},
                text=[_hover(each) for each in shown],
                customdata=[each.record.number for each in shown],
                hovertemplate="%{text}<extra></extra>",
            )
        )


def _hover(each: _Stretch) -> str:
    span = each.span
    attempt = f", attempt {span.attempt + 1}" if span.attempt else ""
    last = each.record.iterations if span.end is None else span.last
    iterations = f"iterations {span.first + 1} to {last}" if last > span.first else "no iteration"
    return (
        f"trial {style.text(each.record.name)}{attempt}: {span.outcome}"
        f"<br>{span.start:.6g} to {each.end:.6g} s<br>{iterations}"
        + (f"<br>{style.text(span.worker)}" if span.worker else "")
    )
