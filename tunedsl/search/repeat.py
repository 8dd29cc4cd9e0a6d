"""`repeat`: each configuration is run several times, and counts once."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, get_args

import attrs
import immutables

from tunedsl.base.arguments import checked, whole
from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError
from tunedsl.base.literals import spell
from tunedsl.base.objective import Objective
from tunedsl.base.vocabulary import Json
from tunedsl.search.contract import (
    Answer,
    Observation,
    Proposal,
    Searcher,
    State,
    enrol_combinator,
    searcher_of,
)
from tunedsl.search.inside import fits, validate
from tunedsl.space.space import Space

_APART: Final = 10**12

By = Literal["mean", "median", "best", "worst"]


@value(repr=False)
class Repeat:
    """The spec of `repeat`."""

    searcher: Any
    n: int
    by: By = "mean"

    def __repr__(self) -> str:
        return spell("repeat", self, 2)


@attrs.frozen(eq=False)
class _State:
    """The inner state.

    Attributes:
        proposals: by group.
        runs: by group its trials, each with what was told of it.
        alone: trials with a configuration that others gave them: each is an observation by itself.
    """

    inner: State
    objectives: tuple[Objective, ...]
    proposals: immutables.Map[int, Proposal] = attrs.field(factory=immutables.Map)
    runs: immutables.Map[int, immutables.Map[int, Observation | None]] = attrs.field(factory=immutables.Map)
    alone: immutables.Map[int, None] = attrs.field(factory=immutables.Map)


@checked
def repeat(searcher: Any, n: int, by: By = "mean") -> Repeat:
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
        >>> from tunedsl.search import tpe
        >>> repeat(tpe(), 3, by="median")
        repeat(tpe(), 3, by='median')
    """
    searcher_of(searcher)
    if by not in get_args(By):
        raise ArgumentError("E003", "repeat.by", repr(by), f"one of {', '.join(get_args(By))}")
    return Repeat(searcher, whole("repeat.n", n, least=1), by)


def _init(spec: Repeat, space: Space, objectives: tuple[Objective, ...], key: int) -> _State:
    return _State(searcher_of(spec.searcher).init(spec.searcher, space, objectives, key), objectives)


def _ask(spec: Repeat, state: _State, trial: int, key: int) -> tuple[_State, Answer]:
    group = trial // spec.n
    answer: Answer | None = state.proposals.get(group)
    if answer is None:
        inner, answer = searcher_of(spec.searcher).ask(spec.searcher, state.inner, group, key)
        state = attrs.evolve(state, inner=inner)
        if not isinstance(answer, Proposal):
            return state, answer
        state = attrs.evolve(state, proposals=state.proposals.set(group, Proposal(answer.config)))
    runs = state.runs.get(group, immutables.Map()).set(trial, None)
    return attrs.evolve(state, runs=state.runs.set(group, runs), alone=_without(state.alone, trial)), answer


def _tell(spec: Repeat, state: _State, trial: int, observation: Observation) -> _State:
    if observation.status == "reported":
        return state
    inside = searcher_of(spec.searcher)
    if trial < 0 or trial in state.alone:
        number = _outside(trial)
        return attrs.evolve(state, inner=inside.tell(spec.searcher, state.inner, number, observation))
    group = trial // spec.n
    runs = state.runs.get(group, immutables.Map()).set(trial, observation)
    state = attrs.evolve(state, runs=state.runs.set(group, runs))
    told = [found for _, found in sorted(runs.items()) if found is not None]
    if len(told) < spec.n - sum(number in state.alone for number in range(group * spec.n, (group + 1) * spec.n)):
        return state
    summary = _summary(spec, state.objectives, told)
    return attrs.evolve(state, inner=inside.tell(spec.searcher, state.inner, group, summary))


def _outside(trial: int) -> int:
    """The number inside of a trial that belongs to no group, apart from those that others have below 0."""
    return trial if trial < 0 else -_APART - trial


def _without(trials: immutables.Map[int, None], trial: int) -> immutables.Map[int, None]:
    return trials.delete(trial) if trial in trials else trials


def _summary(spec: Repeat, objectives: tuple[Objective, ...], told: Sequence[Observation]) -> Observation:
    """One observation of several."""
    counted = [each for each in told if each.status != "failed"]
    if not counted:
        return told[-1]
    values = []
    for place, goal in enumerate(objectives):
        numbers = [each.values[place] for each in counted]
        unknown = [number for number in numbers if number != number]
        values.append(unknown[0] if unknown else _NUMBERS[spec.by](numbers, goal.sign))
    whole_runs = all(each.status == "done" for each in counted)
    reached = min(each.iteration for each in counted)
    return Observation("done" if whole_runs else "stopped", reached, tuple(values))


_NUMBERS: Final[Mapping[str, Callable[[list[float], float], float]]] = {
    "mean": lambda numbers, sign: sum(numbers) / len(numbers),
    "median": lambda numbers, sign: statistics.median(numbers),
    "best": lambda numbers, sign: max(numbers) if sign > 0 else min(numbers),
    "worst": lambda numbers, sign: min(numbers) if sign > 0 else max(numbers),
}


def _adopt(spec: Repeat, state: _State, trial: int, config: Json, key: int) -> _State:
    adopt = searcher_of(spec.searcher).adopt
    group = trial // spec.n
    runs = state.runs.get(group, immutables.Map())
    if trial >= 0 and trial in runs:
        if state.proposals[group].config == config:
            return state
        if len(runs) == 1:  # what the others of the group will run too
            inner = state.inner if adopt is None else adopt(spec.searcher, state.inner, group, config, key)
            return attrs.evolve(state, inner=inner, proposals=state.proposals.set(group, Proposal(config)))
    if trial >= 0:
        runs = runs.delete(trial) if trial in runs else runs
        state = attrs.evolve(state, runs=state.runs.set(group, runs), alone=state.alone.set(trial, None))
    if adopt is None:
        return state
    return attrs.evolve(state, inner=adopt(spec.searcher, state.inner, _outside(trial), config, key))


def _made(spec: Repeat) -> Searcher:
    inner = searcher_of(spec.searcher)
    return Searcher(
        name="repeat",
        takes=attrs.evolve(inner.takes, intermediate=False),
        init=_init,
        ask=_ask,
        tell=_tell,
        learns=inner.learns,
        adopt=None if inner.adopt is None and inner.learns else _adopt,
        validate=validate,
        fits=fits,
    )


enrol_combinator(Repeat, "repeat", _made)
