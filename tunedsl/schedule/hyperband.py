"""HyperBand, synchronous: the trials of a bracket pause at each rung until all have come, and the best go on.

Source: Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization (JMLR 2018),
arXiv:1603.06560; same brackets and cuts as `HyperBandScheduler` of Ray Tune on the same reports, save that here
- a bracket's first cut waits until the bracket is full, or no more trials come;
- a trial that ends or fails never holds up those that wait for it;
- a trial that has passed several rungs at once goes through the cuts of them all;
- a NaN is worse than every number.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, Final

import immutables
import msgspec
import numpy as np
from msgspec.structs import replace

from tunedsl.base.arguments import checked, number, text, whole
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError
from tunedsl.base.literals import spell
from tunedsl.base.vocabulary import TRAINING_ITERATION
from tunedsl.schedule.contract import (
    DecisionPoints,
    Needs,
    Note,
    Outcome,
    Report,
    Scheduler,
    Setting,
    enrol,
    note,
)
from tunedsl.schedule.progress import canonical, factor_faults, max_faults, metrics_read, points, time_of

MOST_BRACKETS: Final = 1_000
"""Of a band."""


@value
class Hyperband:
    """The settings of HyperBand; see `hyperband`."""

    max_t: int = 81
    reduction_factor: float = 3
    stop_last_trials: bool = True
    time_attr: str = TRAINING_ITERATION
    bohb: bool = False

    def __repr__(self) -> str:
        return spell("hyperband", self)


@checked
def hyperband(
    max_t: int = 81,
    reduction_factor: float = 3,
    stop_last_trials: bool = True,
    time_attr: str = TRAINING_ITERATION,
    bohb: bool = False,
) -> Hyperband:
    """Fills brackets of trials one after another, and halves each in steps that its trials wait for.

    Bracket `s` begins with about `reduction_factor**s` trials, which pause at time `max_t / reduction_factor**s`.
    When all of them are there, the best `1 / reduction_factor` go on, `reduction_factor` times as far; and so on, `s`
    times. Trials that end or fail on the way are no longer waited for. When every bracket is full, a new band of
    brackets begins.

    Args:
        max_t: time at which a trial ends, in units of `time_attr`; a whole number above 0.
        reduction_factor: above 1; about one in so many trials goes on.
        stop_last_trials: whether trials end at their bracket's last rung; if not, those that passed every cut run on.
        time_attr: the metric that measures a trial's progress, rising with its reports. With the default, trials wait
            for decisions at the rungs alone; with any other, at every report.
        bohb: fill the largest bracket of a band first, so that a model of the objective has many short trials to
            learn from at the start, as BOHB does.

    Returns:
        A scheduler spec. It needs an objective, and a trainable that saves and loads.

    Raises:
        ArgumentError: for an argument of the wrong type.

    >>> hyperband(max_t=27)
    hyperband(max_t=27)
    """
    for name, flag in (("stop_last_trials", stop_last_trials), ("bohb", bohb)):
        if not isinstance(flag, (bool, np.bool_)):
            raise ArgumentError("E003", f"hyperband.{name}", repr(flag), "True or False")
    return Hyperband(
        whole("hyperband.max_t", max_t),
        canonical(number("hyperband.reduction_factor", reduction_factor)),
        bool(stop_last_trials),
        text("hyperband.time_attr", time_attr),
        bool(bohb),
    )


class Shape(msgspec.Struct, frozen=True):
    """A bracket's plan.

    Attributes:
        sizes: how many trials it holds at each rung, falling; the first is how many it takes in.
        rungs: the times of its rungs, rising; there is a cut at each but the last.
    """

    sizes: tuple[int, ...]
    rungs: tuple[int, ...]


@functools.lru_cache(maxsize=64)
def shapes(spec: Hyperband) -> tuple[Shape, ...]:
    """The brackets of a band, in the order in which they are filled.

    >>> [(shape.sizes[0], shape.rungs) for shape in shapes(hyperband(max_t=9))]
    [(3, (9,)), (5, (3, 9)), (9, (1, 3, 9))]
    """
    eta = spec.reduction_factor
    count = round(math.log(spec.max_t) / math.log(eta)) + 1
    if count > MOST_BRACKETS:
        raise ArgumentError("E003", "hyperband", f"{count:,} brackets in a band", f"at most {MOST_BRACKETS:,}")
    found = []
    for s in range(count):
        size, rung = math.ceil(count / (s + 1) * eta**s), int(spec.max_t / eta**s)
        if not rung:
            continue
        sizes, rungs = [size], [rung]
        for _ in range(s):
            sizes.append(math.ceil(sizes[-1] / eta))
            rungs.append(int(min(rungs[-1] * eta, spec.max_t)))
        found.append(Shape(tuple(sizes), tuple(rungs)))
    return tuple(reversed(found)) if spec.bohb else tuple(found)


class Bracket(msgspec.Struct, frozen=True):
    """A bracket under way.

    Attributes:
        shape: which of `shapes` it has.
        cuts: how many cuts were made.
        trials: its trials, with time and value of those that reached the present rung, None for the others.
        missing: how many have not reached it.
        done: how many came to the first rung and ended there; unlike those that left before, none is replaced.
    """

    shape: int
    cuts: int = 0
    trials: immutables.Map[int, tuple[float, float] | None] = immutables.Map()
    missing: int = 0
    done: int = 0


class State(msgspec.Struct, frozen=True):
    """The brackets under way, and what was decided and not carried out.

    Attributes:
        brackets: by their number, in order of their beginning; those whose trials have all left are gone.
        begun: how many brackets have begun; the last is the one that takes trials in.
        home: the bracket of each trial.
        ready: paused trials that passed a cut, in the order in which they go on, and why.
        lost: paused trials to end, and why.
        full: whether no more trials come.
    """

    brackets: immutables.Map[int, Bracket] = immutables.Map()
    begun: int = 0
    home: immutables.Map[int, int] = immutables.Map()
    ready: tuple[tuple[int, Note], ...] = ()
    lost: tuple[tuple[int, Note], ...] = ()
    full: bool = False


def init(spec: Hyperband, setting: Setting) -> State:
    """No bracket has begun."""
    return State()


def on_add(spec: Hyperband, state: State, trial: int, config: Any) -> State:
    """Puts the trial into the newest bracket, or into a new one when that is full or had its first cut."""
    last = state.begun - 1
    bracket = state.brackets.get(last)
    if bracket is None or bracket.cuts or _free(spec, bracket) <= 0:
        over = bracket is not None and not bracket.trials
        last += 1
        bracket = Bracket(last % len(shapes(spec)))
        brackets = state.brackets.delete(last - 1) if over else state.brackets
        state = replace(state, begun=last + 1, brackets=brackets)
    bracket = replace(bracket, trials=bracket.trials.set(trial, None), missing=bracket.missing + 1)
    return replace(state, brackets=state.brackets.set(last, bracket), home=state.home.set(trial, last))


def on_report(spec: Hyperband, state: State, report: Report) -> Outcome:
    """Pauses a trial at its rung; the last one to come settles the cut for all."""
    time = time_of(spec.time_attr, report)
    home = state.home.get(report.trial)
    if time is None or home is None:
        return state, "continue", None
    bracket = state.brackets[home]
    shape = shapes(spec)[bracket.shape]
    if bracket.cuts == len(shape.rungs) - 1:
        if not spec.stop_last_trials or time < shape.rungs[-1]:
            return state, "continue", None
        why = note("hyperband", reached=time, max_t=shape.rungs[-1])
        return _left(spec, state, report.trial, done=True), "stop", why
    if time < shape.rungs[bracket.cuts]:
        return state, "continue", None
    known = bracket.trials[report.trial] is not None
    bracket = replace(
        bracket,
        trials=bracket.trials.set(report.trial, (time, report.value)),
        missing=bracket.missing - (not known),
    )
    state = _settled(spec, replace(state, brackets=state.brackets.set(home, bracket)), home)
    # The reporter itself is still on its worker: what was decided of it needs no pause.
    for trial, why in state.lost:
        if trial == report.trial:
            return replace(state, lost=_without(state.lost, trial)), "stop", why
    for trial, why in state.ready:
        if trial == report.trial:
            return replace(state, ready=_without(state.ready, trial)), "continue", why
    bracket = state.brackets[home]
    facts = note(
        "hyperband",
        bracket=home,
        rung=shape.rungs[bracket.cuts],
        value=report.value,
        waits_for=bracket.missing + _vacancies(spec, state, home),
    )
    return state, "pause", facts


def on_end(spec: Hyperband, state: State, report: Report) -> State:
    """Waits for the trial no longer."""
    home, time = state.home.get(report.trial), time_of(spec.time_attr, report)
    if home is None:
        return state
    done = time is not None and time >= shapes(spec)[state.brackets[home].shape].rungs[0]
    return _settled(spec, _left(spec, state, report.trial, done), home)


def on_leave(spec: Hyperband, state: State, trial: int) -> State:
    """Waits for the trial no longer, which may settle its bracket's cut."""
    home = state.home.get(trial)
    return state if home is None else _settled(spec, _left(spec, state, trial), home)


