"""What an engine is: it takes orders, and yields messages. It decides nothing.

`inline`, `simulated` and `ray` are the three; the conformance suite runs the same plans on all.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Final, Protocol, runtime_checkable

import msgspec

from tunedsl.base.errors import TunedslError
from tunedsl.plan import Plan
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.searchers.contract import searcher_of
from tunedsl.worker.commands import WorkerCommand
from tunedsl.worker.session import Message, Shipment


class Capacity(msgspec.Struct, frozen=True):
    """How many trials an engine runs at a time, and how many more it likes to have in advance.

    `max_resources` are the largest amounts that one trial could be given, where the plan's retries may ask for more.
    """

    width: int
    ahead: int = 0
    max_resources: dict[str, float] = {}


MAX_AHEAD: Final = 64
SHUTDOWN_SECONDS: Final = 5.0
"""How long an interrupted run waits for its trials to reach their next report."""


def machine_memory() -> float:
    """Bytes of memory that this machine has; without end where nobody says."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def ahead_of(plan: Plan) -> int:
    """How many trials may be launched in advance: some, where nothing that happens could change them."""
    if (
        plan.order == "logical"
        or searcher_of(plan.searcher).learns
        or scheduler_of(plan.scheduler).requirements(plan.scheduler).pause
    ):
        return 0
    return MAX_AHEAD


class EngineLost(TunedslError):
    """An engine has lost what its workers run on. Trials are as the journal has them: a resume runs them elsewhere."""


@runtime_checkable
class Telling(Protocol):
    """An engine that says what it waits for before its first trial runs."""

    tell: Callable[[str], None]


class Engine(Protocol):
    """The port. All methods are called from the driver's thread.

    Messages of one attempt come in their order, and a failure says what was lost. They may come late, after another
    attempt began, or more than once. Each method may raise `EngineLost`, which pauses the run.
    """

    name: str

    def open(self, plan: Plan, shipment: Shipment) -> Capacity:
        """Gets workers ready. Raises `ResourceError` at once when they can never be had."""

    def now(self) -> float:
        """Seconds on the engine's clock; only differences count."""

    def apply(self, orders: Sequence[WorkerCommand]) -> None:
        """Takes orders, without waiting for them."""

    def poll(self, seconds: float) -> list[Message]:
        """What happened, as soon as something did, or nothing after `seconds` of real time."""

    def interrupt(self, seconds: float = SHUTDOWN_SECONDS) -> None:
        """Asks all trials to end at their next report, and waits so long for that."""

    def close(self) -> None:
        """Leaves nothing behind; trials that still run are ended by force."""

    def abandon(self) -> None:
        """Closes without a graceful shutdown; by default the same as `close`."""
        self.close()
