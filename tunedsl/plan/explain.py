"""The text of a plan in three stages: as written, normalised, and lowered to what runs where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from textwrap import shorten
from typing import Final

from tunedsl.base.printable import printable
from tunedsl.base.references import FunctionRef
from tunedsl.base.types import LIMITED_KINDS
from tunedsl.plan.plan import Plan
from tunedsl.plan.settings import GRACE_SECONDS, MAX_ASKED, Resources, Retry, format_amount
from tunedsl.schedulers.contract import At, Every, Never, scheduler_of
from tunedsl.searchers import PerGridCell
from tunedsl.searchers.contract import nested_specs, searcher_of
from tunedsl.searchers.delegation import describe_search
from tunedsl.searchers.description import SearchSetting
from tunedsl.spaces.space import Space
from tunedsl.stopping import describe_condition

_MAX_WIDTH: Final = 400

Rows = Iterable[tuple[str, str]]


def explain(plan: Plan) -> str:
    """The text of a plan; see `Plan.explain`."""
    parts = [f"experiment {plan.name}, plan {plan.digest}"]
    if plan.written:
        parts.append("As written\n" + "\n".join(f"  {line}" for line in plan.written.splitlines()))
    parts.append(_table("Normalised", _normalised(plan)))
    parts.append(_table("Lowered", _lowered(plan)))
    if plan.warnings:
        parts.append("Warnings\n" + "\n".join(f"  {line}" for each in plan.warnings for line in str(each).splitlines()))
    return printable("\n\n".join(parts) + "\n")


def _table(title: str, rows: Rows) -> str:
    return "\n".join([title, *(f"  {name:<12}{text}" for name, text in rows)])


def _normalised(plan: Plan) -> Iterator[tuple[str, str]]:
    for index, line in enumerate(_space_lines(plan.space)):
        yield "" if index else "space", line
    if plan.trainable is not None:
        yield "trainable", f"{plan.trainable.reference}, {_FORMS[plan.form]}"
    if plan.data:
        yield "data", ", ".join(plan.data)
    yield "objective", ", ".join(f"{goal.mode}imize {goal.metric}" for goal in plan.objectives) or "none"
    for index, constraint in enumerate(plan.constraints):
        yield "" if index else "subject to", describe_condition(constraint)
    yield "searcher", shorten(repr(plan.searcher), _MAX_WIDTH, placeholder=" ...")
    described = describe_search(plan.searcher, search_setting(plan))
    if described:
        yield "", described
    yield "scheduler", f"{plan.scheduler!r}: {scheduler_of(plan.scheduler).describe(plan.scheduler)}"
    yield "stop", "a trial ends by itself" if plan.stop is None else describe_condition(plan.stop)
    yield "budget", repr(plan.budget) if plan.budget != type(plan.budget)() else "none"
    yield "resources", _resources(plan.resources)
    yield from _retries(plan.retry)
    yield "seed", seed_text(plan)


def search_setting(plan: Plan) -> SearchSetting:
    """What the description of a plan's searcher depends on."""
    trials = None if plan.trials == MAX_ASKED else plan.trials
    return SearchSetting(early=plan.decision_points != Never() and plan.decision_points != At(()), trials=trials)


def seed_text(plan: Plan) -> str:
    """The seed and, if it was drawn, how to keep it."""
    return f"{plan.seed}, drawn; .seed({plan.seed}) keeps it" if plan.drawn_seed else str(plan.seed)


