"""bayesian-optimization: a Gaussian process with one of its acquisition functions; trials that are out count as lies.

Log ranges are positions on the unit interval, since the library has none. A parameter that does not exist stands at
its middle. A point that is told again keeps its first value: the library takes it once.
Source: Nogueira, Bayesian Optimization: Open source constrained global optimization tool for Python, 2014; Ginsbourger
et al., Kriging is well-suited to parallelize optimization, 2010, for the lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tunedsl.base import keys
from tunedsl.base.arguments import as_int, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError
from tunedsl.base.names import did_you_mean
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

ACQUISITIONS: Final = {
    "ucb": "UpperConfidenceBound",
    "ei": "ExpectedImprovement",
    "poi": "ProbabilityOfImprovement",
}

_DEFAULTS: Final[dict[str, dict[str, float]]] = {"ei": {"xi": 0.01}, "poi": {"xi": 0.01}}


@value(repr=False)
class BayesOpt:
    """The spec of `bayesopt`."""

    acquisition: str = "ucb"
    init_points: int = 5
    options: Options = ()

    def __repr__(self) -> str:
        return library_call_repr("bayesopt", self.options, acquisition=self.acquisition, init_points=self.init_points)


@check_arguments
def bayesopt(acquisition: str = "ucb", init_points: int = 5, **options: Any) -> BayesOpt:
    """Bayesian optimisation with a Gaussian process, as the package bayesian-optimization has it.

    Args:
        acquisition: `ucb`, `ei` or `poi`.
        init_points: how many configurations are drawn before the first is modelled.
        options: of the acquisition function (`kappa=2.576`, `xi=0.01`, `exploration_decay=0.9`) or of the Gaussian
            process (`alpha=1e-6`, `n_restarts_optimizer=5`).

    Raises:
        ArgumentError: for an acquisition that is none of these, or an option that is no data.

    Example:
        >>> bayesopt("ei", xi=0.05)
        bayesopt(acquisition='ei', init_points=5, xi=0.05)
    """
    if acquisition not in ACQUISITIONS:
        expected = f"one of {', '.join(ACQUISITIONS)}"
        hint = did_you_mean(str(acquisition), ACQUISITIONS)
        raise ArgumentError("E003", "bayesopt.acquisition", repr(acquisition), expected, hint)
    return BayesOpt(acquisition, as_int("bayesopt.init_points", init_points, 0), encode_options("bayesopt", options))


class _BayesOptProcess:
    """The library's object, and the points that are out."""

    def __init__(self, spec: BayesOpt, dims: Sequence[Dimension], seed: int) -> None:
        from bayes_opt import BayesianOptimization, acquisition

        options = decode_options(spec.options)
        chosen = getattr(acquisition, ACQUISITIONS[spec.acquisition])
        names = keyword_names(chosen)
        given = {name: item for name, item in options.items() if name in names}
        self._process = {name: item for name, item in options.items() if name not in names}
        self._acquisition = chosen(**{**_DEFAULTS.get(spec.acquisition, {}), **given})
        self._make = BayesianOptimization
        self._dims = dims
        self._draws = spec.init_points
        self._seed = seed
        self._object = self._create(seed)
        self._pending: dict[int, Any] = {}

    def suggest(self, handle: int) -> Point:
        known = self._object.space
        if self._draws > 0 or not len(known):
            self._draws -= 1
            found = self._object.random_sample(1)[0]
        elif not self._pending:
            found = self._object.suggest()
        else:  # the library's own lies lose the types of parameters
            liar = self._create(keys.key(self._seed, "lies", handle) % MAX_SEED)
            for params, target in zip(known.params, known.target, strict=True):
                liar.register(params=params, target=target)
            for params in self._pending.values():
                if params not in liar.space:
                    liar.register(params=params, target=known.target.max())
            found = liar.suggest()
        return [found[dim.name] for dim in self._dims]

    def settle(self, handle: int, point: Point) -> None:
        raws = zip(self._dims, fill_missing(self._dims, point), strict=True)
        params = {dim.name: str(raw) if dim.kind == "choice" else raw for dim, raw in raws}
        self._pending[handle] = self._object.space.params_to_array(params)

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        assert losses is not None  # failures come as the worst
        found = self._pending.pop(handle)
        if found not in self._object.space:
            self._object.register(params=found, target=-losses[0])

    def _create(self, seed: int) -> Any:
        made = self._make(
            f=None,
            pbounds={dim.name: _bounds(dim) for dim in self._dims},
            acquisition_function=self._acquisition,
            random_state=seed,
            verbose=0,
        )
        made.set_gp_params(**self._process)
        return made


def _bounds(dim: Dimension) -> tuple[Any, ...]:
    if dim.kind == "choice":
        return tuple(map(str, range(dim.size)))
    return (dim.low, dim.high) if dim.kind == "float" else (dim.low, dim.high, int)


def _start(spec: BayesOpt, context: LibraryContext) -> PointOptimizer:
    dims = dimensions(context.layout, log=False)
    return PointOptimizer(context, dims, lambda: _BayesOptProcess(spec, dims, context.seed))


def _option_names(spec: BayesOpt) -> set[str]:
    from bayes_opt import acquisition
    from sklearn.gaussian_process import GaussianProcessRegressor

    names = keyword_names(getattr(acquisition, ACQUISITIONS[spec.acquisition]), exclude=("random_state",))
    return names | keyword_names(GaussianProcessRegressor, exclude=("random_state", "copy_X_train", "n_targets"))


register_library(
    BayesOpt,
    Library(
        name="bayesopt",
        packages=(PackageRequirement("bayes_opt", "bayesian-optimization", "3.4"),),
        install="pip install 'tunedsl[bayesopt]', in an environment without nevergrad, which pins version 1.4.0",
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
    ),
)
