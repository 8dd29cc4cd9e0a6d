"""FIFO: every trial runs until it ends by itself or by a stop condition."""

from __future__ import annotations

from typing import Any

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.references import call_repr
from tunedsl.schedulers.contract import DecisionResult, Never, Report, Scheduler, SchedulerContext, register_scheduler


@value
class Fifo:
    """Runs trials in the order of their numbers and stops none."""

    def __repr__(self) -> str:
        return call_repr("fifo", self)


@check_arguments
def fifo() -> Fifo:
    """Runs trials in the order of their numbers and stops none; the default.

    >>> fifo()
    fifo()
    """
    return Fifo()


def init(spec: Fifo, context: SchedulerContext) -> None:
    """No state."""


def on_report(spec: Fifo, state: None, report: Report) -> DecisionResult:
    """Always continues."""
    return state, "continue", None


def describe(spec: Any) -> str:
    return "no trial is cut short"


register_scheduler(Fifo, Scheduler("fifo", init, on_report, lambda spec: Never(), describe))
