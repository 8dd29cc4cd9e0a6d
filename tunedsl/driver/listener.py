"""The listener of a run, which receives each event after it is in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tunedsl.kernel import Command, Event, RunState


class Listener(Protocol):
    """Receives each event once it is in the journal. Subclass it for the hooks that you need; the others do nothing."""

    def on_event(self, event: Event, commands: Sequence[Command], state: RunState) -> None:
        """Receives an event, the commands it caused, and the state after it."""
        return None

    def on_wait(self, state: RunState) -> None:
        """Is called after each pass of the driver's loop, at least every `POLL_SECONDS`."""
        return None

    def on_notice(self, text: str) -> None:
        """Receives a message for the user; each kind of message comes once in a run."""
        return None

    def on_warning(self, text: str) -> None:
        """Receives an urgent message; by default as any other."""
        self.on_notice(text)

    def close(self, state: RunState) -> None:
        """Is called once, when the run ends."""
        return None
