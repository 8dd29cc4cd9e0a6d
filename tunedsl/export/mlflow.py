"""MLflow's client: one run a trial."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any, Final

from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.sinks.contract import RunInfo, Sink, TrialRecord, scalar_metrics, to_plain
from tunedsl.sinks.mlflow import MLflow

BATCH: Final = 1_000
"""Metrics that MLflow takes in one call."""
MAX_PARAM_CHARS: Final = 6_000
"""Characters of a parameter's value that MLflow takes."""
MAX_NAME_CHARS: Final = 250
_FOREIGN: Final = re.compile(r"[^\w.\-/ ]")
_STATUS: Final = {
    "completed": "FINISHED",
    "stopped": "FINISHED",
    "failed": "FAILED",
}


class MLflowWriter(Sink):
    def __init__(self, spec: MLflow) -> None:
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.tracking import MlflowClient

        self._metric, self._param, self._tag = Metric, Param, RunTag
        self._spec = spec
        self._client = MlflowClient(tracking_uri=spec.tracking_uri)
        self._runs: dict[int, str] = {}
        self._known: dict[int, int] = {}
        self._failed: dict[int, str] = {}
        self._waiting: dict[int, list[Any]] = {}

    def on_start(self, run: RunInfo) -> None:
        self._run = run
        name = self._spec.experiment or run.name
        found = self._client.get_experiment_by_name(name)
        self._experiment = self._client.create_experiment(name) if found is None else found.experiment_id
        self._past = self._earlier()

    def on_trial(self, trial: TrialRecord) -> None:
        if trial.number in self._runs:
            changed = {f"config/{name}": item for name, item in trial.params.items() if not isinstance(item, bool)}
            self._wait(trial, scalar_metrics(changed), trial.iterations + 1)
            return
        failed = self._failed.pop(trial.number, None)
        if failed is not None:
            self._runs[trial.number] = failed
            self._client.delete_tag(failed, "tunedsl.error")
            self._client.update_run(failed, status="RUNNING")
            return
        past = self._past.pop(trial.id, None)
        if past is not None:
            self._runs[trial.number], self._known[trial.number] = past
            return
        tags = {"tunedsl.run": self._run.id, "tunedsl.trial": trial.id}
        began = self._milliseconds(trial)
        run = self._client.create_run(self._experiment, start_time=began, tags=tags, run_name=trial.id)
        self._runs[trial.number] = run.info.run_id
        params = [
            self._param(_name(name), str(to_plain(item))[:MAX_PARAM_CHARS]) for name, item in trial.params.items()
        ]
        for first in range(0, len(params), 100):
            self._client.log_batch(run.info.run_id, params=params[first : first + 100])

    def on_report(self, trial: TrialRecord, row: Mapping[str, Any]) -> None:
        # The iteration is the last of a row's metrics: where it is known, the whole row is.
        found = [(name, item) for name, item in scalar_metrics(row) if name != TRAINING_ITERATION]
        self._wait(trial, [*found, (TRAINING_ITERATION, float(trial.iterations))], trial.iterations)

    def on_end(self, trial: TrialRecord) -> None:
        self._send(trial.number)
        run = self._runs.pop(trial.number)
        self._client.set_tag(run, "tunedsl.status", trial.status)
        if trial.status == "failed":
            self._failed[trial.number] = run
            self._client.set_tag(run, "tunedsl.error", trial.error[:MAX_PARAM_CHARS])
        self._client.set_terminated(run, _STATUS.get(trial.status, "KILLED"), end_time=self._milliseconds(trial))

    def flush(self) -> None:
        for number in list(self._waiting):
            self._send(number)

    def _earlier(self) -> dict[str, tuple[str, int]]:
        """The runs of an earlier session, by trial, and the iteration up to which each is known."""
        found: dict[str, tuple[str, int]] = {}
        token = None
        while True:
            quote = '"' if "'" in self._run.id else "'"
            where = f"tags.`tunedsl.run` = {quote}{self._run.id}{quote}"
            page = self._client.search_runs([self._experiment], where, max_results=1_000, page_token=token)
            for run in page:
                known = int(run.data.metrics.get(TRAINING_ITERATION, 0))
                found[run.data.tags["tunedsl.trial"]] = run.info.run_id, known
            token = page.token
            if not token:
                return found

    def _wait(self, trial: TrialRecord, found: Any, iteration: int) -> None:
        if iteration <= self._known.get(trial.number, 0):
            return
        waiting = self._waiting.setdefault(trial.number, [])
        at = self._milliseconds(trial)
        waiting += [self._metric(_name(name), item, at, iteration) for name, item in found]
        if len(waiting) >= BATCH:
            self._send(trial.number)

    def _send(self, number: int) -> None:
        waiting = self._waiting.pop(number, [])
        for first in range(0, len(waiting), BATCH):
            self._client.log_batch(self._runs[number], metrics=waiting[first : first + BATCH])

    def _milliseconds(self, trial: TrialRecord) -> int:
        return int(1000 * (self._run.began + trial.seconds))


def _name(name: str) -> str:
    """A name as MLflow takes it: it may stand for a path, but only for one that is written in the shortest way."""
    text = _FOREIGN.sub("_", name)[:MAX_NAME_CHARS]
    if posixpath.normpath(text) != text or text.startswith((".", "/")):
        text = re.sub(r"^\.+|/", "_", text)
    return text
