"""Resource changing: around any other scheduler, gives the trials that run what would lie idle.

Source: `ResourceChangingScheduler` of Ray Tune, with `DistributeResources` and `DistributeResourcesToTopJob`. The total
is part of the plan, so that what is decided hangs on no machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import immutables
import msgspec
from msgspec.structs import replace

from tunedsl.base.arguments import checked, number, whole
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError
from tunedsl.base.literals import spell
from tunedsl.base.vocabulary import Json
from tunedsl.schedule.contract import (
    DecisionPoints,
    Every,
    Needs,
    Never,
    Note,
    Outcome,
    Promotion,
    Report,
    Resize,
    Scheduler,
    Setting,
    enrol,
    is_due,
    note,
    scheduler_of,
)
from tunedsl.schedule.fifo import Fifo
from tunedsl.schedule.progress import canonical

Amounts = Mapping[str, float]


@value
class Distribute:
    """Even shares of a total; see `distribute`."""

    cpu: float = 0
    gpu: float = 0
    increase_by: tuple[tuple[str, float], ...] = ()
    increase_by_times: int = -1

    def __repr__(self) -> str:
        return _spelt("distribute", self)


@value
class DistributeToTop:
    """What lies idle goes to the best trial; see `distribute_to_top`."""

    cpu: float = 0
    gpu: float = 0
    increase_by: tuple[tuple[str, float], ...] = ()
    increase_by_times: int = -1

    def __repr__(self) -> str:
        return _spelt("distribute_to_top", self)


Resources = Distribute | DistributeToTop


def _spelt(name: str, item: Resources) -> str:
    parts = [f"{field}={getattr(item, field)!r}" for field in ("cpu", "gpu") if getattr(item, field)]
    if item.increase_by:
        parts.append(f"increase_by={dict(item.increase_by)!r}")
    if item.increase_by_times != -1:
        parts.append(f"increase_by_times={item.increase_by_times}")
    return f"{name}({', '.join(parts)})"


@checked
def distribute(
    cpu: float = 0, gpu: float = 0, increase_by: Mapping[str, float] | None = None, increase_by_times: int = -1
) -> Distribute:
    """Gives each running trial an even share of a total.

    Args:
        cpu: CPUs in all, of all workers together.
        gpu: GPUs in all.
        increase_by: the unit by which a trial grows beyond `.resources(...)`, such as `{"cpu": 2}`. Without it, one
            GPU where trials have GPUs, else one CPU.
        increase_by_times: the most units that a trial gets; -1 for no limit.

    Raises:
        ArgumentError: for an argument of the wrong type.

    >>> distribute(cpu=16)
    distribute(cpu=16)
    """
    return Distribute(*_arguments("distribute", cpu, gpu, increase_by, increase_by_times))


@checked
def distribute_to_top(
    cpu: float = 0, gpu: float = 0, increase_by: Mapping[str, float] | None = None, increase_by_times: int = -1
) -> DistributeToTop:
    """Gives what lies idle to the trial that is best by the objective; who had it before keeps it.

    Args:
        cpu: CPUs in all, of all workers together.
        gpu: GPUs in all.
        increase_by: the unit by which a trial grows; see `distribute`.
        increase_by_times: the most units that a trial gets, whereupon the next best one's turn comes; -1 for no limit.

    Raises:
        ArgumentError: for an argument of the wrong type.
    """
    return DistributeToTop(*_arguments("distribute_to_top", cpu, gpu, increase_by, increase_by_times))


def _arguments(name: str, cpu: Any, gpu: Any, increase_by: Any, times: Any) -> tuple[Any, ...]:
    if increase_by is not None and not isinstance(increase_by, Mapping):
        raise ArgumentError("E003", f"{name}.increase_by", repr(increase_by), "a dict such as {'cpu': 1}")
    units = {}
    for resource, amount in (increase_by or {}).items():
        if resource not in ("cpu", "gpu"):
            raise ArgumentError("E003", f"{name}.increase_by", repr(resource), "cpu or gpu")
        units[resource] = canonical(number(f"{name}.increase_by[{resource!r}]", amount))
    return (
        canonical(number(f"{name}.cpu", cpu)),
        canonical(number(f"{name}.gpu", gpu)),
        tuple(sorted(units.items())),
        whole(f"{name}.increase_by_times", times),
    )


@value
class ResourceChanging:
    """The settings of resource changing; see `resource_changing`."""

    base: Any = Fifo()
    resources: Resources = Distribute(cpu=1)
    every: int = 1

    def __repr__(self) -> str:
        return spell("resource_changing", self, positional=1)


@checked
def resource_changing(base: Any, resources: Resources, every: int = 1) -> ResourceChanging:
    """Lets `base` decide, and where it lets a trial go on, gives that trial more or less to run with.

    A trial changes at its decision points: it saves, and goes on from there with other resources, which
    `trial().resources` tells it.

    Args:
        base: any scheduler's spec.
        resources: `distribute(...)` or `distribute_to_top(...)`, with what there is in all.
        every: reports from one decision to the next, where `base` itself has no decision points.

    Returns:
        A scheduler spec. It needs a trainable with checkpoints, and `.resources(...)` in numbers.

    Raises:
        ArgumentError: for a base that is no scheduler.

    >>> from tunedsl.schedule import asha
    >>> resource_changing(asha(max_t=81), distribute(cpu=16))
    resource_changing(asha(max_t=81), resources=distribute(cpu=16))
    """
    scheduler_of(base)
    if not isinstance(resources, (Distribute, DistributeToTop)):
        expected = "distribute(...) or distribute_to_top(...)"
        raise ArgumentError("E003", "resource_changing.resources", repr(resources), expected)
    return ResourceChanging(base, resources, whole("resource_changing.every", every, 1))


class State(msgspec.Struct, frozen=True):
    """The base scheduler's state, and who has what.

    Attributes:
        has: units above the plan's resources, of each trial that is not paused.
        paused: the same, of those that are.
        values: the last value of each trial that has one.
        width: the most that ever ran together.
        given: units above the plan's resources, of all that run together.
    """

    base: Any
    start: dict[str, float]
    has: immutables.Map[int, int] = immutables.Map()
    paused: immutables.Map[int, int] = immutables.Map()
    values: immutables.Map[int, float] = immutables.Map()
    width: int = 0
    given: int = 0


def init(spec: ResourceChanging, setting: Setting) -> State:
    """Everybody has what the plan says."""
    return State(scheduler_of(spec.base).init(spec.base, setting), dict(setting.resources))


def on_add(spec: ResourceChanging, state: State, trial: int, config: dict[str, Json]) -> State:
    """A trial that runs with what the plan says."""
    base = scheduler_of(spec.base)
    if base.on_add is not None:
        state = replace(state, base=base.on_add(spec.base, state.base, trial, config))
    return _running(state, trial)


def on_report(spec: ResourceChanging, state: State, report: Report) -> Outcome:
    """What the base decides; if that is to go on, whether with other resources."""
    inner, decision, why = scheduler_of(spec.base).on_report(spec.base, state.base, report)
    trial = report.trial
    state = replace(state, base=inner)
    if trial not in state.has:
        state = _running(state, trial)
    if not math.isnan(report.value):
        state = replace(state, values=state.values.set(trial, report.value))
    if decision == "stop":
        return _forgotten(state, trial), decision, why
    if decision == "pause":
        units = state.has[trial]
        state = replace(state, has=state.has.delete(trial), paused=state.paused.set(trial, units))
        return replace(state, given=state.given - units), decision, why
    if decision != "continue" or not is_due(decision_points(spec), report.iteration):
        return state, decision, why
    units = state.has[trial]
    target, facts = _target(spec, state, trial)
    if target == units:
        return state, decision, why
    old, new = _amounts(spec, state, units), _amounts(spec, state, target)
    for name in _unit(spec, state):
        facts[name] = f"{old[name]:g} -> {new[name]:g}"
    if why is not None:
        facts |= {f"{why.rule} {name}": fact for name, fact in why.facts.items()}
    state = replace(state, has=state.has.set(trial, target), given=state.given + target - units)
    return state, Resize(new), note("resource_changing", **facts)


def _target(spec: ResourceChanging, state: State, trial: int) -> tuple[int, dict[str, int | float | str]]:
    """How many units the trial should have, and what that was found from."""
    # Those that are paused come back, as far as there are places: their share is not given away meanwhile.
    has, running = state.has[trial], min(len(state.has) + len(state.paused), state.width)
    units = _units(spec, state, running)
    idle = units - state.given
    most = spec.resources.increase_by_times if spec.resources.increase_by_times > 0 else max(units, 0)
    facts: dict[str, int | float | str] = {"trials": running, "idle units": idle}
    if isinstance(spec.resources, Distribute):
        rank = sum(1 for other in state.has if other < trial) if units > 0 else 0
        share = min(max(units, 0) // running + (rank < max(units, 0) % running), most)
        # Growing takes what is idle now; those above their share give it back when their turn comes.
        return (share if share <= has else min(share, has + max(idle, 0))), {**facts, "share": share}
    best = max(
        (other for other in state.has if state.has[other] < most or other == trial),
        key=lambda other: (other in state.values, state.values.get(other, 0.0), -other),
    )
    facts["best"] = best
    if idle < 0:
        return max(has + idle, 0), facts
    return (min(has + idle, most) if trial == best else has), facts


def _units(spec: ResourceChanging, state: State, running: int) -> int:
    """How many units there are beyond what that many trials start with; below 0 if there is not even that."""
    unit = _unit(spec, state)
    total = {"cpu": spec.resources.cpu, "gpu": spec.resources.gpu}
    # The tiny part keeps a quotient of fractions such as 0.3 / 0.1 from losing a unit to rounding.
    return min(
        math.floor((total[name] - state.start.get(name, 0) * running) / amount + 1e-9) for name, amount in unit.items()
    )


def _unit(spec: ResourceChanging, state: State) -> dict[str, float]:
    if spec.resources.increase_by:
        return {name: amount for name, amount in spec.resources.increase_by if amount}
    return {"gpu": 1} if state.start.get("gpu") else {"cpu": 1}


def _amounts(spec: ResourceChanging, state: State, units: int) -> dict[str, float]:
    grown = {**state.start}
    for name, amount in _unit(spec, state).items():
        grown[name] = canonical(grown.get(name, 0) + units * amount)
    return grown


def _running(state: State, trial: int) -> State:
    """A paused or unknown trial runs, with what it had."""
    units = state.paused.get(trial, 0)
    paused = state.paused.delete(trial) if trial in state.paused else state.paused
    has = state.has.set(trial, units)
    return replace(state, has=has, paused=paused, given=state.given + units, width=max(state.width, len(has)))


def _forgotten(state: State, trial: int) -> State:
    return replace(
        state,
        given=state.given - state.has.get(trial, 0),
        has=state.has.delete(trial) if trial in state.has else state.has,
        paused=state.paused.delete(trial) if trial in state.paused else state.paused,
        values=state.values.delete(trial) if trial in state.values else state.values,
    )


def on_end(spec: ResourceChanging, state: State, report: Report) -> State:
    """What the trial had is idle."""
    inner = scheduler_of(spec.base).on_end(spec.base, state.base, report)
    return _forgotten(replace(state, base=inner), report.trial)


def on_leave(spec: ResourceChanging, state: State, trial: int) -> State:
    """What the trial had is idle."""
    base = scheduler_of(spec.base)
    if base.on_leave is not None:
        state = replace(state, base=base.on_leave(spec.base, state.base, trial))
    return _forgotten(state, trial)


def on_full(spec: ResourceChanging, state: State) -> State:
    """Handed on."""
    base = scheduler_of(spec.base)
    return state if base.on_full is None else replace(state, base=base.on_full(spec.base, state.base))


def cull(spec: ResourceChanging, state: State) -> tuple[State, tuple[tuple[int, Note], ...]]:
    """Those that the base gives up."""
    base = scheduler_of(spec.base)
    if base.cull is None:
        return state, ()
    inner, culled = base.cull(spec.base, state.base)
    state = replace(state, base=inner)
    for trial, _ in culled:
        state = _forgotten(state, trial)
    return state, culled


def promote(spec: ResourceChanging, state: State) -> tuple[State, Promotion | None]:
    """Whom the base chooses, with its share: what it had before may be others' by now."""
    base = scheduler_of(spec.base)
    if base.promote is None:
        return state, None
    inner, chosen = base.promote(spec.base, state.base)
    state = replace(state, base=inner)
    if chosen is None:
        return state, None
    trial = chosen[0]
    if len(chosen) == 3:
        return _running(state, trial), chosen
    before = state.paused.get(trial, 0)
    state = _running(replace(state, paused=state.paused.set(trial, 0)), trial)
    target, _ = _target(spec, state, trial)
    state = replace(state, has=state.has.set(trial, target), given=state.given + target)
    if target == before:
        return state, chosen
    return state, (trial, chosen[1], Resize(_amounts(spec, state, target)))