def on_full(spec: Hyperband, state: State) -> State:
    """Settles the newest bracket with the trials that it has."""
    return _settled(spec, replace(state, full=True), state.begun - 1)


def cull(spec: Hyperband, state: State) -> tuple[State, tuple[tuple[int, Note], ...]]:
    """Those that did not pass their cut."""
    return (replace(state, lost=()), state.lost) if state.lost else (state, ())


def promote(spec: Hyperband, state: State) -> tuple[State, tuple[int, Note] | None]:
    """Those that did, the earliest cut first, the best of each first."""
    if not state.ready:
        return state, None
    return replace(state, ready=state.ready[1:]), state.ready[0]


def _without(pairs: tuple[tuple[int, Note], ...], trial: int) -> tuple[tuple[int, Note], ...]:
    return tuple(pair for pair in pairs if pair[0] != trial)


def _left(spec: Hyperband, state: State, trial: int, done: bool = False) -> State:
    """The state without the trial."""
    home = state.home[trial]
    bracket = state.brackets[home]
    missing = bracket.missing - (bracket.trials[trial] is None)
    bracket = replace(bracket, trials=bracket.trials.delete(trial), missing=missing, done=bracket.done + done)
    brackets = state.brackets.set(home, bracket)
    if not bracket.trials and (bracket.cuts or home < state.begun - 1):
        brackets = state.brackets.delete(home)
    return replace(state, brackets=brackets, home=state.home.delete(trial), ready=_without(state.ready, trial))


