"""Parameters: domains, expressions, conditions, constraints, sampling and the unit cube.

What describes or draws configurations belongs here; what chooses between them does not.
"""

from tunedsl.space.domains import (
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
from tunedsl.space.expressions import Expr, ref
from tunedsl.space.space import Space

__all__ = [
    "Expr",
    "Space",
    "choice",
    "grid",
    "lograndint",
    "loguniform",
    "qlograndint",
    "qloguniform",
    "qrandint",
    "qrandn",
    "quniform",
    "randint",
    "randn",
    "ref",
    "sample_from",
    "uniform",
]
