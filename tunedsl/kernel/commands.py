"""Commands: the kernel's answers to an event. The journal stores them with the event, and replay checks them."""

from __future__ import annotations

from typing import Literal

import msgspec

from tunedsl.base.types import Json
from tunedsl.schedulers.contract import Reason


class _Command(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Propose(_Command, frozen=True, tag="propose"):
    """Ask the searcher for the configurations of trials `first` to `first + count - 1`."""

    first: int
    count: int


class Launch(_Command, frozen=True, tag="launch"):
    """Start an attempt at a trial.

    Attributes:
        attempt: 0 for the first launch, then 1, 2, ...
        known_iterations: iterations that the journal already has; the attempt does not report them again.
        checkpoint: the trial's iteration at the checkpoint to start from, 0 for none.
        reason: why, where a scheduler chose a paused trial.
        wait: seconds to wait first, after a failure. The trial keeps its slot, so the order of events does not depend
            on the wait.
    """

    trial: int
    attempt: int
    known_iterations: int = 0
    checkpoint: int = 0
    reason: Reason | None = None
    wait: float = 0.0


class Continue(_Command, frozen=True, tag="continue"):
    """Let a trial that waits at `iteration` continue."""

    trial: int
    iteration: int
    reason: Reason | None = None


class Stop(_Command, frozen=True, tag="stop"):
    """End a running or paused trial now."""

    trial: int
    attempt: int
    reason: Reason


class Pause(_Command, frozen=True, tag="pause"):
    """Take an attempt off its worker; a later `Launch` resumes the trial from its checkpoint."""

    trial: int
    attempt: int
    reason: Reason | None = None


class CopyCheckpoint(_Command, frozen=True, tag="adopt"):
    """Give a trial a donor's checkpoint and another configuration for its next launch."""

    trial: int
    donor: int
    config: dict[str, Json]


class SetResources(_Command, frozen=True, tag="allot"):
    """Give a trial other resources for its next launch."""

    trial: int
    resources: dict[str, float]


class DeleteCheckpoints(_Command, frozen=True, tag="discard"):
    """Delete checkpoints that no trial needs, by their folders."""

    folders: tuple[str, ...]


class GiveUp(_Command, frozen=True, tag="give_up"):
    """Do not retry a failed trial although it has retries left."""

    trial: int
    reason: Reason


class Finish(_Command, frozen=True, tag="finish"):
    """The run is finished."""

    reason: str


class Suspend(_Command, frozen=True, tag="suspend"):
    """End the run unfinished: a resume continues the trials in progress and starts the remaining ones."""

    reason: str


class Reopen(_Command, frozen=True, tag="reopen"):
    """Queue an ended trial, which the amended plan would not have ended.

    Attributes:
        status: its status at its end.
        iteration: its last iteration.
    """

    trial: int
    status: Literal["completed", "stopped", "cancelled"]
    iteration: int


Command = (
    Propose
    | Launch
    | Continue
    | Stop
    | Pause
    | CopyCheckpoint
    | SetResources
    | DeleteCheckpoints
    | Finish
    | GiveUp
    | Suspend
    | Reopen
)
