"""The invariants of an experiment after each event: one function each, whose name is the invariant's.

An invariant takes a `Step` (the states before and after, the event, and its commands) and returns a complaint,
or an empty text when it holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from tunedsl.base.errors import TunedslError
from tunedsl.base.types import FAILURE_KINDS, TrialStatus
from tunedsl.kernel import (
    Amended,
    CapacityChanged,
    Command,
    Continue,
    DeleteCheckpoints,
    Ended,
    Event,
    Failed,
    Finish,
    GiveUp,
    Launch,
    Pause,
    Phase,
    Proposed,
    Reopen,
    Reported,
    RetryRequested,
    RunState,
    Saved,
    Stop,
    TrialState,
    UserTrialAdded,
)
from tunedsl.kernel.amending import max_trials
from tunedsl.kernel.events import FIRST_USER_TRIAL
from tunedsl.kernel.transitions import MOVES, PHASES, TRANSITIONS
from tunedsl.plan import Plan

ENDED: Final = ("TERMINATED", "ERRORED")


class InvariantViolated(TunedslError):
    """An invariant does not hold.

    Attributes:
        law: its name.
        text: the observed violation.
        record: number of the journal record after which it was observed, or None.
    """

    def __init__(self, law: str, text: str, record: int | None = None) -> None:
        self.law, self.text, self.record = law, text, record
        place = "" if record is None else f" after record {record}"
        super().__init__(f"The invariant {law} does not hold{place}: {text}.")


@attrs.frozen
class Step:
    """One step of the kernel, and facts from the journal's records.

    Attributes:
        stored: folders of existing checkpoints before this step.
        attempts: the last attempt of each trial before this step.
        statuses: the status of each trial by the records up to this step.
    """

    plan: Plan
    before: RunState
    event: Event
    commands: tuple[Command, ...]
    after: RunState
    stored: frozenset[str] | set[str]
    attempts: dict[int, int]
    statuses: Mapping[int, TrialStatus]

    @property
    def reopened(self) -> set[int]:
        """The trials that an amendment reopens."""
        return {command.trial for command in self.commands if isinstance(command, Reopen)}

    @property
    def touched(self) -> list[TrialState]:
        """The trials that the event or its commands concern, after the step."""
        numbers: set[Any] = {getattr(about, "trial", None) for about in (self.event, *self.commands)}
        numbers.update(getattr(self.event, "trials", ()))
        return [self.after.trials[number] for number in numbers if number in self.after.trials]


def moves_are_legal(step: Step) -> str:
    """A trial changes phase as the transition table allows; an ended one only by a retry or an amendment."""
    for trial in step.touched:
        old = step.before.trials.get(trial.number)
        before = old.phase if old else "PENDING"
        back = (before, trial.phase) == ("RUNNING", "PENDING") and not isinstance(step.event, Failed)
        back |= before == "ERRORED" != trial.phase and not isinstance(step.event, RetryRequested)
        back |= before == "TERMINATED" != trial.phase and trial.number not in step.reopened
        if back or (before, trial.phase) not in REACHABLE:
            return f"trial {trial.number} was {before} and is {trial.phase}, by {step.event}"
    return ""


def nothing_finished_runs_again(step: Step) -> str:
    """No trial that has ended is launched, continued or stopped, unless an amendment reopens it."""
    for command in step.commands:
        if isinstance(command, (Launch, Continue, Pause, Stop)):
            old = step.before.trials.get(command.trial)
            if old is not None and old.phase in ENDED and command.trial not in step.reopened:
                return f"trial {command.trial} is {old.phase}, and yet: {command}"
    return ""


def width_is_kept(step: Step) -> str:
    """The number of trials in progress never exceeds the slots."""
    used, places = len(step.after.live) + step.after.proposing, step.after.width + step.after.ahead
    narrowed = isinstance(step.event, CapacityChanged) or used <= len(step.before.live) + step.before.proposing
    return "" if used <= places or narrowed else f"{used} trials are in progress or requested, in {places} slots"


def trials_are_parted(step: Step) -> str:
    """Each trial is live, paused, queued, terminated or errored: one of them, and counted as such."""
    after = step.after
    parts = [*after.live, *after.paused, *after.queued]
    under_way = {trial.number for trial in after.trials.values() if trial.phase not in ENDED}
    if len(parts) != len(under_way) or under_way != set(parts):
        return f"live, paused and queued are {sorted(parts)}, and {sorted(under_way)} have not ended"
    return ""


def counts_are_those_of_a_recount(step: Step) -> str:
    """The kernel's counts, and its references to checkpoints, are those that all trials give."""
    after, trials = step.after, step.after.trials.values()
    phases = Counter(trial.phase for trial in trials)
    succeeded = sum(
        trial.phase == "TERMINATED" and (step.statuses.get(trial.number) == "completed" or trial.has_value)
        for trial in trials
    )
    counted = (after.terminated_count, after.errored_count, after.succeeded_count)
    if counted != (phases["TERMINATED"], phases["ERRORED"], succeeded):
        return f"terminated, errored and succeeded are counted as {counted}, of {dict(phases)} and {succeeded}"
    references = Counter(trial.folder for trial in trials if trial.folder and trial.phase not in ENDED)
    if references != Counter(dict(after.checkpoint_refs)):
        return f"the references to checkpoints are {dict(after.checkpoint_refs)}, not {dict(references)}"
    return ""


