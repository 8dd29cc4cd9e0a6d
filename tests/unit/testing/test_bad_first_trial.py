"""The suites find policies that a bad first trial blocks permanently."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from typing import Any

import pytest

from tunedsl.base.codec import value
from tunedsl.base.keys import uniform as draw
from tunedsl.schedulers import contract as schedule
from tunedsl.schedulers.contract import DecisionResult, Report
from tunedsl.searchers import contract as search
from tunedsl.searchers.contract import Observation
from tunedsl.spaces import Space, uniform
from tunedsl.testing import schedulers, searchers
from tunedsl.testing.invariants import InvariantViolated

SPACE = Space.of({"x": uniform(0, 1)})

State = tuple[tuple[int, float], ...]


@value
class Mean:
    """Stops a trial that is worse than the mean of all reports at that iteration."""

    counts: str = "all"
    """Which reports count: `all`, those that are no `number`, or the `finite` ones."""


@value
class AtLeastMedian:
    """Continues only trials at or above the median: none, once the median is NaN."""


@value
class AfterFirst:
    """Decides about no trial before the first trial's third report."""


def seen_there(state: State, report: Report) -> list[float]:
    return [seen for iteration, seen in state if iteration == report.iteration]


def by_mean(spec: Mean, state: State, report: Report) -> DecisionResult:
    left_out = {"all": False, "number": math.isnan(report.value), "finite": not math.isfinite(report.value)}
    if left_out[spec.counts]:
        return state, "continue", None
    before = seen_there(state, report)
    mean = math.fsum(before) / len(before) if before and all(map(math.isfinite, before)) else sum(before, start=0.0)
    if not before or not report.value < mean:
        return (*state, (report.iteration, report.value)), "continue", None
    return (*state, (report.iteration, report.value)), "stop", schedule.reason("mean", mean=mean)


def by_median(spec: AtLeastMedian, state: State, report: Report) -> DecisionResult:
    before = seen_there(state, report)
    state = (*state, (report.iteration, report.value))
    if not before or report.value >= (math.nan if any(map(math.isnan, before)) else statistics.median(before)):
        return state, "continue", None
    return state, "stop", schedule.reason("median")


def after_first(spec: AfterFirst, state: State, report: Report) -> DecisionResult:
    if report.trial == 0:
        return (*state, (report.iteration, report.value)), "continue", None
    first = [seen for iteration, seen in state if iteration == 3]
    if not first or not report.value < 0.5:
        return state, "continue", None
    return state, "stop", schedule.reason("after_first")


for spec_class, rule in ((Mean, by_mean), (AtLeastMedian, by_median), (AfterFirst, after_first)):
    schedule.register_scheduler(
        spec_class,
        schedule.Scheduler(
            name=f"stop_{rule.__name__}",
            init=lambda spec, setting: (),
            on_report=rule,
            decision_points=lambda spec: schedule.Every(3),
            describe=lambda spec: "stops the worse ones",
        ),
    )


@value
class Climb:
    """Proposes points near the best observed point."""

    keeps: str = "all"
    """What may become the best: `all`, or what is `finite`."""


@value
class Patient:
    """Learns nothing before the first trial is done."""


def start(spec: Any, space: Any, objectives: Any, key: int) -> dict[str, Any]:
    return {"asked": {}, "best": None, "first": False}


def ask(spec: Any, state: dict[str, Any], trial: int, key: int) -> Any:
    x = draw(key, trial)
    if state["best"] is not None:
        x = min(1.0, max(0.0, state["best"][1] + 0.1 * (2 * x - 1)))
    return {**state, "asked": {**state["asked"], trial: x}}, search.Proposal.of({"x": x})


def tell_climb(spec: Climb, state: dict[str, Any], trial: int, observation: Observation) -> dict[str, Any]:
    found = (-observation.values[0], state["asked"][trial])
    if spec.keeps == "finite" and not math.isfinite(found[0]):
        return state
    return {**state, "best": found} if state["best"] is None or found > state["best"] else state


def tell_patient(spec: Patient, state: dict[str, Any], trial: int, observation: Observation) -> dict[str, Any]:
    if trial == 0:
        return {**state, "first": observation.status == "done"}
    return tell_climb(Climb("finite"), state, trial, observation) if state["first"] else state


TAKES = search.Supports(False, False, False, False, False, False, 1, False, True)
for searcher_class, tell in ((Climb, tell_climb), (Patient, tell_patient)):
    search.register_searcher(searcher_class, search.Searcher(tell.__name__, TAKES, start, ask, tell))


@pytest.mark.parametrize(
    ("spec", "how"),
    [
        (Mean("all"), "reports NaN, none of the others"),
        (Mean("number"), "reports an infinite loss, none of the others"),
        (AtLeastMedian(), "reports NaN, the best trial"),
        (AfterFirst(), "fails, none of the others"),
    ],
)
def test_a_scheduler_that_freezes_is_found(spec: Any, how: str) -> None:
    with pytest.raises(InvariantViolated, match=f"a_bad_first_trial_blocks_no_other.*{how}"):
        schedulers.a_bad_first_trial_blocks_no_other(spec, SPACE)


@pytest.mark.parametrize(
    ("spec", "status"),
    [(Climb("all"), "done"), (Patient(), "stopped")],
    ids=["compares with NaN", "waits for a result"],
)
def test_a_searcher_that_freezes_is_found(spec: Any, status: str) -> None:
    with pytest.raises(InvariantViolated, match=f"a_bad_first_trial_blocks_no_other.*status='{status}'"):
        searchers.a_bad_first_trial_blocks_no_other(spec, SPACE)


def test_those_that_do_not_freeze_pass() -> None:
    schedulers.a_bad_first_trial_blocks_no_other(Mean("finite"), SPACE)
    searchers.a_bad_first_trial_blocks_no_other(Climb("finite"), SPACE)


def test_both_suites_hold_policies_to_it() -> None:
    for suite in (schedulers.scheduler_suite(Mean(), seeds=1), searchers.searcher_suite(Climb(), SPACE, seeds=1)):
        assert "a_bad_first_trial_blocks_no_other" in list(names(suite))


def names(suite: Any) -> Iterator[str]:
    for mark in suite.pytestmark:
        yield from mark.kwargs.get("ids", ())
