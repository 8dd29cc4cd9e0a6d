"""Nevergrad: any optimiser of its registry, for one objective or several.

All parameters are one vector, as in the library's own choices between dictionaries.
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
from tunedsl.searchers.adapters.dimensions import Dimension, Point, fill_missing
from tunedsl.searchers.adapters.libraries import (
    Library,
    LibraryContext,
    LibrarySpec,
    Options,
    PackageRequirement,
    register_library,
)
from tunedsl.searchers.adapters.points import Losses, PointModel, start_points
from tunedsl.searchers.contract import UNLIMITED, Supports

_PLACEHOLDER_LOSS: Final = 1e9
"""The loss of a failure before any loss is known: some optimisers wait for each result."""


@value(repr=False)
class Nevergrad(LibrarySpec):
    """The spec of `nevergrad`."""

    optimizer: str = "NGOpt"
    budget: int = 100
    num_workers: int = 8
    options: Options = ()


@check_arguments
def nevergrad(optimizer: str = "NGOpt", budget: int = 100, num_workers: int = 8) -> Nevergrad:
    """An optimiser of Nevergrad.

    Args:
        optimizer: its name in the library's registry, such as `NGOpt`, `TwoPointsDE` or `OnePlusOne`.
        budget: expected number of trials, at least 1; some optimisers choose their method by it.
        num_workers: expected number of concurrent trials, at least 1; more may run. With 1, which sequential
            optimisers need, the searcher waits for the result of each trial.

    Raises:
        ArgumentError: for an argument of the wrong type or below 1.

    Example:
        >>> nevergrad("TwoPointsDE", budget=200)
        nevergrad(optimizer='TwoPointsDE', budget=200, num_workers=8)
    """
    return Nevergrad(
        as_text("nevergrad.optimizer", optimizer),
        as_int("nevergrad.budget", budget, 1),
        as_int("nevergrad.num_workers", num_workers, 1),
    )


class _NevergradOptimizer(PointModel):
    """The library's optimiser and its candidates by handle."""

    def __init__(self, spec: Nevergrad, dims: Sequence[Dimension], context: LibraryContext) -> None:
        import nevergrad as library

        self._dims = dims
        self._optimizer = _create_optimizer(spec, dims, context.seed)
        self._tell_unsupported = library.errors.TellNotAskedNotSupportedError
        self._candidates: dict[int, Any] = {}
        self._worst = (_PLACEHOLDER_LOSS,) * len(context.objectives)
        self._is_sequential = spec.num_workers == 1

    def waits(self) -> bool:
        return self._is_sequential and bool(self._candidates)  # a sequential optimiser would block permanently

    def suggest(self, handle: int) -> Point:
        found = self._candidates[handle] = self._optimizer.ask()
        return list(found.value)

    def settle(self, handle: int, point: Point) -> None:
        found = self._candidates.get(handle)
        if found is None or not _is_near(found.value, point):
            raws = tuple(fill_missing(self._dims, point))
            self._candidates[handle] = self._optimizer.parametrization.spawn_child(new_value=raws)

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        if losses is not None:
            known = self._worst[0] != _PLACEHOLDER_LOSS
            self._worst = tuple(map(max, losses, self._worst)) if known else losses
        known_losses = self._worst if losses is None else losses
        with contextlib.suppress(self._tell_unsupported):  # some accept their own candidates only
            candidate = self._candidates.pop(handle)
            self._optimizer.tell(candidate, known_losses[0] if len(known_losses) == 1 else list(known_losses))


def _create_optimizer(spec: Nevergrad, dims: Sequence[Dimension], seed: int) -> Any:
    import nevergrad as library

    parametrization = library.p.Tuple(*(_parameter(library, dim) for dim in dims))
    parametrization.random_state.seed(seed)
    make = library.optimizers.registry[spec.optimizer]
    return make(parametrization=parametrization, budget=spec.budget, num_workers=spec.num_workers)


def _is_near(value: Sequence[Any], point: Point) -> bool:
    """Whether a point is the candidate's in all parameters that exist, up to rounding."""
    return all(
        raw is None or abs(mine - raw) <= 1e-9 * max(1.0, abs(raw)) for mine, raw in zip(value, point, strict=True)
    )


def _parameter(library: Any, dim: Dimension) -> Any:
    if dim.kind == "choice":
        return library.p.Choice(list(range(dim.size)))
    make = library.p.Log if dim.log else library.p.Scalar
    made = make(lower=dim.low, upper=dim.high)
    return made.set_integer_casting() if dim.kind == "int" else made


def _validate(spec: Nevergrad) -> Sequence[Diagnostic]:
    import nevergrad as library

    known = library.optimizers.registry
    if spec.optimizer not in known:
        hint = did_you_mean(spec.optimizer, known) or "nevergrad.optimizers.registry lists the optimizers"
        return [Diagnostic("E001", "searcher", f"Nevergrad has no optimizer {spec.optimizer!r}.", hint)]
    if spec.num_workers > 1 and getattr(known[spec.optimizer], "no_parallelization", False):
        message = f"Nevergrad's optimizer {spec.optimizer} runs one trial at a time, not {spec.num_workers}."
        return [Diagnostic("E003", "searcher", message, "write num_workers=1")]
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
        supports=Supports.whole_space(UNLIMITED),
        start=start_points(_NevergradOptimizer, fill_failures=False),
        noisy="throughout",
        validate=_validate,
    ),
)
