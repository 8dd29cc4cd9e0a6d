"""A simulated cluster that hunts for bugs, the laws that hold in it, and suites for policies of one's own."""

from tunedsl.testing.bowl import Bowl
from tunedsl.testing.faults import Fault, Faults, faults
from tunedsl.testing.invariants import LAWS, LAWS_OF_THE_END, Broken, Ending, Passage
from tunedsl.testing.scenarios import SCHEDULERS, SEARCHERS, Scenario, scenario
from tunedsl.testing.schedulers import World, scheduler_suite
from tunedsl.testing.searchers import searcher_suite
from tunedsl.testing.stage import Cluster, Outcome, cluster

__all__ = [
    "LAWS",
    "LAWS_OF_THE_END",
    "SCHEDULERS",
    "SEARCHERS",
    "Bowl",
    "Broken",
    "Cluster",
    "Ending",
    "Fault",
    "Faults",
    "Outcome",
    "Passage",
    "Scenario",
    "World",
    "cluster",
    "faults",
    "scenario",
    "scheduler_suite",
    "searcher_suite",
]
