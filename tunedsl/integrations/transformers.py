"""For users of Transformers and TRL: a callback that reports each evaluation, and continues from a checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.utils import logging

from tunedsl.integrations.reporting import Metrics, report_selected
from tunedsl.worker import trial


class ReportCallback(TrainerCallback):  # type: ignore[misc]  # Transformers is not installed everywhere
    """Reports the metrics of each evaluation of a `Trainer`, also of TRL's trainers.

    Metrics have the names of the trainer, such as `eval_loss`. A stopped trial ends there. Pass
    `resume_from_checkpoint=callback.checkpoint_path` to `trainer.train` to continue a paused or retried trial. The
    trainer also restores its learning rate from a checkpoint, so that a population can change other parameters only.
    With several processes, only rank 0 reports. Progress bars of saving and loading are off.

    Args:
        metrics: a dict from the reported name to the trainer's, a list of names, or None for all.
        checkpoint: whether the trainer saves a checkpoint at each evaluation, in its own format, which is reported.

    Raises:
        ReportError: in training, for a metric that the trainer does not compute.

    Example:
        >>> def train(config):  # doctest: +SKIP
        ...     callback = ReportCallback(["eval_loss"])
        ...     options = TrainingArguments(trial().path, eval_strategy="epoch", disable_tqdm=True, report_to="none")
        ...     trainer = Trainer(model, options, callbacks=[callback], train_dataset=rows, eval_dataset=test_rows)
        ...     trainer.train(resume_from_checkpoint=callback.checkpoint_path)
    """

    def __init__(self, metrics: Metrics = None, checkpoint: bool = True) -> None:
        self.metrics, self.checkpoint = metrics, checkpoint
        self._evaluated: dict[str, Any] | None = None

    @property
    def checkpoint_path(self) -> str | None:
        """The trainer's checkpoint that the trial starts from; None at the beginning."""
        path = trial().checkpoint
        return None if path is None else str(path)

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Switch off the progress bars of saving and loading; the trainer calls it."""
        logging.disable_progress_bar()

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, Any], **more: Any) -> None:
        """Report an evaluation, or have the trainer save first; the trainer calls it."""
        if not state.is_world_process_zero:
            return
        if self.checkpoint:
            self._evaluated, control.should_save = metrics, True
        else:
            report_selected(metrics, self.metrics, None)

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Report the evaluation before a save, with the checkpoint; the trainer calls it."""
        if self._evaluated is None:
            return
        metrics, self._evaluated = self._evaluated, None
        saved = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        report_selected(metrics, self.metrics, lambda folder: shutil.copytree(saved, folder, dirs_exist_ok=True))
