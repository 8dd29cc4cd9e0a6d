"""HyperBand, synchronous: the trials of a bracket pause at each rung until all have reached it; the best continue.

Source: Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization (JMLR 2018),
arXiv:1603.06560; same brackets and cuts as `HyperBandScheduler` of Ray Tune on the same reports, except that
- a bracket's first cut waits until the bracket is full, or no more trials are proposed;
- a trial that ends or fails never delays the trials that wait for it;
- a trial that has passed several rungs at once takes part in all their cuts;
- a NaN is worse than every number.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, Final

import immutables
import msgspec
from msgspec.structs import replace

from tunedsl.base.arguments import as_bool, as_int, as_number, as_text, check_arguments
from tunedsl.base.codec import omit_default_field, value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError
from tunedsl.base.references import call_repr
from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.schedulers.contract import (
    DecisionPoints,
    DecisionResult,
    Reason,
    Report,
    Scheduler,
    SchedulerContext,
    reason,
    register_scheduler,
)
from tunedsl.schedulers.pareto_ranking import DEFAULT_RANKING, FrontOrder, as_ranking
from tunedsl.schedulers.paused_trials import Decided, cull, requirements, without
from tunedsl.schedulers.ranking import order, ranked_values
from tunedsl.schedulers.time_attr import (
    canonical_number,
    check_max_t,
    check_reduction_factor,
    decision_points_at,
    time_metrics,
    time_of,
)

MAX_BRACKETS: Final = 1_000
"""Limit of the brackets of a band."""


@value
class Hyperband:
    """The settings of HyperBand; see `hyperband`."""

    max_t: int = 81
    reduction_factor: float = 3
    stop_last_trials: bool = True
    time_attr: str = TRAINING_ITERATION
    bohb: bool = False
    ranking: FrontOrder = omit_default_field(DEFAULT_RANKING)

    def __repr__(self) -> str:
        return call_repr("hyperband", self)


@check_arguments
def hyperband(
    max_t: int = 81,
    reduction_factor: float = 3,
    stop_last_trials: bool = True,
    time_attr: str = TRAINING_ITERATION,
    bohb: bool = False,
    ranking: FrontOrder = DEFAULT_RANKING,
) -> Hyperband:
    """Fills brackets of trials one after another, and reduces each at its rungs, where its trials wait.

    Bracket `s` begins with about `reduction_factor**s` trials, which pause at time `max_t / reduction_factor**s`.
    When all of them are there, the best `1 / reduction_factor` continue `reduction_factor` times as far; and so on, `s`
    times. Trials that end or fail on the way are no longer waited for. When every bracket is full, a new band of
    brackets begins.

    Args:
        max_t: time at which a trial ends, in units of `time_attr`; a whole number above 0.
        reduction_factor: about one in `reduction_factor` trials continues at each rung; above 1.
        stop_last_trials: whether trials end at their bracket's last rung; if not, those that passed every cut run on.
        time_attr: the metric that measures a trial's progress, rising with its reports. With the default, trials wait
            for decisions at rungs only; with any other, at every report.
        bohb: fill the largest bracket of a band first, so that a model of the objective has many short trials to
            learn from at the start, as BOHB does.
        ranking: how trials with several objectives are ranked: `epsilon_net()` or `nondominated()`.

    Returns:
        A scheduler spec. It needs an objective, and a trainable that saves and loads.

    Raises:
        ArgumentError: for an argument of the wrong type.

    >>> hyperband(max_t=27)
    hyperband(max_t=27)
    """
    return Hyperband(
        as_int("hyperband.max_t", max_t),
        canonical_number(as_number("hyperband.reduction_factor", reduction_factor)),
        as_bool("hyperband.stop_last_trials", stop_last_trials),
        as_text("hyperband.time_attr", time_attr),
        as_bool("hyperband.bohb", bohb),
        as_ranking("hyperband.ranking", ranking),
    )


class BracketPlan(msgspec.Struct, frozen=True):
    """A bracket's plan.

    Attributes:
        sizes: number of its trials at each rung, falling; the first is its capacity.
        rungs: the times of its rungs, rising; there is a cut at each except the last.
    """

    sizes: tuple[int, ...]
    rungs: tuple[int, ...]


@functools.lru_cache(maxsize=64)
def bracket_plans(spec: Hyperband) -> tuple[BracketPlan, ...]:
    """The brackets of a band, in the order in which they are filled.

    >>> [(shape.sizes[0], shape.rungs) for shape in bracket_plans(hyperband(max_t=9))]
    [(3, (9,)), (5, (3, 9)), (9, (1, 3, 9))]
    """
    eta = spec.reduction_factor
    count = round(math.log(spec.max_t) / math.log(eta)) + 1
    if count > MAX_BRACKETS:
        message = f"hyperband(...) has {count:,} brackets in a band, more than the limit of {MAX_BRACKETS:,}."
        raise ArgumentError("E003", "hyperband", message, "use a larger reduction_factor")
    found = []
    for s in range(count):
        size, rung = math.ceil(count / (s + 1) * eta**s), int(spec.max_t / eta**s)
        if not rung:
            continue
        sizes, rungs = [size], [rung]
        for _ in range(s):
            sizes.append(math.ceil(sizes[-1] / eta))
            rungs.append(int(min(rungs[-1] * eta, spec.max_t)))
        found.append(BracketPlan(tuple(sizes), tuple(rungs)))
    return tuple(reversed(found)) if spec.bohb else tuple(found)


Arrival = tuple[float, tuple[float, ...]]
"""The time of a trial at a rung, and its ranked values there."""


class Bracket(msgspec.Struct, frozen=True):
    """A bracket with running or paused trials.

    Attributes:
        plan_index: index of its plan in `bracket_plans`.
        cut_count: number of cuts so far.
        trials: its trials, with time and ranked values of those that reached the current rung, None for the others.
        running_count: number of trials that have not reached it.
        completed_count: number of trials that ended at the first rung; they are not replaced, unlike earlier leavers.
    """

    plan_index: int
    cut_count: int = 0
    trials: immutables.Map[int, Arrival | None] = immutables.Map()
    running_count: int = 0
    completed_count: int = 0


class HyperbandState(msgspec.Struct, frozen=True):
    """The current brackets, and decisions that are not carried out yet.

    Attributes:
        brackets: by their number, the oldest first; without brackets whose trials have all left.
        bracket_count: number of brackets so far; the newest one takes new trials.
        bracket_of: the bracket of each trial.
        to_promote: paused trials that passed a cut, in the order in which they continue, with reasons.
        to_stop: paused trials to stop, with reasons.
        all_proposed: whether no more trials are proposed.
    """

    brackets: immutables.Map[int, Bracket] = immutables.Map()
    bracket_count: int = 0
    bracket_of: immutables.Map[int, int] = immutables.Map()
    to_promote: Decided = ()
    to_stop: Decided = ()
    all_proposed: bool = False


def init(spec: Hyperband, context: SchedulerContext) -> HyperbandState:
    """No brackets."""
    return HyperbandState()


def on_add(spec: Hyperband, state: HyperbandState, trial: int, config: Any) -> HyperbandState:
    """Adds the trial to the newest bracket, or to a new one if that is full or has had its first cut."""
    last = state.bracket_count - 1
    bracket = state.brackets.get(last)
    if bracket is None or bracket.cut_count or _free_slots(spec, bracket) <= 0:
        over = bracket is not None and not bracket.trials
        last += 1
        bracket = Bracket(last % len(bracket_plans(spec)))
        brackets = state.brackets.delete(last - 1) if over else state.brackets
        state = replace(state, bracket_count=last + 1, brackets=brackets)
    bracket = replace(bracket, trials=bracket.trials.set(trial, None), running_count=bracket.running_count + 1)
    return replace(state, brackets=state.brackets.set(last, bracket), bracket_of=state.bracket_of.set(trial, last))


def on_report(spec: Hyperband, state: HyperbandState, report: Report) -> DecisionResult:
    """Pauses a trial at its rung; the last one to reach it triggers the cut."""
    time = time_of(spec.time_attr, report)
    number = state.bracket_of.get(report.trial)
    if time is None or number is None:
        return state, "continue", None
    bracket = state.brackets[number]
    shape = bracket_plans(spec)[bracket.plan_index]
    if bracket.cut_count == len(shape.rungs) - 1:
        if not spec.stop_last_trials or time < shape.rungs[-1]:
            return state, "continue", None
        why = reason("hyperband", reached=time, max_t=shape.rungs[-1])
        return _remove_trial(spec, state, report.trial, done=True), "stop", why
    if time < shape.rungs[bracket.cut_count]:
        return state, "continue", None
    known = bracket.trials[report.trial] is not None
    bracket = replace(
        bracket,
        trials=bracket.trials.set(report.trial, (time, ranked_values(report))),
        running_count=bracket.running_count - (not known),
    )
    state = _make_due_cuts(spec, replace(state, brackets=state.brackets.set(number, bracket)), number)
    # The reporting trial is still on its worker, so it needs no pause.
    for trial, why in state.to_stop:
        if trial == report.trial:
            return replace(state, to_stop=without(state.to_stop, trial)), "stop", why
    for trial, why in state.to_promote:
        if trial == report.trial:
            return replace(state, to_promote=without(state.to_promote, trial)), "continue", why
    bracket = state.brackets[number]
    facts = reason(
        "hyperband",
        bracket=number,
        rung=shape.rungs[bracket.cut_count],
        **_value_facts(value=ranked_values(report)),
        waits_for=bracket.running_count + _open_slots(spec, state, number),
    )
    return state, "pause", facts


def on_end(spec: Hyperband, state: HyperbandState, report: Report) -> HyperbandState:
    """The bracket no longer waits for the trial."""
    number, time = state.bracket_of.get(report.trial), time_of(spec.time_attr, report)
    if number is None:
        return state
    done = time is not None and time >= bracket_plans(spec)[state.brackets[number].plan_index].rungs[0]
    return _make_due_cuts(spec, _remove_trial(spec, state, report.trial, done), number)


def on_remove(spec: Hyperband, state: HyperbandState, trial: int) -> HyperbandState:
    """The bracket no longer waits for the trial, which may trigger its cut."""
    number = state.bracket_of.get(trial)
    return state if number is None else _make_due_cuts(spec, _remove_trial(spec, state, trial), number)


def on_all_proposed(spec: Hyperband, state: HyperbandState) -> HyperbandState:
    """The newest bracket no longer waits for new trials."""
    return _make_due_cuts(spec, replace(state, all_proposed=True), state.bracket_count - 1)


def promote(spec: Hyperband, state: HyperbandState) -> tuple[HyperbandState, tuple[int, Reason] | None]:
    """The trials that passed their cut, the earliest cut first, the best of each first."""
    if not state.to_promote:
        return state, None
    return replace(state, to_promote=state.to_promote[1:]), state.to_promote[0]


def _remove_trial(spec: Hyperband, state: HyperbandState, trial: int, done: bool = False) -> HyperbandState:
    """The state without the trial."""
    number = state.bracket_of[trial]
    bracket = state.brackets[number]
    missing = bracket.running_count - (bracket.trials[trial] is None)
    bracket = replace(
        bracket,
        trials=bracket.trials.delete(trial),
        running_count=missing,
        completed_count=bracket.completed_count + done,
    )
    brackets = state.brackets.set(number, bracket)
    if not bracket.trials and (bracket.cut_count or number < state.bracket_count - 1):
        brackets = state.brackets.delete(number)
    return replace(
        state,
        brackets=brackets,
        bracket_of=state.bracket_of.delete(trial),
        to_promote=without(state.to_promote, trial),
    )


def _free_slots(spec: Hyperband, bracket: Bracket) -> int:
    """The number of trials that a bracket still takes before its first cut."""
    return bracket_plans(spec)[bracket.plan_index].sizes[0] - len(bracket.trials) - bracket.completed_count


def _open_slots(spec: Hyperband, state: HyperbandState, number: int) -> int:
    """The number of new trials that a bracket's first cut still waits for."""
    bracket = state.brackets[number]
    if state.all_proposed or bracket.cut_count or number < state.bracket_count - 1:
        return 0
    return _free_slots(spec, bracket)


