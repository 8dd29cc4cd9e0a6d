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

from tunedsl.base.arguments import checked
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.names import did_you_mean
from tunedsl.base.objective import Objective
from tunedsl.search.adapters.dimensions import Dimension, Point, dimensions, filled
from tunedsl.search.adapters.libraries import (
    Library,
    Options,
    Package,
    Setting,
    enrol_library,
    live_options,
    options_of,
    spelled,
)
from tunedsl.search.adapters.optuna import silent
from tunedsl.search.adapters.points import Losses, Points
from tunedsl.search.contract import Takes
from tunedsl.space.layout import lower
from tunedsl.space.space import Space
from tunedsl.space.units import contains

_ACCEPTS: Final = {
    "CFO": {"low_cost_partial_config", "cat_hp_cost"},
    "BlendSearch": {"low_cost_partial_config", "cat_hp_cost", "experimental"},
}
"""What is left when metric, space, seed, budgets, fidelities and earlier results come from the experiment."""

_LOGGERS: Final = ("flaml.tune.searcher.suggestion", "ray.tune.search.optuna.optuna_search")

_PATIENCE: Final = 64
"""How often a local search may answer that it has tried its next point already."""


@value(repr=False)
class Cfo:
    """The spec of `cfo`."""

    options: Options = ()

    def __repr__(self) -> str:
        return spelled("cfo", self.options)


@value(repr=False)
class BlendSearch:
    """The spec of `blendsearch`."""

    options: Options = ()

    def __repr__(self) -> str:
        return spelled("blendsearch", self.options)


@checked
def cfo(**options: Any) -> Cfo:
    """FLAML's cost-frugal local search, which starts at cheap configurations.

    Args:
        options: `low_cost_partial_config={"depth": 2}`, values by parameter name; `cat_hp_cost={"model": [1, 2]}`,
            a relative cost for each option.

    Raises:
        ArgumentError: for an option that is no data.

    Example:
        >>> cfo(low_cost_partial_config={"depth": 2})
        cfo(low_cost_partial_config={'depth': 2})
    """
    return Cfo(options_of("cfo", options))


@checked
def blendsearch(**options: Any) -> BlendSearch:
    """FLAML's local searches, started where a global search of Optuna finds promise.

    Args:
        options: as of `cfo`, and `experimental=True` for a multivariate global search.

    Raises:
        ArgumentError: for an option that is no data.

    Example:
        >>> blendsearch()
        blendsearch()
    """
    return BlendSearch(options_of("blendsearch", options))


class _Local:
    """The library's searcher; its trials are called by their handle."""

    def __init__(self, name: str, dims: Sequence[Dimension], options: dict[str, Any], seed: int) -> None:
        import optuna
        from flaml.tune.searcher import blendsearch as library

        self._dims = dims
        self._columns = [dim.name for dim in dims]
        self._keys = [f"config/{name}" for name in self._columns]
        self._names: dict[int, str] = {}
        cheap = options.pop("low_cost_partial_config", None)
        if cheap is not None:
            given = [dim for dim in dims if dim.name in cheap]
            options["low_cost_partial_config"] = {dim.name: dim.raw(cheap[dim.name]) for dim in given}
        space = {dim.name: _parameter(dim) for dim in dims}
        with silent(optuna), _silent():
            self._object = getattr(library, name)(metric="loss", mode="min", space=space, seed=seed, **options)

    def suggest(self, handle: int) -> Point | None:
        for attempt in range(_PATIENCE):
            name = f"{handle}.{attempt}"
            found = self._object.suggest(name)
            if found is not None:
                self._names[handle] = name
                return [found[name] for name in self._columns]
        return None

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        name = self._names.pop(handle, f"{handle}.0")
        if losses is None:
            self._object.on_trial_complete(name, None, error=True)
            return
        raws = filled(self._dims, point) if None in point else point
        config = dict(zip(self._keys, raws, strict=True))
        self._object.on_trial_complete(name, {"loss": losses[0], "training_iteration": 1, **config})


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """No word of FLAML's global search, which it takes from Ray Tune where that is installed."""
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


def _enrol(spec: type, face: str, name: str, noisy: Literal["at start", "throughout"]) -> None:
    def start(written: Any, setting: Setting) -> Points:
        dims = dimensions(setting.layout)
        make = functools.partial(_Local, name, dims, live_options(written.options), setting.seed)
        return Points(setting, dims, make, worst=False)

    takes = Takes(
        conditions=True,
        log=True,
        quantised=True,
        integer=True,
        categorical=True,
        constraints=True,
        objectives=1,
        intermediate=False,
        pending=True,
    )
    packages = (Package("flaml", "flaml", "2.7"), Package("optuna", "optuna", "5.0"))
    install = "pip install 'tunedsl[flaml]'"
    library = Library(
        face,
        packages,
        install,
        takes,
        start,
        accepts=lambda _: _ACCEPTS[name],
        noisy=noisy,
        fits=_fits,
        tried=lambda spec: 0,
    )
    enrol_library(spec, library)


def _fits(spec: Any, space: Space, objectives: tuple[Objective, ...]) -> list[Diagnostic]:
    """The options by parameter that do not go with the space."""
    known = {dim.name: dim for dim in dimensions(lower(space))}
    options = live_options(spec.options)
    found = []
    for option, expected, is_right in (
        ("low_cost_partial_config", "a value of", _is_value),
        ("cat_hp_cost", "a number for each option of", _are_costs),
    ):
        given = options.get(option) or {}
        if not isinstance(given, Mapping):
            found.append(_fault(option, given, "a dict by the parameters' names"))
            continue
        for name, item in given.items():
            if name not in known:
                hint = did_you_mean(str(name), known)
                found.append(_fault(option, name, f"one of {', '.join(known)}", hint))
            elif not is_right(known[name], item):
                found.append(_fault(f"{option}[{name!r}]", item, f"{expected} {known[name].leaf.node!r}"))
    return found


def _fault(what: str, given: Any, expected: str, hint: str = "") -> Diagnostic:
    return Diagnostic("E080", "searcher", f"{what}: {given!r}", expected, hint)


def _is_value(dim: Dimension, item: Any) -> bool:
    return contains(dim.leaf.node, item)


def _are_costs(dim: Dimension, item: Any) -> bool:
    listed = dim.kind == "choice" and isinstance(item, (list, tuple)) and len(item) == dim.size
    return listed and all(isinstance(cost, (int, float)) and not isinstance(cost, bool) for cost in item)


_enrol(Cfo, "cfo", "CFO", "at start")
_enrol(BlendSearch, "blendsearch", "BlendSearch", "throughout")
