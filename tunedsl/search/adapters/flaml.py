"""FLAML: CFO, a frugal local search, and BlendSearch, which starts local searches from a global one of Optuna.

Source: Wu, Wang and Huang, Frugal Optimization for Cost-related Hyperparameters, AAAI 2021; Wang et al., Economical
Hyperparameter Optimization with Blended Search Strategy, ICLR 2021.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final, Literal

from tunedsl.base.arguments import checked
from tunedsl.base.codec import value
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
from tunedsl.search.adapters.points import Losses, Points
from tunedsl.search.contract import Takes

_ACCEPTS: Final = {
    "CFO": {"low_cost_partial_config", "cat_hp_cost"},
    "BlendSearch": {"low_cost_partial_config", "cat_hp_cost", "experimental"},
}
"""What is left when metric, space, seed, budgets, fidelities and earlier results come from the experiment."""

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
        from flaml.tune.searcher import blendsearch as library

        self._dims = dims
        self._columns = [dim.name for dim in dims]
        self._keys = [f"config/{name}" for name in self._columns]
        self._names: dict[int, str] = {}
        cheap = options.pop("low_cost_partial_config", None)
        if cheap is not None:
            known = [dim for dim in dims if dim.name in cheap]
            options["low_cost_partial_config"] = {dim.name: dim.raw(cheap[dim.name]) for dim in known}
        space = {dim.name: _parameter(dim) for dim in dims}
        self._object = getattr(library, name)(metric="loss", mode="min", space=space, seed=seed, **options)

    def waits(self) -> bool:
        return False

    def suggest(self, handle: int) -> Point | None:
        for attempt in range(_PATIENCE):
            name = f"{handle}.{attempt}"
            found = self._object.suggest(name)
            if found is not None:
                self._names[handle] = name
                return [found[name] for name in self._columns]
        return None

    def settle(self, handle: int, point: Point) -> None:
        """The library keeps what it proposed, and hears with the losses what became of it."""

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        name = self._names.pop(handle, f"{handle}.0")
        if losses is None:
            self._object.on_trial_complete(name, None, error=True)
            return
        raws = filled(self._dims, point) if None in point else point
        config = dict(zip(self._keys, raws, strict=True))
        self._object.on_trial_complete(name, {"loss": losses[0], "training_iteration": 1, **config})


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
    library = Library(face, packages, install, takes, start, accepts=lambda _: _ACCEPTS[name], noisy=noisy)
    enrol_library(spec, library)


_enrol(Cfo, "cfo", "CFO", "at start")
_enrol(BlendSearch, "blendsearch", "BlendSearch", "throughout")
