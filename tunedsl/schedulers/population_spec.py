"""What the specs of populations share: settings, their checks, and what they require.

How a population decides is in `population`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from tunedsl.base.diagnostics import Diagnostic, reason
from tunedsl.base.errors import ArgumentError, CodecError, wrong_value
from tunedsl.base.names import did_you_mean
from tunedsl.base.references import FunctionRef
from tunedsl.base.types import TIME_TOTAL, TRAINING_ITERATION
from tunedsl.schedulers.contract import NON_LEARNING, DecisionPoints, Every, Requirements
from tunedsl.schedulers.time_attr import spec_diagnostic
from tunedsl.spaces.domains import Branch
from tunedsl.spaces.expressions import Expr
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.space import Space


class PopulationSpec(Protocol):
    """The settings that all populations have."""

    @property
    def perturbation_interval(self) -> float: ...
    @property
    def burn_in_period(self) -> float: ...
    @property
    def quantile_fraction(self) -> float: ...
    @property
    def synch(self) -> bool: ...
    @property
    def time_attr(self) -> str: ...


def decision_points(spec: PopulationSpec) -> DecisionPoints:
    """Every interval after the burn-in; with a `time_attr` other than iterations, every report."""
    if spec.time_attr != TRAINING_ITERATION:
        return Every(1)
    interval, burn_in = int(spec.perturbation_interval), math.ceil(spec.burn_in_period)
    return Every(interval) if burn_in <= interval else Every(interval, burn_in)


def first_decision(spec: PopulationSpec) -> tuple[str, float]:
    """The end of the first interval after the burn-in."""
    return spec.time_attr, max(spec.perturbation_interval, spec.burn_in_period)


def has_own_time(spec: PopulationSpec) -> bool:
    """Whether a trial's time is its own, such as iterations or seconds, and not restored with a checkpoint."""
    return spec.time_attr in (TRAINING_ITERATION, TIME_TOTAL)


def as_explore_fn(subject: str, function: Any) -> FunctionRef | None:
    """A reference to a function of the configuration."""
    if function is None or isinstance(function, FunctionRef):
        return function
    if not callable(function):
        raise wrong_value(subject, function, "a function of the configuration")
    try:
        return FunctionRef.of(function)
    except CodecError as error:
        raise ArgumentError(
            "E003", subject, f"{subject} has no name: {reason(error)}.", "write it by def or lambda"
        ) from None


def requirements(spec: Any) -> Requirements:
    """What every population requires."""
    return Requirements(checkpoints=True, pause=True, objective=True, searcher=NON_LEARNING)


def check_changeable(option: str, names: Sequence[str], space: Space) -> list[Diagnostic]:
    """Diagnostics of names that a scheduler cannot change."""
    nodes = {leaf.name: leaf.node for leaf in resolve_space(space).params}
    diagnostics = []
    for name in names:
        subject = f"scheduler.{option}"
        if name not in nodes:
            message = f"{option} has {name!r}, which is not a parameter of the space."
            diagnostics.append(Diagnostic("E071", subject, message, did_you_mean(name, nodes)))
        elif isinstance(nodes[name], (Branch, Expr)):
            what = "chooses other parameters" if isinstance(nodes[name], Branch) else "is computed from others"
            message = f"The scheduler cannot change {name}, which {what}."
            diagnostics.append(Diagnostic("E071", subject, message, f"name those parameters in {option}"))
    return diagnostics


def validate_population(spec: PopulationSpec) -> list[Diagnostic]:
    """Diagnostics of the settings that all populations share."""
    found = []
    interval, counted = spec.perturbation_interval, spec.time_attr == TRAINING_ITERATION
    if not (math.isfinite(interval) and interval > 0) or (counted and interval != int(interval)):
        expected = "a whole number of iterations, at least 1" if counted else "a finite number above 0"
        found.append(spec_diagnostic(spec, "E072", "perturbation_interval", expected))
    if not (math.isfinite(spec.burn_in_period) and spec.burn_in_period >= 0):
        found.append(spec_diagnostic(spec, "E072", "burn_in_period", "a finite number of at least 0"))
    if not 0 <= spec.quantile_fraction <= 0.5:
        found.append(spec_diagnostic(spec, "E073", "quantile_fraction", "between 0 and 0.5", "0.25 is usual"))
    return found


def describe_population(spec: PopulationSpec, exploration: str) -> str:
    """One line: the interval, who continues from whom, and whether members wait for each other."""
    unit = "iterations" if spec.time_attr == TRAINING_ITERATION else f"of {spec.time_attr}"
    share = f"{100 * spec.quantile_fraction:g} %"
    waits = "; all members wait for each other" if spec.synch else ""
    return (
        f"every {spec.perturbation_interval:g} {unit}{waits}, the worst {share} continue from the checkpoint of one "
        f"of the best {share}, {exploration}"
    )
