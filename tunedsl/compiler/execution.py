"""Pass 7: resources, names, order and checkpoints: whether they can be had, here and in this combination."""

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
from tunedsl.compiler.stopping import condition_places as places_of
from tunedsl.compiler.stopping import conditions
from tunedsl.compiler.trainable import check_call
from tunedsl.plan.packing import Fault, faults, places, ray_amounts
from tunedsl.plan.settings import Resources, Timeout, format_amount
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.stopping import condition_metrics

_TRIED_CONFIGS: Final = 8
_MAX_TEXT: Final = 120
_PORTABLE: Final = "a folder name that Linux, macOS and Windows accept: letters, digits and _ . = , + -, at most 120"


def check(case: CompileContext) -> Iterator[Diagnostic]:
    """All of the pass."""
    yield from _resources(case)
    yield from _retries(case)
    yield from _isolation(case)
    yield from _names(case)
    yield from _order(case)
    yield from _checkpoints(case)


def _resources(case: CompileContext) -> Iterator[Diagnostic]:
    resources = case.clauses.resources
    if isinstance(resources, FunctionRef):
        yield from _function_of_resources(case, resources)
    elif resources is not None:
        wrong = [_fault(fault) for fault in faults(resources)]
        yield from wrong
        if case.starts_local_ray and not wrong:
            yield from _beyond_machine(resources, "per trial")


def _fault(fault: Fault, whose: str = "") -> Diagnostic:
    return Diagnostic("E068", fault.subject, f"{fault.found}{whose}", fault.expected, fault.hint)


def _beyond_machine(resources: Resources, whose: str) -> Iterator[Diagnostic]:
    """What this machine cannot give."""
    has, enough = _machine_resources(), True
    for name, amount in resources.amounts().items():
        if amount > has.get(name, 0):
            found = f"{name}={format_amount(name, amount)} {whose}"
            expected = f"at most {format_amount(name, has.get(name, 0))}, which this machine has"
            hint = 'ask for less, or join a running cluster with run(address="auto")'
            enough = False
            yield Diagnostic("E060", f"resources.{name}", found, expected, hint)
    one_machine = "bundles that one machine can hold"
    if resources.strategy == "STRICT_SPREAD" and len(resources.bundles) > 1:
        found = f"{len(resources.bundles)} bundles on different nodes"
        yield Diagnostic("E060", "resources.bundles", found, one_machine, "write strategy='PACK'")
    elif enough and not places([ray_amounts(has)], resources, 1):
        found = f"bundles {whose} that this machine's devices cannot hold"
        yield Diagnostic("E060", "resources.bundles", found, one_machine, "a share below 1 has to fit on one device")


def _function_of_resources(case: CompileContext, reference: FunctionRef) -> Iterator[Diagnostic]:
    """A function's arguments, and what it says of the first configurations; each fault once."""
    function, name = reference.resolve(), reference.name
    wrong = list(check_call("E061", "resources", function, name, {}, "config"))
    yield from wrong
    told: set[str] = set()
    for config in [] if wrong else case.first_configs(_TRIED_CONFIGS):
        call = f"{name}({_shorten(format_keywords(config, digits=3))})"
        try:
            given = function(config)
        except Exception as error:
            yield Diagnostic("E061", "resources", f"{call} raised {error!r}", "amounts for every configuration")
            return
        resources = _call_user_function(call, given)
        if isinstance(resources, Diagnostic):
            yield resources
            return
        unfit = [_fault(fault, f" for {call}") for fault in faults(resources)]
        for diagnostic in unfit or (_beyond_machine(resources, f"for {call}") if case.starts_local_ray else ()):
            if diagnostic.subject not in told:
                told.add(diagnostic.subject)
                yield diagnostic


def _call_user_function(call: str, given: Any) -> Resources | Diagnostic:
    """What a function of resources returned, read as a run reads it."""
    if isinstance(given, Resources):
        return given
    expected, found = 'amounts by name, such as {"cpu": 1}', f"{call} returned {_shorten(repr(given))}"
    if not isinstance(given, Mapping):
        return Diagnostic("E061", "resources", found, expected)
    try:
        return Resources.of(**given)
    except ArgumentError as error:
        why = error.diagnostic
        return Diagnostic("E061", "resources", f"{found}: {why.found}", why.expected, why.hint)
    except TypeError as error:  # names that are no text
        return Diagnostic("E061", "resources", f"{found}: {error}", expected)


def _shorten(text: str) -> str:
    return shorten(text, _MAX_TEXT, placeholder=" ...")


def _machine_resources() -> dict[str, float]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else float("inf")
    gpus = sum(1 for device in Path("/dev").glob("nvidia*") if device.name[len("nvidia") :].isdigit())
    return {"cpu": os.cpu_count() or 1, "gpu": gpus, "memory": memory}


