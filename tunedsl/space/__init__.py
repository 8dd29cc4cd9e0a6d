"""Parameters: domains, expressions, conditions, constraints, sampling and the unit cube.

What describes or draws configurations belongs here; what chooses between them does not.
"""

from tunedsl.space.constructors import (
    choice,
    grid,
    lograndint,
    loguniform,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    sample_from,
    uniform,
)
from tunedsl.space.encoding import from_cube, to_cube
from tunedsl.space.expressions import Expr, ref
from tunedsl.space.layout import Layout, lower
from tunedsl.space.sampling import cells, configs, draw, sample
from tunedsl.space.space import Space

__all__ = [
    "Expr",
    "Layout",
    "Space",
    "cells",
    "choice",
    "configs",
    "draw",
    "from_cube",
    "grid",
    "lograndint",
    "loguniform",
    "lower",
    "qlograndint",
    "qloguniform",
    "qrandint",
    "qrandn",
    "quniform",
    "randint",
    "randn",
    "ref",
    "sample",
    "sample_from",
    "to_cube",
    "uniform",
]
