"""The objective: which metric, and in which direction it gets better."""

from __future__ import annotations

from tunedsl.base.codec import value
from tunedsl.base.types import Mode


@value
class Objective:
    """A metric's name and whether smaller (`min`) or larger (`max`) is better."""

    metric: str
    mode: Mode

    @property
    def sign(self) -> float:
        """Factor that makes larger better."""
        return 1.0 if self.mode == "max" else -1.0
