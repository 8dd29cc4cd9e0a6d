"""The checks of a command: its placeholders, its program, and its sources of metrics."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Final

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.names import did_you_mean
from tunedsl.base.requirements import PackageRequirement
from tunedsl.compiler.context import CompileContext
from tunedsl.plan.command import Command
from tunedsl.plan.metric_sources import TensorboardEvents, path_of
from tunedsl.plan.templates import BUILT_IN, MISSING, fill, lookup, placeholders
from tunedsl.spaces.layout import index_space

_TRIED_CONFIGS: Final = 8
_EVENT_PACKAGE: Final = PackageRequirement("tensorboardX", "tensorboardX", "2.6")


def check(context: CompileContext, command: Command) -> Iterator[Diagnostic]:
    """Runs all checks of the command."""
    if context.clauses.data:
        names = ", ".join(name for name, _ in context.clauses.data)
        hint = "write the data to a file, and give the program its path"
        yield Diagnostic("E031", "trainable", f"A command cannot receive the objects of .data({names}).", hint)
    yield from _placeholders(context, command)
    yield from _program(context, command)
    yield from _sources(context, command)


def _placeholders(context: CompileContext, command: Command) -> Iterator[Diagnostic]:
    """Reports each unknown placeholder once."""
    index = index_space(context.clauses.space)
    paths = [*(entry.path for entry in index.params), *index.space_paths]
    known = {".".join(path[:length]) for path in paths for length in range(1, len(path) + 1)} | BUILT_IN
    written = (name for text in command.templates() for name in placeholders(text))
    for name in dict.fromkeys(name for name in written if name not in known):
        configs = context.first_configs(_TRIED_CONFIGS) if name.partition(".")[0] in known else []
        if all(lookup(name, {}, config) is MISSING for config in configs):
            hint = f"{did_you_mean(name, known)}; for literal braces, double them: {{{{{name}}}}}"
            yield Diagnostic("E036", "trainable", f"{{{name}}} is not a parameter of the space.", hint)
    for config in context.first_configs(_TRIED_CONFIGS):
        for text in command.templates():
            try:
                fill(text, {}, config)
            except (TypeError, ValueError) as error:
                message = f"The format in {text!r} does not fit the parameter: {error}."
                yield Diagnostic("E036", "trainable", message, "remove it, or write a number as {name:.3g}")
                return


def _program(context: CompileContext, command: Command) -> Iterator[Diagnostic]:
    """Reports a program that is not on this machine, if it will run here."""
    program, variables = command.arguments[0], dict(command.env)
    unknown = command.shell or placeholders(program) or "PATH" in variables or context.address is not None
    if unknown or placeholders(command.cwd or ""):
        return
    place = os.path.join(command.cwd or "", program) if os.path.dirname(program) else program
    if shutil.which(place) is None:
        exists = os.path.isfile(place)
        problem = "cannot be executed" if exists else "is not on this machine"
        hint = f"chmod +x {place}, or name its interpreter first" if exists else "check the name, or give its full path"
        yield Diagnostic("E037", "trainable", f"The program {program!r} {problem}.", hint)


def _sources(context: CompileContext, command: Command) -> Iterator[Diagnostic]:
    width = context.clauses.parallel
    is_alone = width == 1 or (width is None and context.engine == "inline")
    for source in command.metrics:
        reason = _EVENT_PACKAGE.unmet_reason() if isinstance(source, TensorboardEvents) else ""
        if reason:
            hint = "pip install tunedsl[tensorboard]"
            yield Diagnostic("E039", "trainable", f"{source!r} needs {_EVENT_PACKAGE}, and {reason}.", hint)
        path = path_of(source)
        folder = "" if path is None or os.path.isabs(path) else command.cwd or ""
        if path is not None and not is_alone and not placeholders(path) and not placeholders(folder):
            hint = 'give each trial a file of its own: write it to {folder}, or run with command(..., cwd="{folder}")'
            message = f"All trials write the file of {source!r}, so they read each other's metrics."
            yield Diagnostic("W036", "trainable", message, hint)