def statuses_are_those_of_the_journal(step: Step) -> str:
    """A trial's status by the journal's records agrees with its phase in the kernel."""
    ended = isinstance(step.event, Ended) or (isinstance(step.event, Reported) and bool(step.event.ends))
    for trial in step.touched:
        told, known = step.statuses.get(trial.number), _PHASES[trial.phase]
        if trial.phase == "PAUSED" and trial.number in step.after.live:
            known = ("pending",)
        itself = ended and getattr(step.event, "trial", None) == trial.number
        if told not in known or (trial.phase == "TERMINATED" and (told == "completed") != itself):
            return f"trial {trial.number} is {trial.phase}, and the journal says {told}, by {step.event}"
    return ""


_PHASES: Final[dict[Phase, tuple[TrialStatus, ...]]] = {
    "PENDING": ("pending",),
    "RUNNING": ("running",),
    "PAUSED": ("paused",),
    "TERMINATED": ("completed", "stopped", "cancelled"),
    "ERRORED": ("failed",),
}


def iterations_go_on_by_one(step: Step) -> str:
    """A trial's reports are numbered 1, 2, 3, ... without gaps or duplicates."""
    if not isinstance(step.event, Reported):
        return ""
    old, first = step.before.trials[step.event.trial], step.event.first
    if first != old.iteration + 1:
        return f"trial {old.number} had reported {old.iteration} iterations, and then iteration {first}"
    total = step.before.iterations + len(step.event.rows)
    return "" if step.after.iterations == total else f"{step.after.iterations} iterations are counted, not {total}"


def saves_are_of_the_last_report(step: Step) -> str:
    """A recorded checkpoint belongs to the last reported iteration of its trial."""
    if not isinstance(step.event, Saved):
        return ""
    old = step.before.trials[step.event.trial]
    if step.event.iteration == old.iteration:
        return ""
    return f"trial {old.number} is at iteration {old.iteration}, its checkpoint at {step.event.iteration}"


def checkpoints_are_held(step: Step) -> str:
    """A checkpoint that a trial would start from exists, and is not removed."""
    saved = getattr(step.event, "saved", "") or getattr(step.event, "folder", "")
    gone = {folder for command in step.commands if isinstance(command, DeleteCheckpoints) for folder in command.folders}
    for command in step.commands:
        if isinstance(command, Launch):
            folder = step.after.trials[command.trial].folder
            if folder and folder not in step.stored and folder != saved:
                return f"trial {command.trial} is launched from {folder}, which does not exist"
            if command.checkpoint and not folder:
                return (
                    f"trial {command.trial} is launched from iteration {command.checkpoint}, and without a checkpoint"
                )
    if gone:
        for number in (*step.after.live, *step.after.paused, *step.after.queued):
            if step.after.trials[number].folder in gone:
                return f"{step.after.trials[number].folder} is removed, and trial {number} would start from it"
    return ""


def retries_are_those_allowed(step: Step) -> str:
    """Each failure is counted once, by its kind; a trial fails permanently exactly when it has no retries left."""
    if not isinstance(step.event, Failed):
        return ""
    old, new = step.before.trials[step.event.trial], step.after.trials[step.event.trial]
    place = FAILURE_KINDS.index(step.event.kind)
    if new.failures[place] != old.failures[place] + 1 or sum(new.failures) != sum(old.failures) + 1:
        return (
            f"trial {new.number} failed by {step.event.kind}: its failures went from {old.failures} to {new.failures}"
        )
    limit = getattr(step.plan.retry, step.event.kind, -1)  # preemptions have no limit
    left = limit < 0 or new.failures[place] <= limit
    if any(isinstance(command, GiveUp) for command in step.commands):
        left = False  # with its reason
    if left == (new.phase == "ERRORED"):
        return f"trial {new.number} is {new.phase} after {new.failures[place]} of {limit} allowed failures"
    return ""


