"""Conditions over the study: their tally equals a computation over all reports, and wrong ones are refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plans import make_plan
from tunedsl import ArgumentError, CompileError, asha, load, metric, ref, replay, report, resume, space, uniform
from tunedsl.base.errors import FunctionError
from tunedsl.experiment import Experiment
from tunedsl.kernel import Finish, initial
from tunedsl.spaces.expressions import Expr
from tunedsl.stopping import StudySummary, best, converged, failing, no_improvement, regret_below, satisfies, total
from tunedsl.stopping.tally import TrialEnd, compile_study

NAN = math.nan
VALUES = st.one_of(st.integers(-8, 8).map(float), st.floats(allow_nan=True, allow_infinity=True, width=32))
TRIAL = st.integers(0, 3)
REPORTS = st.tuples(TRIAL, st.lists(VALUES, min_size=1, max_size=4))
ENDS = st.builds(TrialEnd, TRIAL, failed=st.booleans())
EVENTS = st.lists(st.one_of(REPORTS, ENDS), max_size=30)


def train(config: dict[str, Any]) -> None:
    for step in range(10):
        report(loss=config["x"] / (step + 1), usd=1.0)


def fails_late(config: dict[str, Any]) -> None:
    report(loss=-100.0, usd=1.0)
    raise ValueError(str(config["x"]))


def over_25(summary: StudySummary) -> bool:
    return summary.iterations > 25


def breaks(summary: StudySummary) -> bool:
    raise KeyError("nothing there")


def experiment(**changes: Any) -> Experiment:
    made = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(40).seed(0).parallel(2).order("logical")
    return made


def follow(condition: Expr, events: list[Any]) -> Any:
    study = compile_study(condition, None)
    tally = study.initial()
    for event in events:
        if isinstance(event, TrialEnd):
            tally = study.after_end(tally, event)
        else:
            trial, values = event
            tally = study.after_report(tally, trial, ("other", "loss"), [(1.0, value) for value in values])
    return study, tally


def is_met(condition: Expr, events: list[Any]) -> bool:
    study, tally = follow(condition, events)
    return study.met(tally, lambda improvement: None) is not None


def finite(events: list[Any]) -> list[float]:
    return [value for event in events if not isinstance(event, TrialEnd) for value in event[1] if math.isfinite(value)]


@given(EVENTS, st.sampled_from(["min", "max"]))
def test_the_best_value_is_that_of_all_reports(events: list[Any], mode: Any) -> None:
    _, tally = follow(best("loss", mode) < 0, events)
    values = finite(events)
    assert tally.states == ((min if mode == "min" else max)(values) if values else None,)


@given(EVENTS)
def test_the_total_is_the_sum_of_all_reports(events: list[Any]) -> None:
    _, tally = follow(total("loss") > 0, events)
    assert tally.states[0] == pytest.approx(sum(finite(events)), rel=1e-9, abs=1e-6)


@given(EVENTS, st.integers(1, 4), st.sampled_from([0, 1, 2.5]))
def test_no_improvement_counts_the_trials_that_ended_since_the_last_one(
    events: list[Any], trials: int, delta: float
) -> None:
    held, holder, since = None, None, 0
    for event in events:
        if isinstance(event, TrialEnd):
            since += held is not None and not event.failed and event.trial != holder
            continue
        for value in event[1]:
            if math.isfinite(value) and (held is None or held - value > delta):
                held, holder, since = value, event[0], 0
    condition = no_improvement(trials, delta, "loss", "min")
    assert is_met(condition, events) is (since >= trials)


@given(
    st.lists(st.integers(-5, 5).map(lambda value: value / 4), max_size=40),
    st.sampled_from(["min", "max"]),
    st.integers(2, 5),
    st.sampled_from([1e-9, 0.2, 0.6]),
    st.integers(0, 4),
)
def test_converged_is_the_plateau_of_ray_tune(
    values: list[float], mode: Any, top: int, std: float, patience: int
) -> None:
    stopper = pytest.importorskip("ray.tune.stopper").ExperimentPlateauStopper("loss", std, top, mode, patience)
    condition = converged(top, std, patience, "loss", mode)
    for place, value in enumerate(values, 1):
        assert is_met(condition, [(0, values[:place])]) is bool(stopper("a", {"loss": value})), values[:place]


@given(EVENTS, st.lists(st.integers(-4, 4), min_size=2, max_size=2))
def test_conditions_combine_as_truth_values(events: list[Any], bounds: list[int]) -> None:
    one, other = best("loss", "min") < bounds[0], total("loss") > bounds[1]
    met = is_met(one, events), is_met(other, events)
    assert is_met(one & other, events) is all(met) and is_met(one | other, events) is any(met)
    if finite(events):
        assert is_met(~one, events) is not met[0]
        assert is_met(~(one & other), events) is is_met(~one | ~other, events)


@pytest.mark.parametrize(
    ("condition", "reason", "rows"),
    [
        (best() <= 0.001, "best loss <= 0.001: best loss is 0.000995151", None),
        (total("usd") >= 33, "total usd >= 33: total usd is 33", 33),
        (no_improvement(trials=5), "5 trials ended without a better loss", None),
        (converged(top=5, std=0.01), "the 5 best values of loss are within a standard deviation of 0.01", None),
        (over_25, "over_25(summary)", 26),
        ((best() < 0.5) & (total("usd") > 20), "best loss < 0.5 and total usd > 20: ", 21),
        (best("usd", "max") > 0.5, "best usd > 0.5: best usd is 1", 1),
    ],
)
def test_a_run_ends_by_its_condition_with_a_reason(
    tmp_path: Any, condition: Any, reason: str, rows: int | None
) -> None:
    results = experiment().until(condition).store(tmp_path).run("inline", quiet=True)
    assert results.state.startswith(f"finished: {reason}")
    assert rows is None or sum(trial.iterations for trial in results) == rows
    finish = [c for line in results.journal.records() for c in line.c if isinstance(c, Finish)]
    assert len(finish) == 1 and replay(results.path).state.finished
    stopped = [trial for trial in results if trial.status == "cancelled" or trial.iterations < 10]
    assert any(reason in str(results.why(trial.number)) for trial in stopped) or not stopped


def test_simulated_and_inline_runs_end_at_the_same_report(tmp_path: Any) -> None:
    e = experiment().until(best() <= 0.01).scheduler(asha(max_t=10))
    forecast = e.dry_run(curve=lambda config, step: {"loss": config["x"] / step, "usd": 1.0} if step <= 10 else None)
    assert forecast.journal.digest == e.store(tmp_path).run("inline", quiet=True).journal.digest


def test_an_amended_condition_keeps_what_the_old_one_has_counted(tmp_path: Any) -> None:
    e = experiment().store(tmp_path)
    ended = e.until(total("usd") >= 15).run("inline", quiet=True)
    assert sum(trial.iterations for trial in ended) == 15
    results = e.until((total("usd") >= 40) | (best() < -1)).resume(ended.path, "inline", amend=True, quiet=True)
    assert sum(trial.iterations for trial in results) == 40 and "total usd is 40" in results.state
    assert replay(results.path).state.finished
    again = e.until(total("usd") >= 40).samples(41).resume(ended.path, "inline", amend=True, quiet=True)
    assert sum(trial.iterations for trial in again) == 40


def test_a_failing_part_suspends_the_run_and_others_finish_it(tmp_path: Any) -> None:
    e = experiment().trainable(fails_late).store(tmp_path)
    suspended = e.until((total("usd") >= 1e6) | failing(same=3)).run("inline", quiet=True)
    assert not suspended.finished and len(suspended.errors) == 3
    finished = e.until(total("usd") >= 2).run("inline", quiet=True)
    assert finished.finished and "total usd is 2" in finished.state
    resumed = resume(suspended.path, "inline", quiet=True)
    assert not resumed.finished and len(resumed.errors) == 6


def test_values_of_failed_trials_count_and_failed_trials_are_no_evidence(tmp_path: Any) -> None:
    e = experiment().trainable(fails_late).until(failing(same=0)).store(tmp_path)
    assert "best loss is -100" in e.until(best() < -99).run("inline", quiet=True).state
    assert load(e.until(no_improvement(trials=3)).run("inline", quiet=True).path).state.endswith("have ended")


@pytest.mark.parametrize("value", [3, None, "yes", 0.0])
def test_a_function_must_return_a_truth_value(value: Any, tmp_path: Any) -> None:
    def decides(summary: StudySummary) -> Any:
        return value

    with pytest.raises(FunctionError, match=f"decides of until .* must be True or False, not {value!r}"):
        experiment().until(decides).store(tmp_path).run("inline", quiet=True)


def test_a_function_may_return_a_truth_value_of_numpy(tmp_path: Any) -> None:
    def decides(summary: StudySummary) -> Any:
        return np.bool_(True)

    assert experiment().until(decides).store(tmp_path).run("inline", quiet=True).finished


def test_an_error_of_a_function_names_it(tmp_path: Any) -> None:
    with pytest.raises(FunctionError, match="breaks of until failed when it was called: KeyError"):
        experiment().until(breaks).store(tmp_path).run("inline", quiet=True)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda e: e.stop(best() < 1), r"is over all trials(.|\n)*\.until\(best\(\) < 1\)"),
        (lambda e: e.until(metric("loss") < 1), r"is over one trial(.|\n)*best\('loss'\)"),
        (lambda e: e.until(ref("x") < 1), "is over one trial"),
        (lambda e: e.until(best()), r"compare it: best\(\) <"),
        (lambda e: e.until(no_improvement() > 3), "combine conditions with"),
        (lambda e: e.until((best() < 1) & True), "combine conditions with"),
        (lambda e: e.until(best() <= 0.05 & total("usd") >= 10), r"0.05 is a number(.|\n)*in parentheses"),
        (lambda e: e.until(7), "function of a StudySummary"),
        (lambda e: total("training_iteration"), "budget"),
        (lambda e: best("time_total_s"), "that the trainable reports"),
        (lambda e: no_improvement(min_delta=math.nan), "min_delta"),
        (lambda e: converged(std=-1.0), "std"),
        (lambda e: satisfies(lambda: True) and satisfies(3), "satisfies"),  # type: ignore[arg-type]
    ],
)
def test_wrong_conditions_are_refused_where_they_are_written(wrong: Any, match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        wrong(experiment())


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (lambda: experiment().until(best("usd") < 1), "E051"),
        (lambda: space(x=uniform(0, 1)).trainable(train).until(no_improvement()), "E045"),
        (lambda: experiment().until(best() < NAN), "E052"),
        (lambda: experiment().until(best() < "low"), "E052"),
        (lambda: experiment().until(lambda: True), "E061"),
    ],
)
def test_conditions_that_do_not_fit_the_experiment_are_diagnosed(made: Any, code: str) -> None:
    with pytest.raises(CompileError) as raised:
        made().compile()
    (found,) = [each for each in raised.value.diagnostics if each.severity == "error"]
    assert found.code == code and found.place is not None and found.subject == "until"


def test_a_metric_that_nobody_reports_is_a_warning() -> None:
    assert [each.code for each in experiment().until(total("eur") > 5).check()] == ["W031"]


def test_conditions_of_two_experiments_are_merged() -> None:
    merged = experiment() | Experiment().until(best() < 1)
    assert merged.until(best() < 1).clauses.until == (best() < 1,)


def test_equal_failures_alone_keep_no_tally() -> None:
    assert initial(make_plan(until=failing())).study is None
    assert np.array_equal(initial(make_plan(until=total("usd") > 1)).study.states, (0.0,))  # type: ignore[union-attr]


class TestRegretBelow:
    @pytest.fixture(autouse=True)
    def _in_a_folder_of_its_own(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def bowl(self, condition, mode="min"):
        base = space(x=uniform(0, 1), y=uniform(0, 1)).samples(60)
        base = base.trainable(bowl).minimize("loss") if mode == "min" else base.trainable(hill).maximize("loss")
        return base.seed(0).parallel(1).order("logical").until(condition).run(engine="inline", quiet=True)

    def test_ends_when_nothing_can_get_much_better_and_replays(self):
        results = self.bowl(regret_below(0.05))
        assert 20 <= len(results.trials) < 60
        assert results.best.metrics["loss"] < 0.05
        assert results.state.startswith("finished: loss can hardly get better by more than 0.05: the bound is ")
        replay(results.path)

    def test_maximizes_too(self):
        assert len(self.bowl(regret_below(0.05), mode="max").trials) == len(self.bowl(regret_below(0.05)).trials)

    def test_a_smaller_regret_takes_longer(self):
        assert len(self.bowl(regret_below(0.2)).trials) <= len(self.bowl(regret_below(0.02)).trials)

    def test_waits_for_its_first_trials_and_counts_no_failed_one(self):
        assert len(self.bowl(regret_below(1e9, trials=7)).trials) == 7
        study = compile_study(regret_below(1, trials=5, metric="loss", mode="min"), None)
        tally = study.initial()
        for trial in range(9):
            tally = study.after_report(tally, trial, ("loss",), [(float(trial),)])
            tally = study.after_end(tally, TrialEnd(trial, failed=trial < 5))
        assert study.with_bounds(tally, lambda ended: 0.0) is tally
        tally = study.after_end(study.after_report(tally, 9, ("loss",), [(9.0,), (4.0,)]), TrialEnd(9))
        told = []
        after = study.with_bounds(tally, lambda ended: told.append(ended) or 0.5)
        assert [(each.trial, each.loss, each.iteration) for each in told[0]][-1] == (9, 4.0, 2)
        assert study.met(after, lambda improvement: None) is not None
        assert study.met(tally, lambda improvement: None) is None

    def test_equal_values_bound_nothing(self):
        constant = space(x=uniform(0, 1)).trainable(flat).minimize("loss").samples(25).seed(0)
        assert len(constant.until(regret_below(1, trials=5)).run(engine="inline", quiet=True).trials) == 25

    def test_wrong_arguments(self):
        for wrong in ({"regret": 0}, {"regret": 1, "trials": 4}, {"regret": 1, "metric": "time_total_s"}):
            with pytest.raises(ArgumentError, match="regret_below"):
                regret_below(**wrong)


def bowl(config: dict[str, Any]) -> None:
    report(loss=(config["x"] - 0.3) ** 2 + (config["y"] - 0.6) ** 2)


def hill(config: dict[str, Any]) -> None:
    report(loss=-((config["x"] - 0.3) ** 2) - (config["y"] - 0.6) ** 2)


def flat(config: dict[str, Any]) -> None:
    report(loss=1.0)
