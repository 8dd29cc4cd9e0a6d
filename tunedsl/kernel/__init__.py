"""The kernel: `step(plan, state, event) -> (state, commands)`, a pure function that makes every decision.

It uses no Ray, pandas, file, socket, clock, environment or global randomness.
"""

from tunedsl.kernel.amending import plan_after
from tunedsl.kernel.commands import (
    Command,
    Continue,
    CopyCheckpoint,
    DeleteCheckpoints,
    Finish,
    GiveUp,
    Launch,
    Pause,
    Propose,
    Reopen,
    SetResources,
    Stop,
    Suspend,
)
from tunedsl.kernel.events import (
    Amended,
    CapacityChanged,
    ClockAdvanced,
    Ended,
    Event,
    Failed,
    ProposalPostponed,
    Proposed,
    Reported,
    RetryRequested,
    Saved,
    SearchExhausted,
    Started,
    StopRequested,
    UserTrialAdded,
)
from tunedsl.kernel.state import RunState, TrialState
from tunedsl.kernel.step import initial, step
from tunedsl.kernel.transitions import TRANSITIONS, IllegalMove, Phase

__all__ = [
    "TRANSITIONS",
    "Amended",
    "CapacityChanged",
    "ClockAdvanced",
    "Command",
    "Continue",
    "CopyCheckpoint",
    "DeleteCheckpoints",
    "Ended",
    "Event",
    "Failed",
    "Finish",
    "GiveUp",
    "IllegalMove",
    "Launch",
    "Pause",
    "Phase",
    "ProposalPostponed",
    "Propose",
    "Proposed",
    "Reopen",
    "Reported",
    "RetryRequested",
    "RunState",
    "Saved",
    "SearchExhausted",
    "SetResources",
    "Started",
    "Stop",
    "StopRequested",
    "Suspend",
    "TrialState",
    "UserTrialAdded",
    "initial",
    "plan_after",
    "step",
]
