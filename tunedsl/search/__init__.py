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
from tunedsl.search.contract import (
    Exhausted,
    Observation,
    Proposal,
    Searcher,
    Takes,
    Wait,
    enrol,
    enrolled,
    searcher_of,
)
from tunedsl.search.random_search import RandomSearch, random_search
from tunedsl.search.sobol import Sobol, sobol
from tunedsl.search.tpe import Tpe, tpe

__all__ = [
    "BlendSearch",
    "Cfo",
    "CmaEs",
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
    "blendsearch",
    "cfo",
    "cmaes",
    "enrol",
    "enrolled",
    "hyperopt",
    "optuna",
    "random_search",
    "searcher_of",
    "sobol",
    "tpe",
]