def decision_points(spec: ResourceChanging) -> DecisionPoints:
    """The base's; where it has none, every so many reports."""
    points = scheduler_of(spec.base).decision_points(spec.base)
    return Every(spec.every) if isinstance(points, Never) else points


def needs(spec: ResourceChanging) -> Needs:
    """What the base needs, and checkpoints to go on from; the best trial is found by the objective."""
    base = scheduler_of(spec.base).needs(spec.base)
    top = isinstance(spec.resources, DistributeToTop)
    return Needs(True, base.pause, base.objective or top, base.searcher, base.trials)


def validate(spec: ResourceChanging) -> list[Diagnostic]:
    """The base's faults, and totals or units that are none."""
    found, resources = list(scheduler_of(spec.base).validate(spec.base)), spec.resources
    for name in ("cpu", "gpu"):
        amount = getattr(resources, name)
        if not (math.isfinite(amount) and amount >= 0):
            found.append(Diagnostic("E076", f"scheduler.{name}", f"{amount!r}", "a finite number of at least 0"))
    if not (resources.cpu or resources.gpu):
        hint = "distribute(cpu=16): how much there is for all trials together"
        found.append(Diagnostic("E076", "scheduler.resources", f"{resources!r}", "a total", hint))
    if resources.increase_by and not all(math.isfinite(unit) and unit > 0 for _, unit in resources.increase_by):
        shown = f"increase_by={dict(resources.increase_by)!r}"
        found.append(Diagnostic("E076", "scheduler.increase_by", shown, "amounts above 0"))
    return found


