"""Median stopping: a trial stops when its best value is worse than the median of the others' averages.

Source: Golovin et al., Google Vizier: A Service for Black-Box Optimization (KDD 2017), section 3.2.2; decides as
`MedianStoppingRule` of Ray Tune does on the same reports, except that
- a NaN is never a trial's best, and averages are exact;
- trials yield only if `min_time_slice` is set;
- after a trial was judged and continues, its reports no longer count for others, its last report included;
- the average of a trial with feasible reports leaves out its infeasible ones.
"""

from __future__ import annotations

import math
from fractions import Fraction

import immutables
import msgspec
from msgspec.structs import replace

from tunedsl.base.arguments import as_bool, as_int, as_number, as_text, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.objective import Objective, violation_in
from tunedsl.base.references import call_repr
from tunedsl.base.types import TIME_TOTAL, TRAINING_ITERATION
from tunedsl.schedulers.contract import (
    UNLIMITED,
    DecisionPoints,
    DecisionResult,
    Every,
    Reason,
    Report,
    Requirements,
    Scheduler,
    SchedulerContext,
    reason,
    register_scheduler,
)
from tunedsl.schedulers.ranking import ranked_values
from tunedsl.schedulers.rung import Rung, median, record
from tunedsl.schedulers.step_functions import Steps, add, count_at, extend, median_at
from tunedsl.schedulers.time_attr import canonical_number, spec_diagnostic, time_metrics, time_of


@value
class MedianStopping:
    """The settings of the median rule; see `median_stopping`."""

    time_attr: str = TIME_TOTAL
    grace_period: float = 60
    min_samples_required: int = 3
    min_time_slice: float = 0
    hard_stop: bool = True

    def __repr__(self) -> str:
        return call_repr("median_stopping", self)


@check_arguments
def median_stopping(
    time_attr: str = TIME_TOTAL,
    grace_period: float = 60,
    min_samples_required: int = 3,
    min_time_slice: float = 0,
    hard_stop: bool = True,
) -> MedianStopping:
    """Stops a trial whose best value so far is worse than the median of the others' running averages.

    The others are all trials that reached the same time, ended ones included. Reports before `grace_period` do not
    count in averages. With several objectives, a trial stops if it is worse than the median in each of them.

    Args:
        time_attr: the metric that measures a trial's progress, rising with its reports.
        grace_period: time before which no trial stops, in units of `time_attr`, at least 0.
        min_samples_required: smallest number of other trials for a median, at least 1.
        min_time_slice: time after which a trial pauses for new trials if there are too few for a median, in units of
            `time_attr`; 0 for never.
        hard_stop: whether trials stop. If not, they pause, and continue to their end when no other work is left.

    Returns:
        A scheduler spec. It needs an objective, and a trainable that saves and loads if trials pause.

    Raises:
        ArgumentError: for an argument of the wrong type.

    >>> median_stopping(time_attr="training_iteration", grace_period=5)
    median_stopping(time_attr='training_iteration', grace_period=5)
    """
    return MedianStopping(
        as_text("median_stopping.time_attr", time_attr),
        canonical_number(as_number("median_stopping.grace_period", grace_period)),
        as_int("median_stopping.min_samples_required", min_samples_required),
        canonical_number(as_number("median_stopping.min_time_slice", min_time_slice)),
        as_bool("median_stopping.hard_stop", hard_stop),
    )


class Average(msgspec.Struct, frozen=True):
    """One objective of a trial.

    Attributes:
        best: its best value; minus infinity before the first one.
        total: sum of the values since the grace period, of the feasible ones if there are any; None after a value that
            was not finite.
        mean: their average; NaN without one.
        count: their number.
    """

    best: float = -math.inf
    total: Fraction | None = Fraction(0)
    mean: float = math.nan
    count: int = 0


class TrialCurve(msgspec.Struct, frozen=True):
    """The curve of one trial.

    Attributes:
        last: time of its last report.
        averages: one for each objective; empty before the first report.
        paused_at: time of its last pause, for `min_time_slice`.
        is_exempt: whether it was judged and runs to its end.
    """

    last: float = -math.inf
    averages: tuple[Average, ...] = ()
    paused_at: float = -math.inf
    is_exempt: bool = False


class Averages(msgspec.Struct, frozen=True):
    """The averages of all trials, for one objective.

    Attributes:
        rungs: for each iteration, the averages of the trials that reported it; empty if time is not in iterations.
        steps: the average of each trial from each report until its next one; empty if time is in iterations.
    """

    rungs: immutables.Map[int, Rung] = immutables.Map()
    steps: Steps = Steps()


class MedianStoppingState(msgspec.Struct, frozen=True):
    """The trials' curves, the averages by time, and the paused trials.

    Attributes:
        objectives: the objectives.
        averages: the averages of each objective.
        curves: the curves of all trials that have reported.
        yielded: trials that paused for others, the earliest first.
        below_median: trials that paused because they are worse than the median, the earliest first.
        all_proposed: whether no more trials are proposed.
    """

    objectives: tuple[Objective, ...]
    averages: tuple[Averages, ...]
    curves: immutables.Map[int, TrialCurve] = immutables.Map()
    yielded: tuple[int, ...] = ()
    below_median: tuple[int, ...] = ()
    all_proposed: bool = False


