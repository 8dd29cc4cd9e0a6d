"""The values that a driver and its workers exchange: shipments, assignments, messages and notices.

The commands to a worker are in `commands`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec

from tunedsl.base import codec
from tunedsl.base.references import import_reference
from tunedsl.base.types import Config, Json
from tunedsl.kernel.events import CapacityChanged, Event, Started
from tunedsl.plan import Plan
from tunedsl.plan.output import Output
from tunedsl.plan.settings import GRACE_SECONDS, Isolation
from tunedsl.schedulers.contract import DecisionPoints, scheduler_of


class Assignment(msgspec.Struct, frozen=True):
    """One attempt at a trial, as a worker receives it.

    Attributes:
        known: the number of iterations in the journal already; their reports are dropped.
        begun: whether the journal contains the start of this attempt.
        iteration: the iteration of `checkpoint`, 0 without one.
        checkpoint: path in the storage of the checkpoint to start from; empty without one.
        elapsed: seconds that the trial ran in earlier attempts.
        unreported: the objective metrics that the trial has not reported yet.
        resources: amounts by name, as the trial sees them.
        shape: the resources as canonical JSON of a `Resources` value; engines match workers to trials by it.
        last_step: the value in the journal's last report of the metric that counts the iterations of a command; None
            if the attempt does not continue from there, as from the checkpoint of another trial.
    """

    trial: int
    name: str
    attempt: int
    config: dict[str, Json]
    seed: int
    resources: dict[str, float]
    shape: str = ""
    known: int = 0
    begun: bool = False
    iteration: int = 0
    checkpoint: str = ""
    elapsed: float = 0.0
    unreported: tuple[str, ...] = ()
    last_step: int | None = None


@attrs.frozen
class Shipment:
    """What workers need of a plan; a run sends it to each worker once."""

    trainable: Any
    form: str
    data: Mapping[str, Any]
    objects: Mapping[str, Any]
    stop: Any
    decision_points: DecisionPoints
    objectives: tuple[str, ...]
    save_every: int | None
    save_at_end: bool
    save_at_decisions: bool
    timeout: float | None
    root: str
    storage: str
    idle: float | None = None
    isolate: Isolation = "pool"
    output: Output | None = None
    grace: float = GRACE_SECONDS
    cwd: str = ""

    @staticmethod
    def of(
        plan: Plan,
        data: Mapping[str, Any],
        objects: Mapping[str, Any],
        root: str,
        storage: str | None = None,
        output: Output | None = None,
    ) -> Shipment:
        """Build the shipment of `plan`.

        Args:
            objects: the live objects by the references in configurations.
            root: the experiment's folder.
            storage: a folder or an fsspec address for checkpoints; `root` by default.
            output: where trials' output is written, in their folders.
        """
        return Shipment(
            trainable=None if plan.trainable is None else plan.trainable.resolve(),
            form=plan.form,
            data=data,
            objects=objects,
            stop=plan.stop,
            decision_points=plan.decision_points,
            objectives=tuple(goal.metric for goal in plan.objectives),
            save_every=plan.checkpoint.every,
            save_at_end=plan.checkpoint.at_end,
            save_at_decisions=scheduler_of(plan.scheduler).requirements(plan.scheduler).checkpoints,
            timeout=plan.timeout,
            root=root,
            storage=storage or root,
            idle=plan.idle,
            isolate=plan.isolate,
            output=output,
            grace=plan.grace,
            cwd=os.getcwd() if plan.form == "command" else "",
        )

    def config(self, assignment: Assignment) -> Config:
        """Return the assignment's configuration as live values."""
        live: Config = codec.decode(assignment.config, self._object)
        return live

    def _object(self, reference: str) -> Any:
        return self.objects[reference] if reference in self.objects else import_reference(reference)


class Notice(msgspec.Struct, frozen=True, array_like=True, tag="noticed"):
    """A warning for the user, shown once per `kind`. No decision depends on it.

    An `urgent` notice is shown under `quiet`, too.
    """

    kind: str
    text: str
    urgent: bool = False


NO_TRIAL: Final = -1


class Message(msgspec.Struct, frozen=True, array_like=True):
    """An event of one attempt at a trial, for the driver. None means that the worker is free.

    A notice or a change of capacity that is not about one trial has the number `NO_TRIAL`.
    """

    trial: int
    attempt: int
    event: Event | Notice | None

    @staticmethod
    def of_engine(event: CapacityChanged | Notice) -> Message:
        """A message of an engine that is not about one trial."""
        return Message(NO_TRIAL, 0, event)


class TrialStopped(BaseException):
    """Unwinds the user's code when its trial is over. It is not an error, and user code must not catch it."""


def started_event(assignment: Assignment) -> Started:
    """Return the event of an attempt that starts in this process."""
    return Started(0.0, assignment.trial, assignment.attempt, f"{platform.node()}/{os.getpid()}")
