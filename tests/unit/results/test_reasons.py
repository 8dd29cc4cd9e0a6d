"""Reasons of decisions as sentences: each scheduler's facts with the user's metric, times and numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.plans import make_plan
from tunedsl.base.objective import Objective, constrained_value
from tunedsl.results.reasons import reason_text
from tunedsl.schedulers import asha, asha_promote, distribute, hyperband, median_stopping, pasha, pbt, resource_changing
from tunedsl.schedulers.contract import Reason, reason

ASHA = {"bracket": 0, "milestone": 9, "value": -0.41, "cut": -0.33, "competitors": 24}


@pytest.mark.parametrize(
    ("scheduler", "rank", "facts", "text"),
    [
        (asha(reduction_factor=3), 17, ASHA, "loss 0.41 at iteration 9 ranked 17 of 25; to continue, it needed "
            "0.33 or less, the limit of the best 1/3 of 24 earlier trials"),
        (asha(), 0, ASHA,
            "loss 0.41 at iteration 9; to continue, it needed 0.33 or less, the limit of 24 earlier trials"),
        (asha(brackets=2), 0, {**ASHA, "competitors": 0, "cut": math.nan}, "loss 0.41 at iteration 9 of bracket 0, "
            "as the first trial there"),
        (asha(), 0, {**ASHA, "value": math.nan}, "loss nan at iteration 9, which cannot be compared"),
        (asha(), 0, {**ASHA, "value": constrained_value(0.0, 3.0)}, "loss infeasible by 3 at iteration 9; "
            "to continue, it needed 0.33 or less, the limit of 24 earlier trials"),
        (asha(), 0, {"reached": 100, "max_t": 100}, "it reached iteration 100, and max_t is 100"),
        (asha(time_attr="steps"), 0, {"reached": 120, "max_t": 100}, "it reached steps 120, and max_t is 100"),
        (asha(), 0, {"bracket": 0, "milestone": 1, "front": 4, "place": 6, "places": 3, "competitors": 5},
            "ranked 6 of 6 at iteration 1, in front 4; the best 3 continue"),
        (resource_changing(asha(), distribute()), 0, ASHA, "loss 0.41 at iteration 9; to continue, it needed "
            "0.33 or less, the limit of 24 earlier trials"),
        (asha_promote(), 0, {"rung": 9, "value": -0.41, "place": 17, "places": 8, "competitors": 24},
            "loss 0.41 at iteration 9 ranked 17 of 24; the best 8 continue"),
        (pasha(), 0, {"rung": 1, "place": 1, "places": 0, "competitors": 1},
            "at iteration 1 ranked 1 of 1; none continues"),
        (hyperband(), 0, {"value": -2.0, "place": 4, "bracket": 1, "rung": 3, "cut": -1.0, "kept": 2, "competitors": 5},
            "loss 2 at iteration 3 of bracket 1 ranked 4 of 5; the best 2 continue"),
        (hyperband(), 0, {"bracket": 1, "rung": 3, "value": -2.0, "waits_for": 1},
            "loss 2 at iteration 3 of bracket 1; it is compared when 1 more trial of the bracket got there"),
        (median_stopping(), 0, {"time": 2.0, "value": -2.5, "median": -2.0, "competitors": 3},
            "the best running average of loss is 2.5 at time_total_s 2; the median of 3 other trials is 2"),
        (median_stopping(), 0, {"time": 2.0, "competitors": 1, "required": 3},
            "1 other trial reached time_total_s 2; it compares from 3"),
        (median_stopping(), 0, {"paused": "below the median"}, "it was paused below the median, and a worker is free"),
        (pbt(), 0, {"interval": 2, "time": 10.0, "value": -3.0, "lower": -2.0, "upper": -1.0, "competitors": 8,
            "donor": 5, "donor_value": -0.5, "config/lr": "0.1 -> 0.12"},
            "loss 3 at iteration 10, interval 2; of 8 members, the worst end at 2, the best at 1; "
            "it copies trial 5, which has 0.5; config/lr 0.1 -> 0.12"),
        (pbt(), 0, {"time": 10.0, "value": -3.0, "there": 3, "of": 8},
            "loss 3 at iteration 10; it waits until all members are there: 3 of 8 are"),
        (pbt(), 0, {"interval": 2, "time": 5.0, "value": -3.0, "donor": 1, "gives way to": "new trials"},
            "loss 3 at iteration 5, interval 2; it will copy trial 1; its worker goes to new trials"),
    ],
)  # fmt: skip
def test_a_scheduler_s_facts_are_a_sentence(scheduler: Any, rank: int, facts: dict[str, Any], text: str) -> None:
    name = str(scheduler).partition("(")[0].replace("resource_changing", "asha")
    assert reason_text(reason(name, **facts), make_plan(scheduler=scheduler), rank) == f"{name}: {text}"


def test_a_metric_to_maximize_needs_more() -> None:
    plan = make_plan(scheduler=asha(), objectives=(Objective("accuracy", "max"),))
    assert "accuracy 0.2 at iteration 9; to continue, it needed 0.4 or more" in reason_text(
        Reason("asha", {**ASHA, "value": 0.2, "cut": 0.4}), plan
    )


@pytest.mark.parametrize(
    "facts", [{}, {"reached": [], "max_t": {}}, {**ASHA, "competitors": "many"}, {**ASHA, "value": None}, {"donor": 3}]
)
@pytest.mark.parametrize("name", ["asha", "asha_promote", "hyperband", "median_stopping", "pbt", "somebody's"])
def test_other_facts_are_listed(name: str, facts: dict[str, Any]) -> None:
    told = reason_text(Reason(name, facts), make_plan(scheduler=asha()))
    assert told.startswith(name) and all(key in told for key in facts if key in ("reached", "donor"))
