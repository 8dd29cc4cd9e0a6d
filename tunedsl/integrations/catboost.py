"""For users of CatBoost: a callback that reports each iteration, and continues from a snapshot."""

from __future__ import annotations

import shutil
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from tunedsl.integrations.reporting import Metrics, report_selected, restored
from tunedsl.worker import trial
from tunedsl.worker.messages import TrialStopped

_FILE: Final = "snapshot.cbsnapshot"


class ReportCallback:
    """Reports the evaluation metrics after each boosting iteration.

    Metrics are named by data set, `-` and metric, such as `validation-Logloss`. When the trial is stopped, `fit`
    returns as after CatBoost's own early stopping. Pass `**callback.snapshot` to the model to continue a paused or
    retried trial. CatBoost refuses a snapshot of other parameters, so populations cannot copy one.

    Args:
        metrics: a dict from the reported name to CatBoost's, a list of names, or None for all.
        checkpoint: whether to save CatBoost's snapshot when the scheduler or `.checkpoint(every=...)` needs it.

    Raises:
        CatBoostError: from `fit`, for a metric that CatBoost does not compute; it wraps a `ReportError`.

    Example:
        >>> def train(config, x, y, x_test, y_test):  # doctest: +SKIP
        ...     callback = ReportCallback({"loss": "validation-Logloss"})
        ...     model = CatBoostClassifier(iterations=100, verbose=False, **config, **callback.snapshot)
        ...     model.fit(x, y, eval_set=(x_test, y_test), callbacks=[callback])
    """

    def __init__(self, metrics: Metrics = None, checkpoint: bool = True) -> None:
        self.metrics, self.checkpoint = metrics, checkpoint

    @cached_property
    def snapshot(self) -> dict[str, Any]:
        """Arguments of a CatBoost model: its folder, and where it reads and writes its snapshot."""
        folder = trial().path / "catboost"
        folder.mkdir(exist_ok=True)
        if not self.checkpoint:
            return {"train_dir": str(folder)}
        path = folder / f"{trial().attempt}-{_FILE}"
        before = restored(_FILE)
        if before is not None:
            shutil.copyfile(before, path)
        return {
            "train_dir": str(folder),
            "save_snapshot": True,
            "snapshot_file": str(path),
            "snapshot_interval": 0,
        }

    def after_iteration(self, info: Any) -> bool:
        """Report one iteration; CatBoost calls it."""
        if info.iteration <= trial().iteration:  # a snapshot is one iteration older than the report that it belongs to
            return True

        def save(folder: Path) -> None:
            shutil.copyfile(self.snapshot["snapshot_file"], folder / _FILE)

        found = {f"{data}-{name}": values[-1] for data, log in info.metrics.items() for name, values in log.items()}
        try:
            report_selected(found, self.metrics, save if "snapshot_file" in self.snapshot else None)
        except TrialStopped:  # an exception would reach the user's code as a CatBoostError
            return False
        return True
