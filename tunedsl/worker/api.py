"""What a user's training code calls: `report`, `trial`, and the base of the class form."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tunedsl.base.arguments import check_arguments
from tunedsl.base.errors import ReportError
from tunedsl.base.types import Config
from tunedsl.worker.current import current_session
from tunedsl.worker.trial_info import TrialInfo

GivenCheckpoint = str | os.PathLike[str] | Callable[[Path], object] | None
"""The checkpoint of a report: a folder to copy, or a function that writes it into a folder when it is needed."""


class Trainable:
    """The class form of a trainable: subclass it, and give `.trainable` the class.

    A trainable needs `setup` and `step`. With `save(self, folder)` and `load(self, folder)` it can continue from a
    checkpoint. `save` must not change the trainable: it is called again, with an empty folder, when storage fails.
    Under `pbt`, `setup` receives the new configuration, and `load` the checkpoint of another trial. Set everything
    that depends on the configuration, such as an optimiser's learning rate, again in `load`.

    Example:
        >>> class Line(Trainable):
        ...     def setup(self, config):
        ...         self.x, self.slope = 0, config["slope"]
        ...     def step(self):
        ...         self.x += 1
        ...         return {"height": self.slope * self.x}
    """

    def setup(self, config: Config, *args: Any, **data: Any) -> None:
        """Called once, before the first step, with the configuration and the objects of `.data(...)`."""

    def step(self) -> Mapping[str, Any] | None:
        """Run one iteration of training. Return its metrics, or None to end the trial."""
        raise NotImplementedError

    def cleanup(self) -> None:
        """Called once, after the last step, also when the trial failed.

        An exception after the end of the trial is written to `cleanup-error.txt` in the trial's folder.
        """


def report(
    metrics: Mapping[str, Any] | None = None,
    /,
    *,
    checkpoint: GivenCheckpoint = None,
    **more: Any,
) -> None:
    """Report one iteration of the current trial. The call does not return when the trial ends with it.

    Args:
        metrics: names and values, as a mapping or as keywords. Numbers of any kind and one-element arrays or tensors
            are metrics; a masked element is NaN. Text, containers, dates and so on are kept as data. An objective has
            to be a number, and a trial that ends without reporting it fails.
        checkpoint: a folder with everything that is needed to continue from here; all of it is copied. It cannot
            contain the folder of the run. Or a function that writes the checkpoint into an empty folder: it is called
            when the scheduler or `.checkpoint(every=...)` needs a checkpoint.

    Raises:
        ReportError: outside a trial, from a thread that the trial started, or for an invalid report.

    Example:
        >>> def train(config):
        ...     for epoch in range(3):
        ...         report(loss=1 / (epoch + config["lr"]))
    """
    session, metrics = current_session("report()"), joined_metrics("report", metrics, more, checkpoint)
    if callable(checkpoint):
        session.report(metrics, save=checkpoint)
    else:
        session.report(metrics, checkpoint)


def joined_metrics(call: str, metrics: Any, more: dict[str, Any], checkpoint: object) -> dict[str, Any]:
    """Return the metrics of a call that takes them as a mapping and as keywords.

    Raises:
        ReportError: when `metrics` is not a mapping, or `checkpoint` is neither a path nor a function.
    """
    if metrics is not None:
        if not isinstance(metrics, Mapping):
            raise ReportError(f"{call}() takes a mapping of metrics or keywords, not a {type(metrics).__name__}.")
        more = {**metrics, **more}
    if checkpoint is not None and not callable(checkpoint) and not isinstance(checkpoint, (str, os.PathLike)):
        raise ReportError(
            f"{call}(checkpoint=...) takes the path of a folder or a function, not a {type(checkpoint).__name__}.\n"
            f"  help: write the state of the training into a folder, and pass its path"
        )
    return more


@check_arguments
def trial() -> TrialInfo:
    """Return the current trial: its id, config, seed, path, resources, iteration and checkpoint.

    Raises:
        ReportError: outside a trial.
    """
    return current_session("trial()").info
