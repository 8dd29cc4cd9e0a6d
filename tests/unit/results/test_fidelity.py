"""Plots compare trials at one iteration, and name it and the alternatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.journals import journal, opened, reported, whole
from tests.pictured import population
from tests.plans import make_plan
from tunedsl import asha, loguniform, space, uniform
from tunedsl.base.errors import ArgumentError, NoResult
from tunedsl.kernel import Ended, Event, Failed, Proposed, Reported, Started
from tunedsl.results import Results
from tunedsl.results.fidelity import MAX_OFFERED, highest, offered
from tunedsl.results.plots import COMPARING
from tunedsl.results.plots.data import PlotTrials
from tunedsl.spaces import Space, randint


def _train(config: dict[str, Any]) -> None: ...


def _curve(config: dict[str, Any], iteration: int) -> float:
    """The rate decides the loss of iteration 1, and so when a trial stops; the dropout decides every later loss."""
    slow = abs(math.log10(config["lr"]) + 3)
    return 20 / iteration + slow / iteration**3 + 0.1 * slow / iteration + 0.3 * float(config["dropout"])


@pytest.fixture(scope="module")
def halved() -> Results:
    """Sixty trials of ASHA: most are stopped at iteration 1, where any loss is high."""
    e = space(lr=loguniform(1e-5, 1e-1), dropout=uniform(0, 1), momentum=uniform(0, 1)).trainable(_train)
    e = e.minimize("loss").scheduler(asha(max_t=27, reduction_factor=3)).samples(60).parallel(8).seed(1)
    return Results(e.dry_run(curve=_curve).journal)


def of_curves(*curves: list[Any], space: Space | None = None) -> Results:
    """Trials with these reports, each of which ends by itself."""
    events: list[Event] = [opened(1)[0]]
    for trial, curve in enumerate(curves):
        config = {"x": trial / len(curves), "n": trial % 4}
        events += [Proposed(0.0, trial, config, f"{trial:05d}"), *whole(trial, curve)]
    plan = make_plan(trials=len(curves), space=space or Space.of({"x": uniform(0, 1), "n": randint(0, 4)}))
    return Results(journal(plan, events))


class TestOfParameters:
    def test_the_importance_of_what_stops_trials_is_not_that_of_what_makes_them_good(self, halved: Results) -> None:
        pytest.importorskip("sklearn")
        shares = {
            fidelity: halved.importance(fidelity=fidelity).set_index("parameter")["importance"]
            for fidelity in ("auto", "last")
        }
        assert shares["last"]["lr"] > 0.8
        assert shares["auto"]["lr"] < 0.2 and shares["auto"]["dropout"] > 0.8

    def test_the_frame_says_at_which_iteration(self, halved: Results) -> None:
        pytest.importorskip("sklearn")
        assert halved.fidelities() == {1: 60, 3: 16, 9: 8, 27: 6}
        frame = halved.importance()
        assert set(frame["fidelity"]) == {3} and set(frame["trials"]) == {16}
        assert set(halved.importance(fidelity=1)["fidelity"]) == {1}
        last = halved.importance(fidelity="last")
        assert str(last["fidelity"].dtype) == "Int64" and last["fidelity"].isna().all()

    @pytest.mark.parametrize("kind", [kind for kind in COMPARING if kind != "pareto"])
    def test_pictures_say_it_in_their_title_and_offer_the_others(self, kind: str, halved: Results) -> None:
        pytest.importorskip("plotly")
        draw = getattr(halved.plot, kind)
        figure = draw()
        assert "at iteration 3" in figure.layout.title.text
        below = figure.layout.title.subtitle.text.replace("<br>", " ")
        assert "which 16 of 60 trials reached; others by fidelity=1, 'last'" in below
        assert "at iteration 1 " in draw(fidelity=1).layout.title.text + " "
        last = draw(fidelity="last").layout.title
        assert "iteration" not in last.text
        assert "last report of each trial, from iteration 1 to 27" in last.subtitle.text.replace("<br>", " ")

    def test_only_trials_that_came_so_far_are_drawn_by_their_values_there(self, halved: Results) -> None:
        pytest.importorskip("plotly")
        frame = halved.curves
        there = frame[frame["training_iteration"] == 3]["loss"]
        assert sorted(halved.plot.slices().data[0].y) == pytest.approx(sorted(there))

    def test_the_configuration_is_the_one_that_trained_that_iteration(self) -> None:
        results = population(5)  # the last one takes over from the first, with another rate, after each round
        member = results.reading.records[4]
        rates = [PlotTrials.of(results.reading, fidelity=at).configs([4])[0]["rate"] for at in (1, 2, 3)]
        assert rates == [config["rate"] for _, config in member.configs[:3]] and rates[0] != rates[1]
        assert PlotTrials.of(results.reading, fidelity="last").configs([4])[0]["rate"] == member.config["rate"]


class TestValues:
    @pytest.mark.parametrize(("scope", "value"), [("last", 2), ("all", 1), ("avg", 2), ("last-5-avg", 2)])
    def test_a_scope_is_of_the_reports_up_to_there(self, scope: Any, value: float) -> None:
        trials = PlotTrials.of(of_curves([3, 1, 2, 0, 9]).reading, scope=scope, fidelity=3)
        assert list(trials.values) == [value]

    def test_a_metric_of_some_reports_has_its_last_value_before(self) -> None:
        rows = [("other",), ("loss",), ("other",), ("loss",)]
        events: list[Event] = [*opened(1), Started(0.0, 0, 0)]
        for at, keys in enumerate(rows, 1):
            events.append(Reported(float(at), 0, at, keys, ((float(at),),), (float(at),)))
        results = Results(journal(make_plan(trials=1), [*events, Ended(5.0, 0, 4)]))
        assert [PlotTrials.of(results.reading, fidelity=at).values[0] for at in (2, 3, 4)] == [2, 2, 4]

    def test_a_value_that_is_no_number_there_is_none(self) -> None:
        results = of_curves([1, 2, 3], [1, "nan", 3], [1])
        np.testing.assert_array_equal(PlotTrials.of(results.reading, fidelity=2).values, [2, math.nan, math.nan])
        with pytest.raises(NoResult, match=r"at iteration 4; trials came to 1 \(3 trials\), 3 \(2 trials\)"):
            PlotTrials.of(results.reading, fidelity=4)

    def test_all_that_diverged_later_are_compared_where_they_had_values(self) -> None:
        assert PlotTrials.of(of_curves(*[[n, n, "nan"] for n in range(12)]).reading, fidelity="auto").fidelity == 2

    def test_a_failed_trial_counts_where_it_came(self) -> None:
        events = [Started(0.0, 0, 0), reported(0, [1.0, 2.0]), Failed(3.0, 0, "crash", "boom"), *whole(1, [4.0, 5.0])]
        results = Results(journal(make_plan(trials=2), [*opened(2), *events]))
        assert list(PlotTrials.of(results.reading, fidelity="auto").values) == [2, 5]

    @pytest.mark.parametrize("wrong", [0, -1, 2.5, True, "best", None])
    def test_what_is_no_fidelity_is_refused(self, wrong: Any) -> None:
        with pytest.raises(ArgumentError, match=r"fidelity must be an iteration of at least 1, 'auto' or 'last'"):
            of_curves([1.0]).importance(fidelity=wrong)


@pytest.mark.parametrize(("counts", "iteration"), [
    ({1: 60, 3: 20, 9: 7}, 3),
    ({1: 60, 3: 15, 9: 14}, 3),  # a quarter
    ({1: 20, 3: 10, 9: 9}, 3),  # and ten
    ({1: 8, 9: 3}, 1),  # too few at every iteration: most
    ({9: 8}, 9),
    ({100: 12}, 100),
])  # fmt: skip
def test_the_highest_iteration_that_enough_reached(counts: dict[int, int], iteration: int) -> None:
    assert highest(counts) == iteration


def test_few_iterations_are_offered_and_the_chosen_one_among_them() -> None:
    counts = {at: 1010 - at for at in range(1, 1001)}
    found = offered(counts)
    assert len(found) <= MAX_OFFERED and found == sorted(found) and found[0] == 1
    assert highest(counts) in found
    assert offered({1: 60, 3: 20, 9: 7}) == [1, 3]


def test_equal_trials_have_nothing_else_to_offer() -> None:
    pytest.importorskip("plotly")
    figure = of_curves(*[[3, 2, 1 + n] for n in range(12)]).plot.slices()
    assert "fidelity=" not in figure.layout.title.subtitle.text
