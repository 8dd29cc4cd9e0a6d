"""Searchers in whole experiments: grids, earlier results, several objectives, limits, resume."""

from __future__ import annotations

import math

import pytest

from tunedsl import CompileError, asha, choice, grid, load, randint, report, space, tpe, uniform
from tunedsl.base.objective import Objective
from tunedsl.compiler import PriorTrial, compile_plan
from tunedsl.compiler.warm_start import with_prior_results
from tunedsl.driver.searcher_session import SearcherSession
from tunedsl.runs import resume
from tunedsl.searchers import (
    PerGridCell,
    TryFirst,
    WarmStarted,
    WithResults,
    bohb,
    dedupe,
    evolution,
    limit,
    random_search,
    repeat,
    scored,
    try_first,
    warm_start,
    with_results,
)
from tunedsl.spaces import Space


def train(config):
    for step in range(3):
        report(loss=(config["x"] - 0.3) ** 2 + 1 / (step + 1))


def train_badly(config):
    if config["x"] < 0.35:
        raise ValueError("too small")
    report(loss=math.nan if config["x"] < 0.5 else config["x"])


def weigh(config):
    report(loss=config["x"] ** 2, cost=(config["x"] - 1) ** 2)


def base(**params):
    return space(**({"x": uniform(0, 1)} | params)).trainable(train).minimize("loss").samples(12).seed(0).parallel(3)


def test_a_grid_beside_a_searcher_is_one_search_for_each_cell():
    plan = base(g=grid([1, 2])).searcher(tpe()).compile()
    assert plan.searcher == PerGridCell(tpe()) and plan.trials == 24
    assert "24 = 2 cells of the grid x 12, one search for each cell" in plan.explain()
    assert "per_grid_cell(tpe())" in plan.explain()


def test_what_does_not_learn_goes_through_the_grid_itself():
    assert base(g=grid([1, 2])).searcher(random_search()).compile().searcher == random_search()
    limited = base(g=grid([1, 2])).searcher(limit(random_search(), 2))
    assert [config["g"] for config in limited.preview(4)] == [1, 2, 1, 2]


def test_a_limit_beside_a_grid_is_that_of_all_cells_together():
    experiment = base(g=grid([1, 2, 3, 4])).searcher(limit(tpe(), 2)).parallel(8)
    plan = experiment.compile()
    assert plan.searcher == limit(PerGridCell(tpe()), 2)
    assert "one search for each cell" in plan.explain()
    assert experiment.dry_run(iterations=2).seconds == 12 * 4 * 2 / 2


def test_preview_shows_what_is_tried_first():
    shown = base().searcher(limit(try_first(random_search(), [{"x": 0.5}]), 1)).preview()
    assert shown[0] == {"x": 0.5} and len(shown) == 12


@pytest.mark.parametrize(
    "searcher",
    [
        tpe(n_startup_trials=3),
        limit(evolution(population_size=3, sample_size=2), 2),
        repeat(tpe(n_startup_trials=2), 2),
        bohb(min_points_in_model=1),
        dedupe(tpe(n_startup_trials=3)),
    ],
    ids=repr,
)
def test_a_run_that_was_cut_goes_on_as_it_would_have(searcher, tmp_path):
    experiment = base(n=randint(0, 3)).searcher(searcher).scheduler(asha(max_t=3, reduction_factor=2)).order("logical")
    whole = experiment.store(tmp_path / "whole").run(engine="inline", quiet=True)
    lines = whole.journal.path.read_bytes().splitlines(keepends=True)
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "journal.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    again = resume(cut, quiet=True)
    assert again.journal.digest == whole.journal.digest
    assert len(whole.trials) == 12


def test_failures_and_nan_do_not_stop_a_search(tmp_path):
    experiment = base().trainable(train_badly).searcher(tpe(n_startup_trials=3)).samples(30).order("logical")
    results = experiment.store(tmp_path).run(engine="inline", quiet=True)
    assert len(results.trials) == 30 and results.errors
    assert 0.5 <= results.best.config["x"] < 0.7


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    store = tmp_path_factory.mktemp("earlier")
    return base(old=choice([1, 2])).store(store).run(engine="inline", quiet=True)


@pytest.mark.parametrize(("searcher", "value"), [(tpe(), 0.75), (limit(scored(tpe()), 4), 0.25)], ids=repr)
def test_a_searcher_is_told_of_the_last_report_or_of_the_best(searcher, value, monkeypatch):
    told = []
    heard = SearcherSession._tell
    monkeypatch.setattr(
        SearcherSession, "_tell", lambda desk, trial, status: (heard(desk, trial, status), told.append(desk._state))
    )
    curve = [math.nan, 0.5, 0.25, 0.75]
    experiment = base().trainable(weigh).searcher(searcher).samples(2)
    experiment.dry_run(curve=lambda config, iteration: curve[iteration - 1], iterations=4)
    history = told[-1].inner if hasattr(told[-1], "inner") else told[-1]
    assert history.to_arrays().losses[:, 0].tolist() == [value, value]


