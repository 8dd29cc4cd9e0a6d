"""The exact results of a replay of recorded curves: outcomes of trials, and figures with bounds.

A replay is exact until a trial needs a report that was never made. Later decisions may depend on that report, so they
are estimates. Without a scheduler that decides, a budget and study conditions, trials are independent. Then each trial
with a sufficient record is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from tunedsl.base.errors import NoResult
from tunedsl.base.types import TrialStatus
from tunedsl.journal import ENDED, Journal, Line, TrialStatuses
from tunedsl.kernel import CopyCheckpoint, Ended, Failed, Pause, Reported, SearchExhausted, SetResources, Started, Stop
from tunedsl.plan import Plan
from tunedsl.results.feasibility import violation
from tunedsl.results.selection import find_best
from tunedsl.results.trial_history import RunHistory, TrialHistory
from tunedsl.schedulers.contract import At, Never
from tunedsl.spaces.expressions import leaves
from tunedsl.stopping import Budget, Failing
from tunedsl.stopping.reading import last_iteration

_COMMON: Final[tuple[TrialStatus, ...]] = ("completed", "stopped")
"""The statuses that always have a figure; others have one only if a trial has the status."""


@attrs.frozen
class Figure:
    """One number of a forecast.

    Attributes:
        name: the name of the figure.
        value: the number, an estimate if it is censored; None if there is no number.
        censored: whether it depends on reports that were never made.
        low, high: bounds of the true number, or None; both are the number if it is not censored.
    """

    name: str
    value: float | None
    censored: bool
    low: float | None
    high: float | None

    def __str__(self) -> str:
        shown = "no value" if self.value is None else f"{self.value:.6g}"
        if not self.censored:
            return f"{self.name}: {shown}"
        limits = ((self.low, "at least"), (self.high, "at most"))
        bounds = [f"{word} {bound:.6g}" for bound, word in limits if bound is not None]
        return f"{self.name}: {', '.join(bounds) or 'unknown'} (censored; {shown} is an estimate)"


@attrs.frozen
class Outcome:
    """The outcome of one trial.

    Attributes:
        trial: its number in the run.
        name: its id in the run.
        status: its final status.
        iterations: the number of its reports.
        recorded: the number of its recorded reports.
        value: the last value of the first objective, or None.
        known: whether this is exact; otherwise it is an estimate.
    """

    trial: int
    name: str
    status: TrialStatus
    iterations: int
    recorded: int
    value: float | None
    known: bool


@attrs.define
class _Frontier:
    """The point at which a replay stops being exact.

    Attributes:
        record: the first record that is not exact.
        seconds: the time of the last event that is exact, if events count by time.
        beyond: the trials that run longer than their record.
    """

    record: float = math.inf
    seconds: float = math.inf
    beyond: set[int] = attrs.field(factory=set)

    @property
    def is_reached(self) -> bool:
        """Whether any part of the replay is an estimate."""
        return self.record < math.inf

    def cut(self, record: int, seconds: float) -> None:
        self.record, self.seconds = min(self.record, record), min(self.seconds, seconds)


def outcomes_of(
    plan: Plan,
    journal: Journal,
    records: Sequence[TrialHistory],
    complete: Sequence[tuple[int, bool]],
    is_exhausted: bool,
) -> tuple[tuple[Outcome, ...], tuple[Figure, ...], float]:
    """The outcomes of all trials, the figures, and the time until which the replay is exact.

    Args:
        plan: the replayed plan.
        journal: the replay's journal.
        records: the recorded trials, by their numbers in the replay.
        complete: the number of recorded reports of each trial, and whether its code ended there.
        is_exhausted: whether the recorded searcher had no more configurations.
    """
    lines = [line for line in journal.records() if line.e is not None]
    frontier = _frontier(plan, lines, records, complete, is_exhausted)
    facts = _exact_facts(plan, lines, frontier)
    replayed = RunHistory.of(journal)
    independent = _is_independent(plan, records)
    outcomes = []
    for number, trial in replayed.records.items():
        known = number in facts.ended or not frontier.is_reached or (independent and number not in frontier.beyond)
        value = trial.score(plan.objectives[0], "last") if plan.objectives else None
        recorded, _ = complete[number]
        name = records[number].name
        outcomes.append(Outcome(records[number].number, name, trial.status, trial.iterations, recorded, value, known))
    figures = tuple(_figures(plan, replayed, outcomes, facts, frontier))
    return tuple(outcomes), figures, facts.seconds if frontier.is_reached else math.inf


def _frontier(
    plan: Plan,
    lines: Sequence[Line],
    records: Sequence[TrialHistory],
    complete: Sequence[tuple[int, bool]],
    is_exhausted: bool,
) -> _Frontier:
    found = _Frontier()
    running: dict[int, tuple[float, int]] = {}  # the last event of each trial on a worker, and its reports by then
    reports: dict[int, int] = {}

    def leave(trial: int, place: int, now: float) -> None:
        """End a trial's time on a worker; it may have begun an unrecorded iteration, which could have been short."""
        since, made = running.pop(trial, (now, 0))
        count, is_complete = complete[trial]
        times = records[trial].times
        begins = since + (times[count - 1] - (times[made - 1] if made else 0.0) if count > made else 0.0)
        if begins < now and not is_complete and plan.order == "arrival":
            found.cut(place, begins)

    for place, line in enumerate(lines):
        event = line.e
        assert event is not None  # the caller skips marks
        if isinstance(event, Started):
            running[event.trial] = event.seconds, reports.get(event.trial, 0)
        elif isinstance(event, Reported):
            running[event.trial] = event.seconds, event.last
            reports[event.trial] = event.last
            count, _ = complete[event.trial]
            if event.last > count:
                elapsed = records[event.trial].times[count - 1] if count else 0.0
                found.cut(place, event.seconds - (event.times[-1] - elapsed))
                found.beyond.add(event.trial)
        elif isinstance(event, Ended) and not complete[event.trial][1]:
            found.cut(place, event.seconds)
            found.beyond.add(event.trial)
        elif isinstance(event, SearchExhausted) and not is_exhausted:
            found.cut(place, event.seconds)
        for command in line.c:
            if isinstance(command, (CopyCheckpoint, SetResources)):
                found.cut(place + 1, event.seconds)
            elif isinstance(command, (Stop, Pause)):
                leave(command.trial, place, event.seconds)
        if isinstance(event, (Ended, Failed)) or (isinstance(event, Reported) and event.ends):
            running.pop(event.trial, None)
    for trial in list(running):
        leave(trial, len(lines), lines[-1].e.seconds if lines[-1].e is not None else 0.0)
    return found


