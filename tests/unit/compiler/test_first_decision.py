"""Warnings about schedulers that decide only after trials have ended."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.test_schedulers import EXAMPLES
from tunedsl import Experiment, Trainable, asha, fifo, hyperband, iteration, metric, pbt, report, space, uniform
from tunedsl.compiler import check
from tunedsl.compiler.source import max_reports
from tunedsl.schedulers import asha_promote, distribute, median_stopping, pb2, pbt_replay, resource_changing

EPOCHS = 10


class Net(Trainable):
    def setup(self, config: dict[str, Any]) -> None:
        self.x = config["x"]

    def step(self) -> dict[str, Any]:
        return {"loss": self.x, "epochs": 1}

    def save(self, folder: Any) -> None: ...
    def load(self, folder: Any) -> None: ...


def ten(config: dict[str, Any]) -> None:
    for _ in range(EPOCHS):
        report(loss=config["x"], checkpoint="folder")


def continued(config: dict[str, Any]) -> None:
    start = config.get("start", 0)
    for _ in range(start, EPOCHS):
        report(loss=config["x"], checkpoint="folder")


def open_ended(config: dict[str, Any]) -> None:
    while True:
        report(loss=config["x"], checkpoint="folder")


def by_config(config: dict[str, Any]) -> None:
    epochs = config["epochs"]
    for _ in range(epochs):
        report(loss=config["x"], checkpoint="folder")


def in_a_callback(config: dict[str, Any]) -> None:
    def after(epoch: int) -> int:
        report(loss=config["x"] + epoch, checkpoint="folder")
        return epoch

    list(map(after, range(100)))


def nested(config: dict[str, Any]) -> dict[str, float]:
    def square(x: float) -> float:
        return x * x

    for _ in range(2, 8, 2):
        for _ in range(EPOCHS - 5):
            report(loss=square(config["x"]))
    return {"loss": 0.0}


def yielded(config: dict[str, Any]) -> Any:
    for epoch in range(1, EPOCHS + 1):
        yield {"loss": config["x"], "epoch": epoch}


@pytest.mark.parametrize(
    ("function", "most"),
    [(ten, 10), (continued, 10), (nested, 16), (yielded, 10), (open_ended, None), (by_config, None),
     (in_a_callback, None), (Net, None), (len, None)],
)  # fmt: skip
def test_the_max_reports_are_read_where_loops_say_so(function: Any, most: int | None) -> None:
    assert max_reports(function) == most


def base(trainable: Any, scheduler: Any) -> Experiment:
    return space(x=uniform(0, 1)).trainable(trainable).minimize("loss").scheduler(scheduler).samples(4)


BOUNDS = {"hyperparam_bounds": {"x": [0.0, 1.0]}}
NEVER = [
    base(Net, pbt(perturbation_interval=10)).stop(training_iteration=10),
    base(Net, pbt(perturbation_interval=20)).stop(training_iteration=10),
    base(Net, pbt(perturbation_interval=5)).stop(iteration(5) | (metric("loss") < 0.1)),
    base(Net, pbt(perturbation_interval=5, burn_in_period=12)).stop(training_iteration=10),
    base(Net, pbt(perturbation_interval=5, time_attr="epochs")).stop(epochs=5),
    base(Net, pbt(perturbation_interval=60, time_attr="time_total_s")).stop(time_total_s=30),
    base(Net, pb2(perturbation_interval=10, **BOUNDS)).stop(training_iteration=10),
    base(Net, resource_changing(pbt(perturbation_interval=10), distribute(cpu=2))).stop(training_iteration=10),
    base(Net, resource_changing(fifo(), distribute(cpu=2), every=10)).stop(training_iteration=10),
    base(Net, pbt_replay([(0, {"x": 0.1}), (30, {"x": 0.2})])).stop(training_iteration=10).fix(x=0.1).samples(1),
    base(Net, asha(max_t=81, grace_period=20)).stop(training_iteration=10),
    base(Net, asha(max_t=81, grace_period=81)),
    base(Net, asha_promote(max_t=81, grace_period=20)).stop(training_iteration=10),
    base(Net, median_stopping(time_attr="training_iteration", grace_period=10)).stop(training_iteration=10),
    base(ten, pbt(perturbation_interval=10)),
    base(continued, pbt(perturbation_interval=20)),
    base(ten, median_stopping(time_attr="training_iteration", grace_period=20)),
]
DUE = [
    base(Net, pbt(perturbation_interval=5)).stop(training_iteration=10),
    base(Net, pbt(perturbation_interval=9)).stop(training_iteration=10),
    base(Net, pbt(perturbation_interval=5)).stop(metric("loss") < 0.1),
    base(Net, pbt(perturbation_interval=5)).stop(iteration(5) & (metric("loss") < 0.1)),
    base(Net, pbt(perturbation_interval=60, time_attr="time_total_s")).stop(training_iteration=10),
    base(ten, pbt(perturbation_interval=5)),
    base(open_ended, pbt(perturbation_interval=50)),
    base(by_config, pbt(perturbation_interval=50)),
    base(in_a_callback, pbt(perturbation_interval=50)),
    base(Net, fifo()).stop(training_iteration=1),
    base(Net, hyperband(max_t=9)),
    base(ten, asha(max_t=10)),
    base(Net, median_stopping()).stop(training_iteration=10),
    base(Net, pbt_replay([(0, {"x": 0.1})])).stop(training_iteration=10).fix(x=0.1).samples(1),
]


@pytest.mark.parametrize("experiment", NEVER, ids=repr)
def test_a_first_decision_that_never_comes_is_warned_of_with_its_place(experiment: Experiment) -> None:
    (warning,) = (item for item in check(experiment) if item.code == "W041")
    assert warning.subject == "scheduler" and "but trials" in warning.message
    assert warning.place is not None and warning.place.file == __file__


@pytest.mark.parametrize("experiment", DUE, ids=repr)
def test_one_that_comes_is_not(experiment: Experiment) -> None:
    assert "W041" not in [item.code for item in check(experiment)]


@pytest.mark.parametrize("spec", EXAMPLES, ids=repr)
def test_no_scheduler_by_itself_is_warned_of(spec: Any) -> None:
    plain = space(x=uniform(0, 1), lr=uniform(1e-4, 0.1)).trainable(Net).minimize("loss").scheduler(spec).samples(20)
    assert "W041" not in [item.code for item in check(plain.stop(training_iteration=40))]


def test_the_message_names_the_interval_and_the_rule() -> None:
    (warning,) = (item for item in check(NEVER[0]) if item.code == "W041")
    assert warning.message == (
        "pbt first decides about a trial at training_iteration 10, but trials end when training_iteration >= 10."
    )
    assert "perturbation_interval" in warning.hint
