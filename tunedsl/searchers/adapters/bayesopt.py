"""bayesian-optimization: a Gaussian process with one of its acquisition functions; running trials count as lies.

Log ranges are positions on the unit interval, since the library has none. A parameter that does not exist has its
middle value. A point that is observed again keeps its first value: the library takes it once.
Source: Nogueira, Bayesian Optimization: Open source constrained global optimization tool for Python, 2014; Ginsbourger
et al., Kriging is well-suited to parallelize optimization, 2010, for the lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from toolz import keyfilter

from tunedsl.base import keys
from tunedsl.base.arguments import as_int, check_arguments
from tunedsl.base.codec import value
from tunedsl.searchers.adapters.dimensions import Dimension, Point, dimensions, fill_missing
from tunedsl.searchers.adapters.libraries import (
    MAX_SEED,
    Library,
    LibraryContext,
    LibrarySpec,
    Options,
    PackageRequirement,
    as_option,
    decode_options,
    encode_options,
    keyword_names,
    register_library,
)
from tunedsl.searchers.adapters.points import Losses, PointModel, start_points
from tunedsl.searchers.contract import Supports

ACQUISITIONS: Final = {
    "ucb": "UpperConfidenceBound",
    "ei": "ExpectedImprovement",
    "poi": "ProbabilityOfImprovement",
}

_DEFAULTS: Final[dict[str, dict[str, float]]] = {"ei": {"xi": 0.01}, "poi": {"xi": 0.01}}


@value(repr=False)
class BayesOpt(LibrarySpec):
    """The spec of `bayesopt`."""

    acquisition: str = "ucb"
    init_points: int = 5
    options: Options = ()


@check_arguments
def bayesopt(acquisition: str = "ucb", init_points: int = 5, **options: Any) -> BayesOpt:
    """Bayesian optimisation with a Gaussian process, by the package bayesian-optimization.

    Args:
        acquisition: `ucb`, `ei` or `poi`.
        init_points: number of random configurations before the model is used.
        options: of the acquisition function (`kappa=2.576`, `xi=0.01`, `exploration_decay=0.9`) or of the Gaussian
            process (`alpha=1e-6`, `n_restarts_optimizer=5`).

    Raises:
        ArgumentError: for an acquisition that is not one of these, or an option that is not data.

    Example:
        >>> bayesopt("ei", xi=0.05)
        bayesopt(acquisition='ei', init_points=5, xi=0.05)
    """
    acquisition = as_option("bayesopt.acquisition", acquisition, ACQUISITIONS)
    return BayesOpt(acquisition, as_int("bayesopt.init_points", init_points, 0), encode_options("bayesopt", options))


class _BayesOptProcess(PointModel):
    """The library's optimizer, and the points of running trials."""

    def __init__(self, spec: BayesOpt, dims: Sequence[Dimension], context: LibraryContext) -> None:
        from bayes_opt import BayesianOptimization, acquisition

        options = decode_options(spec.options)
        chosen = getattr(acquisition, ACQUISITIONS[spec.acquisition])
        names = keyword_names(chosen)
        self._process = keyfilter(lambda name: name not in names, options)
        self._acquisition = chosen(**{**_DEFAULTS.get(spec.acquisition, {}), **keyfilter(names.__contains__, options)})
        self._make = BayesianOptimization
        self._dims = dims
        self._draws = spec.init_points
        self._seed = context.seed
        self._optimizer = self._create(context.seed)
        self._pending: dict[int, Any] = {}

    def suggest(self, handle: int) -> Point:
        known = self._optimizer.space
        if self._draws > 0 or not len(known):
            self._draws -= 1
            found = self._optimizer.random_sample(1)[0]
        elif not self._pending:
            found = self._optimizer.suggest()
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
        self._pending[handle] = self._optimizer.space.params_to_array(params)

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        assert losses is not None  # failures have the worst losses
        found = self._pending.pop(handle)
        if found not in self._optimizer.space:
            self._optimizer.register(params=found, target=-losses[0])

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
        supports=Supports.whole_space(),
        start=start_points(_BayesOptProcess, partial(dimensions, log=False)),
        option_names=_option_names,
        noisy="throughout",
    ),
)
