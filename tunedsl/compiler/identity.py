"""Pass 9: can a later resume find the user's functions again, and tell whether they and the data are the same?"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from tunedsl.base.content import content_of
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.compiler.context import CompileContext
from tunedsl.plan.clauses import SUBJECTS, Clauses
from tunedsl.plan.contents import functions_of


def check(case: CompileContext) -> Iterator[Diagnostic]:
    """Functions that no import leads to, and objects that have no content to compare."""
    for field in attrs.fields(Clauses):
        subject = SUBJECTS.get(field.name, field.name)
        functions = [reference for _, reference in functions_of(getattr(case.clauses, field.name))]
        lost = dict.fromkeys(reference.reference for reference in functions if not reference.importable)
        if lost:
            found = f"importing {', '.join(lost)} does not give {'this very object' if len(lost) == 1 else 'these'}"
            hint = "define it at the top of a module, under a name of its own; or resume by experiment.resume(path)"
            yield Diagnostic("W034", subject, found, "what resume(path) can import", hint)
        for reference in functions:
            if "~" in reference.digest:
                yield _opaque(subject, reference.name, content_of(reference.resolve()).opaque)
    for name, content in case.data.items():
        if content.opaque:
            yield _opaque(f"data.{name}", name, content.opaque)


def _opaque(subject: str, name: str, parts: tuple[str, ...]) -> Diagnostic:
    found = f"{name} holds {', '.join(parts[:3])}, whose content cannot be compared"
    hint = "a later resume() does not find this run: name its path"
    return Diagnostic("W035", subject, found, "data, or functions of data", hint)
