"""The differences between two plans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from tunedsl.base import markup
from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import data_fields
from tunedsl.base.errors import wrong_value
from tunedsl.base.references import Literal
from tunedsl.plan.plan import Plan
from tunedsl.spaces.expressions import Expr, Node
from tunedsl.spaces.space import Space


@attrs.frozen
class Change:
    """One difference: its path in the plan, and the text in each plan; empty if that plan has nothing there."""

    path: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}: {self.before or '(none)'} -> {self.after or '(none)'}"


@attrs.frozen
class Diff:
    """The differences between two plans, in the order of the plan's fields; false if the plans are equal."""

    changes: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.changes)) or "no difference"

    def _repr_html_(self) -> str:
        rows = [(each.path, each.before, each.after) for each in self.changes]
        return markup.table(rows, ("plan", "before", "after")) or markup.paragraph("no difference")


@check_arguments
def diff(a: Plan, b: Plan) -> Diff:
    """The differences from plan `a` to plan `b`.

    Raises:
        ArgumentError: for an argument that is not a plan.
    """
    for name, plan in (("a", a), ("b", b)):
        if not isinstance(plan, Plan):
            raise wrong_value(f"diff.{name}", plan, "a plan", "e.compile() is an experiment's plan")
    return Diff(tuple(_changes("", a, b)))


def _changes(path: str, a: Any, b: Any) -> Iterator[Change]:
    if bool(a == b):
        return
    parts = _parts(a), _parts(b)
    if type(a) is not type(b) or not (parts[0] or parts[1]):
        yield Change(path, _text(a), _text(b))
        return
    if isinstance(a, Plan):
        yield from _contents(dict(a.contents), dict(b.contents))
    for name in dict.fromkeys((*parts[0], *parts[1])):
        yield from _changes(f"{path}.{name}" if path else name, parts[0].get(name), parts[1].get(name))


def _parts(item: Any) -> dict[str, Any]:
    """The parts in which differences are searched, by name; empty for an item that is compared as a whole."""
    if isinstance(item, Space):
        return {**dict(item.params), **({"where": item.constraints} if item.constraints else {})}
    if not attrs.has(type(item)) or isinstance(item, (Expr, Node, Literal)):
        return {}
    return {field.name: getattr(item, field.name) for field in data_fields(type(item)) if field.name != "contents"}


def _contents(a: Mapping[str, str], b: Mapping[str, str]) -> Iterator[Change]:
    """Differences in the user's code and data, as names and the first digits of their digests."""
    for name in dict.fromkeys((*a, *b)):
        if a.get(name) != b.get(name):
            yield Change(name, a.get(name, "")[:8], b.get(name, "")[:8])


def _text(item: Any) -> str:
    return "" if item is None or item == () else repr(item)
