"""Median stopping: a trial stops when its best value is worse than the median of the others' averages.

Source: Golovin et al., Google Vizier: A Service for Black-Box Optimization (KDD 2017), section 3.2.2; decides as
`MedianStoppingRule` of Ray Tune does on the same reports, except that
- a NaN is never a trial's best, and averages are exact;
- trials yield only if `min_time_slice` is set;
- after a trial was judged and continues, its reports no longer count for others, its last report included.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from fractions import Fraction

import immutables
import msgspec
from msgspec.structs import replace

from tunedsl.base.arguments import as_bool, as_int, as_number, as_text, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.references import call_repr
from tunedsl.base.types import TIME_TOTAL, TRAINING_ITERATION
from tunedsl.schedulers.contract import (
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
from tunedsl.schedulers.rung import Rung, median, record
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
    count in averages.

    Args:
        time_attr: the metric that measures a trial's progress, rising with its reports. With
            `training_iteration` a decision is cheap; with seconds it compares with each trial.
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


class TrialCurve(msgspec.Struct, frozen=True):
    """The curve of one trial.

    Attributes:
        last: time of its last report.
        best: its best value; minus infinity before the first one.
        total: sum of the values since the grace period; None after a value that was not finite.
        count: number of these values.
        times: time of each report since the grace period; empty if rungs contain the averages.
        means: average up to each of these reports.
        paused_at: time of its last pause, for `min_time_slice`.
        is_exempt: whether it was judged and runs to its end.
    """

    last: float = -math.inf
    best: float = -math.inf
    total: Fraction | None = Fraction(0)
    count: int = 0
    times: tuple[float, ...] = ()
    means: tuple[float, ...] = ()
    paused_at: float = -math.inf
    is_exempt: bool = False


class MedianStoppingState(msgspec.Struct, frozen=True):
    """The trials' curves, the averages by iteration, and the paused trials.

    Attributes:
        metric: the objective's name.
        curves: the curves of all trials that have reported.
        rungs: for each iteration, the averages of the trials that reported it; empty if time is not in iterations.
        yielded: trials that paused for others, the earliest first.
        below_median: trials that paused because they are worse than the median, the earliest first.
        all_proposed: whether no more trials are proposed.
    """

    metric: str
    curves: immutables.Map[int, TrialCurve] = immutables.Map()
    rungs: immutables.Map[int, Rung] = immutables.Map()
    yielded: tuple[int, ...] = ()
    below_median: tuple[int, ...] = ()
    all_proposed: bool = False


def init(spec: MedianStopping, context: SchedulerContext) -> MedianStoppingState:
    """No curves."""
    return MedianStoppingState(context.objective.metric if context.objective else "")


def on_report(spec: MedianStopping, state: MedianStoppingState, report: Report) -> DecisionResult:
    """Compares the trial's best with the median of the others' averages at this time."""
    time, known = time_of(spec.time_attr, report), state.curves.get(report.trial, TrialCurve())
    if time is None or known.is_exempt or _is_missing_metric(state, report):
        return state, "continue", None
    others = _averages_of_others(spec, state, report.trial, time)
    state, curve = _record_report(spec, state, report, time)
    if time < spec.grace_period:
        return state, "continue", None
    if others.size < spec.min_samples_required:
        why = reason("median_stopping", time=time, competitors=others.size, required=spec.min_samples_required)
        others_wait = not state.all_proposed or bool(state.yielded or state.below_median)
        if 0 < spec.min_time_slice < time - curve.paused_at and others_wait:
            curves = state.curves.set(report.trial, replace(curve, paused_at=time))
            return replace(state, curves=curves, yielded=(*state.yielded, report.trial)), "pause", why
        return state, "continue", why
    middle = median(others)
    why = reason("median_stopping", time=time, value=curve.best, median=middle, competitors=others.size)
    if curve.best >= middle:
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
    return report.value != report.value and state.metric not in report.metrics


def _record_report(
    spec: MedianStopping, state: MedianStoppingState, report: Report, time: float
) -> tuple[MedianStoppingState, TrialCurve]:
    """The state with one more report, and the trial's curve in it."""
    curve = state.curves.get(report.trial, TrialCurve())
    best = report.value if report.value > curve.best else curve.best
    total, count, times, means, rungs = curve.total, curve.count, curve.times, curve.means, state.rungs
    if time >= spec.grace_period:
        count += 1
        total = total + Fraction(report.value) if total is not None and math.isfinite(report.value) else None
        mean = math.nan if total is None else float(total / count)
        if spec.time_attr == TRAINING_ITERATION:
            rungs = rungs.set(report.iteration, record(rungs.get(report.iteration, Rung()), mean))
        else:
            times, means = (*times, time), (*means, mean)
    curve = replace(curve, last=time, best=best, total=total, count=count, times=times, means=means)
    return replace(state, curves=state.curves.set(report.trial, curve), rungs=rungs), curve


def _averages_of_others(spec: MedianStopping, state: MedianStoppingState, trial: int, time: float) -> Rung:
    """The finite averages up to this time of the others that reached it."""
    if spec.time_attr == TRAINING_ITERATION:
        return state.rungs.get(int(time), Rung())
    found = []
    for other, curve in state.curves.items():
        if curve.last >= time and other != trial:
            at = bisect_right(curve.times, time)
            if at and math.isfinite(curve.means[at - 1]):
                found.append(curve.means[at - 1])
    return Rung((array("d", sorted(found)),), len(found)) if found else Rung()


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
    return Requirements(checkpoints=pauses, pause=pauses, objective=True)


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
