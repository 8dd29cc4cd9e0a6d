"""Pass 9: whether resources, retries, isolation, names, order and checkpoints are possible and fit together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from tunedsl.base.diagnostics import Diagnostic, SourceLocation, reason, shorten
from tunedsl.base.errors import ArgumentError
from tunedsl.base.machine import physical_memory, usable_cpus, usable_gpus, usable_memory
from tunedsl.base.names import is_portable
from tunedsl.base.references import FunctionRef, format_keywords, whole_as_int
from tunedsl.base.types import TIME_THIS_ITER, TIME_TOTAL
from tunedsl.compiler.constraints import constraint_place
from tunedsl.compiler.context import CompileContext
from tunedsl.compiler.stopping import condition_places, conditions
from tunedsl.compiler.trainable import check_call
from tunedsl.plan.packing import faults, places, ray_amounts
from tunedsl.plan.settings import EXTERNAL, CheckpointPolicy, Resources, Timeout, format_amount
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.stopping import condition_metrics

_TRIED_CONFIGS: Final = 8
_PORTABLE: Final = "use at most 120 letters, digits and _ . = , + -"


def check(context: CompileContext) -> Iterator[Diagnostic]:
    """Runs all checks of the pass."""
    yield from _resources(context)
    yield from _retries(context)
    yield from _isolation(context)
    yield from _names(context)
    yield from _order(context)
    yield from _checkpoints(context)


def _resources(context: CompileContext) -> Iterator[Diagnostic]:
    resources = context.clauses.resources
    if isinstance(resources, FunctionRef):
        yield from _function_of_resources(context, resources)
    elif resources is not None:
        errors = list(faults(resources))
        yield from errors
        if not errors:
            yield from _beyond_machine(context, resources)


def _beyond_machine(context: CompileContext, resources: Resources) -> Iterator[Diagnostic]:
    """Reports amounts that this machine does not have, for engines that only use this machine."""
    if context.engine == "local":
        available, elsewhere = _usable_resources(), 'run on a Ray cluster that has them: run("ray", address=...)'
    elif context.starts_local_ray:
        available, elsewhere = _machine_resources(), 'join a running cluster with run(address="auto")'
    else:
        return
    enough = True
    for name, amount in resources.amounts().items():
        if context.engine == "local" and name not in available:
            enough = False
            message = f'A trial needs {name}={amount:g}, but the engine "local" has only cpu, gpu and memory.'
            yield Diagnostic("E060", f"resources.{name}", message, f'run on "ray", whose nodes may have {name}')
        elif amount > available.get(name, 0):
            given, most = (format_amount(name, number) for number in (amount, available.get(name, 0)))
            message = f"A trial needs {name}={given}, but this machine has {name}={most}."
            enough = False
            yield Diagnostic("E060", f"resources.{name}", message, f"ask for less, or {elsewhere}")
    if resources.strategy == "STRICT_SPREAD" and len(resources.bundles) > 1:
        message = f"STRICT_SPREAD needs {len(resources.bundles)} nodes, but this machine is only one."
        yield Diagnostic("E060", "resources.bundles", message, "write strategy='PACK'")
    elif enough and not places([ray_amounts(available)], resources, 1):
        message = "The devices of this machine cannot hold the bundles of one trial."
        yield Diagnostic("E060", "resources.bundles", message, "a share below 1 must fit on one device")


def _function_of_resources(context: CompileContext, reference: FunctionRef) -> Iterator[Diagnostic]:
    """Checks a function's arguments and its results for the first configurations; reports each problem once."""
    function, name = reference.resolve(), reference.name
    errors = list(check_call("E061", "resources", function, name, {}, "config"))
    yield from errors
    reported: set[str] = set()
    for config in [] if errors else context.first_configs(_TRIED_CONFIGS):
        call = f"{name}({shorten(format_keywords(config, digits=3))})"
        try:
            result = function(config)
        except Exception as error:
            hint = f"let {name} return amounts for every configuration"
            yield Diagnostic("E061", "resources", f"{call} raised {shorten(repr(error))}.", hint)
            return
        resources = _read_amounts(call, result)
        if isinstance(resources, Diagnostic):
            yield resources
            return
        errors = list(faults(resources))
        for diagnostic in errors or _beyond_machine(context, resources):
            if diagnostic.subject not in reported:
                reported.add(diagnostic.subject)
                yield attrs.evolve(diagnostic, message=f"With {call}: {diagnostic.message}")


