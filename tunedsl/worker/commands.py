"""What a worker is told to do: run a trial, continue it, end it."""

from __future__ import annotations

import msgspec

from tunedsl.worker.messages import Assignment


class Assign(msgspec.Struct, frozen=True, array_like=True, tag="assign"):
    """Run this trial as soon as a worker is free, and not before `wait` seconds from now."""

    assignment: Assignment
    wait: float = 0.0


class Proceed(msgspec.Struct, frozen=True, array_like=True, tag="proceed"):
    """Let the attempt that waits for a decision go on."""

    trial: int
    attempt: int


class Halt(msgspec.Struct, frozen=True, array_like=True, tag="halt"):
    """End an attempt at its next report, or before it begins; nothing more is wanted from it."""

    trial: int
    attempt: int


WorkerCommand = Assign | Proceed | Halt
