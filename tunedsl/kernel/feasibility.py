"""Outcome constraints in the kernel: the newest values of their metrics, and what they mean for the order of trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from tunedsl.base.objective import Objective, constrained_value, total_violation
from tunedsl.kernel.events import Event, Number, Reported, metric_value
from tunedsl.kernel.state import RunState, TrialState
from tunedsl.plan import Plan
from tunedsl.stopping.constraints import compile_constraints


def constrained_after(plan: Plan, before: tuple[float, ...], event: Reported, row: int = -1) -> tuple[float, ...]:
    """The newest values of the constrained metrics after one row of a report; empty without constraints."""
    if not plan.constraints:
        return ()
    iteration = event.last if row < 0 else event.first + row
    time = event.times[row] if event.times else math.nan
    return compile_constraints(plan.constraints).newest(before, event.keys, event.rows[row], iteration, time)


def signed_value(
    plan: Plan, objective: Objective, keys: tuple[str, ...], row: tuple[Number, ...], constrained: tuple[float, ...]
) -> float:
    """An objective in a report, larger for better and lower than all others if it is infeasible; NaN without it.

    A constraint counts once its metrics were reported, so that schedulers can decide before.
    """
    if objective.metric not in keys:
        return math.nan
    value = objective.sign * metric_value(row[keys.index(objective.metric)])
    if not plan.constraints:
        return value
    known = filter(lambda each: each == each, compile_constraints(plan.constraints).violations(constrained))
    return constrained_value(value, total_violation(known))


def trial_violation(plan: Plan, trial: TrialState) -> float:
    """The total violation of the outcome constraints by the newest values of a trial; 0 without constraints."""
    return violation_of(plan, trial.constrained)


def violation_of(plan: Plan, constrained: tuple[float, ...]) -> float:
    """The total violation of the outcome constraints by values of their metrics; 0 without constraints."""
    if not plan.constraints:
        return 0.0
    return total_violation(compile_constraints(plan.constraints).violations(constrained))


def feasible_rows(plan: Plan, event: Reported, trial: TrialState) -> list[bool] | None:
    """Whether each row of a report is feasible; None without constraints.

    Args:
        trial: the trial after the report.
    """
    if not plan.constraints:
        return None
    violations = compile_constraints(plan.constraints).violations
    values = (constrained_after(plan, trial.constrained, event, row) for row in range(len(event.rows)))
    return [total_violation(violations(each)) == 0 for each in values]


def judged_again(plan: Plan, state: RunState, history: Callable[[], Iterable[Event]]) -> RunState:
    """The state in which amended constraints judge the earlier reports, and the order of checkpoints."""
    values: dict[int, tuple[float, ...]] = {}
    at_checkpoint: dict[tuple[int, int], float] = {
        (number, item.iteration): item.value for number, trial in state.trials.items() for item in trial.checkpoints
    }
    for event in history():
        if not isinstance(event, Reported):
            continue
        for row, iteration in enumerate(range(event.first, event.last + 1)):
            after = values[event.trial] = constrained_after(plan, values.get(event.trial, ()), event, row)
            if (event.trial, iteration) in at_checkpoint and plan.objectives:
                value = signed_value(plan, plan.objectives[0], event.keys, event.rows[row], after)
                at_checkpoint[event.trial, iteration] = value
    trials = state.trials.mutate()
    for number, trial in state.trials.items():
        saved = tuple(replace(item, value=at_checkpoint[number, item.iteration]) for item in trial.checkpoints)
        trials[number] = replace(trial, constrained=values.get(number, ()), checkpoints=saved)
    return replace(state, trials=trials.finish())
