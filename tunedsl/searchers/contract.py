"""The contract of a searcher: functions over its frozen spec and its state, what it supports, and the registry.

Algorithms are not here, each has its own file. A state is immutable: each function returns the next one. `key` is the
same number at each call of one experiment; a trial's randomness derives from the key and the trial's number, never
from the order of calls.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol

import attrs
import msgspec

from tunedsl.base import codec
from tunedsl.base.diagnostics import Diagnostic, must_be
from tunedsl.base.errors import ArgumentError, wrong_value
from tunedsl.base.lazy_imports import load
from tunedsl.base.objective import Objective, total_violation
from tunedsl.base.suggestions import for_object
from tunedsl.base.types import Config, FailureKind, Json
from tunedsl.searchers.description import Describe
from tunedsl.spaces.space import Space

CODES: Final[Mapping[str, str]] = {
    "E038": "a searcher whose library no longer works or whose service is closed",
    "E049": "a package that the searcher needs is not installed",
    "E080": "an option of the searcher is out of range",
    "E081": "a configuration or result given to a searcher does not fit the space",
    "E082": "an earlier experiment cannot be read",
    "E083": "more objectives than the searcher or scheduler supports",
    "E084": "combinators of searchers that undo each other",
    "W080": "earlier results that do not fit the space",
}

ObservationStatus = Literal["done", "stopped", "failed", "reported"]

UNLIMITED: Final = 2**31 - 1
"""For `Supports.objectives`: no limit."""


@attrs.frozen
class Supports:
    """What a searcher can handle; the compiler refuses the rest.

    Attributes:
        conditions: parameters that exist in some configurations only (`when`, branches).
        log: logarithmic domains.
        quantised: domains with steps.
        integer: integer domains.
        categorical: choices.
        constraints: `where`.
        objectives: the largest number of objectives.
        intermediate: whether it is also told the reports of running trials.
        pending: whether it can propose while other trials run.
        outcome_constraints: whether it learns the violations of outcome constraints. Any other searcher is told NaN
            in place of the values of an infeasible trial.
        priors: whether it uses the priors of domains (`.prior(...)`).
    """

    conditions: bool = False
    log: bool = False
    quantised: bool = False
    integer: bool = False
    categorical: bool = False
    constraints: bool = False
    objectives: int = 1
    intermediate: bool = False
    pending: bool = True
    outcome_constraints: bool = False
    priors: bool = False

    @staticmethod
    def whole_space(
        objectives: int = 1,
        *,
        conditions: bool = True,
        intermediate: bool = False,
        outcome_constraints: bool = False,
        priors: bool = False,
    ) -> Supports:
        """What a searcher supports that handles all domains, conditions and constraints.

        >>> Supports.whole_space(objectives=3).conditions
        True
        """
        return Supports(
            conditions,
            True,
            True,
            True,
            True,
            True,
            objectives,
            intermediate,
            outcome_constraints=outcome_constraints,
            priors=priors,
        )


class ProposalReason(msgspec.Struct, frozen=True, array_like=True):
    """Why a searcher proposed a configuration, for `why`.

    Attributes:
        text: the end of a sentence that begins with "proposed".
        trials: other trials that it is about; `why` shows it for them too.
    """

    text: str
    trials: tuple[int, ...] = ()


class Proposal(msgspec.Struct, frozen=True, gc=False):
    """A configuration for a trial.

    Attributes:
        config: as data (`base.codec.encode`).
        rejected: number of candidates that were drawn before it and broke the space's constraints.
        reason: why it was proposed, if there is something to say.
    """

    config: Json
    rejected: int = 0
    reason: ProposalReason | None = None

    @staticmethod
    def of(config: Config, rejected: int = 0) -> Proposal:
        """The proposal of a configuration of live values."""
        return Proposal(codec.encode(config), rejected)


@attrs.frozen
class Wait:
    """No proposal until the next observation."""


@attrs.frozen
class Exhausted:
    """No more proposals, whatever is observed."""


class Observation(msgspec.Struct, frozen=True, gc=False):
    """The result of a trial so far.

    Attributes:
        status: `reported` while the trial runs, else how it ended.
        iteration: number of its last report, from 1; 0 if it made no report.
        values: the reported metric of each objective; NaN where it is missing.
        constraints: by how much each outcome constraint is violated: at most 0 where it is met, NaN where it is not
            known. Empty without constraints, and for results from elsewhere.
        failure: the kind of a failure; empty if it did not fail, and where the kind is not known.
    """

    status: ObservationStatus
    iteration: int
    values: tuple[float, ...]
    constraints: tuple[float, ...] = ()
    failure: FailureKind | Literal[""] = ""


Answer = Proposal | Wait | Exhausted

SearcherState = Any
"""A searcher's own immutable state; the driver does not read it."""

