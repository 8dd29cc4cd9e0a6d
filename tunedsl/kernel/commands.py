"""What to do next. Commands are written beside the event that gave them, and proved by replay."""

from __future__ import annotations

import msgspec

from tunedsl.schedule.contract import Note


class _Command(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Propose(_Command, frozen=True, tag="propose"):
    """Ask the searcher for the configurations of trials `first` to `first + count - 1`."""

    first: int
    count: int


class Launch(_Command, frozen=True, tag="launch"):
    """Run a trial.

    Attributes:
        attempt: 0 at first, one more after each failure.
        known: iterations that the journal holds already; the trial passes them in silence.
        checkpoint: the iteration of the checkpoint to start from, 0 for none.
    """

    trial: int
    attempt: int
    known: int = 0
    checkpoint: int = 0


class Continue(_Command, frozen=True, tag="continue"):
    """Let a trial that waits at `iteration` go on."""

    trial: int
    iteration: int
    note: Note | None = None


class Stop(_Command, frozen=True, tag="stop"):
    """End a trial now."""

    trial: int
    note: Note


class Finish(_Command, frozen=True, tag="finish"):
    """The experiment is over."""

    reason: str


Command = Propose | Launch | Continue | Stop | Finish
