"""The Gaussian process under outcome constraints, and with failures that configurations cause."""

import math

import numpy as np
import pytest

from tunedsl.base.codec import decode
from tunedsl.base.objective import Objective
from tunedsl.searchers import Observation, auto, gp, random_search, searcher_of
from tunedsl.searchers.acquisition import log_normal_cdf
from tunedsl.spaces import Space, uniform

SPACE = Space.of({"x": uniform(0, 1), "y": uniform(0, 1)})
GOALS = (Objective("loss", "min"),)


def toy(x, y):
    """The least value is 0 and infeasible, the least feasible one 0.5998 (Gramacy et al., Technometrics 58, 2016)."""
    wave = 1.5 - x - 2 * y - 0.5 * math.sin(2 * math.pi * (x * x - 2 * y))
    return Observation("done", 1, (x + y,), (wave, x * x + y * y - 1.5))


def minimized(spec, seed, count, tell, concurrent=1):
    """The configurations and observations of a run, with some trials at a time."""
    searcher = searcher_of(spec)
    state, found, waiting = searcher.init(spec, SPACE, GOALS, seed), [], []
    for trial in range(count):
        state, answer = searcher.ask(spec, state, trial, seed)
        config = decode(answer.config)
        found.append((config, tell(**config)))
        waiting.append(trial)
        if len(waiting) == concurrent:
            first = waiting.pop(0)
            state = searcher.tell(spec, state, first, found[first][1])
    return found


def failing(kind):
    """The larger `x`, the better, until it fails; the least value without a failure is 0."""

    def tell(x, y):
        if x > 0.6 * y:
            return Observation("failed", 1, (math.nan,), (), kind)
        return Observation("done", 1, (0.6 - x + (1 - y) ** 2,))

    return tell


def least(found):
    met = (seen for _, seen in found if seen.status == "done" and all(each <= 0 for each in seen.constraints))
    return min((seen.values[0] for seen in met), default=math.inf)


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_best_feasible_configuration(seed):
    found = least(minimized(gp(), seed, 35, toy))
    assert found < 0.63
    assert found < least(minimized(random_search(), seed, 35, toy))


def test_auto_learns_violations_and_concurrent_trials_differ():
    found = minimized(auto(), 1, 40, toy, concurrent=4)
    assert least(found) < 0.65
    assert len({tuple(config.values()) for config, _ in found}) == 40


@pytest.mark.parametrize("seed", range(3))
def test_it_looks_for_a_feasible_configuration_first(seed):
    def tell(x, y):
        return Observation("done", 1, (x + y,), (math.dist((x, y), (0.75, 0.75)) - 0.04, 0.5 - x))

    assert math.isfinite(least(minimized(gp(), seed, 30, tell)))


@pytest.mark.parametrize("violation", [math.nan, math.inf])
def test_violations_that_are_not_known_or_infinite_do_no_harm(violation):
    def tell(x, y):
        return Observation("done", 1, (x + y,), (violation if x < 0.5 else 0.4 - x,))

    found = minimized(gp(), 0, 30, tell)
    assert least(found) < 0.51


def test_if_a_constraint_is_never_known_the_objective_decides():
    found = minimized(gp(), 0, 25, lambda x, y: Observation("done", 1, (x + y,), (math.nan,)))
    assert min(seen.values[0] for _, seen in found) < 0.01


def test_it_avoids_the_region_of_failures():
    tell = failing("oom")
    found = minimized(gp(), 2, 35, tell)
    late = [seen.status for _, seen in found[15:]]
    assert late.count("failed") < 12
    assert least(found) < least(minimized(random_search(), 2, 35, tell))


def test_lost_workers_say_nothing_about_a_configuration():
    spec, states = gp(n_startup_trials=2), []
    for kind in ("lost", "oom"):
        state = searcher_of(spec).init(spec, SPACE, GOALS, 0)
        for trial in range(12):
            state, answer = searcher_of(spec).ask(spec, state, trial, 0)
            state = searcher_of(spec).tell(spec, state, trial, failing(kind)(**decode(answer.config)))
        state, _ = searcher_of(spec).ask(spec, state, 12, 0)
        states.append(state)
    assert [each is None for each in (states[0].feasibility[0], states[1].feasibility[0])] == [True, False]


def test_the_log_of_the_normal_distribution_function():
    z = np.array([-40.0, -26.0, -25.0 + 1e-9, -3.0, 0.0, 8.0])
    expected = [-804.6084, -342.1785, -316.6394, -6.6077262, -0.6931472, 0.0]
    assert log_normal_cdf(z) == pytest.approx(expected, rel=1e-4, abs=1e-9)