def _read_amounts(call: str, result: Any) -> Resources | Diagnostic:
    """The resources that a user function returned, or a diagnostic."""
    if isinstance(result, Resources):
        return result
    hint = 'return amounts by name, such as {"cpu": 1}'
    if not isinstance(result, Mapping):
        return Diagnostic(
            "E061", "resources", f"{call} returned {shorten(repr(result))}, which is not a mapping.", hint
        )
    try:
        return Resources.of(**result)
    except ArgumentError as error:
        why = error.diagnostic
        return Diagnostic("E061", "resources", f"With {call}: {why.message}", why.hint or hint)
    except TypeError as error:  # names that are not strings
        return Diagnostic("E061", "resources", f"{call} returned names that are not text: {reason(error)}.", hint)


def _usable_resources() -> dict[str, float]:
    """The resources of this machine that this process may use."""
    return {"cpu": usable_cpus(), "gpu": len(usable_gpus()), "memory": usable_memory()}


def _machine_resources() -> dict[str, float]:
    """The resources of a Ray cluster on this machine."""
    gpus = sum(1 for device in Path("/dev").glob("nvidia*") if device.name[len("nvidia") :].isdigit())
    return {"cpu": os.cpu_count() or 1, "gpu": gpus, "memory": physical_memory()}


def _retries(context: CompileContext) -> Iterator[Diagnostic]:
    """Checks that trials request memory if retries increase it."""
    retry, resources = context.clauses.retry, context.clauses.resources
    if retry is None or retry.grow == 1:
        return
    grow = f"retry(grow={whole_as_int(retry.grow)!r})"
    if retry.oom == 0:
        message = f"{grow} has no effect without retries after out-of-memory failures."
        yield Diagnostic("E066", "retry.grow", message, "add oom=2 to retry(...)")
    if resources is None or (isinstance(resources, Resources) and not resources.memory):
        hint = 'add memory="2GiB" to resources(...), or the amount that a trial needs'
        yield Diagnostic("E066", "retry.grow", f"{grow} needs trials that request memory.", hint)
    elif isinstance(resources, Resources):
        if resources.bundles:
            hint = "write plain amounts instead of bundles"
            yield Diagnostic("E066", "retry.grow", f"{grow} cannot increase the memory of bundles.", hint)
    else:
        first = _first_resources(context, resources)
        if first is not None and (not first.memory or first.bundles):
            message = f"{grow} needs plain amounts with memory, but {resources.name} returns {first!r}."
            yield Diagnostic("E066", "retry.grow", message, 'return "memory" too, and no bundles')


def _first_resources(context: CompileContext, reference: FunctionRef) -> Resources | None:
    """The resources of the first configuration; None if the function fails, which another check reports."""
    for config in context.first_configs(1):
        try:
            resources = _read_amounts("", reference.resolve()(config))
        except Exception:
            return None
        return resources if isinstance(resources, Resources) else None
    return None


def _isolation(context: CompileContext) -> Iterator[Diagnostic]:
    """Checks that the engine has processes in which trials can be isolated."""
    if context.clauses.isolate == "process" and context.engine in ("inline", EXTERNAL):
        hint = 'run on "ray" or "local", or remove the clause'
        engine = "ask and tell" if context.engine == EXTERNAL else f'"{context.engine}"'
        message = f'isolate("process") needs an engine with a process for each trial, which {engine} is not.'
        yield Diagnostic("E067", "isolate", message, hint)


def _names(context: CompileContext) -> Iterator[Diagnostic]:
    name, naming = context.clauses.name, context.clauses.naming
    if name is not None and not is_portable(name):
        message = f"The name {shorten(repr(name))} is not a portable folder name."
        yield Diagnostic("E062", "named", message, f"{_PORTABLE}; .store(path) sets the folder that it is in")
    if naming is not None:
        yield from _function_of_names(context, naming)


