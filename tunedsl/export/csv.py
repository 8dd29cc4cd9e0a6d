"""`progress.csv` in each trial's folder, one row a report."""

from __future__ import annotations

import csv as library
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tunedsl.base.plain_json import plain_json
from tunedsl.export.files import AppendOnlyFiles
from tunedsl.sinks.contract import Sink, TrialRecord
from tunedsl.sinks.csv import Csv

FILE: Final = "progress.csv"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class _Table:
    """One trial's file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: tuple[str, ...] = ()


class CsvWriter(Sink):
    def __init__(self, spec: Csv) -> None:
        self._files = AppendOnlyFiles()
        self._tables: dict[int, _Table] = {}

    def on_trial(self, trial: TrialRecord) -> None:
        self._tables.setdefault(trial.number, _Table(trial.path / FILE))

    def on_report(self, trial: TrialRecord, row: Mapping[str, Any]) -> None:
        table = self._tables[trial.number]
        names = tuple(row)
        if names != table.columns:
            new = [name for name in names if name not in table.columns]
            if new:
                self._widen(table, new)
            cells = [_cell(row.get(name)) for name in table.columns]
        else:
            cells = [_cell(item) for item in row.values()]
        self._files.write(table.path, _line(cells))

    def on_end(self, trial: TrialRecord) -> None:
        self._files.done(self._tables[trial.number].path)
        if trial.status != "failed":  # those that failed may be run again
            del self._tables[trial.number]

    def flush(self) -> None:
        self._files.flush()

    def close(self) -> None:
        self._files.close()

    def _widen(self, table: _Table, new: list[str]) -> None:
        """Add columns; existing rows get empty cells."""
        table.columns += tuple(new)
        self._files.done(table.path)
        rows: list[list[str]] = []
        if self._files.has(table.path):
            with table.path.open(newline="", encoding="utf-8") as file:
                rows = list(library.reader(file))[1:]
        whole = table.path.with_name(f".{FILE}")
        lines = [list(map(_text, table.columns)), *(row + [""] * len(new) for row in rows)]
        self._files.write(table.path, b"")
        self._files.done(table.path)
        whole.write_bytes(b"".join(map(_line, lines)))
        whole.replace(table.path)


def _text(text: str) -> str:
    """A text that a spreadsheet does not run as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) and text != "-inf" else text


def _cell(item: Any) -> str:
    if not isinstance(item, (str, int, float)):
        item = plain_json(item)
    if item is None or isinstance(item, str):
        return _text(item or "")
    return repr(item) if isinstance(item, (bool, int, float)) else json.dumps(item)


def _line(cells: list[str]) -> bytes:
    if not any("," in cell or '"' in cell or "\n" in cell or "\r" in cell for cell in cells):
        return (",".join(cells) + "\n").encode()
    text = io.StringIO()
    library.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
