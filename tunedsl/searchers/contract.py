"""What a searcher is: three functions over its spec and state, what it takes, and the registry.

A searcher's state is its own and never changed in place. `key` is the same number at each call of one
experiment; what a trial gets is drawn from it by the trial's number, never by the order of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

import attrs
import msgspec

from tunedsl.base import codec
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError
from tunedsl.base.lazy_imports import load
from tunedsl.base.objective import Objective
from tunedsl.base.suggestions import for_object
from tunedsl.base.types import Config, Json
from tunedsl.spaces.space import Space

CODES: Final[Mapping[str, str]] = {
    "E038": "a searcher whose library is dead or whose service is closed",
    "E049": "a package that the searcher needs is not installed",
    "E080": "an option of the searcher out of its range",
    "E081": "a configuration or result that is given to a searcher and does not fit",
    "E082": "an earlier experiment that cannot be read",
    "E083": "more objectives than a policy takes",
    "E084": "combinators of searchers that undo each other",
    "W080": "earlier results that do not fit",
}

ObservationStatus = Literal["done", "stopped", "failed", "reported"]

UNLIMITED: Final = 2**31 - 1
"""For `Supports.objectives`: no limit."""


@attrs.frozen
class Supports:
    """What a searcher can take; the compiler refuses the rest.

    Attributes:
        conditions: parameters that only some configurations have (`when`, branches).
        log: log domains as such.
        quantised: steps as such.
        integer: ints as such.
        categorical: choices.
        constraints: `where`.
        objectives: the most objectives.
        intermediate: is told reports of running trials too.
        pending: proposes anew while trials are running.
    """

    conditions: bool
    log: bool
    quantised: bool
    integer: bool
    categorical: bool
    constraints: bool
    objectives: int
    intermediate: bool
    pending: bool


class Proposal(msgspec.Struct, frozen=True, gc=False):
    """A configuration for a trial.

    Attributes:
        config: as data (`base.codec.encode`).
        rejected: how many others came before it and broke the space's constraints.
    """

    config: Json
    rejected: int = 0

    @staticmethod
    def of(config: Config, rejected: int = 0) -> Proposal:
        """The proposal of a configuration of live values."""
        return Proposal(codec.encode(config), rejected)


@attrs.frozen
class Wait:
    """No proposal before another observation is told."""


@attrs.frozen
class Exhausted:
    """No proposal ever again."""


class Observation(msgspec.Struct, frozen=True, gc=False):
    """What became of a trial so far.

    Attributes:
        status: `reported` while it runs, else how it ended.
        iteration: number of its last report, from 1; 0 without any.
        values: the metric of each objective as reported; NaN where it is missing.
    """

    status: ObservationStatus
    iteration: int
    values: tuple[float, ...]


Answer = Proposal | Wait | Exhausted


def check_answer(result: Any) -> tuple[SearcherState, Answer]:
    """What `ask` gave, if that is an answer with the state after it.

    Raises:
        ValueError: when it is none.
    """
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], (Proposal, Wait, Exhausted))):
        raise ValueError(
            f"ask should give (state, Proposal.of(config) or Wait() or Exhausted()), found {result!r:.200}"
        )
    return result


SearcherState = Any


def _ignore_observation(spec: Any, state: SearcherState, trial: int, observation: Observation) -> SearcherState:
    return state


def _no_diagnostics(spec: Any) -> Sequence[Diagnostic]:
    return ()


def _is_always_compatible(spec: Any, space: Space, objectives: tuple[Objective, ...]) -> Sequence[Diagnostic]:
    return ()


@attrs.frozen
class Searcher:
    """The functions of one searcher.

    Attributes:
        name: the function by which users write its spec.
        supports: what it can take.
        init: `(spec, space, objectives, key) -> state`.
        ask: `(spec, state, trial, key) -> (state, answer)`, for trials from 0, in any order. After `Wait` the
            state from before is used again, as no record is made of it.
        tell: `(spec, state, trial, observation) -> state`.
        batch: `(spec, state, trials, key) -> (state, proposals)`, equal to asking for each; only where
            nothing is learnt.
        learns: whether proposals hang on what was told.
        force: `(spec, state, trial, config, key) -> state`: the trial runs this configuration (as in a proposal)
            instead of what was answered, or though nothing was asked for it; what is told of it then is about it.
        validate: the faults of a spec, such as a library that is not installed; places left open.
        check_compatibility: `(spec, space, objectives) -> diagnostics`, what beyond `supports` does not go together; places left open.
        scope: which of a trial's reports it is told of: the `last`, or the `best` of each objective so far. A
            combinator that leaves it open has that of the searcher inside.
        install: the command that installs what it needs beyond this package; empty for nothing.
    """

    name: str
    supports: Supports
    init: Callable[[Any, Space, tuple[Objective, ...], int], SearcherState]
    ask: Callable[[Any, SearcherState, int, int], tuple[SearcherState, Answer]]
    tell: Callable[[Any, SearcherState, int, Observation], SearcherState] = _ignore_observation
    batch: Callable[[Any, SearcherState, Sequence[int], int], tuple[SearcherState, list[Proposal]]] | None = None
    learns: bool = True
    force: Callable[[Any, SearcherState, int, Json, int], SearcherState] | None = None
    validate: Callable[[Any], Sequence[Diagnostic]] = _no_diagnostics
    check_compatibility: Callable[[Any, Space, tuple[Objective, ...]], Sequence[Diagnostic]] = _is_always_compatible
    scope: Literal["", "last", "best"] = ""
    install: str = ""

    @property
    def observes_results(self) -> bool:
        """Whether it has to be told what became of trials."""
        return self.learns or self.tell is not _ignore_observation


_searchers: dict[type, Searcher] = {}
_combinators: dict[type, tuple[str, Callable[[Any], Searcher]]] = {}


def out_of_range(spec: Any, **checks: tuple[bool, str]) -> list[Diagnostic]:
    """The options of a spec that are not as they should be, for `validate`: name to whether it is, and how."""
    return [
        Diagnostic("E080", "searcher", f"{name}={getattr(spec, name)!r} of {spec!r}", f"{name} {expected}")
        for name, (holds, expected) in checks.items()
        if not holds
    ]


def register_searcher(spec: type, searcher: Searcher) -> None:
    """Makes `searcher` the one for specs of a class, which `base.codec.value` has made."""
    if searcher.learns and searcher.batch is not None:
        raise ArgumentError(
            "E003", f"register_searcher({searcher.name})", "a batch of a searcher that learns", "no batch"
        )
    _searchers[spec] = searcher


def register_combinator(spec: type, name: str, make: Callable[[Any], Searcher]) -> None:
    """Makes `make(spec)` the searcher for specs of a class that hold others' specs, the first in the field `searcher`.

    Args:
        name: the function by which users write it.
        make: gives the searcher, which can take what those inside can take.
    """
    _combinators[spec] = name, make


def combinators() -> Mapping[type, str]:
    """The names of all combinators, by the class of their spec."""
    load("tunedsl.searchers")
    return {spec: name for spec, (name, _) in _combinators.items()}


def is_combinator(spec: Any) -> bool:
    """Whether a spec holds others' specs, the first in the field `searcher`."""
    return type(spec) in _combinators


