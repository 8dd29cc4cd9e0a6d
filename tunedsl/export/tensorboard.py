"""TensorBoard's event files: one run a trial, with its scalars and its hyperparameters."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.export.files import AppendOnlyFiles
from tunedsl.sinks.contract import RunInfo, Sink, TrialRecord, scalar_metrics, to_plain
from tunedsl.sinks.tensorboard import TensorBoard

PLUGIN: Final = "hparams"
SUFFIX: Final = ".tunedsl"
"""Of the names of files from here, so that those that a trial writes itself are left alone."""
_FIELDS: Final = {bool: "bool_value", str: "string_value"}
_STATUS: Final = {"completed": 1, "stopped": 1, "failed": 2}
"""As TensorBoard numbers them; 3 is one that ended without a result."""


class TensorBoardWriter(Sink):
    def __init__(self, spec: TensorBoard) -> None:
        from tensorboardX.proto import event_pb2, plugin_hparams_pb2, summary_pb2
        from tensorboardX.record_writer import masked_crc32c

        self._event, self._summary, self._hparams = event_pb2.Event, summary_pb2, plugin_hparams_pb2
        self._crc = masked_crc32c
        self._files = AppendOnlyFiles()
        self._paths: dict[int, Path] = {}
        self._host = socket.gethostname()

    def on_start(self, run: RunInfo) -> None:
        self._began = run.began

    def on_trial(self, trial: TrialRecord) -> None:
        path = trial.path / self._name(1)
        if trial.number not in self._paths and self._files.has(path):
            self._paths[trial.number] = path  # it failed, and is run again
            return
        if not trial.changes:
            for old in trial.path.glob(f"events.out.tfevents.*{SUFFIX}"):
                old.unlink()  # records of an earlier session are delivered again
            self._paths[trial.number] = path
            self._begin(path, trial)
            return
        # TensorBoard believes the first hyperparameters that it meets: the changed ones go to a file before.
        first = trial.path / self._name(0)
        first.unlink(missing_ok=True)
        files = AppendOnlyFiles()
        self._begin(first, trial, files)
        files.close()
        changed = {f"config/{name}": item for name, item in trial.params.items() if not isinstance(item, bool)}
        self._scalars(trial, scalar_metrics(changed), trial.iterations + 1)

    def on_report(self, trial: TrialRecord, row: Mapping[str, Any]) -> None:
        found = ((name, item) for name, item in scalar_metrics(row) if name != TRAINING_ITERATION)
        self._scalars(trial, found, row[TRAINING_ITERATION])

    def on_end(self, trial: TrialRecord) -> None:
        end = self._hparams.SessionEndInfo(
            status=_STATUS.get(trial.status, 3), end_time_secs=self._began + trial.seconds
        )
        path = self._paths.pop(trial.number)
        self._put(self._files, path, trial, "session_end_info", end)
        self._files.done(path)

    def flush(self) -> None:
        self._files.flush()

    def close(self) -> None:
        self._files.close()

    def _name(self, place: int) -> str:
        return f"events.out.tfevents.{int(self._began)}.{place}.{self._host}{SUFFIX}"

    def _begin(self, path: Path, trial: TrialRecord, files: AppendOnlyFiles | None = None) -> None:
        """A file's head: its version, and the trial's hyperparameters."""
        files = files or self._files
        version = self._event(wall_time=self._began + trial.seconds, file_version="brain.Event:2")
        self._write(files, path, version)
        start = self._hparams.SessionStartInfo(group_name=trial.id, start_time_secs=self._began)
        for name, item in trial.params.items():
            found = to_plain(item)
            kind = (
                "bool_value"
                if isinstance(found, bool)
                else "string_value"
                if isinstance(found, str)
                else "number_value"
            )
            setattr(start.hparams[name], kind, found)
        self._put(files, path, trial, "session_start_info", start)

    def _put(self, files: AppendOnlyFiles, path: Path, trial: TrialRecord, kind: str, content: Any) -> None:
        """A record of the plugin for hyperparameters."""
        packed = self._hparams.HParamsPluginData(version=0, **{kind: content}).SerializeToString()
        plugin = self._summary.SummaryMetadata.PluginData(plugin_name=PLUGIN, content=packed)
        metadata = self._summary.SummaryMetadata(plugin_data=plugin)
        item = self._summary.Summary.Value(tag=f"_hparams_/{kind}", metadata=metadata)
        self._write(files, path, self._event(wall_time=self._began + trial.seconds, summary={"value": [item]}))

    def _scalars(self, trial: TrialRecord, found: Iterable[tuple[str, float]], iteration: int) -> None:
        values = [self._summary.Summary.Value(tag=name, simple_value=item) for name, item in found]
        if values:
            at = self._began + trial.seconds
            event = self._event(wall_time=at, step=iteration, summary=self._summary.Summary(value=values))
            self._write(self._files, self._paths[trial.number], event)

    def _write(self, files: AppendOnlyFiles, path: Path, event: Any) -> None:
        """One record of the format TFRecord: length and content, each with its checksum."""
        content = event.SerializeToString()
        length = struct.pack("<Q", len(content))
        files.write(path, b"%b%b%b%b" % (length, self._sum(length), content, self._sum(content)))

    def _sum(self, content: bytes) -> bytes:
        return struct.pack("<I", self._crc(content))
