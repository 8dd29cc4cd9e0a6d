"""Searchers: what proposes the configurations of trials. One algorithm a file.

Each file holds a frozen spec, the function by which users write it, and the functions that `contract`
names, enrolled under the spec's class. Nothing here knows the journal, the trial's life or Ray.
"""

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

__all__ = [
    "Exhausted",
    "Observation",
    "Proposal",
    "RandomSearch",
    "Searcher",
    "Sobol",
    "Takes",
    "Wait",
    "enrol",
    "enrolled",
    "random_search",
    "searcher_of",
    "sobol",
]
