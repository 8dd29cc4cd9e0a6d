"""Applies an amended plan to the trials and the scheduler of a run.

A scheduler that neither pauses trials nor copies checkpoints receives the reports of the run again, in the order of the
journal. So its state is that of a run with this scheduler from the beginning. Any other scheduler starts from its
initial state and decides about new trials. An ended trial continues if neither the new stop rule nor the new scheduler
would have ended it. Such trials are queued, the best ones first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

from msgspec.structs import replace

from tunedsl.kernel.amending import (
    exhausted_budget,
    initial_scheduler_state,
    max_trials,
    reopened,
    study_condition,
    tally_after,
    with_defaults,
)
from tunedsl.kernel.commands import Command, Reopen
from tunedsl.kernel.events import Amended, Event, Proposed, Reported
from tunedsl.kernel.feasibility import constrained_after, feasible_rows, judged_again
from tunedsl.kernel.rerunning import reset_trial, with_checkpoints
from tunedsl.kernel.retention import move_reference
from tunedsl.kernel.state import EndedBy, RunState, TrialState
from tunedsl.kernel.trial_steps import (
    last_report,
    objective_value,
    remove_from_scheduler,
    report_for_scheduler,
    stop_culled,
)
from tunedsl.plan import Plan
from tunedsl.schedulers.contract import is_due, scheduler_of

History = Callable[[], Iterable[Event]]
"""Returns all events before an amendment, in the order of the journal."""

STATUS_BEFORE: Final[dict[EndedBy, Literal["completed", "stopped", "cancelled"]]] = {
    "rule": "completed",
    "scheduler": "stopped",
    "budget": "cancelled",
    "fail_fast": "cancelled",
}
"""The causes of an end after which an amended plan may continue a trial, with the status of each."""


def apply_amendment(
    plan: Plan, state: RunState, event: Amended, history: History | None
) -> tuple[RunState, list[Command]]:
    """The state from which a run continues with another plan; it has no slots until an engine reports its capacity."""
    if event.defaults:
        state = replace(state, trials=_with_defaults(state, event))
    if "space" in event.changed or "searcher" in event.changed:
        state = replace(state, exhausted=False)
    if "constraints" in event.changed:
        state = _judged_again(plan, state, history)
    elif "until" in event.changed:
        state = replace(state, study=tally_after(plan, state.study))
    saved = {item.folder for trial in state.trials.values() for item in trial.checkpoints}.difference(event.missing)
    if event.missing:
        state = _without_missing(state, saved)
    after = reopened(plan, state)
    is_closed = bool(after.closing_reason or exhausted_budget(plan, after))
    chosen = () if is_closed or event.ended in ("", "keep") else _candidates(state, event)
    if event.ended and can_replay(plan) and (chosen or not {"scheduler", "constraints"}.isdisjoint(event.changed)):
        if history is None:
            raise TypeError("step needs the history for an amendment")
        replay = _SchedulerReplay(plan, state, frozenset(chosen))
        scheduler = replay.run(history)
        chosen = tuple(number for number in chosen if number not in replay.stopped)
        after = replace(_released(after), scheduler=scheduler, unscheduled=type(after.unscheduled)())
    else:
        chosen = tuple(number for number in chosen if state.trials[number].ended_by != "scheduler")
        after = _with_first_scheduler_state(plan, after, event)
        for number in chosen:
            if state.trials[number].ended_by != "rule":  # the scheduler does not know that it has ended
                after = remove_from_scheduler(plan, after, state.trials[number])
        after = replace(after, unscheduled=after.unscheduled.update(dict.fromkeys(chosen)))
    return _reopen(plan, after, chosen, event, saved)


def can_replay(plan: Plan) -> bool:
    """Whether the plan's scheduler can receive earlier reports: it never pauses a trial or copies a checkpoint."""
    needs = scheduler_of(plan.scheduler).requirements(plan.scheduler)
    return not (needs.pause or needs.checkpoints)


def _judged_again(plan: Plan, state: RunState, history: History | None) -> RunState:
    """The state in which amended constraints judge the earlier reports, also those of the condition of `until`."""
    if history is None:
        raise TypeError("step needs the history for an amendment")
    state = judged_again(plan, state, history)
    tally, study = tally_after(plan), study_condition(plan)
    if tally is not None and study is not None:
        for event in history():
            if isinstance(event, Reported):
                feasible = feasible_rows(plan, event, state.trials[event.trial])
                tally = study.after_report(tally, event.trial, event.keys, event.rows, feasible)
    return replace(state, study=tally)


def _candidates(state: RunState, event: Amended) -> tuple[int, ...]:
    """The ended trials that the new stop rule would have continued and whose cause of end has changed."""
    changed: dict[EndedBy, bool] = {
        "rule": "stop" in event.changed,
        "scheduler": "scheduler" in event.changed,
        "budget": True,
        "fail_fast": True,
    }
    found = (state.trials.get(number) for number in event.unmet)
    return tuple(trial.number for trial in found if trial is not None and changed.get(trial.ended_by, False))


