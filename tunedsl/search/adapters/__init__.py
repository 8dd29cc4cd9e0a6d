"""Searchers of other libraries, one library a file, all of one shape; `libraries` says which shape.

A library is an extra: it is imported when its searcher first works, and a missing one is a diagnostic.
"""

from tunedsl.search.adapters.cmaes import CmaEs, cmaes
from tunedsl.search.adapters.flaml import BlendSearch, Cfo, blendsearch, cfo
from tunedsl.search.adapters.hyperopt import HyperOpt, hyperopt
from tunedsl.search.adapters.optuna import Optuna, optuna

__all__ = ["BlendSearch", "Cfo", "CmaEs", "HyperOpt", "Optuna", "blendsearch", "cfo", "cmaes", "hyperopt", "optuna"]
