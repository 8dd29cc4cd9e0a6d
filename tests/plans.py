"""Plans for tests of what lies below the compiler."""

from __future__ import annotations

from typing import Any

from tunedsl.base.objective import Objective
from tunedsl.base.references import FunctionRef
from tunedsl.plan import CheckpointPolicy, Plan, Resources, Retry
from tunedsl.schedulers import fifo
from tunedsl.schedulers.contract import Scheduler, scheduler_of
from tunedsl.searchers import random_search
from tunedsl.spaces import Space, uniform
from tunedsl.stopping import Budget


def train(config: dict[str, Any]) -> dict[str, float]:
    return {"loss": config["x"]}


def make_plan(**changes: Any) -> Plan:
    """A plan of 10 trials of `train`, four at a time; `changes` replace fields."""
    scheduler = changes.get("scheduler", fifo())
    algorithm: Scheduler = scheduler_of(scheduler)
    trials = changes.get("trials", 10)
    fields: dict[str, Any] = {
        "name": "test",
        "trainable": FunctionRef.of(train),
        "form": "function",
        "data": (),
        "space": Space.of({"x": uniform(0, 1)}),
        "objectives": (Objective("loss", "min"),),
        "searcher": random_search(),
        "scheduler": scheduler,
        "stop": None,
        "decision_points": algorithm.decision_points(scheduler),
        "budget": Budget(),
        "resources": Resources(),
        "parallel": 4,
        "order": "arrival",
        "samples": trials,
        "trials": trials,
        "seed": 0,
        "retry": Retry(),
        "fail_fast": False,
        "timeout": None,
        "checkpoint": CheckpointPolicy(),
        "naming": None,
    }
    return Plan(**{**fields, **changes})
