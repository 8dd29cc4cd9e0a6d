"""A simulated cluster that hunts for bugs, the laws that hold in it, and suites for policies of one's own."""

from tunedsl.testing.bowl import Bowl
from tunedsl.testing.endings import LAWS_OF_THE_END, Ending
from tunedsl.testing.faults import Fault, Faults, faults
from tunedsl.testing.golden import GoldenError, check_golden, first_difference
from tunedsl.testing.invariants import LAWS, Broken, Passage
from tunedsl.testing.scenarios import SCHEDULERS, SEARCHERS, Scenario, scenario
from tunedsl.testing.schedulers import scheduler_suite
from tunedsl.testing.searchers import searcher_suite
from tunedsl.testing.stage import Cluster, Outcome, cluster
from tunedsl.testing.world import World

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
    "GoldenError",
    "Outcome",
    "Passage",
    "Scenario",
    "World",
    "check_golden",
    "cluster",
    "faults",
    "first_difference",
    "scenario",
    "scheduler_suite",
    "searcher_suite",
]
