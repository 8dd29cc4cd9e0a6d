"""The contents of plots, with ten and with thousands of trials."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest

from tests.journals import journal, opened, reported, whole
from tests.pictured import HOSTILE, RUNGS, experiment, population
from tests.plans import make_plan
from tunedsl.base.errors import ArgumentError, NoResult
from tunedsl.base.objective import Objective
from tunedsl.kernel import Failed, Proposed, Reported, Started
from tunedsl.results import Results
from tunedsl.results.importance import importance
from tunedsl.results.plots import KINDS, style
from tunedsl.results.plots.data import PlotTrials
from tunedsl.results.trial_history import RunHistory
from tunedsl.spaces import Space, choice, lograndint, randint, uniform

pytest.importorskip("plotly")

OF_ANY = ("best", "curves", "parallel", "slices", "contour", "rungs", "workers")
MANY = 4_000


@pytest.fixture(scope="module")
def few() -> Results:
    return experiment(10)


@pytest.fixture(scope="module")
def many() -> Results:
    return experiment(MANY)


def points(figure: Any) -> int:
    """Numbers in a figure's largest column."""
    sizes = [
        len(trace[name]) for trace in figure.data for name in ("x", "y") if name in trace and trace[name] is not None
    ]
    return max(sizes, default=0)


def below(figure: Any) -> str:
    return str(figure.layout.title.subtitle.text).replace("<br>", " ")


@pytest.mark.slow
@pytest.mark.parametrize("kind", OF_ANY)
def test_each_has_a_title_units_and_a_bound(kind: str, few: Results, many: Results) -> None:
    for results in (few, many):
        figure = getattr(results.plot, kind)()
        assert figure.layout.title.text and below(figure)
        if kind != "parallel":
            titles = [axis.title.text for axis in (*figure.select_xaxes(), *figure.select_yaxes())]
            assert any(titles)
        assert points(figure) < 25_000
        text = figure.to_json()
        assert len(text) < 700_000
        assert "<img" not in _shown(json.loads(text), kind)


def _shown(item: Any, kind: str) -> str:
    """All that plotly would read tags in; an axis of parallel coordinates shows its ticks as they are."""
    if isinstance(item, dict):
        return "".join(_shown(each, kind) for name, each in item.items() if (kind, name) != ("parallel", "ticktext"))
    if isinstance(item, list):
        return "".join(_shown(each, kind) for each in item)
    return item if isinstance(item, str) else ""


OF_TRIALS = ("best", "curves", "slices", "contour", "pareto", "hypervolume", "workers", "lineage", "schedule")


@pytest.mark.parametrize("kind", OF_TRIALS)
def test_a_point_of_a_trial_has_its_number_and_says_its_name(kind: str) -> None:
    goals = (Objective("loss", "min"), Objective("training_iteration", "min"))
    results = population(6) if kind in ("lineage", "schedule") else experiment(60, objectives=goals)
    named = {record.number: record.name for record in results.reading.records.values()}
    traces = [trace for trace in getattr(results.plot, kind)().data if trace.customdata is not None]
    for trace in traces:
        assert len(trace.customdata) == len(trace.x)
        texts = trace.text if trace.text is not None else [trace.hovertemplate] * len(trace.x)
        for number, text in zip(trace.customdata, texts, strict=True):
            assert number is None or named[int(number)] in text
    drawn = {number for trace in traces for number in trace.customdata}
    assert len(drawn & named.keys()) >= (1 if kind == "hypervolume" else 6)


def test_a_bar_of_no_trial_has_no_number(few: Results) -> None:
    for kind in ("importance", "rungs"):
        assert all(trace.customdata is None for trace in getattr(few.plot, kind)().data)


def test_what_is_left_out_is_said(many: Results) -> None:
    assert f"of {MANY:,} trials with a value drawn" in below(many.plot.best())
    assert f"of {MANY:,} trials drawn" in below(many.plot.curves())
    assert "too many to draw one by one" in below(many.plot.workers())


