"""HEBO: heteroscedastic evolutionary Bayesian optimisation.

A parameter that does not exist has its middle value.

Source: Cowen-Rivers et al., HEBO: Pushing The Limits of Sample-Efficient Hyper-parameter Optimisation, JAIR 74, 2022.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tunedsl.base import keys
from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.searchers.adapters.dimensions import Dimension, Point, dimensions, fill_missing
from tunedsl.searchers.adapters.libraries import (
    MAX_SEED,
    Library,
    LibraryContext,
    LibrarySpec,
    Options,
    PackageRequirement,
    decode_options,
    encode_options,
    options_of,
    register_library,
)
from tunedsl.searchers.adapters.points import Losses, PointModel, start_points
from tunedsl.searchers.contract import Supports
from tunedsl.spaces.layout import Layout


@value(repr=False)
class Hebo(LibrarySpec):
    """The spec of `hebo`."""

    options: Options = ()


@check_arguments
def hebo(**options: Any) -> Hebo:
    """Bayesian optimisation of warped values with the library HEBO.

    Args:
        options: of the library's `HEBO`, such as `rand_sample=8` or `model_name="gp"`.

    Raises:
        ArgumentError: for an option that is not data.

    Example:
        >>> hebo(rand_sample=8)
        hebo(rand_sample=8)
    """
    return Hebo(encode_options("hebo", options))


class _HeboOptimizer(PointModel):
    """The library's optimizer; it works on frames with one row per point."""

    def __init__(self, spec: Hebo, dims: Sequence[Dimension], context: LibraryContext) -> None:
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        self._dims = dims
        self._seed = context.seed
        design = DesignSpace().parse([_parameter(dim) for dim in dims])
        self._optimizer = HEBO(design, scramble_seed=context.seed, **decode_options(spec.options))
        self._pending: dict[int, Any] = {}

    def suggest(self, handle: int) -> Point:
        from hebo.acq_optimizers import evolution_optimizer
        from hebo.models.gp import gp

        # Its inner search draws from a generator without a seed, so this call passes one. A difficult fit prints each
        # step.
        search = evolution_optimizer.minimize
        evolution_optimizer.minimize = functools.partial(search, seed=keys.key(self._seed, "ask", handle) % MAX_SEED)
        gp.print = _print_nothing
        try:
            found = self._optimizer.suggest(n_suggestions=1).iloc[0]
        finally:
            evolution_optimizer.minimize = search
            del gp.print
        return [found[dim.name] for dim in self._dims]

    def settle(self, handle: int, point: Point) -> None:
        raws = zip(self._dims, fill_missing(self._dims, point), strict=True)
        frame = type(self._optimizer.X)
        self._pending[handle] = frame([{dim.name: raw for dim, raw in raws}])

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        assert losses is not None  # failures have the worst losses
        self._optimizer.observe(self._pending.pop(handle), np.array([[losses[0]]]))


def _print_nothing(*words: Any) -> None:
    """Replaces `print`."""


def _parameter(dim: Dimension) -> dict[str, Any]:
    if dim.kind == "choice":
        return {"name": dim.name, "type": "cat", "categories": list(range(dim.size))}
    if dim.kind == "int":
        return {"name": dim.name, "type": "int", "lb": int(dim.low), "ub": int(dim.high)}
    if dim.log:
        return {"name": dim.name, "type": "pow", "lb": dim.low, "ub": dim.high, "base": 10}
    return {"name": dim.name, "type": "num", "lb": dim.low, "ub": dim.high}


def _dimensions(layout: Layout) -> list[Dimension]:
    # Log ints are positions on the unit interval; the library has log floats.
    both = zip(dimensions(layout), dimensions(layout, log=False), strict=True)
    return [on_unit if own.log and own.kind == "int" else own for own, on_unit in both]


register_library(
    Hebo,
    Library(
        name="hebo",
        packages=(
            PackageRequirement("torch", "torch"),
            PackageRequirement("gpytorch", "gpytorch"),
            PackageRequirement("pymoo", "pymoo", "0.6.2"),
            PackageRequirement("disjoint_set", "disjoint-set"),
            PackageRequirement("hebo", "HEBO", "0.3.6"),
        ),
        install="pip install torch gpytorch 'pymoo>=0.6.2' disjoint-set && pip install --no-deps 'HEBO==0.3.6' "
        "(its pinned versions exclude NumPy 2, so tunedsl has no extra for it)",
        supports=Supports.whole_space(),
        start=start_points(_HeboOptimizer, _dimensions),
        option_names=options_of("hebo.optimizers.hebo:HEBO", "space", "scramble_seed"),
        is_isolated=True,
        noisy="throughout",
    ),
)
