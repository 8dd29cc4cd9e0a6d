"""Compiles a definition to a plan, or reports all its errors at once, each with its place.

Each pass is a file; `PASSES` has their order. A pass yields diagnostics and changes nothing. Of the user's code, only
functions of configurations, resources and names are called; nothing imports Ray.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import attrs
import toolz

from tunedsl.base.diagnostics import Diagnostic, Diagnostics, errors_of
from tunedsl.base.errors import CompileError
from tunedsl.compiler import (
    closures,
    constraints,
    execution,
    identity,
    metrics,
    parameters,
    policies,
    sinks,
    stopping,
    study,
    trainable,
)
from tunedsl.compiler.context import CompileContext
from tunedsl.compiler.lowering import build_plan
from tunedsl.compiler.warm_start import PriorReader, PriorTrial
from tunedsl.plan.definition import Definition
from tunedsl.plan.plan import Plan

__all__ = ["PASSES", "PriorReader", "PriorTrial", "check", "compile_plan"]

PASSES: Final[tuple[Callable[[CompileContext], Iterator[Diagnostic]], ...]] = (
    sinks.check,
    trainable.check,
    parameters.check,
    policies.check,
    stopping.check,
    study.check,
    constraints.check,
    metrics.check,
    execution.check,
    closures.check,
    identity.check,
)


def check(
    definition: Definition, engine: str = "ray", address: str | None = None, earlier: PriorReader | None = None
) -> Diagnostics:
    """All errors and warnings of an experiment, each with its place, in the order of the passes.

    Args:
        definition: the clauses and their places.
        engine: the name of the engine that will run it.
        address: the address of a running cluster, whose resources are checked when the run starts.
        earlier: reads the trials of an earlier experiment's folder, for `warm_start`.

    >>> from tunedsl import space, uniform
    >>> [diagnostic.code for diagnostic in check(space(x=uniform(1, 0)))]
    ['E030', 'E011', 'W032']
    """
    return _diagnostics(CompileContext(definition, engine, address, earlier))


def compile_plan(
    definition: Definition, engine: str = "ray", address: str | None = None, earlier: PriorReader | None = None
) -> Plan:
    """The plan of an experiment; arguments as in `check`.

    Raises:
        CompileError: with all errors and warnings, not only the first.
    """
    context = CompileContext(definition, engine, address, earlier)
    diagnostics = _diagnostics(context)
    if errors_of(diagnostics):
        raise CompileError(diagnostics)
    return build_plan(context, diagnostics)


def _diagnostics(context: CompileContext) -> Diagnostics:
    found = toolz.concat(toolz.juxt(PASSES)(context))
    return Diagnostics(map(toolz.curry(_with_place, context.definition), found))


def _with_place(definition: Definition, diagnostic: Diagnostic) -> Diagnostic:
    """The diagnostic with the place of its subject, else of the clause around it, else of the first clause."""
    if diagnostic.place is not None:
        return diagnostic
    places, subject = definition.places, diagnostic.subject
    while subject and subject not in places:
        subject = subject.rpartition(".")[0]
    place = places[subject] if subject else next(iter(places.values()), None)
    return attrs.evolve(diagnostic, place=place)
