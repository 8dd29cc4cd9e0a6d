"""Decisions on paused trials that a state keeps until they are taken, the common part of HyperBand and promotion."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from tunedsl.schedulers.contract import UNLIMITED, Reason, Requirements

Decided = tuple[tuple[int, Reason], ...]
"""Trials with the reasons of their decisions, the first to be taken first."""


class HasStops(Protocol):
    """A state, a frozen `msgspec.Struct`, with the paused trials to stop."""

    @property
    def to_stop(self) -> Decided: ...


S = TypeVar("S", bound=HasStops)


def cull(spec: Any, state: S) -> tuple[S, Decided]:
    """For `Scheduler.cull`: the paused trials to stop, and the state without them."""
    return (replace(state, to_stop=()), state.to_stop) if state.to_stop else (state, ())  # type: ignore[type-var]


def without(decided: Decided, trial: int) -> Decided:
    """The decisions on other trials."""
    return tuple(pair for pair in decided if pair[0] != trial)


def requirements(spec: Any) -> Requirements:
    """For `Scheduler.requirements`: trials pause, continue from checkpoints, and are compared by an objective."""
    return Requirements(checkpoints=True, pause=True, objective=True, objectives=UNLIMITED)
