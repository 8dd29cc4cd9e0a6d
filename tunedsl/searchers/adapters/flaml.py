"""FLAML: CFO, a frugal local search, and BlendSearch, which starts local searches from a global one of Optuna.

Source: Wu, Wang and Huang, Frugal Optimization for Cost-related Hyperparameters, AAAI 2021; Wang et al., Economical
Hyperparameter Optimization with Blended Search Strategy, ICLR 2021.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic, must_be
from tunedsl.base.names import did_you_mean
from tunedsl.base.objective import Objective
from tunedsl.searchers.adapters.dimensions import Dimension, Point, dimensions, fill_missing
from tunedsl.searchers.adapters.libraries import (
    Library,
    LibraryContext,
    LibrarySpec,
    Options,
    PackageRequirement,
    decode_options,
    encode_options,
    register_library,
)
from tunedsl.searchers.adapters.optuna import quiet_optuna
from tunedsl.searchers.adapters.points import Losses, PointModel, start_points
from tunedsl.searchers.contract import Supports
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.space import Space
from tunedsl.spaces.unit_interval import contains

_OPTION_NAMES: Final = {
    "CFO": {"low_cost_partial_config", "cat_hp_cost"},
    "BlendSearch": {"low_cost_partial_config", "cat_hp_cost", "experimental"},
}
"""The library's other options come from the experiment: metric, space, seed, budgets, fidelities, earlier results."""

_LOGGERS: Final = ("flaml.tune.searcher.suggestion", "ray.tune.search.optuna.optuna_search")

_MAX_REPEATS: Final = 64
"""Limit of answers of a local search that its next point is a repeat."""


@value(repr=False)
class Cfo(LibrarySpec):
    """The spec of `cfo`."""

    options: Options = ()


@value(repr=False)
class BlendSearch(LibrarySpec):
    """The spec of `blendsearch`."""

    options: Options = ()


@check_arguments
def cfo(**options: Any) -> Cfo:
    """FLAML's cost-frugal local search, which starts at cheap configurations.

    Args:
        options: `low_cost_partial_config={"depth": 2}`, values by parameter name; `cat_hp_cost={"model": [1, 2]}`,
            a relative cost for each option.

    Raises:
        ArgumentError: for an option that is not data.

    Example:
        >>> cfo(low_cost_partial_config={"depth": 2})
        cfo(low_cost_partial_config={'depth': 2})
    """
    return Cfo(encode_options("cfo", options))


@check_arguments
def blendsearch(**options: Any) -> BlendSearch:
    """FLAML's local searches, started where a global search of Optuna finds promise.

    Args:
        options: those of `cfo`, and `experimental=True` for a multivariate global search.

    Raises:
        ArgumentError: for an option that is not data.

    Example:
        >>> blendsearch()
        blendsearch()
    """
    return BlendSearch(encode_options("blendsearch", options))


class _FlamlSearcher(PointModel):
    """The library's searcher; its trials are named by handles."""

    def __init__(self, name: str, spec: Cfo | BlendSearch, dims: Sequence[Dimension], context: LibraryContext) -> None:
        import optuna
        from flaml.tune.searcher import blendsearch as library

        self._dims = dims
        self._columns = [dim.name for dim in dims]
        self._keys = [f"config/{name}" for name in self._columns]
        self._names: dict[int, str] = {}
        options = decode_options(spec.options)
        cheap = options.pop("low_cost_partial_config", None)
        if cheap is not None:
            raws = {dim.name: dim.to_raw(cheap[dim.name]) for dim in dims if dim.name in cheap}
            options["low_cost_partial_config"] = raws
        space = {dim.name: _parameter(dim) for dim in dims}
        with quiet_optuna(optuna), _quiet_logging():
            make = getattr(library, name)
            self._searcher = make(metric="loss", mode="min", space=space, seed=context.seed, **options)

    def suggest(self, handle: int) -> Point | None:
        for attempt in range(_MAX_REPEATS):
            name = f"{handle}.{attempt}"
            suggestion = self._searcher.suggest(name)
            if suggestion is not None:
                self._names[handle] = name
                return [suggestion[column] for column in self._columns]
        return None

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        name = self._names.pop(handle, f"{handle}.0")
        if losses is None:
            self._searcher.on_trial_complete(name, None, error=True)
            return
        raws = fill_missing(self._dims, point) if None in point else point
        config = dict(zip(self._keys, raws, strict=True))
        self._searcher.on_trial_complete(name, {"loss": losses[0], "training_iteration": 1, **config})


@contextlib.contextmanager
def _quiet_logging() -> Iterator[None]:
    """Hides the messages of FLAML's global search, which is Ray Tune's where that is installed."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _parameter(dim: Dimension) -> Any:
    from flaml import tune

    if dim.kind == "choice":
        return tune.choice(list(range(dim.size)))
    if dim.kind == "int":
        return (tune.lograndint if dim.log else tune.randint)(int(dim.low), int(dim.high) + 1)
    return (tune.loguniform if dim.log else tune.uniform)(dim.low, dim.high)


def _library(constructor: str, name: str, noisy: Literal["at start", "throughout"]) -> Library:
    return Library(
        name=constructor,
        packages=(PackageRequirement("flaml", "flaml", "2.7"), PackageRequirement("optuna", "optuna", "5.0")),
        install="pip install 'tunedsl[flaml]'",
        supports=Supports.whole_space(),
        start=start_points(functools.partial(_FlamlSearcher, name), fill_failures=False),
        option_names=lambda spec: _OPTION_NAMES[name],
        noisy=noisy,
        check_compatibility=_check_compatibility,
        probe_count=lambda spec: 0,
    )


def _check_compatibility(spec: Any, space: Space, objectives: tuple[Objective, ...]) -> list[Diagnostic]:
    """Diagnostics of the options that have a value for each parameter."""
    known = {dim.name: dim for dim in dimensions(resolve_space(space))}
    options = decode_options(spec.options)
    diagnostics = []
    for option, expected, is_right in (
        ("low_cost_partial_config", "a value of", _is_value),
        ("cat_hp_cost", "a number for each option of", _are_costs),
    ):
        by_name = options.get(option) or {}
        if not isinstance(by_name, Mapping):
            diagnostics.append(_diagnostic(option, by_name, "a dict by the parameters' names"))
            continue
        for name, item in by_name.items():
            if name not in known:
                hint = did_you_mean(str(name), known)
                diagnostics.append(_diagnostic(option, name, f"one of {', '.join(known)}", hint))
            elif not is_right(known[name], item):
                expectation = f"{expected} {known[name].param.node!r}"
                diagnostics.append(_diagnostic(f"{option}[{name!r}]", item, expectation))
    return diagnostics


def _diagnostic(subject: str, item: Any, expected: str, hint: str = "") -> Diagnostic:
    return Diagnostic("E080", "searcher", must_be(f"flaml's {subject}", item, expected), hint)


def _is_value(dim: Dimension, item: Any) -> bool:
    return contains(dim.param.node, item)


def _are_costs(dim: Dimension, item: Any) -> bool:
    listed = dim.kind == "choice" and isinstance(item, (list, tuple)) and len(item) == dim.size
    return listed and all(isinstance(cost, (int, float)) and not isinstance(cost, bool) for cost in item)


register_library(Cfo, _library("cfo", "CFO", "at start"))
register_library(BlendSearch, _library("blendsearch", "BlendSearch", "throughout"))
