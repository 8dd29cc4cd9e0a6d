"""Comma-separated values: `progress.csv` in each trial's folder, one row a report."""

from __future__ import annotations

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.sinks.registry import SinkKind, register


@value
class Csv:
    """Comma-separated values."""

    def __repr__(self) -> str:
        return "csv()"


@check_arguments
def csv() -> Csv:
    """Writes each trial's reports to `progress.csv` in its folder, which pandas reads back as `trial.curve`.

    The columns are `training_iteration`, `time_total_s`, then what was reported, by first appearance; a metric that is
    not part of a report leaves its cell empty, and reported data is written as JSON.

    >>> csv()
    csv()
    """
    return Csv()


register(Csv, SinkKind("csv", "tunedsl.export.csv:CsvWriter"))
