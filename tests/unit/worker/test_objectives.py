"""A trial of any form fails without its objective; the error for a non-number names its type."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.unit.worker.test_forms import rows, run
from tunedsl import Trainable, report, space, uniform
from tunedsl.backends import Recorded, SimulatedEngine
from tunedsl.journal import Journal
from tunedsl.kernel import Ended, Failed, Reported
from tunedsl.results import Results
from tunedsl.schedulers.contract import At
from tunedsl.stopping import iteration
from tunedsl.worker import Notice

ONE = {"objectives": ("loss",), "unreported": ("loss",)}


def by_report(config: dict[str, Any]) -> None:
    report(val_loss=config["x"])


def by_return(config: dict[str, Any]) -> dict[str, float]:
    return {"val_loss": config["x"]}


def by_yield(config: dict[str, Any]) -> Any:
    yield {"val_loss": config["x"]}


def by_yield_and_return(config: dict[str, Any]) -> Any:
    return {"val_loss": config["x"]}
    yield


class ByStep(Trainable):
    def setup(self, config: dict[str, Any], **data: Any) -> None:
        self.done = False

    def step(self) -> dict[str, float] | None:
        if self.done:
            return None
        self.done = True
        return {"val_loss": 1.0}


def by_ray_tune(config: dict[str, Any]) -> None:
    from ray import tune

    tune.report({"val_loss": config["x"]})


FORMS = [
    (by_report, "function"),
    (by_return, "function"),
    (by_yield, "generator"),
    (by_yield_and_return, "generator"),
    (ByStep, "class"),
    (by_ray_tune, "function"),
]


@pytest.mark.parametrize(("trainable", "form"), FORMS)
def test_a_trial_that_never_reports_its_objective_fails_and_keeps_what_it_reported(trainable, form):
    events = run(trainable, form, **ONE)
    assert rows(events) == [{"val_loss": pytest.approx(0.5 if form != "class" else 1.0)}]
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert failed.kind == "bad_report" and not any(isinstance(event, Ended) for event in events)
    assert "did not report the objective 'loss': it reported 'val_loss'" in failed.message
    assert "did you mean 'val_loss'?" in failed.message and "report(loss=...)" in failed.message


def silent(config: dict[str, Any]) -> None: ...


def silent_generator(config: dict[str, Any]) -> Any:
    yield from ()


class SilentStep(Trainable):
    def step(self) -> None: ...


@pytest.mark.parametrize(
    ("trainable", "form"), [(silent, "function"), (silent_generator, "generator"), (SilentStep, "class")]
)
def test_a_trial_that_reports_nothing_fails_where_there_is_an_objective(trainable, form):
    (_, failed) = run(trainable, form, **ONE)
    assert failed.kind == "bad_report" and "reported nothing, not the objective 'loss'" in failed.message
    (_, ended) = run(trainable, form)
    assert isinstance(ended, Ended), "without an objective there is nothing to report"


def test_a_stop_rule_that_ends_it_does_not_make_up_for_the_objective():
    def train(config):
        while True:
            report(other=1.0)

    events = run(train, stop=iteration(3), **ONE)
    reported = [event for event in events if isinstance(event, Reported)]
    assert [event.ends for event in reported] == [""] * len(reported) and reported[-1].last == 3
    assert events[-1].kind == "bad_report"


def test_each_of_several_objectives_has_to_be_reported_at_some_time():
    both = {"objectives": ("loss", "accuracy"), "unreported": ("loss", "accuracy")}

    def in_turn(config):
        report(loss=1.0)
        report(accuracy=0.5)

    def half(config):
        report(loss=1.0, acuracy=0.5)

    assert isinstance(run(in_turn, **both)[-1], Ended)
    failed = run(half, **both)[-1]
    assert failed.kind == "bad_report" and "the objective 'accuracy'" in failed.message
    assert "did you mean 'acuracy'?" in failed.message


def test_what_an_earlier_attempt_reported_counts():
    def train(config):
        report(other=1.0)

    assert isinstance(run(train, objectives=("loss",), unreported=(), known=1, iteration=1)[-1], Ended)


def test_metrics_that_are_counted_automatically_are_in_each_report():
    automatic = {"objectives": ("time_total_s",), "unreported": ("time_total_s",), "decision_points": At((1,))}
    assert run(silent, **automatic)[-1].kind == "bad_report"
    del automatic["decision_points"]
    assert isinstance(run(by_report, **automatic)[-1], Ended)


def test_the_first_report_that_lacks_the_objective_is_warned_of_once():
    def train(config):
        report(val_loss=1.0)
        report(val_loss=0.5)
        report(loss=0.5)

    events = run(train, **ONE)
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert "'loss'" in notice.text and "did you mean 'val_loss'?" in notice.text
    assert isinstance(events[-1], Ended) and len(rows(events)) == 3


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0.5", "the text '0.5'"),
        (np.str_("0.5"), "the text"),
        (None, "None"),
        (np.array([1.0, 2.0]), "an array of 2 values"),
        (pd.Series([1.0, 2.0]), "an array of 2 values"),
        ([0.5], "[0.5] (list)"),
        (np.ma.masked, "a masked value"),
        (np.ma.array([1.0], mask=[True]), "a masked value"),
        (pd.NA, "a masked value"),
        (pd.NaT, "NaT"),
        (np.datetime64("2024-01-01", "ns"), "not as a number"),
        (1 + 2j, "(complex)"),
        ({"mean": 0.5}, "(dict)"),
        (b"0.5", "(bytes)"),
    ],
)
def test_an_objective_that_is_no_number_is_refused_and_says_what_it_is(value, words):
    failed = run(lambda config: report(loss=value), **ONE)[-1]
    assert failed.kind == "bad_report" and words in failed.message and "objective 'loss'" in failed.message


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (np.float32(0.5), 0.5),
        (np.longdouble("0.5"), 0.5),
        (np.array(0.5), 0.5),
        (np.array([[0.5]]), 0.5),
        (Decimal("0.5"), 0.5),
        (Fraction(1, 2), 0.5),
        (np.bool_(True), True),
        (np.int64(3), 3),
        (True, True),
    ],
)
def test_numbers_of_all_kinds_are_objectives(value, number):
    events = run(lambda config: report(loss=value), **ONE)
    assert isinstance(events[-1], Ended) and rows(events) == [{"loss": number}]
    assert type(rows(events)[0]["loss"]) is type(number)


def test_a_refused_report_that_the_code_catches_leaves_no_hole():
    def train(config):
        try:
            report(loss="high")
        except Exception:
            report(loss=1.0)

    events = run(train, **ONE)
    assert [event.first for event in events if isinstance(event, Reported)] == [1] and isinstance(events[-1], Ended)


def lacks(config: dict[str, Any]) -> None:
    report(val_loss=config["x"])


@pytest.mark.parametrize("engine", ["inline", "recorded", "curve"])
def test_the_engines_of_one_process_agree(tmp_path, engine):
    e = space(x=uniform(0, 1)).trainable(lacks).minimize("loss").samples(3).seed(0).parallel(1).order("logical")
    e = e.store(tmp_path)
    first = e.run("inline", quiet=True)
    found = first
    if engine != "inline":
        curve = Recorded(first.path) if engine == "recorded" else lambda config, iteration: None
        if engine == "curve":
            curve = lambda config, iteration: {"val_loss": config["x"]} if iteration == 1 else None  # noqa: E731
        found = e.run(SimulatedEngine(curve), quiet=True)
    assert [error.kind for error in found.errors] == ["bad_report"] * 3
    assert found.errors[0].message == first.errors[0].message and found.journal.digest == first.journal.digest
    notes = [line.m.note for line in Journal(found.path).records() if line.m is not None and line.m.note]
    assert len(notes) == 1 and "'loss'" in notes[0], "one warning a run"


def test_a_simulated_curve_is_held_to_the_same_rules():
    e = space(x=uniform(0, 1)).trainable(lacks).minimize("loss").samples(2).seed(0).parallel(1)
    forecast = e.dry_run(curve=lambda config, iteration: {"loss": "0.5"} if iteration == 1 else None)
    assert [error.kind for error in Results(forecast.journal).errors] == ["bad_report"] * 2


def test_torch_like_scalars_are_numbers():
    class Scalar:
        def item(self) -> float:
            return 0.25

        def numel(self) -> int:
            return 1

    assert rows(run(lambda config: report(loss=Scalar()), **ONE)) == [{"loss": 0.25}]