def _make_due_cuts(spec: Hyperband, state: HyperbandState, number: int) -> HyperbandState:
    """Makes the cuts that all trials have reached; several if trials have passed more than one rung."""
    while number in state.brackets:
        bracket = state.brackets[number]
        shape = bracket_plans(spec)[bracket.plan_index]
        last = bracket.cut_count == len(shape.rungs) - 1
        if last or bracket.running_count or not bracket.trials or _open_slots(spec, state, number):
            break
        state = _make_cut(spec, state, number, bracket, shape)
    return state


def _make_cut(
    spec: Hyperband, state: HyperbandState, number: int, bracket: Bracket, plan: BracketPlan
) -> HyperbandState:
    """One cut of a complete bracket; ties go to the later trial."""
    arrived = [(trial, *reached) for trial, reached in bracket.trials.items() if reached is not None]
    ranked = order([values for _, _, values in arrived], [trial for trial, _, _ in arrived], spec.ranking)
    arrived = [arrived[index] for index in ranked]
    keep, rung, cuts = plan.sizes[bracket.cut_count + 1], plan.rungs[bracket.cut_count], bracket.cut_count + 1
    worst = arrived[min(keep, len(arrived)) - 1][2]
    facts = {
        "bracket": number,
        "rung": rung,
        **_value_facts(cut=worst),
        "kept": min(keep, len(arrived)),
        "competitors": len(arrived),
    }
    final, ends = plan.rungs[cuts], cuts == len(plan.rungs) - 1
    kept: list[tuple[int, Arrival | None]] = []
    stopped, promoted, bracket_of = [], [], state.bracket_of
    for place, (trial, time, found) in enumerate(arrived, 1):
        why = reason("hyperband", **_value_facts(value=found), place=place, **facts)
        if place > keep:
            stopped.append((trial, why))
        elif time < final:
            promoted.append((trial, why))
            kept.append((trial, None))
            continue
        elif ends and spec.stop_last_trials:
            stopped.append((trial, reason("hyperband", reached=time, max_t=final)))
        elif ends:
            promoted.append((trial, why))
            kept.append((trial, (time, found)))
            continue
        else:
            kept.append((trial, (time, found)))
            continue
        bracket_of = bracket_of.delete(trial)
    missing = sum(1 for _, reached in kept if reached is None)
    after = Bracket(bracket.plan_index, cuts, immutables.Map(kept), missing)
    return replace(
        state,
        brackets=state.brackets.set(number, after) if kept else state.brackets.delete(number),
        bracket_of=bracket_of,
        to_promote=state.to_promote + tuple(promoted),
        to_stop=state.to_stop + tuple(stopped),
    )


