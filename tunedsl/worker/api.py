"""What a user's training code calls: `report`, `trial`, and the class form's base."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from tunedsl.base.arguments import check_arguments
from tunedsl.base.errors import ReportError
from tunedsl.base.types import Config, Json
from tunedsl.journal import trial_folder

if TYPE_CHECKING:
    from tunedsl.worker.session import Session


@attrs.frozen
class TrialInfo:
    """What a trial may know of itself.

    Attributes:
        id: its name, unique in the experiment and a portable folder name.
        number: 0 for the first proposal, and so on.
        config: its parameters.
        seed: its own 32-bit seed; `random`, NumPy and a loaded torch have been given one already.
        resources: what it was given: `cpu`, `gpu`, `memory` in bytes, and custom ones by name.
        attempt: 0 at first, one more after each failure.
        iteration: how many iterations came before `checkpoint`; 0 without one.
        checkpoint: the folder to start from, or None.
    """

    id: str
    number: int
    config: Config
    seed: int
    resources: Mapping[str, float]
    attempt: int
    iteration: int
    checkpoint: Path | None
    _root: str
    _params: Json

    @property
    def path(self) -> Path:
        """The trial's own folder, made when it is first asked for; `params.json` in it is the configuration."""
        return trial_folder(self._root, self.id, self._params, create_new=self.attempt > 0)


class Trainable:
    """The class form of a trainable: subclass it, and give `.trainable` the class.

    `setup` and `step` make a trainable; `save(self, folder)` and `load(self, folder)` let it go on from a checkpoint.
    Where storage fails, `save` is called again for the same checkpoint, with an empty folder: it may change nothing.
    Under `pbt`, `setup` gets the new configuration, and `load` another trial's checkpoint: what belongs to the
    configuration, such as an optimiser's learning rate, has to be set again after loading.

    Example:
        >>> class Line(Trainable):
        ...     def setup(self, config):
        ...         self.x, self.slope = 0, config["slope"]
        ...     def step(self):
        ...         self.x += 1
        ...         return {"height": self.slope * self.x}
    """

    def setup(self, config: Config, *args: Any, **data: Any) -> None:
        """Called once, before the first step, with the config and what `.data(...)` was given."""

    def step(self) -> Mapping[str, Any] | None:
        """One iteration of training. Returns its metrics, or None to end the trial."""
        raise NotImplementedError

    def cleanup(self) -> None:
        """Called once, after the last step, also when the trial failed.

        What it raises once the trial has ended goes to `cleanup-error.txt` in the trial's folder.
        """


class Current(threading.local):
    """The session of the trial that this thread runs."""

    session: Session | None = None


CURRENT = Current()
ACTIVE: set[int] = set()
"""Identities of the threads that run a trial now, to tell a foreign thread from no trial."""


def _in_child() -> None:
    if CURRENT.session is not None:
        CURRENT.session.fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def current_session(call: str) -> Session:
    """The session of this thread's trial.

    Raises:
        ReportError: outside a trial, or in a thread that the trial started.
    """
    if CURRENT.session is not None:
        return CURRENT.session
    if ACTIVE:
        raise ReportError(
            f"{call} was called from the thread {threading.current_thread().name!r}, which does not run a trial: "
            f"call it from the thread that runs the trainable"
        )
    raise ReportError(f"{call} was called outside a trial: it works in a trainable that an experiment runs")


def report(
    metrics: Mapping[str, Any] | None = None, /, *, checkpoint: str | os.PathLike[str] | None = None, **more: Any
) -> None:
    """Reports one iteration of the trial that runs here. It may not return: the trial may end here.

    Args:
        metrics: names and values, as a mapping or as keywords. Numbers of any kind and one-element arrays or tensors
            are metrics; a masked element is NaN. Text, containers, dates and so on are kept as data. An objective has
            to be a number, and the trial fails if it ends without having reported it.
        checkpoint: a folder with all that is needed to go on from here; it is copied, whole. It cannot contain the
            folder of the run.

    Raises:
        ReportError: outside a trial, after its end, from a foreign thread, or for what is no report.

    Example:
        >>> def train(config):
        ...     for epoch in range(3):
        ...         report(loss=1 / (epoch + config["lr"]))
    """
    session = current_session("report()")
    if metrics is not None:
        if not isinstance(metrics, Mapping):
            raise ReportError(f"report() takes a mapping of metrics or keywords, found {type(metrics).__name__}")
        more = {**metrics, **more}
    if checkpoint is not None and not isinstance(checkpoint, (str, os.PathLike)):
        raise ReportError(
            f"checkpoint= takes the path of a folder, found {type(checkpoint).__name__}: "
            f"write what is needed to go on into a folder of your own"
        )
    session.report(more, checkpoint)


@check_arguments
def trial() -> TrialInfo:
    """The trial that runs here: its id, config, seed, path, resources, iteration and checkpoint.

    Raises:
        ReportError: outside a trial.
    """
    return current_session("trial()").info
