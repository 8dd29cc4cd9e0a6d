"""Compiles experiments with the results of earlier runs for `warm_start`; the compiler itself reads no journal."""

from __future__ import annotations

from tunedsl import compiler
from tunedsl.base.diagnostics import Diagnostics
from tunedsl.plan import Plan
from tunedsl.plan.definition import Definition
from tunedsl.results.warm_start import read_prior_trials


def check(definition: Definition, engine: str = "ray", address: str | None = None) -> Diagnostics:
    """All errors and warnings of an experiment; see `tunedsl.compiler.check`."""
    return compiler.check(definition, engine, address, read_prior_trials)


def compile_plan(definition: Definition, engine: str = "ray", address: str | None = None) -> Plan:
    """The plan of an experiment.

    Raises:
        CompileError: with every error, not only the first.
    """
    return compiler.compile_plan(definition, engine, address, read_prior_trials)
