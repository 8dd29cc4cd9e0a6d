"""The table of all searchers and what they take, made from what they declare; documentation holds it."""

from __future__ import annotations

import re
import sys
from typing import Final

import attrs

from tunedsl.searchers.contract import UNLIMITED, Supports, registered_searchers

_YES: Final = "yes"
_SOURCE: Final = re.compile(r"Sources?: (.*?)(?:\n\n|\Z)", re.DOTALL)


def rows() -> list[dict[str, str]]:
    """One row a searcher, by name: what it takes, whether it learns, how to install what it needs, its source."""
    found = []
    for kind, searcher in sorted(registered_searchers().items(), key=lambda item: item[1].name):
        if not kind.__module__.startswith("tunedsl."):
            continue
        row = {"searcher": f"`{searcher.name}`", "learns": _YES if searcher.learns else ""}
        for field in attrs.fields(Supports):
            taken = getattr(searcher.supports, field.name)
            count = "any" if taken >= UNLIMITED else str(taken)
            row[field.name] = count if field.name == "objectives" else _YES if taken else ""
        row["known results"] = _YES if searcher.force is not None else ""
        row["install"] = f"`{searcher.install}`" if searcher.install else ""
        row["source"] = _source(kind)
        found.append(row)
    return found


def table() -> str:
    """The rows as a Markdown table.

    Example:
        >>> print(table().splitlines()[0][:44])
        | searcher | learns | conditions | log | qua
    """
    every = rows()
    names = list(every[0])
    lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in every)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _source(kind: type) -> str:
    """What a searcher's module names as its source."""
    match = _SOURCE.search(sys.modules[kind.__module__].__doc__ or "")
    return " ".join(match.group(1).split()).replace("|", "/") if match else ""
