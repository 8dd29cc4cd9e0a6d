"""TPE: what its densities learn from, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest

from tunedsl.base.codec import decode
from tunedsl.base.objective import Objective
from tunedsl.searchers import Observation, random_search, searcher_of, tpe
from tunedsl.searchers.history import FAILED, PENDING
from tunedsl.searchers.tpe import _densities, _good_rows
from tunedsl.spaces import Space, choice, loguniform, ref, uniform

GOAL = (Objective("loss", "min"),)
SPACE = Space.of(
    {
        "kind": choice(["plain", "deep"]),
        "x": uniform(0, 1),
        "rate": loguniform(1e-4, 1).when(ref("kind") == "deep"),
    }
)


def heard(configs, losses):
    """The state after these configurations ended with these losses; None for one that is in flight."""
    spec = tpe()
    searcher = searcher_of(spec)
    state = searcher.init(spec, SPACE, GOAL, 0)
    for trial, (config, loss) in enumerate(zip(configs, losses, strict=True)):
        state = searcher.force(spec, state, trial, config, 0)
        if loss is not None:
            status = "done" if np.isfinite(loss) else "failed"
            state = searcher.tell(spec, state, trial, Observation(status, 1, (loss,)))
    return state


def modelled(state):
    """The densities, with the first five as the good ones."""
    facts = state.to_arrays()
    better, worse = _densities(tpe(), state, facts, np.arange(5), np.arange(5, len(facts.points)))
    names = [leaf.name for leaf in state.layout.cube_params]
    return dict(zip(names, better.bandwidths.max(axis=0), strict=True)), worse


DEEP = [{"kind": "deep", "x": i / 20, "rate": 10 ** -(0.5 + i / 10)} for i in range(20)]
PLAIN = [{"kind": "plain", "x": i / 100} for i in range(100)]


def test_the_more_trials_the_narrower_the_search():
    few, _ = modelled(heard(DEEP, range(20)))
    many, _ = modelled(heard(DEEP + PLAIN, range(120)))
    assert many["x"] == pytest.approx(few["x"] * (20 / 120) ** 0.35)
    assert many["rate"] == pytest.approx(few["rate"] * (20 / 120) ** 0.35)


def test_what_lacks_a_parameter_says_nothing_about_it():
    _, worse = modelled(heard(DEEP[:5] + PLAIN, range(105)))
    candidates = np.array([[0.75, 0.2, rate] for rate in (0.1, 0.5, 0.9)])
    density = worse.log_density(candidates)
    assert np.ptp(density) == pytest.approx(0, abs=1e-12) and np.isfinite(density).all()


def test_a_tenth_and_a_bit_count_as_good_and_neither_failed_ones_nor_those_in_flight():
    losses = [float(i) for i in range(90, 0, -1)]
    state = heard(PLAIN, [*losses, *[float("nan")] * 5, *[None] * 5])
    facts = state.to_arrays()
    usable = np.flatnonzero(facts.usable)
    good = _good_rows(tpe(), facts, usable)
    assert list(good) == list(range(89, 77, -1))
    assert set(facts.status[90:95]) == {FAILED} and set(facts.status[95:]) == {PENDING}


def loss_of(config):
    off = abs(config["x"] - 0.3)
    return off + (abs(np.log10(config["rate"]) + 2.5) if config["kind"] == "deep" else 0.7)


def least(spec, seed, trials=60):
    searcher = searcher_of(spec)
    state = searcher.init(spec, SPACE, GOAL, seed)
    losses = []
    for trial in range(trials):
        state, answer = searcher.ask(spec, state, trial, seed)
        losses.append(loss_of(decode(answer.config)))
        state = searcher.tell(spec, state, trial, Observation("done", 1, (losses[-1],)))
    return min(losses)


@pytest.mark.slow
def test_finds_the_better_branch_and_what_is_best_in_it():
    found = [(least(tpe(), seed), least(random_search(), seed)) for seed in range(6)]
    assert sum(ours < random for ours, random in found) >= 5
    assert np.median([ours for ours, _ in found]) < 0.1