Objectives = tuple[Objective, ...]


def check_answer(result: Any) -> tuple[SearcherState, Answer]:
    """The result of `ask`, if it is a state and an answer.

    Raises:
        ValueError: for any other result.
    """
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], (Proposal, Wait, Exhausted))):
        raise ValueError(
            f"ask should return (state, Proposal.of(config) or Wait() or Exhausted()), found {result!r:.200}"
        )
    return result


class Init(Protocol):
    """Returns the state before the first trial.

    Args:
        spec: the searcher's spec.
        space: the space to propose from.
        objectives: the metrics that the values of each observation belong to, in this order.
        key: the searcher's key, the same at each call of one experiment.
    """

    def __call__(self, spec: Any, space: Space, objectives: Objectives, key: int, /) -> SearcherState: ...


class Ask(Protocol):
    """Returns the next state and the answer for one trial.

    Trials are numbered from 0 and may come in any order. After `Wait` the driver keeps the previous state, since it
    journals no answer.

    Args:
        spec: the searcher's spec.
        state: the current state.
        trial: the trial's number.
        key: as for `Init`.
    """

    def __call__(self, spec: Any, state: SearcherState, trial: int, key: int, /) -> tuple[SearcherState, Answer]: ...


class Tell(Protocol):
    """Returns the state that has learnt an observation; one about an unknown trial changes nothing.

    Args:
        spec: the searcher's spec.
        state: the current state.
        trial: the trial's number; below 0 for a result from an earlier experiment.
        observation: the trial's result so far.
    """

    def __call__(self, spec: Any, state: SearcherState, trial: int, observation: Observation, /) -> SearcherState: ...


class Batch(Protocol):
    """Returns the next state and a proposal for each of several trials, the same as asking for each in turn.

    Args:
        spec: the searcher's spec.
        state: the current state.
        trials: the trials' numbers, in any order.
        key: as for `Init`.
    """

    def __call__(
        self, spec: Any, state: SearcherState, trials: Sequence[int], key: int, /
    ) -> tuple[SearcherState, list[Proposal]]: ...


class Force(Protocol):
    """Returns the state in which a trial runs a configuration that the searcher did not choose.

    The configuration replaces the searcher's own proposal, if it made one. Later observations of the trial are about
    this configuration.

    Args:
        spec: the searcher's spec.
        state: the current state.
        trial: the trial's number; below 0 for a result from an earlier experiment.
        config: the configuration as data, as in a proposal.
        key: as for `Init`.
    """

    def __call__(self, spec: Any, state: SearcherState, trial: int, config: Json, key: int, /) -> SearcherState: ...


class LearnRun(Protocol):
    """Returns the state that knows the results of an earlier run, whose values may have another scale.

    It is called before the first trial, once for each run.

    Args:
        spec: the searcher's spec.
        state: the current state.
        run: the run's configurations as data, of which parameters may be missing, and their results.
        key: as for `Init`.
    """

    def __call__(
        self, spec: Any, state: SearcherState, run: Sequence[tuple[Json, Observation]], key: int, /
    ) -> SearcherState: ...


class Validate(Protocol):
    """Returns what is wrong with a spec alone, such as an option out of range or a missing package.

    The compiler adds the location.
    """

    def __call__(self, spec: Any, /) -> Sequence[Diagnostic]: ...


class CheckCompatibility(Protocol):
    """Returns what of this space and these objectives the searcher cannot handle, beyond what `Supports` declares."""

    def __call__(self, spec: Any, space: Space, objectives: Objectives, /) -> Sequence[Diagnostic]: ...


def _ignore_observation(spec: Any, state: SearcherState, trial: int, observation: Observation) -> SearcherState:
    return state


def _no_diagnostics(spec: Any) -> Sequence[Diagnostic]:
    return ()


def _is_always_compatible(spec: Any, space: Space, objectives: Objectives) -> Sequence[Diagnostic]:
    return ()


@attrs.frozen
class Searcher:
    """The functions of one searcher; each has its own protocol above.

    Attributes:
        name: the function with which users write its spec.
        supports: what it can handle.
        init: returns the first state.
        ask: answers for a trial.
        tell: learns an observation.
        batch: answers for many trials at once; only for searchers that do not learn.
        learns: whether proposals depend on observations.
        force: records a configuration that the searcher did not propose; None if it cannot.
        learn_run: learns an earlier run; None if it cannot, so that `warm_start` tells it the results as its own.
        validate: checks a spec alone.
        check_compatibility: checks a spec with the space and the objectives.
        scope: which of a trial's reports it is told: the `last`, or the `best` of each objective so far. A
            combinator with an empty scope has that of its inner searcher.
        describe: returns in words which searcher proposes and why, for one that chooses; None for others.
        install: the command that installs what it needs beyond this package; empty if it needs nothing.
    """

    name: str
    supports: Supports
    init: Init
    ask: Ask
    tell: Tell = _ignore_observation
    batch: Batch | None = None
    learns: bool = True
    force: Force | None = None
    learn_run: LearnRun | None = None
    validate: Validate = _no_diagnostics
    check_compatibility: CheckCompatibility = _is_always_compatible
    scope: Literal["", "last", "best"] = ""
    install: str = ""
    describe: Describe | None = None

    @property
    def observes_results(self) -> bool:
        """Whether it needs the results of trials."""
        return self.learns or self.tell is not _ignore_observation


