"""Runs under outcome constraints: results, schedulers, conditions and views rank feasible trials first."""

import math

import pytest

from tunedsl import asha, auto, gp, load, metric, replay, report, space, tpe, uniform
from tunedsl.cli.tables import as_json, table
from tunedsl.searchers import contract, random_search, warm_start
from tunedsl.stopping import best
from tunedsl.views.counters import Counters


def train(config):
    """The smaller `x`, the smaller the loss and the larger the size, which is reported once."""
    report(loss=config["x"], size=1 - config["x"])
    report(loss=config["x"])


def train_without(config):
    report(loss=config["x"])


def base(tmp_path, trainable=train):
    grown = space(x=uniform(0, 1)).trainable(trainable).minimize("loss").samples(16).seed(3)
    return grown.parallel(1).store(tmp_path)


SMALL = metric("size") <= 0.5


def test_the_best_trial_is_the_best_feasible_one(tmp_path):
    results = base(tmp_path).subject_to(SMALL).run("inline", quiet=True)
    xs = [trial.config["x"] for trial in results.trials]
    least = min(x for x in xs if x >= 0.5)
    assert results.best_config["x"] == least > min(xs)
    assert [trial.config["x"] for trial in results.pareto] == [least]
    assert results.peak is None and results.best.feasible and results.best.violations == {"size <= 0.5": 0.5 - least}
    assert results.best_trial(scope="all").config["x"] == least
    frame = results.dataframe()
    assert frame["feasible"].tolist() == [x >= 0.5 for x in xs]
    assert frame["violation"].tolist() == pytest.approx([max(0.5 - x, 0) for x in xs])
    assert frame["size"].tolist() == pytest.approx([1 - x for x in xs])
    order = [results.trials[place].config["x"] for place in results.order(results.plan.objectives[0])]
    assert order == [*sorted(x for x in xs if x >= 0.5), *sorted((x for x in xs if x < 0.5), reverse=True)]
    count = sum(x >= 0.5 for x in xs)
    said = f"{count} of 16 trials are feasible; {16 - count} violate size <= 0.5"
    assert str(results.feasibility) == said
    assert "; feasible" in results.why(results.best.number)
    worst = min(results.trials, key=lambda trial: trial.config["x"])
    assert "infeasible: size <= 0.5 is violated by" in results.why(worst.number) and "infeasible" in repr(worst)


def test_if_none_is_feasible_the_best_violates_least_and_the_summary_says_so(tmp_path):
    results = base(tmp_path).subject_to(metric("size") <= -1).run("inline", quiet=True)
    assert results.best_config["x"] == max(trial.config["x"] for trial in results.trials)
    assert not results.best.feasible
    assert str(results.feasibility).endswith("the best trial is the one with the least total violation")


def test_trials_that_do_not_report_the_metric_are_infeasible(tmp_path):
    experiment = base(tmp_path, train_without).subject_to(SMALL)
    assert [diagnostic.code for diagnostic in experiment.check()] == ["W031"]
    results = experiment.run("inline", quiet=True)
    assert results.dataframe()["violation"].isna().all() and not results.dataframe()["feasible"].any()
    assert "16 did not report size, and count as infeasible" in str(results.feasibility)
    assert results.best_config["x"] == min(trial.config["x"] for trial in results.trials)
    assert math.isnan(results.best.violations["size <= 0.5"])


def test_the_study_ends_at_a_feasible_value_only(tmp_path):
    results = base(tmp_path).subject_to(SMALL).until(best() <= 0.7).run("inline", quiet=True)
    last = results.trials[-1].config["x"]
    assert 0.5 <= last <= 0.7
    assert not any(0.5 <= trial.config["x"] <= 0.7 for trial in results.trials[:-1])
    assert any(trial.config["x"] < 0.5 for trial in results.trials)