def _retries(case: CompileContext) -> Iterator[Diagnostic]:
    """Whether a retry that should ask for more memory has some to begin with."""
    retry, resources = case.clauses.retry, case.clauses.resources
    if retry is None or retry.grow == 1:
        return
    if retry.oom == 0:
        found = f"grow={whole_as_int(retry.grow)!r} without a retry after oom"
        yield Diagnostic("E066", "retry.grow", found, "a retry that can ask for more", "add oom=2 to retry(...)")
    expected = "memory that a trial asks for, which can grow"
    if resources is None or (isinstance(resources, Resources) and not resources.memory):
        hint = 'add memory="2GiB" to resources(...), or what a trial is expected to need'
        yield Diagnostic("E066", "retry.grow", f"grow={whole_as_int(retry.grow)!r} without memory", expected, hint)
    elif isinstance(resources, Resources):
        if resources.bundles:
            found, hint = f"grow={whole_as_int(retry.grow)!r} with bundles", "write plain amounts, which can grow"
            yield Diagnostic("E066", "retry.grow", found, "resources without bundles", hint)
    else:
        given = _first_resources(case, resources)
        if given is not None and (not given.memory or given.bundles):
            found = f"grow={whole_as_int(retry.grow)!r}, and {resources.name}(...) returns {given!r}"
            yield Diagnostic("E066", "retry.grow", found, expected, 'let it return "memory" too, and no bundles')


def _first_resources(case: CompileContext, reference: FunctionRef) -> Resources | None:
    """What a function gives the first configuration; None where that fails, which another check tells."""
    for config in case.first_configs(1):
        try:
            given = _call_user_function("", reference.resolve()(config))
        except Exception:
            return None
        return given if isinstance(given, Resources) else None
    return None


def _isolation(case: CompileContext) -> Iterator[Diagnostic]:
    """Whether the engine has processes to isolate trials in."""
    if case.clauses.isolate == "process" and case.engine == "inline":
        hint = 'run on "ray", or leave the clause out'
        found = "isolate('process') with the inline engine"
        yield Diagnostic("E067", "isolate", found, "an engine that has a process for each trial", hint)


def _names(case: CompileContext) -> Iterator[Diagnostic]:
    name, naming = case.clauses.name, case.clauses.naming
    if name is not None and not is_portable(name):
        yield Diagnostic(
            "E062", "named", repr(name), _PORTABLE, "write .store(path) to choose the folder that it is in"
        )
    if naming is not None:
        yield from _function_of_names(case, naming)


def _function_of_names(case: CompileContext, reference: FunctionRef) -> Iterator[Diagnostic]:
    """A function's arguments, and the names that it gives the first two trials."""
    function, name = reference.resolve(), reference.name
    wrong = list(check_call("E061", "name_trials", function, name, {}, "number", "config"))
    yield from wrong
    names: list[Any] = []
    for number, config in enumerate([] if wrong else case.first_configs(2)):
        call = f"{name}({number}, {_shorten(format_keywords(config, digits=3))})"
        try:
            given = function(number, config)
        except Exception as error:
            yield Diagnostic("E061", "name_trials", f"{call} raised {error!r}", "a name for every trial")
            return
        found = f"{call} returned {_shorten(repr(given))}"
        if not isinstance(given, str) or not is_portable(given):
            yield Diagnostic("E062", "name_trials", found, _PORTABLE)
            return
        if given in names:
            hint = "make the trial's number part of the name"
            yield Diagnostic("E062", "name_trials", f"{found} for a second trial", "a name of its own for each", hint)
        names.append(given)


def _order(case: CompileContext) -> Iterator[Diagnostic]:
    clauses = case.clauses
    if clauses.order != "logical":
        return
    if clauses.parallel is None:
        found, expected = 'order("logical") without parallel(n)', "a fixed number of concurrent trials"
        yield Diagnostic("E063", "order", found, expected, "add .parallel(4)")
    hint = 'count iterations instead, or use order("arrival")'
    for subject, found, place in _time_limits(case):
        found = f"{found} under logical order"
        yield Diagnostic("E064", subject, found, "decisions that do not depend on timing", hint, place)


def _time_limits(case: CompileContext) -> Iterator[tuple[str, str, SourceLocation | None]]:
    """Subject, text and place of what depends on measured time."""
    clauses, clocks = case.clauses, (TIME_TOTAL, TIME_THIS_ITER)
    if clauses.budget is not None and clauses.budget.seconds is not None:
        yield "budget", f"a budget of {clauses.budget.seconds:g} seconds", None
    limits = clauses.timeout or Timeout()
    if limits.seconds is not None:
        yield "timeout", f"a timeout of {limits.seconds:g} seconds", None
    if limits.idle is not None:
        yield "timeout", f"a timeout of {limits.idle:g} idle seconds", None
    for place, condition in zip(places_of(case), conditions(case), strict=True):
        yield from (("stop", name, place) for name in condition_metrics(condition) if name in clocks)
    reads = scheduler_of(case.scheduler).metrics_used(case.scheduler)
    yield from (("scheduler", name, None) for name in reads if name in clocks)


def _checkpoints(case: CompileContext) -> Iterator[Diagnostic]:
    policy = case.clauses.checkpoint
    if policy is not None and policy.best is not None:
        goals = [goal.metric for goal in case.clauses.objectives[:1]]
        if policy.best not in goals:
            expected = f"the objective {goals[0]!r}" if goals else "an objective, and its name here"
            yield Diagnostic("E065", "checkpoint.best", f"best={policy.best!r}", expected)
    if policy is None or case.trainable is None or not (policy.every or policy.at_end):
        return
    if case.form != "class":
        hint = "in a function, call report(..., checkpoint=folder) where it should save"
        found = f"{policy!r} with a {case.form}"
        yield Diagnostic("E065", "checkpoint", found, "a class with save and load", hint)
    elif not case.can_save():
        found = f"{policy!r} with class {case.trainable.__name__}, which cannot save"
        yield Diagnostic("E065", "checkpoint", found, "methods save(self, folder) and load(self, folder)")
