"""scikit-optimize: its `Optimizer`; trials that are out count as lies, told to a copy that is made for one ask.

What was told is learnt from at the next ask, at once. A parameter that does not exist stands at its middle.
Source: Head et al., scikit-optimize, 2018; Ginsbourger et al., Kriging is well-suited to parallelize optimization,
2010, for the lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
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
class SkOpt:
    """The spec of `skopt`."""

    options: Options = ()

    def __repr__(self) -> str:
        return library_call_repr("skopt", self.options)


@check_arguments
def skopt(**options: Any) -> SkOpt:
    """Sequential model-based optimisation, as the package scikit-optimize has it.

    Args:
        options: of the library's `Optimizer`, such as `base_estimator="ET"`, `n_initial_points=10` or
            `acq_func="EI"`.

    Raises:
        ArgumentError: for an option that is no data.

    Example:
        >>> skopt(n_initial_points=5)
        skopt(n_initial_points=5)
    """
    return SkOpt(encode_options("skopt", options))


class _SkOptOptimizer:
    """The library's object, what is out, and what was told since the last ask."""

    def __init__(self, dims: Sequence[Dimension], options: dict[str, Any], seed: int) -> None:
        self._dims = dims
        self._options = options
        self._object = self._create(seed)
        self._pending: dict[int, list[Any]] = {}
        self._observations: list[tuple[list[Any], float]] = []

    def suggest(self, handle: int) -> Point:
        self._flush_observations()
        if not self._pending:
            return self._object.ask()  # type: ignore[no-any-return]
        known = self._object
        clone = self._create(known.rng.randint(0, MAX_SEED))
        clone._initial_samples = known._initial_samples  # as the library's own `copy` does, which fits once more
        if hasattr(known, "gains_"):
            clone.gains_ = known.gains_.copy()
        lie = min(known.yi, default=0.0)
        out = list(self._pending.values())
        clone.tell([*known.Xi, *out], [*known.yi, *[lie] * len(out)])
        return clone.ask()  # type: ignore[no-any-return]

    def settle(self, handle: int, point: Point) -> None:
        self._pending[handle] = fill_missing(self._dims, point)

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        assert losses is not None  # failures come as the worst
        self._observations.append((self._pending.pop(handle), losses[0]))

    def _flush_observations(self) -> None:
        if len(self._observations) == 1:
            self._object.tell(*self._observations[0])
        elif self._observations:
            self._object.tell([raws for raws, _ in self._observations], [loss for _, loss in self._observations])
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


def _start(spec: SkOpt, context: LibraryContext) -> PointOptimizer:
    dims = dimensions(context.layout)
    return PointOptimizer(context, dims, lambda: _SkOptOptimizer(dims, decode_options(spec.options), context.seed))


def _option_names(spec: SkOpt) -> set[str]:
    from skopt import Optimizer

    return keyword_names(Optimizer, exclude=("dimensions", "random_state", "space_constraint", "n_random_starts"))


def _validate(spec: SkOpt) -> Sequence[Diagnostic]:
    chosen = decode_options(spec.options).get("acq_func", "")
    if not str(chosen).endswith("ps"):
        return ()
    expected = "an acquisition function of the values alone, as a searcher is told no durations"
    return [Diagnostic("E003", "searcher", f"{spec!r}", expected, f"acq_func={str(chosen)[:-2]!r}")]


register_library(
    SkOpt,
    Library(
        name="skopt",
        packages=(PackageRequirement("skopt", "scikit-optimize", "0.10.2"),),
        install="pip install 'tunedsl[skopt]'",
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
        noisy="throughout",
        validate=_validate,
    ),
)
