"""What decides: `step(plan, state, event) -> (state, commands)`, pure, and nothing else.

No Ray, pandas, file, socket, clock, environment or global randomness may be reached from here.
"""

from tunedsl.kernel.amending import plan_after
from tunedsl.kernel.commands import (
    Adopt,
    Allot,
    Command,
    Continue,
    Discard,
    Finish,
    GiveUp,
    Launch,
    Pause,
    Propose,
    Stop,
)
from tunedsl.kernel.events import (
    Added,
    Amended,
    Ended,
    Event,
    Exhausted,
    Failed,
    Opened,
    Postponed,
    Proposed,
    Reported,
    Saved,
    Started,
    StopAsked,
    Ticked,
)
from tunedsl.kernel.state import State, Trial
from tunedsl.kernel.step import initial, step
from tunedsl.kernel.transitions import TRANSITIONS, IllegalMove, Phase

__all__ = [
    "TRANSITIONS",
    "Added",
    "Adopt",
    "Allot",
    "Amended",
    "Command",
    "Continue",
    "Discard",
    "Ended",
    "Event",
    "Exhausted",
    "Failed",
    "Finish",
    "GiveUp",
    "IllegalMove",
    "Launch",
    "Opened",
    "Pause",
    "Phase",
    "Postponed",
    "Propose",
    "Proposed",
    "Reported",
    "Saved",
    "Started",
    "State",
    "Stop",
    "StopAsked",
    "Ticked",
    "Trial",
    "initial",
    "plan_after",
    "step",
]
