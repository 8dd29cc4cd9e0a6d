"""`repeat`: runs each configuration several times and aggregates the results."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, get_args

import attrs
import immutables

from tunedsl.base.arguments import as_choice, as_int, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.references import call_repr
from tunedsl.base.types import Json
from tunedsl.searchers.contract import (
    Answer,
    Objectives,
    Observation,
    Proposal,
    Searcher,
    SearcherState,
    register_combinator,
    searcher_of,
)
from tunedsl.searchers.delegation import ask_inner, delegate, force_inner, init_inner, tell_inner
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
        proposals: the proposal of each group.
        runs: the trials of each group, with their observations.
        forced: trials with a forced configuration; each is an observation by itself.
    """

    inner: SearcherState
    objectives: Objectives
    proposals: immutables.Map[int, Proposal] = attrs.field(factory=immutables.Map)
    runs: immutables.Map[int, immutables.Map[int, Observation | None]] = attrs.field(factory=immutables.Map)
    forced: immutables.Map[int, None] = attrs.field(factory=immutables.Map)


@check_arguments
def repeat(searcher: Any, n: int, by: Aggregate = "mean") -> Repeat:
    """A searcher whose configurations run `n` times each, with different seeds, and give one observation.

    The observation ignores failed trials, unless all failed; a NaN makes it NaN. Trials `n * g` to `n * g + n - 1`
    run configuration `g`, except trials with a forced configuration, such as those of a `try_first` around it: each
    of them is an observation by itself.

    Args:
        searcher: the spec of any searcher.
        n: number of runs of each configuration, at least 1.
        by: how the runs are aggregated: `mean`, `median`, `best` or `worst`.

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


def _init(spec: Repeat, space: Space, objectives: Objectives, key: int) -> _RepeatState:
    return _RepeatState(init_inner(spec, space, objectives, key), objectives)


def _ask(spec: Repeat, state: _RepeatState, trial: int, key: int) -> tuple[_RepeatState, Answer]:
    group = trial // spec.n
    answer: Answer | None = state.proposals.get(group)
    if answer is None:
        inner, answer = ask_inner(spec, state.inner, group, key)
        state = attrs.evolve(state, inner=inner)
        if not isinstance(answer, Proposal):
            return state, answer
        state = attrs.evolve(state, proposals=state.proposals.set(group, Proposal(answer.config)))
    runs = state.runs.get(group, immutables.Map()).set(trial, None)
    return attrs.evolve(state, runs=state.runs.set(group, runs), forced=_without(state.forced, trial)), answer


def _tell(spec: Repeat, state: _RepeatState, trial: int, observation: Observation) -> _RepeatState:
    if observation.status == "reported":
        return state
    if trial < 0 or trial in state.forced:
        return attrs.evolve(state, inner=tell_inner(spec, state.inner, _inner_number(trial), observation))
    group = trial // spec.n
    runs = state.runs.get(group, immutables.Map()).set(trial, observation)
    state = attrs.evolve(state, runs=state.runs.set(group, runs))
    observed = [result for _, result in sorted(runs.items()) if result is not None]
    forced_count = sum(number in state.forced for number in range(group * spec.n, (group + 1) * spec.n))
    if len(observed) < spec.n - forced_count:
        return state
    summary = _aggregate(spec, state.objectives, observed)
    return attrs.evolve(state, inner=tell_inner(spec, state.inner, group, summary))


def _inner_number(trial: int) -> int:
    """The inner number of a trial without a group; it differs from the numbers below 0 of earlier results."""
    return trial if trial < 0 else -_FORCED_OFFSET - trial


def _without(trials: immutables.Map[int, None], trial: int) -> immutables.Map[int, None]:
    return trials.delete(trial) if trial in trials else trials


def _aggregate(spec: Repeat, objectives: Objectives, observed: Sequence[Observation]) -> Observation:
    """One observation of several."""
    counted = [each for each in observed if each.status != "failed"]
    if not counted:
        return observed[-1]
    values = []
    for index, objective in enumerate(objectives):
        numbers = [each.values[index] for each in counted]
        missing = [number for number in numbers if number != number]
        values.append(missing[0] if missing else _AGGREGATES[spec.by](numbers, objective.sign))
    all_done = all(each.status == "done" for each in counted)
    iteration = min(each.iteration for each in counted)
    return Observation("done" if all_done else "stopped", iteration, tuple(values))


_AGGREGATES: Final[Mapping[str, Callable[[list[float], float], float]]] = {
    "mean": lambda numbers, sign: sum(numbers) / len(numbers),
    "median": lambda numbers, sign: statistics.median(numbers),
    "best": lambda numbers, sign: max(numbers) if sign > 0 else min(numbers),
    "worst": lambda numbers, sign: min(numbers) if sign > 0 else max(numbers),
}


def _force(spec: Repeat, state: _RepeatState, trial: int, config: Json, key: int) -> _RepeatState:
    group = trial // spec.n
    runs = state.runs.get(group, immutables.Map())
    if trial >= 0 and trial in runs:
        if state.proposals[group].config == config:
            return state
        if len(runs) == 1:  # the other trials of the group run this configuration too
            inner = force_inner(spec, state.inner, group, config, key)
            return attrs.evolve(state, inner=inner, proposals=state.proposals.set(group, Proposal(config)))
    if trial >= 0:
        runs = runs.delete(trial) if trial in runs else runs
        state = attrs.evolve(state, runs=state.runs.set(group, runs), forced=state.forced.set(trial, None))
    return attrs.evolve(state, inner=force_inner(spec, state.inner, _inner_number(trial), config, key))


def _make_searcher(spec: Repeat) -> Searcher:
    supports = attrs.evolve(searcher_of(spec.searcher).supports, intermediate=False)
    return delegate(
        spec, "repeat", init=_init, ask=_ask, tell=_tell, force=_force, keeps_forced=True, supports=supports
    )


register_combinator(Repeat, "repeat", _make_searcher)
