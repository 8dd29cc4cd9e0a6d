"""Pass 1: who hears of the run, and whether that can be written here."""

from __future__ import annotations

from collections.abc import Iterator

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.compiler.context import CompileContext
from tunedsl.sinks.registry import missing_package


def check(case: CompileContext) -> Iterator[Diagnostic]:
    """Packages that sinks need and that are not installed."""
    for spec in case.clauses.sinks:
        problem = missing_package(spec)
        if problem:
            found, expected, hint = problem
            yield Diagnostic("E091", "sinks", f"{spec!r}: {found}", expected, hint)
