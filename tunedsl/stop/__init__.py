"""When a trial ends, and when the experiment does: conditions over a trial's own reports, and budgets.

Conditions are expressions of `space.expressions` with leaves of their own; a worker evaluates them at each report.
"""

from tunedsl.stop.budgets import Budget, budget
from tunedsl.stop.conditions import (
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
from tunedsl.stop.reading import always_met, met_text, metrics_read
from tunedsl.stop.rules import Evaluator, Rule, compiled

__all__ = [
    "Budget",
    "Calls",
    "Diverged",
    "Evaluator",
    "Metric",
    "Plateau",
    "Reached",
    "Rule",
    "always_met",
    "budget",
    "calls",
    "compiled",
    "diverged",
    "elapsed",
    "iteration",
    "met_text",
    "metric",
    "metrics_read",
    "plateau",
]
