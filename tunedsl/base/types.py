"""The words that more than one room uses: reserved metric names, modes, orders, failure kinds.

Only names and tiny values live here; behaviour lives in the room that owns it.
"""

from __future__ import annotations

from typing import Any, Final, Literal

TRAINING_ITERATION: Final = "training_iteration"
TIME_TOTAL: Final = "time_total_s"
TIME_THIS_ITER: Final = "time_this_iter_s"
AUTOMATIC_METRICS: Final = (TRAINING_ITERATION, TIME_TOTAL, TIME_THIS_ITER)

Mode = Literal["min", "max"]
Order = Literal["arrival", "logical"]

FailureKind = Literal["crash", "oom", "lost", "timeout", "bad_report", "storage", "idle"]
FAILURE_KINDS: Final[tuple[FailureKind, ...]] = ("crash", "oom", "lost", "timeout", "bad_report", "storage", "idle")

Json = Any
"""None, bool, int, finite float, str, list of Json or dict from str to Json."""

Config = dict[str, Any]
"""One trial's parameters: a nested dict of live Python values, as the trainable gets it."""
