"""PB2: what the bandit learns and chooses; and the same points as Ray Tune's."""

import math

import numpy as np
import pytest
from msgspec.structs import replace

from tests.unit.schedulers.test_pbt import Population, setting
from tunedsl import choice, loguniform, randint, ref
from tunedsl.base import codec
from tunedsl.base.errors import ArgumentError
from tunedsl.schedulers import pb2
from tunedsl.schedulers.contract import Exploit, scheduler_of
from tunedsl.schedulers.pb2 import explore

pytest.importorskip("sklearn")

SPACE = {"lr": loguniform(1e-3, 1.0), "n": randint(1, 9), "kind": choice(["a", "b"])}


def trained(spec, rounds=4, members=4):
    """A population where a larger `lr` gains more; every answer, in order."""
    configs = [{"lr": 10.0 ** (-3 + trial / 2), "n": 1 + trial, "kind": "a"} for trial in range(members)]
    population, answers = Population(spec, configs, **SPACE), []
    scores = [0.0] * members
    for iteration in range(1, rounds + 1):
        for trial in range(members):
            scores[trial] += population.state.members[trial].config["lr"]
            decision, note = population.report(trial, iteration, scores[trial])
            if isinstance(decision, Exploit):
                scores[trial] = scores[decision.donor]
                answers.append((trial, decision, note))
    return population, answers


@pytest.mark.slow
def test_the_bandit_chooses_within_the_domains_and_tells_what():
    population, answers = trained(pb2(perturbation_interval=1))
    assert "bandit" in answers[0][2].facts, "nothing has gained before the second interval"
    chosen = [answer for answer in answers if "config/lr" in answer[2].facts]
    assert chosen and all(1e-3 <= decision.config["lr"] <= 1.0 for _, decision, _ in chosen)
    assert all(type(decision.config["n"]) is int and 1 <= decision.config["n"] < 9 for _, decision, _ in chosen)
    assert all(decision.config["kind"] == "a" for _, decision, _ in chosen)
    assert {note.rule for _, _, note in answers} == {"pb2"}
    assert population.state.explorer_state.gains
    again, repeated = trained(pb2(perturbation_interval=1))
    assert [decision for _, decision, _ in answers] == [decision for _, decision, _ in repeated]
    assert again.state.explorer_state == population.state.explorer_state


@pytest.mark.slow
def test_bounds_narrow_the_domains_and_a_gain_counts_from_the_donors_score():
    population, answers = trained(pb2(perturbation_interval=1, hyperparam_bounds={"lr": [0.05, 0.2]}), rounds=5)
    chosen = [decision.config["lr"] for _, decision, note in answers if "config/lr" in note.facts]
    assert all(0.05 <= lr <= 0.2 + 1e-12 for lr in chosen)
    assert all(
        decision.config["n"] == population.state.members[decision.donor].config["n"] for _, decision, _ in answers
    )
    assert all(gain.gain == pytest.approx(gain.after - gain.before) for gain in population.state.explorer_state.gains)


def test_a_choice_that_breaks_a_constraint_is_not_taken():
    spec = pb2(perturbation_interval=1)
    population = trained(spec, rounds=2)[0]
    space = population.state.context.space.where(ref("lr") < 1e-9)
    state = replace(population.state, context=replace(population.state.context, space=space))
    _, config, facts = explore(spec, state, 0, 3, 5)
    assert config == state.members[3].config and facts["unchanged"]


@pytest.mark.parametrize(
    ("spec", "codes"),
    [
        (pb2(), []),
        (pb2(perturbation_interval=0, quantile_fraction=0.6), ["E072", "E073"]),
        (pb2(hyperparam_bounds={"lr": (1, 0.1)}), ["E073"]),
        (pb2(hyperparam_bounds={"lr": (0.1, math.inf)}), ["E073"]),
    ],
)
def test_settings_without_a_meaning_are_faults(spec, codes):
    assert [fault.code for fault in scheduler_of(spec).validate(spec)] == codes


def test_a_missing_package_and_what_is_no_number_are_said(monkeypatch):
    spec = pb2(hyperparam_bounds={"lr": [0.1, 1], "kind": [0, 1], "other": [0, 1]})
    found = [fault.message for fault in scheduler_of(spec).check_compatibility(spec, setting(**SPACE))]
    assert found == [
        "hyperparam_bounds has 'other', which is not a parameter of the space.",
        "pb2 changes only numbers, but the parameter kind is not a number.",
    ]
    assert scheduler_of(pb2()).check_compatibility(pb2(), setting(a=choice([1, 2])))[0].code == "E071"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (fault,) = scheduler_of(pb2()).validate(pb2())
    assert fault.code == "E074" and "tunedsl[pb2]" in fault.hint
    with pytest.raises(ArgumentError, match=r"E003: pb2\.hyperparam_bounds\['lr'\]"):
        pb2(hyperparam_bounds={"lr": [1, 2, 3]})
    nested = pb2(hyperparam_bounds={"optim": {"lr": (0.1, 1)}})
    assert repr(nested) == "pb2(hyperparam_bounds={'optim.lr': [0.1, 1]})"
    assert eval(repr(nested)) == nested == codec.from_json(codec.to_json(nested))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The optimal value found")  # of Ray Tune's own fit
def test_chooses_where_ray_tune_chooses(monkeypatch):
    original = pytest.importorskip("ray.tune.schedulers.pb2")
    utils = pytest.importorskip("ray.tune.schedulers.pb2_utils")
    from tunedsl.schedulers.bandit import maximize_ucb  # loads scikit-learn

    rng, near = np.random.default_rng(0), 0
    for case in range(6):
        n, d = int(rng.integers(3, 25)), int(rng.integers(1, 3))
        fixed = np.column_stack([np.sort(rng.integers(1, 9, n)), rng.normal(size=n)]).astype(float)
        points, starts = rng.random((n, d)), rng.random((10, d))
        gains = -((points - 0.4) ** 2).sum(1) + rng.normal(size=n) / 50
        pending = rng.random((2, d)) if case % 2 else np.empty((0, d))
        feed = iter(starts)
        monkeypatch.setattr(utils.np.random, "uniform", lambda low, high, size, feed=feed: next(feed))
        bounds = {f"p{i}": (0.0, 1.0) for i in range(d)}
        data = np.hstack([fixed, points])
        current = pending if len(pending) else None
        expected = original._select_config(data, gains, current, fixed[-1], bounds, num_f=2)
        monkeypatch.undo()
        ours = maximize_ucb(fixed, points, gains, pending, fixed[-1], starts)
        near += bool(np.allclose(ours, expected, atol=0.02))
    assert near >= 5
