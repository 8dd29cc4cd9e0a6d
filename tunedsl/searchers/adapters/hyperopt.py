"""Hyperopt: its `suggest` functions over its trial documents; a parameter that does not exist has no value there.

So its densities are of those trials alone that had the parameter, as with its own conditional spaces.
Source: Bergstra, Yamins and Cox, Making a Science of Model Search, ICML 2013.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Sequence
from typing import Any, Final

from tunedsl.base import keys
from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError
from tunedsl.base.names import did_you_mean
from tunedsl.searchers.adapters.dimensions import Dimension, Point, dimensions
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
    probes_until_model,
    register_library,
)
from tunedsl.searchers.adapters.points import Losses, PointOptimizer
from tunedsl.searchers.contract import Supports

ALGORITHMS: Final = ("tpe", "anneal", "rand")


@value(repr=False)
class HyperOpt:
    """The spec of `hyperopt`."""

    algorithm: str = "tpe"
    options: Options = ()

    def __repr__(self) -> str:
        return library_call_repr("hyperopt", self.options, algorithm=self.algorithm)


@check_arguments
def hyperopt(algorithm: str = "tpe", **options: Any) -> HyperOpt:
    """Hyperopt's tree of Parzen estimators, annealing or random search.

    Args:
        algorithm: `tpe`, `anneal` or `rand`.
        options: of the algorithm's `suggest`, such as `n_startup_jobs=10` or `gamma=0.25`.

    Raises:
        ArgumentError: for an algorithm that is none of these, or an option that is no data.

    Example:
        >>> hyperopt(gamma=0.3)
        hyperopt(algorithm='tpe', gamma=0.3)
    """
    if algorithm not in ALGORITHMS:
        expected = f"one of {', '.join(ALGORITHMS)}"
        hint = did_you_mean(str(algorithm), ALGORITHMS)
        raise ArgumentError("E003", "hyperopt.algorithm", repr(algorithm), expected, hint)
    return HyperOpt(algorithm, encode_options("hyperopt", options))


class _HyperOptTrials:
    """Hyperopt's documents of what was tried; ids are handles."""

    def __init__(self, dims: Sequence[Dimension], suggest: Any, seed: int) -> None:
        from hyperopt import Trials
        from hyperopt.base import Domain

        self._names = [dim.name for dim in dims]
        self._domain = Domain(_identity, {dim.name: _parameter(dim) for dim in dims})
        self._trials = Trials()
        self._suggest = suggest
        self._generator = keys.generator(seed)
        self._documents: dict[int, Any] = {}
        self._suggested: Any = None

    def suggest(self, handle: int) -> Point:
        seed = int(self._generator.integers(MAX_SEED))
        (self._suggested,) = self._suggest([handle], self._domain, self._trials, seed)
        found = self._suggested["misc"]["vals"]
        return [found[name][0] for name in self._names]

    def settle(self, handle: int, point: Point) -> None:
        document = self._documents.get(handle)
        if document is None:
            document = self._suggested
            if document is None or document["tid"] != handle:  # adopted; any document will do as a form
                (document,) = importlib.import_module("hyperopt.rand").suggest([handle], self._domain, self._trials, 0)
            self._write(document, point)
            self._trials.insert_trial_doc(document)
            self._trials.refresh()
            self._documents[handle] = self._trials._dynamic_trials[-1]
        else:
            self._write(document, point)

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        document = self._documents.pop(handle)
        document["state"] = 2  # JOB_STATE_DONE
        document["result"] = {"status": "fail"} if losses is None else {"status": "ok", "loss": losses[0]}
        self._trials.refresh()

    def _write(self, document: Any, point: Point) -> None:
        misc = document["misc"]
        for name, raw in zip(self._names, point, strict=True):
            misc["vals"][name] = [] if raw is None else [raw]
            misc["idxs"][name] = [] if raw is None else [document["tid"]]


def _identity(config: Any) -> Any:
    return config


def _parameter(dim: Dimension) -> Any:
    from hyperopt import hp

    if dim.kind == "choice":
        return hp.choice(dim.name, list(range(dim.size)))
    if dim.kind == "float":
        if dim.log:
            return hp.loguniform(dim.name, math.log(dim.low), math.log(dim.high))
        return hp.uniform(dim.name, dim.low, dim.high)
    if dim.log:
        return hp.qloguniform(dim.name, math.log(dim.low - 0.5), math.log(dim.high + 0.5), 1)
    return hp.uniformint(dim.name, dim.low, dim.high)


def _start(spec: HyperOpt, context: LibraryContext) -> PointOptimizer:
    suggest = _suggest_function(spec)
    options = decode_options(spec.options)
    if "verbose" in keyword_names(suggest):
        options.setdefault("verbose", False)
    dims = dimensions(context.layout)
    chosen = functools.partial(suggest, **options)
    return PointOptimizer(context, dims, lambda: _HyperOptTrials(dims, chosen, context.seed), fill_failures=False)


def _suggest_function(spec: HyperOpt) -> Any:
    return importlib.import_module(f"hyperopt.{spec.algorithm}").suggest


def _option_names(spec: HyperOpt) -> set[str]:
    return keyword_names(_suggest_function(spec), exclude=("new_ids", "domain", "trials", "seed"))


register_library(
    HyperOpt,
    Library(
        name="hyperopt",
        packages=(PackageRequirement("hyperopt", "hyperopt", "0.3"),),
        install="pip install 'tunedsl[hyperopt]'",
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
        probe_count=lambda spec: probes_until_model(spec, "n_startup_jobs", 20),
    ),
)