def test_schedulers_stop_infeasible_trials_first(tmp_path):
    halving = asha(max_t=2, reduction_factor=2)
    results = base(tmp_path).subject_to(SMALL).scheduler(halving).run("inline", quiet=True)
    feasible = [trial.config["x"] >= 0.5 for trial in results.trials]
    went_on = [trial.status == "completed" for trial in results.trials]
    assert sum(f and w for f, w in zip(feasible, went_on, strict=True)) > sum(
        w and not f for f, w in zip(feasible, went_on, strict=True)
    )
    stopped = next(trial for trial in results.trials if trial.status == "stopped" and not trial.feasible)
    assert "infeasible by" in results.why(stopped.number)


def test_a_constraint_whose_metric_is_not_reported_yet_does_not_disturb_the_scheduler(tmp_path):
    halving = asha(max_t=2, reduction_factor=2)
    plain = base(tmp_path, train_without).scheduler(halving).run("inline", quiet=True)
    constrained = base(tmp_path, train_without).scheduler(halving).subject_to(SMALL).run("inline", quiet=True)
    assert [trial.status for trial in constrained.trials] == [trial.status for trial in plain.trials]


def test_searchers_are_told_violations_and_kinds_of_failure(tmp_path, monkeypatch):
    told = []
    original = contract.searcher_of(tpe())

    def tell(spec, state, trial, observation):
        told.append(observation)
        return original.tell(spec, state, trial, observation)

    import attrs

    monkeypatch.setitem(contract._searchers, type(tpe()), attrs.evolve(original, tell=tell))

    def fails(config):
        report(loss=config["x"], size=1 - config["x"])
        if config["x"] > 0.5:
            raise MemoryError("out of memory")

    base(tmp_path, fails).searcher(tpe()).subject_to(SMALL, metric("other") > 0).run("inline", quiet=True)
    assert len(told) == 16
    for each in told:
        assert each.constraints[0] == pytest.approx(0.5 - each.values[0]) and math.isnan(each.constraints[1])
        assert each.failure == ("oom" if each.status == "failed" else "")
    assert {each.status for each in told} == {"done", "failed"}


def test_a_searcher_that_cannot_learn_violations_is_told_nan_for_infeasible_trials():
    observation = contract.Observation("done", 1, (0.5,), (0.1,))
    assert math.isnan(contract.visible(contract.searcher_of(random_search()), observation).values[0])
    assert contract.visible(contract.searcher_of(tpe()), observation) is observation


def test_warm_starts_carry_violations_of_the_new_constraints(tmp_path):
    earlier = base(tmp_path).run("inline", quiet=True)
    later = base(tmp_path).subject_to(SMALL).searcher(warm_start(tpe(), earlier.path)).samples(6)
    first = later.run("inline", quiet=True).trials[0].config["x"]
    assert first == min(x for x in (trial.config["x"] for trial in earlier.trials) if x >= 0.5)


@pytest.mark.parametrize("searcher", [tpe(), gp(), auto()])
@pytest.mark.parametrize("scheduler", [None, asha(max_t=2, reduction_factor=2)])
def test_amended_constraints_judge_earlier_trials_again_and_the_run_replays(tmp_path, scheduler, searcher):
    experiment = base(tmp_path).searcher(searcher)
    experiment = experiment if scheduler is None else experiment.scheduler(scheduler)
    path = experiment.run("inline", quiet=True).path
    results = experiment.subject_to(SMALL).samples(24).resume(path, "inline", amend=True, quiet=True)
    xs = [trial.config["x"] for trial in results.trials if trial.status == "completed"]
    assert len(results.trials) == 24 and results.best_config["x"] == min(x for x in xs if x >= 0.5)
    assert load(path).best.id == results.best.id and replay(path)


def test_views_and_tables_show_feasibility(tmp_path):
    seen = []

    class Watch(Counters):
        def take(self, event, commands, state):
            super().take(event, commands, state)
            seen.append(self.best)

    from tunedsl.journal import fold

    results = base(tmp_path).subject_to(SMALL).run("inline", quiet=True)
    counters = Watch(results.plan)
    for line, state in fold(results.journal):
        if line.e is not None:
            counters.take(line.e, line.c, state)
    assert counters.best.trial == results.best.number and counters.best.feasible
    assert "violation" in [column.header for column in table(results, results.trials).columns]
    assert '"feasible"' in as_json(results, results.trials)
