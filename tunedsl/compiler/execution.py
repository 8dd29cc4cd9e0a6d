"""Pass 7: whether resources, retries, isolation, names, order and checkpoints are possible and fit together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any, Final

from tunedsl.base.diagnostics import Diagnostic, SourceLocation
from tunedsl.base.errors import ArgumentError
from tunedsl.base.names import is_portable
from tunedsl.base.references import FunctionRef, format_keywords, whole_as_int
from tunedsl.base.types import TIME_THIS_ITER, TIME_TOTAL
from tunedsl.compiler.context import CompileContext
from tunedsl.compiler.stopping import condition_places, conditions
from tunedsl.compiler.trainable import check_call
from tunedsl.plan.packing import Fault, faults, places, ray_amounts
from tunedsl.plan.settings import Resources, Timeout, format_amount
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.stopping import condition_metrics

_TRIED_CONFIGS: Final = 8
_MAX_TEXT: Final = 120
_PORTABLE: Final = "a folder name that Linux, macOS and Windows accept: letters, digits and _ . = , + -, at most 120"


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
        errors = [_fault(fault) for fault in faults(resources)]
        yield from errors
        if context.starts_local_ray and not errors:
            yield from _beyond_machine(resources, "per trial")


def _fault(fault: Fault, whose: str = "") -> Diagnostic:
    return Diagnostic("E068", fault.subject, f"{fault.found}{whose}", fault.expected, fault.hint)


def _beyond_machine(resources: Resources, whose: str) -> Iterator[Diagnostic]:
    """Reports amounts that this machine does not have."""
    available, enough = _machine_resources(), True
    for name, amount in resources.amounts().items():
        if amount > available.get(name, 0):
            found = f"{name}={format_amount(name, amount)} {whose}"
            expected = f"at most {format_amount(name, available.get(name, 0))}, which this machine has"
            hint = 'ask for less, or join a running cluster with run(address="auto")'
            enough = False
            yield Diagnostic("E060", f"resources.{name}", found, expected, hint)
    one_machine = "bundles that one machine can hold"
    if resources.strategy == "STRICT_SPREAD" and len(resources.bundles) > 1:
        found = f"{len(resources.bundles)} bundles on different nodes"
        yield Diagnostic("E060", "resources.bundles", found, one_machine, "write strategy='PACK'")
    elif enough and not places([ray_amounts(available)], resources, 1):
        found = f"bundles {whose} that this machine's devices cannot hold"
        yield Diagnostic("E060", "resources.bundles", found, one_machine, "a share below 1 must fit on one device")


def _function_of_resources(context: CompileContext, reference: FunctionRef) -> Iterator[Diagnostic]:
    """Checks a function's arguments and its results for the first configurations; reports each problem once."""
    function, name = reference.resolve(), reference.name
    errors = list(check_call("E061", "resources", function, name, {}, "config"))
    yield from errors
    reported: set[str] = set()
    for config in [] if errors else context.first_configs(_TRIED_CONFIGS):
        call = f"{name}({_shorten(format_keywords(config, digits=3))})"
        try:
            result = function(config)
        except Exception as error:
            yield Diagnostic("E061", "resources", f"{call} raised {error!r}", "amounts for every configuration")
            return
        resources = _read_amounts(call, result)
        if isinstance(resources, Diagnostic):
            yield resources
            return
        errors = [_fault(fault, f" for {call}") for fault in faults(resources)]
        for diagnostic in errors or (_beyond_machine(resources, f"for {call}") if context.starts_local_ray else ()):
            if diagnostic.subject not in reported:
                reported.add(diagnostic.subject)
                yield diagnostic


def _read_amounts(call: str, result: Any) -> Resources | Diagnostic:
    """The resources that a user function returned, or a diagnostic."""
    if isinstance(result, Resources):
        return result
    expected, found = 'amounts by name, such as {"cpu": 1}', f"{call} returned {_shorten(repr(result))}"
    if not isinstance(result, Mapping):
        return Diagnostic("E061", "resources", found, expected)
    try:
        return Resources.of(**result)
    except ArgumentError as error:
        why = error.diagnostic
        return Diagnostic("E061", "resources", f"{found}: {why.found}", why.expected, why.hint)
    except TypeError as error:  # names that are not strings
        return Diagnostic("E061", "resources", f"{found}: {error}", expected)


def _shorten(text: str) -> str:
    return shorten(text, _MAX_TEXT, placeholder=" ...")


def _machine_resources() -> dict[str, float]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else float("inf")
    gpus = sum(1 for device in Path("/dev").glob("nvidia*") if device.name[len("nvidia") :].isdigit())
    return {"cpu": os.cpu_count() or 1, "gpu": gpus, "memory": memory}


