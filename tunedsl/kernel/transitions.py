"""The life cycle of a trial as one literal table: a transition that is not in it is illegal."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from tunedsl.base.errors import TunedslError

Phase = Literal["PENDING", "RUNNING", "PAUSED", "TERMINATED", "ERRORED"]
Move = Literal["start", "report", "save", "pause", "end", "stop", "retry", "error", "rerun", "reopen"]

PHASES: Final[tuple[Phase, ...]] = ("PENDING", "RUNNING", "PAUSED", "TERMINATED", "ERRORED")
MOVES: Final[tuple[Move, ...]] = (
    "start",
    "report",
    "save",
    "pause",
    "end",
    "stop",
    "retry",
    "error",
    "rerun",
    "reopen",
)

TRANSITIONS: Final[Mapping[tuple[Phase, Move], Phase]] = MappingProxyType(
    {
        # a trial waits for a worker
        ("PENDING", "start"): "RUNNING",
        ("PENDING", "stop"): "TERMINATED",
        ("PENDING", "retry"): "PENDING",  # its worker was lost before it began
        ("PENDING", "error"): "ERRORED",
        # a worker runs it
        ("RUNNING", "report"): "RUNNING",
        ("RUNNING", "save"): "RUNNING",
        ("RUNNING", "pause"): "PAUSED",
        ("RUNNING", "end"): "TERMINATED",
        ("RUNNING", "stop"): "TERMINATED",
        ("RUNNING", "retry"): "PENDING",
        ("RUNNING", "error"): "ERRORED",
        # its worker is free for other trials; its state is in a checkpoint
        ("PAUSED", "start"): "RUNNING",
        ("PAUSED", "retry"): "PAUSED",  # its next worker was lost before it began
        ("PAUSED", "stop"): "TERMINATED",
        ("PAUSED", "error"): "ERRORED",
        # a user may run failed trials again, and amend the plan so that ended trials continue
        ("ERRORED", "rerun"): "PENDING",
        ("TERMINATED", "reopen"): "PENDING",
    }
)


class IllegalMove(TunedslError):
    """An event or decision that the trial's phase does not allow."""

    def __init__(self, trial: int, phase: Phase, move: Move) -> None:
        self.trial, self.phase, self.move = trial, phase, move
        super().__init__(f"Trial {trial} is {phase} and cannot {move}.")


def next_phase(trial: int, phase: Phase, move: Move) -> Phase:
    """The phase after a move; raises `IllegalMove` if the table has no such move."""
    try:
        return TRANSITIONS[phase, move]
    except KeyError:
        raise IllegalMove(trial, phase, move) from None