def _free(spec: Hyperband, bracket: Bracket) -> int:
    """How many more trials a bracket takes before its first cut."""
    return shapes(spec)[bracket.shape].sizes[0] - len(bracket.trials) - bracket.done


def _vacancies(spec: Hyperband, state: State, home: int) -> int:
    """How many new trials a bracket's first cut still waits for."""
    bracket = state.brackets[home]
    if state.full or bracket.cuts or home < state.begun - 1:
        return 0
    return _free(spec, bracket)


def _settled(spec: Hyperband, state: State, home: int) -> State:
    """Makes the cuts for which nobody is missing: several where trials have passed more than one rung."""
    while home in state.brackets:
        bracket = state.brackets[home]
        shape = shapes(spec)[bracket.shape]
        last = bracket.cuts == len(shape.rungs) - 1
        if last or bracket.missing or not bracket.trials or _vacancies(spec, state, home):
            break
        state = _cut(spec, state, home, bracket, shape)
    return state


def _cut(spec: Hyperband, state: State, home: int, bracket: Bracket, shape: Shape) -> State:
    """One cut, with everybody there; ties go to the later trial."""
    came = [(trial, *reached) for trial, reached in bracket.trials.items() if reached is not None]
    # A NaN is below every number, minus infinity too.
    came.sort(key=lambda each: (each[2] == each[2], each[2] if each[2] == each[2] else 0.0, each[0]), reverse=True)
    keep, rung, cuts = shape.sizes[bracket.cuts + 1], shape.rungs[bracket.cuts], bracket.cuts + 1
    worst = came[min(keep, len(came)) - 1][2]
    facts = {"bracket": home, "rung": rung, "cut": worst, "kept": min(keep, len(came)), "competitors": len(came)}
    final, ends = shape.rungs[cuts], cuts == len(shape.rungs) - 1
    kept: list[tuple[int, tuple[float, float] | None]] = []
    lost, ready, home_of = [], [], state.home
    for place, (trial, time, found) in enumerate(came, 1):
        why = note("hyperband", value=found, place=place, **facts)
        if place > keep:
            lost.append((trial, why))
        elif time < final:
            ready.append((trial, why))
            kept.append((trial, None))
            continue
        elif ends and spec.stop_last_trials:
            lost.append((trial, note("hyperband", reached=time, max_t=final)))
        elif ends:
            ready.append((trial, why))
            kept.append((trial, (time, found)))
            continue
        else:
            kept.append((trial, (time, found)))
            continue
        home_of = home_of.delete(trial)
    missing = sum(1 for _, reached in kept if reached is None)
    after = Bracket(bracket.shape, cuts, immutables.Map(kept), missing)
    return replace(
        state,
        brackets=state.brackets.set(home, after) if kept else state.brackets.delete(home),
        home=home_of,
        ready=state.ready + tuple(ready),
        lost=state.lost + tuple(lost),
    )