def init(spec: MedianStopping, context: SchedulerContext) -> MedianStoppingState:
    """No curves."""
    only = () if context.objective is None else (context.objective,)
    return MedianStoppingState(context.objectives or only, (Averages(),) * max(len(context.objectives), 1))


def on_report(spec: MedianStopping, state: MedianStoppingState, report: Report) -> DecisionResult:
    """Compares the trial's best with the median of the others' averages at this time."""
    time, known = time_of(spec.time_attr, report), state.curves.get(report.trial, TrialCurve())
    if time is None or known.is_exempt or _is_missing_metric(state, report):
        return state, "continue", None
    time = _next_time(spec, known, time)
    averages = _without_last(spec, state.averages, known, time)
    counts, medians = _others_at(spec, averages, time) if time >= spec.grace_period else (0, ())
    state, curve = _record_report(spec, replace(state, averages=averages), report, time)
    if time < spec.grace_period:
        return state, "continue", None
    if counts < spec.min_samples_required:
        why = reason("median_stopping", time=time, competitors=counts, required=spec.min_samples_required)
        others_wait = not state.all_proposed or bool(state.yielded or state.below_median)
        if 0 < spec.min_time_slice < time - curve.paused_at and others_wait:
            curves = state.curves.set(report.trial, replace(curve, paused_at=time))
            return replace(state, curves=curves, yielded=(*state.yielded, report.trial)), "pause", why
        return state, "continue", why
    why = _comparison(state, curve, time, medians, counts)
    if any(each.best >= middle for each, middle in zip(curve.averages, medians, strict=True)):
        return state, "continue", why
    if spec.hard_stop:
        return state, "stop", why
    state = replace(state, curves=state.curves.set(report.trial, replace(curve, is_exempt=True)))
    if state.all_proposed and not (state.yielded or state.below_median):
        return state, "continue", why  # it would be resumed at once
    return replace(state, below_median=(*state.below_median, report.trial)), "pause", why


def on_end(spec: MedianStopping, state: MedianStoppingState, report: Report) -> MedianStoppingState:
    """Records a last report that had no decision."""
    time, known = time_of(spec.time_attr, report), state.curves.get(report.trial, TrialCurve())
    if time is None or known.is_exempt or time <= known.last or _is_missing_metric(state, report):
        return state
    state = replace(state, averages=_without_last(spec, state.averages, known, time))
    return _record_report(spec, state, report, time)[0]


def on_remove(spec: MedianStopping, state: MedianStoppingState, trial: int) -> MedianStoppingState:
    """Its reports still count; it is not resumed."""
    if trial not in state.yielded and trial not in state.below_median:
        return state
    yielded = tuple(each for each in state.yielded if each != trial)
    return replace(state, yielded=yielded, below_median=tuple(each for each in state.below_median if each != trial))


def on_all_proposed(spec: MedianStopping, state: MedianStoppingState) -> MedianStoppingState:
    """Free slots go to paused trials now."""
    return replace(state, all_proposed=True)


def promote(spec: MedianStopping, state: MedianStoppingState) -> tuple[MedianStoppingState, tuple[int, Reason] | None]:
    """Once no more trials are proposed: trials that paused for others, then those below the median."""
    if not state.all_proposed:
        return state, None
    if state.yielded:
        first = state.yielded[0]
        return replace(state, yielded=state.yielded[1:]), (first, reason("median_stopping", paused="for others"))
    if state.below_median:
        first = state.below_median[0]
        return replace(state, below_median=state.below_median[1:]), (
            first,
            reason("median_stopping", paused="below the median"),
        )
    return state, None


def _is_missing_metric(state: MedianStoppingState, report: Report) -> bool:
    values = report.values or (report.value,)
    return any(
        value != value and goal.metric not in report.metrics
        for value, goal in zip(values, state.objectives, strict=False)
    )


def _counts_iterations(spec: MedianStopping) -> bool:
    return spec.time_attr == TRAINING_ITERATION


def _next_time(spec: MedianStopping, curve: TrialCurve, time: float) -> float:
    """The time of a report; one that is earlier than the trial's last counts as that one."""
    return time if _counts_iterations(spec) else max(time, curve.last)


def _without_last(
    spec: MedianStopping, averages: tuple[Averages, ...], curve: TrialCurve, time: float
) -> tuple[Averages, ...]:
    """The averages in which a trial's last one ends before `time`, so that the trial is not among the others."""
    if _counts_iterations(spec) or not math.isfinite(curve.last):
        return averages
    return tuple(
        replace(each, steps=extend(each.steps, own.mean, curve.last, time)) if math.isfinite(own.mean) else each
        for each, own in zip(averages, curve.averages, strict=True)
    )