def _retries(context: CompileContext) -> Iterator[Diagnostic]:
    """Checks that trials request memory if retries increase it."""
    retry, resources = context.clauses.retry, context.clauses.resources
    if retry is None or retry.grow == 1:
        return
    if retry.oom == 0:
        found = f"grow={whole_as_int(retry.grow)!r} without a retry after oom"
        yield Diagnostic("E066", "retry.grow", found, "a retry that can request more memory", "add oom=2 to retry(...)")
    expected = "trials that request memory"
    if resources is None or (isinstance(resources, Resources) and not resources.memory):
        hint = 'add memory="2GiB" to resources(...), or the amount that a trial needs'
        yield Diagnostic("E066", "retry.grow", f"grow={whole_as_int(retry.grow)!r} without memory", expected, hint)
    elif isinstance(resources, Resources):
        if resources.bundles:
            found, hint = f"grow={whole_as_int(retry.grow)!r} with bundles", "write plain amounts instead of bundles"
            yield Diagnostic("E066", "retry.grow", found, "resources without bundles", hint)
    else:
        first = _first_resources(context, resources)
        if first is not None and (not first.memory or first.bundles):
            found = f"grow={whole_as_int(retry.grow)!r}, and {resources.name}(...) returns {first!r}"
            yield Diagnostic("E066", "retry.grow", found, expected, 'return "memory" too, and no bundles')


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
    if context.clauses.isolate == "process" and context.engine == "inline":
        hint = 'run on "ray", or remove the clause'
        found = "isolate('process') with the inline engine"
        yield Diagnostic("E067", "isolate", found, "an engine that has a process for each trial", hint)


def _names(context: CompileContext) -> Iterator[Diagnostic]:
    name, naming = context.clauses.name, context.clauses.naming
    if name is not None and not is_portable(name):
        yield Diagnostic(
            "E062", "named", repr(name), _PORTABLE, "write .store(path) to choose the folder that it is in"
        )
    if naming is not None:
        yield from _function_of_names(context, naming)


def _function_of_names(context: CompileContext, reference: FunctionRef) -> Iterator[Diagnostic]:
    """Checks a function's arguments, and the names that it returns for the first two trials."""
    function, name = reference.resolve(), reference.name
    errors = list(check_call("E061", "name_trials", function, name, {}, "number", "config"))
    yield from errors
    names: list[Any] = []
    for number, config in enumerate([] if errors else context.first_configs(2)):
        call = f"{name}({number}, {_shorten(format_keywords(config, digits=3))})"
        try:
            trial_name = function(number, config)
        except Exception as error:
            yield Diagnostic("E061", "name_trials", f"{call} raised {error!r}", "a name for every trial")
            return
        found = f"{call} returned {_shorten(repr(trial_name))}"
        if not isinstance(trial_name, str) or not is_portable(trial_name):
            yield Diagnostic("E062", "name_trials", found, _PORTABLE)
            return
        if trial_name in names:
            hint = "include the trial's number in the name"
            yield Diagnostic("E062", "name_trials", f"{found} for a second trial", "a unique name for each", hint)
        names.append(trial_name)


def _order(context: CompileContext) -> Iterator[Diagnostic]:
    clauses = context.clauses
    if clauses.order != "logical":
        return
    if clauses.parallel is None:
        found, expected = 'order("logical") without parallel(n)', "a fixed number of concurrent trials"
        yield Diagnostic("E063", "order", found, expected, "add .parallel(4)")
    hint = 'count iterations instead, or use order("arrival")'
    for subject, found, place in _time_limits(context):
        found = f"{found} under logical order"
        yield Diagnostic("E064", subject, found, "decisions that do not depend on timing", hint, place)


def _time_limits(context: CompileContext) -> Iterator[tuple[str, str, SourceLocation | None]]:
    """Subject, text and place of each limit that depends on measured time."""
    clauses, clocks = context.clauses, (TIME_TOTAL, TIME_THIS_ITER)
    if clauses.budget is not None and clauses.budget.seconds is not None:
        yield "budget", f"a budget of {clauses.budget.seconds:g} seconds", None
    limits = clauses.timeout or Timeout()
    if limits.seconds is not None:
        yield "timeout", f"a timeout of {limits.seconds:g} seconds", None
    if limits.idle is not None:
        yield "timeout", f"a timeout of {limits.idle:g} idle seconds", None
    for place, condition in zip(condition_places(context), conditions(context), strict=True):
        yield from (("stop", name, place) for name in condition_metrics(condition) if name in clocks)
    reads = scheduler_of(context.scheduler).metrics_used(context.scheduler)
    yield from (("scheduler", name, None) for name in reads if name in clocks)


def _checkpoints(context: CompileContext) -> Iterator[Diagnostic]:
    policy = context.clauses.checkpoint
    if policy is not None and policy.best is not None:
        goals = [goal.metric for goal in context.clauses.objectives[:1]]
        if policy.best not in goals:
            expected = f"the objective {goals[0]!r}" if goals else "an objective with this name"
            yield Diagnostic("E065", "checkpoint.best", f"best={policy.best!r}", expected)
    if policy is None or context.trainable is None or not (policy.every or policy.at_end):
        return
    if context.form != "class":
        if policy.at_end or not context.can_save():
            hint = "in a function, call report(..., checkpoint=save) with a function that writes a folder"
            found = f"{policy!r} with a {context.form}"
            yield Diagnostic("E065", "checkpoint", found, "a class with save and load", hint)
    elif not context.can_save():
        found = f"{policy!r} with class {context.trainable.__name__}, which cannot save"
        yield Diagnostic("E065", "checkpoint", found, "methods save(self, folder) and load(self, folder)")
