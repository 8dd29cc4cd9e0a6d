"""CMA-ES of the package cmaes, with margin for ints and a categorical distribution beside: CatCMAwM.

A generation is learnt from when as many trials as it has are told, in whatever order; others may be out meanwhile.
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

_MAX_STEPS: Final = 1_000
"""Wider ints are positions on the unit interval: the library keeps a table of the values of each."""


@value(repr=False)
class CmaEs:
    """The spec of `cmaes`."""

    options: Options = ()

    def __repr__(self) -> str:
        return library_call_repr("cmaes", self.options)


@check_arguments
def cmaes(**options: Any) -> CmaEs:
    """The covariance matrix adaptation evolution strategy, for mixed spaces without conditions.

    Args:
        options: of the library's `CatCMAwM`, such as `population_size=16` or `sigma=0.5`.

    Raises:
        ArgumentError: for an option that is no data.

    Example:
        >>> cmaes(population_size=16)
        cmaes(population_size=16)
    """
    return CmaEs(encode_options("cmaes", options))


class _CmaEsStrategy:
    """The library's object and the generation that is being told."""

    def __init__(self, dims: Sequence[Dimension], options: dict[str, Any], seed: int) -> None:
        from cmaes import CatCMAwM

        self._floats = [index for index, dim in enumerate(dims) if dim.kind == "float"]
        self._ints = [index for index, dim in enumerate(dims) if dim.kind == "int"]
        self._choices = [index for index, dim in enumerate(dims) if dim.kind == "choice"]
        self._size = len(dims)
        self._object = CatCMAwM(
            x_space=[[dims[index].low, dims[index].high] for index in self._floats] or None,
            z_space=[list(range(int(dims[i].low), int(dims[i].high) + 1)) for i in self._ints] or None,
            c_space=[dims[index].size for index in self._choices] or None,
            seed=seed,
            **options,
        )
        self._asked: dict[int, Any] = {}
        self._generation: list[tuple[Any, float]] = []

    def suggest(self, handle: int) -> Point:
        found = self._asked[handle] = self._object.ask()
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
        assert losses is not None  # failures come as the worst
        found = self._asked.pop(handle, None)
        if found is None:
            return
        self._generation.append((found, losses[0]))
        if len(self._generation) == self._object.population_size:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._object.tell(self._generation)
            self._generation = []


def _start(spec: CmaEs, context: LibraryContext) -> PointOptimizer:
    wide = dimensions(context.layout, log=False)
    dims = tuple(_limit_steps(dim) for dim in wide)
    return PointOptimizer(context, dims, lambda: _CmaEsStrategy(dims, decode_options(spec.options), context.seed))


def _limit_steps(dim: Dimension) -> Dimension:
    if dim.kind != "int" or dim.size <= _MAX_STEPS:
        return dim
    return attrs.evolve(dim, kind="float", low=0.0, high=1.0, log=False, unit=True)


def _option_names(spec: CmaEs) -> set[str]:
    from cmaes import CatCMAwM

    return keyword_names(CatCMAwM, exclude=("x_space", "z_space", "c_space", "seed"))


register_library(
    CmaEs,
    Library(
        name="cmaes",
        packages=(PackageRequirement("cmaes", "cmaes", "0.13"),),
        install="pip install 'tunedsl[cmaes]'",
        supports=Supports(
            conditions=False,
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
        noisy="at start",
    ),
)
