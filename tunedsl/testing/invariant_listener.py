"""A listener that checks the invariants after each event of a driver."""

from __future__ import annotations

from collections.abc import Sequence

from tunedsl.base.types import TrialStatus
from tunedsl.driver.driver import Listener
from tunedsl.journal import Line, TrialStatuses
from tunedsl.kernel import Command, DeleteCheckpoints, Event, Launch, RunState, plan_after
from tunedsl.plan import Plan
from tunedsl.testing.invariants import INVARIANTS, Invariant, InvariantViolated, Step


class InvariantListener(Listener):
    """Checks the invariants after each event; attach it to a driver as a listener.

    Args:
        plan: of the experiment.
        state: before the first event.
        laws: the invariants to check.
        most: number of events after which an experiment counts as endless.

    Attributes:
        states: after each event, for comparison with the driver that continues the run.
        stored: folders of existing checkpoints, by the journal.
    """

    def __init__(
        self, plan: Plan, state: RunState, laws: Sequence[Invariant] = INVARIANTS, most: int = 1_000_000
    ) -> None:
        self._plan, self._laws, self._most = plan, laws, most
        self.states: list[RunState] = []
        self._state = state
        self.stored: set[str] = set()
        self._attempts: dict[int, int] = {}
        self._fold = TrialStatuses()
        self._statuses: dict[int, TrialStatus] = {}
        self._count = 0

    def on_event(self, event: Event, commands: Sequence[Command], state: RunState) -> None:
        self._count += 1
        self._plan = plan_after(self._plan, event)
        for change in self._fold.take(Line(self._count, e=event, c=tuple(commands))):
            self._statuses[change.trial] = change.status
        step = Step(self._plan, self._state, event, tuple(commands), state, self.stored, self._attempts, self._statuses)
        for law in self._laws:
            complaint = law(step)
            if complaint:
                raise InvariantViolated(law.__name__, complaint, self._count)
        if self._count > self._most:
            raise InvariantViolated("experiments_end", f"{self._count} events, and no end")
        self._state = state
        self.states.append(state)
        saved = getattr(event, "saved", "") or getattr(event, "folder", "")
        if saved:
            self.stored.add(saved)
        for command in commands:
            if isinstance(command, Launch):
                self._attempts[command.trial] = command.attempt
            elif isinstance(command, DeleteCheckpoints):
                self.stored.difference_update(command.folders)

    def on_wait(self, state: RunState) -> None:
        """Do nothing."""

    def close(self, state: RunState) -> None:
        """Do nothing."""
