"""The last step: an experiment without errors becomes a plan."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import attrs

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.names import is_portable
from tunedsl.compiler.context import CompileContext
from tunedsl.compiler.stopping import worker_condition
from tunedsl.plan.clauses import source_lines
from tunedsl.plan.contents import contents_of
from tunedsl.plan.plan import Plan
from tunedsl.plan.settings import CheckpointPolicy, Resources, Retry, Timeout
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.spaces.expressions import Expr, leaves
from tunedsl.spaces.layout import resolve_space as laid_out
from tunedsl.spaces.sampling import cell_count
from tunedsl.stopping import Budget, Failing, failing


def build_plan(case: CompileContext, warnings: Iterable[Diagnostic] = ()) -> Plan:
    """The plan of an experiment that has no errors; defaults filled in, a seed drawn where there is none."""
    clauses = case.clauses
    assert clauses.trainable is not None  # a check has seen to it
    name = clauses.trainable.name
    samples = clauses.samples or 1
    limits = clauses.timeout or Timeout()
    plan = Plan(
        name=clauses.name or (name if is_portable(name) else "experiment"),
        trainable=clauses.trainable,
        form=case.form,
        data=tuple(keyword for keyword, _ in clauses.data),
        space=clauses.space,
        objectives=clauses.objectives,
        searcher=case.searcher,
        scheduler=case.scheduler,
        stop=worker_condition(case),
        decision_points=scheduler_of(case.scheduler).decision_points(case.scheduler),
        budget=clauses.budget or Budget(),
        resources=clauses.resources or Resources(),
        parallel=clauses.parallel,
        order=clauses.order or "arrival",
        samples=samples,
        trials=samples * cell_count(laid_out(clauses.space)),
        seed=case.definition.upcoming_seed.peek() if clauses.seed is None else clauses.seed,
        retry=clauses.retry or Retry.of(),
        fail_fast=bool(clauses.fail_fast),
        timeout=limits.seconds,
        checkpoint=clauses.checkpoint or CheckpointPolicy(),
        naming=clauses.naming,
        idle=limits.idle,
        isolate=clauses.isolate or "pool",
        grace=limits.grace,
        until=_study_condition(clauses.until),
        written="\n".join(source_lines(clauses)),
        warnings=tuple(warnings),
        definition=case.definition,
        drawn_seed=clauses.seed is None,
    )
    contents = contents_of(plan, case.data)
    lowered: Plan = attrs.evolve(plan, contents=contents)  # type: ignore[misc]  # `value` makes attrs classes
    return lowered


def _study_condition(conditions: tuple[Expr, ...]) -> Expr | None:
    """What ends the run: the conditions joined by or, and the usual one about failures where none says otherwise."""
    says = any(isinstance(leaf, Failing) for condition in conditions for leaf in leaves(condition))
    parts = [*conditions, *([] if says else [failing()])]
    parts = [part for part in parts if not (isinstance(part, Failing) and part.same == 0)]
    return functools.reduce(lambda left, right: left | right, parts) if parts else None
