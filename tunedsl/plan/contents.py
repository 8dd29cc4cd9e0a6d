"""The user's code and data in a plan: its functions, and digests of what they use and of `.data(...)`.

`Plan.contents` has a digest of each object of `.data(...)`, and of each helper, class and constant of the user's
modules that the plan's functions use. Plans compare by these digests too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs

from tunedsl.base.codec import data_fields
from tunedsl.base.content import Content, content_of, is_of_library, is_of_user, same_content
from tunedsl.base.dependencies import uses_of
from tunedsl.base.references import FunctionRef, is_legacy, referenced_objects
from tunedsl.plan.plan import Contents, Plan
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.searchers.contract import nested_specs, searcher_of

DATA: Final = "data."
"""The prefix of the names of `.data(...)` objects."""


def functions_of(item: Any, path: str = "") -> Iterator[tuple[str, FunctionRef]]:
    """The function references in a value, each with its path."""
    if isinstance(item, FunctionRef):
        yield path, item
    elif isinstance(item, tuple):
        for at, part in enumerate(item):
            yield from functions_of(part, f"{path}[{at}]")
    else:
        for field in data_fields(type(item)):
            yield from functions_of(getattr(item, field.name), f"{path}.{field.name}" if path else field.name)


def with_functions(item: Any, change: Callable[[str, FunctionRef], FunctionRef], path: str = "") -> Any:
    """The value with each function reference replaced by `change(path, reference)`."""
    if isinstance(item, FunctionRef):
        return change(path, item)
    if isinstance(item, tuple):
        changed = tuple(with_functions(part, change, f"{path}[{at}]") for at, part in enumerate(item))
        return item if all(new is old for new, old in zip(changed, item, strict=True)) else changed
    changes = {}
    for field in data_fields(type(item)):
        old = getattr(item, field.name)
        new = with_functions(old, change, f"{path}.{field.name}" if path else field.name)
        if new is not old:
            changes[field.alias or field.name] = new
    return attrs.evolve(item, **changes) if changes else item


def contents_of(plan: Plan, data: Mapping[str, Content]) -> Contents:
    """The value of `plan.contents`, sorted by name.

    Args:
        plan: the plan.
        data: the contents of the objects of `.data(...)`, by keyword.
    """
    held = {name: content_of(item) for name, item in referenced_objects(plan).items() if not is_of_library(item)}
    held |= {f"{DATA}{name}": content for name, content in data.items()}
    found = uses_of((*map(content_of, _roots(plan)), *held.values()))
    return tuple(sorted({**found, **{name: content.digest for name, content in held.items()}}.items()))


def _roots(plan: Plan) -> Iterator[Any]:
    """The callables that a plan names, and the functions of the user's own policies."""
    yield from (reference.resolve() for _, reference in functions_of(plan))
    for spec in (plan.scheduler, *nested_specs(plan.searcher)):
        if is_of_user(type(spec).__module__):
            policy = scheduler_of(spec) if spec is plan.scheduler else searcher_of(spec)
            yield from (type(spec), *(getattr(policy, field.name) for field in attrs.fields(type(policy))))


def has_legacy_digests(plan: Plan) -> bool:
    """Whether a plan is from a journal that compared functions by source text."""
    return plan.trainable is not None and is_legacy(plan.trainable.digest)


def outdated(plan: Plan) -> list[str]:
    """The names of code that has changed since a stored plan was written; `.data(...)` is not compared."""
    if has_legacy_digests(plan):
        return []
    was, now = _of_code(plan.contents), _of_code(contents_of(plan, {}))
    return sorted(name for name in {**was, **now} if same_content(was.get(name, ""), now.get(name, "")) is False)


def _of_code(contents: Contents) -> dict[str, str]:
    return {name: digest for name, digest in contents if not name.startswith(DATA)}


def recognised(before: Plan, plan: Plan) -> tuple[Plan, tuple[str, ...]]:
    """A plan with the digests of an earlier one wherever the contents may be the same.

    Returns:
        The plan, and the names of parts that are only assumed to be the same, since they cannot be compared.
    """
    old, unknown = dict(functions_of(before)), []

    def known(path: str, reference: FunctionRef) -> FunctionRef:
        was = old.get(path)
        if was is None or was == reference or was.reference != reference.reference or reference.object is None:
            return reference
        same = was.is_of(reference.object) if is_legacy(was.digest) else same_content(was.digest, reference.digest)
        if same is False or not (is_legacy(was.digest) or was.importable is reference.importable):
            return reference
        if same is None:
            unknown.append(reference.reference)
        return FunctionRef(was.reference, was.digest, was.importable, reference.object)

    with_old_digests: Plan = with_functions(plan, known)
    was, contents = dict(before.contents), dict(plan.contents)
    if has_legacy_digests(before):
        unknown += contents
        contents = was
    for name in was.keys() & contents.keys():
        if same_content(was[name], contents[name]) is None:
            contents[name] = was[name]
            unknown.append(name)
    known_all: Plan = attrs.evolve(with_old_digests, contents=tuple(sorted(contents.items())))  # type: ignore[misc]  # as `value`
    return known_all, tuple(unknown)
