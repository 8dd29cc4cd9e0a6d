"""Resource changing: wraps another scheduler and gives idle resources to running trials.

Source: `ResourceChangingScheduler` of Ray Tune, with `DistributeResources` and `DistributeResourcesToTopJob`. The total
is part of the plan, so decisions do not depend on the machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import immutables
import msgspec
from msgspec.structs import replace

from tunedsl.base.arguments import as_int, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic, must_be
from tunedsl.base.errors import wrong_value
from tunedsl.base.references import call_repr
from tunedsl.base.types import Json
from tunedsl.schedulers.contract import (
    DecisionPoints,
    DecisionResult,
    Every,
    Never,
    Promotion,
    Reason,
    Report,
    Requirements,
    Resize,
    Scheduler,
    SchedulerContext,
    is_due,
    reason,
    register_scheduler,
    scheduler_of,
)
from tunedsl.schedulers.distribution import Distribute, DistributeToTop, Distribution
from tunedsl.schedulers.fifo import Fifo
from tunedsl.schedulers.time_attr import canonical_number

Amounts = Mapping[str, float]


@value
class ResourceChanging:
    """The settings of resource changing; see `resource_changing`."""

    base: Any = Fifo()
    resources: Distribution = Distribute(cpu=1)
    every: int = 1

    def __repr__(self) -> str:
        return call_repr("resource_changing", self, positional=1)


@check_arguments
def resource_changing(base: Any, resources: Distribution, every: int = 1) -> ResourceChanging:
    """Follows the decisions of `base`, and changes the resources of trials that continue.

    A trial's resources change at its decision points: it saves, and continues with other resources, which
    `trial().resources` returns.

    Args:
        base: any scheduler's spec.
        resources: `distribute(...)` or `distribute_to_top(...)`, with the total.
        every: number of reports between decisions if `base` has no decision points, at least 1.

    Returns:
        A scheduler spec. It needs a trainable with checkpoints, and `.resources(...)` in numbers.

    Raises:
        ArgumentError: for a base that is not a scheduler.

    >>> from tunedsl.schedulers import asha, distribute
    >>> resource_changing(asha(max_t=81), distribute(cpu=16))
    resource_changing(asha(max_t=81), resources=distribute(cpu=16))
    """
    scheduler_of(base)
    if not isinstance(resources, (Distribute, DistributeToTop)):
        expected = "distribute(...) or distribute_to_top(...)"
        raise wrong_value("resource_changing.resources", resources, expected)
    return ResourceChanging(base, resources, as_int("resource_changing.every", every, 1))


class ResourceChangingState(msgspec.Struct, frozen=True):
    """The base scheduler's state, and the units of each trial.

    Attributes:
        base: the base scheduler's state.
        base_resources: the resources of each trial in the plan.
        running_units: units beyond the plan's resources, of each trial that is not paused.
        paused_units: the same for paused trials.
        values: the last value of each trial that has one.
        max_running: largest number of concurrent trials so far.
        allocated_units: sum of `running_units`.
    """

    base: Any
    base_resources: dict[str, float]
    running_units: immutables.Map[int, int] = immutables.Map()
    paused_units: immutables.Map[int, int] = immutables.Map()
    values: immutables.Map[int, float] = immutables.Map()
    max_running: int = 0
    allocated_units: int = 0


def init(spec: ResourceChanging, context: SchedulerContext) -> ResourceChangingState:
    """Every trial has the plan's resources."""
    return ResourceChangingState(scheduler_of(spec.base).init(spec.base, context), dict(context.resources))


def on_add(
    spec: ResourceChanging, state: ResourceChangingState, trial: int, config: dict[str, Json]
) -> ResourceChangingState:
    """A trial starts with the plan's resources."""
    base = scheduler_of(spec.base)
    if base.on_add is not None:
        state = replace(state, base=base.on_add(spec.base, state.base, trial, config))
    return _mark_running(state, trial)


def on_report(spec: ResourceChanging, state: ResourceChangingState, report: Report) -> DecisionResult:
    """The base's decision; a trial that continues may receive other resources."""
    inner, decision, why = scheduler_of(spec.base).on_report(spec.base, state.base, report)
    trial = report.trial
    state = replace(state, base=inner)
    if trial not in state.running_units:
        state = _mark_running(state, trial)
    if not math.isnan(report.value):
        state = replace(state, values=state.values.set(trial, report.value))
    if decision == "stop":
        return _forget_trial(state, trial), decision, why
    if decision == "pause":
        units = state.running_units[trial]
        state = replace(
            state, running_units=state.running_units.delete(trial), paused_units=state.paused_units.set(trial, units)
        )
        return replace(state, allocated_units=state.allocated_units - units), decision, why
    if decision != "continue" or not is_due(decision_points(spec), report.iteration):
        return state, decision, why
    units = state.running_units[trial]
    target, facts = _target_units(spec, state, trial)
    if target == units:
        return state, decision, why
    old, new = _resources_with(spec, state, units), _resources_with(spec, state, target)
    for name in _unit_amounts(spec, state):
        facts[name] = f"{old[name]:g} -> {new[name]:g}"
    if why is not None:
        facts |= {f"{why.rule} {name}": fact for name, fact in why.facts.items()}
    state = replace(
        state,
        running_units=state.running_units.set(trial, target),
        allocated_units=state.allocated_units + target - units,
    )
    return state, Resize(new), reason("resource_changing", **facts)


