"""Searchers of other libraries, one library a file, all of one shape; `libraries` says which shape.

A library is an extra: it is imported when its searcher first works, and a missing one is a diagnostic.
"""

from tunedsl.search.adapters.ax import Ax, ax
from tunedsl.search.adapters.bayesopt import BayesOpt, bayesopt
from tunedsl.search.adapters.cmaes import CmaEs, cmaes
from tunedsl.search.adapters.flaml import BlendSearch, Cfo, blendsearch, cfo
from tunedsl.search.adapters.gone import Dragonfly, SigOpt, dragonfly, sigopt
from tunedsl.search.adapters.gp import BoTorchGp, gp
from tunedsl.search.adapters.hebo import Hebo, hebo
from tunedsl.search.adapters.hyperopt import HyperOpt, hyperopt
from tunedsl.search.adapters.nevergrad import Nevergrad, nevergrad
from tunedsl.search.adapters.optuna import Optuna, optuna
from tunedsl.search.adapters.skopt import SkOpt, skopt
from tunedsl.search.adapters.smac import Smac, smac

__all__ = [
    "Ax",
    "BayesOpt",
    "BlendSearch",
    "BoTorchGp",
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
    "cfo",
    "cmaes",
    "dragonfly",
    "gp",
    "hebo",
    "hyperopt",
    "nevergrad",
    "optuna",
    "sigopt",
    "skopt",
    "smac",
]
