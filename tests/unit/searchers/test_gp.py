"""What the searcher with a Gaussian process learns from, and what it proposes."""

from __future__ import annotations

import numpy as np
import pytest

from tunedsl.base import codec
from tunedsl.base.objective import Objective
from tunedsl.searchers import Observation, Proposal, gp, random_search, searcher_of
from tunedsl.searchers.history import STOPPED
from tunedsl.searchers.training_data import training_data, trust_region_side
from tunedsl.spaces import Space, choice, randint, ref, uniform

LOSS = (Objective("loss", "min"),)
PLANE = Space.of({"x": uniform(0, 1), "y": uniform(0, 1)})


def run(spec, space, loss, trials, *, objectives=LOSS, width=1, key=0, tell=None):
    """The losses, and the last state; `tell` may tell the state something else than the loss at the end."""
    searcher = searcher_of(spec)
    state, running, losses = searcher.init(spec, space, objectives, key), [], []
    for trial in range(trials):
        state, answer = searcher.ask(spec, state, trial, key)
        assert isinstance(answer, Proposal)
        losses.append(loss(codec.decode(answer.config)))
        running.append((trial, losses[-1]))
        if len(running) == width:
            ended, value = running.pop(0)
            if tell is not None:
                state = tell(searcher, spec, state, ended, value)
            else:
                values = value if isinstance(value, tuple) else (value,)
                state = searcher.tell(spec, state, ended, Observation("done", 1, values))
    return losses, state


def bowl(config):
    return (config["x"] - 0.7) ** 2 + 10 * (config["y"] - 0.2) ** 2


def test_it_finds_the_bottom_of_a_bowl():
    losses, _ = run(gp(), PLANE, bowl, 30)
    others, _ = run(random_search(), PLANE, bowl, 30)
    assert min(losses) < 1e-4 < min(others)


def test_it_finds_an_optimum_on_the_bounds():
    losses, _ = run(gp(), PLANE, lambda config: config["x"] - config["y"], 25)
    assert min(losses) == -1.0


def test_values_of_any_size_and_direction_are_learnt():
    goal = (Objective("score", "max"),)
    losses, _ = run(gp(), PLANE, lambda config: -1e9 * bowl(config) - 1e12, 30, objectives=goal)
    assert max(losses) > -1e12 - 1e6


def test_concurrent_proposals_differ():
    _, state = run(gp(), PLANE, bowl, 12)
    searcher, points = searcher_of(gp()), []
    for trial in range(12, 20):
        state, answer = searcher.ask(gp(), state, trial, 0)
        points.append([answer.config["x"], answer.config["y"]])
    apart = np.abs(np.array(points)[:, None] - np.array(points)).max(axis=2) + np.eye(8)
    assert apart.min() > 1e-6


def test_choices_integers_and_conditions_are_modelled_together():
    space = Space.of(
        {
            "kind": choice(["flat", "deep"]),
            "n": randint(1, 30),
            "x": uniform(0, 1).when(ref("kind") == "deep"),
        }
    )

    def loss(config):
        return abs(config["n"] - 17) / 30 + ((config["x"] - 0.4) ** 2 if config["kind"] == "deep" else 0.5)

    losses, _ = run(gp(), space, loss, 40)
    assert min(losses) < 0.01


def test_constraints_are_met():
    space = PLANE.where(ref("x") + ref("y") < 0.8)
    losses, state = run(gp(), space, bowl, 25)
    assert np.nanmax(state.history.points.rows.sum(axis=1)) < 0.8
    assert min(losses) < 0.05


def test_failed_trials_push_away():
    def tell(searcher, spec, state, trial, value):
        status = "failed" if value is None else "done"
        return searcher.tell(spec, state, trial, Observation(status, 1, (float("nan") if value is None else value,)))

    def loss(config):
        return None if config["x"] > 0.5 else 1 - config["x"]

    losses, _ = run(gp(), PLANE, loss, 40, tell=tell)
    assert sum(value is None for value in losses[20:]) < 10
    assert min(value for value in losses if value is not None) < 0.53


