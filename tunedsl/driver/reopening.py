"""Collects facts about earlier trials for the events that amend a plan or retry trials.

The kernel decides which trials continue.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from tunedsl.base import codec
from tunedsl.base.diagnostics import with_help
from tunedsl.base.errors import CodecError, ReportError, SpaceError, TunedslError
from tunedsl.base.types import TIME_THIS_ITER, TIME_TOTAL, TRAINING_ITERATION, Json
from tunedsl.journal import Journal, parent_of, reported_values
from tunedsl.kernel import Amended, Event, Reported, RetryRequested, RunState, step
from tunedsl.kernel.events import FIRST_USER_TRIAL, Continuation
from tunedsl.kernel.reopening import STATUS_BEFORE, History
from tunedsl.plan import Plan
from tunedsl.searchers.per_grid_cell import cell_of
from tunedsl.searchers.user_configs import fill_config
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.sampling import cell_count
from tunedsl.spaces.space import Space
from tunedsl.stopping import compile_condition
from tunedsl.worker.checkpoints import CheckpointStorage

SEARCH_FIELDS: Final = frozenset({"space", "searcher", "constraints"})
"""The fields of a plan whose change starts the searcher over."""


@attrs.frozen
class Amendment:
    """How an amended plan treats the trials before it.

    Attributes:
        ended: whether ended trials continue that the plan would not have ended, and from where.
        defaults: the values that earlier trials have for new parameters, as data, by dotted name.
        text: who asked and why, or empty.
    """

    ended: Continuation = "continue"
    defaults: Mapping[str, Json] = attrs.field(factory=dict)
    text: str = ""


CONTINUE: Final = Amendment()


def amended_event(
    plan: Plan, state: RunState, changed: tuple[str, ...], amendment: Amendment, events: Iterable[Event], storage: str
) -> Amended:
    """The event of an amendment.

    Args:
        plan: the new plan.
        state: the state before it.
        changed: the fields that changed.
        events: all earlier events.
        storage: the location of checkpoints.
    """
    candidates = [number for number, trial in state.trials.items() if trial.ended_by in STATUS_BEFORE]
    unmet = () if amendment.ended == "keep" else unmet_trials(plan, candidates, events)
    missing = missing_checkpoints(state, {*unmet, *in_progress(state)}, storage)
    defaults = dict(amendment.defaults)
    return Amended(
        state.seconds, codec.encode(plan), changed, amendment.ended, unmet, missing, defaults, amendment.text
    )


def retry_events(
    plan: Plan, state: RunState, earlier: Sequence[Event], history: History, storage: str
) -> list[RetryRequested]:
    """The event that runs the failed trials again; empty without any.

    Args:
        earlier: events that precede it, which are not in the journal yet.

    Raises:
        TunedslError: when the budget is used up, so that they cannot run.
    """
    failed = tuple(sorted(number for number, trial in state.trials.items() if trial.phase == "ERRORED"))
    if not failed:
        return []
    event = RetryRequested(state.seconds, failed, missing_checkpoints(state, failed, storage))
    for each in (*earlier, event):
        state, _ = step(plan, state, each, history)
    if state.closing_reason:
        hint = "raise the budget in the experiment, and resume with amend=True and retry_failed=True"
        message = f"{len(failed)} failed trials cannot run again: {state.closing_reason}."
        raise TunedslError(with_help(message, hint))
    return [event]


def in_progress(state: RunState) -> tuple[int, ...]:
    """The trials that have started, or will start, and have not ended."""
    return (*state.live, *state.paused, *state.queued)


def unmet_trials(plan: Plan, candidates: Collection[int], events: Iterable[Event]) -> tuple[int, ...]:
    """The trials whose reports never meet the plan's stop rule."""
    unmet = set(candidates)
    if plan.stop is None or not unmet:
        return tuple(sorted(unmet))
    condition = compile_condition(plan.stop)
    evaluators = {number: condition.new_evaluator() for number in unmet}
    before = dict.fromkeys(unmet, 0.0)
    for event in events:
        if not isinstance(event, Reported) or event.trial not in unmet:
            continue
        for row, iteration in enumerate(range(event.first, event.last + 1)):
            time = event.times[row] if event.times else before[event.trial]
            automatic = {TRAINING_ITERATION: iteration, TIME_TOTAL: time, TIME_THIS_ITER: time - before[event.trial]}
            before[event.trial] = time
            try:
                is_met = evaluators[event.trial](str(event.trial), {**reported_values(event, row), **automatic})
            except ReportError:  # its next report would fail
                is_met = True
            if is_met:
                unmet.discard(event.trial)
                break
    return tuple(sorted(unmet))


def missing_checkpoints(state: RunState, trials: Iterable[int], storage: str) -> tuple[str, ...]:
    """The checkpoints that the trials need but that no longer exist."""
    needed = {
        folder
        for trial in map(state.trials.__getitem__, trials)
        for folder in (trial.folder, *(item.folder for item in trial.checkpoints))
        if folder
    }
    if not needed:
        return ()
    return tuple(sorted(needed.difference(CheckpointStorage(storage).list_checkpoints())))


def lacks_checkpoints(journal: Journal, state: RunState, storage: str) -> bool:
    """Whether a run is a fork whose parent had deleted checkpoints that its trials need."""
    return parent_of(journal.header) is not None and bool(missing_checkpoints(state, in_progress(state), storage))


def searcher_start(journal: Journal, plan: Plan) -> tuple[float, dict[str, Json]]:
    """The record from which the present searcher proposed the trials, and the values of new parameters.

    Args:
        journal: the run.
        plan: the plan with which it continues.

    Returns:
        The number of a record: 0 for the first searcher, and infinity if the plan will begin with a new one.
    """
    start, defaults = 0.0, dict[str, Json]()
    for number, event in journal.amendments():
        defaults.update(event.defaults)
        if SEARCH_FIELDS.intersection(event.changed):
            start = number
    now, last = plan, journal.plan
    if any(getattr(now, name) != getattr(last, name) for name in SEARCH_FIELDS):
        start = float("inf")
    return start, defaults


def misplaced_trial(before: Plan, plan: Plan, state: RunState) -> str:
    """A sentence about the first trial in a wrong cell of an amended grid; empty if all are in the right cells."""
    old, new = resolve_space(before.space), resolve_space(plan.space)
    if before.space != plan.space and (old.grid_sizes or new.grid_sizes):
        cells = cell_count(new)
        for number, trial in state.trials.items():
            if number < FIRST_USER_TRIAL and cell_of(new, trial.config) != number % cells:
                return f"Trial {trial.name} is not in the cell that the new grid assigns to its number."
    return ""


class SpaceFit:
    """Converts the configurations of earlier trials to another space.

    Args:
        space: the space.
        resolve: returns the live object for a reference in a configuration.
    """

    def __init__(self, space: Space, resolve: Callable[[str], Any]) -> None:
        self._layout, self._resolve = resolve_space(space), resolve

    def fitted(self, config: Json) -> dict[str, Json]:
        """The configuration without parameters that the space lacks.

        Raises:
            SpaceError: when the space does not contain it; the message says why.
        """
        cell = cell_of(self._layout, config)
        if cell is None:
            raise SpaceError("Its values are not in the grid.")
        try:
            live = codec.decode(config, self._resolve)
            found: dict[str, Json] = codec.encode(
                fill_config(self._layout, live, cell, 0, require_all=True, allow_unknown=True)
            )
        except CodecError as error:
            raise SpaceError(str(error)) from error
        return found
