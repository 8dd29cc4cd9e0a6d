"""Pass 5: the stop conditions, and the one expression that workers evaluate."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Final, cast

import attrs

from tunedsl.base.diagnostics import Diagnostic, SourceLocation
from tunedsl.base.types import AUTOMATIC_METRICS, TRAINING_ITERATION
from tunedsl.compiler.context import CompileContext
from tunedsl.compiler.trainable import check_call
from tunedsl.schedulers.contract import first_due, scheduler_of
from tunedsl.spaces.expressions import Expr, leaves, map_leaves
from tunedsl.stopping import (
    Calls,
    Metric,
    Plateau,
    Reached,
    condition_metrics,
    describe_condition,
    is_always_met,
    iteration,
)
from tunedsl.stopping.reading import compares_numbers, compares_with_nan, comparisons, is_met_at_first_report, is_met_by

_EARLIER: Final = {
    "pbt": "a smaller perturbation_interval or burn_in_period",
    "pb2": "a smaller perturbation_interval or burn_in_period",
    "asha": "a smaller grace_period",
    "asha_promote": "a smaller grace_period",
    "pasha": "a smaller grace_period",
    "median_stopping": "a smaller grace_period",
}
"""How to make each scheduler decide earlier."""


def check(context: CompileContext) -> Iterator[Diagnostic]:
    """Reports conditions that are always met, and trials that never end or never reach `max_t`."""
    for place, condition in zip(condition_places(context), conditions(context), strict=True):
        for goal in context.clauses.objectives:
            if is_always_met(condition, goal.metric):
                message = f"The stop condition {describe_condition(condition)} is met by any value of {goal.metric}."
                yield Diagnostic("E050", "stop", message, "write a threshold that only some values reach", place)
        if is_met_at_first_report(condition):
            message = f"The stop condition {describe_condition(condition)} ends every trial at its first report."
            hint = "stop(training_iteration=10) ends a trial at its tenth report"
            yield Diagnostic("E050", "stop", message, hint, place)
        for diagnostic in _comparisons(context, condition):
            yield attrs.evolve(diagnostic, place=place)
        for leaf in leaves(condition):
            if isinstance(leaf, Calls):
                function, name = leaf.function.resolve(), leaf.function.name
                for diagnostic in check_call("E061", "stop", function, name, {}, "trial_id", "result"):
                    yield attrs.evolve(diagnostic, place=place)
            if isinstance(leaf, Plateau) and leaf.metric_threshold is not None and leaf.mode is None:
                message = f"{leaf!r} needs a mode, because {leaf.metric} is not an objective."
                yield Diagnostic("E051", "stop", message, "add mode='min' or mode='max' to plateau(...)", place)
    yield from _never_decided(context)
    last = context.last_iteration
    if last is not None and last > 1:
        early = [each for each in conditions(context) if is_met_by(each, {TRAINING_ITERATION: last - 1})]
        if early:
            message = f"No trial reaches max_t={last}, because trials end when {describe_condition(early[0])}."
            hint = "set max_t to the iteration at which trials end"
            yield Diagnostic("W040", "scheduler", message, hint)
    if last is None and context.form == "class" and context.trainable is not None and not conditions(context):
        hint = "add .stop(training_iteration=10), unless step() returns None to end a trial"
        yield Diagnostic("W050", "stop", "The experiment has no stop condition, so its trials may never end.", hint)


def _never_decided(context: CompileContext) -> Iterator[Diagnostic]:
    """Reports a scheduler whose first decision comes after every trial has ended."""
    scheduler, spec = scheduler_of(context.scheduler), context.scheduler
    if scheduler.validate(spec):
        return
    due = first_due(scheduler.decision_points(spec))
    metric, at = scheduler.first_decision(spec) or (TRAINING_ITERATION, due)
    if at is None:
        return
    ends = [f"end when {describe_condition(each)}" for each in conditions(context) if is_met_by(each, {metric: at})]
    if metric == TRAINING_ITERATION:
        last, known = context.last_iteration, context.max_reports
        ends += [f"end at max_t={last}"] if last is not None and last <= at else []
        # After its last report, a trial has nothing left to continue from a checkpoint.
        if known is not None and (known < at or (known == at and scheduler.requirements(spec).checkpoints)):
            ends.append(f"make {known} report{'s' if known != 1 else ''} at most")
    if ends:
        message = f"{scheduler.name} first decides about a trial at {metric} {at:g}, but trials {ends[0]}."
        hint = f"use {_EARLIER.get(scheduler.name, 'earlier decisions')}, or let trials run longer"
        yield Diagnostic("W041", "scheduler", message, hint)


def _comparisons(context: CompileContext, condition: Expr) -> Iterator[Diagnostic]:
    """Reports comparisons of numbers with other kinds of values, and with NaN."""
    numbers = {*AUTOMATIC_METRICS, *(goal.metric for goal in context.clauses.objectives)}
    for part in comparisons(condition):
        if compares_with_nan(part):
            hint = "write diverged(name), which NaN and infinity meet"
            message = f"The stop condition {describe_condition(part)} compares with NaN, so its result never changes."
            yield Diagnostic("E052", "stop", message, hint)
        elif not compares_numbers(part):
            message = f"The stop condition {describe_condition(part)} compares with something other than a number."
            if numbers.intersection(condition_metrics(part)):
                yield Diagnostic("E052", "stop", message, "compare the metric with a number")
            elif part.op not in ("==", "!="):
                hint = "compare with a number: a trial that reports a number for this metric fails"
                yield Diagnostic("W051", "stop", message, hint)


def condition_places(context: CompileContext) -> list[SourceLocation | None]:
    """The place of each of `conditions`."""
    return [context.definition.places.get(f"stop.{part!r}") for part in context.clauses.stop]


def conditions(context: CompileContext) -> list[Expr]:
    """The stop conditions, with keywords and directions resolved by the objectives."""
    modes = {goal.metric: goal.mode for goal in context.clauses.objectives}

    def resolved(leaf: Expr) -> Expr:
        if isinstance(leaf, Plateau) and leaf.mode is None and leaf.metric_threshold is not None:
            return attrs.evolve(cast(Any, leaf), mode=modes.get(leaf.metric))  # type: ignore[no-any-return]
        return leaf

    def one(part: Reached | Expr) -> Expr:
        if not isinstance(part, Reached):
            return map_leaves(resolved, part)
        bound = int(part.value) if part.value.is_integer() else part.value
        metric = Metric(part.metric)
        return metric <= bound if modes.get(part.metric) == "min" else metric >= bound

    return [one(part) for part in context.clauses.stop]


def worker_condition(context: CompileContext) -> Expr | None:
    """The condition that workers evaluate: all conditions and the scheduler's last iteration, joined by or."""
    parts = conditions(context)
    last = context.last_iteration
    if last is not None:
        parts.append(iteration(last))
    distinct = list(dict.fromkeys(parts))
    return functools.reduce(lambda left, right: left | right, distinct) if distinct else None
