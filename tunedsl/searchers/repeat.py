"""`repeat`: each configuration is run several times, and counts once."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, get_args

import attrs
import immutables

from tunedsl.base.arguments import as_choice, as_int, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.objective import Objective
from tunedsl.base.references import call_repr
from tunedsl.base.types import Json
from tunedsl.searchers.contract import (
    Answer,
    Observation,
    Proposal,
    Searcher,
    SearcherState,
    register_combinator,
    searcher_of,
)
from tunedsl.searchers.delegation import check_inner_compatibility, validate_inner
from tunedsl.spaces.space import Space

_FORCED_OFFSET: Final = 10**12

Aggregate = Literal["mean", "median", "best", "worst"]


@value(repr=False)
class Repeat:
    """The spec of `repeat`."""

    searcher: Any
    n: int
    by: Aggregate = "mean"

    def __repr__(self) -> str:
        return call_repr("repeat", self, 2)


@attrs.frozen(eq=False)
class _RepeatState:
    """The inner state.

    Attributes:
        proposals: by group.
        runs: by group its trials, each with what was told of it.
        forced: trials with a configuration that others gave them: each is an observation by itself.
    """

    inner: SearcherState
    objectives: tuple[Objective, ...]
    proposals: immutables.Map[int, Proposal] = attrs.field(factory=immutables.Map)
    runs: immutables.Map[int, immutables.Map[int, Observation | None]] = attrs.field(factory=immutables.Map)
    forced: immutables.Map[int, None] = attrs.field(factory=immutables.Map)


@check_arguments
def repeat(searcher: Any, n: int, by: Aggregate = "mean") -> Repeat:
    """A searcher whose configurations run `n` times each, every time with another seed, and are one observation.

    Trials that failed are left out of the number, unless all did; a NaN makes it NaN. Trials `n * g` to
    `n * g + n - 1` are the runs of configuration `g`, except those whose configuration comes from elsewhere, such as
    from a `try_first` around it: each of them is an observation by itself.

    Args:
        searcher: the spec of any searcher.
        n: how often, at least 1.
        by: `mean`, `median`, `best` or `worst` of the runs is what the searcher is told.

    Raises:
        ArgumentError: for what is no searcher, a wrong number or word.

    Example:
        >>> from tunedsl.searchers import tpe
        >>> repeat(tpe(), 3, by="median")
        repeat(tpe(), 3, by='median')
    """
    searcher_of(searcher)
    by = as_choice("repeat.by", by, get_args(Aggregate))
    return Repeat(searcher, as_int("repeat.n", n, minimum=1), by)


def _init(spec: Repeat, space: Space, objectives: tuple[Objective, ...], key: int) -> _RepeatState:
    return _RepeatState(searcher_of(spec.searcher).init(spec.searcher, space, objectives, key), objectives)


def _ask(spec: Repeat, state: _RepeatState, trial: int, key: int) -> tuple[_RepeatState, Answer]:
    group = trial // spec.n
    answer: Answer | None = state.proposals.get(group)
    if answer is None:
        inner, answer = searcher_of(spec.searcher).ask(spec.searcher, state.inner, group, key)
        state = attrs.evolve(state, inner=inner)
        if not isinstance(answer, Proposal):
            return state, answer
        state = attrs.evolve(state, proposals=state.proposals.set(group, Proposal(answer.config)))
    runs = state.runs.get(group, immutables.Map()).set(trial, None)
    return attrs.evolve(state, runs=state.runs.set(group, runs), forced=_without(state.forced, trial)), answer


def _tell(spec: Repeat, state: _RepeatState, trial: int, observation: Observation) -> _RepeatState:
    if observation.status == "reported":
        return state
    inside = searcher_of(spec.searcher)
    if trial < 0 or trial in state.forced:
        number = _inner_number(trial)
        return attrs.evolve(state, inner=inside.tell(spec.searcher, state.inner, number, observation))
    group = trial // spec.n
    runs = state.runs.get(group, immutables.Map()).set(trial, observation)
    state = attrs.evolve(state, runs=state.runs.set(group, runs))
    told = [found for _, found in sorted(runs.items()) if found is not None]
    if len(told) < spec.n - sum(number in state.forced for number in range(group * spec.n, (group + 1) * spec.n)):
        return state
    summary = _aggregate(spec, state.objectives, told)
    return attrs.evolve(state, inner=inside.tell(spec.searcher, state.inner, group, summary))


def _inner_number(trial: int) -> int:
    """The number inside of a trial that belongs to no group, apart from those that others have below 0."""
    return trial if trial < 0 else -_FORCED_OFFSET - trial


def _without(trials: immutables.Map[int, None], trial: int) -> immutables.Map[int, None]:
    return trials.delete(trial) if trial in trials else trials


def _aggregate(spec: Repeat, objectives: tuple[Objective, ...], told: Sequence[Observation]) -> Observation:
    """One observation of several."""
    counted = [each for each in told if each.status != "failed"]
    if not counted:
        return told[-1]
    values = []
    for place, goal in enumerate(objectives):
        numbers = [each.values[place] for each in counted]
        unknown = [number for number in numbers if number != number]
        values.append(unknown[0] if unknown else _AGGREGATES[spec.by](numbers, goal.sign))
    whole_runs = all(each.status == "done" for each in counted)
    reached = min(each.iteration for each in counted)
    return Observation("done" if whole_runs else "stopped", reached, tuple(values))


_AGGREGATES: Final[Mapping[str, Callable[[list[float], float], float]]] = {
    "mean": lambda numbers, sign: sum(numbers) / len(numbers),
    "median": lambda numbers, sign: statistics.median(numbers),
    "best": lambda numbers, sign: max(numbers) if sign > 0 else min(numbers),
    "worst": lambda numbers, sign: min(numbers) if sign > 0 else max(numbers),
}


def _force(spec: Repeat, state: _RepeatState, trial: int, config: Json, key: int) -> _RepeatState:
    force = searcher_of(spec.searcher).force
    group = trial // spec.n
    runs = state.runs.get(group, immutables.Map())
    if trial >= 0 and trial in runs:
        if state.proposals[group].config == config:
            return state
        if len(runs) == 1:  # what the others of the group will run too
            inner = state.inner if force is None else force(spec.searcher, state.inner, group, config, key)
            return attrs.evolve(state, inner=inner, proposals=state.proposals.set(group, Proposal(config)))
    if trial >= 0:
        runs = runs.delete(trial) if trial in runs else runs
        state = attrs.evolve(state, runs=state.runs.set(group, runs), forced=state.forced.set(trial, None))
    if force is None:
        return state
    return attrs.evolve(state, inner=force(spec.searcher, state.inner, _inner_number(trial), config, key))


def _make_searcher(spec: Repeat) -> Searcher:
    inner = searcher_of(spec.searcher)
    return Searcher(
        name="repeat",
        supports=attrs.evolve(inner.supports, intermediate=False),
        init=_init,
        ask=_ask,
        tell=_tell,
        learns=inner.learns,
        force=None if inner.force is None and inner.learns else _force,
        validate=validate_inner,
        check_compatibility=check_inner_compatibility,
    )


register_combinator(Repeat, "repeat", _make_searcher)
