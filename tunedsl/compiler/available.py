"""Pass 1: clauses that stand in the language and cannot act yet."""

from __future__ import annotations

from collections.abc import Iterator

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.compiler.case import Case


def check(case: Case) -> Iterator[Diagnostic]:
    """Says plainly what is not available yet, so that nothing is accepted and ignored."""
    clauses = case.clauses
    if clauses.log_to_file:
        hint = "without it, output goes where the engine puts it"
        yield _unavailable("log_to_file", f"log_to_file({clauses.log_to_file!r})", hint)
    if clauses.sinks:
        shown = ", ".join(map(repr, clauses.sinks))
        yield _unavailable("sinks", f"sinks({shown})", "load(path) reads the results while the run goes on")


def _unavailable(subject: str, found: str, hint: str) -> Diagnostic:
    return Diagnostic("E090", subject, f"{found} is not available yet", "an experiment without it", hint)
