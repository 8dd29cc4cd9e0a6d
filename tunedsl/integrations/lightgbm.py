"""For users of LightGBM: a callback that reports each iteration, and continues from a checkpoint."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Final

from tunedsl.integrations.reporting import Metrics, report_selected, restored

_FILE: Final = "model.txt"


class ReportCallback:
    """Reports the evaluation metrics after each boosting iteration.

    Metrics are named by data set, `-` and metric, such as `valid_0-binary_logloss`. A stopped trial ends within the
    iteration. Pass `init_model=callback.model` to continue a paused, copied or retried trial, and train
    `callback.rounds` iterations fewer.

    Args:
        metrics: a dict from the reported name to LightGBM's, a list of names, or None for all.
        checkpoint: whether to save the booster when the scheduler or `.checkpoint(every=...)` needs it.

    Attributes:
        rounds: the iterations of the model that the trial starts from; 0 at the beginning.

    Raises:
        ReportError: in training, for a metric that LightGBM does not compute.

    Example:
        >>> def train(config, x, y, x_test, y_test):  # doctest: +SKIP
        ...     callback = ReportCallback({"loss": "valid_0-binary_logloss"})
        ...     model = lightgbm.LGBMClassifier(n_estimators=100 - callback.rounds, **config, verbosity=-1)
        ...     model.fit(x, y, eval_X=x_test, eval_y=y_test, init_model=callback.model, callbacks=[callback])
    """

    order: Final = 25  # after LightGBM's own recording, before its early stopping

    def __init__(self, metrics: Metrics = None, checkpoint: bool = True) -> None:
        self.metrics, self.checkpoint = metrics, checkpoint

    @cached_property
    def model(self) -> Any:
        """The booster that the trial starts from; None at the beginning."""
        import lightgbm

        path = restored(_FILE)
        return None if path is None else lightgbm.Booster(model_file=str(path))

    @property
    def rounds(self) -> int:
        return 0 if self.model is None else int(self.model.current_iteration())

    def __call__(self, env: Any) -> None:
        """Report one iteration; LightGBM calls it."""

        def save(folder: Path) -> None:
            env.model.save_model(str(folder / _FILE))

        found = {f"{data}-{name}": value for data, name, value, *_ in env.evaluation_result_list}
        report_selected(found, self.metrics, save if self.checkpoint and hasattr(env.model, "save_model") else None)
