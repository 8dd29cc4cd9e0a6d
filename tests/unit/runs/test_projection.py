"""Forecasts of a run so far, and dry runs like an earlier run."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tunedsl import ArgumentError, asha, report, space, uniform
from tunedsl.base.errors import NoResult
from tunedsl.journal import Journal
from tunedsl.kernel import Reported, Started
from tunedsl.results import Results
from tunedsl.runs import dry_run
from tunedsl.runs.forecast import Range
from tunedsl.runs.projection import _extrapolated


def train(config: dict[str, Any]) -> None:
    for step in range(9):
        report(loss=config["x"] / (step + 1))


BASE = (
    space(x=uniform(0, 1)).trainable(train).minimize("loss").stop(training_iteration=9).samples(30).parallel(3).seed(1)
)


def curve(config: dict[str, Any], iteration: int) -> float:
    return float(config["x"]) / iteration + (0.2 if iteration > 3 and config["x"] < 0.3 else 0.0)


def cut(e: Any, kind: type, place: int, **options: Any) -> tuple[Results, Any]:
    """A simulated run up to the given event of a kind, and the whole run."""
    whole = dry_run(e, curve=curve, **options)
    events = list(whole.journal.events())
    at = [index for index, event in enumerate(events) if isinstance(event, kind)][place]
    return Results(Journal([line for line, _ in whole.journal.raw()][: at + 2])), whole


def test_trials_of_equal_length_leave_no_doubt() -> None:
    so_far, whole = cut(BASE, Reported, 10, cost=2.0)
    forecast = so_far.forecast(runs=3)
    assert (forecast.iterations.low, forecast.iterations.high) == (270, 270)
    assert forecast.trials.median == 30 and not forecast.is_finished
    assert forecast.seconds_left.median == pytest.approx(whole.seconds - so_far.reading.seconds, abs=2.0)


def test_ranges_hold_the_truth_of_a_scheduler_and_the_same_seed_gives_the_same() -> None:
    so_far, whole = cut(BASE.scheduler(asha(max_t=9, reduction_factor=3)), Reported, 25)
    forecast = so_far.forecast(runs=20)
    assert forecast.iterations.low <= whole.iterations <= forecast.iterations.high
    assert forecast.iterations.low < forecast.iterations.high
    assert forecast == so_far.forecast(runs=20) and forecast != so_far.forecast(runs=20, seed=1)
    assert "time left: " in str(forecast)


def test_the_chance_of_a_better_trial_is_the_share_of_new_ones_where_those_that_run_cannot_be() -> None:
    rising = BASE.trainable(train)
    whole = dry_run(rising, curve=lambda config, iteration: 1 - float(config["x"]) / 2 + iteration)
    events = list(whole.journal.events())
    at = [index for index, event in enumerate(events) if isinstance(event, Reported)][14]
    so_far = Results(Journal([line for line, _ in whole.journal.raw()][: at + 2]))
    assert so_far.forecast(runs=2).chance_to_improve == pytest.approx(
        1 - sum(trial.iterations > 0 for trial in so_far.trials) / 30
    )


def test_falling_curves_that_are_cut_get_better() -> None:
    so_far, _ = cut(BASE.scheduler(asha(max_t=9, reduction_factor=3)), Reported, 4)
    assert so_far.forecast(runs=4).chance_to_improve > 0.85


def test_an_ended_run_has_nothing_left() -> None:
    results = Results(dry_run(BASE, curve=curve).journal)
    forecast = results.forecast()
    assert forecast.is_finished and forecast.seconds_left.high == 0 and forecast.chance_to_improve == 0
    assert str(forecast) == "the run has ended" and forecast.iterations.median == 270


def test_without_reports_or_simulations_it_is_refused() -> None:
    so_far, _ = cut(BASE, Started, 0)
    with pytest.raises(NoResult, match="No trial has reported anything yet"):
        so_far.forecast()
    with pytest.raises(ArgumentError, match=r"forecast\.runs"):
        so_far.forecast(runs=0)


class TestDryRunsLikeAnEarlierRun:
    @pytest.fixture
    def pilot(self, tmp_path: Any) -> Any:
        return BASE.samples(5).store(tmp_path).run("inline", quiet=True).path

    def test_curves_durations_and_lengths_are_those_of_the_pilot(self, pilot: Any) -> None:
        forecast = BASE.dry_run(like=pilot, runs=3)
        assert forecast.trials == 30 and forecast.ranges["iterations"].low == 270
        assert 0 < forecast.seconds < 60 and forecast.runs == 3
        assert "in 8 of 10 of 3 simulations: 270 to 270 iterations" in str(forecast)
        known = {trial.metrics["loss"] for trial in Results(Journal(pilot)).trials}
        assert {trial.metrics["loss"] for trial in Results(forecast.journal).trials} <= known

    def test_the_scheduler_of_the_new_run_decides(self, pilot: Any) -> None:
        forecast = BASE.scheduler(asha(max_t=9, reduction_factor=3)).dry_run(like=pilot)
        assert forecast.ranges["iterations"].low < forecast.ranges["iterations"].high < 270

    def test_a_curve_of_ones_own_is_refused_beside_it(self, pilot: Any) -> None:
        with pytest.raises(ArgumentError, match=r"dry_run\.like"):
            BASE.dry_run(like=pilot, cost=2.0)


@pytest.mark.parametrize("count", [9, 19, 99])
def test_a_range_holds_eight_of_ten_places_between_simulations(count):
    found = Range.of([float(each) for each in range(count)])
    between = found.high - found.low
    assert between / (count + 1) == pytest.approx(0.8)
    assert found.median == (count - 1) / 2


def test_a_curve_beyond_the_longest_one_is_extrapolated_from_its_last_half() -> None:
    rows = [{"loss": 5 - math.log(iteration), "epoch": iteration} for iteration in range(1, 9)]
    for iteration in range(9, 30):
        rows.append(dict(_extrapolated(rows, "loss")))
        assert rows[-1] == {"loss": pytest.approx(5 - math.log(iteration)), "epoch": 8}
    for short in ([{"loss": 1.0}], [{"loss": math.nan}, {"loss": 1.0}], [{}, {"loss": 1.0}], [{"loss": 2.0}, {}]):
        assert _extrapolated(short, "loss") == short[-1]
