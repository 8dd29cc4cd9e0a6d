"""`repeat`: runs each configuration several times and aggregates the results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar, get_args

import attrs
import immutables

from tunedsl.base.arguments import as_choice, as_int, check_arguments
from tunedsl.base.codec import omit_default_field, value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import wrong_value
from tunedsl.base.references import call_repr
from tunedsl.base.types import Json
from tunedsl.searchers.contract import (
    Answer,
    Objectives,
    Observation,
    Proposal,
    ProposalReason,
    Searcher,
    SearcherState,
    register_combinator,
    searcher_of,
)
from tunedsl.searchers.delegation import (
    ask_inner,
    check_inner_compatibility,
    delegate,
    force_inner,
    init_inner,
    tell_inner,
)
from tunedsl.searchers.racing import RaceState, Wilcoxon, loss_text, race_reason
from tunedsl.spaces.space import Space

_FORCED_OFFSET: Final = 10**12

T = TypeVar("T")
Aggregate = Literal["mean", "median", "best", "worst"]


@value(repr=False)
class Repeat:
    """The spec of `repeat`."""

    searcher: Any
    n: int
    by: Aggregate = "mean"
    race: Wilcoxon | None = omit_default_field(None)

    def __repr__(self) -> str:
        return call_repr("repeat", self, 2)


@attrs.frozen(eq=False)
class _RepeatState:
    """The inner state.

    Attributes:
        proposals: the proposal of each group.
        runs: the trials of each group, with their observations.
        forced: trials with a forced configuration; each is an observation by itself.
        race: the race, if there is one.
    """

    inner: SearcherState
    objectives: Objectives
    proposals: immutables.Map[int, Proposal] = attrs.field(factory=immutables.Map)
    runs: immutables.Map[int, immutables.Map[int, Observation | None]] = attrs.field(factory=immutables.Map)
    forced: immutables.Map[int, None] = attrs.field(factory=immutables.Map)
    race: RaceState = attrs.field(factory=RaceState)


@check_arguments
def repeat(searcher: Any, n: int, by: Aggregate = "mean", race: Wilcoxon | None = None) -> Repeat:
    """A searcher whose configurations run `n` times each, with different seeds, and give one observation.

    The observation ignores failed trials, unless all failed; a NaN makes it NaN. Violations of outcome constraints are
    means. Trials `n * g` to `n * g + n - 1`
    run configuration `g`, except trials with a forced configuration, such as those of a `try_first` around it: each
    of them is an observation by itself.

    In a race, trial `t` runs repeat `t % n` of its configuration. A configuration that clearly loses against the best
    complete one runs no more repeats, and other configurations run in their place. Its repeats that run already end
    normally; the observation is that of a stopped trial.

    Args:
        searcher: the spec of any searcher.
        n: number of runs of each configuration, at least 1.
        by: how the runs are aggregated: `mean`, `median`, `best` or `worst`.
        race: when a configuration loses, such as `wilcoxon(p=0.1)`; by default all repeats run.

    Raises:
        ArgumentError: for what is no searcher, a wrong number or word.

    Example:
        >>> from tunedsl.searchers import tpe, wilcoxon
        >>> repeat(tpe(), 3, by="median")
        repeat(tpe(), 3, by='median')
        >>> repeat(tpe(), 10, race=wilcoxon(p=0.05))
        repeat(tpe(), 10, race=wilcoxon(0.05))
    """
    searcher_of(searcher)
    if race is not None and not isinstance(race, Wilcoxon):
        raise wrong_value("repeat.race", race, "a rule such as wilcoxon(p=0.1)")
    by = as_choice("repeat.by", by, get_args(Aggregate))
    return Repeat(searcher, as_int("repeat.n", n, minimum=1), by, race)


def _init(spec: Repeat, space: Space, objectives: Objectives, key: int) -> _RepeatState:
    return _RepeatState(init_inner(spec, space, objectives, key), objectives)


def _ask(spec: Repeat, state: _RepeatState, trial: int, key: int) -> tuple[_RepeatState, Answer]:
    group = _group(spec, state, trial)
    answer: Answer | None = state.proposals.get(group)
    if answer is None:
        inner, answer = ask_inner(spec, state.inner, group, key)
        state = attrs.evolve(state, inner=inner)
        if not isinstance(answer, Proposal):
            return state, answer
        state = attrs.evolve(state, proposals=state.proposals.set(group, Proposal(answer.config)))
    assert isinstance(answer, Proposal)
    runs = state.runs.get(group, immutables.Map()).set(trial, None)
    state = attrs.evolve(state, runs=state.runs.set(group, runs), forced=_without(state.forced, trial))
    if spec.race is not None:
        news = race_reason(state.race.news)
        state = attrs.evolve(state, race=state.race.with_trial(trial, group))
        answer = answer if news is None else Proposal(answer.config, answer.rejected, news)
    return state, answer


def _group(spec: Repeat, state: _RepeatState, trial: int) -> int:
    """The configuration that a trial runs; in a race, the oldest one that lacks this repeat, or a new one."""
    if spec.race is None:
        return trial // spec.n
    known = state.race.group_of.get(trial)
    if known is not None:
        return known
    lacking = (group for group in state.race.open if trial % spec.n not in _places(spec, state, group))
    return next(lacking, state.race.count)


def _places(spec: Repeat, state: _RepeatState, group: int) -> set[int]:
    return {number % spec.n for number in state.runs.get(group, ())}


def _tell(spec: Repeat, state: _RepeatState, trial: int, observation: Observation) -> _RepeatState:
    if observation.status == "reported":
        return state
    if trial < 0 or trial in state.forced:
        return attrs.evolve(state, inner=tell_inner(spec, state.inner, _inner_number(trial), observation))
    group = _group(spec, state, trial)
    if spec.race is not None and trial not in state.race.group_of:
        return state
    runs = state.runs.get(group, immutables.Map()).set(trial, observation)
    state = attrs.evolve(state, runs=state.runs.set(group, runs))
    if spec.race is not None:
        state = _race(spec, spec.race, state, group)
    observed = [result for _, result in sorted(runs.items()) if result is not None]
    lost = group in state.race.lost
    if len(observed) < (len(runs) if lost else spec.n - _forced_count(spec, state, group)):
        return state
    summary = _aggregate(spec, state.objectives, observed)
    if lost and summary.status == "done":
        summary = Observation("stopped", summary.iteration, summary.values)
    return attrs.evolve(state, inner=tell_inner(spec, state.inner, group, summary))


def _forced_count(spec: Repeat, state: _RepeatState, group: int) -> int:
    """How many trials of a configuration run another one; in a race their repeats run as other trials."""
    trials = range(group * spec.n, (group + 1) * spec.n) if spec.race is None else ()
    return sum(number in state.forced for number in trials)


def _race(spec: Repeat, rule: Wilcoxon, state: _RepeatState, group: int) -> _RepeatState:
    """The state after a result of a configuration: it may lose, or be the best complete one."""
    race, losses = state.race, _losses(spec, state, group)
    best = {} if race.incumbent is None else _losses(spec, state, race.incumbent)
    if group in race.open and race.incumbent is not None and len(losses) < spec.n:
        text = loss_text(rule, losses, best)
        if text:
            trials = tuple(sorted(state.runs[group]))
            named = f"the configuration of {_trials_text(trials)} lost the race against that of "
            news = ProposalReason(f"{named}{_trials_text(sorted(state.runs[race.incumbent]))}: {text}", trials)
            return attrs.evolve(state, race=race.with_loss(group, news))
    if group in race.lost or len(losses) < spec.n:
        return state
    wins = not best or sum(losses.values()) < sum(best.values())
    return attrs.evolve(state, race=race.with_complete(group, wins))


def _losses(spec: Repeat, state: _RepeatState, group: int) -> dict[int, float]:
    """The loss of each repeat of a configuration that has a result."""
    sign = -state.objectives[0].sign
    results = {trial % spec.n: result for trial, result in state.runs[group].items() if result is not None}
    return {
        place: math.inf if each.status == "failed" or each.values[0] != each.values[0] else sign * each.values[0]
        for place, each in results.items()
    }


def _trials_text(trials: Sequence[int]) -> str:
    return f"trial{'s' if len(trials) > 1 else ''} {', '.join(map(str, trials))}"


def _inner_number(trial: int) -> int:
    """The inner number of a trial without a group; it differs from the numbers below 0 of earlier results."""
    return trial if trial < 0 else -_FORCED_OFFSET - trial


def _without(trials: immutables.Map[int, T], trial: int) -> immutables.Map[int, T]:
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
    widths = {len(each.constraints) for each in counted}
    columns = zip(*(each.constraints for each in counted), strict=True) if len(widths) == 1 else ()
    constraints = tuple(sum(column) / len(column) for column in columns)
    all_done = all(each.status == "done" for each in counted)
    iteration = min(each.iteration for each in counted)
    return Observation("done" if all_done else "stopped", iteration, tuple(values), constraints)


_AGGREGATES: Final[Mapping[str, Callable[[list[float], float], float]]] = {
    "mean": lambda numbers, sign: sum(numbers) / len(numbers),
    "median": lambda numbers, sign: statistics.median(numbers),
    "best": lambda numbers, sign: max(numbers) if sign > 0 else min(numbers),
    "worst": lambda numbers, sign: min(numbers) if sign > 0 else max(numbers),
}


def _force(spec: Repeat, state: _RepeatState, trial: int, config: Json, key: int) -> _RepeatState:
    group = _group(spec, state, trial) if trial >= 0 else -1
    runs = state.runs.get(group, immutables.Map())
    if trial in runs:
        if state.proposals[group].config == config:
            return state
        if len(runs) == 1:  # the other trials of the group run this configuration too
            inner = force_inner(spec, state.inner, group, config, key)
            return attrs.evolve(state, inner=inner, proposals=state.proposals.set(group, Proposal(config)))
    if trial >= 0:
        runs = runs.delete(trial) if trial in runs else runs
        race = attrs.evolve(state.race, group_of=_without(state.race.group_of, trial))
        known = state.runs if group not in state.runs else state.runs.set(group, runs)
        state = attrs.evolve(state, runs=known, forced=state.forced.set(trial, None), race=race)
    return attrs.evolve(state, inner=force_inner(spec, state.inner, _inner_number(trial), config, key))


def _check_compatibility(spec: Repeat, space: Space, objectives: Objectives) -> Sequence[Diagnostic]:
    diagnostics = [*check_inner_compatibility(spec, space, objectives)]
    if spec.race is not None and len(objectives) != 1:
        message = f"A race compares results by one objective, but the experiment has {len(objectives)}."
        diagnostics.append(Diagnostic("E083", "searcher", message, f"leave out race={spec.race!r}"))
    return diagnostics


def _make_searcher(spec: Repeat) -> Searcher:
    supports = attrs.evolve(searcher_of(spec.searcher).supports, intermediate=False)
    return delegate(
        spec,
        "repeat",
        init=_init,
        ask=_ask,
        tell=_tell,
        force=_force,
        keeps_forced=True,
        supports=supports,
        check_compatibility=_check_compatibility,
    )


register_combinator(Repeat, "repeat", _make_searcher)