def _function_of_names(context: CompileContext, reference: FunctionRef) -> Iterator[Diagnostic]:
    """Checks a function's arguments, and the names that it returns for the first two trials."""
    function, name = reference.resolve(), reference.name
    errors = list(check_call("E061", "name_trials", function, name, {}, "number", "config"))
    yield from errors
    names: list[Any] = []
    for number, config in enumerate([] if errors else context.first_configs(2)):
        call = f"{name}({number}, {shorten(format_keywords(config, digits=3))})"
        try:
            trial_name = function(number, config)
        except Exception as error:
            hint = f"let {name} return a name for every trial"
            yield Diagnostic("E061", "name_trials", f"{call} raised {shorten(repr(error))}.", hint)
            return
        returned = f"{call} returned {shorten(repr(trial_name))}"
        if not isinstance(trial_name, str) or not is_portable(trial_name):
            yield Diagnostic("E062", "name_trials", f"{returned}, which is not a portable folder name.", _PORTABLE)
            return
        if trial_name in names:
            hint = "include the trial's number in the name"
            yield Diagnostic("E062", "name_trials", f"{returned}, which another trial has already.", hint)
        names.append(trial_name)


def _order(context: CompileContext) -> Iterator[Diagnostic]:
    clauses = context.clauses
    if clauses.order != "logical":
        return
    if context.engine == EXTERNAL:
        hint = "remove the clause; with ask and tell, reports are handled in the order of arrival"
        yield Diagnostic("E069", "order", 'order("logical") does not work with ask and tell.', hint)
        return
    if clauses.parallel is None:
        message = 'order("logical") needs a fixed number of concurrent trials.'
        yield Diagnostic("E063", "order", message, "add .parallel(4)")
    hint = 'count iterations instead, or use order("arrival")'
    for subject, limit, place in _time_limits(context):
        message = f'{limit} depends on timing, which order("logical") does not allow.'
        yield Diagnostic("E064", subject, message, hint, place)


def _time_limits(context: CompileContext) -> Iterator[tuple[str, str, SourceLocation | None]]:
    """Subject, text and place of each limit that depends on measured time."""
    clauses, clocks = context.clauses, (TIME_TOTAL, TIME_THIS_ITER)
    if clauses.budget is not None and clauses.budget.seconds is not None:
        yield "budget", f"A budget of {clauses.budget.seconds:g} seconds", None
    limits = clauses.timeout or Timeout()
    if limits.seconds is not None:
        yield "timeout", f"A timeout of {limits.seconds:g} seconds", None
    if limits.idle is not None:
        yield "timeout", f"A timeout of {limits.idle:g} idle seconds", None
    for place, condition in zip(condition_places(context), conditions(context), strict=True):
        yield from (("stop", f"The metric {name}", place) for name in condition_metrics(condition) if name in clocks)
    for part in clauses.constraints:
        names = [name for name in condition_metrics(part) if name in clocks]
        yield from (("subject_to", f"The metric {name}", constraint_place(context, part)) for name in names)
    reads = scheduler_of(context.scheduler).metrics_used(context.scheduler)
    yield from (("scheduler", f"The metric {name}", None) for name in reads if name in clocks)


def _checkpoints(context: CompileContext) -> Iterator[Diagnostic]:
    policy = context.clauses.checkpoint
    if policy is not None and policy.best is not None:
        goals = [goal.metric for goal in context.clauses.objectives[:1]]
        if policy.best not in goals:
            hint = (
                f"write best={goals[0]!r}" if goals else f"add .minimize({policy.best!r}) or .maximize({policy.best!r})"
            )
            yield Diagnostic("E065", "checkpoint.best", f"checkpoint(best={policy.best!r}) is not an objective.", hint)
    if policy is None or context.trainable is None or not (policy.every or policy.at_end):
        return
    if context.form == "command":
        return
    if context.form != "class":
        if policy.at_end or not context.can_save():
            hint = "call report(..., checkpoint=save) with a function that writes a folder"
            if policy.at_end:  # code that has returned can no longer save
                kept = CheckpointPolicy(policy.every or 1, policy.keep or 1, best=policy.best)
                how = f"write {kept!r}, which keeps the last checkpoint that is reported"
                hint = how if context.can_save() else f"{hint}, and {how}"
            message = f"{policy!r} needs a class with save and load, but the trainable is a {context.form}."
            yield Diagnostic("E065", "checkpoint", message, hint)
    elif not context.can_save():
        message = f"{policy!r} needs checkpoints, but the class {context.trainable.__name__} cannot save."
        yield Diagnostic("E065", "checkpoint", message, "add methods save(self, folder) and load(self, folder)")
