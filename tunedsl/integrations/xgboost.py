"""For users of XGBoost: a callback that reports each round, and continues from a checkpoint."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Final

import xgboost

from tunedsl.integrations.reporting import Metrics, report_selected, restored

_FILE: Final = "model.ubj"


class ReportCallback(xgboost.callback.TrainingCallback):  # type: ignore[misc]  # XGBoost is not installed everywhere
    """Reports the evaluation metrics after each boosting round.

    Metrics have XGBoost's names: data set, `-`, metric, such as `validation_0-logloss`. A stopped trial ends within the
    round. Pass `xgb_model=callback.model` to continue a paused, copied or retried trial, and train `callback.rounds`
    rounds fewer.

    Args:
        metrics: a dict from the reported name to XGBoost's, a list of names, or None for all.
        checkpoint: whether to save the booster when the scheduler or `.checkpoint(every=...)` needs it.

    Attributes:
        rounds: the boosting rounds of the model that the trial starts from; 0 at the beginning.

    Raises:
        ReportError: in training, for a metric that XGBoost does not compute.

    Example:
        >>> def train(config, x, y, x_test, y_test):  # doctest: +SKIP
        ...     callback = ReportCallback({"loss": "test-logloss"})
        ...     xgboost.train(
        ...         config, xgboost.DMatrix(x, y), 100 - callback.rounds, xgb_model=callback.model,
        ...         evals=[(xgboost.DMatrix(x_test, y_test), "test")], callbacks=[callback], verbose_eval=False,
        ...     )
    """

    def __init__(self, metrics: Metrics = None, checkpoint: bool = True) -> None:
        super().__init__()
        self.metrics, self.checkpoint = metrics, checkpoint

    @cached_property
    def model(self) -> Any:
        """The booster that the trial starts from; None at the beginning."""
        path = restored(_FILE)
        return None if path is None else xgboost.Booster(model_file=path)

    @property
    def rounds(self) -> int:
        return 0 if self.model is None else int(self.model.num_boosted_rounds())

    def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, dict[str, list[Any]]]) -> bool:
        """Report one round; XGBoost calls it."""

        def save(folder: Path) -> None:
            model.save_model(folder / _FILE)

        found = {
            f"{data}-{name}": values[-1][0] if isinstance(values[-1], tuple) else values[-1]  # of `cv`: mean and std
            for data, log in evals_log.items()
            for name, values in log.items()
        }
        report_selected(found, self.metrics, save if self.checkpoint and hasattr(model, "save_model") else None)
        return False