def _times(spec: Hyperband) -> Iterator[int]:
    """The times at which something is decided, those at `max_t` left to the stop rule if trials end there."""
    for shape in shapes(spec):
        rungs = shape.rungs if spec.stop_last_trials else shape.rungs[:-1]
        yield from (rung for rung in rungs if not spec.stop_last_trials or rung < spec.max_t)


def decision_points(spec: Hyperband) -> DecisionPoints:
    """The iterations at which a trial may be at a rung of its bracket."""
    return points(spec.time_attr, _times(spec))


def last_iteration(spec: Hyperband) -> int | None:
    """`max_t`, where it counts iterations and ends trials."""
    return spec.max_t if spec.stop_last_trials and spec.time_attr == TRAINING_ITERATION else None


def validate(spec: Hyperband) -> list[Diagnostic]:
    """Settings under which the algorithm has no meaning."""
    return factor_faults(spec) + max_faults(spec)


def describe(spec: Hyperband) -> str:
    """One line: how many trials each bracket holds at each rung, and what waits for what."""
    brackets = "; ".join(
        ", ".join(f"{size} to {rung}" for size, rung in zip(shape.sizes, shape.rungs, strict=True))
        for shape in shapes(spec)
    )
    last = "end at the last" if spec.stop_last_trials else "run on after the last"
    waits = "trials wait at a rung until all of their bracket are there, at the first until it is full"
    return f"brackets of trials by rung: {brackets}; {waits}, and {last}"


def _reads(spec: Hyperband) -> tuple[str, ...]:
    return metrics_read(spec.time_attr)


def _needs(spec: Any) -> Needs:
    return Needs(checkpoints=True, pause=True, objective=True)


enrol(
    Hyperband,
    Scheduler(
        "hyperband",
        init,
        on_report,
        decision_points,
        describe,
        on_add=on_add,
        on_end=on_end,
        on_leave=on_leave,
        on_full=on_full,
        cull=cull,
        promote=promote,
        last_iteration=last_iteration,
        needs=_needs,
        reads=_reads,
        validate=validate,
    ),
)
