"""Results as pandas frames, with the same columns and dtypes whatever the trials reported when.

The only module of this room that touches pandas, inside its functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunedsl.base import codec
from tunedsl.base.literals import loaded
from tunedsl.base.objective import Objective
from tunedsl.base.vocabulary import TIME_TOTAL, TRAINING_ITERATION, Config
from tunedsl.results.reading import Record
from tunedsl.space.domains import Branch
from tunedsl.space.layout import Entry, survey
from tunedsl.space.space import Space

if TYPE_CHECKING:
    import pandas as pd

FIXED = ("trial_id", "number", "phase", TRAINING_ITERATION, TIME_TOTAL)


def config_of(record: Record) -> Config:
    """A trial's configuration, objects that are not loaded in this process as `Named`."""
    live: Config = codec.decode(record.config, loaded)
    return live


def curve(record: Record) -> pd.DataFrame:
    """One row a report: `training_iteration`, `time_total_s`, metrics (NaN where one was not reported), then data."""
    import pandas as pd

    columns: dict[str, Any] = {
        TRAINING_ITERATION: np.arange(1, record.iterations + 1, dtype=np.int64),
        TIME_TOTAL: np.array(record.times, dtype=np.float64),
    }
    for metric, column in record.columns.items():
        columns[metric] = np.full(record.iterations, math.nan)
        columns[metric][np.asarray(column.rows, dtype=np.intp)] = column.values
    for name in _names(record.data.values()):
        columns[name] = pd.Series(
            [record.data.get(row, {}).get(name) for row in range(record.iterations)], dtype=object
        )
    return pd.DataFrame(columns)


def overview(records: Sequence[Record], space: Space, objective: Objective | None) -> pd.DataFrame:
    """One row a trial, at its last report or where the objective was best.

    Returns:
        `trial_id`, `number`, `phase`, `training_iteration` (0 before the first report), `time_total_s`; a float64
        column for each metric, then what was reported as data; `config/...` for each parameter of the space, nested
        names joined by `/`: Int64, float64, boolean or str, and a branch's chosen name.
    """
    import pandas as pd

    places = [_row(record, objective) for record in records]
    columns: dict[str, Any] = {
        "trial_id": pd.Series([record.name for record in records], dtype="str"),
        "number": np.array([record.number for record in records], dtype=np.int64),
        "phase": pd.Series([record.phase for record in records], dtype="str"),
        TRAINING_ITERATION: np.array(places, dtype=np.int64) + 1,
        TIME_TOTAL: np.array(
            [record.times[row] if row >= 0 else 0.0 for record, row in zip(records, places, strict=True)],
            dtype=np.float64,
        ),
    }
    for metric in _names(record.columns for record in records):
        values = [_at(record, metric, row) for record, row in zip(records, places, strict=True)]
        columns[_free(metric)] = np.array(values, dtype=np.float64)
    data = [record.data.get(row, {}) for record, row in zip(records, places, strict=True)]
    for name in _names(data):
        columns[_free(name)] = pd.Series([row.get(name) for row in data], dtype=object)
    configs = [config_of(record) for record in records]
    for entry in survey(space).entries:
        columns["/".join(("config", *entry.path))] = _typed([_parameter(config, entry) for config in configs])
    return pd.DataFrame(columns)


def _row(record: Record, objective: Objective | None) -> int:
    """The report to show, -1 before the first one: where the objective was best, else the last."""
    column = None if objective is None else record.column(objective.metric)
    place = None if column is None or objective is None else column.best(objective.mode)
    return record.iterations - 1 if column is None or place is None else column.rows[place]


def _at(record: Record, metric: str, row: int) -> float:
    """A metric in one report, NaN where it was not part of it."""
    column = record.columns.get(metric)
    if column is None:
        return math.nan
    place = int(np.searchsorted(np.asarray(column.rows), row))
    return column.values[place] if place < len(column.rows) and column.rows[place] == row else math.nan


def _names(mappings: Iterable[Iterable[str]]) -> list[str]:
    """All names, each once, in the order of their first appearance."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _free(name: str) -> str:
    """A reported name as a column: those that mean something else here are told apart."""
    return f"metrics/{name}" if name in FIXED else name


def _parameter(config: Config, entry: Entry) -> Any:
    """A parameter's value, None where it does not exist in this configuration."""
    found: Any = config
    for name in entry.path:
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return next(iter(found)) if isinstance(entry.node, Branch) else found


def _typed(values: list[Any]) -> pd.Series[Any]:
    """A column of the narrowest type that holds all values and the missing ones."""
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pd.Series(values, dtype="Int64")
    if kinds and kinds <= {int, float}:
        return pd.Series(values, dtype="float64")
    return pd.Series(values, dtype="str" if kinds == {str} else "object")
