"""The contract of sinks: the hooks, and the values about runs and trials that they receive."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from tunedsl.base.objective import Objective
from tunedsl.base.plain_json import plain_json
from tunedsl.base.types import Config, Json, TrialStatus

SINK_HOOKS: Final = ("on_start", "on_trial", "on_report", "on_end", "flush", "close")
"""The methods of a sink, in the order of a run."""
PARAMS_FILE: Final = "params.json"
"""In a trial's folder: its configuration."""


@attrs.frozen
class RunInfo:
    """The run that a sink receives.

    Attributes:
        name: the experiment's name.
        id: the name of the run's folder.
        path: that folder, or its address.
        out: where files go, which is `path` unless that is an address or the user names another folder.
        objectives: what the run is for; the first one ranks trials.
        began: when it began, in seconds since 1970.
    """

    name: str
    id: str
    path: Path | str
    out: Path
    objectives: tuple[Objective, ...]
    began: float


@attrs.define
class TrialRecord:
    """The current state of a trial; read-only.

    Attributes:
        number: its place among the proposals, from 0.
        id: its name.
        config: its configuration; objects of modules that are not loaded stand as `Named`.
        params: the same as one flat mapping: nested names are joined by `/`, a branch has the name that was chosen.
        status: `pending`, `running`, `paused`, `completed`, `stopped` (by the scheduler or a user), `failed` or
            `cancelled` (never started, or cut by the end of the experiment).
        metrics: its last report, as `on_report` got it; empty before the first one.
        iterations: how many reports it made.
        changes: how often its configuration was changed on the way.
        error: why it failed, in one line; empty if it did not.
        seconds: when it reported last, since the run began and without downtime.
    """

    number: int
    id: str
    config: Config
    params: dict[str, Any]
    data: Json = attrs.field(repr=False)
    _make_folder: Callable[[TrialRecord], Path] = attrs.field(repr=False)
    status: TrialStatus = "pending"
    metrics: dict[str, Any] = attrs.field(factory=dict)
    iterations: int = 0
    changes: int = 0
    error: str = ""
    seconds: float = 0.0
    _folder: Path | None = attrs.field(default=None, init=False, repr=False)
    _written: int = attrs.field(default=0, init=False, repr=False)

    @property
    def path(self) -> Path:
        """Its folder, made when it is first asked for; `params.json` in it is the configuration, as it is now."""
        if self._folder is None or self._written != self.changes:
            self._written = self.changes
            self._folder = self._make_folder(self)
        return self._folder


class Sink:
    """The base class of custom sinks: override the hooks that you need.

    The hooks are called in the order of what happened, one at a time, outside the driver's loop: nothing waits for
    them, and they may lag behind. A hook that raises disables the sink, which is reported once; the run continues.
    A resumed run tells everything again from its beginning, to a new sink.

    >>> class Best(Sink):
    ...     def on_start(self, run):
    ...         self.goal, self.best = run.objectives[0], float("-inf")
    ...     def on_report(self, trial, row):
    ...         self.best = max(self.best, self.goal.sign * row[self.goal.metric])
    """

    def on_start(self, run: RunInfo) -> None:
        """The first call, with the run."""

    def on_trial(self, trial: TrialRecord) -> None:
        """A trial was proposed, its configuration has changed (`trial.changes`), or it is run again after `on_end`."""

    def on_report(self, trial: TrialRecord, row: Mapping[str, Any]) -> None:
        """A trial reported: `training_iteration`, `time_total_s`, its metrics, and what it reported as data."""

    def on_end(self, trial: TrialRecord) -> None:
        """A trial ended (`trial.status`), or the run ended before it; called again if the trial is run again."""

    def flush(self) -> None:
        """All new records were delivered; called a few times a second while records arrive."""

    def close(self) -> None:
        """The last call: the run is over or was interrupted."""


def flatten_config(config: Mapping[str, Any], branches: frozenset[str]) -> dict[str, Any]:
    """A configuration as one flat mapping.

    Args:
        branches: names, joined by `/`, whose value is the one chosen option and its own parameters.

    >>> flatten_config({"model": {"svm": {"C": 1.0}}, "layers": [8, 8]}, frozenset(["model"]))
    {'model': 'svm', 'model/svm/C': 1.0, 'layers': [8, 8]}
    """
    return dict(_flat(config, "", branches))


def _flat(config: Mapping[str, Any], prefix: str, branches: frozenset[str]) -> Iterator[tuple[str, Any]]:
    for name, item in config.items():
        path = f"{prefix}{name}"
        if isinstance(item, Mapping):
            if path in branches:
                yield path, next(iter(item), None)
            yield from _flat(item, f"{path}/", branches)
        else:
            yield path, item


def scalar_metrics(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a report with their names; those inside of dicts by names joined by `/`."""
    for name, item in row.items():
        if isinstance(item, (int, float)):
            yield f"{prefix}{name}", float(item)
        elif isinstance(item, dict):
            yield from scalar_metrics(item, f"{prefix}{name}/")


def to_plain(item: Any) -> bool | int | float | str:
    """A parameter as trackers take it: a finite number, a truth value, or text."""
    plain = plain_json(item)
    if isinstance(plain, (bool, int, str)) or (isinstance(plain, float) and math.isfinite(plain)):
        return plain
    return json.dumps(plain) if isinstance(plain, (list, dict)) else str(plain)