def test_the_line_of_the_best_is_the_running_best(many: Results) -> None:
    line = many.plot.best(over="trials").data[-1]
    values = many.dataframe()["loss"].to_numpy(copy=True)
    values[[trial.status == "failed" for trial in many]] = np.nan
    assert line.y[-1] == np.nanmin(values) == many.best.metrics["loss"]
    assert "failed trials are not the best" in below(many.plot.best())
    running = np.fmin.accumulate(values)
    assert all(running[int(x)] == y for x, y in zip(line.x, line.y, strict=True))


def test_maximising_turns_the_line_around() -> None:
    events = [event for trial, value in enumerate([1, 3, 2]) for event in whole(trial, [value])]
    plan = make_plan(trials=3, objectives=(Objective("loss", "max"),))
    assert list(Results(journal(plan, [*opened(3), *events])).plot.best(over="trials").data[-1].y) == [1, 3, 3]


def test_stopped_and_failed_curves_are_marked_at_their_ends(few: Results) -> None:
    marks = {trace.legendgroup: trace for trace in few.plot.curves().data if trace.mode == "markers"}
    stopped = [record for record in few.reading.records.values() if record.status == "stopped"]
    assert list(marks["stopped"].x) == [record.iterations for record in stopped]
    assert marks["stopped"].marker.symbol == "x"


def test_bars_of_rungs_add_up_to_those_that_came(many: Results) -> None:
    figure = many.plot.rungs()
    came = sum(np.array(trace.y) for trace in figure.data if trace.type == "bar")
    reached = np.array([record.iterations for record in many.reading.records.values()])
    assert list(figure.data[0].x) == [str(at) for at in RUNGS]
    assert list(came) == [int((reached >= at).sum()) for at in RUNGS]


def test_workers_are_as_busy_as_their_trials(few: Results, many: Results) -> None:
    bars = [trace for trace in few.plot.workers().data if trace.type == "bar"]
    total = sum(sum(trace.x) for trace in bars)
    spans = [span for record in few.reading.records.values() for span in record.spans]
    assert total == pytest.approx(sum((span.end or 0) - span.start for span in spans))
    heat = next(trace for trace in many.plot.workers().data if trace.type == "heatmap")
    share = np.array(heat.z).mean() / 100 * 8 * many.reading.seconds
    spans = [span for record in many.reading.records.values() for span in record.spans]
    assert share == pytest.approx(sum((span.end or 0) - span.start for span in spans), rel=1e-6)


def test_a_process_that_has_several_trials_at_a_time_is_not_busier_than_busy() -> None:
    started = [Started(1.0, trial, 0, worker="one") for trial in range(3)]
    ended = [reported(trial, [1.0, 2.0, 3.0, 4.0], ends="returned") for trial in range(3)]
    events = [*opened(3), *started, *ended]
    assert "3 stretches of 3 trials on 1 worker, busy 75%" in below(
        Results(journal(make_plan(trials=3), events)).plot.workers()
    )


def test_workers_without_names_are_put_on_as_few_lines_as_needed() -> None:
    events = [event for trial in range(3) for event in whole(trial, [1.0])]
    figure = Results(journal(make_plan(trials=3), [*opened(3), *events])).plot.workers()
    assert list(figure.layout.yaxis.ticktext) == ["line 1", "line 2", "line 3"]


def test_an_absent_parameter_has_a_place_of_its_own(few: Results) -> None:
    axis = next(each for each in few.plot.parallel().data[0].dimensions if each.label == "momentum")
    assert axis.ticktext[0] == "(none)"
    assert (np.array(axis["values"]) == axis.tickvals[0]).sum() == sum("momentum" not in each.config for each in few)


def test_each_axis_of_parallel_coordinates_has_ticks(few: Results) -> None:
    # without them plotly writes an axis's ends over its name
    assert all(
        axis.tickvals and len(axis.tickvals) == len(axis.ticktext) for axis in few.plot.parallel().data[0].dimensions
    )


def test_a_stretch_without_a_report_says_so() -> None:
    events = [*opened(1), Started(0.0, 0, 0), Failed(2.0, 0, "crash", "ValueError: boom")]
    bar = Results(journal(make_plan(trials=1), events)).plot.workers().data[0]
    assert "failed<br>0 to 2 s<br>no iteration" in bar.text[0]


