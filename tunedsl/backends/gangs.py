"""Gang scheduling: each run in logical order gets all of its workers or none, so that two runs cannot block each other.

Runs in order of arrival need no such rule, because they use each worker that they have.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from tunedsl.plan import Resources
from tunedsl.plan.packing import fit_together


class Gangs:
    """The gangs of this process: the workers of each run in logical order that shares the same machines."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gangs: dict[object, list[Resources]] = {}

    def admit(self, run: object, nodes: Sequence[Mapping[str, Any]], workers: list[Resources]) -> bool:
        """Reserve the resources of a run's workers if they fit next to all other gangs; return whether they do."""
        with self._lock:
            others = [one for gang in self._gangs.values() for one in gang]
            if self._gangs and not fit_together(nodes, [*others, *workers]):
                return False
            self._gangs[run] = workers
            return True

    def release(self, run: object) -> None:
        """Give up the reservation of a run."""
        with self._lock:
            self._gangs.pop(run, None)
