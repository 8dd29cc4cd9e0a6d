"""Replaces some clauses of a plan that has run: its policies for simulations, its limits and space for amendments."""

from __future__ import annotations

import attrs
import toolz

from tunedsl.base.diagnostics import Diagnostics, errors_of
from tunedsl.base.errors import CompileError
from tunedsl.compiler import parameters, policies, stopping, study
from tunedsl.compiler.context import CompileContext
from tunedsl.plan.clauses import Clauses
from tunedsl.plan.definition import Definition
from tunedsl.plan.plan import Plan
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.spaces.expressions import Expr, leaves
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.sampling import cell_count
from tunedsl.stopping import Failing, Reached, failing, iteration
from tunedsl.stopping.tally import disjuncts


def replan(plan: Plan, changes: Definition) -> Plan:
    """A plan with the scheduler, the stop rules, the study conditions, the limits and the space of other clauses.

    Clauses that were not written keep the values of the plan. New stop rules replace all of the plan's, including the
    scheduler's last iteration. Without new ones, that iteration stays unless the new scheduler has its own.

    Raises:
        CompileError: if the clauses do not fit the experiment.
    """
    given = changes.clauses
    scheduler = plan.scheduler if given.scheduler is None else given.scheduler
    stop, until = _stop_rules(plan, given), _study_conditions(plan, given)
    samples = given.samples or plan.samples
    clauses = Clauses(
        space=given.space if given.space.params else plan.space,
        objectives=plan.objectives,
        searcher=plan.searcher,
        scheduler=scheduler,
        stop=stop,
        until=until,
        resources=plan.resources,
        samples=samples,
    )
    context = CompileContext(Definition(clauses, changes.places), "simulated")
    checks = [policies.check, stopping.check, study.check]
    if given.space.params:
        checks.insert(0, parameters.check)
    found = Diagnostics(toolz.concat(toolz.juxt(checks)(context)))
    if errors_of(found):
        raise CompileError(found)
    changed: Plan = attrs.evolve(  # type: ignore[misc]  # `value` makes attrs classes
        plan,
        scheduler=scheduler,
        stop=stopping.worker_condition(context),
        decision_points=scheduler_of(scheduler).decision_points(scheduler),
        until=study.study_condition(until, plan.objectives),
        parallel=plan.parallel if given.parallel is None else given.parallel,
        space=clauses.space,
        samples=samples,
        trials=samples * cell_count(resolve_space(clauses.space)),
        budget=given.budget or plan.budget,
    )
    return changed


def _stop_rules(plan: Plan, given: Clauses) -> tuple[Reached | Expr, ...]:
    if given.stop or plan.stop is None:
        return given.stop
    last = scheduler_of(plan.scheduler).last_iteration(plan.scheduler)
    has_own = given.scheduler is not None and scheduler_of(given.scheduler).last_iteration(given.scheduler) is not None
    return tuple(
        part for part in disjuncts(plan.stop) if not (has_own and last is not None and part == iteration(last))
    )


def _study_conditions(plan: Plan, given: Clauses) -> tuple[Expr, ...]:
    own = () if plan.until is None else disjuncts(plan.until)
    if not given.until:
        return own or (failing(same=0),)
    kept = (part for part in own if isinstance(part, Failing)) if plan.until is not None else (failing(same=0),)
    has_failing = any(isinstance(leaf, Failing) for part in given.until for leaf in leaves(part))
    return (*given.until, *(() if has_failing else kept))