@pytest.mark.parametrize(("options", "angle", "longest"), [(3, 0, 10), (9, 90, 5)])
def test_names_of_options_stay_below_their_panel(options: int, angle: int, longest: int) -> None:
    names = [f"a rather long name, the {place}th" for place in range(options)]
    inner = {"which": choice(names), "learning_rate_of_the_outer_loop": uniform(0, 1)}
    plan = make_plan(trials=12, space=Space.of({"optimizer_settings": inner}))
    drawn = [
        {"optimizer_settings": {"which": names[trial % options], "learning_rate_of_the_outer_loop": trial / 12}}
        for trial in range(12)
    ]
    events = [
        event for trial in range(12) for event in (Proposed(0.0, trial, drawn[trial], str(trial)), *whole(trial, [1.0]))
    ]
    axes = list(Results(journal(plan, [opened(1)[0], *events])).plot.slices().select_xaxes())
    assert axes[0].tickangle == angle and max(map(len, axes[0].ticktext)) == longest
    assert axes[1].title.text == "…/learning_rate_of_the_…"


def test_a_contour_lies_where_trials_are(many: Results) -> None:
    figure = many.plot.contour("lr", "layers")
    surface = np.array(figure.data[0].z)
    row, column = np.unravel_index(np.nanargmin(surface), surface.shape)
    assert 10**-3.6 < figure.data[0].x[column] < 10**-2.4 and figure.data[0].y[row] < 3
    with pytest.raises(ArgumentError, match="a parameter other than x"):
        many.plot.contour("lr", "lr")
    with pytest.raises(NoResult, match="no parameter 'l'"):
        many.plot.contour("l", "lr")


class TestImportance:
    def test_shares_are_those_of_an_additive_function(self) -> None:
        pytest.importorskip("sklearn")
        space = Space.of({"a": uniform(0, 1), "b": uniform(0, 1), "c": choice(["x", "y", "z"]), "none": uniform(0, 1)})
        rng = np.random.default_rng(0)
        configs = [
            {"a": a, "b": b, "c": "xyz"[int(c * 3)], "none": n} for a, b, c, n in rng.uniform(size=(600, 4)).tolist()
        ]
        losses = [2 * config["a"] + config["b"] for config in configs]
        results = _of(space, configs, losses)
        shares = results.importance().set_index("parameter")["importance"]
        assert list(shares.index[:2]) == ["a", "b"]
        assert shares["a"] == pytest.approx(0.8, abs=0.08)  # variances of 4/12 and 1/12
        assert shares[["c", "none"]].sum() < 0.03
        assert importance(PlotTrials.of(results.reading)).skill > 0.9

    def test_a_conditional_parameter_counts_where_it_exists(self) -> None:
        pytest.importorskip("sklearn")
        space = Space.of({"kind": choice(["p", "q"]), "only": uniform(0, 1), "other": uniform(0, 1)})
        rng = np.random.default_rng(1)
        configs: list[dict[str, Any]] = []
        for kind, only, other in rng.uniform(size=(400, 3)).tolist():
            with_it = {"kind": "p", "only": only} if kind < 0.5 else {"kind": "q"}
            configs.append({**with_it, "other": other})
        found = _of(space, configs, [config.get("only", 0.5) for config in configs]).importance()
        assert found["parameter"][0] == "only" and found["importance"][0] > 0.7
        assert found["trials"][0] == sum("only" in config for config in configs)

    def test_too_few_trials_are_said(self) -> None:
        pytest.importorskip("sklearn")
        with pytest.raises(NoResult, match="needs 10 trials with a finite 'loss', not 3"):
            _of(Space.of({"x": uniform(0, 1)}), [{"x": 0.1 * n} for n in range(3)], [1, 2, 3]).importance()


def _of(space: Space, configs: list[dict[str, Any]], losses: list[float]) -> Results:
    from tunedsl.kernel import CapacityChanged, Event, Proposed

    events: list[Event] = [CapacityChanged(0.0, len(configs))]
    events += [Proposed(0.0, number, config, f"{number:05d}") for number, config in enumerate(configs)]
    events += [event for number, loss in enumerate(losses) for event in whole(number, [float(loss)])]
    return Results(journal(make_plan(trials=len(configs), space=space), events))


