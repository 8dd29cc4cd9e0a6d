"""For users of Lightning: a callback that reports validation or training epochs, and continues from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, get_args

try:
    from lightning.pytorch import Callback
except ImportError:  # the older package has the same classes
    from pytorch_lightning import Callback

from tunedsl.base.arguments import as_choice
from tunedsl.integrations.reporting import Metrics, report_selected, restored

Moment = Literal["validation_end", "train_epoch_end"]
_FILE: Final = "lightning.ckpt"


class ReportCallback(Callback):  # type: ignore[misc]  # Lightning is not installed everywhere
    """Reports the logged metrics at the end of each validation, or of each training epoch.

    Metrics are those of `self.log`, such as `val_loss`. A stopped trial ends there. Pass
    `ckpt_path=callback.ckpt_path` to `trainer.fit` to continue a paused, copied or retried trial. Lightning's sanity
    check is not reported, and its progress bar is off in trials. With several processes, only rank 0 reports.

    Args:
        metrics: a dict from the reported name to Lightning's, a list of names, or None for all.
        on: `validation_end` or `train_epoch_end`.
        checkpoint: whether to save Lightning's checkpoint when the scheduler or `.checkpoint(every=...)` needs it.

    Raises:
        ArgumentError: for another moment.
        ReportError: in training, for a metric that is not logged.

    Example:
        >>> def train(config):  # doctest: +SKIP
        ...     callback = ReportCallback(["val_loss"])
        ...     trainer = Trainer(max_epochs=27, callbacks=[callback], logger=False, enable_checkpointing=False)
        ...     trainer.fit(Network(config), Digits(), ckpt_path=callback.ckpt_path)
    """

    def __init__(self, metrics: Metrics = None, on: Moment = "validation_end", checkpoint: bool = True) -> None:
        self.metrics, self.checkpoint = metrics, checkpoint
        self.on = as_choice("ReportCallback.on", on, get_args(Moment))

    @property
    def ckpt_path(self) -> str | None:
        """The checkpoint that the trial starts from; None at the beginning."""
        path = restored(_FILE)
        return None if path is None else str(path)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Switch the progress bar off; Lightning calls it."""
        if trainer.progress_bar_callback is not None:
            trainer.progress_bar_callback.disable()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Report a validation; Lightning calls it."""
        if self.on == "validation_end" and not trainer.sanity_checking:
            self._report(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report a training epoch; Lightning calls it."""
        if self.on == "train_epoch_end":
            self._report(trainer)

    def _report(self, trainer: Any) -> None:
        if not trainer.is_global_zero:
            return

        def save(folder: Path) -> None:
            trainer.save_checkpoint(folder / _FILE)

        found = {name: value.item() for name, value in trainer.callback_metrics.items()}
        report_selected(found, self.metrics, save if self.checkpoint else None)
