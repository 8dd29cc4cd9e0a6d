"""What to do next. Commands are written beside the event that gave them, and proved by replay."""

from __future__ import annotations

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
    """Run a trial.

    Attributes:
        attempt: 0 at first, one more with each launch.
        known_iterations: iterations that the journal holds already; the trial passes them in silence.
        checkpoint: the trial's iteration at the checkpoint to start from, 0 for none.
        reason: why, where a scheduler chose a paused trial.
        wait: seconds to wait before that, after a failure. The trial keeps its place meanwhile, so that the order of
            events is that of a retry at once.
    """

    trial: int
    attempt: int
    known_iterations: int = 0
    checkpoint: int = 0
    reason: Reason | None = None
    wait: float = 0.0


class Continue(_Command, frozen=True, tag="continue"):
    """Let a trial that waits at `iteration` go on."""

    trial: int
    iteration: int
    reason: Reason | None = None


class Stop(_Command, frozen=True, tag="stop"):
    """End a trial now, whether it runs or is paused."""

    trial: int
    attempt: int
    reason: Reason


class Pause(_Command, frozen=True, tag="pause"):
    """Take an attempt off its worker; a `Launch` brings the trial back from its checkpoint."""

    trial: int
    attempt: int
    reason: Reason | None = None


class CopyCheckpoint(_Command, frozen=True, tag="adopt"):
    """A trial that is launched next goes on from a donor's checkpoint, with another configuration."""

    trial: int
    donor: int
    config: dict[str, Json]


class SetResources(_Command, frozen=True, tag="allot"):
    """A trial that is launched next gets other resources."""

    trial: int
    resources: dict[str, float]


class DeleteCheckpoints(_Command, frozen=True, tag="discard"):
    """Remove checkpoints that nobody needs, by their folders."""

    folders: tuple[str, ...]


class GiveUp(_Command, frozen=True, tag="give_up"):
    """A trial that failed is not run again, though its retries are not used up."""

    trial: int
    reason: Reason


class Finish(_Command, frozen=True, tag="finish"):
    """The experiment is over."""

    reason: str


class Suspend(_Command, frozen=True, tag="suspend"):
    """The run ends here, unfinished: whoever resumes it goes on with the trials that are under way and to come."""

    reason: str


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
)