class TestPopulation:
    def test_arrows_lead_from_donors(self) -> None:
        results = population(5)
        figure = results.plot.lineage()
        assert f"{len(results.reading.takeovers)} takeovers" in below(figure)
        arrows = [trace for trace in figure.data if trace.mode == "lines+markers"]
        assert {tuple(trace.y[:2]) for trace in arrows} == {(0, 4)}

    def test_the_schedule_of_the_best_is_its_policy(self) -> None:
        results = population(5)
        figure = results.plot.schedule()
        best = next(trace for trace in figure.data if trace.name == "the best")
        policy = results.pbt_policy(results.best.id)
        assert list(best.y)[:-1] == [config["rate"] for _, config in policy]
        assert [axis.title.text for axis in figure.select_yaxes()] == ["rate (log)", "kind"]

    def test_without_takeovers_it_says_so(self, few: Results) -> None:
        for draw in (few.plot.lineage, few.plot.schedule):
            with pytest.raises(NoResult, match="population based training"):
                draw()


def test_a_forecast_stands_beside_what_happened() -> None:
    from tunedsl import space

    e = (
        space(x=uniform(0, 1))
        .trainable(_train)
        .minimize("loss")
        .samples(6)
        .seed(0)
        .stop(training_iteration=4)
        .parallel(2)
    )
    forecast = e.dry_run(cost=1.0)
    assert repr(forecast) == str(forecast)  # a notebook shows what it says, not its plan and timeline
    happened = Results(e.dry_run(curve=lambda config, iteration: config["x"], cost=2.0).journal)
    lines = [trace for trace in happened.plot.forecast(forecast).data if trace.xaxis == "x"]
    assert [(trace.name, trace.x[-1], trace.y[-1]) for trace in lines] == [("forecast", 12, 24), ("happened", 24, 24)]
    with pytest.raises(ArgumentError, match="a forecast"):
        happened.plot.forecast(3)


def _train(config: dict[str, Any]) -> None: ...


class TestPareto:
    def test_the_front_is_that_of_the_results(self) -> None:
        results = _of_two([(1, 5), (2, 2), (3, 3), (5, 1), (6, 6)])
        figure = results.plot.pareto()
        others, line, best = figure.data
        assert list(zip(best.x, best.y, strict=True)) == [(1, 5), (2, 2), (5, 1)] == [
            (trial.metrics["loss"], trial.metrics["size"]) for trial in results.pareto
        ]  # fmt: skip
        assert line.line.shape == "hv" and set(zip(others.x, others.y, strict=True)) == {(3, 3), (6, 6)}
        assert "3 of 5 trials on the front" in below(figure) and "less size is better" in below(figure)

    @pytest.mark.parametrize(("mode", "expected"), [("min", [(1, 1)]), ("max", [(1, 1), (3, 3)])])
    def test_what_is_better_follows_the_mode(self, mode: Any, expected: list[tuple[int, int]]) -> None:
        figure = _of_two([(1, 1), (2, 1), (3, 3)], mode).plot.pareto(x="size")
        assert list(zip(figure.data[-1].y, figure.data[-1].x, strict=True)) == expected

    def test_the_front_is_inside_whatever_lies_outside(self) -> None:
        bad = [(float(place), 2.0) for place in range(20)]
        figure = _of_two([*bad, (1e6, 1.0), (1e9, 3.0)]).plot.pareto()
        ends = figure.layout.xaxis.range
        assert figure.layout.xaxis.type != "log" and ends[0] < 0 and 1e6 < ends[1] < 1e9
        assert "loss: 1 above" in below(figure)

    def test_a_third_objective_is_the_colour_with_its_bar(self) -> None:
        figure = _of_two([(1, 5, 3), (2, 2, 9), (5, 9, 1)], "max").plot.pareto()
        best = figure.data[-1]
        assert list(best.marker.color) == [3, 9, 1] and best.marker.colorbar.title.text == "third"
        assert not any(trace.mode == "lines" for trace in figure.data)

    def test_trials_are_compared_at_one_iteration_where_that_is_asked(self) -> None:
        events = [*whole(0, [9]), *whole(1, [9, 1])]
        plan = make_plan(trials=2, objectives=(Objective("loss", "min"), Objective("training_iteration", "min")))
        plot = Results(journal(plan, [*opened(2), *events])).plot
        assert "from iteration 1 to 2" in below(plot.pareto())
        assert len(plot.pareto(fidelity=1).data[-1].x) == 2
        assert plot.pareto(fidelity=1).layout.title.text.endswith("at iteration 1")

    def test_one_objective_has_no_front(self, few: Results) -> None:
        with pytest.raises(NoResult, match="needs two objectives"):
            few.plot.pareto()
        with pytest.raises(ArgumentError, match="one of the objectives loss, size"):
            _of_two([(1, 1)]).plot.pareto(x="lr")
        with pytest.raises(ArgumentError, match="must be an objective other than x"):
            _of_two([(1, 1)]).plot.pareto("loss", "loss")


