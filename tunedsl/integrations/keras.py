"""For users of Keras 3: a callback that reports each epoch, and continues from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import keras

from tunedsl.integrations.reporting import Metrics, report_selected, restored
from tunedsl.worker import trial

_FILE: Final = "state.weights.h5"


class ReportCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is not installed everywhere
    """Reports the metrics of each epoch.

    Metrics have the names of Keras' logs, such as `loss` and `val_loss`. A stopped trial ends after the epoch. A
    paused, copied or retried trial continues by itself: `fit` begins at the epoch after the checkpoint, with the
    weights and the state of the optimizer. The learning rate stays as the model was compiled, so that populations
    can change it.

    Args:
        metrics: a dict from the reported name to Keras', a list of names, or None for all.
        checkpoint: whether to save the weights and the optimizer when the scheduler or `.checkpoint(every=...)` needs
            them.

    Raises:
        ReportError: in training, for a metric that Keras does not log.

    Example:
        >>> def train(config, x, y):  # doctest: +SKIP
        ...     model = build(config)
        ...     model.fit(x, y, validation_split=0.2, epochs=27, verbose=0, callbacks=[ReportCallback()])
    """

    def __init__(self, metrics: Metrics = None, checkpoint: bool = True) -> None:
        super().__init__()
        self.metrics, self.checkpoint = metrics, checkpoint

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Load the checkpoint that the trial starts from; Keras calls it."""
        path = restored(_FILE)
        if path is None:
            return
        optimizer = self.model.optimizer
        rate = optimizer.learning_rate.numpy() if hasattr(optimizer.learning_rate, "numpy") else None
        if not self.model.built:
            raise RuntimeError("Keras can load a checkpoint only into a model that is built: begin it with keras.Input")
        optimizer.build(self.model.trainable_variables)
        self.model.load_weights(path)
        if rate is not None:
            optimizer.learning_rate = float(rate)
        self.model._initial_epoch = trial().iteration

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report one epoch; Keras calls it."""

        def save(folder: Path) -> None:
            self.model.save_weights(folder / _FILE)

        report_selected(logs or {}, self.metrics, save if self.checkpoint else None)
