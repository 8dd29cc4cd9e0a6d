"""Runs in logical order wait for all of their workers: none may hold what another one waits for.

So each of them has all of its workers or none. Runs in order of arrival need no such rule: what they hold, they use.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from tunedsl.plan import Resources
from tunedsl.plan.packing import fit_together


class Gangs:
    """The runs of this process in logical order that share the same machines."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gangs: dict[object, list[Resources]] = {}

    def admit(self, run: object, nodes: Sequence[Mapping[str, Any]], workers: list[Resources]) -> bool:
        """Has a run take what its workers need, if there is room for them beside those of all other such runs."""
        with self._lock:
            others = [one for gang in self._gangs.values() for one in gang]
            if self._gangs and not fit_together(nodes, [*others, *workers]):
                return False
            self._gangs[run] = workers
            return True

    def dismiss(self, run: object) -> None:
        """The run needs nothing any more."""
        with self._lock:
            self._gangs.pop(run, None)
