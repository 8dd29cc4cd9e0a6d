"""Pass 3: the space by itself, and the parameters that the trainable seems to know nothing of."""

from __future__ import annotations

from collections.abc import Iterator

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.names import nearest
from tunedsl.compiler.context import CompileContext
from tunedsl.spaces.check import diagnose_space
from tunedsl.spaces.layout import index_space, referenced_names


def check(case: CompileContext) -> Iterator[Diagnostic]:
    """The space room's own faults, then parameters that neither the trainable nor an expression mentions."""
    space = case.clauses.space
    yield from diagnose_space(space)
    if case.source_facts is None or case.source_facts.mentioned_params is None:
        return
    written = index_space(space)
    expressions = [part for entry in written.params for part in entry.expressions()]
    expressions += [condition for _, condition in written.constraints]
    used = case.source_facts.mentioned_params | {
        part for each in expressions for path in referenced_names(each) for part in path.split(".")
    }
    params, trainable = dict(space.params), case.trainable.__name__
    unread = [name for name in params if name not in used]
    if not unread:
        return
    near = {name: nearest(name, case.source_facts.mentioned_params - params.keys()) for name in unread}
    mentions = ", ".join(f"{found!r} instead of {name!r}" for name, found in near.items() if found)
    hint = f"it mentions {mentions}" if mentions else "a parameter that nothing reads only costs trials"
    found = f"{', '.join(unread)} {'is' if len(unread) == 1 else 'are'} not mentioned in {trainable}"
    expected = f"parameters that {trainable} reads"
    yield Diagnostic("W030", "space", found, expected, hint, case.definition.places.get(f"space.{unread[0]}"))
