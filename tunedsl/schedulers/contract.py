"""The shape of a scheduler: a frozen spec, and pure functions over it that are enrolled for its class.

A scheduler of your own is a `@value` class and one call of `register_scheduler`, in any file. Its state must be immutable:
`on_report` gives the next state and leaves the one it was given as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping
from typing import Any, Final, Literal, get_args

import attrs
import msgspec

from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError
from tunedsl.base.lazy_imports import load
from tunedsl.base.objective import Objective
from tunedsl.base.references import call_repr
from tunedsl.base.suggestions import for_object
from tunedsl.base.types import Json
from tunedsl.spaces.space import Space


class Exploit(msgspec.Struct, frozen=True):
    """Go on from another trial's newest checkpoint, with this configuration.

    Attributes:
        donor: the trial whose checkpoint is taken.
        config: the trial's configuration from here on, as canonical data.
    """

    donor: int
    config: dict[str, Json]


class Resize(msgspec.Struct, frozen=True):
    """Go on from the trial's own checkpoint, with these resources, by the names of `.resources(...)`."""

    resources: dict[str, float]


Decision = Literal["continue", "stop", "pause"] | Exploit | Resize
"""What becomes of the trial that reported. All but `continue` and `stop` need checkpoints."""


class Report(msgspec.Struct, frozen=True):
    """One report of a trial, as schedulers see it.

    Attributes:
        trial: the trial's number.
        iteration: how many reports the trial has made, this one included.
        value: the objective with its sign set so that larger is better; NaN when it is missing.
        time: seconds that the trial has run.
        metrics: everything that was reported.
    """

    trial: int
    iteration: int
    value: float
    time: float
    metrics: dict[str, Any]


class SchedulerContext(msgspec.Struct, frozen=True):
    """What a scheduler knows of the experiment.

    Attributes:
        key: its own random key.
        trials: how many trials there will be at the most.
        objective: what the values of reports are, if anything is to be optimised.
        space: what configurations are drawn from.
        resources: what a trial is given, by the names of `.resources(...)`; empty where a function says so.
    """

    key: int
    trials: int
    objective: Objective | None
    space: Space = Space()
    resources: dict[str, float] = {}


class Reason(msgspec.Struct, frozen=True, array_like=True):
    """Why a decision was made: the rule's name and the facts that it compared."""

    rule: str
    facts: dict[str, int | float | str]


OBJECTIVE_FACTS: Final = frozenset({"value", "cut", "median", "lower", "upper", "donor_value"})
"""Names of facts that are values of the objective as `Report.value` has them; readers turn their sign back."""


def reason(rule: str, **facts: int | float | str) -> Reason:
    """A note; numbers that JSON lacks are written as `nan`, `inf` and `-inf`.

    >>> reason("asha", rung=3, cut=math.nan)
    Reason(rule='asha', facts={'rung': 3, 'cut': 'nan'})
    """
    return Reason(
        rule,
        {k: str(float(v)) if isinstance(v, float) and not math.isfinite(v) else v for k, v in facts.items()},
    )


@value
class Never:
    """No report needs a decision: no trial ever waits."""


@value
class At:
    """Decisions at these iterations of each trial, in ascending order."""

    iterations: tuple[int, ...]


@value
class Every:
    """Decisions at every `k`-th iteration of each trial, counted from iteration `first` if that is given."""

    k: int
    first: int = 0

    def __repr__(self) -> str:
        return call_repr("Every", self)


DecisionPoints = Never | At | Every


def is_due(points: DecisionPoints, iteration: int) -> bool:
    """Whether a trial waits for a decision when it has made this many reports.

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
    """The first iteration at which a trial waits for a decision, None where there is none.

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


NON_LEARNING: Final = "one that does not learn"
"""For `Requirements.searcher`: what a searcher is told would be about no configuration, since they change in mid-trial."""


@attrs.frozen
class Requirements:
    """What a scheduler needs of an experiment.

    Attributes:
        checkpoints: trainables that save and load; they then save at every decision point.
        pause: trials are taken off their worker and brought back.
        objective: a metric to minimize or maximize.
        searcher: `any`, `NON_LEARNING`, or the name of the only one that it goes with.
        trials: the only number of trials that it goes with, if there is one.
    """

    checkpoints: bool = False
    pause: bool = False
    objective: bool = False
    searcher: str = "any"
    trials: int | None = None


DecisionResult = tuple[Any, Decision, Reason | None]
_DECISION_WORDS: Final = frozenset(get_args(get_args(Decision)[0]))
"""The decisions that are words."""