def at_rungs(searcher, spec, state, trial, value):
    """A trial that is stopped at iteration 1 or 3 unless it is good; its loss falls with the log of the iteration."""
    for iteration in (1, 3, 9):
        status = "done" if iteration == 9 else "reported"
        state = searcher.tell(spec, state, trial, Observation(status, iteration, (value + 3 - np.log(iteration),)))
        if value > 0.3 / iteration and iteration < 9:
            return searcher.tell(
                spec, state, trial, Observation("stopped", iteration, (value + 3 - np.log(iteration),))
            )
    return state


def test_it_learns_from_stopped_trials_at_the_iteration_that_they_reached():
    losses, state = run(gp(), PLANE, bowl, 30, tell=at_rungs)
    assert min(losses) < 1e-3
    data = training_data(state.history, 0)
    assert sorted(set(data.fidelity.round(3))) == [0.0, 0.5, 1.0]
    assert 0 < len(data.running) == (state.history.to_arrays().status == STOPPED).sum()


def test_a_running_trial_is_learnt_and_pending():
    searcher = searcher_of(gp())
    state = searcher.init(gp(), PLANE, LOSS, 0)
    for trial in range(3):
        state, _ = searcher.ask(gp(), state, trial, 0)
    state = searcher.tell(gp(), state, 0, Observation("reported", 1, (5.0,)))
    state = searcher.tell(gp(), state, 0, Observation("reported", 4, (2.0,)))
    state = searcher.tell(gp(), state, 1, Observation("done", 16, (1.0,)))
    data = training_data(state.history, 0)
    assert data.fidelity.tolist() == [0.0, 0.5, 1.0]
    assert data.trials == 2
    assert len(data.running) == 2


def test_a_report_at_each_iteration_is_thinned_to_one_for_each_doubling():
    searcher = searcher_of(gp())
    state, _ = searcher.ask(gp(), searcher.init(gp(), PLANE, LOSS, 0), 0, 0)
    for iteration in range(1, 101):
        state = searcher.tell(gp(), state, 0, Observation("reported", iteration, (100.0 - iteration,)))
    data = training_data(state.history, 0)
    np.testing.assert_allclose(100 ** np.sort(data.fidelity), [1, 3, 7, 15, 31, 63, 100])


def test_trials_that_end_by_themselves_count_as_whole():
    searcher = searcher_of(gp())
    state = searcher.init(gp(), PLANE, LOSS, 0)
    for trial, iteration in enumerate((50, 12)):
        state, _ = searcher.ask(gp(), state, trial, 0)
        state = searcher.tell(gp(), state, trial, Observation("done", iteration, (float(trial),)))
    assert training_data(state.history, 0).fidelity.tolist() == [1.0, 1.0]


def test_a_replaced_proposal_is_forgotten():
    searcher = searcher_of(gp())
    state, _ = searcher.ask(gp(), searcher.init(gp(), PLANE, LOSS, 0), 0, 0)
    state = searcher.tell(gp(), state, 0, Observation("failed", 1, (float("nan"),)))
    state = searcher.force(gp(), state, 0, {"x": 0.25, "y": 0.75}, 0)
    state = searcher.tell(gp(), state, 0, Observation("done", 1, (1.0,)))
    data = training_data(state.history, 0)
    assert data.points.tolist() == [[0.25, 0.75]]


def test_several_objectives_reach_the_front():
    goals = (Objective("a", "min"), Objective("b", "min"))
    found, _ = run(gp(), PLANE, lambda c: (c["x"] ** 2 + c["y"], (c["x"] - 1) ** 2 + c["y"]), 40, objectives=goals)
    # On the front the roots of the objectives sum to 1.
    near = [a for a, b in found if np.sqrt(a) + np.sqrt(b) < 1.05]
    assert len(near) >= 8
    assert min(near) < 0.2
    assert max(near) > 0.4


