"""Parameters: domains, expressions, conditions, constraints, sampling and the unit cube.

This package describes and draws configurations. Searchers, which choose between them, are in `searchers`.
"""

from tunedsl.spaces.constructors import (
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
from tunedsl.spaces.encoding import from_cube, to_cube
from tunedsl.spaces.expressions import Expr, ref
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.sampling import cell_count, configs_at, rejection_sample, sample
from tunedsl.spaces.space import Space

__all__ = [
    "Expr",
    "Layout",
    "Space",
    "cell_count",
    "choice",
    "configs_at",
    "from_cube",
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
    "rejection_sample",
    "resolve_space",
    "sample",
    "sample_from",
    "to_cube",
    "uniform",
]
