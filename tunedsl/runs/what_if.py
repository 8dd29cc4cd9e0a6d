"""Replays the recorded curves of a run under other policies, and marks the figures that the record cannot determine.

The replay is a run on the simulated engine. A trial repeats its reports and their durations. Beyond its record it
repeats its last report. Figures that depend on such a report are estimates, and are called censored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from tunedsl.backends.simulated import Recorded, SimulatedEngine, SimulatedStep, SimulatedTrial
from tunedsl.base import codec
from tunedsl.base.arguments import check_arguments
from tunedsl.base.references import referenced_objects
from tunedsl.base.types import LIMITED_KINDS
from tunedsl.compiler.replanning import replan
from tunedsl.driver.driver import Driver
from tunedsl.driver.searcher_session import SearcherSession
from tunedsl.journal import FORMAT, Header, Journal, MemoryWriter
from tunedsl.kernel import Command, Ended, Event, Failed, Propose, Proposed, Reported, RunState, SearchExhausted
from tunedsl.plan import Plan
from tunedsl.plan.builder import ExperimentBuilder
from tunedsl.plan.definition import Definition
from tunedsl.results import Results
from tunedsl.results.trial_history import TrialHistory
from tunedsl.runs.censoring import Outcome, outcomes_of
from tunedsl.runs.forecast import Forecast, summarize
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.searchers.contract import searcher_of
from tunedsl.stopping.reading import last_iteration
from tunedsl.worker import Shipment

CLAUSES: Final = ("scheduler", "stop", "until", "parallel")
"""The clauses that a replay can replace."""


@check_arguments
def what_if(
    results: Results,
    scheduler: Any = None,
    stop: Any = None,
    until: Any = None,
    parallel: int | None = None,
) -> Forecast:
    """Replay the recorded curves of a run under other policies, without training code.

    A trial repeats its recorded reports and durations. The replay is exact until a trial needs a report that was never
    made. Figures that depend on such a report are censored.

    Args:
        results: the run.
        scheduler: another scheduler, such as `asha(max_t=27)`.
        stop: stop rules instead of the experiment's: a condition, a function, a mapping such as
            `{"training_iteration": 9}`, or a list of them.
        until: conditions over the study instead of the experiment's: one or a list.
        parallel: how many trials run concurrently.

    Returns:
        A `Forecast`. Its `figures` are numbers with bounds, `censored` says which of them are estimates, and `outcomes`
        has each trial.

    Raises:
        CompileError: if the clauses do not fit the experiment.
        ArgumentError: for an invalid clause.
    """
    changes = ExperimentBuilder()
    if scheduler is not None:
        changes = changes.scheduler(scheduler)
    for condition in _several(stop):
        changes = changes.stop(**condition) if isinstance(condition, Mapping) else changes.stop(condition)
    for condition in _several(until):
        changes = changes.until(condition)
    if parallel is not None:
        changes = changes.parallel(parallel)
    return replay_with(results, changes)


def _several(given: Any) -> Sequence[Any]:
    if given is None:
        return ()
    return given if isinstance(given, (list, tuple)) else (given,)


def replay_with(results: Results, changes: Definition) -> Forecast:
    """Replay a run with some clauses replaced.

    Raises:
        CompileError: if the clauses do not fit the experiment.
    """
    history, before = results.reading, results.plan
    records = list(history.records.values())
    added = len(records) - sum(record.number < before.trials for record in records)
    plan = without_retries(replan(before, changes), before.trials + added)
    engine = ReplayEngine(results.journal, records, plan, history.width)
    journal, state = simulate(plan, engine, RecordedProposals(records))
    is_exhausted = any(isinstance(event, SearchExhausted) for event in results.journal.events())
    outcomes, figures, known = outcomes_of(plan, journal, records, engine.complete, is_exhausted)
    forecast = summarize(plan, journal, state, tuple(_assumptions(plan, outcomes, records, added)))
    return attrs.evolve(forecast, figures=figures, outcomes=outcomes, known_seconds=known)


def without_retries(plan: Plan, trials: int) -> Plan:
    """The plan of a replay of this many trials: a recorded failure is the last one of its trial."""
    retry = attrs.evolve(plan.retry, **dict.fromkeys(LIMITED_KINDS, 0))  # type: ignore[misc]
    evolved: Plan = attrs.evolve(plan, trials=trials, retry=retry, naming=None)  # type: ignore[misc]
    return evolved


def simulate(plan: Plan, engine: SimulatedEngine, proposals: SearcherSession) -> tuple[Journal, RunState]:
    """Runs a plan on a simulated engine, with proposals from elsewhere and without the user's code."""
    writer = MemoryWriter()
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {}))
    objects = referenced_objects(plan)
    without_code = attrs.evolve(plan, trainable=None)  # type: ignore[misc]  # its import could run the user's script
    driver = Driver(plan, engine, writer, Shipment.of(without_code, {}, objects, "."), objects.__getitem__)
    driver.searcher_session = proposals
    driver.run()
    return Journal(writer.lines), driver.state


