"""Pass 6: checks the conditions of `until`, and joins them to the condition that the kernel evaluates."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any, cast

import attrs

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.objective import Objective
from tunedsl.compiler.context import CompileContext
from tunedsl.compiler.trainable import check_call
from tunedsl.spaces.expressions import Expr, leaves, map_leaves
from tunedsl.stopping import Failing, StudyCalls, describe_condition, failing
from tunedsl.stopping.reading import compares_numbers, compares_with_nan, comparisons
from tunedsl.stopping.study import MEASURED


def check(context: CompileContext) -> Iterator[Diagnostic]:
    """Reports conditions without a metric or a direction, wrong comparisons, and functions with other arguments."""
    objectives = context.clauses.objectives
    for condition in context.clauses.until:
        for leaf in leaves(resolved(condition, objectives)):
            if isinstance(leaf, MEASURED) and leaf.metric is None:
                message = f"{leaf!r} needs an objective, and the experiment has none."
                yield Diagnostic("E045", "until", message, 'add .minimize("loss"), or name the metric')
            elif isinstance(leaf, MEASURED) and leaf.mode is None:
                message = f"{leaf!r} needs a mode, because {leaf.metric} is not an objective."
                yield Diagnostic("E051", "until", message, "add mode='min' or mode='max'")
            elif isinstance(leaf, StudyCalls):
                function = leaf.function
                yield from check_call("E061", "until", function.resolve(), function.name, {}, "summary")
        for part in comparisons(condition):
            if compares_with_nan(part) or not compares_numbers(part):
                message = f"{describe_condition(resolved(part, objectives))} has the same result for every value."
                yield Diagnostic("E052", "until", message, "compare with a number")


def resolved(condition: Expr, objectives: tuple[Objective, ...]) -> Expr:
    """A condition whose leaves have a metric and direction, filled in from the objectives."""
    modes = {goal.metric: goal.mode for goal in objectives}

    def one(leaf: Expr) -> Expr:
        if not isinstance(leaf, MEASURED):
            return leaf
        metric = leaf.metric or (objectives[0].metric if objectives else None)
        mode = leaf.mode or modes.get(metric or "")
        return attrs.evolve(cast(Any, leaf), metric=metric, mode=mode)  # type: ignore[no-any-return]

    return map_leaves(one, condition)


def study_condition(conditions: Iterable[Expr], objectives: tuple[Objective, ...]) -> Expr | None:
    """The conditions of `until` joined by or, with the default `failing()` unless they have one."""
    parts = [resolved(condition, objectives) for condition in conditions]
    has_failing = any(isinstance(leaf, Failing) for part in parts for leaf in leaves(part))
    parts += [] if has_failing else [failing()]
    parts = [part for part in parts if not (isinstance(part, Failing) and part.same == 0)]
    return functools.reduce(lambda left, right: left | right, parts) if parts else None
