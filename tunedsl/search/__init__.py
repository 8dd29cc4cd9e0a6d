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
    "BlendSearch",
    "Bohb",
    "Cfo",
    "CmaEs",
    "Dedupe",
    "EachCell",
    "Evolution",
    "Exhausted",
    "HyperOpt",
    "Known",
    "KnownResult",
    "Limit",
    "Observation",
    "Optuna",
    "Proposal",
    "RandomSearch",
    "Repeat",
    "Scored",
    "Searcher",
    "Sobol",
    "Switch",
    "Takes",
    "Tpe",
    "TryFirst",
    "Wait",
    "Warm",
    "Zoopt",
    "blendsearch",
    "bohb",
    "cfo",
    "cmaes",
    "combinators",
    "dedupe",
    "each_cell",
    "enrol",
    "enrol_combinator",
    "enrolled",
    "evolution",
    "hyperopt",
    "known",
    "limit",
    "optuna",
    "out_of_range",
    "random_search",
    "repeat",
    "scored",
    "searcher_of",
    "sobol",
    "switch",
    "table",
    "tpe",
    "try_first",
    "warm",
    "zoopt",
]
