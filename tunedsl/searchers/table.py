"""The table of all searchers and what they support, for the documentation."""

from __future__ import annotations

import re
import sys
from typing import Final

import attrs

from tunedsl.searchers.contract import UNLIMITED, Supports, registered_searchers

_YES: Final = "yes"
_SOURCE: Final = re.compile(r"Sources?: (.*?)(?:\n\n|\Z)", re.DOTALL)


def rows() -> list[dict[str, str]]:
    """One row per searcher, by name: what it supports, whether it learns, how to install its library, its source."""
    table_rows = []
    for kind, searcher in sorted(registered_searchers().items(), key=lambda item: item[1].name):
        if not kind.__module__.startswith("tunedsl.searchers."):
            continue
        row = {"searcher": f"`{searcher.name}`", "learns": _YES if searcher.learns else ""}
        for field in attrs.fields(Supports):
            supported = getattr(searcher.supports, field.name)
            count = "any" if supported >= UNLIMITED else str(supported)
            row[field.name] = count if field.name == "objectives" else _YES if supported else ""
        row["known results"] = _YES if searcher.force is not None else ""
        row["install"] = f"`{searcher.install}`" if searcher.install else ""
        row["source"] = _source(kind)
        table_rows.append(row)
    return table_rows


def table() -> str:
    """The rows as a Markdown table.

    Example:
        >>> print(table().splitlines()[0][:44])
        | searcher | learns | conditions | log | qua
    """
    all_rows = rows()
    names = list(all_rows[0])
    lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in all_rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _source(kind: type) -> str:
    """The source that the docstring of a searcher's module names."""
    match = _SOURCE.search(sys.modules[kind.__module__].__doc__ or "")
    return " ".join(match.group(1).split()).replace("|", "/") if match else ""
