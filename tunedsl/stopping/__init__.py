"""Conditions that end a trial or the study, and budgets.

Conditions are expressions of `spaces.expressions` with leaves of their own. Workers evaluate conditions over a trial at
each report; the kernel evaluates conditions over the study.
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
from tunedsl.stopping.study import (
    Best,
    Converged,
    Failing,
    NoImprovement,
    RegretBelow,
    StudyCalls,
    StudySummary,
    Total,
    best,
    converged,
    error_signature,
    failing,
    no_improvement,
    regret_below,
    satisfies,
    total,
)

__all__ = [
    "Best",
    "Budget",
    "Calls",
    "CompiledCondition",
    "Converged",
    "Diverged",
    "Evaluator",
    "Failing",
    "Metric",
    "NoImprovement",
    "Plateau",
    "Reached",
    "RegretBelow",
    "StudyCalls",
    "StudySummary",
    "Total",
    "best",
    "budget",
    "calls",
    "compile_condition",
    "condition_metrics",
    "converged",
    "describe_condition",
    "diverged",
    "elapsed",
    "error_signature",
    "failing",
    "is_always_met",
    "iteration",
    "metric",
    "no_improvement",
    "plateau",
    "regret_below",
    "satisfies",
    "total",
]
