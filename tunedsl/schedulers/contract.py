"""The contract of a scheduler: pure functions over its frozen spec and its state, and the registry.

Algorithms are not here, each has its own file. A scheduler of your own is a `@value` class and one call of
`register_scheduler`, in any file. Its state must be immutable: each function returns the next one.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, get_args

import attrs
import msgspec

from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import wrong_value
from tunedsl.base.lazy_imports import load
from tunedsl.base.objective import Objective
from tunedsl.base.references import call_repr
from tunedsl.base.suggestions import for_object
from tunedsl.base.types import Json
from tunedsl.spaces.space import Space


class Exploit(msgspec.Struct, frozen=True):
    """Continue from another trial's newest checkpoint, with this configuration.

    Attributes:
        donor: the trial whose checkpoint is used.
        config: the trial's new configuration, as canonical data.
    """

    donor: int
    config: dict[str, Json]


class Resize(msgspec.Struct, frozen=True):
    """Continue from the trial's own checkpoint, with these resources, by the names of `.resources(...)`."""

    resources: dict[str, float]


Decision = Literal["continue", "stop", "pause"] | Exploit | Resize
"""What the trial that reported does next. All decisions except `continue` and `stop` need checkpoints."""


class Report(msgspec.Struct, frozen=True):
    """One report of a trial, as schedulers see it.

    Attributes:
        trial: the trial's number.
        iteration: number of the report, from 1.
        value: the objective with its sign set so that larger is better; NaN if it is missing.
        time: seconds that the trial has run.
        metrics: all reported metrics.
        values: all objectives, each with its sign set as that of `value`, if there are several; else empty.
        curve: all objectives at each iteration from the first to this one, with signs as above; empty unless the
            scheduler has `reads_curves`.
    """

    trial: int
    iteration: int
    value: float
    time: float
    metrics: dict[str, Any]
    values: tuple[float, ...] = ()
    curve: tuple[tuple[float, ...], ...] = ()


class SchedulerContext(msgspec.Struct, frozen=True):
    """What a scheduler knows of the experiment.

    Attributes:
        key: the scheduler's random key.
        trials: the largest number of trials.
        objective: the metric of `Report.value`; None if nothing is optimised.
        objectives: the metrics of `Report.values`, if there are several; else empty.
        space: the space of configurations.
        resources: the resources of each trial, by the names of `.resources(...)`; empty if a function returns them.
    """

    key: int
    trials: int
    objective: Objective | None
    space: Space = Space()
    resources: dict[str, float] = {}
    objectives: tuple[Objective, ...] = ()


class Reason(msgspec.Struct, frozen=True, array_like=True):
    """Why a decision was made: the rule's name and the facts that it compared."""

    rule: str
    facts: dict[str, int | float | str]


OBJECTIVE_FACTS: Final = frozenset({"value", "cut", "median", "lower", "upper", "donor_value"})
"""Names of facts that are objective values with the sign of `Report.value`; readers restore the sign."""


def reason(rule: str, **facts: int | float | str) -> Reason:
    """The reason of a decision; numbers that JSON lacks become `nan`, `inf` and `-inf`.

    >>> reason("asha", rung=3, cut=math.nan)
    Reason(rule='asha', facts={'rung': 3, 'cut': 'nan'})
    """
    for name, fact in facts.items():
        if isinstance(fact, float) and not math.isfinite(fact):
            facts[name] = str(float(fact))
    return Reason(rule, facts)


@value
class Never:
    """No report needs a decision: no trial ever waits."""


@value
class At:
    """Decisions at these iterations of each trial, in ascending order."""

    iterations: tuple[int, ...]


@value
class Every:
    """Decisions at every `k`-th iteration of each trial, counted from iteration `first` if it is set."""

    k: int
    first: int = 0

    def __repr__(self) -> str:
        return call_repr("Every", self)


DecisionPoints = Never | At | Every


def is_due(points: DecisionPoints, iteration: int) -> bool:
    """Whether a trial waits for a decision after its report of this iteration.

    >>> is_due(At((1, 3, 9)), 3), is_due(Every(2), 3), is_due(Every(2, first=3), 5), is_due(Never(), 3)
    (True, False, True, False)
    """
    match points:
        case At(iterations):
            return iteration in iterations
        case Every(k, first):
            return iteration >= first and (iteration - first) % k == 0
        case _:
            return False


