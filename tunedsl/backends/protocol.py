"""The protocol of a backend: it receives commands and returns messages. It makes no decisions.

The conformance suite runs the same plans on `inline`, `local`, `simulated` and `ray`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, runtime_checkable

import msgspec

from tunedsl.base.errors import TunedslError
from tunedsl.plan import Plan
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.searchers.contract import searcher_of
from tunedsl.worker.commands import WorkerCommand
from tunedsl.worker.messages import Message, Shipment


class Capacity(msgspec.Struct, frozen=True):
    """The number of concurrent trials of an engine, and of assignments that it queues in advance.

    `max_resources` are the largest amounts that one trial can have, for plans whose retries ask for more.
    """

    width: int
    ahead: int = 0
    max_resources: dict[str, float] = {}


MAX_AHEAD: Final = 64
SHUTDOWN_SECONDS: Final = 5.0
"""How many seconds an interrupted run waits for the next report of its trials."""


def ahead_of(plan: Plan) -> int:
    """Return how many trials a driver may propose before a worker is free for them.

    It is 0 if the next trials can depend on results that are not known yet.
    """
    if (
        plan.order == "logical"
        or searcher_of(plan.searcher).learns
        or scheduler_of(plan.scheduler).requirements(plan.scheduler).pause
    ):
        return 0
    return MAX_AHEAD


class EngineLost(TunedslError):
    """The machines of an engine are lost. The journal has the state of all trials, and a resume runs them elsewhere."""


@runtime_checkable
class Telling(Protocol):
    """An engine that reports what it waits for before its first trial runs."""

    tell: Callable[[str], None]


@runtime_checkable
class Scaling(Protocol):
    """An engine that can request more machines."""

    def want(self, trials: int) -> None:
        """Receive the number of trials that could run now on unlimited machines."""


class Engine(Protocol):
    """The interface of an engine. The driver calls all methods from its own thread.

    Messages of one attempt arrive in order. They may arrive more than once, or after the start of another attempt.
    Each method may raise `EngineLost`, which pauses the run.
    """

    name: str

    def open(self, plan: Plan, shipment: Shipment) -> Capacity:
        """Start workers. Raise `ResourceError` at once when their resources can never become available."""

    def now(self) -> float:
        """Return the seconds on the engine's clock; only differences have a meaning."""

    def apply(self, commands: Sequence[WorkerCommand]) -> None:
        """Receive commands, without waiting for their effect."""

    def poll(self, seconds: float) -> list[Message]:
        """Return the messages as soon as there are any; none after `seconds` of real time."""

    def interrupt(self, seconds: float = SHUTDOWN_SECONDS) -> None:
        """Ask all trials to end at their next report, and wait at most `seconds` for that."""

    def close(self) -> None:
        """Release all resources; trials that still run are ended by force."""

    def abandon(self) -> None:
        """Close without a graceful shutdown; by default the same as `close`."""
        self.close()
