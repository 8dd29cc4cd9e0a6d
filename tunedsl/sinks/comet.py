"""Comet, offline: one archive a trial, which `comet upload` sends when you want."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from tunedsl.base.arguments import as_text, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.references import call_repr
from tunedsl.base.requirements import PackageRequirement
from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.plan.output import SinkKind, register
from tunedsl.sinks.contract import RunInfo, Sink, TrialRecord, scalar_metrics, to_plain


@value
class Comet:
    """Comet, and where its archives belong there."""

    project: str | None = None
    workspace: str | None = None

    def __repr__(self) -> str:
        return call_repr("comet", self)


@check_arguments
def comet(project: str | None = None, workspace: str | None = None) -> Comet:
    """Writes each trial as an offline experiment of Comet into the folder `comet` of the experiment's folder.

    Nothing is sent anywhere; `comet upload FOLDER/comet/*.zip` does that. A trial's archive is there once it has ended.

    Needs the extra `comet`.

    Args:
        project: in Comet; the experiment's name without it.
        workspace: in Comet; the user's default without it.

    Raises:
        ArgumentError: for what is no text.

    >>> comet("digits")
    comet(project='digits')
    """
    for name, item in (("project", project), ("workspace", workspace)):
        if item is not None:
            as_text(f"comet.{name}", item)
    return Comet(project, workspace)


class _CometSink(Sink):
    def __init__(self, spec: Comet) -> None:
        import comet_ml

        self._library: Any = comet_ml
        self._spec = spec
        self._experiments: dict[int, Any] = {}
        self._failed: set[int] = set()  # they may be run again, and go on in the same experiment

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
                old.unlink()  # what an earlier session wrote is told again
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


PACKAGE: Final = PackageRequirement("comet_ml", "comet_ml", "3.47")
register(Comet, SinkKind("comet", _CometSink, PACKAGE, "comet"))