def _assumptions(plan: Plan, outcomes: Sequence[Outcome], records: Sequence[TrialHistory], added: int) -> list[str]:
    searcher = searcher_of(plan.searcher)
    texts = []
    if searcher.learns:
        texts.append(
            f"{searcher.name} proposes the recorded configurations, although results would arrive in another order"
        )
    if scheduler_of(plan.scheduler).requirements(plan.scheduler).checkpoints:
        texts.append("trials save a checkpoint at each decision")
    if added:
        texts.append("trials that users added come last")
    if any(record.status == "failed" for record in records):
        texts.append("failed trials fail again after the same iteration")
    if any(outcome.iterations > outcome.recorded for outcome in outcomes):
        texts.append("a trial that runs beyond its record repeats its last report")
    return texts


class RecordedProposals(SearcherSession):
    """Proposes recorded configurations in their order."""

    def __init__(self, records: Sequence[TrialHistory]) -> None:
        self._records = records
        self._open: list[int] = []

    def proposals(self, seconds: float, limit: int | None = None) -> Iterator[Event]:
        requested, self._open = self._open, []
        for number in requested:
            if number >= len(self._records):
                yield SearchExhausted(seconds)
                return
            record = self._records[number]
            yield Proposed(seconds, number, record.configs[0][1], record.name)

    def follow(self, event: Event, commands: Sequence[Command], state: RunState, recalled: bool = False) -> None:
        for command in commands:
            if isinstance(command, Propose):
                self._open += range(command.first, command.first + command.count)


class ReplayEngine(SimulatedEngine):
    """The simulated engine, with the reports and durations of a journal.

    Attributes:
        complete: how many reports of each trial are recorded, and whether its code ended there.
    """

    def __init__(self, journal: Journal, records: Sequence[TrialHistory], plan: Plan, width: int) -> None:
        recorded = Recorded(journal)
        super().__init__(recorded, workers=width or None)
        self._records = records
        self._rows = [recorded.rows(record.number)[: _usable(record)] for record in records]
        self.complete = [_completion(record, len(rows)) for record, rows in zip(records, self._rows, strict=True)]
        longest = max(map(len, self._rows), default=1)
        self._limit = max(longest, last_iteration(plan.stop) or 0, 1)
        made = [(record.times[-1], record.iterations) for record in records if record.iterations]
        self._mean = sum(time for time, _ in made) / max(sum(count for _, count in made), 1) if made else 1.0
        self._objectives = [goal.metric for goal in plan.objectives]

    def step(self, run: SimulatedTrial, iteration: int) -> SimulatedStep | Failed | None:
        trial = run.assignment.trial
        record, rows = self._records[trial], self._rows[trial]
        if iteration <= len(rows):
            elapsed = record.times[iteration - 1]
            returned = iteration == len(rows) and isinstance(record.cause, Reported) and record.cause.ends == "returned"
            return SimulatedStep(rows[iteration - 1], elapsed - run.time, elapsed, returned and self.complete[trial][1])
        if self.complete[trial][1]:
            if record.status != "failed":
                return None
            last = record.failures[-1]
            return Failed(0.0, trial, last.kind, last.message)
        if iteration > self._limit:
            return None
        metrics = rows[-1] if rows else dict.fromkeys(self._objectives, math.nan)
        return SimulatedStep(metrics, record.times[-1] / record.iterations if record.iterations else self._mean)

    def _saves(self, run: SimulatedTrial, report: Any) -> bool:
        return run.reports.is_checkpoint_due(report)


def _usable(record: TrialHistory) -> int:
    """The number of reports before the trial continued with another configuration."""
    return record.configs[1][0] if len(record.configs) > 1 else record.iterations


def _completion(record: TrialHistory, count: int) -> tuple[int, bool]:
    """The number of usable reports, and whether the trial's code ended after them."""
    returned = isinstance(record.cause, Ended) or (
        isinstance(record.cause, Reported) and record.cause.ends == "returned"
    )
    return count, count == record.iterations and (record.status == "failed" or returned)
