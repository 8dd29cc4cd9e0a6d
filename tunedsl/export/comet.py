"""Comet, offline: one archive a trial."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.sinks.comet import Comet
from tunedsl.sinks.contract import RunInfo, Sink, TrialRecord, scalar_metrics, to_plain


class CometWriter(Sink):
    def __init__(self, spec: Comet) -> None:
        import comet_ml

        self._library: Any = comet_ml
        self._spec = spec
        self._experiments: dict[int, Any] = {}
        self._failed: set[int] = set()  # a retry continues in the same experiment

    def on_start(self, run: RunInfo) -> None:
        self._run = run
        self._folder = run.out / "comet"
        self._folder.mkdir(parents=True, exist_ok=True)

    def on_trial(self, trial: TrialRecord) -> None:
        experiment = self._experiments.get(trial.number)
        if experiment is None:
            experiment = self._experiments[trial.number] = self._begin(trial)
        experiment.log_parameters({name: to_plain(item) for name, item in trial.params.items()}, step=trial.iterations)

    def on_report(self, trial: TrialRecord, row: Mapping[str, Any]) -> None:
        self._experiments[trial.number].log_metrics(dict(scalar_metrics(row)), step=row[TRAINING_ITERATION])

    def on_end(self, trial: TrialRecord) -> None:
        experiment = self._experiments.pop(trial.number)
        experiment.log_other("tunedsl/status", trial.status)
        if trial.error:
            self._failed.add(trial.number)
            experiment.log_other("tunedsl/error", trial.error)
        experiment.end()

    def close(self) -> None:
        for experiment in self._experiments.values():
            experiment.end()
        self._experiments.clear()

    def _begin(self, trial: TrialRecord) -> Any:
        key = hashlib.blake2b(f"{self._run.id}/{trial.id}".encode(), digest_size=20).hexdigest()
        again = trial.number in self._failed
        if again:
            kind, named = self._library.ExistingOfflineExperiment, {"previous_experiment": key}
        else:
            for old in self._folder.glob(f"{key}*.zip"):
                old.unlink()  # records of an earlier session are delivered again
            project = self._spec.project or self._run.name
            kind, named = self._library.OfflineExperiment, {"experiment_key": key, "project_name": project}
        experiment = kind(
            **named,
            workspace=self._spec.workspace,
            offline_directory=str(self._folder),
            log_code=False,
            log_graph=False,
            auto_param_logging=False,
            auto_metric_logging=False,
            auto_output_logging=False,
            parse_args=False,
            log_env_details=False,
            log_git_metadata=False,
            log_git_patch=False,
            display_summary_level=0,
        )
        experiment.set_name(trial.id)
        experiment.log_other("tunedsl/run", self._run.id)
        return experiment
