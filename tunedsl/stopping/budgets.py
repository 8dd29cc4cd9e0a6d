"""Budgets: limits of a whole experiment."""

from __future__ import annotations

from tunedsl.base.arguments import as_int, as_positive, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError
from tunedsl.base.references import call_repr, whole_as_int


@value
class Budget:
    """Limits of the whole experiment, each None for no limit; see `budget`."""

    seconds: float | None = None
    trials: int | None = None
    iterations: int | None = None
    failures: int | None = None

    def __repr__(self) -> str:
        return call_repr("budget", Budget(whole_as_int(self.seconds), self.trials, self.iterations, self.failures))


@check_arguments
def budget(
    seconds: float | None = None,
    trials: int | None = None,
    iterations: int | None = None,
    failures: int | None = None,
) -> Budget:
    """Limits of the whole experiment; the first one reached ends it.

    Args:
        seconds: running time, above 0; the time between an interruption and a resume does not count.
        trials: how many may start, at least 1.
        iterations: how many all trials together may report, at least 1. In arrival order, reports in transit at
            the limit still count, so the total may exceed it by one batch of reports.
        failures: how many trials may fail without a retry left, at least 1.

    Raises:
        ArgumentError: for an argument of the wrong type or out of range, or without any argument.

    >>> budget(seconds=60, trials=10)
    budget(seconds=60, trials=10)
    """
    if seconds is None and trials is None and iterations is None and failures is None:
        hint = "write seconds=..., trials=..., iterations=... or failures=..."
        raise ArgumentError("E002", "budget", "budget() has no limit.", hint)
    return Budget(
        None if seconds is None else float(as_positive("budget.seconds", seconds)),
        None if trials is None else as_int("budget.trials", trials, minimum=1),
        None if iterations is None else as_int("budget.iterations", iterations, minimum=1),
        None if failures is None else as_int("budget.failures", failures, minimum=1),
    )
