"""CMA-ES of the package cmaes, with margin for ints and a categorical distribution: CatCMAwM.

The strategy learns a generation once that number of trials has ended, in any order; more trials may run meanwhile.
Source: Hamano et al., CatCMA with Margin: Stochastic Optimization for Continuous, Integer, and Categorical Variables,
GECCO 2025; Hansen, The CMA Evolution Strategy: A Tutorial, 2016.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.searchers.adapters.dimensions import Dimension, Point, dimensions
from tunedsl.searchers.adapters.libraries import (
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

_MAX_STEPS: Final = 1_000
"""Larger ranges of ints are positions on the unit interval, since the library keeps a table of all values."""


@value(repr=False)
class CmaEs(LibrarySpec):
    """The spec of `cmaes`."""

    options: Options = ()


@check_arguments
def cmaes(**options: Any) -> CmaEs:
    """The covariance matrix adaptation evolution strategy, for mixed spaces without conditions.

    Args:
        options: of the library's `CatCMAwM`, such as `population_size=16` or `sigma=0.5`.

    Raises:
        ArgumentError: for an option that is not data.

    Example:
        >>> cmaes(population_size=16)
        cmaes(population_size=16)
    """
    return CmaEs(encode_options("cmaes", options))


class _CmaEsStrategy(PointModel):
    """The library's strategy and the results of the current generation."""

    def __init__(self, spec: CmaEs, dims: Sequence[Dimension], context: LibraryContext) -> None:
        from cmaes import CatCMAwM

        self._floats = [index for index, dim in enumerate(dims) if dim.kind == "float"]
        self._ints = [index for index, dim in enumerate(dims) if dim.kind == "int"]
        self._choices = [index for index, dim in enumerate(dims) if dim.kind == "choice"]
        self._size = len(dims)
        self._strategy = CatCMAwM(
            x_space=[[dims[index].low, dims[index].high] for index in self._floats] or None,
            z_space=[list(range(int(dims[i].low), int(dims[i].high) + 1)) for i in self._ints] or None,
            c_space=[dims[index].size for index in self._choices] or None,
            seed=context.seed,
            **decode_options(spec.options),
        )
        self._suggested: dict[int, Any] = {}
        self._generation: list[tuple[Any, float]] = []

    def suggest(self, handle: int) -> Point:
        found = self._suggested[handle] = self._strategy.ask()
        if len(self._floats) == self._size:
            return found.x.tolist()  # type: ignore[no-any-return]
        point: list[Any] = [None] * self._size
        for places, raws in ((self._floats, found.x), (self._ints, found.z)):
            for index, raw in zip(places, () if raws is None else raws.tolist(), strict=True):
                point[index] = raw
        for index, row in zip(self._choices, () if found.c is None else found.c, strict=True):
            point[index] = int(np.argmax(row))
        return point

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        assert losses is not None  # failures have the worst losses
        found = self._suggested.pop(handle, None)
        if found is None:
            return
        self._generation.append((found, losses[0]))
        if len(self._generation) == self._strategy.population_size:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._strategy.tell(self._generation)
            self._generation = []


def _dimensions(layout: Layout) -> list[Dimension]:
    return [_limit_steps(dim) for dim in dimensions(layout, log=False)]


def _limit_steps(dim: Dimension) -> Dimension:
    if dim.kind != "int" or dim.size <= _MAX_STEPS:
        return dim
    return attrs.evolve(dim, kind="float", low=0.0, high=1.0, log=False, unit=True)


register_library(
    CmaEs,
    Library(
        name="cmaes",
        packages=(PackageRequirement("cmaes", "cmaes", "0.13"),),
        install="pip install 'tunedsl[cmaes]'",
        supports=Supports.whole_space(conditions=False),
        start=start_points(_CmaEsStrategy, _dimensions),
        option_names=options_of("cmaes:CatCMAwM", "x_space", "z_space", "c_space", "seed"),
        noisy="at start",
    ),
)
