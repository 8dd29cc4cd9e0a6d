"""When a trial ends, and when the experiment does: conditions over a trial's own reports, and budgets.

Conditions are expressions of `space.expressions` with leaves of their own; a worker evaluates them at each report.
"""

from tunedsl.stopping.budgets import Budget, budget
from tunedsl.stopping.conditions import (
    Calls,
    Diverged,
    Metric,
    Plateau,
    Reached,
    calls,
    diverged,
    elapsed,
    iteration,
    metric,
    plateau,
)
from tunedsl.stopping.reading import condition_metrics, describe_condition, is_always_met
from tunedsl.stopping.rules import CompiledCondition, Evaluator, compile_condition

__all__ = [
    "Budget",
    "Calls",
    "CompiledCondition",
    "Diverged",
    "Evaluator",
    "Metric",
    "Plateau",
    "Reached",
    "budget",
    "calls",
    "compile_condition",
    "condition_metrics",
    "describe_condition",
    "diverged",
    "elapsed",
    "is_always_met",
    "iteration",
    "metric",
    "plateau",
]