def fits(spec: ResourceChanging, setting: Setting) -> list[Diagnostic]:
    """Trials whose resources are not known beforehand, or that the total cannot even start one of."""
    found = list(scheduler_of(spec.base).fits(spec.base, setting))
    if not setting.resources:
        expected, hint = "resources in numbers", ".resources(cpu=1)"
        found.append(Diagnostic("E076", "resources", "resources that a function or bundles say", expected, hint))
    for name in ("cpu", "gpu"):
        total, start = getattr(spec.resources, name), setting.resources.get(name, 0)
        if start > total and (total or name in _unit(spec, State(None, setting.resources))):
            found.append(
                Diagnostic("E076", f"scheduler.{name}", f"{total:g} in all", f"at least the {start:g} a trial")
            )
    return found


def describe(spec: ResourceChanging) -> str:
    """One line: the base's, and who gets more."""
    total = ", ".join(
        f"{name} {getattr(spec.resources, name):g}" for name in ("cpu", "gpu") if getattr(spec.resources, name)
    )
    how = "the best trial gets what is idle" if isinstance(spec.resources, DistributeToTop) else "trials share evenly"
    return f"{scheduler_of(spec.base).describe(spec.base)}; of {total} in all {how}"


enrol(
    ResourceChanging,
    Scheduler(
        "resource_changing",
        init,
        on_report,
        decision_points,
        describe,
        on_add=on_add,
        on_end=on_end,
        on_leave=on_leave,
        on_full=on_full,
        cull=cull,
        promote=promote,
        last_iteration=lambda spec: scheduler_of(spec.base).last_iteration(spec.base),
        needs=needs,
        reads=lambda spec: scheduler_of(spec.base).reads(spec.base),
        validate=validate,
        fits=fits,
    ),
)
