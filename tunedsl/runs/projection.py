"""Simulates what is left of a run, or a new run, with curves like those that a run has recorded.

Trials of the run so far repeat their reports. What is not known comes from the record: a new trial follows the curve of
a random recorded trial. Where that curve ends, and for a trial that runs, the changes of a trial that was near and went
further follow. So simulated curves cross, differ in cost and fail as the recorded ones do. Beyond the longest recorded
curve, the objective changes as much with each doubling of the iteration as with the last one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np

from tunedsl.backends.simulated import SimulatedStep, SimulatedTrial
from tunedsl.base.arguments import as_int, check_arguments
from tunedsl.base.errors import NoResult
from tunedsl.base.keys import key, uniform
from tunedsl.journal import Journal
from tunedsl.kernel import Event, Failed, Proposed, Reported, SearchExhausted
from tunedsl.kernel.events import metric_value
from tunedsl.plan import Plan
from tunedsl.results import Results
from tunedsl.results.trial_history import TrialHistory
from tunedsl.runs.forecast import Forecast, Range, duration, summarize
from tunedsl.runs.what_if import RecordedProposals, ReplayEngine, simulate, without_retries

NEAREST: Final = 5
"""A curve continues with the changes of one of this many trials, those with the nearest values."""


@attrs.frozen(repr=False)
class Projection:
    """What is left of a run.

    Attributes:
        seconds_left: until the run ends.
        iterations: that all trials will have made together.
        trials: that will have started.
        chance_to_improve: probability of a better value than the best one so far: by trials that have begun, the share
            of simulations; by new ones, as if each trial were as likely as any other to be the best, which is true of
            random search and too low for a searcher that learns.
        runs: number of simulations.
        is_finished: whether the run has ended.
    """

    seconds_left: Range
    iterations: Range
    trials: Range
    chance_to_improve: float
    runs: int
    is_finished: bool

    def __str__(self) -> str:
        if self.is_finished:
            return "the run has ended"
        left, whole, trials = self.seconds_left, self.iterations, self.trials
        return "\n".join(
            [
                f"time left: {duration(left.median)} ({duration(left.low)} to {duration(left.high)})",
                f"iterations in all: {whole.median:,.0f} ({whole.low:,.0f} to {whole.high:,.0f})",
                f"trials in all: {trials.median:,.0f} ({trials.low:,.0f} to {trials.high:,.0f})",
                f"chance of a better trial: {self.chance_to_improve:.0%}",
                f"medians of {self.runs} simulations, with the 10th and 90th percentile",
            ]
        )

    __repr__ = __str__


@check_arguments
def project(results: Results, runs: int = 20, seed: int = 0) -> Projection:
    """Simulate the rest of a run several times, with curves like those recorded so far.

    Args:
        results: the run so far.
        runs: number of simulations, at least 1.
        seed: of the simulations.

    Raises:
        NoResult: before the first report of any trial.
        ArgumentError: for a number that is not a whole one of at least 1.
    """
    as_int("forecast.runs", runs, minimum=1)
    history = results.reading
    records = list(history.records.values())
    if not any(record.iterations for record in records):
        raise NoResult("No trial has reported anything yet. A forecast needs curves.")
    made = sum(record.iterations for record in records)
    if results.finished:
        nothing, iterations, trials = (Range.of([count]) for count in (0.0, float(made), float(len(records))))
        return Projection(nothing, iterations, trials, 0.0, runs, is_finished=True)
    users = sum(record.number >= results.plan.trials for record in records)
    plan = without_retries(results.plan, results.plan.trials + users)
    exhausted = any(isinstance(event, SearchExhausted) for event in results.journal.events())
    known, begun = len(records), sum(record.iterations > 0 for record in records)
    left, all_iterations, all_trials, improved, new = [], [], [], [], []
    for run in range(runs):
        engine = _ProjectionEngine(results.journal, records, plan, history.width, known, key(seed, "forecast", run))
        journal, state = simulate(plan, engine, _Proposals(records, known, exhausted, key(seed, "proposals", run)))
        left.append(max(state.seconds - engine.known_until(journal), 0.0))
        all_iterations.append(float(state.iterations))
        all_trials.append(float(len(state.trials)))
        improved.append(engine.has_improved(journal))
        new.append(1 - begun / len(state.trials))
    chance = 1 - (1 - float(np.mean(improved))) * (1 - float(np.mean(new))) if plan.objectives else 0.0
    return Projection(Range.of(left), Range.of(all_iterations), Range.of(all_trials), chance, runs, False)


def dry_runs_like(plan: Plan, results: Results, runs: int, workers: int | None) -> Forecast:
    """The first of several dry runs with curves like those of an earlier run, with the ranges of all of them.

    Raises:
        NoResult: when no trial of the earlier run has reported.
    """
    as_int("dry_run.runs", runs, minimum=1)
    records = [record for record in results.reading.records.values() if record.iterations]
    if not records:
        raise NoResult(f"No trial of {results.path} has reported anything. A dry run like it needs curves.")
    simulated = without_retries(plan, plan.trials)
    found = []
    for run in range(runs):
        engine = _ProjectionEngine(results.journal, records, simulated, workers or 0, 0, key(plan.seed, "dry run", run))
        journal, state = simulate(simulated, engine, _Proposals(records, 0, False, key(plan.seed, "proposals", run)))
        text = f"curves, durations and failures are like those of the {len(records)} trials of {results.path}"
        found.append(summarize(plan, journal, state, (text,)))
    names = ("trials", "iterations", "seconds")
    ranges = {name: Range.of([float(getattr(each, name)) for each in found]) for name in names}
    evolved: Forecast = attrs.evolve(found[0], ranges=ranges, runs=runs)
    return evolved


class _Proposals(RecordedProposals):
    """Proposes the known trials' configurations, and random recorded ones after that."""

    def __init__(self, records: Sequence[TrialHistory], known: int, exhausted: bool, seed: int) -> None:
        super().__init__(records[:known])
        self._all, self._exhausted, self._seed = records, exhausted, seed

    def proposals(self, seconds: float, limit: int | None = None) -> Iterator[Event]:
        known = [number for number in self._open if number < len(self._records)]
        new = [number for number in self._open if number >= len(self._records)]
        self._open = known
        yield from super().proposals(seconds, limit)
        for number in new:
            if self._exhausted:
                yield SearchExhausted(seconds)
                return
            record = self._all[int(uniform(self._seed, number) * len(self._all))]
            yield Proposed(seconds, number, record.configs[0][1], f"{number:05d}")


