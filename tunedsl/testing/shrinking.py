"""Shrinks a failing scenario: fewer trials, fewer faults, simpler policies, with the same violated invariant.

Source: delta debugging (Zeller and Hildebrandt 2002) over the faults, and one change at a time over the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from tunedsl.base.errors import CompileError
from tunedsl.schedulers import fifo
from tunedsl.searchers import random_search
from tunedsl.testing.invariants import InvariantViolated
from tunedsl.testing.scenarios import Scenario
from tunedsl.testing.simulation.faults import Fault, Faults

MAX_RUNS: Final = 400
"""Maximum number of smaller scenarios that are tried."""

Complaint = Callable[[Scenario], "str | None"]


def complaint(scenario: Scenario) -> str | None:
    """The failure of a scenario as one word: the violated invariant or the error's name; None without failure."""
    try:
        scenario.run()
    except InvariantViolated as broken:
        return broken.law
    except CompileError:
        return None  # not a valid experiment
    except Exception as error:
        return type(error).__name__
    return None


def shrink(scenario: Scenario, fails: Complaint = complaint, most: int = MAX_RUNS) -> Scenario:
    """A smaller scenario that fails in the same way.

    Args:
        scenario: a failing scenario; one that passes is returned unchanged.
        fails: returns the failure of a scenario, or None.
        most: maximum number of scenarios tried.
    """
    wanted = fails(scenario)
    if wanted is None:
        return scenario
    left = most

    def holds(candidate: Scenario) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and fails(candidate) == wanted

    written = _written(scenario)
    if holds(written):
        scenario = written
    while left > 0:
        smaller = next((candidate for candidate in _smaller(scenario) if holds(candidate)), None)
        if smaller is None:
            return scenario
        scenario = smaller
    return scenario


def _written(scenario: Scenario) -> Scenario:
    """The scenario with the exact faults that happened until it failed, instead of probabilities."""
    if not isinstance(scenario.faults, Faults):
        return scenario
    happened: list[Fault] = []
    attempt = attrs.evolve(scenario.cluster(), witness=happened)
    with contextlib.suppress(Exception):  # failure is expected; its kind does not matter here
        attempt.run(scenario.plan())
    return scenario.changed(faults=tuple(happened))


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios that are smaller by one change, the greatest change first."""
    for name, plain in _PLAIN.items():
        if getattr(scenario, name) != plain:
            yield scenario.changed(**{name: plain})
    faults = scenario.faults
    if isinstance(faults, tuple):
        size = len(faults)
        while size:
            for start in range(0, len(faults), size):
                yield scenario.changed(faults=faults[:start] + faults[start + size :])
            size //= 2
    elif faults != Faults():
        yield scenario.changed(faults=Faults())
    for name in ("trials", "width", "stop"):
        number = getattr(scenario, name)
        for fewer in sorted({1, number // 2, number - 1}):
            if 0 < fewer < number:
                yield scenario.changed(**{name: fewer})


_PLAIN: Final[dict[str, Any]] = {
    "scheduler": fifo(),
    "searcher": random_search(),
    "budget": (),
    "fail_fast": False,
    "retry": -1,
    "every": None,
    "keep": None,
    "noise": 0.0,
    "cost": 1.0,
    "order": "logical",
    "constrained": False,
}
"""The simplest value of each part of a scenario."""