def _of_two(points: list[Any], mode: Any = "min") -> Results:
    """Trials with a loss to minimize, a size, and the other metrics of the points."""
    names = ("loss", "size", "third")[: len(points[0])]
    goals = tuple(Objective(name, "min" if name == "loss" else mode) for name in names)
    events: list[Any] = [*opened(len(points))]
    for trial, point in enumerate(points):
        row = tuple(float(value) for value in point)
        events += [Started(0.0, trial, 0), Reported(1.0, trial, 1, names, (row,), (1.0,), ends="returned")]
    return Results(journal(make_plan(trials=len(points), objectives=goals), events))


class TestAxes:
    """Axes of integers have integer ticks; values over several powers of ten have a logarithmic axis."""

    @pytest.fixture
    def drawn(self) -> Results:
        space = Space.of({"n": randint(1, 4), "big": lograndint(1, 2000), "x": uniform(0, 1)})
        configs = [{"n": 1 + n % 3, "big": 1 + n**3, "x": n / 12} for n in range(12)]
        return _of(space, configs, [10.0 ** (n - 6) for n in range(12)])

    def test_iterations_trials_and_counts(self, few: Results, many: Results) -> None:
        for axis in (few.plot.curves().layout.xaxis, few.plot.best(over="trials").layout.xaxis):
            assert (axis.dtick, axis.tickformat) == (1, ",~r")
        assert many.plot.rungs().layout.yaxis.tickformat == ",~r"
        bar = few.plot.slices().data[0].marker.colorbar
        assert (bar.dtick, bar.tickformat) == (1, ",~r")

    def test_parameters(self, drawn: Results) -> None:
        axes = {axis.title.text: axis for axis in drawn.plot.slices().select_xaxes()}
        assert axes["n"].dtick == 1 and axes["x"].dtick is None and axes["big (log)"].type == "log"
        assert drawn.plot.contour("x", "n").layout.yaxis.dtick == 1
        ticks = {each.label: each.ticktext for each in drawn.plot.parallel().data[0].dimensions}
        assert ticks["n"] == ("1", "2", "3")
        assert all(text.replace(",", "").isdigit() for text in ticks["big (log)"])
        assert ticks["big (log)"][-1] == "1,332"

    def test_a_metric_over_powers_of_ten(self, drawn: Results) -> None:
        for kind in ("best", "curves", "slices"):
            assert getattr(drawn.plot, kind)().layout.yaxis.type == "log", kind
        assert drawn.plot.contour("x", "n").data[0].colorbar.title.text == "loss (log)"

    def test_metrics_that_are_counts(self) -> None:
        space = Space.of({"x": uniform(0, 1)})
        figure = _of(space, [{"x": n / 9} for n in range(9)], [n % 4 for n in range(9)]).plot.best()
        assert figure.layout.yaxis.dtick == 1

    def test_colours_that_mean_a_value_have_a_bar(self, drawn: Results) -> None:
        line = drawn.plot.parallel().data[0].line
        assert line.showscale and line.colorbar.title.text == "loss (log)"
        assert line.colorbar.ticktext[-1].startswith("≥") and not line.colorbar.ticktext[0].startswith("≤")
        assert drawn.plot.contour("x", "n").data[0].colorbar.ticktext == line.colorbar.ticktext


