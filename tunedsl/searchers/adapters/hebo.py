"""HEBO: heteroscedastic evolutionary Bayesian optimisation. A parameter that does not exist stands at its middle.

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
    Options,
    PackageRequirement,
    decode_options,
    encode_options,
    keyword_names,
    library_call_repr,
    register_library,
)
from tunedsl.searchers.adapters.points import Losses, PointOptimizer
from tunedsl.searchers.contract import Supports


@value(repr=False)
class Hebo:
    """The spec of `hebo`."""

    options: Options = ()

    def __repr__(self) -> str:
        return library_call_repr("hebo", self.options)


@check_arguments
def hebo(**options: Any) -> Hebo:
    """Bayesian optimisation of warped values, as the library HEBO has it.

    Args:
        options: of the library's `HEBO`, such as `rand_sample=8` or `model_name="gp"`.

    Raises:
        ArgumentError: for an option that is no data.

    Example:
        >>> hebo(rand_sample=8)
        hebo(rand_sample=8)
    """
    return Hebo(encode_options("hebo", options))


class _HeboOptimizer:
    """The library's object; it works on frames, one row a point."""

    def __init__(self, dims: Sequence[Dimension], options: dict[str, Any], seed: int) -> None:
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        self._dims = dims
        self._seed = seed
        self._object = HEBO(DesignSpace().parse([_parameter(dim) for dim in dims]), scramble_seed=seed, **options)
        self._pending: dict[int, Any] = {}

    def suggest(self, handle: int) -> Point:
        from hebo.acq_optimizers import evolution_optimizer
        from hebo.models.gp import gp

        # Its inner search draws from a generator that nothing seeds; so for this one call it is given a seed. A fit
        # that is hard prints its every step.
        search = evolution_optimizer.minimize
        evolution_optimizer.minimize = functools.partial(search, seed=keys.key(self._seed, "ask", handle) % MAX_SEED)
        gp.print = _print_nothing
        try:
            found = self._object.suggest(n_suggestions=1).iloc[0]
        finally:
            evolution_optimizer.minimize = search
            del gp.print
        return [found[dim.name] for dim in self._dims]

    def settle(self, handle: int, point: Point) -> None:
        raws = zip(self._dims, fill_missing(self._dims, point), strict=True)
        frame = type(self._object.X)
        self._pending[handle] = frame([{dim.name: raw for dim, raw in raws}])

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        assert losses is not None  # failures come as the worst
        self._object.observe(self._pending.pop(handle), np.array([[losses[0]]]))


def _print_nothing(*words: Any) -> None:
    """Stands for `print`."""


def _parameter(dim: Dimension) -> dict[str, Any]:
    if dim.kind == "choice":
        return {"name": dim.name, "type": "cat", "categories": list(range(dim.size))}
    if dim.kind == "int":
        return {"name": dim.name, "type": "int", "lb": int(dim.low), "ub": int(dim.high)}
    if dim.log:
        return {"name": dim.name, "type": "pow", "lb": dim.low, "ub": dim.high, "base": 10}
    return {"name": dim.name, "type": "num", "lb": dim.low, "ub": dim.high}


def _start(spec: Hebo, context: LibraryContext) -> PointOptimizer:
    # Ints of equal ratios lie on the unit interval; log floats are the library's own.
    dims = tuple(
        each if not (each.log and each.kind == "int") else on_unit
        for each, on_unit in zip(dimensions(context.layout), dimensions(context.layout, log=False), strict=True)
    )
    return PointOptimizer(context, dims, lambda: _HeboOptimizer(dims, decode_options(spec.options), context.seed))


def _option_names(spec: Hebo) -> set[str]:
    from hebo.optimizers.hebo import HEBO

    return keyword_names(HEBO, exclude=("space", "scramble_seed"))


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
        "(its own pins cannot be met with NumPy 2, so it is no extra)",
        supports=Supports(
            conditions=True,
            log=True,
            quantised=True,
            integer=True,
            categorical=True,
            constraints=True,
            objectives=1,
            intermediate=False,
            pending=True,
        ),
        start=_start,
        option_names=_option_names,
        is_isolated=True,
        noisy="throughout",
    ),
)
