"""Decides what each report of an attempt means. Worker sessions and the simulated backend share it.

It reads no clock, runs no user code except the stop rule, and writes no files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from tunedsl.base import codec
from tunedsl.base.errors import ReportError
from tunedsl.base.names import did_you_mean
from tunedsl.base.references import find_loaded
from tunedsl.base.types import AUTOMATIC_METRICS, TIME_THIS_ITER, TIME_TOTAL, TRAINING_ITERATION, FailureKind, Json
from tunedsl.kernel.events import Ended, Ending, Failed, Reported, row_to_metrics
from tunedsl.schedulers.contract import is_due
from tunedsl.stopping import compile_condition
from tunedsl.worker.messages import Assignment, Notice, Shipment
from tunedsl.worker.metrics import NUMBERS, check_names, data_size, split_metrics, to_journal_number
from tunedsl.worker.missing_objectives import MissingObjectives
from tunedsl.worker.report_batch import MAX_ROWS, Report, ReportBatch

_NO_DATA: Final[dict[str, Json]] = {}


class ReportEngine:
    """The reports of one attempt: numbers, stop rule, decision points, checkpoints due, batches and time limits.

    Args:
        shipment: the plan's settings.
        assignment: the attempt.
        max_rows: the most reports in one event.

    Attributes:
        iteration: the number of the last report.
        batch: the reports that are not yet an event.
    """

    def __init__(self, shipment: Shipment, assignment: Assignment, max_rows: int = MAX_ROWS) -> None:
        self.iteration = assignment.iteration
        self.batch = ReportBatch(assignment.trial, assignment.attempt, max_rows)
        self._assignment, self._objectives = assignment, shipment.objectives
        self.change_settings(shipment)
        self._missing = MissingObjectives(assignment.name, assignment.unreported, shipment.form == "command")
        self._keys: tuple[str, ...] = ()
        self._is_first = True

    def change_settings(self, shipment: Shipment) -> None:
        """Use a plan's settings from the next report; conditions with a memory start without earlier reports."""
        self._shipment, self._points = shipment, shipment.decision_points
        self._rule = compile_condition(shipment.stop).new_evaluator() if shipment.stop is not None else None

    def receive(self, metrics: Mapping[str, Any], elapsed: float, since_last: float, returned: bool = False) -> Report:
        """Number and evaluate one report.

        Args:
            elapsed: seconds of training since the trial began.
            since_last: seconds of training since the previous report.
            returned: whether the user's code returned the report, and so has ended.

        Raises:
            ReportError: for an invalid report, or one without the metric that the scheduler needs.
        """
        iteration, missing = self.iteration + 1, self._missing
        keys, values, data, size = self._keys, list(metrics.values()), _NO_DATA, 0
        if tuple(metrics) != keys or not NUMBERS.issuperset(map(type, values)):  # else: only numbers, names as before
            keys, values, data = split_metrics(metrics, self._objectives)
            if keys != self._keys:
                check_names(keys)
                self._keys = keys
                missing.reported.update(dict.fromkeys(keys))
            if data:
                size = data_size(data)
                missing.reported.update(dict.fromkeys(data))
        ends: Ending = "returned" if returned else ""
        if self._rule is not None and self._is_stopped(keys, values, data, (iteration, elapsed, since_last)):
            ends = "rule"
        if missing.unreported:
            missing.remove(keys)
        waits = not ends and is_due(self._points, iteration)
        if waits and self._objectives:
            self._check_decision(iteration, keys)
        numbers = tuple([to_journal_number(value) for value in values])
        self.iteration, is_known = iteration, iteration <= self._assignment.known
        outcome: Failed | Ended | None = None
        if ends:
            outcome = missing.failure(self._assignment.trial)
            if outcome is not None:
                ends = ""
            elif is_known and ends == "returned":
                outcome = self.end()
        return Report(iteration, keys, numbers, data, size, elapsed, is_known, ends, waits, outcome)

    def _is_stopped(
        self, keys: tuple[str, ...], values: list[Any], data: dict[str, Json], automatic: tuple[int, float, float]
    ) -> bool:
        assert self._rule is not None  # the caller has checked
        row = {name: codec.decode(item, find_loaded) for name, item in data.items()} if data else {}
        row.update(zip(keys, values, strict=True))
        row[TRAINING_ITERATION], row[TIME_TOTAL], row[TIME_THIS_ITER] = automatic
        return bool(self._rule(self._assignment.name, row))

    def _check_decision(self, iteration: int, keys: tuple[str, ...]) -> None:
        metric = self._objectives[0]
        if metric not in keys and metric not in AUTOMATIC_METRICS:
            raise ReportError(
                f"Iteration {iteration} decides by {metric!r}, which was not reported.\n"
                f"  help: {did_you_mean(metric, self._missing.reported) or f'report {metric!r}'}"
            )

    def follow(self, event: Reported, position: int) -> None:
        """Continue after the journal's reports, up to number `position`; the stop rule receives them too."""
        for index in range(max(0, self.iteration + 1 - event.first), min(len(event.rows), position + 1 - event.first)):
            before, elapsed = (event.times[index - 1] if index else 0.0), event.times[index] if event.times else 0.0
            data = event.data[index] if event.data else _NO_DATA
            self.iteration = event.first + index
            if self._rule is not None:
                values = list(row_to_metrics(event.keys, event.rows[index]).values())
                self._is_stopped(event.keys, values, data, (self.iteration, elapsed, elapsed - before))
            self._missing.reported.update(dict.fromkeys((*event.keys, *data)))
        self._is_first = False

    def skip_known(self) -> None:
        """Give the next report a number after those in the journal."""
        self.iteration = max(self.iteration, self._assignment.known)

    def withdraw(self) -> None:
        """Take back the last report, whose checkpoint could not be saved: the next report has its number."""
        self.iteration -= 1

    @property
    def unreported(self) -> tuple[str, ...]:
        """The objectives that the trial has not reported yet."""
        return self._missing.unreported

    def end(self) -> Failed | Ended:
        """Return the event of an attempt whose code has ended: a failure where an objective is missing."""
        trial = self._assignment.trial
        return self._missing.failure(trial) or Ended(0.0, trial, self.iteration)

    def first_warning(self) -> Notice | None:
        """Return the warning that a trial's first new report lacks an objective, if it does; later calls give None."""
        if not self._is_first:
            return None
        self._is_first = False
        warning = self._missing.warning()
        return Notice("unreported objective", warning) if warning else None

    def is_checkpoint_due(self, report: Report) -> bool:
        """Return whether the trial has to save a checkpoint with a report."""
        shipment = self._shipment
        if report.waits and shipment.save_at_decisions:
            return True
        every = shipment.save_every
        if shipment.form == "command" and every is None:
            return True  # its checkpoints are always written
        return (every is not None and report.iteration % every == 0) or (report.ends != "" and shipment.save_at_end)

    def takes_folder(self, report: Report) -> bool:
        """Return whether a folder that the user reports is kept: each one, or those due by `.checkpoint(every=...)`."""
        return self._shipment.save_every is None or self.is_checkpoint_due(report)

    def check_unsaved(self, report: Report) -> None:
        """Raise `ReportError` for a report without a checkpoint after which the scheduler may pause the trial."""
        if report.waits and self._shipment.save_at_decisions:
            how = "report(..., checkpoint=folder)"
            if self._shipment.form == "command":
                how = "the program writes its state to the folder $TUNEDSL_CHECKPOINT before it prints the metrics"
            raise ReportError(
                f"Iteration {report.iteration} has no checkpoint, and the scheduler may pause the trial there."
                f"\n  help: {how}"
            )

    def checkpoint_path(self, iteration: int | None = None) -> str:
        """Return the path in the storage of a checkpoint of an iteration, by default of the last report."""
        number = self.iteration if iteration is None else iteration
        return f"trials/{self._assignment.name}/checkpoints/{number:08d}"

    def next_limit(self, total: float) -> tuple[float, FailureKind] | None:
        """Return the first time limit of an attempt that does not report again, and the seconds until then.

        Args:
            total: seconds of this attempt at its last report.
        """
        timeout, idle = self._shipment.timeout, self._shipment.idle
        left = math.inf if timeout is None else timeout - total
        if idle is not None and idle < left:
            return idle, "idle"
        return None if timeout is None else (left, "timeout")

    def exceeded_limit(self, total: float, since_last: float) -> tuple[FailureKind, str] | None:
        """Return the time limit that the attempt has exceeded, and a message; None within the limits.

        Args:
            total: seconds of this attempt at its last report.
            since_last: seconds since then.
        """
        limit = self.next_limit(total)
        if limit is None or since_last <= limit[0]:
            return None
        if limit[1] == "timeout":
            return "timeout", f"ran for more than {self._shipment.timeout:g} s"
        return "idle", f"did not report for {self._shipment.idle:g} s"
