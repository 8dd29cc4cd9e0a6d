"""Runs of this process in logical order, which wait for all of their workers: none may hold what another one waits for.

So each of them has all of its workers or none. Runs in order of arrival need no such rule: what they hold, they use.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tunedsl.plan import Resources
from tunedsl.plan.packing import fit_together

_lock = threading.Lock()
_gangs: Final[dict[object, list[Resources]]] = {}


def admit(run: object, nodes: Sequence[Mapping[str, Any]], workers: list[Resources]) -> bool:
    """Has a run take what its workers need, if the cluster has room for them beside those of all other such runs."""
    with _lock:
        others = [one for gang in _gangs.values() for one in gang]
        if _gangs and not fit_together(nodes, [*others, *workers]):
            return False
        _gangs[run] = workers
        return True


def dismiss(run: object) -> None:
    """The run needs nothing any more."""
    with _lock:
        _gangs.pop(run, None)
