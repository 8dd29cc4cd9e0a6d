"""Pass 3: the space, and parameters that the trainable does not mention."""

from __future__ import annotations

from collections.abc import Iterator

from tunedsl.base.diagnostics import Diagnostic, shorten
from tunedsl.base.names import nearest
from tunedsl.compiler.context import CompileContext
from tunedsl.spaces.layout import index_space, referenced_names


def check(context: CompileContext) -> Iterator[Diagnostic]:
    """Reports errors of the space, then parameters that neither the trainable nor an expression mentions."""
    space = context.clauses.space
    yield from context.space_diagnostics
    if context.source_facts is None or context.source_facts.mentioned_params is None:
        return
    index = index_space(space)
    expressions = [part for entry in index.params for part in entry.expressions()]
    expressions += [condition for _, condition in index.constraints]
    used = context.source_facts.mentioned_params | {
        part for each in expressions for path in referenced_names(each) for part in path.split(".")
    }
    params, trainable = dict(space.params), context.trainable_name
    unused = [name for name in params if name not in used]
    if not unused:
        return
    near = {name: nearest(name, context.source_facts.mentioned_params - params.keys()) for name in unused}
    mentions = ", ".join(f"{found!r} instead of {name!r}" for name, found in near.items() if found)
    hint = f"it mentions {mentions}" if mentions else "remove a parameter that nothing reads"
    several = "the parameters" if len(unused) > 1 else "the parameter"
    message = f"{trainable} does not read {several} {shorten(', '.join(unused))}."
    yield Diagnostic("W030", "space", message, hint, context.definition.places.get(f"space.{unused[0]}"))