def attempts_count_up(step: Step) -> str:
    """Each launch of a trial is a new attempt with a higher number, and continues at the trial's iteration."""
    for command in step.commands:
        if isinstance(command, Launch):
            trial = step.after.trials[command.trial]
            last = step.attempts.get(command.trial, -1)
            # The end of a run withdraws the launches of its last event, so a number may be skipped by an amendment.
            if command.attempt <= last or trial.attempt != command.attempt:
                return f"trial {trial.number} is launched as attempt {command.attempt}, after attempt {last}"
            if command.known_iterations != trial.iteration or command.checkpoint > trial.iteration:
                return f"trial {trial.number} has made {trial.iteration} iterations: {command}"
    return ""


def who_waits_is_answered(step: Step) -> str:
    """A trial that waits for a decision gets one: it continues, ends, or leaves its worker."""
    if not isinstance(step.event, Reported) or not step.event.waits or step.event.ends:
        return ""
    answers = [
        command
        for command in step.commands
        if isinstance(command, (Continue, Stop, Pause)) and command.trial == step.event.trial
    ]
    if len([answer for answer in answers if not isinstance(answer, Stop)]) > 1 or not answers:
        return f"trial {step.event.trial} waits at iteration {step.event.last}, and is answered {answers}"
    return ""


def something_is_under_way(step: Step) -> str:
    """While an experiment is not finished, a trial runs or is about to run."""
    after = step.after
    if after.finished or after.suspended or after.live or after.proposing or not after.width:
        return ""
    return f"nothing runs and nothing is asked for, with {len(after.paused)} trials paused"


def budgets_are_kept(step: Step) -> str:
    """When a budget is used up, the experiment closes, and no trial is proposed beyond it."""
    budget, after = step.plan.budget, step.after
    if after.next_trial > max(step.before.next_trial, max_trials(step.plan)):
        return f"{after.next_trial} trials are proposed, of {max_trials(step.plan)} in the plan and its budget"
    for limit, used in (
        (budget.iterations, after.iterations),
        (budget.failures, after.errored_count),
        (budget.seconds, after.seconds),
    ):
        if limit is not None and used >= limit and not after.closing_reason and not after.finished:
            return f"{used} of {limit} in the budget are used up, and the experiment continues"
    more = len(after.live) + len(after.paused) + len(after.queued)
    if after.closing_reason and more:
        return f"the experiment closes ({after.closing_reason}), and {more} trials continue"
    return ""


def finish_is_the_last_word(step: Step) -> str:
    """`Finish` comes when no trial remains, and only an event that reopens the run may follow."""
    if step.before.finished and not isinstance(step.event, (Amended, RetryRequested)):
        return f"the experiment is finished, and then: {step.event}"
    given = [command for command in step.commands if isinstance(command, Finish)]
    if len(given) != step.after.finished or (given and step.commands[-1] is not given[0]):
        return f"finished is {step.after.finished}, and the commands are {step.commands}"
    return ""


def time_goes_forward(step: Step) -> str:
    """No event is earlier than the one before it."""
    if step.event.seconds < step.before.seconds:
        return f"second {step.event.seconds} comes after second {step.before.seconds}"
    return ""


def trials_are_numbered_in_turn(step: Step) -> str:
    """A proposal is for a trial that was requested and does not exist yet."""
    if isinstance(step.event, UserTrialAdded):
        expected = FIRST_USER_TRIAL + step.before.user_trial_count
        return "" if step.event.trial == expected else f"trial {step.event.trial} is added, not {expected}"
    if not isinstance(step.event, Proposed):
        return ""
    if step.event.trial in step.before.trials or step.event.trial >= step.before.next_trial:
        return f"trial {step.event.trial} is proposed; asked for are those before {step.before.next_trial}"
    return ""


def _reachable() -> frozenset[tuple[str, str]]:
    """Pairs of phases that one event can lead between: up to three moves, such as pause, start again, and stop."""
    pairs = {(phase, phase) for phase in PHASES}
    for _ in range(3):
        more = {(old, TRANSITIONS[new, move]) for old, new in pairs for move in MOVES if (new, move) in TRANSITIONS}
        pairs |= more
    return frozenset((old, new) for old, new in pairs if (old, new) not in _NEVER)


_NEVER: Final = {("PAUSED", "PENDING")}
"""A paused trial that is lost before it runs again stays paused."""
REACHABLE: Final = _reachable()


Invariant = Callable[[Step], str]
INVARIANTS: Final[tuple[Invariant, ...]] = (
    finish_is_the_last_word,
    trials_are_numbered_in_turn,
    iterations_go_on_by_one,
    saves_are_of_the_last_report,
    moves_are_legal,
    nothing_finished_runs_again,
    trials_are_parted,
    counts_are_those_of_a_recount,
    statuses_are_those_of_the_journal,
    width_is_kept,
    attempts_count_up,
    retries_are_those_allowed,
    who_waits_is_answered,
    checkpoints_are_held,
    budgets_are_kept,
    something_is_under_way,
    time_goes_forward,
)
"""The invariants that are checked after each event."""
