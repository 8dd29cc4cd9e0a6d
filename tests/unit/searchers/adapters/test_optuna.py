"""Features of Optuna alone: pruning, several objectives, conditional parameters."""

import pytest

from tunedsl.base.objective import Objective
from tunedsl.searchers import Observation, optuna, searcher_of
from tunedsl.spaces import Space, choice, ref, uniform

library = pytest.importorskip("optuna")

SPACE = Space.of({"opt": choice(["a", "b"]), "x": uniform(0, 1).when(ref("opt") == "a")})
MANY = (Objective("loss", "min"), Objective("accuracy", "max"))


def study(spec, objectives, told):
    searcher = searcher_of(spec)
    state = searcher.init(spec, SPACE, objectives, 3)
    for trial, observation in enumerate(told):
        state, _ = searcher.ask(spec, state, trial, 3)
        state = searcher.tell(spec, state, trial, observation)
    return state.log.optimizer._study


def test_trials_are_told_by_how_they_ended():
    nan = float("nan")
    told = [
        Observation("done", 9, (0.5,)),
        Observation("stopped", 4, (0.7,)),
        Observation("failed", 1, (0.1,)),
        Observation("done", 9, (nan,)),
    ]
    found = study(optuna(), MANY[:1], told).trials
    assert [trial.state.name for trial in found] == ["COMPLETE", "PRUNED", "FAIL", "FAIL"]
    assert found[1].intermediate_values == {4: 0.7}


def test_only_what_exists_is_suggested():
    told = [Observation("done", 1, (0.5,))] * 12
    for trial in study(optuna("random"), MANY[:1], told).trials:
        assert ("x" in trial.params) is (trial.params["opt"] == 0)


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii", "nsgaiii", "random"])
def test_several_objectives_keep_their_directions(sampler):
    told = [Observation("done", 1, (1 - trial / 9, trial / 9)) for trial in range(9)]
    found = study(optuna(sampler), MANY, told)
    assert [direction.name for direction in found.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert [trial.number for trial in found.best_trials] == [8]


def test_samplers_of_one_objective_refuse_more():
    spec = optuna("cmaes")
    (fault,) = searcher_of(spec).check_compatibility(spec, SPACE, MANY)
    assert (fault.code, fault.subject) == ("E083", "searcher")