class MakeSearcher(Protocol):
    """Returns the searcher of one combinator's spec, which depends on the searchers inside."""

    def __call__(self, spec: Any, /) -> Searcher: ...


_searchers: dict[type, Searcher] = {}
_combinators: dict[type, tuple[str, MakeSearcher]] = {}


def out_of_range(spec: Any, **checks: tuple[bool, str]) -> list[Diagnostic]:
    """Diagnostics of the options of a spec that are out of range, for `validate`.

    Args:
        spec: the spec.
        checks: for each option, whether it is in range, and what the range is.
    """
    return [
        Diagnostic("E080", "searcher", must_be(f"The searcher's {name}", getattr(spec, name), requirement))
        for name, (holds, requirement) in checks.items()
        if not holds
    ]


def register_searcher(spec: type, searcher: Searcher) -> None:
    """Registers `searcher` for a class of specs, which has the decorator `base.codec.value`.

    Raises:
        ArgumentError: for a searcher that learns and has a `batch`.
    """
    if searcher.learns and searcher.batch is not None:
        subject = f"register_searcher({searcher.name})"
        message = f"The searcher {searcher.name} learns from results, so it cannot propose in batches."
        raise ArgumentError("E003", subject, message, "leave out batch")
    _searchers[spec] = searcher


def register_combinator(spec: type, name: str, make: MakeSearcher) -> None:
    """Registers `make(spec)` as the searcher for a class of specs that contain other specs.

    Args:
        spec: the class; its field `searcher` contains the first inner spec.
        name: the function with which users write it.
        make: returns the searcher, which supports what the inner searchers support.
    """
    _combinators[spec] = name, make


def combinators() -> Mapping[type, str]:
    """The names of all combinators, by the class of their spec."""
    load("tunedsl.searchers")
    return {spec: name for spec, (name, _) in _combinators.items()}


def is_combinator(spec: Any) -> bool:
    """Whether a spec contains other specs, the first one in its field `searcher`."""
    return type(spec) in _combinators


def nested_specs(spec: Any) -> Iterator[Any]:
    """A searcher's spec and all specs inside it, at any depth."""
    yield spec
    if is_combinator(spec):
        for field in attrs.fields(type(spec)):
            inner = getattr(spec, field.name)
            if is_combinator(inner) or type(inner) in _searchers:
                yield from nested_specs(inner)


def registered_searchers() -> Mapping[type, Searcher]:
    """All searchers except combinators, by the class of their spec, those of other libraries included."""
    load("tunedsl.searchers")
    return MappingProxyType(_searchers)


def searcher_of(spec: Any) -> Searcher:
    """The searcher of a spec.

    Raises:
        ArgumentError: when no searcher is registered for its class.

    Example:
        >>> from tunedsl.searchers import random_search
        >>> searcher_of(random_search()).name
        'random_search'
    """
    combinator = _combinators.get(type(spec))
    if combinator is not None:
        searcher = combinator[1](spec)
        return searcher if searcher.scope else attrs.evolve(searcher, scope=searcher_of(spec.searcher).scope)
    registered = _searchers.get(type(spec))
    if registered is None:
        raise _not_a_spec(spec)
    return registered


def visible(searcher: Searcher, observation: Observation) -> Observation:
    """The observation that a searcher gets: without the values of an infeasible trial, unless it learns violations."""
    if searcher.supports.outcome_constraints or not total_violation(observation.constraints):
        return observation
    return msgspec.structs.replace(observation, values=(math.nan,) * len(observation.values))


def _not_a_spec(item: Any) -> ArgumentError:
    hint = for_object(item)
    name = item if isinstance(item, str) else getattr(item, "__name__", None)
    known = sorted([*(searcher.name for searcher in registered_searchers().values()), *combinators().values()])
    if name in known:
        hint = f"did you mean {name}()?"
    elif isinstance(item, type) and item in _searchers:
        hint = f"did you mean {_searchers[item].name}()?"
    hint = hint or f"write one of {', '.join(known)}"
    return wrong_value("The argument of searcher(...)", item, "a searcher such as tpe()", hint, subject="searcher")
