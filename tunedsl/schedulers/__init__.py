"""Schedulers, which decide from reports which trials continue. One algorithm per file, all pure functions.

Nothing here reads a clock, a file or a global generator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunedsl.base import codec
from tunedsl.base.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from tunedsl.schedulers.asha import Asha, asha
    from tunedsl.schedulers.asha_promote import AshaPromote, asha_promote
    from tunedsl.schedulers.compatibility import table
    from tunedsl.schedulers.distribution import Distribute, DistributeToTop, distribute, distribute_to_top
    from tunedsl.schedulers.fifo import Fifo, fifo
    from tunedsl.schedulers.hyperband import Hyperband, hyperband
    from tunedsl.schedulers.median_stopping import MedianStopping, median_stopping
    from tunedsl.schedulers.pareto_ranking import EpsilonNet, Nondominated, epsilon_net, nondominated
    from tunedsl.schedulers.pasha import Pasha, pasha
    from tunedsl.schedulers.pb2 import Pb2, pb2
    from tunedsl.schedulers.pbt import Pbt, pbt
    from tunedsl.schedulers.pbt_replay import PbtReplay, pbt_replay
    from tunedsl.schedulers.resource_changing import ResourceChanging, resource_changing

__all__ = [
    "Asha",
    "AshaPromote",
    "Distribute",
    "DistributeToTop",
    "EpsilonNet",
    "Fifo",
    "Hyperband",
    "MedianStopping",
    "Nondominated",
    "Pasha",
    "Pb2",
    "Pbt",
    "PbtReplay",
    "ResourceChanging",
    "asha",
    "asha_promote",
    "distribute",
    "distribute_to_top",
    "epsilon_net",
    "fifo",
    "hyperband",
    "median_stopping",
    "nondominated",
    "pasha",
    "pb2",
    "pbt",
    "pbt_replay",
    "resource_changing",
    "table",
]

lazy_attributes(
    __name__,
    {
        "asha": "Asha asha",
        "asha_promote": "AshaPromote asha_promote",
        "compatibility": "table",
        "distribution": "Distribute DistributeToTop distribute distribute_to_top",
        "fifo": "Fifo fifo",
        "hyperband": "Hyperband hyperband",
        "median_stopping": "MedianStopping median_stopping",
        "pareto_ranking": "EpsilonNet Nondominated epsilon_net nondominated",
        "pasha": "Pasha pasha",
        "pb2": "Pb2 pb2",
        "pbt": "Pbt pbt",
        "pbt_replay": "PbtReplay pbt_replay",
        "resource_changing": "ResourceChanging resource_changing",
    },
    values=True,
)
# Values inside the specs, which data names too.
codec.register_lazy_values("tunedsl.schedulers.perturb", "Mutations")
codec.register_lazy_values("tunedsl.schedulers.pb2", "Bounds")