def _retries(retry: Retry) -> Iterator[tuple[str, str]]:
    counts = {kind: getattr(retry, kind) for kind in LIMITED_KINDS}
    yield "retry", ", ".join(f"{kind} {'without limit' if count < 0 else count}" for kind, count in counts.items())
    if not any(counts.values()):
        return
    deaths = (retry.lost, retry.oom)
    if retry.in_a_row >= 0 and (-1 in deaths or sum(deaths) > retry.in_a_row):
        yield "", f"at most {retry.in_a_row} in a row of a trial whose worker dies without a report between"
    if retry.wait and any(count for kind, count in counts.items() if kind != "lost"):
        growth = f", then {retry.wait_growth:g} times as long each, {retry.wait_most:g} at most"
        yield "", f"after {retry.wait:g} seconds{growth}; at once after lost"
    if retry.grow > 1:
        yield "", f"after oom with {retry.grow:g} times the memory, up to what a node has"


def _space_lines(space: Space, prefix: str = "") -> Iterator[str]:
    for name, node in space.params:
        if isinstance(node, Space):
            yield from _space_lines(node, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} = {node!r}"
    for constraint in space.constraints:
        yield f"{f'{prefix[:-1]}: ' if prefix else ''}where {constraint!r}"
    if not prefix and not space.params:
        yield "no parameters"


_FORMS = {"function": "a function", "generator": "a generator function", "class": "a class", "command": "a command"}


def _resources(resources: Resources | FunctionRef) -> str:
    if isinstance(resources, FunctionRef):
        return f"{resources!r}(config)"
    if resources.bundles:
        return " + ".join(f"({_amounts(dict(part))})" for part in resources.bundles) + f", {resources.strategy}"
    return _amounts(resources.amounts()) or "none"


def _amounts(amounts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {format_amount(name, amount)}" for name, amount in amounts.items())


def _lowered(plan: Plan) -> Iterator[tuple[str, str]]:
    learns = searcher_of(plan.searcher).learns
    cells = plan.trials // plan.samples
    each = (
        ", one search for each cell"
        if any(isinstance(part, PerGridCell) for part in nested_specs(plan.searcher))
        else ""
    )
    count = "as many as you ask for" if plan.trials == MAX_ASKED else f"{plan.trials}"
    yield "trials", count + (f" = {cells} cells of the grid x {plan.samples}{each}" if cells > 1 else "")
    yield "width", f"{plan.parallel} at a time" if plan.parallel else "as many at a time as the resources carry"
    yield "order", _ORDERS[plan.order]
    yield "driver", "proposes one by one, from results" if learns else "proposes in batches, by seed and trial number"
    if plan.budget != type(plan.budget)():
        yield "", "ends the experiment by its budget"
    if plan.until is not None:
        yield "", f"ends the run once {describe_condition(plan.until)}"
    yield "worker", "no stop condition" if plan.stop is None else f"ends a trial when {describe_condition(plan.stop)}"
    yield "", _waits(plan)
    if plan.timeout is not None:
        yield "", f"fails an attempt after {plan.timeout:g} seconds"
    if plan.idle is not None:
        yield "", f"fails an attempt that does not report for {plan.idle:g} seconds"
    if plan.grace != GRACE_SECONDS:
        yield "", f"abandons code that keeps running for {plan.grace:g} seconds after its trial's end"
    if plan.isolate != "pool":
        yield "", _ISOLATION[plan.isolate]
    if plan.checkpoint.every is not None or plan.checkpoint.at_end:
        yield "", f"saves by {plan.checkpoint!r}"


_ISOLATION = {
    "process": "is a new process for each attempt at a trial",
    "none": "runs one trial after the other, and does not look at what they leave behind",
}
_ORDERS = {
    "arrival": "arrival: events count as they come, the journal is the record",
    "logical": "logical: events count by a virtual clock, timing changes nothing",
}


def _waits(plan: Plan) -> str:
    match plan.decision_points:
        case At(iterations) if iterations:
            return f"waits for a decision at iterations {', '.join(map(str, iterations))}; other reports do not wait"
        case Every(1):
            return "waits for a decision at every report"
        case Every(k, first):
            since = f" from iteration {first} on" if first else ""
            return f"waits for a decision every {k} iterations{since}; other reports do not wait"
        case _:
            return "no report waits"
