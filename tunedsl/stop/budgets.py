"""Budgets: what a whole experiment may use up."""

from __future__ import annotations

from tunedsl.base.arguments import checked, positive, whole
from tunedsl.base.codec import value
from tunedsl.base.literals import spell


@value
class Budget:
    """Limits of the whole experiment, each None where there is none; see `budget`."""

    seconds: float | None = None
    trials: int | None = None
    iterations: int | None = None
    failures: int | None = None

    def __repr__(self) -> str:
        return spell("budget", self)


@checked
def budget(
    seconds: float | None = None,
    trials: int | None = None,
    iterations: int | None = None,
    failures: int | None = None,
) -> Budget:
    """Limits of the whole experiment; the first one reached ends it.

    Args:
        seconds: of running, above 0; the time between an interruption and a resume does not count.
        trials: how many may start, at least 1.
        iterations: how many may be reported by all trials together, at least 1.
        failures: how many trials may fail for good, at least 1.

    Raises:
        ArgumentError: for an argument of the wrong type or out of range.

    >>> budget(seconds=60, trials=10)
    budget(seconds=60.0, trials=10)
    """
    return Budget(
        None if seconds is None else float(positive("budget.seconds", seconds)),
        None if trials is None else whole("budget.trials", trials, least=1),
        None if iterations is None else whole("budget.iterations", iterations, least=1),
        None if failures is None else whole("budget.failures", failures, least=1),
    )
