"""Searchers: what proposes the configurations of trials. One algorithm a file.

Each file holds a frozen spec, the function by which users write it, and the functions that `contract`
names, enrolled under the spec's class. Nothing here knows the journal, the trial's life or Ray.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunedsl.base.late import late
from tunedsl.search.contract import (
    Exhausted,
    Observation,
    Proposal,
    Searcher,
    Takes,
    Wait,
    combinators,
    enrol,
    enrol_combinator,
    enrolled,
    out_of_range,
    searcher_of,
)

if TYPE_CHECKING:
    from tunedsl.search.adapters import (
        Ax,
        BayesOpt,
        BlendSearch,
        BoTorchGp,
        Cfo,
        CmaEs,
        Dragonfly,
        Hebo,
        HyperOpt,
        Nevergrad,
        Optuna,
        SigOpt,
        SkOpt,
        Smac,
        ax,
        bayesopt,
        blendsearch,
        cfo,
        cmaes,
        dragonfly,
        gp,
        hebo,
        hyperopt,
        nevergrad,
        optuna,
        sigopt,
        skopt,
        smac,
    )
    from tunedsl.search.bohb import Bohb, bohb
    from tunedsl.search.dedupe import Dedupe, dedupe
    from tunedsl.search.each_cell import EachCell, each_cell
    from tunedsl.search.evolution import Evolution, evolution
    from tunedsl.search.known import Known, KnownResult, Warm, known, warm
    from tunedsl.search.limit import Limit, limit
    from tunedsl.search.random_search import RandomSearch, random_search
    from tunedsl.search.repeat import Repeat, repeat
    from tunedsl.search.scored import Scored, scored
    from tunedsl.search.sobol import Sobol, sobol
    from tunedsl.search.switch import Switch, switch
    from tunedsl.search.table import table
    from tunedsl.search.tpe import Tpe, tpe
    from tunedsl.search.try_first import TryFirst, try_first
    from tunedsl.search.zoopt import Zoopt, zoopt

__all__ = [
    "Ax",
    "BayesOpt",
    "BlendSearch",
    "BoTorchGp",
    "Bohb",
    "Cfo",
    "CmaEs",
    "Dedupe",
    "Dragonfly",
    "EachCell",
    "Evolution",
    "Exhausted",
    "Hebo",
    "HyperOpt",
    "Known",
    "KnownResult",
    "Limit",
    "Nevergrad",
    "Observation",
    "Optuna",
    "Proposal",
    "RandomSearch",
    "Repeat",
    "Scored",
    "Searcher",
    "SigOpt",
    "SkOpt",
    "Smac",
    "Sobol",
    "Switch",
    "Takes",
    "Tpe",
    "TryFirst",
    "Wait",
    "Warm",
    "Zoopt",
    "ax",
    "bayesopt",
    "blendsearch",
    "bohb",
    "cfo",
    "cmaes",
    "combinators",
    "dedupe",
    "dragonfly",
    "each_cell",
    "enrol",
    "enrol_combinator",
    "enrolled",
    "evolution",
    "gp",
    "hebo",
    "hyperopt",
    "known",
    "limit",
    "nevergrad",
    "optuna",
    "out_of_range",
    "random_search",
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
    "warm",
    "zoopt",
]

late(
    __name__,
    {
        "adapters": "Ax BayesOpt BlendSearch BoTorchGp Cfo CmaEs Dragonfly Hebo HyperOpt Nevergrad Optuna SigOpt SkOpt "
        "Smac ax bayesopt blendsearch cfo cmaes dragonfly gp hebo hyperopt nevergrad optuna sigopt skopt smac",
        "bohb": "Bohb bohb",
        "dedupe": "Dedupe dedupe",
        "each_cell": "EachCell each_cell",
        "evolution": "Evolution evolution",
        "known": "Known KnownResult Warm known warm",
        "limit": "Limit limit",
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
)
