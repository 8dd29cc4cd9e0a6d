"""Nevergrad: any optimiser of its registry, for one objective or several.

It moves in one vector of all parameters, as it does with its own choices between dictionaries.
Source: Rapin and Teytaud, Nevergrad: A gradient-free optimization platform, 2018.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

from tunedsl.base.arguments import as_int, as_text, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.names import did_you_mean
from tunedsl.searchers.adapters.dimensions import Dimension, Point, dimensions, fill_missing
from tunedsl.searchers.adapters.libraries import (
    Library,
    LibraryContext,
    Options,
    PackageRequirement,
    library_call_repr,
    register_library,
)
from tunedsl.searchers.adapters.points import Losses, PointOptimizer
from tunedsl.searchers.contract import UNLIMITED, Supports

_PLACEHOLDER_LOSS: Final = 1e9
"""What a failure is told as before any loss is known: some optimisers wait until they are told."""


@value(repr=False)
class Nevergrad:
    """The spec of `nevergrad`."""

    optimizer: str = "NGOpt"
    budget: int = 100
    num_workers: int = 8
    options: Options = ()

    def __repr__(self) -> str:
        return library_call_repr(
            "nevergrad", (), optimizer=self.optimizer, budget=self.budget, num_workers=self.num_workers
        )


@check_arguments
def nevergrad(optimizer: str = "NGOpt", budget: int = 100, num_workers: int = 8) -> Nevergrad:
    """An optimiser of Nevergrad.

    Args:
        optimizer: its name in the library's registry, such as `NGOpt`, `TwoPointsDE` or `OnePlusOne`.
        budget: how many trials it is to reckon with, by which some optimisers choose their ways.
        num_workers: how many trials it is to expect at a time; more may be out, but with 1, which optimisers that
            go step by step need, it waits for each.

    Raises:
        ArgumentError: for a wrong value.

    Example:
        >>> nevergrad("TwoPointsDE", budget=200)
        nevergrad(optimizer='TwoPointsDE', budget=200, num_workers=8)
    """
    return Nevergrad(
        as_text("nevergrad.optimizer", optimizer),
        as_int("nevergrad.budget", budget, 1),
        as_int("nevergrad.num_workers", num_workers, 1),
    )


class _NevergradOptimizer:
    """The library's optimiser and its candidates by handle."""

    def __init__(self, spec: Nevergrad, dims: Sequence[Dimension], context: LibraryContext) -> None:
        import nevergrad as library

        self._dims = dims
        self._object = _create_optimizer(spec, dims, context.seed)
        self._tell_unsupported = library.errors.TellNotAskedNotSupportedError
        self._candidates: dict[int, Any] = {}
        self._worst = (_PLACEHOLDER_LOSS,) * len(context.objectives)
        self._is_sequential = spec.num_workers == 1

    def waits(self) -> bool:
        return self._is_sequential and bool(self._candidates)  # a step by step optimiser would block for good

    def suggest(self, handle: int) -> Point:
        found = self._candidates[handle] = self._object.ask()
        return list(found.value)

    def settle(self, handle: int, point: Point) -> None:
        found = self._candidates.get(handle)
        if found is None or not _is_near(found.value, point):
            raws = tuple(fill_missing(self._dims, point))
            self._candidates[handle] = self._object.parametrization.spawn_child(new_value=raws)

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        if losses is not None:
            known = self._worst[0] != _PLACEHOLDER_LOSS
            self._worst = tuple(map(max, losses, self._worst)) if known else losses
        told = self._worst if losses is None else losses
        with contextlib.suppress(self._tell_unsupported):  # some hear of their own candidates only
            self._object.tell(self._candidates.pop(handle), told[0] if len(told) == 1 else list(told))


def _create_optimizer(spec: Nevergrad, dims: Sequence[Dimension], seed: int) -> Any:
    import nevergrad as library

    form = library.p.Tuple(*(_parameter(library, dim) for dim in dims))
    form.random_state.seed(seed)
    make = library.optimizers.registry[spec.optimizer]
    return make(parametrization=form, budget=spec.budget, num_workers=spec.num_workers)


def _is_near(value: Sequence[Any], point: Point) -> bool:
    """Whether a point is the candidate's, as far as it exists; rounding aside."""
    return all(
        raw is None or abs(mine - raw) <= 1e-9 * max(1.0, abs(raw)) for mine, raw in zip(value, point, strict=True)
    )


def _parameter(library: Any, dim: Dimension) -> Any:
    if dim.kind == "choice":
        return library.p.Choice(list(range(dim.size)))
    make = library.p.Log if dim.log else library.p.Scalar
    made = make(lower=dim.low, upper=dim.high)
    return made.set_integer_casting() if dim.kind == "int" else made


def _start(spec: Nevergrad, context: LibraryContext) -> PointOptimizer:
    dims = dimensions(context.layout)
    return PointOptimizer(context, dims, lambda: _NevergradOptimizer(spec, dims, context), fill_failures=False)


def _validate(spec: Nevergrad) -> Sequence[Diagnostic]:
    import nevergrad as library

    known = library.optimizers.registry
    if spec.optimizer not in known:
        hint = did_you_mean(spec.optimizer, known)
        return [Diagnostic("E001", "searcher", repr(spec), "an optimizer of Nevergrad's registry", hint)]
    if spec.num_workers > 1 and getattr(known[spec.optimizer], "no_parallelization", False):
        return [Diagnostic("E003", "searcher", repr(spec), "one trial at a time for this optimizer", "num_workers=1")]
    return ()


register_library(
    Nevergrad,
    Library(
        name="nevergrad",
        packages=(
            PackageRequirement("nevergrad", "nevergrad", "1.0.12"),
            PackageRequirement("numpy", "numpy", below="2.4"),
        ),
        install="pip install 'tunedsl[nevergrad]', in an environment of its own: it pins bayesian-optimization 1.4.0",
        supports=Supports(
            conditions=True,
            log=True,
            quantised=True,
            integer=True,
            categorical=True,
            constraints=True,
            objectives=UNLIMITED,
            intermediate=False,
            pending=True,
        ),
        start=_start,
        option_names=lambda spec: (),
        noisy="throughout",
        validate=_validate,
    ),
)
