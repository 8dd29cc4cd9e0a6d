"""Weights & Biases, offline: one run a trial in W&B's own files."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Mapping
from typing import Any

from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.sinks.contract import RunInfo, Sink, TrialRecord, scalar_metrics, to_plain
from tunedsl.sinks.wandb import Wandb


class WandbWriter(Sink):
    def __init__(self, spec: Wandb) -> None:
        import wandb as library

        self._library: Any = library
        self._spec = spec
        self._runs: dict[int, Any] = {}
        self._failed: set[int] = set()  # a retry continues in the same run

    def on_start(self, run: RunInfo) -> None:
        self._run = run

    def on_trial(self, trial: TrialRecord) -> None:
        params = {name: to_plain(item) for name, item in trial.params.items()}
        if trial.number in self._runs:
            self._runs[trial.number].config.update(params, allow_val_change=True)
            return
        identity = f"{self._run.id}-{trial.id}"
        again = trial.number in self._failed
        if not again:
            for old in self._run.out.glob(f"wandb/offline-run-*-{glob.escape(identity)}"):
                shutil.rmtree(old)  # records of an earlier session are delivered again
        settings = self._library.Settings(
            mode="offline",
            console="off",
            silent=True,
            disable_git=True,
            disable_code=True,
            x_disable_meta=True,
            x_disable_stats=True,
        )
        self._runs[trial.number] = self._library.init(
            project=self._spec.project or self._run.name,
            group=self._run.id,
            name=trial.id,
            id=identity,
            dir=str(self._run.out),
            config=params,
            resume="allow" if again else None,
            settings=settings,
            reinit="create_new",
        )

    def on_report(self, trial: TrialRecord, row: Mapping[str, Any]) -> None:
        self._runs[trial.number].log(dict(scalar_metrics(row)), step=row[TRAINING_ITERATION])

    def on_end(self, trial: TrialRecord) -> None:
        run = self._runs.pop(trial.number)
        run.summary["tunedsl/status"] = trial.status
        if trial.error:
            self._failed.add(trial.number)
            run.summary["tunedsl/error"] = trial.error
        run.finish(exit_code=int(trial.status == "failed"))

    def close(self) -> None:
        for run in self._runs.values():
            run.finish(exit_code=255)
        self._runs.clear()
