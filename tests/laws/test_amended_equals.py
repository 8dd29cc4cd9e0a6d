"""Laws of amendments: an amended run decides as a run would that had the amended plan from the beginning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.experiments import Breaker, Quadratic, searching
from tunedsl import asha, choice, fifo, grid, load, replay, tpe, uniform
from tunedsl.backends import SimulatedEngine
from tunedsl.base.errors import Interrupted
from tunedsl.experiment import Experiment
from tunedsl.kernel import Amended, Launch, Reopen
from tunedsl.plan.amending import AmendError
from tunedsl.results import Results
from tunedsl.schedulers import hyperband
from tunedsl.searchers import evolution, random_search, sobol, try_first
from tunedsl.stopping import diverged, metric, plateau


def curves(results: Results) -> dict[int, Any]:
    return {trial.number: (trial.config, list(trial.curve["loss"]), trial.status) for trial in results.trials}


def engine() -> SimulatedEngine:
    return SimulatedEngine(lambda config, iteration: (config["x"] - 0.3) ** 2 + 1 / iteration, iterations=60)


def started(e: Experiment, after: int) -> Path:
    """The folder of a run of `e` that was cut after some events, or had ended before."""
    try:
        return Path(str(e.run(engine=engine(), quiet=True, listeners=[Breaker(after)]).path))
    except Interrupted as cut:
        return Path(cut.path)


def resumed(e: Experiment, path: Path, **options: Any) -> Results:
    results = e.resume(path, engine=engine(), quiet=True, **options)
    assert replay(path).state.finished
    return results


STOPS = {
    "later": metric("training_iteration") >= 15,
    "metric": (metric("loss") < 0.12) | (metric("training_iteration") >= 30),
    "plateau": plateau("loss", std=0.02, num_results=3) | (metric("training_iteration") >= 40),
    "never": diverged("loss"),
}


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(STOPS)), st.integers(1, 200), st.integers(1, 4), st.sampled_from(["arrival", "logical"]))
def test_a_later_stop_rule_continues_each_trial_as_if_it_had_been_so(tmp_path_factory, stop, after, width, order):
    store = tmp_path_factory.mktemp("later")
    e = searching(store / "amended").scheduler(fifo()).stop(training_iteration=9).parallel(width).order(order)
    new = searching(store / "amended").scheduler(fifo()).parallel(width).order(order).stop(STOPS[stop])
    path = started(e, after)
    known = {trial.number: trial.iterations for trial in load(path).trials}
    amended = curves(resumed(new, path, amend=True))
    whole = curves(new.store(store / "whole").run(engine=engine(), quiet=True))
    for number, (config, values, status) in whole.items():
        made = known.get(number, 0)
        if made < len(values):
            assert amended[number] == (config, values, status)
        else:  # it had already gone farther; the rule applies from its next report
            assert made <= len(amended[number][1]) <= made + 1


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([asha(max_t=27, reduction_factor=3), asha(max_t=30, reduction_factor=3, grace_period=3)]),
    st.integers(1, 150),
    st.sampled_from([Quadratic, None]),
)
def test_a_later_max_t_decides_as_if_it_had_been_so(tmp_path_factory, scheduler, after, trainable):
    """One after the other, trials meet the same competitors at each milestone in both runs."""
    store = tmp_path_factory.mktemp("max_t")
    e = searching(store / "amended").parallel(1)
    e = e if trainable is None else e.trainable(trainable).checkpoint(every=3, at_end=True)
    new = e.scheduler(scheduler)
    amended = resumed(new, started(e, after), amend=True)
    whole = new.store(store / "whole").run(engine=engine(), quiet=True)
    assert scheduler.grace_period > 1 or curves(amended) == curves(whole)
    assert max(trial.iterations for trial in amended.trials) == scheduler.max_t


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([tpe(), evolution(), sobol(), random_search()]), st.integers(1, 200))
def test_another_searcher_proposes_as_if_the_earlier_trials_had_been_its_first(tmp_path_factory, searcher, after):
    store = tmp_path_factory.mktemp("searcher")
    e = searching(store / "amended").scheduler(fifo()).stop(training_iteration=9).parallel(1).samples(20)
    path = started(e.searcher(random_search()), after)
    first = [trial.config for trial in load(path).trials]
    amended = resumed(e.searcher(searcher), path, amend=True)
    whole = e.searcher(try_first(searcher, first)).store(store / "whole").run(engine=engine(), quiet=True)
    assert curves(amended) == curves(whole) or searcher == random_search()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([uniform(0, 3), uniform(0.2, 0.4), choice([0.1, 0.2, 0.4]), 0.5]),
    st.sampled_from([random_search(), sobol()]),
    st.integers(1, 100),
)
def test_later_trials_are_those_of_a_run_in_the_new_space(tmp_path_factory, domain, searcher, after):
    store = tmp_path_factory.mktemp("space")
    e = searching(store / "amended").scheduler(fifo()).stop(training_iteration=9).searcher(searcher).samples(16)
    path = started(e, after)
    known = len(load(path).trials)
    amended = curves(resumed(e.replace(x=domain), path, amend=True))
    whole = curves(e.replace(x=domain).store(store / "whole").run(engine=engine(), quiet=True))
    assert all(amended[number] == whole[number] for number in range(known, 16))


def test_searchers_learn_from_the_trials_that_fit_and_the_user_is_told_how_many(tmp_path, capsys):
    e = searching(tmp_path).scheduler(fifo()).stop(training_iteration=9).searcher(random_search())
    path = started(e, 10_000)
    inside = sum(trial.config["x"] <= 0.5 for trial in load(path).trials)
    new = e.replace(x=uniform(0, 0.5)).searcher(tpe()).samples(16)
    new.resume(path, engine=engine(), amend=True)
    told = capsys.readouterr().err
    assert f"the searcher learns from {inside} of 12 earlier trials; {12 - inside} do not fit, for example: " in told
    assert ": space.x must be " in told


def test_ended_trials_continue_the_best_first_or_restart_or_stay(tmp_path):
    e = searching(tmp_path, Quadratic).scheduler(fifo()).stop(training_iteration=3).checkpoint(at_end=True).parallel(1)
    longer = (
        searching(tmp_path, Quadratic).scheduler(fifo()).stop(training_iteration=5).checkpoint(at_end=True).parallel(1)
    )
    starts = {}
    for ended in ("continue", "restart", "keep"):
        first = e.run(engine="inline", quiet=True)
        merit = [trial.number for trial in sorted(first.trials, key=lambda trial: trial.metrics["loss"])]
        results = longer.resume(first.path, engine="inline", quiet=True, amend=ended)
        again = [c for line in results.journal.records() for c in line.c if isinstance(c, Launch) and c.attempt]
        assert [command.trial for command in again] == ([] if ended == "keep" else merit)
        starts[ended] = {command.checkpoint for command in again}
        expected = 3 if ended == "keep" else 5
        assert {trial.iterations for trial in results.trials} == {expected}
        assert all(trial.metrics["loss"] == (trial.config["x"] - 0.3) ** 2 + 1 / expected for trial in results.trials)
    assert starts == {"continue": {3}, "restart": {0}, "keep": set()}


def test_a_scheduler_that_pauses_trials_starts_from_its_first_state(tmp_path):
    e = searching(tmp_path, Quadratic).scheduler(hyperband(max_t=3))
    path = started(e, 10_000)
    ended = {trial.number: trial for trial in load(path).trials}
    results = resumed(e.scheduler(hyperband(max_t=9)), path, amend=True)
    for trial in results.trials:
        before = ended[trial.number]
        assert trial.iterations == (9 if before.status == "completed" else before.iterations)


def test_trials_that_a_user_or_their_own_code_ended_stay_ended(tmp_path):
    e = searching(tmp_path).scheduler(fifo())
    ends_itself = SimulatedEngine(lambda config, iteration: 1 / iteration if iteration < 4 else None)
    path = e.stop(training_iteration=9).run(engine=ends_itself, quiet=True).path
    results = e.stop(training_iteration=20).resume(path, engine=engine(), quiet=True, amend=True)
    assert {trial.iterations for trial in results.trials} == {3}
    assert not [c for line in results.journal.records() for c in line.c if isinstance(c, Reopen)]


def test_a_new_parameter_needs_a_value_for_earlier_trials(tmp_path):
    e = searching(tmp_path).scheduler(fifo()).stop(training_iteration=9)
    path = started(e, 20)
    wider = e.space(y=uniform(0, 1))
    with pytest.raises(AmendError, match=r"space\.y is a new parameter.*\n.*defaults="):
        resumed(wider, path, amend=True)
    with pytest.raises(AmendError, match=r"defaults\.y must be a value of"):
        resumed(wider, path, amend=True, defaults={"y": 7})
    with pytest.raises(AmendError, match="is not a new parameter"):
        resumed(wider, path, amend=True, defaults={"y": 0.5, "x": 0.5})
    known = len(load(path).trials)
    results = resumed(wider, path, amend=True, defaults={"y": 0.5})
    assert [trial.config["y"] == 0.5 for trial in results.trials] == [n < known for n in range(12)]
    assert next(event for event in results.journal.events() if isinstance(event, Amended)).defaults == {"y": 0.5}


def test_a_grid_grows_at_its_end_and_is_not_renumbered(tmp_path):
    e = searching(tmp_path).replace(x=grid([0.1, 0.2, 0.3])).samples(1).scheduler(fifo()).stop(training_iteration=9)
    path = started(e.searcher(random_search()), 10_000)
    more = resumed(e.replace(x=grid([0.1, 0.2, 0.3, 0.4, 0.5])), path, amend=True)
    assert [trial.config["x"] for trial in more.trials] == [0.1, 0.2, 0.3, 0.4, 0.5]
    with pytest.raises(AmendError, match="is not in the cell"):
        resumed(e.replace(x=grid([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])), path, amend=True)
