"""JSON lines: `reports.jsonl` in each trial's folder, one object a report."""

from __future__ import annotations

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.sinks.registry import SinkKind, register


@value
class Jsonl:
    """JSON lines."""

    def __repr__(self) -> str:
        return "jsonl()"


@check_arguments
def jsonl() -> Jsonl:
    """Writes each trial's reports to `reports.jsonl` in its folder, one JSON object a line.

    NaN and the infinities stand as `NaN`, `Infinity` and `-Infinity`, as Python's `json` and pandas read them.

    >>> jsonl()
    jsonl()
    """
    return Jsonl()


register(Jsonl, SinkKind("jsonl", "tunedsl.export.jsonl:JsonlWriter"))
