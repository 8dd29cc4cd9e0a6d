"""The commands to a worker: run a trial, continue it, end it."""

from __future__ import annotations

import msgspec

from tunedsl.worker.messages import Assignment


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


WorkerCommand = Assign | Proceed | Halt
