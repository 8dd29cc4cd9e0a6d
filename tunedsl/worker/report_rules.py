"""What a report means for its attempt, for each engine alike: numbers, data, objectives, stop rule, decision points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from tunedsl.base import codec
from tunedsl.base.errors import ReportError
from tunedsl.base.names import did_you_mean, nearest
from tunedsl.base.objective import not_in
from tunedsl.base.references import find_loaded
from tunedsl.base.types import AUTOMATIC_METRICS, TIME_THIS_ITER, TIME_TOTAL, TRAINING_ITERATION, Json
from tunedsl.kernel.events import Ending, Failed, Number
from tunedsl.schedulers.contract import DecisionPoints, is_due
from tunedsl.stopping.rules import Evaluator
from tunedsl.worker.metrics import NUMBERS, check_names, data_size, split_metrics, to_journal_number


class Row(msgspec.Struct, frozen=True, gc=False):
    """One report, as it is journaled, and what follows from it."""

    keys: tuple[str, ...]
    numbers: tuple[Number, ...]
    data: dict[str, Json]
    size: int
    ends: Ending
    waits: bool


_NO_DATA: Final[dict[str, Json]] = {}


class ReportRules:
    """The rules of one attempt at a trial.

    Args:
        name: the trial's.
        objectives: their metrics, the first one first.
        unreported: those of them that the trial has not reported yet.
        decision_points: where the trial waits for the scheduler.
        rule: the stop rule, evaluated anew for each attempt.

    Attributes:
        is_first: whether the trial has made no report in this attempt that counts.
    """

    def __init__(
        self,
        name: str,
        objectives: tuple[str, ...],
        unreported: tuple[str, ...],
        decision_points: DecisionPoints,
        rule: Evaluator | None,
    ) -> None:
        self.unreported = unreported
        self._name, self._objectives, self._points, self._rule = name, objectives, decision_points, rule
        self._keys: tuple[str, ...] = ()
        self._reported: dict[str, None] = {}
        self.is_first = True

    def take(
        self, metrics: Mapping[str, Any], iteration: int, elapsed: float, since_last: float, returned: bool = False
    ) -> Row:
        """One iteration's report.

        Args:
            elapsed: seconds of training since the trial began.
            since_last: of them, those since the report before.
            returned: whether the user's code has come back with it.

        Raises:
            ReportError: for what is no report, or lacks what the scheduler decides by.
        """
        keys, values, data, size = self._keys, list(metrics.values()), _NO_DATA, 0
        if tuple(metrics) != keys or not NUMBERS.issuperset(map(type, values)):  # what is as before is all numbers
            keys, values, data = split_metrics(metrics, self._objectives)
            if keys != self._keys:
                check_names(keys)
                self._keys = keys
                self._reported.update(dict.fromkeys(keys))
            if data:
                size = data_size(data)
                self._reported.update(dict.fromkeys(data))
        ends: Ending = "returned" if returned else ""
        if self._rule is not None:
            row = {name: codec.decode(item, find_loaded) for name, item in data.items()} if data else {}
            row.update(zip(keys, values, strict=True))
            row[TRAINING_ITERATION], row[TIME_TOTAL], row[TIME_THIS_ITER] = iteration, elapsed, since_last
            if self._rule(self._name, row):
                ends = "rule"
        if self.unreported:
            self.unreported = not_in(self.unreported, keys)
        waits = not ends and is_due(self._points, iteration)
        if waits and self._objectives:
            self._check_decision(iteration, keys)
        return Row(keys, tuple([to_journal_number(value) for value in values]), data, size, ends, waits)

    def _check_decision(self, iteration: int, keys: tuple[str, ...]) -> None:
        metric = self._objectives[0]
        if metric not in keys and metric not in AUTOMATIC_METRICS:
            raise ReportError(
                f"iteration {iteration} decides by {metric!r}, which was not reported: "
                f"{did_you_mean(metric, self._reported)}"
            )

    def warning(self) -> str:
        """What to warn of after the trial's first report: that it lacks an objective; else nothing."""
        self.is_first = False
        if not self.unreported:
            return ""
        hints = "".join(f"\nhelp: {hint}" for hint in self._hints())
        return f"trial {self._name} {self._lack()}; a trial that ends without it fails{hints}"

    def failure(self, trial: int) -> Failed | None:
        """Why the attempt fails if it ends now, None where it may."""
        if not self.unreported:
            return None
        hints = "".join(f"\nhelp: {hint}" for hint in self._hints())
        return Failed(0.0, trial, "bad_report", f"the trial ended, and {self._lack()}{hints}")

    def _lack(self) -> str:
        lacking = f"the objective{'s' if len(self.unreported) > 1 else ''} {_listed(self.unreported)}"
        if not self._reported:
            return f"reported nothing, not {lacking}"
        return f"did not report {lacking}: it reported {_listed(self._reported)}"

    def _hints(self) -> list[str]:
        pairs = [(metric, nearest(metric, self._reported)) for metric in self.unreported]
        found = [
            f"did you mean {near!r}? {_report_call(metric)}, or change the objective" for metric, near in pairs if near
        ]
        return found or [_report_call(*self.unreported)]


def _report_call(*metrics: str) -> str:
    if all(map(str.isidentifier, metrics)):
        return f"report({', '.join(f'{metric}=...' for metric in metrics)})"
    return f"report({{{', '.join(f'{metric!r}: ...' for metric in metrics)}}})"


def _listed(names: Iterable[str], most: int = 10) -> str:
    """Names in quotes, the first ones of many."""
    shown = list(names)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(f"{name!r:.80}" for name in shown[:most]) + more
