"""Checks an amended space against the trials of a run: values of new parameters, and the numbers of grid cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunedsl.base import codec
from tunedsl.base.diagnostics import Diagnostic, must_be
from tunedsl.base.names import did_you_mean
from tunedsl.base.references import Literal
from tunedsl.base.types import Json
from tunedsl.driver.reopening import misplaced_trial
from tunedsl.kernel import RunState
from tunedsl.plan import Plan, diff
from tunedsl.plan.amending import AmendError
from tunedsl.spaces.layout import ResolvedParam, resolve_space
from tunedsl.spaces.unit_interval import contains


def defaults_of(path: object, before: Plan, plan: Plan, given: Mapping[str, Any]) -> dict[str, Json]:
    """The values of the parameters that an amended plan adds, for the existing trials, as data.

    A new constant is its own value. A parameter under a condition and an expression need no value.

    Args:
        path: the run's folder.
        before: the run's plan.
        plan: the amended plan.
        given: the user's values, by dotted name.

    Raises:
        AmendError: when a new parameter has no value, or an invalid one.
    """
    if before.space == plan.space and not given:
        return {}
    known = {param.name for param in resolve_space(before.space).params}
    added = {param.name: param for param in resolve_space(plan.space).params if param.name not in known}
    found: dict[str, Json] = {}
    wrong: list[Diagnostic] = []
    for name in given.keys() - added.keys():
        hint = did_you_mean(name, added)
        wrong.append(Diagnostic("E006", "defaults", f"defaults has {name!r}, which is not a new parameter.", hint))
    for name, param in added.items():
        if name in given:
            fault = _fault_of(param, given[name])
            wrong += [fault] if fault else []
            found[name] = codec.encode(given[name])
        elif isinstance(param.node, Literal):
            found[name] = codec.encode(param.node.object)
        elif param.condition is None and (param.dim is not None or param.grid_axis is not None):
            hint = f"resume({str(path)!r}, amend=True, defaults={{{name!r}: ...}}) with the value that they ran with"
            text = f"space.{name} is a new parameter, for which the trials of this run have no value."
            wrong.append(Diagnostic("E006", f"space.{name}", text, hint))
    if wrong:
        raise AmendError(path, diff(before, plan), tuple(wrong))
    return found


def _fault_of(param: ResolvedParam, item: Any) -> Diagnostic | None:
    is_value = item == param.node.object if isinstance(param.node, Literal) else contains(param.node, item)
    if is_value:
        return None
    name = f"defaults.{param.name}"
    return Diagnostic("E006", name, must_be(name, item, f"a value of {param.node!r}"))


def check_cells(path: object, before: Plan, plan: Plan, state: RunState) -> None:
    """Check that the trials of a run are in the cells that an amended grid assigns to their numbers.

    Raises:
        AmendError: when one is in another cell, so that the grid would repeat or omit cells.
    """
    text = misplaced_trial(before, plan, state)
    if text:
        hint = "add values at the end of the first grid only, or run a new experiment with warm_start(...)"
        wrong = Diagnostic("E006", "space", text, hint)
        raise AmendError(path, diff(before, plan), (wrong,))
