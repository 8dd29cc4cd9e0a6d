"""Types and names that several packages share: metric names, modes, orders, kinds of failure.

This module has no behaviour.
"""

from __future__ import annotations

from typing import Any, Final, Literal

TRAINING_ITERATION: Final = "training_iteration"
TIME_TOTAL: Final = "time_total_s"
TIME_THIS_ITER: Final = "time_this_iter_s"
AUTOMATIC_METRICS: Final = (TRAINING_ITERATION, TIME_TOTAL, TIME_THIS_ITER)

Mode = Literal["min", "max"]
Order = Literal["arrival", "logical"]

FailureKind = Literal["crash", "oom", "lost", "timeout", "bad_report", "storage", "idle", "preempted"]
LIMITED_KINDS: Final[tuple[FailureKind, ...]] = ("crash", "oom", "lost", "timeout", "bad_report", "storage", "idle")
"""Kinds of failure with a limit of retries, in the order of their counts."""
FAILURE_KINDS: Final[tuple[FailureKind, ...]] = (*LIMITED_KINDS, "preempted")
"""All kinds; an attempt whose node was drained or preempted is always run again."""

Json = Any
"""None, bool, int, finite float, str, list of Json or dict from str to Json."""

Config = dict[str, Any]
"""The parameters of a trial: a nested dict of Python values, as the trainable receives it."""

TrialStatus = Literal["completed", "stopped", "failed", "running", "paused", "pending", "cancelled"]
"""The status of a trial:

- `completed`: it ended by itself: its code returned, or its stop rule was met.
- `stopped`: the scheduler or a user ended it.
- `failed`: it failed, and has no retry left.
- `running`: a worker runs it.
- `paused`: the scheduler paused it at a checkpoint.
- `pending`: it waits for a worker, for the first time or again.
- `cancelled`: the end of the experiment stopped it, or it was stopped before it started.
"""
