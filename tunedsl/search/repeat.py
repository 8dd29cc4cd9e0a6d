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
    """The inner state, and by group the proposal and what was told of its trials."""

    inner: State
    objectives: tuple[Objective, ...]
    proposals: immutables.Map[int, Proposal] = attrs.field(factory=immutables.Map)
    told: immutables.Map[int, immutables.Map[int, Observation]] = attrs.field(factory=immutables.Map)


@checked
def repeat(searcher: Any, n: int, by: By = "mean") -> Repeat:
    """A searcher whose configurations run `n` times each, every time with another seed, and are one observation.

    Trials that failed are left out of the number, unless all did; a NaN makes it NaN. Trials `n * g` to
    `n * g + n - 1` are the runs of configuration `g`.

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


def _group(spec: Repeat, trial: int) -> int:
    return trial // spec.n if trial >= 0 else trial


def _ask(spec: Repeat, state: _State, trial: int, key: int) -> tuple[_State, Answer]:
    group = _group(spec, trial)
    known = state.proposals.get(group)
    if known is not None:
        return state, Proposal(known.config)
    inner, answer = searcher_of(spec.searcher).ask(spec.searcher, state.inner, group, key)
    state = attrs.evolve(state, inner=inner)
    if isinstance(answer, Proposal):
        state = attrs.evolve(state, proposals=state.proposals.set(group, answer))
    return state, answer


def _tell(spec: Repeat, state: _State, trial: int, observation: Observation) -> _State:
    group = _group(spec, trial)
    if observation.status == "reported":
        return state
    told = state.told.get(group, immutables.Map()).set(trial, observation)
    state = attrs.evolve(state, told=state.told.set(group, told))
    if trial >= 0 and len(told) < spec.n:
        return state
    summary = _summary(spec, state.objectives, [told[number] for number in sorted(told)])
    return attrs.evolve(state, inner=searcher_of(spec.searcher).tell(spec.searcher, state.inner, group, summary))


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
    group = _group(spec, trial)
    known = state.proposals.get(group)
    if known is not None and known.config == config:
        return state
    adopt = searcher_of(spec.searcher).adopt
    inner = state.inner if adopt is None else adopt(spec.searcher, state.inner, group, config, key)
    return attrs.evolve(state, inner=inner, proposals=state.proposals.set(group, Proposal(config)))


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
