"""Diagnostics of a space. Each kind of error has its code in `CODES`; nothing raises here for invalid spaces."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np

from tunedsl.base import keys
from tunedsl.base.diagnostics import Diagnostic, reason, shorten
from tunedsl.base.errors import ArgumentError, SpaceError
from tunedsl.base.names import did_you_mean
from tunedsl.base.references import Literal
from tunedsl.spaces.domains import Branch, Choice, Domain, Grid, LogRandInt, Normal, QNormal, RandInt, SampleFrom
from tunedsl.spaces.expressions import Expr, Ref, When, leaves
from tunedsl.spaces.interval_analysis import is_satisfiable
from tunedsl.spaces.layout import (
    DeclaredParam,
    Layout,
    ParamPath,
    SpaceIndex,
    index_space,
    referenced_names,
    resolve_path,
    resolve_references,
    resolve_space,
    topological_order,
)
from tunedsl.spaces.sampling import accepted_rows, cell_count, evaluate_params
from tunedsl.spaces.space import Space, is_param_name
from tunedsl.spaces.unit_interval import MAX_EXACT_INT, step_range

CODES: Final[Mapping[str, str]] = {
    "E010": "an invalid name of a parameter or option",
    "E011": "a lower bound above the upper bound",
    "E012": "a log domain that includes zero or negative numbers",
    "E013": "bounds that are not finite",
    "E014": "a step that does not fit",
    "E015": "a standard deviation that is not positive",
    "E016": "a choice without options",
    "E017": "a grid without values",
    "E018": "a grid inside a branch or under a condition",
    "E019": "whole numbers or steps beyond the exact range of floats",
    "E020": "a reference to an unknown parameter",
    "E021": "parameters that refer to each other in a cycle",
    "E022": "a condition that is never met",
    "E023": "constraints that no configuration meets",
    "E024": "an expression that cannot be evaluated",
    "E025": "an expression over values that are known only later",
    "W010": "constraints that few configurations meet",
}

_FIRST_DRAWS, _MAX_DRAWS = 200, 2_000
_MIN_ACCEPTANCE = 0.01
_ENOUGH_ACCEPTANCE = 0.1
_TRIED_CONFIGS = 16


def diagnose_space(space: Space) -> list[Diagnostic]:
    """All errors and warnings about a space.

    Errors of single parameters come first, then references, then conditions. For the valid part of the space, a fixed
    set of draws shows whether expressions can be evaluated and constraints be met.

    Args:
        space: any space.

    Returns:
        Diagnostics without places, errors and warnings, in the order written.

    Example:
        >>> from tunedsl.spaces import Space, loguniform
        >>> print(*diagnose_space(Space.of({"lr": loguniform(0, 0.1)})))
        E012: space.lr is loguniform(0.0, 0.1), whose low is not above 0.
          help: did you mean loguniform(1e-06, 0.1)?
    """
    found = index_space(space)
    local = [*_diagnose_names(space, "space"), *(fault for entry in found.params for fault in _diagnose_param(entry))]
    unresolved = list(_diagnose_references(found))
    resolved = _without_unresolved(found)
    cycles = _find_cycles(resolved)
    unsound = {fault.subject for fault in (*local, *unresolved)}
    unsound |= {f"space.{name}" for cycle in cycles for name in cycle}
    faults = [*local, *unresolved, *map(_diagnose_cycle, cycles), *_diagnose_conditions(resolved, unsound)]
    part = _valid_part(space, {fault.subject for fault in faults} | unsound) if faults else space
    return [*faults, *_diagnose_samples(part, index_space(part))]


def _diagnose_names(space: Space, subject: str) -> Iterator[Diagnostic]:
    """Reports invalid names of parameters and of branch options."""
    hint = "use ASCII letters, digits and _, and no name that a file system reserves"
    for name, item in space.params:
        here = f"{subject}.{name}"
        if not is_param_name(name):
            yield Diagnostic(
                "E010", here, f"The parameter's name {shorten(repr(name))} is not a portable identifier.", hint
            )
        if isinstance(item, Space):
            yield from _diagnose_names(item, here)
        node = _without_conditions(item)
        for option, inner in node.options if isinstance(node, Branch) else ():
            if not is_param_name(option):
                message = f"The option's name {shorten(repr(option))} is not a portable identifier."
                yield Diagnostic("E010", here, message, hint)
            yield from _diagnose_names(inner, f"{here}.{option}")


def _without_conditions(item: Any) -> Any:
    """A node without its conditions."""
    return _without_conditions(item.node) if isinstance(item, When) else item


def _diagnose_param(entry: DeclaredParam) -> Iterator[Diagnostic]:
    node, subject = entry.node, f"space.{entry.name}"
    if not isinstance(node, Domain):
        return
    for code, problem, hint in domain_problems(node):
        yield Diagnostic(code, subject, f"{subject} is {shorten(repr(node))}, {problem}.", hint)
    if isinstance(node, Grid) and (entry.conditions or entry.branch_condition is not None):
        where = "inside a branch" if entry.branch_condition is not None else "under when(...)"
        hint = "use choice(...) here, or move the grid to the top level"
        message = f"{subject} is a grid {where}, but every trial must have each grid."
        yield Diagnostic("E018", subject, message, hint)


def domain_problems(node: Any) -> Iterator[tuple[str, str, str]]:
    """Code, problem (as a relative clause) and hint for each error of one domain."""
    match node:
        case Branch(options) | Choice(options):
            if not options:
                yield "E016", "which has no options", "write at least one option"
        case Grid(values):
            if not values:
                yield "E017", "which has no values", "write at least one value"
        case SampleFrom():
            return
        case Normal() | QNormal():
            yield from _normal_problems(node)
        case _:
            yield from _bounds_problems(node)


def _normal_problems(node: Any) -> Iterator[tuple[str, str, str]]:
    if not (math.isfinite(node.mean) and math.isfinite(node.sd)):
        yield "E013", "whose mean or sd is not finite", "write finite numbers"
    elif node.sd <= 0:
        yield (
            "E015",
            "whose sd is not above 0",
            f"did you mean sd={-node.sd!r}?" if node.sd < 0 else "write the number itself for a constant",
        )
    elif isinstance(node, QNormal):
        if not (math.isfinite(node.q) and node.q > 0):
            yield "E014", "whose step q is not a finite number above 0", "write a q above 0"
        elif (abs(node.mean) + 9 * node.sd) / node.q > MAX_EXACT_INT:
            yield "E019", "whose values can be more than 2**53 steps from 0", "use a larger q"


def _bounds_problems(node: Any) -> Iterator[tuple[str, str, str]]:
    low, high, face = node.low, node.high, node.constructor
    if not math.isfinite(high - low):
        yield (
            "E013",
            "whose bounds are not finite",
            "use randn, or a log domain with a large upper bound, for an open range",
        )
        return
    step = f", {node.q!r}" if node.quantised else ""
    excluded = isinstance(node, (RandInt, LogRandInt))
    if low > high:
        yield "E011", "whose low is above its high", f"did you mean {face}({high!r}, {low!r}{step})?"
    elif low == high and excluded:
        hint = f"high is excluded; did you mean {face}({low!r}, {high + 1!r})?"
        yield "E011", "which has no values", hint
    if node.log and low <= 0:
        least = 1 if node.integer else min(1e-6, high * 1e-3)
        yield (
            "E012",
            "whose low is not above 0",
            f"did you mean {face}({least!r}, {high!r}{step})?" if high > least else "",
        )
    if node.integer and max(abs(low), abs(high)) > MAX_EXACT_INT:
        yield "E019", "whose bounds are beyond 2**53", "scale larger numbers in the trainable"
    if node.quantised and low <= high:
        yield from _step_problems(node)


def _step_problems(node: Any) -> Iterator[tuple[str, str, str]]:
    if not (math.isfinite(node.q) and node.q > 0):
        yield "E014", "whose step q is not a finite number above 0", "write a q above 0"
    elif node.q > node.high - node.low:
        yield (
            "E014",
            f"whose step q is larger than high - low = {node.high - node.low!r}",
            "use a smaller q, or wider bounds",
        )
    else:
        first, last = step_range(node)
        if last < first:
            yield "E014", "which contains no multiple of its step q", "use a smaller q, or wider bounds"
        elif max(abs(first), abs(last)) > MAX_EXACT_INT and not node.integer:
            yield "E019", "whose values can be more than 2**53 steps from 0", "use a larger q"


def _diagnose_references(found: SpaceIndex) -> Iterator[Diagnostic]:
    known = [entry.name for entry in found.params]
    groups = {".".join(path) for path in found.space_paths}
    for entry in found.params:
        for expr in entry.expressions():
            yield from _unresolved_references(f"space.{entry.name}", expr, entry.path[:-1], known, groups)
    for scope, condition in found.constraints:
        yield from _unresolved_references(".".join(("space", *scope, "where")), condition, scope, known, groups)


def _unresolved_references(
    subject: str, expr: Expr, scope: ParamPath, known: Collection[str], groups: Collection[str]
) -> Iterator[Diagnostic]:
    for leaf in leaves(expr):
        if not isinstance(leaf, Ref):
            message = (
                f"{subject} uses {shorten(repr(leaf))}, but an expression of the space may refer only to parameters."
            )
            yield Diagnostic("E025", subject, message, "write ref('name'), or a constant")
        elif resolve_path(leaf.path, scope, known) is None:
            group = resolve_path(leaf.path, scope, groups)
            if group is None:
                hint = did_you_mean(leaf.path, known)
            else:
                hint = f"{group} is a space; refer to one of {', '.join(n for n in known if n.startswith(group + '.'))}"
            yield Diagnostic("E020", subject, f"{subject} refers to {leaf.path!r}, which is not a parameter.", hint)


def _without_unresolved(found: SpaceIndex) -> SpaceIndex:
    """The index without expressions that cannot be resolved, so that the others can be checked."""
    known = [entry.name for entry in found.params]
    groups = {".".join(path) for path in found.space_paths}

    def leads(entry: DeclaredParam, item: Any) -> bool:
        wrong = _unresolved_references("", item, entry.path[:-1], known, groups) if isinstance(item, Expr) else iter(())
        return next(wrong, None) is None

    return attrs.evolve(
        found,
        params=tuple(
            attrs.evolve(
                entry,
                node=entry.node if leads(entry, entry.node) else Literal.of(None),
                conditions=tuple(condition for condition in entry.conditions if leads(entry, condition)),
            )
            for entry in found.params
        ),
    )


def _diagnose_cycle(cycle: Sequence[str]) -> Diagnostic:
    message = f"The parameters {' -> '.join(cycle)} depend on each other in a cycle."
    return Diagnostic("E021", f"space.{cycle[0]}", message, "make one of them independent of the others")


def _find_cycles(found: SpaceIndex) -> list[list[str]]:
    """The cycles of parameters that depend on each other; each begins and ends with the same name."""
    cycles: list[list[str]] = []
    known = {entry.name for entry in found.params}
    needs: dict[str, list[str]] = {}
    for entry in found.params:
        expressions = [resolve_references(expr, entry.path[:-1], known) for expr in entry.expressions()]
        if entry.branch_condition is not None:
            expressions.append(entry.branch_condition)
        needs[entry.name] = [name for expr in expressions for name in referenced_names(expr)]
    left = set(needs) - set(topological_order(needs, ()))
    while left:
        walked = [next(name for name in needs if name in left)]
        while walked.count(walked[-1]) == 1:
            walked.append(next(name for name in needs[walked[-1]] if name in left))
        cycle = walked[walked.index(walked[-1]) :]
        cycles.append(cycle)
        # Parameters that only depend on this cycle are not another cycle.
        left -= set(cycle)
        left -= set(
            topological_order({name: [n for n in needs[name] if n in left] for name in needs if name in left}, ())
        )
    return cycles


def _diagnose_conditions(found: SpaceIndex, unsound: Collection[str]) -> Iterator[Diagnostic]:
    known = {entry.name for entry in found.params}
    nodes: dict[str, Any] = {}
    for entry in found.params:
        scope, node = entry.path[:-1], entry.node
        # The values of an invalid domain are unknown.
        sound = f"space.{entry.name}" not in unsound
        nodes[entry.name] = (
            (resolve_references(node, scope, known) if isinstance(node, Expr) else node) if sound else None
        )
    for entry in found.params:
        whole = entry.branch_condition
        for condition in entry.conditions:
            resolved = resolve_references(condition, entry.path[:-1], known)
            whole = resolved if whole is None else whole & resolved
            if not is_satisfiable(whole, nodes):
                subject = f"space.{entry.name}"
                message = f"{subject} can never exist, because no configuration meets {shorten(repr(condition))}."
                yield Diagnostic("E022", subject, message, "compare with a value that the other parameter can have")
                break


def _valid_part(space: Space, subjects: Collection[str]) -> Space:
    """The part of a space without errors that does not depend on parameters with errors."""
    touched = {subject.split(".")[1] for subject in subjects}
    roots = {
        name: {
            path.split(".")[0]
            for declared in index_space(Space(((name, item),))).params
            for expr in declared.expressions()
            for path in referenced_names(expr)
        }
        for name, item in space.params
    }  # fmt: skip
    spread = True
    while spread:
        more = {name for name, dependencies in roots.items() if dependencies & touched} - touched
        touched, spread = touched | more, bool(more)
    part = Space(tuple((name, item) for name, item in space.params if name not in touched))
    known = [entry.name for entry in index_space(part).params]
    sound = (each for each in space.constraints if next(_unresolved_references("", each, (), known, ()), None) is None)
    return Space(part.params, tuple(sound))


def _diagnose_samples(space: Space, found: SpaceIndex) -> list[Diagnostic]:
    """Errors that show only in drawn configurations, for spaces without other errors."""
    layout = resolve_space(space)
    conditions = shorten(", ".join(repr(condition) for _, condition in found.constraints))
    if not cell_count(layout):
        return [
            Diagnostic(
                "E023", "space.where", f"No cell of the grid meets {conditions}.", "relax where(...), or the grid"
            )
        ]
    try:
        if any(
            isinstance(entry.node, SampleFrom) or next(entry.expressions(), None) is not None for entry in found.params
        ):
            _draw_columns(layout, 0, _TRIED_CONFIGS)
        if not layout.constraints:
            return []
        met, drawn = _count_accepted(_constrained_layout(layout))
    except SpaceError as error:
        unwritten = isinstance(error.__cause__, ArgumentError)
        hint = "return a number, text, list, dict or other data" if unwritten else ""
        return [Diagnostic("E024", error.subject, f"{reason(error)}.", hint)]
    if not met:
        message = f"None of {drawn:,} random configurations meets {conditions}."
        return [Diagnostic("E023", "space.where", message, "relax where(...), or the domains")]
    if met < _MIN_ACCEPTANCE * drawn:
        message = f"Only {met:,} of {drawn:,} random configurations meet {conditions}, which makes drawing slow."
        return [Diagnostic("W010", "space.where", message, "narrow the domains, so that fewer draws are rejected")]
    return []


def _count_accepted(layout: Layout) -> tuple[int, int]:
    """How many draws meet the constraints, and how many were drawn; few draws are enough if many do."""
    met = drawn = 0
    for last in (_FIRST_DRAWS, _MAX_DRAWS):
        met += int(accepted_rows(layout, _draw_columns(layout, drawn, last), last - drawn).sum())
        drawn = last
        if met >= _ENOUGH_ACCEPTANCE * drawn:
            break
    return met, drawn


def _draw_columns(layout: Layout, first: int, last: int) -> dict[str, list[Any]]:
    trials = np.arange(first, last)
    key = keys.key(0, "check")
    columns = np.array([keys.key(key, leaf.name) for leaf in layout.cube_params], np.uint64)
    return evaluate_params(layout, keys.uniforms(columns, trials[:, None]), trials, key)


def _constrained_layout(layout: Layout) -> Layout:
    """The layout of the parameters that the constraints depend on."""
    wanted = {name for condition in layout.constraints for name in referenced_names(condition)}
    for leaf in reversed(layout.params):
        if leaf.name not in wanted:
            continue
        if isinstance(leaf.node, SampleFrom):
            return layout
        wanted |= leaf.dependencies
    return attrs.evolve(layout, params=tuple(leaf for leaf in layout.params if leaf.name in wanted))
