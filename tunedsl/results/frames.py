"""Results as pandas frames, with columns and dtypes that do not depend on the order of reports.

The only module of this package that imports pandas, inside its functions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunedsl.base import codec
from tunedsl.base.errors import NoResult
from tunedsl.base.objective import Objective
from tunedsl.base.plain_json import plain_json
from tunedsl.base.references import Literal, find_loaded
from tunedsl.base.types import TIME_TOTAL, TRAINING_ITERATION, Config
from tunedsl.results.feasibility import Constraints, violation
from tunedsl.results.trial_history import TrialHistory
from tunedsl.spaces.domains import Branch, Choice, Domain, Grid
from tunedsl.spaces.layout import DeclaredParam, ResolvedParam, index_space
from tunedsl.spaces.space import Space

if TYPE_CHECKING:
    import pandas as pd

FIXED_COLUMNS = ("trial_id", "number", "status", "stop_reason", "fidelity", TRAINING_ITERATION, TIME_TOTAL)
MOMENT = "seconds"


def config_of(record: TrialHistory) -> Config:
    """A trial's configuration, objects that are not loaded in this process as `Named`."""
    live: Config = codec.decode(record.config, find_loaded)
    return live


def config_at(record: TrialHistory, iteration: int | None = None) -> Config:
    """The configuration that trained an iteration, or the last report: a trial that took over from another has several.

    Args:
        iteration: from 1; None for that of the last report.
    """
    at = record.iterations if iteration is None else iteration
    held = [config for began, config in record.configs if began < at]
    live: Config = codec.decode(held[-1] if held else record.configs[0][1], find_loaded)
    return live


def curve(record: TrialHistory, metrics: Sequence[str] = ()) -> pd.DataFrame:
    """One row a report: `training_iteration`, `time_total_s`, metrics (NaN where one was not reported), then data.

    Args:
        metrics: that have a column even if the trial did not report them.
    """
    import pandas as pd

    columns: dict[str, Any] = {
        TRAINING_ITERATION: np.arange(1, record.iterations + 1, dtype=np.int64),
        TIME_TOTAL: np.array(record.times, dtype=np.float64),
    }
    for metric in _names([record.columns, metrics]):
        columns[metric] = np.full(record.iterations, math.nan)
        if (column := record.columns.get(metric)) is not None:
            columns[metric][np.asarray(column.rows, dtype=np.intp)] = column.values
    for name in _names(record.data.values()):
        columns[name] = pd.Series(
            [record.data.get(row, {}).get(name) for row in range(record.iterations)], dtype=object
        )
    return pd.DataFrame(columns)


def curves(records: Sequence[TrialHistory], metrics: Sequence[str] = ()) -> pd.DataFrame:
    """One row a report of any trial.

    Args:
        metrics: that have a column even if no trial reported them.

    Returns:
        `trial_id` (category), `number`, `training_iteration`, `time_total_s`, `seconds` since the experiment began, a
        float64 column for each metric (NaN where it was not reported), then what was reported as data.
    """
    import pandas as pd

    counts = np.array([record.iterations for record in records], dtype=np.intp)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
    total, whose = int(starts[-1]), np.repeat(np.arange(len(records)), counts)
    numbers = np.array([record.number for record in records], dtype=np.int64)
    columns: dict[str, Any] = {
        "trial_id": pd.Categorical.from_codes(whose, categories=pd.Index([r.name for r in records], dtype="str")),
        "number": numbers[whose],
        TRAINING_ITERATION: np.arange(total, dtype=np.int64) - starts[whose] + 1,
        TIME_TOTAL: _joined([record.times for record in records]),
        MOMENT: _joined([record.seconds for record in records]),
    }
    for metric in _names([metrics, *(record.columns for record in records)]):
        column = columns[_free(metric, (*FIXED_COLUMNS, MOMENT))] = np.full(total, math.nan)
        for start, record in zip(starts, records, strict=False):
            if (found := record.columns.get(metric)) is not None:
                column[start + np.asarray(found.rows, dtype=np.intp)] = found.values
    for name in _names(row for record in records for row in record.data.values()):
        held: list[Any] = [None] * total
        for start, record in zip(starts, records, strict=False):
            for row, data in record.data.items():
                held[start + row] = data.get(name)
        columns[_free(name, (*FIXED_COLUMNS, MOMENT))] = pd.Series(held, dtype=object)
    return pd.DataFrame(columns)


def _joined(parts: Sequence[Any]) -> NDArray[np.float64]:
    return np.concatenate([np.zeros(0), *(np.asarray(part, dtype=np.float64) for part in parts)])