def _target_units(
    spec: ResourceChanging, state: ResourceChangingState, trial: int
) -> tuple[int, dict[str, int | float | str]]:
    """The number of units that the trial should have, and the facts behind it."""
    # Paused trials will resume if slots allow: their share stays reserved.
    has, running = (
        state.running_units[trial],
        min(len(state.running_units) + len(state.paused_units), state.max_running),
    )
    units = _spare_units(spec, state, running)
    idle = units - state.allocated_units
    most = spec.resources.increase_by_times if spec.resources.increase_by_times > 0 else max(units, 0)
    facts: dict[str, int | float | str] = {"trials": running, "idle units": idle}
    if isinstance(spec.resources, Distribute):
        rank = sum(1 for other in state.running_units if other < trial) if units > 0 else 0
        share = min(max(units, 0) // running + (rank < max(units, 0) % running), most)
        # Growth uses idle units; trials above their share return units at their next decision.
        return (share if share <= has else min(share, has + max(idle, 0))), {**facts, "share": share}
    best = max(
        (other for other in state.running_units if state.running_units[other] < most or other == trial),
        key=lambda other: (other in state.values, state.values.get(other, 0.0), -other),
    )
    facts["best"] = best
    if idle < 0:
        return max(has + idle, 0), facts
    return (min(has + idle, most) if trial == best else has), facts


def _spare_units(spec: ResourceChanging, state: ResourceChangingState, running: int) -> int:
    """The number of units beyond the plan's resources of this many trials; below 0 if these exceed the total."""
    unit = _unit_amounts(spec, state)
    total = {"cpu": spec.resources.cpu, "gpu": spec.resources.gpu}
    # Without the small addend, rounding of a quotient such as 0.3 / 0.1 would lose a unit.
    return min(
        math.floor((total[name] - state.base_resources.get(name, 0) * running) / amount + 1e-9)
        for name, amount in unit.items()
    )


def _unit_amounts(spec: ResourceChanging, state: ResourceChangingState) -> dict[str, float]:
    if spec.resources.increase_by:
        return {name: amount for name, amount in spec.resources.increase_by if amount}
    return {"gpu": 1} if state.base_resources.get("gpu") else {"cpu": 1}


def _resources_with(spec: ResourceChanging, state: ResourceChangingState, units: int) -> dict[str, float]:
    grown = {**state.base_resources}
    for name, amount in _unit_amounts(spec, state).items():
        grown[name] = canonical_number(grown.get(name, 0) + units * amount)
    return grown


def _mark_running(state: ResourceChangingState, trial: int) -> ResourceChangingState:
    """A paused or unknown trial runs with its earlier units."""
    units = state.paused_units.get(trial, 0)
    paused = state.paused_units.delete(trial) if trial in state.paused_units else state.paused_units
    has = state.running_units.set(trial, units)
    return replace(
        state,
        running_units=has,
        paused_units=paused,
        allocated_units=state.allocated_units + units,
        max_running=max(state.max_running, len(has)),
    )


def _forget_trial(state: ResourceChangingState, trial: int) -> ResourceChangingState:
    return replace(
        state,
        allocated_units=state.allocated_units - state.running_units.get(trial, 0),
        running_units=state.running_units.delete(trial) if trial in state.running_units else state.running_units,
        paused_units=state.paused_units.delete(trial) if trial in state.paused_units else state.paused_units,
        values=state.values.delete(trial) if trial in state.values else state.values,
    )


def on_end(spec: ResourceChanging, state: ResourceChangingState, report: Report) -> ResourceChangingState:
    """The trial's units are idle."""
    inner = scheduler_of(spec.base).on_end(spec.base, state.base, report)
    return _forget_trial(replace(state, base=inner), report.trial)


def on_remove(spec: ResourceChanging, state: ResourceChangingState, trial: int) -> ResourceChangingState:
    """The trial's units are idle."""
    base = scheduler_of(spec.base)
    if base.on_remove is not None:
        state = replace(state, base=base.on_remove(spec.base, state.base, trial))
    return _forget_trial(state, trial)


def on_all_proposed(spec: ResourceChanging, state: ResourceChangingState) -> ResourceChangingState:
    """Calls the base."""
    base = scheduler_of(spec.base)
    return state if base.on_all_proposed is None else replace(state, base=base.on_all_proposed(spec.base, state.base))


def cull(
    spec: ResourceChanging, state: ResourceChangingState
) -> tuple[ResourceChangingState, tuple[tuple[int, Reason], ...]]:
    """The trials that the base stops."""
    base = scheduler_of(spec.base)
    if base.cull is None:
        return state, ()
    inner, culled = base.cull(spec.base, state.base)
    state = replace(state, base=inner)
    for trial, _ in culled:
        state = _forget_trial(state, trial)
    return state, culled


def promote(spec: ResourceChanging, state: ResourceChangingState) -> tuple[ResourceChangingState, Promotion | None]:
    """The base's choice, with a new share: others may have its earlier units."""
    base = scheduler_of(spec.base)
    if base.promote is None:
        return state, None
    inner, chosen = base.promote(spec.base, state.base)
    state = replace(state, base=inner)
    if chosen is None:
        return state, None
    trial = chosen[0]
    if len(chosen) == 3:
        return _mark_running(state, trial), chosen
    before = state.paused_units.get(trial, 0)
    state = _mark_running(replace(state, paused_units=state.paused_units.set(trial, 0)), trial)
    target, _ = _target_units(spec, state, trial)
    state = replace(
        state, running_units=state.running_units.set(trial, target), allocated_units=state.allocated_units + target
    )
    if target == before:
        return state, chosen
    return state, (trial, chosen[1], Resize(_resources_with(spec, state, target)))


def decision_points(spec: ResourceChanging) -> DecisionPoints:
    """Those of the base; if it has none, every `every` reports."""
    points = scheduler_of(spec.base).decision_points(spec.base)
    return Every(spec.every) if isinstance(points, Never) else points


def requirements(spec: ResourceChanging) -> Requirements:
    """The base's requirements, checkpoints to continue from, and an objective to find the best trial."""
    base = scheduler_of(spec.base).requirements(spec.base)
    top = isinstance(spec.resources, DistributeToTop)
    most = 1 if top else base.objectives
    return attrs.evolve(base, checkpoints=True, objective=base.objective or top, objectives=most)


def validate(spec: ResourceChanging) -> list[Diagnostic]:
    """The base's diagnostics, and those of invalid totals and units."""
    found, resources = list(scheduler_of(spec.base).validate(spec.base)), spec.resources
    for name in ("cpu", "gpu"):
        amount = getattr(resources, name)
        if not (math.isfinite(amount) and amount >= 0):
            message = must_be(f"The scheduler's total {name}", amount, "a finite number of at least 0")
            found.append(Diagnostic("E076", f"scheduler.{name}", message))
    if not (resources.cpu or resources.gpu):
        hint = "write distribute(cpu=16), the total for all trials together"
        found.append(Diagnostic("E076", "scheduler.resources", f"{resources!r} has no total to distribute.", hint))
    if resources.increase_by and not all(math.isfinite(unit) and unit > 0 for _, unit in resources.increase_by):
        message = must_be("Each amount of increase_by", dict(resources.increase_by), "above 0")
        found.append(Diagnostic("E076", "scheduler.increase_by", message))
    return found


def check_compatibility(spec: ResourceChanging, context: SchedulerContext) -> list[Diagnostic]:
    """Diagnostics of resources that are unknown before the run, or of a total too small for one trial."""
    found = list(scheduler_of(spec.base).check_compatibility(spec.base, context))
    if not context.resources:
        message = "resource_changing needs resources in numbers, not from a function or in bundles."
        found.append(Diagnostic("E076", "resources", message, "write .resources(cpu=1)"))
    for name in ("cpu", "gpu"):
        total, start = getattr(spec.resources, name), context.resources.get(name, 0)
        if start > total and (total or name in _unit_amounts(spec, ResourceChangingState(None, context.resources))):
            message = f"A trial needs {name}={start:g}, but the total to distribute is {name}={total:g}."
            found.append(
                Diagnostic("E076", f"scheduler.{name}", message, f"write distribute({name}={start:g}) or more")
            )
    return found


def describe(spec: ResourceChanging) -> str:
    """One line: the base's description, and which trials receive more."""
    total = ", ".join(
        f"{name} {getattr(spec.resources, name):g}" for name in ("cpu", "gpu") if getattr(spec.resources, name)
    )
    how = "the best trial gets what is idle" if isinstance(spec.resources, DistributeToTop) else "trials share evenly"
    return f"{scheduler_of(spec.base).describe(spec.base)}; of {total} in all {how}"


register_scheduler(
    ResourceChanging,
    Scheduler(
        "resource_changing",
        init,
        on_report,
        decision_points,
        describe,
        on_add=on_add,
        on_end=on_end,
        on_remove=on_remove,
        on_all_proposed=on_all_proposed,
        cull=cull,
        promote=promote,
        last_iteration=lambda spec: scheduler_of(spec.base).last_iteration(spec.base),
        first_decision=lambda spec: scheduler_of(spec.base).first_decision(spec.base),
        requirements=requirements,
        metrics_used=lambda spec: scheduler_of(spec.base).metrics_used(spec.base),
        validate=validate,
        check_compatibility=check_compatibility,
        reads_curves=True,  # the base may
    ),
)
