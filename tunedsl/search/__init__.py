"""Searchers: what proposes the configurations of trials. One algorithm a file.

Each file holds a frozen spec, the function by which users write it, and the functions that `contract`
names, enrolled under the spec's class. Nothing here knows the journal, the trial's life or Ray.
"""

from tunedsl.search.adapters import (
    BlendSearch,
    Cfo,
    CmaEs,
    HyperOpt,
    Optuna,
    blendsearch,
    cfo,
    cmaes,
    hyperopt,
    optuna,
)
from tunedsl.search.bohb import Bohb, bohb
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
from tunedsl.search.evolution import Evolution, evolution
from tunedsl.search.random_search import RandomSearch, random_search
from tunedsl.search.sobol import Sobol, sobol
from tunedsl.search.tpe import Tpe, tpe
from tunedsl.search.zoopt import Zoopt, zoopt

__all__ = [
    "BlendSearch",
    "Bohb",
    "Cfo",
    "CmaEs",
    "Evolution",
    "Exhausted",
    "HyperOpt",
    "Observation",
    "Optuna",
    "Proposal",
    "RandomSearch",
    "Searcher",
    "Sobol",
    "Takes",
    "Tpe",
    "Wait",
    "Zoopt",
    "blendsearch",
    "bohb",
    "cfo",
    "cmaes",
    "combinators",
    "enrol",
    "enrol_combinator",
    "enrolled",
    "evolution",
    "hyperopt",
    "optuna",
    "out_of_range",
    "random_search",
    "searcher_of",
    "sobol",
    "tpe",
    "zoopt",
]