def _others_at(spec: MedianStopping, averages: tuple[Averages, ...], time: float) -> tuple[int, tuple[float, ...]]:
    """The number of the others that reached a time, and the medians of their finite averages up to it."""
    if not _counts_iterations(spec):
        counts = [count_at(each.steps, time) for each in averages]
        return min(counts), tuple(median_at(each.steps, time) for each in averages)
    rungs = [each.rungs.get(int(time), Rung()) for each in averages]
    return min(rung.size for rung in rungs), tuple(median(rung) if rung.size else math.nan for rung in rungs)


def _comparison(
    state: MedianStoppingState, curve: TrialCurve, time: float, medians: tuple[float, ...], competitors: int
) -> Reason:
    """The reason of a decision; the facts of several objectives have the names of their metrics."""
    if len(medians) == 1:
        facts = {"value": curve.averages[0].best, "median": medians[0]}
    else:
        facts = {}
        for goal, own, middle in zip(state.objectives, curve.averages, medians, strict=True):
            facts |= {goal.metric: goal.sign * own.best, f"{goal.metric} median": goal.sign * middle}
    return Reason("median_stopping", reason("", time=time, **facts, competitors=competitors).facts)


def _record_report(
    spec: MedianStopping, state: MedianStoppingState, report: Report, time: float
) -> tuple[MedianStoppingState, TrialCurve]:
    """The state with one more report, and the trial's curve in it."""
    curve = state.curves.get(report.trial, TrialCurve())
    is_averaged = time >= spec.grace_period
    known = curve.averages or (Average(),) * len(state.averages)
    own = tuple(_with_value(each, new, is_averaged) for each, new in zip(known, ranked_values(report), strict=True))
    averages = state.averages
    if is_averaged:
        averages = tuple(
            _with_average(spec, all_trials, each.mean, report.iteration, time)
            for all_trials, each in zip(averages, own, strict=True)
        )
    curve = replace(curve, last=time, averages=own)
    return replace(state, curves=state.curves.set(report.trial, curve), averages=averages), curve


def _with_value(own: Average, new: float, is_averaged: bool) -> Average:
    """One objective of a trial with one more value; a feasible one replaces all infeasible ones in the average."""
    best = new if new > own.best else own.best
    was_infeasible, is_infeasible = violation_in(own.mean) is not None, violation_in(new) is not None
    if not is_averaged or (is_infeasible and own.count and not was_infeasible):
        return replace(own, best=best)
    before = Average() if was_infeasible and not is_infeasible else own
    total = before.total + Fraction(new) if before.total is not None and math.isfinite(new) else None
    count = before.count + 1
    return Average(best, total, math.nan if total is None else float(total / count), count)


def _with_average(spec: MedianStopping, averages: Averages, mean: float, iteration: int, time: float) -> Averages:
    """The averages of all trials with one more."""
    if _counts_iterations(spec):
        rung = record(averages.rungs.get(iteration, Rung()), mean)
        return replace(averages, rungs=averages.rungs.set(iteration, rung))
    if math.isfinite(mean) and math.isfinite(time):
        return replace(averages, steps=add(averages.steps, mean, time))
    return averages


def decision_points(spec: MedianStopping) -> DecisionPoints:
    """Every report."""
    return Every(1)


def validate(spec: MedianStopping) -> list[Diagnostic]:
    """Diagnostics of invalid settings."""
    faults = []
    if not (math.isfinite(spec.grace_period) and spec.grace_period >= 0):
        faults.append(spec_diagnostic(spec, "E078", "grace_period", "a finite number of at least 0"))
    if spec.min_samples_required < 1:
        faults.append(spec_diagnostic(spec, "E078", "min_samples_required", "at least 1"))
    if not spec.min_time_slice >= 0:
        faults.append(spec_diagnostic(spec, "E078", "min_time_slice", "at least 0"))
    return faults


def describe(spec: MedianStopping) -> str:
    """One line: what is compared, and from which time."""
    what = "stop" if spec.hard_stop else "pause until no other work is left"
    slices = f"; they pause for others after each {spec.min_time_slice:g}" if spec.min_time_slice else ""
    return (
        f"trials {what} when their best is worse than the median average of at least {spec.min_samples_required} "
        f"others at that time, after {spec.time_attr} {spec.grace_period:g}{slices}"
    )


def _requirements(spec: MedianStopping) -> Requirements:
    pauses = bool(spec.min_time_slice) or not spec.hard_stop
    return Requirements(checkpoints=pauses, pause=pauses, objective=True, objectives=UNLIMITED)


register_scheduler(
    MedianStopping,
    Scheduler(
        "median_stopping",
        init,
        on_report,
        decision_points,
        describe,
        on_end=on_end,
        on_remove=on_remove,
        on_all_proposed=on_all_proposed,
        promote=promote,
        requirements=_requirements,
        first_decision=lambda spec: (spec.time_attr, spec.grace_period),
        metrics_used=time_metrics,
        validate=validate,
    ),
)
