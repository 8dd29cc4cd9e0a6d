"""The commands to a worker: run a trial, continue it, end it, and use other settings."""

from __future__ import annotations

import attrs
import msgspec

from tunedsl.base import codec
from tunedsl.worker.messages import Assignment, Shipment


class Assign(msgspec.Struct, frozen=True, array_like=True, tag="assign"):
    """Run a trial as soon as a worker is free, but not before `wait` seconds from now."""

    assignment: Assignment
    wait: float = 0.0


class Proceed(msgspec.Struct, frozen=True, array_like=True, tag="proceed"):
    """Continue the attempt that waits for a decision."""

    trial: int
    attempt: int


class Halt(msgspec.Struct, frozen=True, array_like=True, tag="halt"):
    """End an attempt at its next report, or before it starts; its further events are ignored."""

    trial: int
    attempt: int


class ChangeSettings(msgspec.Struct, frozen=True, array_like=True, tag="settings"):
    """Use the settings of an amended plan; running trials use them from their next reports.

    `stop` and `decision_points` are canonical JSON without functions of the user.
    """

    stop: str
    decision_points: str
    save_every: int | None
    save_at_end: bool
    save_at_decisions: bool
    timeout: float | None
    idle: float | None
    grace: float

    def applied(self, shipment: Shipment) -> Shipment:
        """Return the shipment with these settings."""
        changes = {name: getattr(self, name) for name in self.__struct_fields__}
        decoded = {name: codec.from_json(changes[name]) for name in ("stop", "decision_points")}
        return attrs.evolve(shipment, **{**changes, **decoded})


WorkerCommand = Assign | Proceed | Halt | ChangeSettings
