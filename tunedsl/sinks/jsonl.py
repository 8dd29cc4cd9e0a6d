"""JSON lines: `reports.jsonl` in each trial's folder, one object a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.export.files import AppendOnlyFiles
from tunedsl.plan.output import SinkKind, register
from tunedsl.sinks.contract import Sink, TrialRecord

FILE: Final = "reports.jsonl"


@value
class Jsonl:
    """JSON lines."""

    def __repr__(self) -> str:
        return "jsonl()"


@check_arguments
def jsonl() -> Jsonl:
    """Writes each trial's reports to `reports.jsonl` in its folder, one JSON object a line.

    NaN and the infinities stand as `NaN`, `Infinity` and `-Infinity`, as Python's `json` and pandas read them.

    >>> jsonl()
    jsonl()
    """
    return Jsonl()


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class _JsonlSink(Sink):
    def __init__(self) -> None:
        self._files = AppendOnlyFiles()

    def on_trial(self, trial: TrialRecord) -> None:
        trial.path  # noqa: B018  # makes the folder, with the configuration in it

    def on_report(self, trial: TrialRecord, row: Mapping[str, Any]) -> None:
        self._files.write(trial.path / FILE, (_encode(row) + "\n").encode())

    def on_end(self, trial: TrialRecord) -> None:
        self._files.done(trial.path / FILE)

    def flush(self) -> None:
        self._files.flush()

    def close(self) -> None:
        self._files.close()


register(Jsonl, SinkKind("jsonl", lambda spec: _JsonlSink()))
