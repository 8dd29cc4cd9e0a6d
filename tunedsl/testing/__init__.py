"""A simulated cluster with fault injection, the invariants that hold in it, and test suites for custom policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunedsl.base.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from tunedsl.testing.bowl import Bowl
    from tunedsl.testing.final_invariants import FINAL_INVARIANTS, FinishedRun
    from tunedsl.testing.golden import GoldenError, check_golden, first_difference
    from tunedsl.testing.invariants import INVARIANTS, InvariantViolated, Step
    from tunedsl.testing.scenarios import SCHEDULERS, SEARCHERS, Scenario, scenario
    from tunedsl.testing.scheduler_harness import SchedulerHarness
    from tunedsl.testing.schedulers import scheduler_suite
    from tunedsl.testing.searchers import searcher_suite
    from tunedsl.testing.simulation.cluster import Cluster, ClusterOutcome, cluster
    from tunedsl.testing.simulation.faults import Fault, Faults, faults

__all__ = [
    "FINAL_INVARIANTS",
    "INVARIANTS",
    "SCHEDULERS",
    "SEARCHERS",
    "Bowl",
    "Cluster",
    "ClusterOutcome",
    "Fault",
    "Faults",
    "FinishedRun",
    "GoldenError",
    "InvariantViolated",
    "Scenario",
    "SchedulerHarness",
    "Step",
    "check_golden",
    "cluster",
    "faults",
    "first_difference",
    "scenario",
    "scheduler_suite",
    "searcher_suite",
]

lazy_attributes(
    __name__,
    {
        "bowl": "Bowl",
        "final_invariants": "FINAL_INVARIANTS FinishedRun",
        "golden": "GoldenError check_golden first_difference",
        "invariants": "INVARIANTS InvariantViolated Step",
        "scenarios": "SCHEDULERS SEARCHERS Scenario scenario",
        "scheduler_harness": "SchedulerHarness",
        "schedulers": "scheduler_suite",
        "searchers": "searcher_suite",
        "simulation.cluster": "Cluster ClusterOutcome cluster",
        "simulation.faults": "Fault Faults faults",
    },
)
