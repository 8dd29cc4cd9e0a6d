"""Pass 7: whether the outcome constraints compare numbers and can be met together, and what the searcher learns."""

from __future__ import annotations

import math
from collections.abc import Iterator

import attrs

from tunedsl.base.diagnostics import Diagnostic, SourceLocation
from tunedsl.compiler.context import CompileContext
from tunedsl.compiler.directions import better
from tunedsl.spaces.expressions import Compare, Constant, Expr, operands
from tunedsl.stopping import Metric, describe_condition
from tunedsl.stopping.reading import compares_with_nan


def check(context: CompileContext) -> Iterator[Diagnostic]:
    """Reports comparisons without numbers, contradictions, and bounds that exclude the better values of a metric."""
    for part, diagnostic in _diagnostics(context):
        yield attrs.evolve(diagnostic, place=constraint_place(context, part))


def constraint_place(context: CompileContext, part: Compare) -> SourceLocation | None:
    """The place of one of the outcome constraints."""
    return context.definition.places.get(f"subject_to.{part!r}")


def _diagnostics(context: CompileContext) -> Iterator[tuple[Compare, Diagnostic]]:
    clauses = context.clauses
    bounds: dict[str, list[tuple[Compare, _Interval]]] = {}
    for part in clauses.constraints:
        text = describe_condition(part)
        if compares_with_nan(part) or not all(map(_is_number, _constants(part))):
            message = f"The outcome constraint {text} compares with something other than a number."
            yield part, Diagnostic("E052", "subject_to", message, "compare metrics with numbers")
            continue
        bound = _bound(part)
        if bound is None:
            continue
        name, interval = bound
        bounds.setdefault(name, []).append((part, interval))
        if interval == _Interval():
            message = f"The outcome constraint {text} is met by every number."
            yield part, Diagnostic("E053", "subject_to", message, "write a bound that only some results meet")
    modes = {goal.metric: goal.mode for goal in clauses.objectives}
    for name, parts in bounds.items():
        joint = _Interval()
        for part, interval in parts:
            joint = joint.meet(interval)
            if joint.is_empty:
                message = f"No result can meet {' and '.join(describe_condition(each) for each, _ in parts)}."
                hint = "correct one of the bounds"
                yield part, Diagnostic("E053", "subject_to", message, hint)
                break
        mode = modes.get(name) or better(name)
        one_sided = {"min": joint.high == math.inf, "max": joint.low == -math.inf}
        if mode is not None and not joint.is_empty and joint != _Interval() and one_sided[mode]:
            direction = "smaller" if mode == "min" else "larger"
            message = f"{describe_condition(parts[0][0])} excludes the better values: {direction} {name} is better."
            hint = f"write metric({name!r}) {'<=' if mode == 'min' else '>='} the worst value that you accept"
            yield parts[0][0], Diagnostic("W037", "subject_to", message, hint)


@attrs.frozen
class _Interval:
    """The values of a metric from `low` to `high`; an end that is open does not belong to it."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def meet(self, other: _Interval) -> _Interval:
        low, low_open = max((self.low, self.low_open), (other.low, other.low_open))
        high, high_closed = min((self.high, not self.high_open), (other.high, not other.high_open))
        return _Interval(low, high, low_open, not high_closed)

    @property
    def is_empty(self) -> bool:
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))


def _bound(part: Compare) -> tuple[str, _Interval] | None:
    """The metric of a comparison of one metric with a constant, and its feasible values."""
    if not (isinstance(part.left, Metric) and isinstance(part.right, Constant)):
        return None
    op, name, limit = part.op, part.left.name, float(part.right.literal.object)
    above, below = op in (">", ">=", "=="), op in ("<", "<=", "==")
    return name, _Interval(limit if above else -math.inf, limit if below else math.inf, op == ">", op == "<")


def _constants(expr: Expr) -> Iterator[object]:
    if isinstance(expr, Constant):
        yield expr.literal.object
    for part in operands(expr):
        yield from _constants(part)


def _is_number(item: object) -> bool:
    return isinstance(item, (int, float))