class TestWarm:
    def test_the_plan_holds_the_results(self, earlier):
        plan = base().searcher(warm_start(tpe(), earlier.path)).compile()
        (run,) = plan.searcher.searcher.runs
        assert (
            run.path == str(earlier.path)
            and len(run.results) == 12
            and {result.iteration for result in run.results} == {3}
        )
        assert [result.config.object["x"] for result in run.results] == [trial.config["x"] for trial in earlier.trials]
        assert not plan.warnings

    def test_the_best_configurations_are_tried_first(self, earlier):
        plan = base().searcher(warm_start(tpe(), earlier.path)).compile()
        ranked = sorted(earlier.trials, key=lambda trial: trial.metrics["loss"])
        assert [config.object["x"] for config in plan.searcher.configs] == [ranked[0].config["x"]]

    def test_each_run_gives_one_configuration(self):
        def read(path):
            losses = [3.0, 1.0, 2.0] if path == "other" else [1.0, 2.0, 3.0]
            return [PriorTrial({"x": 0.1 * place}, {"loss": loss}, 1, "done") for place, loss in enumerate(losses, 1)]

        spec = warm_start(tpe(), "first", "same", "other")
        spec, _ = with_prior_results(spec, Space.of({"x": uniform(0, 1)}), (Objective("loss", "min"),), read)
        assert [config.object["x"] for config in spec.configs] == pytest.approx([0.1, 0.2, 0.3])

    def test_a_searcher_that_does_not_weigh_runs_is_told_the_results(self, earlier):
        plan = base().searcher(warm_start(bohb(), earlier.path, earlier.path)).compile()
        assert isinstance(plan.searcher.searcher, WithResults) and len(plan.searcher.searcher.results) == 12
        assert len(plan.searcher.configs) == 1

    def test_it_is_known_inside_of_others_and_in_each_cell(self, earlier):
        spec = limit(warm_start(tpe(n_startup_trials=2), earlier.path), 2)
        experiment = base(old=grid([1, 2])).searcher(spec)
        plan = experiment.compile()
        assert isinstance(plan.searcher.searcher.searcher, TryFirst)
        assert isinstance(plan.searcher.searcher.searcher.searcher, WarmStarted)
        assert (
            len(experiment.dry_run(curve=lambda config, iteration: config["x"], iterations=1).journal.plan.digest) == 32
        )

    def test_says_what_does_not_fit(self, earlier):
        narrow = base().replace(x=uniform(0, 0.5)).searcher(warm_start(tpe(), earlier.path))
        (warning,) = [each for each in narrow.check() if each.code == "W080"]
        inside = sum(trial.config["x"] <= 0.5 for trial in earlier.trials)
        assert (
            f"uses {inside} of 12 trials" in warning.message
            and "must be a value of uniform(0.0, 0.5), not" in warning.message
        )
        assert f"{12 - inside} (space.x must be " in warning.message and ", or similar)" in warning.message
        lacking = base(y=uniform(0, 1)).searcher(warm_start(tpe(), earlier.path))
        (warning,) = [each for each in lacking.check() if each.code == "W080"]
        assert "uses 12 of 12 trials. Partly known: 12 (The parameter y is missing)." in warning.message
        results = lacking.compile().searcher.searcher.runs[0].results
        assert [list(each.config.object) for each in results] == [["x"]] * 12
        apart = base().replace(x=0.5).space(y=uniform(0, 1)).searcher(warm_start(tpe(), earlier.path))
        (warning,) = [each for each in apart.check() if each.code == "W080"]
        assert "uses 0 of 12 trials. Unused trials: 12 (The parameter y is missing)." in warning.message
        told = base(y=uniform(0, 1)).searcher(warm_start(bohb(), earlier.path))
        (warning,) = [each for each in told.check() if each.code == "W080"]
        assert "uses 0 of 12 trials. Unused trials: 12 (The parameter y is missing)." in warning.message
        other = base().trainable(weigh).minimize("cost").searcher(warm_start(tpe(), earlier.path))
        assert "The trial did not report cost" in str([each for each in other.check() if each.code == "W080"])

    def test_a_missing_folder_is_an_error(self):
        with pytest.raises(CompileError, match=r"E082: .* cannot read earlier results of .*: There is no journal here"):
            base().searcher(warm_start(tpe(), "nowhere")).compile()
        with pytest.raises(CompileError, match="No reader of journals was passed"):
            compile_plan(base().searcher(warm_start(tpe(), "nowhere")))


class TestObjectives:
    def test_none_beats_what_is_on_the_front(self, tmp_path):
        experiment = base().trainable(weigh).minimize("cost").searcher(tpe()).samples(30).store(tmp_path)
        results = load(experiment.run(engine="inline", quiet=True).path)
        points = [(trial.metrics["loss"], trial.metrics["cost"]) for trial in results.trials]
        front = [(trial.metrics["loss"], trial.metrics["cost"]) for trial in results.pareto]
        assert 1 < len(front) < 31
        for point in points:
            beaten = any(a <= point[0] and b <= point[1] and (a, b) != point for a, b in points)
            assert (point in front) != beaten

    def test_of_one_objective_the_front_is_the_best(self, tmp_path):
        results = base().store(tmp_path).run(engine="inline", quiet=True)
        assert [trial.id for trial in results.pareto] == [results.best.id]

    def test_who_takes_one_says_so(self):
        found = base().trainable(weigh).minimize("cost").searcher(with_results(bohb(), [])).check()
        assert [each.code for each in found] == ["E083"]
        assert "with_results supports 1 objective, but the experiment has 2." in found[0].message
