"""Which branches of a conditional space are tried, and that one which starts badly is found nevertheless."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.searchers.test_gp import LOSS, run
from tunedsl.base import codec
from tunedsl.searchers import Observation, auto, gp, searcher_of, tpe
from tunedsl.searchers.branches import ChosenOption, due_branch
from tunedsl.searchers.history import force_history, init_history, tell_history
from tunedsl.spaces import Space, choice, ref, uniform

KINDS = Space.of(
    {
        "model": choice(
            {
                "easy": Space.of({"a": uniform(0, 1), "b": uniform(0, 1)}),
                "hard": Space.of({"x": uniform(0, 1), "y": uniform(0, 1), "z": uniform(0, 1)}),
            }
        )
    }
)


def loss(config):
    """The loss of an easy model is at least 1, that of a hard one is 0 at one point and nearly 4 elsewhere."""
    ((model, options),) = config["model"].items()
    if model == "easy":
        return 1 + (options["a"] - 0.3) ** 2 + (options["b"] - 0.6) ** 2
    away = (options["x"] - 0.8) ** 2 + (options["y"] - 0.3) ** 2 + (options["z"] - 0.5) ** 2
    return 4 - 4 * np.exp(-2 * away)


def least(spec, key, trials):
    """The least loss, after a start in which each trial of the hard model is worse than each of the easy one."""
    searcher, losses = searcher_of(spec), []
    state = searcher.init(spec, KINDS, LOSS, key)
    for trial in range(trials):
        if trial < 8:
            corner = [float(digit) for digit in f"{trial // 2:03b}"]
            name, params = ("hard", "xyz") if trial % 2 else ("easy", "ab")
            config = {"model": {name: dict(zip(params, corner[-len(params) :], strict=True))}}
            state = searcher.force(spec, state, trial, codec.encode(config), key)
        else:
            state, answer = searcher.ask(spec, state, trial, key)
            config = codec.decode(answer.config)
        losses.append(loss(config))
        state = searcher.tell(spec, state, trial, Observation("done", 1, (losses[-1],)))
    assert max(losses[:8:2]) < min(losses[1:8:2])
    return min(losses)


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "found"), [(gp(), 5), (auto(), 6)], ids=["gp", "auto"])
def test_the_better_branch_is_found_although_it_starts_worse(spec, found):
    assert sum(least(spec, key, 70) < 0.5 for key in range(6)) >= found


def history(space, tried):
    state = init_history(None, space, LOSS, 0)
    for trial, (config, value) in enumerate(tried):
        state = force_history(None, state, trial, codec.encode(config), 0)
        if value is not None:
            state = tell_history(None, state, trial, Observation("done", 1, (value,)))
    return state


def due(space, tried):
    state = history(space, tried)
    return due_branch(state.layout, state.to_arrays())


EASY, HARD = {"model": {"easy": {"a": 0.5, "b": 0.5}}}, {"model": {"hard": {"x": 0.5, "y": 0.5, "z": 0.5}}}


def test_each_branch_is_tried_about_as_often_as_the_root_of_the_number_of_trials():
    assert due(KINDS, [(EASY, 1.0)] * 91 + [(HARD, 4.0)] * 9) == ChosenOption(0, 1, 2)
    assert due(KINDS, [(EASY, 1.0)] * 84 + [(HARD, 4.0)] * 16) is None


def test_running_trials_count():
    assert due(KINDS, [(EASY, 1.0)] * 84 + [(HARD, 4.0)] * 4 + [(HARD, None)] * 12) is None


def test_a_branch_that_improves_is_tried_as_often_as_others():
    rising = [(HARD, value) for value in (4.0,) * 8 + (2.0,) * 8]
    assert due(KINDS, [(EASY, 1.0)] * 84 + rising) == ChosenOption(0, 1, 2)
    assert due(KINDS, [(EASY, 1.0)] * 16 + rising) is None


def test_a_choice_that_no_condition_refers_to_has_no_branches():
    plain = Space.of({"kind": choice(["a", "b"]), "x": uniform(0, 1)})
    assert due(plain, [({"kind": "a", "x": 0.5}, 1.0)] * 20) is None
    conditional = Space.of({"kind": choice(["a", "b"]), "x": uniform(0, 1).when(ref("kind") == "b")})
    assert due(conditional, [({"kind": "a"}, 1.0)] * 20) == ChosenOption(0, 1, 2)


def test_a_nested_branch_is_counted_among_the_trials_that_have_it():
    deep = Space.of({"kernel": choice({"rbf": Space.of({"g": uniform(0, 1)}), "poly": Space.of({"d": uniform(0, 1)})})})
    nested = Space.of({"model": choice({"flat": Space.of({"a": uniform(0, 1)}), "deep": deep})})
    flat, rbf = {"model": {"flat": {"a": 0.5}}}, {"model": {"deep": {"kernel": {"rbf": {"g": 0.5}}}}}
    state = history(nested, [(flat, 1.0)] * 40 + [(rbf, 1.0)] * 40)
    names = [leaf.name for leaf in state.layout.cube_params]
    assert due_branch(state.layout, state.to_arrays()) == ChosenOption(names.index("model.deep.kernel"), 1, 2)
    searcher = searcher_of(gp())
    inner = searcher.init(gp(), nested, LOSS, 0)
    for trial, config in enumerate([flat, rbf] * 10):
        inner = searcher.force(gp(), inner, trial, codec.encode(config), 0)
        inner = searcher.tell(gp(), inner, trial, Observation("done", 1, (float(trial),)))
    _, answer = searcher.ask(gp(), inner, 20, 0)
    assert "poly" in codec.decode(answer.config)["model"]["deep"]["kernel"]


def test_a_branch_whose_configurations_were_all_tried_is_left():
    space = Space.of({"kind": choice({"one": Space.of({"c": choice([1, 2])}), "many": Space.of({"x": uniform(0, 1)})})})

    def flat(config):
        return config["kind"]["many"]["x"] if "many" in config["kind"] else 2.0

    _, state = run(gp(), space, flat, 40)
    assert (state.history.points.rows[:, 0] < 0.5).sum() <= 4


def test_auto_leaves_a_branch_that_is_due_to_the_process():
    searcher, proposed = searcher_of(auto()), []
    state = searcher.init(auto(), KINDS, LOSS, 0)
    for trial in range(20):
        state = searcher.force(auto(), state, trial, codec.encode(EASY), 0)
        state = searcher.tell(auto(), state, trial, Observation("done", 1, (float(trial),)))
    for trial in (20, 21):
        _, answer = searcher.ask(auto(), state, trial, 0)
        proposed.append(answer)
        assert "hard" in codec.decode(answer.config)["model"]
    assert "branch" in proposed[1].reason.text
    assert searcher_of(tpe()).ask(tpe(), state.history, 21, 0)[1].config != proposed[1].config
