"""FIFO: every trial runs until it ends by itself or by a stop condition."""

from __future__ import annotations

from typing import Any

from tunedsl.base.arguments import checked
from tunedsl.base.codec import value
from tunedsl.base.literals import spell
from tunedsl.schedule.contract import Never, Outcome, Report, Scheduler, Setting, enrol


@value
class Fifo:
    """Trials in the order of their numbers, none cut short."""

    def __repr__(self) -> str:
        return spell("fifo", self)


@checked
def fifo() -> Fifo:
    """Trials in the order of their numbers, none cut short: the default.

    >>> fifo()
    fifo()
    """
    return Fifo()


def init(spec: Fifo, setting: Setting) -> None:
    """FIFO carries nothing."""


def on_report(spec: Fifo, state: None, report: Report) -> Outcome:
    """Goes on, always."""
    return state, "continue", None


def describe(spec: Any) -> str:
    return "no trial is cut short"


enrol(Fifo, Scheduler("fifo", init, on_report, lambda spec: Never(), describe))