def first_due(points: DecisionPoints) -> int | None:
    """The first iteration at which a trial waits for a decision; None if it never does.

    >>> first_due(At((3, 9))), first_due(Every(2)), first_due(Every(2, first=5)), first_due(Never())
    (3, 2, 5, None)
    """
    match points:
        case At(iterations):
            return min(iterations, default=None)
        case Every(k, first):
            return first if first > 0 else k
        case _:
            return None


UNLIMITED: Final = 2**31 - 1
"""For `Requirements.objectives`: no limit."""

NON_LEARNING: Final = "one that does not learn"
"""For `Requirements.searcher`: configurations change during a trial, so its result is no observation of one of them."""


@attrs.frozen
class Requirements:
    """What a scheduler requires of an experiment.

    Attributes:
        checkpoints: whether the trainable must save and load; it then saves at every decision point.
        pause: whether trials are paused and resumed.
        objective: whether there must be a metric to minimize or maximize.
        searcher: `any`, `NON_LEARNING`, or the name of the only valid searcher.
        trials: the only valid number of trials; None for any.
        objectives: the largest number of objectives by which it compares trials.
        ends_losers_last: whether trials that it does not continue stay paused until all trials are proposed, so that
            a searcher that learns from ended trials sees few of them.
    """

    checkpoints: bool = False
    pause: bool = False
    objective: bool = False
    searcher: str = "any"
    trials: int | None = None
    objectives: int = 1
    ends_losers_last: bool = False


SchedulerState = Any
"""A scheduler's own immutable state; the kernel does not read it."""

DecisionResult = tuple[SchedulerState, Decision, Reason | None]
_DECISION_WORDS: Final = frozenset(get_args(get_args(Decision)[0]))
"""Decisions without further data."""


def check_decision(result: Any, known: Container[int]) -> DecisionResult:
    """The result of `on_report`, if it is valid.

    Args:
        result: the result.
        known: the existing trials.

    Raises:
        ValueError: for any other result.
    """
    if not (isinstance(result, tuple) and len(result) == 3):
        raise ValueError(f"on_report should return (state, decision, reason), found {result!r:.200}")
    _, decision, why = result
    if isinstance(decision, str):
        is_valid = decision in _DECISION_WORDS
    else:
        is_valid = isinstance(decision, Resize) or (isinstance(decision, Exploit) and decision.donor in known)
    if not is_valid:
        expected = "'continue', 'stop', 'pause', a Resize, or an Exploit of an existing trial"
        raise ValueError(f"on_report should decide {expected}, found {decision!r:.200}")
    if not (why is None or isinstance(why, Reason)):
        raise ValueError(f"on_report should return a Reason or None with its decision, found {why!r:.200}")
    return result


Promotion = tuple[int, Reason] | tuple[int, Reason, Exploit | Resize]
"""A paused trial to resume, the reason, and optionally another checkpoint or other resources."""

EncodedConfig = dict[str, Json]
"""A configuration as canonical data."""


class Init(Protocol):
    """Returns the state before the first trial."""

    def __call__(self, spec: Any, context: SchedulerContext, /) -> SchedulerState: ...


class OnReport(Protocol):
    """Returns the next state, the decision, and the reason if there was a choice."""

    def __call__(self, spec: Any, state: SchedulerState, report: Report, /) -> DecisionResult: ...


class OnAdd(Protocol):
    """Returns the state with a trial that has just been proposed, and its configuration."""

    def __call__(self, spec: Any, state: SchedulerState, trial: int, config: EncodedConfig, /) -> SchedulerState: ...


class OnEnd(Protocol):
    """Returns the state after a trial ended by itself; `report` is its last one."""

    def __call__(self, spec: Any, state: SchedulerState, report: Report, /) -> SchedulerState: ...


class OnRemove(Protocol):
    """Returns the state without a trial that failed permanently, was stopped by a user, or ended without a report."""

    def __call__(self, spec: Any, state: SchedulerState, trial: int, /) -> SchedulerState: ...


class OnAllProposed(Protocol):
    """Returns the state after the last trial was proposed; called once."""

    def __call__(self, spec: Any, state: SchedulerState, /) -> SchedulerState: ...


class Cull(Protocol):
    """Returns the next state and the paused trials to stop now; called after each event."""

    def __call__(
        self, spec: Any, state: SchedulerState, /
    ) -> tuple[SchedulerState, tuple[tuple[int, Reason], ...]]: ...


class Promote(Protocol):
    """Returns the next state and a paused trial to resume; None if a new trial should start.

    Called when a slot is free.
    """

    def __call__(self, spec: Any, state: SchedulerState, /) -> tuple[SchedulerState, Promotion | None]: ...


