"""TPE: what its densities learn from, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest

from tunedsl.base.codec import decode
from tunedsl.base.objective import Objective
from tunedsl.searchers import Observation, random_search, searcher_of, tpe
from tunedsl.searchers.history import FAILED, PENDING
from tunedsl.searchers.tpe import _densities, _good_rows
from tunedsl.spaces import Space, choice, loguniform, randn, ref, uniform

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


PLANE = Space.of({"x": uniform(0, 1), "y": uniform(0, 1)})


def proposed(evaluate, count, space=PLANE, goals=GOAL, seed=0):
    """The configurations that TPE proposes, each told what `evaluate` returns of it before the next one."""
    spec, configs = tpe(), []
    searcher = searcher_of(spec)
    state = searcher.init(spec, space, goals, seed)
    for trial in range(count):
        state, answer = searcher.ask(spec, state, trial, seed)
        configs.append(decode(answer.config))
        state = searcher.tell(spec, state, trial, evaluate(configs[-1]))
    return configs


def share(configs, region):
    return sum(map(region, configs)) / len(configs)


def test_a_region_that_runs_out_of_memory_is_proposed_less_and_less():
    def fails(config):
        return config["x"] > 0.5

    def evaluate(config, kind="oom"):
        if fails(config):
            return Observation("failed", 1, (np.nan,), failure=kind)
        return Observation("done", 1, ((config["y"] - 0.5) ** 2,))

    early, late = [], []
    for seed in range(4):
        configs = proposed(evaluate, 60, seed=seed)
        early.append(share(configs[:10], fails))
        late.append(share(configs[40:], fails))
    assert np.mean(early) > 0.35 and np.mean(late) < 0.1
    # Where the kind says nothing about the configuration, the failures are no model of their own.
    lost = [share(proposed(lambda c: evaluate(c, "lost"), 60, seed=seed)[40:], fails) for seed in range(4)]
    assert np.mean(late) <= np.mean(lost)


def test_proposals_meet_outcome_constraints_that_exclude_the_best_values():
    def evaluate(config):
        return Observation("done", 1, (config["x"] + config["y"],), (1.0 - config["x"] - config["y"] / 2, -1.0))

    def feasible(config):
        return config["x"] + config["y"] / 2 >= 1.0

    found = [proposed(evaluate, 80, seed=seed) for seed in range(3)]
    assert np.mean([share(configs[40:], feasible) for configs in found]) > 0.35
    best = [min(config["x"] + config["y"] for config in configs if feasible(config)) for configs in found]
    assert max(best) < 1.1  # the least is 1


def test_constraints_that_are_not_known_or_met_by_none_do_not_end_the_search():
    def unknown(config):
        return Observation("done", 1, (config["x"],), (np.nan,))

    def never(config):
        return Observation("done", 1, (config["x"],), (1.0 + config["y"],))

    assert len(proposed(unknown, 30)) == 30
    late = proposed(never, 60)[40:]
    assert np.mean([config["y"] for config in late]) < 0.3  # the least violation comes first


def test_bounds_are_proposed():
    configs = proposed(lambda config: Observation("done", 1, (config["x"] - config["y"],)), 60)
    assert any(config["x"] == 0.0 for config in configs) and any(config["y"] >= 1.0 - 1e-9 for config in configs)


def test_a_parameter_without_bounds_stays_near_the_good_values():
    space = Space.of({"x": randn(0, 1)})
    configs = proposed(lambda config: Observation("done", 1, ((config["x"] - 2) ** 2,)), 60, space)
    assert max(abs(config["x"]) for config in configs) < 5  # the ends of the unit interval are 8 deviations away


@pytest.mark.parametrize("count", [2, 3])
def test_with_several_objectives_proposals_near_the_whole_front(count):
    goals = tuple(Objective(f"loss{place}", "min") for place in range(count))

    def evaluate(config):
        gap = (config["y"] - 0.5) ** 2
        losses = (config["x"] ** 2 + gap, (1 - config["x"]) ** 2 + gap, (0.5 - config["x"]) ** 2 + gap)
        return Observation("done", 1, losses[:count])

    late = [config for seed in range(3) for config in proposed(evaluate, 80, goals=goals, seed=seed)[30:]]
    assert np.mean([abs(config["y"] - 0.5) for config in late]) < 0.15  # 0.25 by chance
    assert max(config["x"] for config in late) - min(config["x"] for config in late) > 0.6
