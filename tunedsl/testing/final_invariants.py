"""The invariants of a finished experiment: one function each, whose name is the invariant's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from tunedsl.journal import Journal, replay
from tunedsl.kernel import Amended, RunState, Stop, TrialState, UserTrialAdded
from tunedsl.plan import Plan
from tunedsl.testing.invariants import ENDED, InvariantViolated


@attrs.frozen
class FinishedRun:
    """An experiment at its end.

    Attributes:
        undisturbed: the same plan without faults, if the outcome has to be equal.
        same_journal: whether the journals have to be equal too.
    """

    plan: Plan
    state: RunState
    journal: Journal
    undisturbed: FinishedRun | None = None
    same_journal: bool = False


def all_trials_end(end: FinishedRun) -> str:
    """Every trial has ended, and the scheduler forgot no paused trial."""
    open_ones = [number for number, trial in end.state.trials.items() if trial.phase not in ENDED]
    if open_ones or not end.state.finished:
        return f"trials {sorted(open_ones)} have not ended, and finished is {end.state.finished}"
    for line in end.journal.records():
        for command in line.c:
            if isinstance(command, Stop) and command.reason.rule == "left over" and not end.state.closing_reason:
                return f"the scheduler forgot trial {command.trial}, which was paused"
    return ""


def all_trials_are_made(end: FinishedRun) -> str:
    """The number of trials matches the plan and its budget, unless the experiment was closed or exhausted."""
    limit = end.plan.budget.trials
    most = end.plan.trials if limit is None else min(end.plan.trials, limit)
    short = end.state.closing_reason or end.state.exhausted or end.state.postponed
    made = len(end.state.trials) - end.state.user_trial_count
    lowered = made > most and any(isinstance(event, Amended) for event in end.journal.events())
    return "" if made == most or lowered or (short and made < most) else f"{made} of {most} trials were made"


def requests_are_taken_once(end: FinishedRun) -> str:
    """A trial that a user requests is added once, also when the driver dies before it replies."""
    requests = [event.request for event in end.journal.events() if isinstance(event, UserTrialAdded)]
    twice = {request for request in requests if requests.count(request) > 1}
    return f"{sorted(twice)} were taken more than once" if twice else ""


def the_journal_proves_itself(end: FinishedRun) -> str:
    """Replaying the journal gives the same commands and the same final state."""
    proof = replay(end.journal)
    if repr(proof.state) != repr(end.state):  # by text, since NaN is not equal to NaN
        return "replay gives a different final state"
    return ""


def faults_leave_no_trace(end: FinishedRun) -> str:
    """If every failure was retried, a logical order gives the same trials as without faults."""
    if end.undisturbed is None:
        return ""
    calm = end.undisturbed
    for number, trial in calm.state.trials.items():
        found = end.state.trials.get(number)
        if found is None or told(found) != told(trial):
            return f"trial {number} ended as {found and told(found)}, and without faults as {told(trial)}"
    if len(end.state.trials) != len(calm.state.trials):
        return f"{len(end.state.trials)} trials were made, and without faults {len(calm.state.trials)}"
    if end.same_journal and end.journal.digest != calm.journal.digest:
        return f"the journal's digest is {end.journal.digest}, and without faults {calm.journal.digest}"
    return ""


def told(trial: TrialState) -> str:
    """The outcome of a trial, as text."""
    return repr((trial.config, trial.phase, trial.iteration, trial.keys, trial.row))


FINAL_INVARIANTS: Final[tuple[Callable[[FinishedRun], str], ...]] = (
    all_trials_end,
    all_trials_are_made,
    requests_are_taken_once,
    the_journal_proves_itself,
    faults_leave_no_trace,
)
"""The invariants that are checked when an experiment has finished."""


def check_final(end: FinishedRun, laws: tuple[Callable[[FinishedRun], str], ...] = FINAL_INVARIANTS) -> None:
    """Check the final invariants of a finished experiment.

    Raises:
        InvariantViolated: for the first that does not hold.
    """
    for law in laws:
        complaint = law(end)
        if complaint:
            raise InvariantViolated(law.__name__, complaint)
