"""Builds the plan of a definition that has no errors."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.names import is_portable
from tunedsl.compiler.context import CompileContext
from tunedsl.compiler.stopping import worker_condition
from tunedsl.compiler.study import study_condition
from tunedsl.plan.clauses import source_lines
from tunedsl.plan.contents import contents_of
from tunedsl.plan.plan import Plan
from tunedsl.plan.settings import EXTERNAL, MAX_ASKED, CheckpointPolicy, Resources, Retry, Timeout
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.sampling import cell_count
from tunedsl.stopping import Budget


def build_plan(context: CompileContext, warnings: Iterable[Diagnostic] = ()) -> Plan:
    """The plan of a definition without errors, with defaults filled in and a seed drawn if none is set."""
    clauses = context.clauses
    name = "experiment" if clauses.trainable is None else clauses.trainable.name  # E030, except for ask and tell
    cells = cell_count(resolve_space(clauses.space))
    samples = clauses.samples or (MAX_ASKED if context.engine == EXTERNAL and cells == 1 else 1)
    limits = clauses.timeout or Timeout()
    plan = Plan(
        name=clauses.name or (name if is_portable(name) else "experiment"),
        trainable=clauses.trainable,
        form=context.form,
        data=tuple(keyword for keyword, _ in clauses.data),
        space=clauses.space,
        objectives=clauses.objectives,
        searcher=context.searcher,
        scheduler=context.scheduler,
        stop=worker_condition(context),
        decision_points=scheduler_of(context.scheduler).decision_points(context.scheduler),
        budget=clauses.budget or Budget(),
        resources=clauses.resources or Resources(),
        parallel=clauses.parallel,
        order=clauses.order or "arrival",
        samples=samples,
        trials=samples * cells,
        seed=context.definition.upcoming_seed.peek() if clauses.seed is None else clauses.seed,
        retry=clauses.retry or Retry.of(),
        fail_fast=bool(clauses.fail_fast),
        timeout=limits.seconds,
        checkpoint=clauses.checkpoint or CheckpointPolicy(),
        naming=clauses.naming,
        idle=limits.idle,
        isolate=clauses.isolate or "pool",
        grace=limits.grace,
        until=study_condition(clauses.until, clauses.objectives),
        constraints=clauses.constraints,
        written="\n".join(source_lines(clauses)),
        warnings=tuple(warnings),
        definition=context.definition,
        drawn_seed=clauses.seed is None,
    )
    contents = contents_of(plan, context.data)
    lowered: Plan = attrs.evolve(plan, contents=contents)  # type: ignore[misc]  # `value` makes attrs classes
    return lowered