def trials_frame(
    records: Sequence[TrialHistory],
    space: Space,
    objective: Objective | None,
    goals: Sequence[str],
    reasons: Sequence[str],
    constraints: Constraints = (),
) -> pd.DataFrame:
    """One row a trial, at its last report or where the objective was best.

    Args:
        goals: the objectives' metrics: they have a column even if no trial reported them, and where the report lacks
            one its newest value before.
        reasons: why each trial ended.
        constraints: the outcome constraints; with them there are columns `feasible` and `violation`.

    Returns:
        `trial_id`, `number`, `status`, `stop_reason`, `fidelity` (the iteration that the first objective's value is
        from), `training_iteration` (0 before the first report), `time_total_s`; a float64
        column for each metric, then what was reported as data; `config/...` for each parameter of the space, nested
        names joined by `/`: Int64, float64, boolean or str, by its domain and whatever was drawn, and a branch's
        chosen name.
    """
    import pandas as pd

    places = [_row(record, objective) for record in records]
    pairs = list(zip(records, places, strict=True))
    columns: dict[str, Any] = {
        "trial_id": pd.Series([record.name for record in records], dtype="str"),
        "number": np.array([record.number for record in records], dtype=np.int64),
        "status": pd.Series([record.status for record in records], dtype="str"),
        "stop_reason": pd.Series([reason or None for reason in reasons], dtype="str"),
        "fidelity": np.array([_reached(record, row, goals) for record, row in pairs], dtype=np.int64),
        **(_feasible(pairs, constraints) if constraints else {}),
        TRAINING_ITERATION: np.array(places, dtype=np.int64) + 1,
        TIME_TOTAL: np.array(
            [record.times[row] if row >= 0 else 0.0 for record, row in pairs],
            dtype=np.float64,
        ),
    }
    taken = tuple(columns)
    for metric in _names([goals, *(record.columns for record in records)]):
        carried = metric in goals
        values = [record.value(metric, record.newest(metric, row + 1) if carried else row + 1) for record, row in pairs]
        columns[_free(metric, taken)] = np.array(values, dtype=np.float64)
    data = [record.data.get(row, {}) for record, row in pairs]
    for name in _names(data):
        columns[_free(name, taken)] = pd.Series([row.get(name) for row in data], dtype=object)
    configs = [config_of(record) for record in records]
    for entry in index_space(space).params:
        columns["/".join(("config", *entry.path))] = _typed(
            [parameter(config, entry) for config in configs], _kinds(entry)
        )
    return pd.DataFrame(columns)


def _feasible(pairs: Sequence[tuple[TrialHistory, int]], constraints: Constraints) -> dict[str, Any]:
    """Whether each trial is feasible at its row, missing before the first report, and its total violation."""
    import pandas as pd

    totals = [violation(record, constraints, row + 1) for record, row in pairs]
    known = [total == 0 if row >= 0 else None for total, (_, row) in zip(totals, pairs, strict=True)]
    by = [math.nan if total == math.inf else total for total in totals]
    return {"feasible": pd.Series(known, dtype="boolean"), "violation": np.array(by, dtype=np.float64)}


def _row(record: TrialHistory, objective: Objective | None) -> int:
    """The report to show, -1 before the first one: where the objective was best, else the last."""
    column = None if objective is None else record.column(objective.metric)
    place = None if column is None or objective is None else column.best(objective.mode)
    return record.iterations - 1 if column is None or place is None else column.rows[place]


def _reached(record: TrialHistory, row: int, goals: Sequence[str]) -> int:
    """The iteration that the first objective's value in a row is from; the row's own where there is no objective."""
    return record.newest(goals[0], row + 1) if goals else row + 1


def _names(mappings: Iterable[Iterable[str]]) -> list[str]:
    """All names, each once, in the order of their first appearance."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def column_of(metric: str, columns: Sequence[str]) -> str:
    """The column of a metric among those of `trials_frame`."""
    renamed = f"metrics/{metric}"
    return renamed if renamed in columns else metric


def _free(name: str, taken: Sequence[str]) -> str:
    """A reported name as a column: those that mean something else here are told apart."""
    return f"metrics/{name}" if name in taken else name


def parameter(config: Config, entry: DeclaredParam | ResolvedParam) -> Any:
    """A parameter's value, None where it does not exist in this configuration."""
    found: Any = config
    for name in entry.path:
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return next(iter(found)) if isinstance(entry.node, Branch) else found


def _kinds(entry: DeclaredParam) -> set[type]:
    """The types of values that a parameter's domain names; none where it does not say."""
    match entry.node:
        case Branch():
            return {str}
        case Choice(items) | Grid(items):
            return {type(item.object) for item in items if item.object is not None}
        case Domain(integer=True):
            return {int}
        case Domain():
            return {float} if hasattr(entry.node, "low") or hasattr(entry.node, "sd") else set()
        case Literal(object=item):
            return set() if item is None else {type(item)}
    return set()


def _typed(values: list[Any], declared: set[type]) -> pd.Series[Any]:
    """A column of the narrowest type that holds all values, those that may yet come, and the missing ones."""
    import pandas as pd

    kinds = declared | {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pd.Series(values, dtype="Int64")
    if kinds and kinds <= {int, float}:
        return pd.Series(values, dtype="float64")
    return pd.Series(values, dtype="str" if kinds == {str} else "object")


def write_csv(frame: pd.DataFrame, path: str | Path) -> Path:
    """Writes a frame as CSV, floats with all their digits."""
    path = Path(path).expanduser()
    _plain(frame).to_csv(path, index=False)
    return path


def write_parquet(frame: pd.DataFrame, path: str | Path, facts: Mapping[str, str]) -> Path:
    """Writes a frame as Parquet, with facts about it in the file's metadata."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise NoResult(
            "Parquet needs pyarrow, which is not installed.\n  help: pip install 'tunedsl[parquet]'"
        ) from None
    table = pyarrow.Table.from_pandas(_plain(frame), preserve_index=False)
    own = {f"tunedsl.{name}".encode(): text.encode() for name, text in facts.items()}
    path = Path(path).expanduser()
    pyarrow.parquet.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **own}), path)
    return path


def _as_text(item: Any) -> str:
    plain = plain_json(item)
    return plain if isinstance(plain, str) else json.dumps(plain)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with values of mixed types as JSON, so that files have one type a column."""
    made = frame.copy()
    for name in made.columns[made.dtypes.astype(str) == "object"]:
        made[name] = [None if item is None else _as_text(item) for item in made[name]]
    return made
