"""Selection in a run's history: the objective, the score of each trial, the best trial, and the order of all trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np

from tunedsl.base.diagnostics import with_help
from tunedsl.base.errors import ArgumentError, NoResult, wrong_value
from tunedsl.base.names import did_you_mean, nearest
from tunedsl.base.objective import Objective
from tunedsl.base.pareto import pareto_front
from tunedsl.base.types import AUTOMATIC_METRICS, Mode
from tunedsl.plan import Plan
from tunedsl.results.feasibility import violation
from tunedsl.results.ranking import best_record, rank
from tunedsl.results.trial_history import SCOPES, RunHistory, Scope, TrialHistory


def choose_objective(plan: Plan, metric: str | None = None, mode: Mode | None = None) -> Objective:
    """The first objective of a plan, the objective of a metric, or any metric with a mode.

    Raises:
        ArgumentError: for an unknown mode, or for a metric without mode that is not an objective.
        NoResult: when the plan has no objective and no metric is given.
    """
    if mode is not None and mode not in get_args(Mode):
        raise wrong_value("mode", mode, "'min' or 'max'")
    known = {objective.metric: objective for objective in reversed(plan.objectives)}
    if metric is None:
        if not known:
            raise NoResult("The experiment has no objective.\n  help: pass metric= and mode='min' or mode='max'")
        metric = plan.objectives[0].metric
    if mode is not None:
        return Objective(metric, mode)
    if metric not in known:
        hint = "write mode='min' or mode='max'" + (f"; objectives need none: {', '.join(known)}" if known else "")
        raise ArgumentError("E002", "mode", f"The metric {metric!r} is not an objective, so it needs a mode.", hint)
    return known[metric]


def scores(
    history: RunHistory, objective: Objective, scope: Scope = "last", finite: bool = True
) -> Iterator[tuple[TrialHistory, float | None]]:
    """Each trial with its score; None for a trial without one.

    Raises:
        ArgumentError: for an unknown scope.
    """
    if scope not in SCOPES:
        raise wrong_value("scope", scope, f"one of {', '.join(SCOPES)}")
    return ((record, record.score(objective, scope, finite)) for record in history.records.values())


def find_best(history: RunHistory, objective: Objective, scope: Scope = "last", finite: bool = True) -> TrialHistory:
    """The best trial by its score.

    Raises:
        NoResult: when no trial has a score; the message gives the reason.
        ArgumentError: for an unknown scope.
    """
    records = (record for record, _ in scores(history, objective, scope, finite))
    best = best_record(records, objective, scope, finite, history.plan.constraints)
    if best is None:
        raise NoResult(explain_no_best(history, objective))
    return best


def find_pareto(history: RunHistory, objectives: Sequence[Objective]) -> list[TrialHistory]:
    """The trials whose last reports no other one beats in all objectives, without failed and incomplete ones.

    If any are feasible, only these are compared; else those with the least total violation.
    """
    ended = [record for record in history.records.values() if record.status != "failed"]
    values = [(record, [record.score(goal, "last") for goal in objectives]) for record in ended]
    whole = [(record, row) for record, row in values if None not in row]
    totals = [violation(record, history.plan.constraints) for record, _ in whole]
    least = min(totals, default=0.0)
    whole = [pair for pair, total in zip(whole, totals, strict=True) if total == least]
    losses = [[-goal.sign * float(x or 0) for goal, x in zip(objectives, row, strict=True)] for _, row in whole]
    front = pareto_front(np.array(losses, float).reshape(len(whole), len(objectives)))
    return [record for (record, _), is_on in zip(whole, front, strict=True) if is_on]


def find_record(history: RunHistory, trial: str | int) -> TrialHistory:
    """The history of a trial, by its id or number; raises `NoResult` for an unknown trial."""
    records = history.records.values()
    for record in records:
        if trial in (record.name, record.number):
            return record
    near = nearest(str(trial), [record.name for record in records])
    message = f"The {len(records)} trials of {history.journal.folder} do not include {trial!r}."
    raise NoResult(with_help(message, f"did you mean {near!r}?" if near else ""))


def order(history: RunHistory, objective: Objective) -> list[int]:
    """Positions of all trials, best last value first; infeasible, then failed ones, then those without a value last."""
    records = list(history.records.values())
    constraints = history.plan.constraints
    keys = [rank(record, record.score(objective, "last"), objective, constraints) for record in records]
    return sorted(range(len(records)), key=keys.__getitem__)


def has_metric(history: RunHistory, metric: str) -> bool:
    """Whether any trial reported a metric."""
    return any(record.column(metric) is not None for record in history.records.values())


def explain_no_best(history: RunHistory, objective: Objective) -> str:
    """The reason why there is no best trial, as text."""
    records = history.records.values()
    failed = [record for record in records if record.status == "failed"]
    if has_metric(history, objective.metric):
        return f"no trial reported a finite {objective.metric!r}"
    if any(record.iterations for record in records):
        names = {name for record in records for name in record.columns} | set(AUTOMATIC_METRICS[:2])
        return f"no trial reported {objective.metric!r}: {did_you_mean(objective.metric, names)}"
    if failed:
        first = failed[0].failures[-1].message
        return f"no trial reported anything; {len(failed)} of {len(records)} failed, the first one with {first}"
    yet = "" if history.state.startswith("finished") else " yet"
    return f"no trial reported anything{yet} ({history.state}, {len(records)} trials)"
