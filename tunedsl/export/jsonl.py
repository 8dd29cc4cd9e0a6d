"""`reports.jsonl` in each trial's folder, one object a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tunedsl.base.plain_json import plain_json
from tunedsl.export.files import AppendOnlyFiles
from tunedsl.sinks.contract import Sink, TrialRecord
from tunedsl.sinks.jsonl import Jsonl

FILE: Final = "reports.jsonl"


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class JsonlWriter(Sink):
    def __init__(self, spec: Jsonl) -> None:
        self._files = AppendOnlyFiles()

    def on_trial(self, trial: TrialRecord) -> None:
        trial.path  # noqa: B018  # makes the folder, with the configuration in it

    def on_report(self, trial: TrialRecord, row: Mapping[str, Any]) -> None:
        self._files.write(trial.path / FILE, (_encode(plain_json(row)) + "\n").encode())

    def on_end(self, trial: TrialRecord) -> None:
        self._files.done(trial.path / FILE)

    def flush(self) -> None:
        self._files.flush()

    def close(self) -> None:
        self._files.close()
