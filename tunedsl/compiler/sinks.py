"""Pass 1: whether the packages that sinks need are installed."""

from __future__ import annotations

from collections.abc import Iterator

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.compiler.context import CompileContext
from tunedsl.sinks.registry import missing_package


def check(context: CompileContext) -> Iterator[Diagnostic]:
    """Reports packages that sinks need and that are not installed."""
    for spec in context.clauses.sinks:
        problem = missing_package(spec)
        if problem:
            why, hint = problem
            yield Diagnostic("E091", "sinks", f"{spec!r} needs {why}.", hint)