def test_nothing_to_draw_is_said() -> None:
    empty = Results(journal(make_plan(), opened(2)))
    for kind in KINDS[:-1]:
        with pytest.raises(NoResult):
            getattr(empty.plot, kind)()


def test_without_plotly_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, few: Results) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    for kind in OF_ANY:
        with pytest.raises(NoResult, match=r"tunedsl\[plots\]"):
            getattr(few.plot, kind)()


def test_wrong_arguments_are_refused(few: Results) -> None:
    with pytest.raises(ArgumentError, match="seconds"):
        few.plot.best(over="days")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="metric"):
        few.plot.curves(metrik="loss")  # type: ignore[call-arg]
    with pytest.raises(NoResult, match="no parameter 'rate'"):
        few.plot.slices(parameters=["rate"])


class TestStyle:
    def test_text_is_shown_and_not_read(self) -> None:
        assert "<" not in style.text(HOSTILE) and "%" not in style.text(HOSTILE).replace("&#37;", "")
        assert len(style.short("x" * 999)) == style.LONGEST

    def test_a_few_wild_values_do_not_squeeze_the_axis(self) -> None:
        values = np.array([*np.linspace(1, 2, 99), 50.0])
        axis, note = style.y_axis("loss", values, -1.0)
        assert axis["range"][1] < 5 and note.startswith("1 above")
        assert "range" not in style.y_axis("loss", values, 1.0)[0]  # there the 50 is the best
        assert "range" not in style.y_axis("loss", np.linspace(1, 2, 99), -1.0)[0]

    @pytest.mark.parametrize("sign", [-1.0, 1.0])
    def test_a_fifth_that_diverged_is_outside_and_counted(self, sign: float) -> None:
        values = -sign * np.concatenate([np.linspace(1, 2, 80), np.geomspace(1e3, 1e30, 20)])
        axis, note = style.y_axis("loss", values, sign, what="trials")
        assert axis.get("type") != "log" and max(np.abs(axis["range"])) < 6
        assert note.startswith("20 trials above" if sign < 0 else "20 trials below")

    def test_nothing_outside_is_not_said(self) -> None:
        for values in (np.array([*np.full(90, 1.0), *np.linspace(0, 1, 10)]), np.linspace(0, 1, 9), np.zeros(20)):
            axis, note = style.y_axis("accuracy", values, 1.0)
            assert "range" not in axis and note == ""

    def test_infinities_do_not_count(self) -> None:
        axis, note = style.y_axis("loss", np.array([*np.linspace(1, 2, 50), np.inf, np.nan]), -1.0)
        assert "range" not in axis and note == ""

    def test_values_over_powers_of_ten_are_on_a_log_axis(self) -> None:
        axis, _ = style.y_axis("loss", np.geomspace(1e-3, 1e3, 50), -1.0)
        assert (axis["type"], axis["title"]["text"]) == ("log", "loss (log)")
        assert not style.is_log(np.array([-1.0, 1e6]))

    def test_what_is_spread_evenly_or_near_its_best_is_not(self) -> None:
        assert style.is_log(np.geomspace(0.01, 1, 60))
        assert not style.is_log(np.linspace(0.001, 1, 60))
        accuracies = np.concatenate([np.geomspace(1e-4, 0.5, 20), np.linspace(0.5, 1, 30)])
        assert not style.is_log(accuracies, 1.0) and style.is_log(np.geomspace(1, 1e5, 60), 1.0)

    def test_a_sample_is_even_and_keeps_what_it_must(self) -> None:
        assert list(style.sample(5, 10)) == [0, 1, 2, 3, 4]
        found = style.sample(1_000, 11, np.array([3, 997]))
        assert {0, 3, 500, 997, 999} <= set(found.tolist()) and len(found) == 13

    def test_ranks_put_the_earlier_of_equals_first(self) -> None:
        events = [event for trial, value in enumerate([2, 1, 1]) for event in whole(trial, [value])]
        assert list(PlotTrials.of(RunHistory.of(journal(make_plan(trials=3), [*opened(3), *events]))).ranked) == [
            1,
            2,
            0,
        ]
