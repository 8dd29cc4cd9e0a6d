"""Events: facts about a run. Each event is a frozen record that the journal writes as one JSON array.

A new field has a default and comes last, so that old journals stay readable. `seconds` is the time since the experiment
began, without downtime. It and the other fields of `TIMINGS` are not part of the journal's digest.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from tunedsl.base.types import FailureKind, Json

Number = bool | float | int | str
"""A metric's value; NaN and the infinities are the strings `nan`, `inf` and `-inf`."""

Ending = Literal["", "rule", "returned"]

Continuation = Literal["continue", "restart", "keep"]
"""Ended trials that an amended plan would not have ended continue from checkpoints, start again, or stay ended."""

FIRST_USER_TRIAL: Final = 1_000_000_000
"""The number of the first trial that a user added; trials of the searcher are numbered from 0."""


class _Event(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    seconds: float


class CapacityChanged(_Event, frozen=True, tag="opened"):
    """The engine has slots for `width` concurrent trials; `ahead` more may be launched in advance.

    `max_resources` are the largest amounts that a trial can get, if a retry or scheduler may ask for more.
    """

    width: int
    ahead: int = 0
    max_resources: dict[str, float] = {}


class Proposed(_Event, frozen=True, tag="proposed"):
    """The searcher proposed a configuration (canonical JSON) for a trial, which gets a name.

    `rejected` counts earlier draws for this trial that broke the space's constraints. `text` says why the searcher
    proposed it, if there is something to say, and `about` lists other trials that it is about. `request` is empty.
    """

    trial: int
    config: dict[str, Json]
    name: str = ""
    rejected: int = 0
    request: str = ""
    text: str = ""
    about: tuple[int, ...] = ()


class UserTrialAdded(Proposed, frozen=True, tag="added"):
    """A user added a trial with a configuration of their own.

    Its number is `FIRST_USER_TRIAL` or above. `request` identifies the request, so that it is not handled twice.
    `text` says who asked and why.
    """


class SearchExhausted(_Event, frozen=True, tag="exhausted"):
    """The searcher has no more configurations to propose."""


class ProposalPostponed(_Event, frozen=True, tag="postponed"):
    """The searcher needs more results before it proposes; the last request stays unanswered."""


class Started(_Event, frozen=True, tag="started"):
    """A worker began an attempt at a trial."""

    trial: int
    attempt: int
    worker: str = ""


class Reported(_Event, frozen=True, tag="reported"):
    """A trial reported iterations `first`, `first + 1`, ..., one row each.

    Attributes:
        keys: the metrics' names, the columns of `rows`.
        rows: one tuple of numbers an iteration.
        times: seconds of training since the trial began, one an iteration.
        waits: whether the trial waits for a decision on its last row.
        ends: whether the trial ended with its last row, and why: by the stop rule that its worker
            evaluates, or because the function returned that row.
        saved: the folder, relative to the experiment's, of the checkpoint of the last row, if there is one.
        data: what was reported and is not a number, one dict an iteration, or empty.
    """

    trial: int
    first: int
    keys: tuple[str, ...]
    rows: tuple[tuple[Number, ...], ...]
    times: tuple[float, ...]
    waits: bool = False
    ends: Ending = ""
    saved: str = ""
    data: tuple[dict[str, Json], ...] = ()

    @property
    def last(self) -> int:
        """The last iteration of the batch."""
        return self.first + len(self.rows) - 1


class Saved(_Event, frozen=True, tag="saved"):
    """A checkpoint was written after the report of its iteration; `folder` is relative to the experiment's."""

    trial: int
    iteration: int
    folder: str


class Ended(_Event, frozen=True, tag="ended"):
    """A trial's code returned, some time after its last report."""

    trial: int
    iteration: int


class Failed(_Event, frozen=True, tag="failed"):
    """An attempt at a trial failed.

    Attributes:
        resources: the attempt's resources, if a retry may ask for more.
        unreadable_checkpoint: the folder of the checkpoint that could not be read, if that was the cause.
        saved: the folder of the checkpoint of the last report that a preempted attempt wrote before it left its node.
    """

    trial: int
    kind: FailureKind
    message: str
    traceback: str = ""
    resources: dict[str, float] = {}
    unreadable_checkpoint: str = ""
    saved: str = ""


class ClockAdvanced(_Event, frozen=True, tag="ticked"):
    """Time passed without another event; a budget of seconds may be used up."""


class StopRequested(_Event, frozen=True, tag="stop_asked"):
    """A user asked to end the experiment, or one trial."""

    trial: int | None = None
    text: str = ""


class Amended(_Event, frozen=True, tag="amended"):
    """The run continues with another plan.

    Attributes:
        plan: the whole plan as canonical JSON data.
        changed: the fields of the plan that changed.
        ended: which ended trials continue that the new plan would not have ended, and from where; empty in old
            journals, where none does and a new scheduler starts from its first state.
        unmet: the ended trials whose reports do not meet the new plan's stop rule.
        missing: folders of their checkpoints that no longer exist.
        defaults: values of new parameters for the trials before this event, by dotted name.
        text: who asked and why, if a user asked while the run was in progress.
    """

    plan: Json
    changed: tuple[str, ...]
    ended: Continuation | Literal[""] = ""
    unmet: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()
    defaults: dict[str, Json] = {}
    text: str = ""


class RetryRequested(_Event, frozen=True, tag="retry_requested"):
    """A user asked to run failed trials again.

    Attributes:
        missing: folders of their checkpoints that no longer exist.
    """

    trials: tuple[int, ...]
    missing: tuple[str, ...] = ()


Event = (
    CapacityChanged
    | Proposed
    | UserTrialAdded
    | SearchExhausted
    | ProposalPostponed
    | Started
    | Reported
    | Saved
    | Ended
    | Failed
    | ClockAdvanced
    | StopRequested
    | Amended
    | RetryRequested
)

TIMINGS: dict[str, Any] = {"seconds": 0.0, "times": (), "worker": "", "traceback": "", "request": ""}
"""Fields that say when or where, and the value that replaces each in a digest."""


_UNDIGESTED_FIELDS: Final[dict[type, int]] = {CapacityChanged: 1, Failed: 3, Proposed: 3, UserTrialAdded: 2, Amended: 1}
"""How many of the last fields describe the machine, or who asked and why; digests leave them out."""


def without_timings(event: Event) -> Event | tuple[Any, ...]:
    """The event for digests: without timings, and without empty fields that old journals lack."""
    blank = {name: value for name, value in TIMINGS.items() if name in event.__struct_fields__}
    blanked = msgspec.structs.replace(event, **blank)
    cut = _UNDIGESTED_FIELDS.get(type(event), 0)
    if isinstance(event, Proposed) and not event.rejected:
        cut += 1
    elif isinstance(event, Amended) and not event.ended:
        cut += 4
    return tuple(msgspec.to_builtins(blanked)[:-cut]) if cut else blanked


class DigestView:
    """The digest's view of a journal's events, one after the other.

    It is the same whether or not nodes were preempted: it leaves out the preemptions and the starts after them.
    """

    def __init__(self) -> None:
        self._opened: Any = None
        self._preemptions: dict[int, int] = {}
        self._started: set[int] = set()
        self._restarting: set[int] = set()

    def view(self, event: Event) -> Event | tuple[Any, ...] | None:
        """The event without timings; None for an event about machines alone."""
        if isinstance(event, Started):
            return self._view_start(event)
        if isinstance(event, Failed):
            restarts = event.trial in self._started or event.trial in self._restarting
            self._started.discard(event.trial)
            if event.kind == "preempted":
                self._preemptions[event.trial] = self._preemptions.get(event.trial, 0) + 1
                self._restarting.update((event.trial,) if restarts else ())
                return None
            self._restarting.discard(event.trial)
        elif isinstance(event, Ended) or (isinstance(event, Reported) and event.ends):
            self._started.discard(event.trial)
        seen = without_timings(event)
        if isinstance(event, CapacityChanged):
            if seen == self._opened:
                return None
            self._opened = seen
        return seen

    def _view_start(self, event: Started) -> Event | tuple[Any, ...] | None:
        """The start of an attempt, numbered without preempted attempts; None for the first start after a preemption."""
        self._started.add(event.trial)
        if event.trial in self._restarting:
            self._restarting.discard(event.trial)
            return None
        before = self._preemptions.get(event.trial)
        return without_timings(msgspec.structs.replace(event, attempt=event.attempt - before) if before else event)


def metric_value(value: Number | None) -> float:
    """A metric's value as a float."""
    return float("nan") if value is None else float(value)


def row_to_metrics(keys: tuple[str, ...], row: tuple[Number, ...]) -> dict[str, Any]:
    """The numbers of a row by metric, with NaN and the infinities as floats."""
    return {key: float(value) if isinstance(value, str) else value for key, value in zip(keys, row, strict=True)}


def report_metrics(event: Reported, row: int = -1) -> dict[str, Any]:
    """The numbers of one row of a report, by metric."""
    return row_to_metrics(event.keys, event.rows[row])
