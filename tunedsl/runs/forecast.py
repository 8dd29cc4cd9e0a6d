"""Forecasts: the summary of a simulated run, as a value and as text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import attrs
import numpy as np

from tunedsl.base import markup
from tunedsl.journal import ENDED, Journal, TrialStatuses
from tunedsl.kernel import Reported, RunState, Saved
from tunedsl.plan import Plan
from tunedsl.plan.explain import seed_text
from tunedsl.runs.censoring import Figure, Outcome
from tunedsl.schedulers.contract import At


@attrs.frozen
class Range:
    """The 10th, 50th and 90th percentile of simulations.

    One more simulation is within the range with a probability of 80 %, also if there are few: with `n` of them, each
    is as likely as the next one to be at any of the `n + 1` places.
    Source: the sixth definition of Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996.
    """

    low: float
    median: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Range:
        """The range of simulated values."""
        return Range(*(float(found) for found in np.quantile(values, (0.1, 0.5, 0.9), method="weibull")))


@attrs.frozen
class Span:
    """When a trial ran, in seconds of the virtual clock, and how many iterations it made."""

    trial: int
    start: float
    end: float
    iterations: int


@attrs.frozen(repr=False)
class Forecast:
    """What a plan will do, as far as this is known before it runs.

    Attributes:
        trials: how many trials start.
        iterations: how many iterations they make together.
        rungs: pairs of an iteration at which trials are compared or end, and how many trials reach it; ascending.
        seconds: duration on the virtual clock.
        width: how many trials run concurrently.
        checkpoints: how many checkpoints are written.
        timeline: one span per trial, in order of start.
        assumptions: what the simulation had to assume.
        journal: the simulated run's journal.
        figures: of a replay under another policy: each number, whether it is censored, and its bounds.
        outcomes: of such a replay: what becomes of each trial, and whether that is known.
        ranges: of several dry runs: of trials, iterations and seconds.
        runs: the number of dry runs.
        known_seconds: of such a replay: until when it is exact; infinite if nothing is censored.
    """

    plan: Plan
    trials: int
    iterations: int
    rungs: tuple[tuple[int, int], ...]
    seconds: float
    width: int
    checkpoints: int
    timeline: tuple[Span, ...]
    assumptions: tuple[str, ...]
    journal: Journal
    figures: tuple[Figure, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    known_seconds: float = math.inf
    ranges: dict[str, Range] = attrs.field(factory=dict)
    runs: int = 1

    @property
    def censored(self) -> dict[str, bool]:
        """Whether each figure depends on reports that were never made."""
        return {figure.name: figure.censored for figure in self.figures}

    def __str__(self) -> str:
        return "\n".join(self._replay_lines() if self.figures else self._lines())

    def _replay_lines(self) -> list[str]:
        certain = sum(outcome.known for outcome in self.outcomes)
        lines = [f"{self.plan.name} under {self.plan.scheduler!r}, {self.width} at a time"]
        lines += [f"known: the outcomes of {certain} of {len(self.outcomes)} trials"]
        if self.known_seconds < math.inf and self.plan.order == "arrival":
            lines[-1] += f"; everything up to {duration(self.known_seconds)}"
        lines += [f"  {figure}" for figure in self.figures]
        return [*lines, *(f"assumed: {text}" for text in self.assumptions)]

    def _repr_html_(self) -> str:
        if not self.figures:
            return markup.preformatted(str(self))
        rows = [
            (
                each.name,
                *("" if number is None else f"{number:.6g}" for number in (each.value, each.low, each.high)),
                "censored" if each.censored else "known",
            )
            for each in self.figures
        ]
        head = ("figure", "value", "at least", "at most", "")
        return markup.paragraph(self._replay_lines()[1], self.plan.name) + markup.table(rows, head)

    def _lines(self) -> list[str]:
        lines = [
            f"{self.plan.name}: {self.trials} trials, {self.iterations} iterations, {self.width} at a time",
            f"time: {duration(self.seconds)} on the virtual clock",
        ]
        if self.ranges:
            spent, time = self.ranges["iterations"], self.ranges["seconds"]
            lines += [
                f"in 8 of 10 of {self.runs} simulations: {spent.low:,.0f} to {spent.high:,.0f} iterations, "
                f"{duration(time.low)} to {duration(time.high)}"
            ]
        if len(self.rungs) > 1:
            lines += ["iteration  trials that reach it"]
            lines += [f"{iteration:9d}  {count}" for iteration, count in self.rungs]
        if self.checkpoints:
            lines.append(f"checkpoints: {self.checkpoints} written; their size is not known before a run")
        lines += [f"assumed: {text}" for text in self.assumptions]
        if self.plan.drawn_seed:
            lines.append(f"seed: {seed_text(self.plan)}")
        return lines

    __repr__ = __str__


def summarize(plan: Plan, journal: Journal, state: RunState, assumptions: tuple[str, ...]) -> Forecast:
    starts: dict[int, float] = {}
    ends: dict[int, float] = {}
    saved, statuses = 0, TrialStatuses()
    for line in journal.records():
        event = line.e
        if event is None:
            continue
        saved += isinstance(event, Saved) or (isinstance(event, Reported) and event.saved != "")
        for change in statuses.take(line):
            if change.status == "running":
                starts.setdefault(change.trial, event.seconds)
            elif change.status in ENDED:
                ends[change.trial] = event.seconds
    timeline = tuple(
        Span(trial, start, ends.get(trial, state.seconds), state.trials[trial].iteration)
        for trial, start in sorted(starts.items(), key=lambda item: (item[1], item[0]))
    )
    stops = Counter(span.iterations for span in timeline)
    reached = len(timeline)
    compared = plan.decision_points.iterations if isinstance(plan.decision_points, At) else ()
    rungs = []
    for iteration in sorted({*stops, *compared}):
        rungs.append((iteration, reached))
        reached -= stops[iteration]
    return Forecast(
        plan=plan,
        trials=len(starts),
        iterations=state.iterations,
        rungs=tuple(rungs),
        seconds=state.seconds,
        width=state.width,
        checkpoints=saved,
        timeline=timeline,
        assumptions=assumptions,
        journal=journal,
    )


def duration(seconds: float) -> str:
    """Seconds as text, such as `2 min 50 s`."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{seconds:g} s"
