"""Searchers, which propose the configurations of trials. One algorithm per file.

Each file has a frozen spec, the function with which users write it, and the functions of the contract, registered for
the spec's class. Nothing here knows the journal, the life cycle of trials, or Ray.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunedsl.base.lazy_imports import lazy_attributes
from tunedsl.searchers.contract import (
    Exhausted,
    Observation,
    Proposal,
    Searcher,
    Supports,
    Wait,
    combinators,
    out_of_range,
    register_combinator,
    register_searcher,
    registered_searchers,
    searcher_of,
)

if TYPE_CHECKING:
    from tunedsl.searchers.adapters.ax import Ax, ax
    from tunedsl.searchers.adapters.bayesopt import BayesOpt, bayesopt
    from tunedsl.searchers.adapters.botorch import BoTorch, botorch
    from tunedsl.searchers.adapters.cmaes import CmaEs, cmaes
    from tunedsl.searchers.adapters.discontinued import Dragonfly, SigOpt, dragonfly, sigopt
    from tunedsl.searchers.adapters.flaml import BlendSearch, Cfo, blendsearch, cfo
    from tunedsl.searchers.adapters.hebo import Hebo, hebo
    from tunedsl.searchers.adapters.hyperopt import HyperOpt, hyperopt
    from tunedsl.searchers.adapters.nevergrad import Nevergrad, nevergrad
    from tunedsl.searchers.adapters.optuna import Optuna, optuna
    from tunedsl.searchers.adapters.skopt import SkOpt, skopt
    from tunedsl.searchers.adapters.smac import Smac, smac
    from tunedsl.searchers.auto import Auto, auto
    from tunedsl.searchers.bohb import Bohb, bohb
    from tunedsl.searchers.dedupe import Dedupe, dedupe
    from tunedsl.searchers.evolution import Evolution, evolution
    from tunedsl.searchers.gp import Gp, gp
    from tunedsl.searchers.limit import Limit, limit
    from tunedsl.searchers.per_grid_cell import PerGridCell, per_grid_cell
    from tunedsl.searchers.priorband import PriorBand, priorband
    from tunedsl.searchers.racing import Wilcoxon, wilcoxon
    from tunedsl.searchers.random_search import RandomSearch, random_search
    from tunedsl.searchers.repeat import Repeat, repeat
    from tunedsl.searchers.scored import Scored, scored
    from tunedsl.searchers.sobol import Sobol, sobol
    from tunedsl.searchers.switch import Switch, switch
    from tunedsl.searchers.table import table
    from tunedsl.searchers.tpe import Tpe, tpe
    from tunedsl.searchers.try_first import TryFirst, try_first
    from tunedsl.searchers.warm_start import PriorRun, WarmStart, WarmStarted, warm_start
    from tunedsl.searchers.with_results import KnownResult, WithResults, with_results
    from tunedsl.searchers.zoopt import Zoopt, zoopt

__all__ = [
    "Auto",
    "Ax",
    "BayesOpt",
    "BlendSearch",
    "BoTorch",
    "Bohb",
    "Cfo",
    "CmaEs",
    "Dedupe",
    "Dragonfly",
    "Evolution",
    "Exhausted",
    "Gp",
    "Hebo",
    "HyperOpt",
    "KnownResult",
    "Limit",
    "Nevergrad",
    "Observation",
    "Optuna",
    "PerGridCell",
    "PriorBand",
    "PriorRun",
    "Proposal",
    "RandomSearch",
    "Repeat",
    "Scored",
    "Searcher",
    "SigOpt",
    "SkOpt",
    "Smac",
    "Sobol",
    "Supports",
    "Switch",
    "Tpe",
    "TryFirst",
    "Wait",
    "WarmStart",
    "WarmStarted",
    "Wilcoxon",
    "WithResults",
    "Zoopt",
    "auto",
    "ax",
    "bayesopt",
    "blendsearch",
    "bohb",
    "botorch",
    "cfo",
    "cmaes",
    "combinators",
    "dedupe",
    "dragonfly",
    "evolution",
    "gp",
    "hebo",
    "hyperopt",
    "limit",
    "nevergrad",
    "optuna",
    "out_of_range",
    "per_grid_cell",
    "priorband",
    "random_search",
    "register_combinator",
    "register_searcher",
    "registered_searchers",
    "repeat",
    "scored",
    "searcher_of",
    "sigopt",
    "skopt",
    "smac",
    "sobol",
    "switch",
    "table",
    "tpe",
    "try_first",
    "warm_start",
    "wilcoxon",
    "with_results",
    "zoopt",
]

lazy_attributes(
    __name__,
    {
        "adapters.ax": "Ax ax",
        "adapters.bayesopt": "BayesOpt bayesopt",
        "adapters.botorch": "BoTorch botorch",
        "adapters.cmaes": "CmaEs cmaes",
        "adapters.discontinued": "Dragonfly SigOpt dragonfly sigopt",
        "adapters.flaml": "BlendSearch Cfo blendsearch cfo",
        "adapters.hebo": "Hebo hebo",
        "adapters.hyperopt": "HyperOpt hyperopt",
        "adapters.nevergrad": "Nevergrad nevergrad",
        "adapters.optuna": "Optuna optuna",
        "adapters.skopt": "SkOpt skopt",
        "adapters.smac": "Smac smac",
        "auto": "Auto auto",
        "bohb": "Bohb bohb",
        "dedupe": "Dedupe dedupe",
        "per_grid_cell": "PerGridCell per_grid_cell",
        "evolution": "Evolution evolution",
        "warm_start": "WarmStart WarmStarted PriorRun warm_start",
        "with_results": "WithResults KnownResult with_results",
        "gp": "Gp gp",
        "limit": "Limit limit",
        "priorband": "PriorBand priorband",
        "racing": "Wilcoxon wilcoxon",
        "random_search": "RandomSearch random_search",
        "repeat": "Repeat repeat",
        "scored": "Scored scored",
        "sobol": "Sobol sobol",
        "switch": "Switch switch",
        "table": "table",
        "tpe": "Tpe tpe",
        "try_first": "TryFirst try_first",
        "zoopt": "Zoopt zoopt",
    },
    values=True,
    tags={"WithResults": "Known", "WarmStart": "Warm", "PerGridCell": "EachCell", "BoTorch": "BoTorchGp"},
)
