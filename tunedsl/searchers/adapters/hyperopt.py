"""Hyperopt: its `suggest` functions over its trial documents; a parameter that does not exist has no value there.

So the density of a parameter uses only trials that have it, as in the library's own conditional spaces.
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
from tunedsl.searchers.adapters.dimensions import Dimension, Point
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
    probes_until_model,
    register_library,
)
from tunedsl.searchers.adapters.points import Losses, PointModel, start_points
from tunedsl.searchers.contract import Supports

ALGORITHMS: Final = ("tpe", "anneal", "rand")


@value(repr=False)
class HyperOpt(LibrarySpec):
    """The spec of `hyperopt`."""

    algorithm: str = "tpe"
    options: Options = ()


@check_arguments
def hyperopt(algorithm: str = "tpe", **options: Any) -> HyperOpt:
    """Hyperopt's tree of Parzen estimators, annealing or random search.

    Args:
        algorithm: `tpe`, `anneal` or `rand`.
        options: keyword arguments of the algorithm's `suggest` function, such as `n_startup_jobs=10` or `gamma=0.25`.

    Raises:
        ArgumentError: for an algorithm that is not one of these, or an option that is not data.

    Example:
        >>> hyperopt(gamma=0.3)
        hyperopt(algorithm='tpe', gamma=0.3)
    """
    algorithm = as_option("hyperopt.algorithm", algorithm, ALGORITHMS)
    return HyperOpt(algorithm, encode_options("hyperopt", options))


class _HyperOptTrials(PointModel):
    """Hyperopt's trial documents; their ids are handles."""

    def __init__(self, spec: HyperOpt, dims: Sequence[Dimension], context: LibraryContext) -> None:
        from hyperopt import Trials
        from hyperopt.base import Domain

        self._names = [dim.name for dim in dims]
        self._domain = Domain(_identity, {dim.name: _parameter(dim) for dim in dims})
        self._trials = Trials()
        suggest, options = _suggest_function(spec), decode_options(spec.options)
        if "verbose" in keyword_names(suggest):
            options.setdefault("verbose", False)
        self._suggest = functools.partial(suggest, **options)
        self._generator = keys.generator(context.seed)
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
            if document is None or document["tid"] != handle:  # forced: any document serves as a template
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
        supports=Supports.whole_space(),
        start=start_points(_HyperOptTrials, fill_failures=False),
        option_names=_option_names,
        probe_count=lambda spec: probes_until_model(spec, "n_startup_jobs", 20),
    ),
)