def nested_specs(spec: Any) -> Iterator[Any]:
    """A searcher's spec and, if it is a combinator's, all those that it holds, however deep."""
    yield spec
    if is_combinator(spec):
        for field in attrs.fields(type(spec)):
            held = getattr(spec, field.name)
            if is_combinator(held) or type(held) in _searchers:
                yield from nested_specs(held)


def registered_searchers() -> Mapping[type, Searcher]:
    """All searchers that stand by themselves, by the class of their spec, those of other libraries included."""
    load("tunedsl.searchers")
    return MappingProxyType(_searchers)


def searcher_of(spec: Any) -> Searcher:
    """The searcher of a spec.

    Raises:
        ArgumentError: when none is enrolled for its class.

    Example:
        >>> from tunedsl.searchers import random_search
        >>> searcher_of(random_search()).name
        'random_search'
    """
    if is_combinator(spec):
        made = _combinators[type(spec)][1](spec)
        return made if made.scope else attrs.evolve(made, scope=searcher_of(spec.searcher).scope)
    found = _searchers.get(type(spec))
    if found is None:
        hint = for_object(spec)
        called = spec if isinstance(spec, str) else getattr(spec, "__name__", None)
        known = sorted([*(searcher.name for searcher in registered_searchers().values()), *combinators().values()])
        if called in known:
            hint = f"did you mean {called}()?"
        elif isinstance(spec, type) and spec in _searchers:
            hint = f"did you mean {_searchers[spec].name}()?"
        raise ArgumentError("E003", "searcher", repr(spec), f"a searcher's spec: {', '.join(known)}", hint)
    return found
