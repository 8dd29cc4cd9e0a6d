"""Pass 11: whether a later resume can import the user's functions, and compare them and the data."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from tunedsl.base.content import content_of
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.compiler.context import CompileContext
from tunedsl.plan.clauses import SUBJECTS, Clauses
from tunedsl.plan.contents import functions_of


def check(context: CompileContext) -> Iterator[Diagnostic]:
    """Warns about functions that cannot be imported, and objects whose content cannot be compared."""
    for field in attrs.fields(Clauses):
        subject = SUBJECTS.get(field.name, field.name)
        functions = [reference for _, reference in functions_of(getattr(context.clauses, field.name))]
        unnamed = dict.fromkeys(reference.reference for reference in functions if not reference.importable)
        if unnamed:
            message = f"resume(path) cannot import {', '.join(unnamed)}."
            hint = "define it at the top level of a module under a unique name, or resume with experiment.resume(path)"
            yield Diagnostic("W034", subject, message, hint)
        for reference in functions:
            if "~" in reference.digest:
                yield _opaque(subject, reference.name, content_of(reference.resolve()).opaque)
    for name, content in context.data.items():
        if content.opaque:
            yield _opaque(f"data.{name}", name, content.opaque)


def _opaque(subject: str, name: str, parts: tuple[str, ...]) -> Diagnostic:
    message = f"{name} holds {', '.join(parts[:3])}, so resume() cannot tell whether the experiment has changed."
    return Diagnostic("W035", subject, message, "resume this run by resume(path)")
