"""The rows of the table of trials: short values, made again only for trials that changed."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from typing import Any, Final

from tunedsl.base.codec import UnresolvedObject
from tunedsl.base.errors import TunedslError
from tunedsl.base.printable import shortened
from tunedsl.base.references import format_keywords, source_repr
from tunedsl.base.types import AUTOMATIC_METRICS
from tunedsl.results import frames
from tunedsl.results.story import stop_reason
from tunedsl.results.trial_history import RunHistory, TrialHistory
from tunedsl.spaces.layout import index_space

FIXED: Final = ("number", "trial", "status", "reason", "iterations", "training seconds", "attempts", "checkpoints")
"""The first columns."""
MAX_COLUMNS: Final = 120
"""More metrics or parameters are left out of the table; a trial's own page has them."""
MAX_CHANGES: Final = 200
"""Differences of plans, or outcomes, that are listed."""
MAX_TEXT: Final = 120
"""Characters of a cell."""
MAX_MESSAGE: Final = 4_000
"""Characters of a message that says why there is no answer."""


class Table:
    """The rows of a run's trials, each with the version at which it last changed.

    Attributes:
        columns: names: `FIXED`, then metrics as `metric:loss`, then parameters as `config:lr`.
        version: the version at which a column was last added.
        iterations: reports of all trials.
    """

    def __init__(self) -> None:
        self.columns: list[str] = list(FIXED)
        self.version = 0
        self.iterations = 0
        self._metrics: dict[str, None] = {}
        self._rows: dict[int, tuple[int, list[Any], dict[str, Any], list[Any]]] = {}
        self._params: tuple[Any, ...] = ()

    def update(self, history: RunHistory, touched: Iterable[int], version: int) -> None:
        """Make the rows of some trials again."""
        plan = history.plan
        params = index_space(plan.space).params[:MAX_COLUMNS]
        if params != self._params:
            self._params, touched = params, list(history.records)
            self.version = version
        for goal in plan.objectives:
            self._metrics.setdefault(goal.metric)
        known = len(self._metrics)
        for number in touched:
            record = history.records.get(number)
            if record is None:
                continue
            before = self._rows.get(number)
            self.iterations += record.iterations - (before[1][4] if before else 0)
            fixed = [
                number,
                short(record.name),
                record.status,
                short(stop_reason(record, plan, history.finish)),
                record.iterations,
                cell(record.times[-1]) if record.iterations else 0.0,
                record.attempts,
                len(record.checkpoints),
            ]
            metrics = record.metrics(self._metrics)
            for name in metrics:
                if name not in AUTOMATIC_METRICS and len(self._metrics) < MAX_COLUMNS:
                    self._metrics.setdefault(name)
            cells = {name: cell(item) for name, item in metrics.items()}
            self._rows[number] = version, fixed, cells, self._config(record)
        if len(self._metrics) != known or not self.version:
            self.version = version
        names = [f"metric:{short(name)}" for name in self._metrics]
        self.columns = [*FIXED, *names, *(f"config:{short('/'.join(param.path))}" for param in self._params)]

    def outdated(self, history: RunHistory) -> Iterator[int]:
        """The trials whose rows change with the state of the run: by their status, or by the reason for its end."""
        for number, record in history.records.items():
            row = self._rows.get(number)
            if row is None or row[1][2] != record.status or record.status == "cancelled":
                yield number

    def _config(self, record: TrialHistory) -> list[Any]:
        try:
            config = frames.config_of(record)
        except TunedslError:
            return [None] * len(self._params)
        return [cell(frames.parameter(config, param)) for param in self._params]

    def since(self, version: int) -> Iterator[list[Any]]:
        """The rows that changed after a version, as lists of the columns' values."""
        for changed, fixed, metrics, config in self._rows.values():
            if changed > version:
                yield [*fixed, *map(metrics.get, self._metrics), *config]

    def as_csv(self) -> Iterator[str]:
        """The rows as lines of CSV; a cell that a spreadsheet would take for a formula begins with an apostrophe."""
        for row in ([name.partition(":")[2] or name for name in self.columns], *self.since(-1)):
            line = io.StringIO()
            csv.writer(line, lineterminator="\n").writerow(map(_harmless, row))
            yield line.getvalue()


def _harmless(item: Any) -> Any:
    return f"'{item}" if isinstance(item, str) and item[:1] in ("=", "+", "-", "@", "\t", "\r") else item


def cell(item: Any) -> Any:
    """A value as JSON of limited size: a number, a short text, a boolean or None."""
    if item is None or isinstance(item, bool):
        return item
    if isinstance(item, (int, float)):
        if not math.isfinite(item):
            return str(item)
        return item if isinstance(item, float) or abs(item) < 2**53 else str(item)
    return short(said(item))


def said(item: Any) -> str:
    """A value as text."""
    if isinstance(item, str):
        return item
    if isinstance(item, UnresolvedObject):
        return item.reference
    return format_keywords(item, 6) if type(item) is dict else source_repr(item)


def short(text: str, longest: int = MAX_TEXT) -> str:
    """A text of limited length, with its control characters written as escapes."""
    return shortened(text, longest)
