"""A trial that runs again: the same configuration, seed, number, resources, data and code, and so the same reports."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.experiments import Quadratic, quadratic, searching
from tunedsl import (
    ArgumentError,
    Interrupted,
    TunedslError,
    asha,
    backoff,
    choice,
    load,
    pbt,
    replay,
    report,
    sample_from,
    space,
    trial,
    uniform,
)
from tunedsl.base.errors import NoResult
from tunedsl.driver.driver import Listener
from tunedsl.experiment import Experiment
from tunedsl.results import Results
from tunedsl.results.trial import TrialResult


def draws(config: dict[str, Any], **data: Any) -> None:
    """Draws from all generators, and reports everything that a trial can read about itself."""
    info = trial()
    own = np.random.default_rng(info.seed)
    for _ in range(9):
        loss = config["x"] + own.random() + np.random.random() + random.random() + sum(data.get("table", ()))
        report(loss=loss, seed=info.seed, number=info.number, id=info.id, resources=dict(info.resources))


def many(store: Path) -> Experiment:
    drawn = space(x=uniform(0, 1), by=choice([np.sin, max]), z=sample_from(lambda config: random.random()))
    return drawn.trainable(draws).minimize("loss").samples(9).scheduler(asha(max_t=9)).parallel(3).store(store)


def told(found: TrialResult) -> list[dict[str, Any]]:
    """All reports of a trial, without times."""
    record = found._record
    rows = [{name: column.values[at] for name, column in record.columns.items()} for at in range(record.iterations)]
    return [{**row, **record.data.get(at, {})} for at, row in enumerate(rows)]


@pytest.fixture
def results(tmp_path) -> Results:
    return many(tmp_path / "runs").run(engine="inline", quiet=True)


def test_each_trial_reports_the_same_again(results):
    stopped = {found.iterations for found in results}
    assert len(stopped) > 1, "ASHA has stopped some"
    for found in results:
        again = results.rerun(found.number, quiet=True)
        assert told(again) == told(found) and again.iterations == found.iterations
        assert (again.number, again.id, again.config) == (found.number, found.id, found.config)
        assert again.seed == found.seed == found.metrics["seed"]
        assert again.resources == found.resources == found.metrics["resources"] == {"cpu": 1.0}
        assert again.path.parts[-4:-3] == ("runs",) and again.results.path != results.path


def test_the_best_one_gives_its_number_again_from_another_process_too(results):
    read = load(results.path)
    assert read.definition is None and read.seed == results.seed
    again = read.rerun(read.best.id, quiet=True)
    assert again.metrics["loss"] == read.best.metrics["loss"]
    assert replay(again.results.path).state.finished


def test_an_experiment_reruns_a_trial_with_its_objects(tmp_path):
    experiment = many(tmp_path).data(table=[1, 2])
    results = experiment.run(engine="inline", quiet=True)
    assert told(results.rerun("00004", quiet=True)) == told(results[4])
    read = load(results.path)
    with pytest.raises(TunedslError, match=r"data\(table\)(.|\n)*experiment.rerun\(results\[4\]\)"):
        read.rerun(4)
    assert told(experiment.rerun(read[4], quiet=True)) == told(results[4])
    with pytest.raises(ArgumentError, match=r"results.rerun\(17\)"):
        experiment.rerun(4)


def test_a_closure_is_run_again_where_it_is_at_hand(tmp_path):
    def inner(config):
        report(loss=config["x"] * factor)

    factor = 3
    results = searching(tmp_path, inner).run(engine="inline", quiet=True)
    assert results.rerun(2, quiet=True).metrics["loss"] == results[2].metrics["loss"]


def test_a_changed_experiment_says_what_it_reruns_otherwise(tmp_path, capsys):
    experiment = searching(tmp_path)
    results = experiment.run(engine="inline", quiet=True)
    assert told(experiment.stop(training_iteration=1).rerun(results.best)) == told(results.best)[:1]
    assert "changed since" in capsys.readouterr().err
    experiment.rerun(results.best)
    assert "changed since" not in capsys.readouterr().err


def fails(config: dict[str, Any]) -> None:
    report(loss=config["x"])
    raise ValueError(f"x is {config['x']}")


def test_a_failed_trial_fails_again(tmp_path):
    results = searching(tmp_path, fails).run(engine="inline", quiet=True)
    assert results.rerun(0, quiet=True).error.message == results[0].error.message


def test_what_pbt_has_changed_is_refused_with_what_to_do(tmp_path):
    results = (
        space(x=uniform(0, 1))
        .trainable(Quadratic)
        .minimize("loss")
        .scheduler(pbt(perturbation_interval=2))
        .samples(6)
        .parallel(6)
        .order("logical")
        .seed(1)
        .store(tmp_path)
        .run(engine="inline", quiet=True)
    )
    changed = next(found for found in results if len(found._record.configs) > 1)
    with pytest.raises(NoResult, match=rf"another trial's weights(.|\n)*pbt_policy\({changed.number}\)"):
        results.rerun(changed.number)
    kept = next(found for found in results if len(found._record.configs) == 1)
    assert told(results.rerun(kept.number, quiet=True)) == told(kept)


def out_of_memory(config: dict[str, Any]) -> None:
    if trial().resources["memory"] < 3000:
        raise MemoryError
    report(loss=1, memory=trial().resources["memory"])


def test_it_has_the_resources_that_it_came_to(tmp_path):
    experiment = space(x=uniform(0, 1)).trainable(out_of_memory).minimize("loss").store(tmp_path)
    results = (
        experiment.resources(memory=1000)
        .retry(oom=3, grow=2, backoff=backoff(initial=0))
        .run(engine="inline", quiet=True)
    )
    found = results.best
    assert found.resources["memory"] == found.metrics["memory"] == 4000
    again = results.rerun(0, quiet=True)
    assert again.metrics["memory"] == 4000 and again._record.attempts == 1


def half(config: dict[str, Any]) -> dict[str, float]:
    return {"cpu": 0.5 if config["x"] < 2 else 1}


def test_resources_of_a_function_are_those_of_the_configuration(tmp_path):
    results = searching(tmp_path, draws).resources(half).run(engine="inline", quiet=True)
    assert results[0].resources == {"cpu": 0.5} == results.rerun(0, quiet=True).metrics["resources"]
    with pytest.raises(NoResult, match="half gives the resources"):
        load(results.path)[0].resources


def test_an_interrupted_rerun_is_resumed(tmp_path):
    class Asks(Listener):
        def on_event(self, event, commands, state):
            if state.iterations:
                raise KeyboardInterrupt

        def on_wait(self, state): ...
        def close(self, state): ...

    results = searching(tmp_path, quadratic).run(engine="inline", quiet=True)
    with pytest.raises(Interrupted) as caught:
        results.rerun(3, quiet=True, listeners=[Asks()])
    from tunedsl import resume

    (again,) = resume(caught.value.path, quiet=True)
    assert told(again) == told(results[3]) and again.number == 3


def test_a_class_is_loaded_from_a_trial(tmp_path):
    experiment = searching(tmp_path, Quadratic).checkpoint(at_end=True)
    results = experiment.run(engine="inline", quiet=True)
    model = results.best_model()
    assert isinstance(model, Quadratic)
    assert (model.x, model.done) == (results.best.config["x"], results.best.iterations)
    assert load(results.path).best.load(results.best.best_checkpoint()).done == model.done
    with pytest.raises(NoResult, match=r"(?s)No checkpoint .*at_end=True"):
        searching(tmp_path, Quadratic).scheduler(asha(max_t=2)).run(engine="inline", quiet=True).best.load()
    with pytest.raises(NoResult, match=r"quadratic is not a tunedsl\.Trainable"):
        searching(tmp_path).run(engine="inline", quiet=True).best_model()


class WithTable(Quadratic):
    def setup(self, config: dict[str, Any], **data: Any) -> None:
        super().setup(config)
        self.table = data["table"]


def test_a_loaded_class_is_set_up_with_data(tmp_path):
    experiment = searching(tmp_path, WithTable).checkpoint(at_end=True).data(table=[1, 2])
    results = experiment.run(engine="inline", quiet=True)
    assert results.best_model().table == [1, 2] == load(results.path).best_model(table=[1, 2]).table