class PointsOf(Protocol):
    """Returns the iterations at which a trial waits for `on_report`."""

    def __call__(self, spec: Any, /) -> DecisionPoints: ...


class Describe(Protocol):
    """Returns one line for `explain`."""

    def __call__(self, spec: Any, /) -> str: ...


class LastIteration(Protocol):
    """Returns the iteration at which every trial ends, whatever it reported; None if there is no such iteration."""

    def __call__(self, spec: Any, /) -> int | None: ...


class FirstDecision(Protocol):
    """Returns a metric and its value at a trial's first decision; None if the decision points determine it."""

    def __call__(self, spec: Any, /) -> tuple[str, float] | None: ...


class RequirementsOf(Protocol):
    """Returns what the scheduler requires of the experiment."""

    def __call__(self, spec: Any, /) -> Requirements: ...


class MetricsUsed(Protocol):
    """Returns the names of the metrics that the scheduler reads, except the objective."""

    def __call__(self, spec: Any, /) -> tuple[str, ...]: ...


class Validate(Protocol):
    """Returns what is wrong with a spec alone."""

    def __call__(self, spec: Any, /) -> Sequence[Diagnostic]: ...


class CheckCompatibility(Protocol):
    """Returns what of the experiment a valid spec cannot handle."""

    def __call__(self, spec: Any, context: SchedulerContext, /) -> Sequence[Diagnostic]: ...


def ignore_end(spec: Any, state: SchedulerState, report: Report) -> SchedulerState:
    """The `on_end` of a scheduler that ignores the end of a trial; the kernel does not call it."""
    return state


@attrs.frozen
class Scheduler:
    """The functions of one algorithm; each has its own protocol above.

    Attributes:
        name: the function with which users write its spec.
        init: returns the first state.
        on_report: decides what a trial does after a report.
        decision_points: returns the iterations at which a trial waits for `on_report`.
        describe: returns one line for `explain`.
        on_add: adds a proposed trial.
        on_end: handles the end of a trial with its last report.
        on_remove: removes a trial that did not end by itself.
        on_all_proposed: handles the end of proposals.
        cull: returns paused trials to stop.
        promote: returns a paused trial to resume.
        last_iteration: returns the iteration at which every trial ends.
        first_decision: returns the progress of a trial at its first decision.
        requirements: returns what it requires of the experiment.
        metrics_used: returns the metrics that it reads, except the objective.
        validate: checks a spec alone.
        check_compatibility: checks a spec with the experiment.
        reads_curves: whether it reads `Report.curve`.
    """

    name: str
    init: Init
    on_report: OnReport
    decision_points: PointsOf
    describe: Describe
    on_add: OnAdd | None = None
    on_end: OnEnd = ignore_end
    on_remove: OnRemove | None = None
    on_all_proposed: OnAllProposed | None = None
    cull: Cull | None = None
    promote: Promote | None = None
    last_iteration: LastIteration = lambda spec: None
    first_decision: FirstDecision = lambda spec: None
    requirements: RequirementsOf = lambda spec: Requirements()
    metrics_used: MetricsUsed = lambda spec: ()
    validate: Validate = lambda spec: []
    check_compatibility: CheckCompatibility = lambda spec, context: []
    reads_curves: bool = False


_schedulers: dict[type, Scheduler] = {}


def register_scheduler(spec_class: type, scheduler: Scheduler) -> None:
    """Registers `scheduler` for a class of specs, which has the decorator `base.codec.value`."""
    _schedulers[spec_class] = scheduler


def registered_schedulers() -> Mapping[type, Scheduler]:
    """All schedulers by the class of their spec."""
    load("tunedsl.schedulers")
    return dict(_schedulers)


def scheduler_of(spec: Any) -> Scheduler:
    """The scheduler of a spec.

    Raises:
        ArgumentError: when no scheduler is registered for its class.
    """
    found = _schedulers.get(type(spec))
    if found is not None:
        return found
    known = ", ".join(sorted(f"{scheduler.name}(...)" for scheduler in registered_schedulers().values()))
    name = getattr(spec, "__name__", None)
    if callable(spec) and name:
        hint = f"call it: {name}(...)"
    elif isinstance(spec, str) and f"{spec}(...)" in known:
        hint = f"did you mean {spec}(...)?"
    else:
        hint = for_object(spec) or f"write one of {known}"
    raise wrong_value("The argument of scheduler(...)", spec, "a scheduler such as asha()", hint, subject="scheduler")