def test_many_dimensions_are_searched_in_a_trust_region():
    space = Space.of({f"x{dim}": uniform(0, 1) for dim in range(20)})
    losses, _ = run(gp(n_candidates=256), space, lambda c: sum((x - 0.4) ** 2 for x in c.values()), 60)
    others, _ = run(random_search(), space, lambda c: sum((x - 0.4) ** 2 for x in c.values()), 60)
    assert min(losses) < 0.5 * min(others)


@pytest.mark.parametrize(
    ("losses", "side"),
    [([], 0.8), ([3.0, 2.0, 1.0], 1.6), ([1.0] + [2.0] * 16, 0.4), ([1.0] + [2.0] * 15, 0.8)],
)
def test_the_trust_region_grows_with_successes_and_shrinks_with_failures(losses, side):
    assert trust_region_side(np.array(losses), 16) == side


def test_more_data_than_the_process_sees_is_thinned_and_keeps_the_best():
    searcher = searcher_of(gp())
    state = searcher.init(gp(), PLANE, LOSS, 0)
    for trial, loss in enumerate(np.random.default_rng(0).permutation(1_000).tolist()):
        state = searcher.force(gp(), state, trial, {"x": loss / 1_000, "y": 0.5}, 0)
        state = searcher.tell(gp(), state, trial, Observation("done", 1, (float(loss),)))
    data = training_data(state.history, 0)
    assert len(data.losses) <= 400
    assert set(range(200)) <= set((1_000 * data.points[:, 0]).round().astype(int))
    state, answer = searcher.ask(gp(), state, 1_000, 0)
    assert answer.config["x"] < 0.05


def test_hyperparameters_are_fitted_on_a_schedule():
    searcher = searcher_of(gp())
    _, state = run(gp(), PLANE, bowl, 60)
    before = state.hyperparameters
    state, _ = searcher.ask(gp(), state, 60, 0)
    state = searcher.tell(gp(), state, 60, Observation("done", 1, (1.0,)))
    state, _ = searcher.ask(gp(), state, 61, 0)
    assert state.hyperparameters is before
    for trial in range(62, 68):
        state, _ = searcher.ask(gp(), state, trial, 0)
        state = searcher.tell(gp(), state, trial, Observation("done", 1, (1.0,)))
    state, _ = searcher.ask(gp(), state, 68, 0)
    assert state.hyperparameters is not before


def test_a_good_prior_helps_at_once_and_a_wrong_one_is_forgotten():
    good = Space.of({"x": uniform(0, 1).prior(0.7), "y": uniform(0, 1).prior(0.2)})
    wrong = Space.of({"x": uniform(0, 1).prior(0.05), "y": uniform(0, 1).prior(0.95)})
    assert min(run(gp(), good, bowl, 10)[0]) < min(run(gp(), PLANE, bowl, 10)[0])
    assert min(run(gp(), wrong, bowl, 40)[0]) < 1e-3


def test_an_earlier_run_guides_the_first_proposals():
    searcher = searcher_of(gp())
    draw = np.random.default_rng(0).random((40, 2)).tolist()
    earlier = [({"x": x, "y": y}, Observation("done", 1, (bowl({"x": x, "y": y}),))) for x, y in draw]
    state = searcher.learn_run(gp(), searcher.init(gp(), PLANE, LOSS, 0), earlier, 0)
    losses = []
    for trial in range(12):
        state, answer = searcher.ask(gp(), state, trial, 0)
        losses.append(bowl(answer.config))
        state = searcher.tell(gp(), state, trial, Observation("done", 1, (losses[-1],)))
    assert min(losses[4:8]) < 0.1


def test_wrong_options_are_reported():
    assert [d.code for d in searcher_of(gp()).validate(gp(1, 2))] == ["E080", "E080"]


def test_no_configuration_is_proposed_again_while_there_are_others():
    grid = Space.of({"n": randint(0, 6), "kind": choice(["a", "b"]), "m": randint(0, 3).when(ref("kind") == "b")})
    proposed = []

    def loss(config):
        proposed.append(tuple(sorted(config.items())))
        return (config["n"] - 2) ** 2 + (config["kind"] == "b") * 3.0

    run(gp(n_startup_trials=2), grid, loss, 26, width=2)
    assert len(set(proposed)) == 24
