"""scikit-optimize: its `Optimizer`; trials that are out count as lies, told to a copy that is made for one ask.

What was told is learnt from at the next ask, at once. A parameter that does not exist stands at its middle.
Source: Head et al., scikit-optimize, 2018; Ginsbourger et al., Kriging is well-suited to parallelize optimization,
2010, for the lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunedsl.base.arguments import checked
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.search.adapters.dimensions import Dimension, Point, dimensions, filled
from tunedsl.search.adapters.libraries import (
    SEEDS,
    Library,
    Options,
    Package,
    Setting,
    enrol_library,
    live_options,
    options_of,
    parameters_of,
    spelled,
)
from tunedsl.search.adapters.points import Losses, Points
from tunedsl.search.contract import Takes


@value(repr=False)
class SkOpt:
    """The spec of `skopt`."""

    options: Options = ()

    def __repr__(self) -> str:
        return spelled("skopt", self.options)


@checked
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
    return SkOpt(options_of("skopt", options))


class _Optimizer:
    """The library's object, what is out, and what was told since the last ask."""

    def __init__(self, dims: Sequence[Dimension], options: dict[str, Any], seed: int) -> None:
        self._dims = dims
        self._options = options
        self._object = self._made(seed)
        self._out: dict[int, list[Any]] = {}
        self._told: list[tuple[list[Any], float]] = []

    def suggest(self, handle: int) -> Point:
        self._learn()
        if not self._out:
            return self._object.ask()  # type: ignore[no-any-return]
        known = self._object
        clone = self._made(known.rng.randint(0, SEEDS))
        clone._initial_samples = known._initial_samples  # as the library's own `copy` does, which fits once more
        if hasattr(known, "gains_"):
            clone.gains_ = known.gains_.copy()
        lie = min(known.yi, default=0.0)
        out = list(self._out.values())
        clone.tell([*known.Xi, *out], [*known.yi, *[lie] * len(out)])
        return clone.ask()  # type: ignore[no-any-return]

    def settle(self, handle: int, point: Point) -> None:
        self._out[handle] = filled(self._dims, point)

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        assert losses is not None  # failures come as the worst
        self._told.append((self._out.pop(handle), losses[0]))

    def _learn(self) -> None:
        if len(self._told) == 1:
            self._object.tell(*self._told[0])
        elif self._told:
            self._object.tell([raws for raws, _ in self._told], [loss for _, loss in self._told])
        self._told = []

    def _made(self, seed: int) -> Any:
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


def _start(spec: SkOpt, setting: Setting) -> Points:
    dims = dimensions(setting.layout)
    return Points(setting, dims, lambda: _Optimizer(dims, live_options(spec.options), setting.seed))


def _accepts(spec: SkOpt) -> set[str]:
    from skopt import Optimizer

    return parameters_of(Optimizer, but=("dimensions", "random_state", "space_constraint", "n_random_starts"))


def _check(spec: SkOpt) -> Sequence[Diagnostic]:
    chosen = live_options(spec.options).get("acq_func", "")
    if not str(chosen).endswith("ps"):
        return ()
    expected = "an acquisition function of the values alone, as a searcher is told no durations"
    return [Diagnostic("E003", "searcher", f"{spec!r}", expected, f"acq_func={str(chosen)[:-2]!r}")]


enrol_library(
    SkOpt,
    Library(
        name="skopt",
        packages=(Package("skopt", "scikit-optimize", "0.10.2"),),
        install="pip install 'tunedsl[skopt]'",
        takes=Takes(
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
        accepts=_accepts,
        noisy="throughout",
        check=_check,
    ),
)
