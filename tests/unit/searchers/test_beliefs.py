"""Searchers with priors and earlier runs: what they try first, how far they follow a belief, and when they stop."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from tunedsl.base.codec import decode, encode
from tunedsl.base.objective import Objective
from tunedsl.searchers import (
    Observation,
    bohb,
    evolution,
    gp,
    hyperopt,
    priorband,
    random_search,
    searcher_of,
    sobol,
    tpe,
)
from tunedsl.searchers.beliefs import EarlierRun, agreement, weigh_beliefs
from tunedsl.searchers.density import ParzenMixture
from tunedsl.spaces import Space, choice, grid, loguniform, ref, resolve_space, uniform
from tunedsl.spaces.priors import space_prior

GOAL = (Objective("loss", "min"),)
BELIEVED = Space.of(
    {
        "lr": loguniform(1e-4, 1).prior(1e-2, "high"),
        "opt": choice(["a", "b", "c"]).prior("b"),
        "x": uniform(0, 1),
    }
)
FIRST = [random_search(), sobol(), tpe(), bohb(), evolution(), priorband(), gp()]


def searched(spec, space, loss, count, key=3):
    """The configurations and losses of trials that run one after the other, and the last state."""
    searcher = searcher_of(spec)
    state, configs, losses = searcher.init(spec, space, GOAL, key), [], []
    for trial in range(count):
        state, answer = searcher.ask(spec, state, trial, key)
        configs.append(decode(answer.config))
        losses.append(loss(configs[-1]))
        state = searcher.tell(spec, state, trial, Observation("done", 1, (losses[-1],)))
    return configs, losses, state


@pytest.mark.parametrize("spec", FIRST, ids=repr)
def test_the_first_trial_is_the_centre(spec):
    ((config,), _, _) = searched(spec, BELIEVED, lambda config: 0.0, 1)
    assert config["lr"] == 1e-2 and config["opt"] == "b" and 0 < config["x"] < 1


@pytest.mark.parametrize("spec", [random_search(), sobol()], ids=repr)
def test_the_first_trial_of_each_cell_is_the_centre(spec):
    space = Space.of({"g": grid([1, 2, 3]), "lr": loguniform(1e-4, 1).prior(1e-2)})
    configs, _, _ = searched(spec, space, lambda config: 0.0, 6)
    assert [config["lr"] == pytest.approx(1e-2) for config in configs] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("spec", FIRST, ids=repr)
def test_a_centre_that_breaks_a_constraint_is_not_tried(spec):
    space = Space.of({"a": uniform(0, 1).prior(0.9), "b": uniform(0, 1).prior(0.1)}).where(ref("a") < ref("b"))
    configs, _, _ = searched(spec, space, lambda config: 0.0, 5)
    assert all(config["a"] < config["b"] for config in configs)


@pytest.mark.parametrize("spec", [random_search(), sobol()], ids=repr)
def test_half_of_the_trials_are_drawn_from_the_prior(spec):
    space = Space.of({"x": uniform(0, 1).prior(0.25, "high"), "c": choice(["a", "b"]).prior("a", "high")})
    searcher = searcher_of(spec)
    _, proposals = searcher.batch(spec, searcher.init(spec, space, GOAL, 1), range(4_000), 1)
    drawn = [decode(proposal.config) for proposal in proposals]
    near = np.mean([abs(config["x"] - 0.25) < 0.075 for config in drawn])
    assert near == pytest.approx((0.683 + 0.15) / 2, abs=0.03)
    assert np.mean([config["c"] == "a" for config in drawn]) == pytest.approx((8 / 9 + 1 / 2) / 2, abs=0.03)


def test_a_batch_is_the_same_as_single_asks():
    spec, searcher = random_search(), searcher_of(random_search())
    state = searcher.init(spec, BELIEVED, GOAL, 1)
    _, proposals = searcher.batch(spec, state, range(8), 1)
    assert [searcher.ask(spec, state, trial, 1)[1] for trial in range(8)] == proposals


def bowl(centre, dims=4):
    return lambda config: sum((config[f"x{dim}"] - centre) ** 2 for dim in range(dims))


def cube(centre=None, dims=4, confidence="medium"):
    domain = uniform(0, 1) if centre is None else uniform(0, 1).prior(centre, confidence)
    return Space.of({f"x{dim}": domain for dim in range(dims)})


@functools.cache
def medians(centre, count):
    return float(np.median([min(searched(tpe(), cube(centre), bowl(0.3), count, key)[1]) for key in range(5)]))


def test_a_good_prior_reaches_in_seven_trials_what_takes_twenty_without():
    assert medians(0.35, 7) <= medians(None, 20)


@pytest.mark.parametrize("confidence", ["low", "medium", "high"])
def test_a_misleading_prior_is_forgotten(confidence):
    _, _, state = searched(tpe(), cube(0.9, confidence=confidence), bowl(0.1), 20)
    facts = state.to_arrays()
    assert agreement(space_prior(state.layout), facts) == 0.0
    (weighed,) = weigh_beliefs(state, facts, model)
    assert weighed.weight == 0.0
    assert agreement(space_prior(resolve_space(cube(0.1))), facts) > 0.8


def test_a_prior_counts_less_with_each_result():
    weights = []
    for count in (10, 20, 40):
        _, _, state = searched(tpe(), cube(0.3), bowl(0.3), count)
        weights.append(weigh_beliefs(state, state.to_arrays(), model)[0].weight)
    assert weights[0] > weights[1] > weights[2] > 0


def model(run):
    facts = run.to_arrays()
    order = facts.best_rows(np.flatnonzero(facts.usable), 10)
    return EarlierRun(mixture(facts.points[order[:10]]), mixture(facts.points[order[10:]]))


def mixture(points):
    count, dims = points.shape
    width = np.full(dims, 0.1)
    return ParzenMixture(points, width, width, np.full(count + 1, 1 / (count + 1)), np.zeros(dims, int))


def warmed(*centres, scale=1.0, spec=None):
    """A searcher that has learnt an earlier run for each centre."""
    spec = spec or tpe()
    searcher = searcher_of(spec)
    state = searcher.init(spec, cube(), GOAL, 1)
    for centre in centres:
        configs, losses, _ = searched(random_search(), cube(), bowl(centre), 60, 9)
        run = [
            (encode(config), Observation("done", 1, (scale * loss,)))
            for config, loss in zip(configs, losses, strict=True)
        ]
        state = searcher.learn_run(spec, state, run, 1)
    return spec, searcher, state


def proceed(spec, searcher, state, loss, count):
    values = []
    for trial in range(count):
        state, answer = searcher.ask(spec, state, trial, 1)
        values.append(loss(decode(answer.config)))
        state = searcher.tell(spec, state, trial, Observation("done", 1, (values[-1],)))
    return values, state


def test_earlier_runs_are_weighed_by_how_they_rank_the_results():
    _, state = proceed(*warmed(0.3, 0.9, scale=1e6), bowl(0.3), 12)
    related, misleading = weigh_beliefs(state, state.to_arrays(), model)
    assert related.weight > 0.2 and misleading.weight == 0.0


@pytest.mark.parametrize("spec", [tpe(), gp(n_startup_trials=4)], ids=repr)
def test_a_related_run_helps_at_once(spec):
    plain, _ = proceed(*warmed(spec=spec), bowl(0.3), 12)
    helped, _ = proceed(*warmed(0.35, spec=spec), bowl(0.3), 12)
    assert min(helped) < 0.5 * min(plain)


def test_a_run_of_failures_says_nothing():
    spec, searcher, state = warmed()
    config = encode({f"x{dim}": 0.5 for dim in range(4)})
    state = searcher.learn_run(spec, state, [(config, Observation("failed", 0, (float("nan"),)))], 1)
    assert state.earlier == ()


def test_configurations_may_lack_parameters():
    spec, searcher, state = warmed()
    run = [(encode({"x0": x / 20}), Observation("done", 1, (abs(x / 20 - 0.3),))) for x in range(21)]
    state = searcher.learn_run(spec, state, run, 1)
    values, _ = proceed(spec, searcher, state, lambda config: abs(config["x0"] - 0.3), 12)
    assert min(values) < 0.02


def test_priorband_moves_from_a_wrong_prior_to_the_best_configuration():
    spec = priorband(random_fraction=0.0)
    configs, _, _ = searched(spec, cube(0.9, dims=2, confidence="high"), bowl(0.1, dims=2), 60)
    distances = [abs(config["x0"] - 0.9) for config in configs]
    assert np.mean(distances[:3]) < 0.15 < np.mean(distances[-20:])
    assert bowl(0.1, dims=2)(configs[-1]) < bowl(0.1, dims=2)(configs[0])


def test_priorband_needs_a_prior():
    searcher = searcher_of(priorband())
    (fault,) = searcher.check_compatibility(priorband(), cube(), GOAL)
    assert fault.code == "E048" and "no parameter has one" in fault.message
    assert not searcher.check_compatibility(priorband(), cube(0.5), GOAL)


def test_adapters_say_that_they_ignore_priors():
    assert not searcher_of(hyperopt()).supports.priors and searcher_of(tpe()).supports.priors
