"""From an experiment to a plan: all that is wrong at once, each with its place, or a plan that can run.

One pass a file, named in the order in which `PASSES` lists them; a pass yields diagnostics and changes nothing. Of the
user's code only what shapes configurations, resources and names is tried; nothing imports Ray.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import attrs

from tunedsl.base.diagnostics import Diagnostic, Diagnostics, errors_of
from tunedsl.base.errors import CompileError
from tunedsl.compiler import closures as capture
from tunedsl.compiler import execution as means
from tunedsl.compiler import identity, metrics, parameters, policies, stopping, trainable
from tunedsl.compiler import sinks as listening
from tunedsl.compiler.context import CompileContext
from tunedsl.compiler.lowering import build_plan
from tunedsl.compiler.warm_start import PriorReader, PriorTrial
from tunedsl.plan.definition import Definition
from tunedsl.plan.plan import Plan

__all__ = ["PASSES", "PriorReader", "PriorTrial", "check", "compile_plan"]

PASSES: Final[tuple[Callable[[CompileContext], Iterator[Diagnostic]], ...]] = (
    listening.check,
    trainable.check,
    parameters.check,
    policies.check,
    stopping.check,
    metrics.check,
    means.check,
    capture.check,
    identity.check,
)


def check(
    definition: Definition, engine: str = "ray", address: str | None = None, earlier: PriorReader | None = None
) -> Diagnostics:
    """All errors and warnings of an experiment, each with its place, in the order of the passes.

    Args:
        engine: the engine that it is to run on.
        address: of a cluster that runs already; what that one can give is checked when the run starts.
        earlier: reads the trials of an earlier experiment's folder, for `warm`.

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
        CompileError: with every error, not the first, and the warnings.
    """
    case = CompileContext(definition, engine, address, earlier)
    found = _diagnostics(case)
    if errors_of(found):
        raise CompileError(found)
    return build_plan(case, found)


def _diagnostics(case: CompileContext) -> Diagnostics:
    return Diagnostics(_with_place(diagnostic, case.definition) for one in PASSES for diagnostic in one(case))


def _with_place(diagnostic: Diagnostic, definition: Definition) -> Diagnostic:
    """The diagnostic with the place of its subject, of the nearest clause around it, or of the first clause."""
    if diagnostic.place is not None:
        return diagnostic
    places, subject = definition.places, diagnostic.subject
    while subject and subject not in places:
        subject = subject.rpartition(".")[0]
    place = places[subject] if subject else next(iter(places.values()), None)
    return attrs.evolve(diagnostic, place=place)
