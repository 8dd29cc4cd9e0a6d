"""scikit-optimize: its `Optimizer`; running trials count as lies, in a copy that serves one ask.

New results are learnt together at the next ask. A parameter that does not exist has its middle value.
Source: Head et al., scikit-optimize, 2018; Ginsbourger et al., Kriging is well-suited to parallelize optimization,
2010, for the lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.searchers.adapters.dimensions import Dimension, Point, fill_missing
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


@value(repr=False)
class SkOpt(LibrarySpec):
    """The spec of `skopt`."""

    options: Options = ()


@check_arguments
def skopt(**options: Any) -> SkOpt:
    """Sequential model-based optimisation with the package scikit-optimize.

    Args:
        options: of the library's `Optimizer`, such as `base_estimator="ET"`, `n_initial_points=10` or
            `acq_func="EI"`.

    Raises:
        ArgumentError: for an option that is not data.

    Example:
        >>> skopt(n_initial_points=5)
        skopt(n_initial_points=5)
    """
    return SkOpt(encode_options("skopt", options))


class _SkOptOptimizer(PointModel):
    """The library's optimizer, the points of running trials, and the results since the last ask."""

    def __init__(self, spec: SkOpt, dims: Sequence[Dimension], context: LibraryContext) -> None:
        self._dims = dims
        self._options = decode_options(spec.options)
        self._optimizer = self._create(context.seed)
        self._pending: dict[int, list[Any]] = {}
        self._observations: list[tuple[list[Any], float]] = []

    def suggest(self, handle: int) -> Point:
        self._flush_observations()
        if not self._pending:
            return self._optimizer.ask()  # type: ignore[no-any-return]
        known = self._optimizer
        clone = self._create(known.rng.randint(0, MAX_SEED))
        clone._initial_samples = known._initial_samples  # like the library's own `copy`, but without another fit
        if hasattr(known, "gains_"):
            clone.gains_ = known.gains_.copy()
        lie = min(known.yi, default=0.0)
        pending = list(self._pending.values())
        clone.tell([*known.Xi, *pending], [*known.yi, *[lie] * len(pending)])
        return clone.ask()  # type: ignore[no-any-return]

    def settle(self, handle: int, point: Point) -> None:
        self._pending[handle] = fill_missing(self._dims, point)

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        assert losses is not None  # failures have the worst losses
        self._observations.append((self._pending.pop(handle), losses[0]))

    def _flush_observations(self) -> None:
        if len(self._observations) == 1:
            self._optimizer.tell(*self._observations[0])
        elif self._observations:
            self._optimizer.tell([raws for raws, _ in self._observations], [loss for _, loss in self._observations])
        self._observations = []

    def _create(self, seed: int) -> Any:
        from skopt import Optimizer

        return Optimizer([_dimension(dim) for dim in self._dims], random_state=seed, **self._options)


def _dimension(dim: Dimension) -> Any:
    from skopt.space import Categorical, Integer, Real

    prior = "log-uniform" if dim.log else "uniform"
    if dim.kind == "choice":
        return Categorical(list(range(dim.size)), name=dim.name)
    if dim.kind == "int":
        return Integer(int(dim.low), int(dim.high), prior=prior, name=dim.name)
    return Real(dim.low, dim.high, prior=prior, name=dim.name)


def _validate(spec: SkOpt) -> Sequence[Diagnostic]:
    chosen = decode_options(spec.options).get("acq_func", "")
    if not str(chosen).endswith("ps"):
        return ()
    message = f"The acquisition function {chosen} needs the durations of trials, which searchers do not receive."
    return [Diagnostic("E003", "searcher", message, f"write acq_func={str(chosen)[:-2]!r}")]


register_library(
    SkOpt,
    Library(
        name="skopt",
        packages=(PackageRequirement("skopt", "scikit-optimize", "0.10.2"),),
        install="pip install 'tunedsl[skopt]'",
        supports=Supports.whole_space(),
        start=start_points(_SkOptOptimizer),
        option_names=options_of("skopt:Optimizer", "dimensions", "random_state", "space_constraint", "n_random_starts"),
        noisy="throughout",
        validate=_validate,
    ),
)