def check_decision(result: Any, known: Container[int]) -> DecisionResult:
    """What `on_report` gave, if that is an outcome.

    Args:
        known: the trials that there are.

    Raises:
        ValueError: when it is none.
    """
    if not (isinstance(result, tuple) and len(result) == 3):
        raise ValueError(f"on_report should give (state, decision, note), found {result!r:.200}")
    _, decision, why = result
    if isinstance(decision, str):
        fits = decision in _DECISION_WORDS
    else:
        fits = isinstance(decision, Resize) or (isinstance(decision, Exploit) and decision.donor in known)
    if not fits:
        expected = "'continue', 'stop', 'pause', a Resize, or an Exploit of a trial that there is"
        raise ValueError(f"on_report should decide {expected}, found {decision!r:.200}")
    if not (why is None or isinstance(why, Reason)):
        raise ValueError(f"on_report should give a note or None beside its decision, found {why!r:.200}")
    return result


Promotion = tuple[int, Reason] | tuple[int, Reason, Exploit | Resize]
"""A paused trial to go on with, why, and if need be from where or with what."""


@attrs.frozen
class Scheduler:
    """The functions of one algorithm; each takes the spec first.

    Attributes:
        name: what users call it.
        init: `(spec, setting) -> state`.
        on_report: `(spec, state, report) -> (state, decision, note)`; the note says why, where there was a choice.
        decision_points: `(spec) -> DecisionPoints`, the iterations at which a trial waits for `on_report`.
        describe: `(spec) -> str`, one line.
        on_add: `(spec, state, trial, config) -> state`, when a trial is proposed; its config as canonical data.
        on_end: `(spec, state, report) -> state`, with the last report of a trial that ended by itself.
        on_remove: `(spec, state, trial) -> state`, when a trial failed for good, was stopped from outside, or ended
            without a report.
        on_all_proposed: `(spec, state) -> state`, once, when no more trials will be added.
        cull: `(spec, state) -> (state, ((trial, note), ...))`, after each of the above: paused trials to end now.
        promote: `(spec, state) -> (state, (trial, note) or (trial, note, change) or None)`, when a place is free: a
            paused trial to go on with, where `change` says so as an `Exploit` or with a `Resize`. A new trial is
            proposed where it has none.
        last_iteration: `(spec) -> int | None`, the iteration at which every trial ends whatever it reported.
        first_decision: `(spec) -> (metric, value) or None`: how far a trial has come at its first decision, where the
            decision points do not say so.
        requirements: `(spec) -> Requirements`.
        metrics_used: `(spec) -> names` of the metrics, beside the objective, that it looks at.
        validate: `(spec) -> diagnostics`, the faults of the spec by itself.
        check_compatibility: `(spec, setting) -> diagnostics`, what of this experiment does not go with a spec without faults.
    """

    name: str
    init: Callable[[Any, SchedulerContext], Any]
    on_report: Callable[[Any, Any, Report], DecisionResult]
    decision_points: Callable[[Any], DecisionPoints]
    describe: Callable[[Any], str]
    on_add: Callable[[Any, Any, int, dict[str, Json]], Any] | None = None
    on_end: Callable[[Any, Any, Report], Any] = lambda spec, state, report: state
    on_remove: Callable[[Any, Any, int], Any] | None = None
    on_all_proposed: Callable[[Any, Any], Any] | None = None
    cull: Callable[[Any, Any], tuple[Any, tuple[tuple[int, Reason], ...]]] | None = None
    promote: Callable[[Any, Any], tuple[Any, Promotion | None]] | None = None
    last_iteration: Callable[[Any], int | None] = lambda spec: None
    first_decision: Callable[[Any], tuple[str, float] | None] = lambda spec: None
    requirements: Callable[[Any], Requirements] = lambda spec: Requirements()
    metrics_used: Callable[[Any], tuple[str, ...]] = lambda spec: ()
    validate: Callable[[Any], list[Diagnostic]] = lambda spec: []
    check_compatibility: Callable[[Any, SchedulerContext], list[Diagnostic]] = lambda spec, setting: []


_schedulers: dict[type, Scheduler] = {}


def register_scheduler(spec_class: type, scheduler: Scheduler) -> None:
    """Makes values of `spec_class` schedulers."""
    _schedulers[spec_class] = scheduler


def registered_schedulers() -> Mapping[type, Scheduler]:
    """All schedulers by the class of their spec."""
    load("tunedsl.schedulers")
    return dict(_schedulers)


def scheduler_of(spec: Any) -> Scheduler:
    """The scheduler whose spec this is.

    Raises:
        ArgumentError: when no scheduler is enrolled for its class.
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
        hint = for_object(spec) or "your own: tunedsl.schedulers.contract.register_scheduler(...)"
    raise ArgumentError("E003", "scheduler", repr(spec), f"a scheduler such as {known}", hint)
