"""Pass 5: the stop conditions, normalised to one expression that is shipped to the workers."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, cast

import attrs

from tunedsl.base.diagnostics import Diagnostic, Place
from tunedsl.base.vocabulary import TRAINING_ITERATION
from tunedsl.compiler.case import Case
from tunedsl.space.expressions import Expr, leaves, map_leaves
from tunedsl.stop import Metric, Plateau, Reached, always_met, iteration, met_text
from tunedsl.stop.reading import met_with


def check(case: Case) -> Iterator[Diagnostic]:
    """Conditions that say nothing, and trials that never end or never come to `max_t`."""
    for place, condition in zip(places(case), conditions(case), strict=True):
        for goal in case.clauses.objectives:
            if always_met(condition, goal.metric):
                found = f"{met_text(condition)}, which any value of {goal.metric} meets"
                yield Diagnostic("E050", "stop", found, "a condition that some value does not meet", place=place)
        for leaf in leaves(condition):
            if isinstance(leaf, Plateau) and leaf.metric_threshold is not None and leaf.mode is None:
                found = f"{leaf!r}, and {leaf.metric} is no objective"
                expected = "the direction in which the metric is better"
                yield Diagnostic("E051", "stop", found, expected, "mode='min' or mode='max'", place)
    last = case.last_iteration
    if last is not None and last > 1:
        early = [each for each in conditions(case) if met_with(each, {TRAINING_ITERATION: last - 1})]
        if early:
            found = f"trials come to iteration {last}, but end when {met_text(early[0])}"
            hint = "set max_t to the iteration at which trials end"
            yield Diagnostic("W040", "scheduler", found, "stop conditions that let trials come to max_t", hint)
    if last is None and case.form == "class" and case.trainable is not None and not conditions(case):
        hint = "fine where step() returns None at some time; else add .stop(training_iteration=10)"
        yield Diagnostic("W050", "stop", "a class form without a stop condition", "something that ends a trial", hint)


def places(case: Case) -> list[Place | None]:
    """Where each of `conditions` was written."""
    return [case.experiment.places.get(f"stop.{part!r}") for part in case.clauses.stop]


def conditions(case: Case) -> list[Expr]:
    """The experiment's stop conditions, keywords and directions resolved by the objective."""
    modes = {goal.metric: goal.mode for goal in case.clauses.objectives}

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

    return [one(part) for part in case.clauses.stop]


def shipped(case: Case) -> Expr | None:
    """What workers evaluate: the conditions, and the scheduler's last iteration, joined by or."""
    parts = conditions(case)
    last = case.last_iteration
    if last is not None:
        parts.append(iteration(last))
    distinct = list(dict.fromkeys(parts))
    return functools.reduce(lambda left, right: left | right, distinct) if distinct else None
