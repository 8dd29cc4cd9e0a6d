"""Schedulers: which trials go on, decided from their reports. One algorithm a file, all of one shape, all pure.

`contract` is the shape; `rung` the data structure that several algorithms compare trials with. What lives here never
reads a clock, a file or a global generator.
"""

from tunedsl.schedule.asha import Asha, asha
from tunedsl.schedule.fifo import Fifo, fifo
from tunedsl.schedule.hyperband import Hyperband, hyperband
from tunedsl.schedule.pbt import Pbt, pbt
from tunedsl.schedule.pbt_replay import PbtReplay, pbt_replay

__all__ = [
    "Asha",
    "Fifo",
    "Hyperband",
    "Pbt",
    "PbtReplay",
    "asha",
    "fifo",
    "hyperband",
    "pbt",
    "pbt_replay",
]