@attrs.define
class _ExactFacts:
    """The exact part of a replay: the trials that started and ended in it, and their reports."""

    started: set[int] = attrs.field(factory=set)
    ended: set[int] = attrs.field(factory=set)
    reports: dict[int, int] = attrs.field(factory=dict)
    seconds: float = 0.0


def _exact_facts(plan: Plan, lines: Sequence[Line], frontier: _Frontier) -> _ExactFacts:
    facts, statuses = _ExactFacts(), TrialStatuses()
    by_time = plan.order == "arrival"
    for place, line in enumerate(lines):
        event = line.e
        if event is None or place >= frontier.record or (by_time and event.seconds > frontier.seconds):
            break
        facts.seconds = event.seconds
        if isinstance(event, Reported):
            facts.reports[event.trial] = event.last
        for change in statuses.take(line):
            if change.status == "running":
                facts.started.add(change.trial)
            elif change.status in ENDED:
                facts.ended.add(change.trial)
    return facts


def _is_independent(plan: Plan, records: Sequence[TrialHistory]) -> bool:
    """Whether the outcome of a trial depends on no other trial."""
    has_failures = any(record.status == "failed" for record in records)
    decides = plan.decision_points not in (Never(), At(()))
    until = () if plan.until is None else tuple(leaves(plan.until))
    ends_early = any(not isinstance(leaf, Failing) for leaf in until) or (has_failures and (until or plan.fail_fast))
    return not decides and not ends_early and plan.budget == Budget()


def _figures(
    plan: Plan, replayed: RunHistory, outcomes: Sequence[Outcome], facts: _ExactFacts, frontier: _Frontier
) -> Iterator[Figure]:
    unknown = [place for place, outcome in enumerate(outcomes) if not outcome.known]
    missing = max(plan.trials - len(outcomes), 0) if frontier.is_reached else 0
    censored = bool(unknown) or (frontier.is_reached and missing > 0)

    def counted(name: str, value: int, sure: int, most: int | None) -> Figure:
        return Figure(name, value, censored, sure if censored else value, most if censored else value)

    if plan.objectives:
        yield _best(plan, replayed, outcomes, censored)
    sure = sum(each.iterations if each.known else facts.reports.get(n, 0) for n, each in enumerate(outcomes))
    last, total = last_iteration(plan.stop), sum(outcome.iterations for outcome in outcomes)
    known = sum(outcome.iterations for outcome in outcomes if outcome.known)
    yield counted("iterations", total, sure, None if last is None else known + last * (len(unknown) + missing))
    yield _seconds(plan, replayed, facts, frontier)
    for status in (*_COMMON, "failed", "cancelled"):
        count = sum(outcome.status == status for outcome in outcomes)
        if count or (censored and status in _COMMON):
            certain = sum(outcome.known and outcome.status == status for outcome in outcomes)
            yield counted(status, count, certain, certain + len(unknown) + missing)


def _seconds(plan: Plan, replayed: RunHistory, facts: _ExactFacts, frontier: _Frontier) -> Figure:
    """The duration. Under logical order, an early end depends on the progress of other trials."""
    by_time, is_cut = plan.order == "arrival", any(each.status == "cancelled" for each in replayed.records.values())
    if frontier.is_reached or (is_cut and not by_time):
        return Figure("seconds", replayed.seconds, True, facts.seconds if by_time else None, None)
    return Figure("seconds", replayed.seconds, False, replayed.seconds, replayed.seconds)


def _best(plan: Plan, replayed: RunHistory, outcomes: Sequence[Outcome], censored: bool) -> Figure:
    goal = plan.objectives[0]
    try:
        value = find_best(replayed, goal).score(goal, "last")
    except NoResult:
        value = None
    if not censored:
        return Figure(f"best {goal.metric}", value, False, value, value)
    certain = [
        each.value
        for each, record in zip(outcomes, replayed.records.values(), strict=True)
        if each.known and each.status != "failed" and each.value is not None and not violation(record, plan.constraints)
    ]
    if goal.mode == "min":
        return Figure(f"best {goal.metric}", value, True, None, min(certain, default=None))
    return Figure(f"best {goal.metric}", value, True, max(certain, default=None), None)
