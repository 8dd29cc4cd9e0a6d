"""Searchers of other libraries, one library per file; `libraries` has their common base.

Each library is an extra: it is imported when its searcher is first used, and a missing one is a diagnostic.
"""

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

__all__ = [
    "Ax",
    "BayesOpt",
    "BlendSearch",
    "BoTorch",
    "Cfo",
    "CmaEs",
    "Dragonfly",
    "Hebo",
    "HyperOpt",
    "Nevergrad",
    "Optuna",
    "SigOpt",
    "SkOpt",
    "Smac",
    "ax",
    "bayesopt",
    "blendsearch",
    "botorch",
    "cfo",
    "cmaes",
    "dragonfly",
    "hebo",
    "hyperopt",
    "nevergrad",
    "optuna",
    "sigopt",
    "skopt",
    "smac",
]
