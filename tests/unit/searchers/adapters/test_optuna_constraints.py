"""Outcome constraints reach Optuna's samplers as its own `constraints_func` would pass them."""

import math
import warnings

import numpy as np
import pytest

from tests.unit.searchers.adapters.bare import KEY
from tunedsl import metric, space, uniform
from tunedsl.base.objective import Objective
from tunedsl.searchers import Observation, optuna, searcher_of
from tunedsl.searchers.adapters.libraries import LibraryContext
from tunedsl.spaces import Space
from tunedsl.spaces.layout import resolve_space

library = pytest.importorskip("optuna")

SPACE = Space.of({"x": uniform(0, 6), "y": uniform(0, 6)})
ONE = (Objective("loss", "min"),)
TWO = (Objective("loss", "min"), Objective("size", "max"))
SEED = LibraryContext(resolve_space(SPACE), ONE, KEY).seed


def outcome(config, objectives):
    """The values and the violations: a circle, and a half plane."""
    x, y = config["x"], config["y"]
    return (math.cos(2 * x) * math.cos(y) + math.sin(x), x + y)[: len(objectives)], (
        math.hypot(x - 3, y - 3) - 2,
        x - y,
    )


def direct(made, objectives, count):
    """What a sampler suggests in a study of its own."""
    told = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = made(constraints_func=lambda trial: told[trial.number])
        library.logging.set_verbosity(library.logging.ERROR)
        directions = ["minimize" if goal.mode == "min" else "maximize" for goal in objectives]
        study = library.create_study(sampler=sampler, directions=directions)
        for _ in range(count):
            trial = study.ask()
            config = {name: trial.suggest_float(name, 0, 6) for name in ("x", "y")}
            values, told[trial.number] = outcome(config, objectives)
            study.tell(trial, values)
            yield config


@pytest.mark.parametrize("objectives", [ONE, TWO], ids=["one", "two"])
@pytest.mark.parametrize("sampler", ["tpe", "nsgaii", "nsgaiii"])
def test_the_sequence_is_that_of_the_library_with_its_own_constraints(sampler, objectives):
    options = {"n_startup_trials": 5} if sampler == "tpe" else {"population_size": 8}
    more = {"multivariate": True, "constant_liar": True} if sampler == "tpe" else {}
    classes = {"tpe": "TPESampler", "nsgaii": "NSGAIISampler", "nsgaiii": "NSGAIIISampler"}
    make = getattr(library.samplers, classes[sampler])
    expected = list(direct(lambda **own: make(seed=SEED, **options, **more, **own), objectives, 30))
    spec = optuna(sampler, **options)
    found = [config for config, _ in asked(spec, objectives, 30)]
    assert found == [{name: np.asarray(raw).item() for name, raw in config.items()} for config in expected]
    ignored = [config for config, _ in asked(spec, objectives, 30, known=False)]
    assert ignored != found


def asked(spec, objectives, count, known=True, told=lambda trial, observation: observation):
    searcher = searcher_of(spec)
    state = searcher.init(spec, SPACE, objectives, KEY)
    for trial in range(count):
        state, answer = searcher.ask(spec, state, trial, KEY)
        values, violations = outcome(answer.config, objectives)
        observation = told(trial, Observation("done", 1, values, violations if known else ()))
        state = searcher.tell(spec, state, trial, observation)
        yield answer.config, state.log.optimizer._study


def test_a_trial_whose_violation_is_unknown_is_failed():
    def told(trial, observation):
        return Observation("done", 1, observation.values, (math.nan, -1.0) if trial == 2 else (-1.0, -1.0))

    for spec in (optuna(), optuna("nsgaii")):
        *_, (_, study) = asked(spec, ONE, 4, told=told)
        assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]


@pytest.mark.parametrize("sampler", ["random", "qmc", "cmaes"])
def test_a_sampler_without_constraints_is_told_infeasible_trials_as_failed(sampler):
    pytest.importorskip("cmaes")
    pytest.importorskip("scipy")

    def told(trial, observation):
        return Observation("done", 1, observation.values, (1.0 if trial % 2 else -1.0,))

    *_, (_, study) = asked(optuna(sampler), ONE, 6, told=told)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL"] * 3


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii", "nsgaiii"])
def test_results_from_elsewhere_have_no_constraints(sampler):
    """With and without violations in one study, in both orders, and enough trials for a second generation."""
    options = {"n_startup_trials": 3} if sampler == "tpe" else {"population_size": 4}
    for early in (True, False):

        def told(trial, observation, early=early):
            elsewhere = (trial < 5) == early
            return Observation("done", 1, observation.values, () if elsewhere else observation.constraints)

        found = list(asked(optuna(sampler, **options), ONE, 14, told=told))
        assert len(found) == 14


def test_a_run_learns_constraints():
    def train(config):
        values, violations = outcome(config, ONE)
        return {"loss": values[0], "outside": violations[0]}

    experiment = space(x=uniform(0, 6), y=uniform(0, 6)).trainable(train).minimize("loss").samples(40).seed(1)
    experiment = experiment.searcher(optuna(n_startup_trials=8)).subject_to(metric("outside") <= 0)
    results = experiment.run(engine="inline", quiet=True)
    inside = [trial.metrics["outside"] <= 0 for trial in results.trials]
    assert sum(inside[20:]) > sum(inside[:20])