def _with_first_scheduler_state(plan: Plan, state: RunState, event: Amended) -> RunState:
    """The state in which a new scheduler starts, with the trials that have not started.

    A scheduler that was notified that all trials were proposed also starts again, if the amended plan has more trials.
    Trials that had started run to their stop rule without the scheduler.
    """
    remaining = max_trials(plan) - state.next_trial + state.proposing
    notified = state.all_proposed and scheduler_of(plan.scheduler).on_all_proposed is not None
    if not ("scheduler" in event.changed or (notified and remaining > 0)):
        return state
    started = dict.fromkeys((*state.live, *state.paused, *state.queued))
    return _released(
        replace(
            state,
            scheduler=initial_scheduler_state(plan, max(remaining, 0)),
            unscheduled=state.unscheduled.update(started),
        )
    )


def _released(state: RunState) -> RunState:
    """The state in which paused trials are queued, and the scheduler is notified of the last trial again."""
    return replace(state, queued=state.queued.update(state.paused), paused=type(state.paused)(), all_proposed=False)


def _with_defaults(state: RunState, event: Amended) -> Any:
    """The trials with the values of new parameters."""
    trials = state.trials.mutate()
    for number, trial in state.trials.items():
        trials[number] = replace(trial, config=with_defaults(trial.config, event.defaults))
    return trials.finish()


def _without_missing(state: RunState, saved: set[str]) -> RunState:
    """The state in which trials in progress start from existing checkpoints."""
    for number in (*state.live, *state.paused, *state.queued):
        before = state.trials[number]
        trial = with_checkpoints(before, saved)
        if trial != before:
            state = move_reference(state, before.folder, trial.folder)
            state = replace(state, trials=state.trials.set(number, trial))
    return state


def _reopen(
    plan: Plan, state: RunState, chosen: Iterable[int], event: Amended, saved: set[str]
) -> tuple[RunState, list[Command]]:
    """Queue ended trials in the order of their objective, the best first."""
    commands: list[Command] = []
    by_merit = sorted((_merit(plan, state.trials[number]), number) for number in chosen)
    for place, (_, number) in enumerate(by_merit):
        before = state.trials[number]
        status = STATUS_BEFORE[before.ended_by]
        trial = reset_trial(before, "reopen", saved)
        if event.ended == "restart":
            trial = replace(trial, folder="", checkpoint=0, checkpoints=(), copied_at=0)
        state = move_reference(state, "", trial.folder)
        state = replace(
            state,
            trials=state.trials.set(number, trial),
            queued=state.queued.set(number, place),
            terminated_count=state.terminated_count - 1,
            succeeded_count=state.succeeded_count - (status == "completed" or before.has_value),
        )
        commands.append(Reopen(number, status, trial.iteration))
    return stop_culled(plan, state, commands)


def _merit(plan: Plan, trial: TrialState) -> float:
    """A trial's last objective value, lower for better; infinity without one."""
    found = objective_value(plan, trial)
    return math.inf if math.isnan(found) else -found


class _SchedulerReplay:
    """Replays the reports of a run to a scheduler, in the order of the journal.

    It does not receive reports of a trial after it would have stopped this trial.

    Attributes:
        stopped: the trials that it would have stopped.
    """

    def __init__(self, plan: Plan, state: RunState, continued: frozenset[int]) -> None:
        self.stopped: set[int] = set()
        self._constrained: dict[int, tuple[float, ...]] = {}
        self._plan, self._trials, self._continued = plan, state.trials, continued
        self._scheduler = scheduler_of(plan.scheduler)
        self._state = initial_scheduler_state(plan, plan.trials)

    def run(self, history: History) -> Any:
        """The scheduler's state after the events."""
        last: dict[int | None, int] = {}
        for place, event in enumerate(history()):
            last[getattr(event, "trial", None)] = place
        for place, event in enumerate(history()):
            number: int | None = getattr(event, "trial", None)
            if number is None or number not in self._trials:
                continue
            trial = self._trials[number]
            if isinstance(event, Proposed):
                if self._scheduler.on_add is not None:
                    self._state = self._scheduler.on_add(self._plan.scheduler, self._state, number, trial.config)
            elif isinstance(event, Reported):
                self._report(event, trial)
            if place == last[number] and trial.phase in ("TERMINATED", "ERRORED") and number not in self._continued:
                self._end(trial)
        return self._state

    def _report(self, event: Reported, trial: TrialState) -> None:
        has_ended = bool(event.ends) and event.last == trial.iteration and trial.number not in self._continued
        for row, iteration in enumerate(range(event.first, event.last + (not has_ended))):
            constrained = constrained_after(self._plan, self._constrained.get(trial.number, ()), event, row)
            self._constrained[trial.number] = constrained
            if trial.number in self.stopped or not is_due(self._plan.decision_points, iteration):
                continue
            time = event.times[row] if event.times else 0.0
            report = report_for_scheduler(
                self._plan, event.trial, iteration, event.keys, event.rows[row], time, constrained
            )
            self._state, decision, _ = self._scheduler.on_report(self._plan.scheduler, self._state, report)
            if decision == "stop":
                self.stopped.add(trial.number)

    def _end(self, trial: TrialState) -> None:
        """Notify the scheduler of the end of a trial that stays ended."""
        spec, number = self._plan.scheduler, trial.number
        if trial.ended_by in ("rule", "returned") and trial.iteration:
            if number not in self.stopped:
                self._state = self._scheduler.on_end(spec, self._state, last_report(self._plan, trial))
        elif trial.ended_by in ("", "user", "returned", "rule") and self._scheduler.on_remove is not None:
            self._state = self._scheduler.on_remove(spec, self._state, number)