class _ProjectionEngine(ReplayEngine):
    """Replays known trials, and continues with the changes of recorded trials.

    Args:
        known: how many trials repeat their record; 0 for a new run.
    """

    def __init__(
        self, journal: Journal, records: Sequence[TrialHistory], plan: Plan, width: int, known: int, seed: int
    ) -> None:
        super().__init__(journal, records, plan, width)
        self._known = known
        self._seed, self._objective = seed, plan.objectives[0] if plan.objectives else None
        self._goal = self._objective.metric if self._objective else ""
        self._made: dict[int, list[Mapping[str, Any]]] = {}
        self._donor: dict[int, int] = {}
        able = [number for number, rows in enumerate(self._rows) if rows]
        # Each simulation draws the trials with replacement, because other ones could have been recorded.
        self._able = [able[int(uniform(key(seed, "donors"), place) * len(able))] for place in range(len(able))]

    def known_until(self, journal: Journal) -> float:
        """The time of the last recorded report in a simulation."""
        return max(
            event.seconds
            for event in journal.events()
            if isinstance(event, Reported)
            and event.trial < self._known
            and event.first <= self.complete[event.trial][0]
        )

    def has_improved(self, journal: Journal) -> bool:
        """Whether a known trial reported a better value than any recorded one, after its record."""
        if not self._objective:
            return False
        goal = self._objective
        recorded = [metric_value(row.get(goal.metric)) for rows in self._rows for row in rows]
        best = max((goal.sign * each for each in recorded if math.isfinite(each)), default=-math.inf)
        return any(
            goal.sign * metric_value(row[event.keys.index(goal.metric)]) > best
            for event in journal.events()
            if isinstance(event, Reported) and event.trial < self._known and goal.metric in event.keys
            for iteration, row in enumerate(event.rows, event.first)
            if iteration > self.complete[event.trial][0]
        )

    def step(self, run: SimulatedTrial, iteration: int) -> SimulatedStep | Failed | None:
        trial = run.assignment.trial
        is_known = trial < self._known
        if is_known and (iteration <= len(self._rows[trial]) or self.complete[trial][1]):
            return super().step(run, iteration)
        if iteration > self._limit:
            return None
        made = self._made.setdefault(trial, list(self._rows[trial]) if is_known else [])
        del made[iteration - 1 :]
        donor = self._donor_of(trial, iteration, made)
        if donor is None:
            made.append(_extrapolated(made, self._goal))
            return SimulatedStep(made[-1], self._mean)
        rows, (count, ends) = self._rows[donor], self.complete[donor]
        if iteration > count and ends:
            failures = self._records[donor].failures
            is_failed = self._records[donor].status == "failed"
            return Failed(0.0, trial, failures[-1].kind, failures[-1].message) if is_failed else None
        before = rows[iteration - 2] if iteration > 1 else {}
        made.append(_changed(made[-1] if made else {}, before, rows[iteration - 1]))
        times = self._records[donor].times
        return SimulatedStep(made[-1], times[iteration - 1] - (times[iteration - 2] if iteration > 1 else 0.0))

    def _donor_of(self, trial: int, iteration: int, made: list[Mapping[str, Any]]) -> int | None:
        """The recorded trial whose changes a trial follows; None if none went as far."""
        donor = self._donor.get(trial)
        if donor is not None and (iteration <= len(self._rows[donor]) or self.complete[donor][1]):
            return donor
        able = [each for each in self._able if iteration <= len(self._rows[each])]
        if not able:
            return None
        if made:
            last = made[-1].get(self._goal, 0.0)
            able.sort(key=lambda each: (abs(self._rows[each][iteration - 2].get(self._goal, 0.0) - last), each))
            able = able[:NEAREST]
        donor = self._donor[trial] = able[int(uniform(key(self._seed, trial), iteration) * len(able))]
        return donor


def _changed(last: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the changes of another trial; what is no number in each is as in the other trial."""
    if last == before:
        return dict(after)
    return {
        name: last[name] + new - before[name]
        if all(isinstance(each, (int, float)) for each in (new, last.get(name), before.get(name)))
        else new
        for name, new in after.items()
    }


def _extrapolated(made: Sequence[Mapping[str, Any]], metric: str) -> Mapping[str, Any]:
    """The row after some rows: the metric is linear in the log of the iteration since half of the rows."""
    count, last = len(made), made[-1]
    middle = (count + 1) // 2
    then, now = (metric_value(row.get(metric)) for row in (made[middle - 1], last))
    if middle == count or not (math.isfinite(then) and math.isfinite(now)):
        return last
    return {**last, metric: now + (now - then) * math.log((count + 1) / count) / math.log(count / middle)}