def _value_facts(**values: tuple[float, ...]) -> dict[str, float]:
    """The facts of a single objective; several have only their places."""
    return {name: found[0] for name, found in values.items() if len(found) == 1}


def _decision_times(spec: Hyperband) -> Iterator[int]:
    """The times of decisions, without `max_t` if trials end there."""
    for shape in bracket_plans(spec):
        rungs = shape.rungs if spec.stop_last_trials else shape.rungs[:-1]
        yield from (rung for rung in rungs if not spec.stop_last_trials or rung < spec.max_t)


def decision_points(spec: Hyperband) -> DecisionPoints:
    """The iterations at which a trial may be at a rung of its bracket."""
    return decision_points_at(spec.time_attr, _decision_times(spec))


def first_decision(spec: Hyperband) -> tuple[str, float] | None:
    """The first rung of any bracket."""
    first = min(_decision_times(spec), default=None)
    return None if first is None else (spec.time_attr, first)


def last_iteration(spec: Hyperband) -> int | None:
    """`max_t`, if it counts iterations and ends trials."""
    return spec.max_t if spec.stop_last_trials and spec.time_attr == TRAINING_ITERATION else None


def validate(spec: Hyperband) -> list[Diagnostic]:
    """Diagnostics of invalid settings."""
    return check_reduction_factor(spec) + check_max_t(spec)


def describe(spec: Hyperband) -> str:
    """One line: the number of trials of each bracket at each rung, and what they wait for."""
    brackets = "; ".join(
        ", ".join(f"{size} to {rung}" for size, rung in zip(shape.sizes, shape.rungs, strict=True))
        for shape in bracket_plans(spec)
    )
    last = "end at the last" if spec.stop_last_trials else "continue after the last"
    waits = "trials wait at a rung until all of their bracket are there, at the first until it is full"
    return f"brackets of trials by rung: {brackets}; {waits}, and {last}"


register_scheduler(
    Hyperband,
    Scheduler(
        "hyperband",
        init,
        on_report,
        decision_points,
        describe,
        on_add=on_add,
        on_end=on_end,
        on_remove=on_remove,
        on_all_proposed=on_all_proposed,
        cull=cull,
        promote=promote,
        last_iteration=last_iteration,
        requirements=requirements,
        first_decision=first_decision,
        metrics_used=time_metrics,
        validate=validate,
    ),
)
