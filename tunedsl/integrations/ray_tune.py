"""For users of Ray Tune: `param_space` becomes a space, and results get the members of `ExperimentAnalysis`.

Domains are recognised by the names of their classes, so Ray is not imported. Source: `ray/tune/search/sample.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tunedsl.base.arguments import check_arguments
from tunedsl.base.diagnostics import shorten
from tunedsl.base.errors import ArgumentError, wrong_value
from tunedsl.base.types import Config, Mode
from tunedsl.experiment import Experiment, space
from tunedsl.results import Results, TrialResult
from tunedsl.results.trial_history import Scope
from tunedsl.spaces import (
    choice,
    grid,
    lograndint,
    loguniform,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    sample_from,
    uniform,
)

if TYPE_CHECKING:
    import pandas as pd

_DOMAINS: Final = "ray.tune.search.sample"
_GRID: Final = "grid_search"
_MAKERS: Final[dict[tuple[str, str], tuple[Callable[..., Any], Callable[..., Any]]]] = {
    ("Float", "_Uniform"): (uniform, quniform),
    ("Float", "_LogUniform"): (loguniform, qloguniform),
    ("Float", "_Normal"): (randn, qrandn),
    ("Integer", "_Uniform"): (randint, qrandint),
    ("Integer", "_LogUniform"): (lograndint, qlograndint),
}


@check_arguments
def space_from_ray(param_space: Mapping[str, Any]) -> Experiment:
    """Convert a `param_space` of Ray Tune to an experiment with the same parameters.

    Args:
        param_space: names to constants, nested dicts, domains of `ray.tune` (`tune.uniform(0, 1)`, ...), or
            `tune.grid_search([...])`.

    Raises:
        ArgumentError: for a domain without an equivalent: inside a list, or among the options of a choice.

    Example:
        >>> from ray import tune  # doctest: +SKIP
        >>> space_from_ray({"lr": tune.loguniform(1e-4, 1e-1), "layers": tune.randint(1, 4)})  # doctest: +SKIP
        space(lr=loguniform(0.0001, 0.1), layers=randint(1, 4))
    """
    if not isinstance(param_space, Mapping):
        raise wrong_value("param_space", param_space, "a dict of parameters")
    return space(**_mapping("param_space", param_space))


def _mapping(place: str, found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _node(f"{place}.{name}", item) for name, item in found.items()}


def _node(place: str, item: Any) -> Any:
    if isinstance(item, Mapping):
        if set(item) == {_GRID}:
            return grid(_plain(place, item[_GRID]))
        return _mapping(place, item)
    if _is_domain(item):
        return _domain(place, item)
    _plain(place, item)
    return item


def _domain(place: str, domain: Any) -> Any:
    kind = type(domain).__name__
    if kind == "Categorical":
        return choice(_plain(place, list(domain.categories)))
    if kind == "Function":
        if not domain.pass_config:
            message = f"The function of sample_from at {place} must take the configuration."
            raise ArgumentError("E003", place, message, "write def f(config): ...")
        return sample_from(domain.func)
    sampler = domain.get_sampler()
    quantum = getattr(sampler, "q", None)
    inner = sampler if quantum is None else sampler.get_sampler()
    how = next((base.__name__ for base in type(inner).__mro__ if (kind, base.__name__) in _MAKERS), None)
    if how is None:
        message = f"{place} is {shorten(repr(domain))} with {type(inner).__name__}, which has no equivalent here."
        raise ArgumentError("E003", place, message, "write the domain by hand, such as uniform(0, 1)")
    plain, quantised = _MAKERS[kind, how]
    bounds = (inner.mean, inner.sd) if how == "_Normal" else (domain.lower, domain.upper)
    if quantum is None or (kind == "Integer" and quantum == 1):  # the upper bound of such integers is exclusive
        return plain(*bounds)
    return quantised(*bounds, quantum)


def _plain(place: str, item: Any) -> Any:
    """Return the item unchanged; raise for a domain nested in it."""
    if _is_domain(item) or (isinstance(item, Mapping) and _GRID in item):
        hint = 'choice({"a": space(...), "b": space(...)}) makes parameters of one option; a dict may be nested freely'
        raise ArgumentError("E003", place, f"{place} must hold constants, not the domain {shorten(repr(item))}.", hint)
    for part in item.values() if isinstance(item, Mapping) else item if isinstance(item, (list, tuple)) else ():
        _plain(place, part)
    return item


def _is_domain(item: Any) -> bool:
    return any(base.__module__ == _DOMAINS and base.__name__ == "Domain" for base in type(item).__mro__)


class ExperimentAnalysis:
    """Results with the members of Ray Tune's class of the same name.

    Args:
        results: the results of a run, such as `load(path)`.

    Example:
        >>> analysis = ExperimentAnalysis(load("results/digits"))  # doctest: +SKIP
        >>> analysis.best_config  # doctest: +SKIP
        {'lr': 0.01}

    Source: `ray.tune.ExperimentAnalysis` of Ray 2.60.
    """

    def __init__(self, results: Results) -> None:
        self._results = results

    @property
    def experiment_path(self) -> str:
        """The folder of the experiment."""
        return str(self._results.path)

    @property
    def trials(self) -> list[TrialResult]:
        """All trials, in the order proposed."""
        return self._results.trials

    @property
    def best_trial(self) -> TrialResult:
        """The best trial by its last report; raises `NoResult` without one."""
        return self._results.best

    @property
    def best_config(self) -> Config:
        """The configuration of the best trial."""
        return self._results.best.config

    @property
    def best_result(self) -> dict[str, Any]:
        """The last report of the best trial."""
        return self._results.best.metrics

    @property
    def best_result_df(self) -> pd.DataFrame:
        """The row of the best trial in `results_df`."""
        best, frame = self._results.best, self._results.dataframe()
        return frame[frame["number"] == best.number].reset_index(drop=True)

    @property
    def best_dataframe(self) -> pd.DataFrame:
        """The reports of the best trial, one row each."""
        return self._results.best.curve

    @property
    def best_logdir(self) -> Path | str:
        """The folder of the best trial."""
        return self._results.best.path

    @property
    def best_checkpoint(self) -> Path | str | None:
        """The newest checkpoint of the best trial; None without one."""
        return self._results.best.checkpoint

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """The last report of each trial, by its id."""
        return {trial.id: trial.metrics for trial in self._results}

    @property
    def results_df(self) -> pd.DataFrame:
        """One row for each trial, at its last report."""
        return self._results.dataframe()

    @property
    def trial_dataframes(self) -> dict[str, pd.DataFrame]:
        """The reports of each trial as a frame, by its id."""
        return {trial.id: trial.curve for trial in self._results}

    def dataframe(self, metric: str | None = None, mode: Mode | None = None) -> pd.DataFrame:
        """One row for each trial: at its last report, or at the report with the best value of `metric`."""
        return self._results.dataframe(metric, mode)

    def get_all_configs(self) -> dict[str, Config]:
        """The configuration of each trial, by its id."""
        return {trial.id: trial.config for trial in self._results}

    def get_best_trial(self, metric: str | None = None, mode: Mode | None = None, scope: Scope = "last") -> TrialResult:
        """The best trial by one score for each trial; see `Results.best_trial`."""
        return self._results.best_trial(metric, mode, scope)

    def get_best_config(self, metric: str | None = None, mode: Mode | None = None, scope: Scope = "last") -> Config:
        """The configuration of the trial that `get_best_trial` returns."""
        return self.get_best_trial(metric, mode, scope).config

    def get_best_logdir(self, metric: str | None = None, mode: Mode | None = None, scope: Scope = "last") -> Path | str:
        """The folder of the trial that `get_best_trial` returns."""
        return self.get_best_trial(metric, mode, scope).path
