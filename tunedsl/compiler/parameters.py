"""Pass 3: the space by itself, and the parameters that the trainable seems to know nothing of."""

from __future__ import annotations

from collections.abc import Iterator

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.names import nearest
from tunedsl.compiler.case import Case
from tunedsl.space.check import faults
from tunedsl.space.layout import references, survey


def check(case: Case) -> Iterator[Diagnostic]:
    """The space room's own faults, then parameters that neither the trainable nor an expression mentions."""
    space = case.clauses.space
    yield from faults(space)
    if case.reading is None or case.reading.mentions is None:
        return
    written = survey(space)
    expressions = [part for entry in written.entries for part in entry.written()]
    expressions += [condition for _, condition in written.constraints]
    used = case.reading.mentions | {
        part for each in expressions for path in references(each) for part in path.split(".")
    }
    params, trainable = dict(space.params), case.trainable.__name__
    unread = [name for name in params if name not in used]
    if not unread:
        return
    near = {name: nearest(name, case.reading.mentions - params.keys()) for name in unread}
    mentions = ", ".join(f"{found!r} instead of {name!r}" for name, found in near.items() if found)
    hint = f"it mentions {mentions}" if mentions else "a parameter that nothing reads only costs trials"
    found = f"{', '.join(unread)} {'is' if len(unread) == 1 else 'are'} not mentioned in {trainable}"
    expected = f"parameters that {trainable} reads"
    yield Diagnostic("W030", "space", found, expected, hint, case.experiment.places.get(f"space.{unread[0]}"))
