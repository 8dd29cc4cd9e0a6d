"""A simulated cluster that hunts for bugs, the laws that hold in it, and suites for policies of one's own."""

from tunedsl.testing.bowl import Bowl
from tunedsl.testing.cluster.cluster import Cluster, ClusterOutcome, cluster
from tunedsl.testing.cluster.faults import Fault, Faults, faults
from tunedsl.testing.final_invariants import FINAL_INVARIANTS, FinishedRun
from tunedsl.testing.golden import GoldenError, check_golden, first_difference
from tunedsl.testing.invariants import INVARIANTS, InvariantViolated, Step
from tunedsl.testing.scenarios import SCHEDULERS, SEARCHERS, Scenario, scenario
from tunedsl.testing.scheduler_harness import SchedulerHarness
from tunedsl.testing.schedulers import scheduler_suite
from tunedsl.testing.searchers import searcher_suite

__all__ = [
    "INVARIANTS",
    "FINAL_INVARIANTS",
    "SCHEDULERS",
    "SEARCHERS",
    "Bowl",
    "InvariantViolated",
    "Cluster",
    "FinishedRun",
    "Fault",
    "Faults",
    "GoldenError",
    "ClusterOutcome",
    "Step",
    "Scenario",
    "SchedulerHarness",
    "check_golden",
    "cluster",
    "faults",
    "first_difference",
    "scenario",
    "scheduler_suite",
    "searcher_suite",
]
