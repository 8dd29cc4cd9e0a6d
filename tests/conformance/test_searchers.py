"""The contract of searchers, for each registered one."""

from __future__ import annotations

import functools
import json
import os
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import tunedsl.searchers as faces
from tests.adapters import ADAPTERS, SLOW
from tests.natives import NATIVES
from tunedsl.base import codec
from tunedsl.base.objective import Objective
from tunedsl.searchers import Observation, Proposal, RandomSearch, Supports, registered_searchers, searcher_of
from tunedsl.spaces import (
    Space,
    choice,
    grid,
    loguniform,
    qlograndint,
    qrandint,
    quniform,
    randint,
    randn,
    ref,
    uniform,
)
from tunedsl.spaces.check import diagnose_space
from tunedsl.spaces.domains import Branch, Domain
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.unit_interval import contains
from tunedsl.testing.searchers import a_bad_first_trial_blocks_no_other

EXAMPLES = [*NATIVES, *ADAPTERS]
OBJECTIVES = (Objective("loss", "min"),)
KEY, TRIALS = 11, 24

FLAT = Space.of({"lr": loguniform(1e-4, 1e-1), "x": uniform(-1, 1), "n": randint(1, 10), "opt": choice(["a", "b"])})
SPACES = {
    "flat": (FLAT, ()),
    "quantised": (
        Space.of({"q": quniform(0, 1, 0.1), "n": qrandint(4, 64, 4), "l": qlograndint(8, 512, 8)}),
        ("quantised",),
    ),
    "normal": (Space.of({"z": randn(3, 2)}), ()),
    "conditional": (
        Space.of(
            {
                "opt": choice(["sgd", "adam"]),
                "momentum": uniform(0, 1).when(ref("opt") == "sgd"),
                "model": choice({"svm": {"c": loguniform(0.1, 10)}, "forest": {"trees": randint(1, 9)}}),
                "deep": {"width": randint(1, 4), "twice": ref("width") * 2},
            }
        ),
        ("conditions",),
    ),
    "grid": (Space.of({"g": grid([1, 2, 3]), "x": uniform(0, 1), "h": grid(["a", "b"])}), ("grid",)),
    "constrained": (Space.of({"a": uniform(0, 1), "b": uniform(0, 1)}).where(ref("a") < ref("b")), ("constraints",)),
}


def can_take(takes: Supports, needs: tuple[str, ...], learns: bool) -> bool:
    return all(not learns if need == "grid" else getattr(takes, need) for need in needs)


def missing(spec: Any) -> str:
    """Why a searcher cannot run here."""
    return "; ".join(str(fault) for fault in searcher_of(spec).validate(spec) if fault.code in ("E038", "E049"))


def marks(spec: Any) -> Any:
    gone = missing(spec)
    return [pytest.mark.skip(reason=gone)] if gone else [pytest.mark.slow] if spec in SLOW else []


PARAMS = [pytest.param(spec, id=repr(spec), marks=marks(spec)) for spec in EXAMPLES]
CASES = [
    pytest.param(spec, space, id=f"{spec!r}-{name}", marks=marks(spec))
    for spec in EXAMPLES
    for name, (space, needs) in SPACES.items()
    if can_take(searcher_of(spec).supports, needs, searcher_of(spec).learns)
    if name == "conditional" or spec not in SLOW
]


def asked(spec: Any, space: Space, trials: Any = None, key: int = KEY) -> dict[int, Any]:
    """The configuration of each trial; each is observed before the next is asked for."""
    searcher = searcher_of(spec)
    trials = range(SLOW.get(spec, TRIALS)) if trials is None else trials
    state = searcher.init(spec, space, OBJECTIVES, key)
    found = {}
    for trial in trials:
        state, answer = searcher.ask(spec, state, trial, key)
        assert isinstance(answer, Proposal)
        found[trial] = answer.config
        state = searcher.tell(spec, state, trial, Observation("done", 1, (trial % 5 / 5,)))
    return found


@functools.cache
def asked_once(spec: Any, name: str) -> dict[int, Any]:
    """`asked` on a space of `SPACES`, cached for the tests that read it."""
    return asked(spec, SPACES[name][0])


def proposed(spec: Any, space: Space) -> dict[int, Any]:
    """`asked`, without running a slow searcher again and again."""
    return asked_once(spec, next(name for name, (each, _) in SPACES.items() if each is space))


def test_every_searcher_of_the_package_is_held_to_this():
    inside = {spec for spec in registered_searchers() if spec.__module__.startswith("tunedsl.")}
    assert inside == {type(spec) for spec in EXAMPLES}


@pytest.mark.parametrize("name", SPACES)
def test_the_spaces_have_no_faults(name):
    assert diagnose_space(SPACES[name][0]) == []


@pytest.mark.parametrize("spec", EXAMPLES, ids=repr)
class TestSpecAlone:
    def test_is_a_value(self, spec):
        assert codec.from_json(codec.to_json(spec)) == spec
        assert hash(codec.from_json(codec.to_json(spec))) == hash(spec)

    def test_reads_back_from_its_repr(self, spec):
        assert eval(repr(spec), vars(faces)) == spec


@pytest.mark.parametrize("spec", PARAMS)
class TestSpec:
    def test_has_no_faults_here(self, spec):
        assert list(searcher_of(spec).validate(spec)) == []

    def test_runs_through_the_grid(self, spec):
        if searcher_of(spec).learns:
            pytest.skip("takes no grids")
        found = asked(spec, SPACES["grid"][0], range(6)).values()
        assert [(config["g"], config["h"]) for config in found] == [(g, h) for g in (1, 2, 3) for h in "ab"]

    def test_a_bad_first_trial_blocks_no_other(self, spec):
        a_bad_first_trial_blocks_no_other(spec, FLAT, SLOW.get(spec, TRIALS))

    def test_meets_the_constraints(self, spec):
        if not searcher_of(spec).supports.constraints:
            pytest.skip("takes no constraints")
        assert all(config["a"] < config["b"] for config in asked(spec, SPACES["constrained"][0]).values())

    @pytest.mark.slow
    def test_a_new_process_with_another_hash_seed_proposes_the_same(self, spec):
        count = min(6, SLOW.get(spec, 6))
        here = {str(trial): config for trial, config in asked(spec, FLAT, range(count)).items()}
        script = (
            "import json, sys; from tunedsl.base import codec;"
            "from tests.conformance.test_searchers import FLAT, asked;"
            "print(json.dumps(asked(codec.from_json(sys.argv[1]), FLAT, range(int(sys.argv[2])))))"
        )
        for hash_seed in ("1",) if spec in SLOW else ("1", "2"):
            environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
            command = [sys.executable, "-c", script, codec.to_json(spec), str(count)]
            told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            assert json.loads(told.stdout) == here


@pytest.mark.parametrize(("spec", "space"), CASES)
class TestProposals:
    def test_are_values_of_the_space(self, spec, space):
        layout = resolve_space(space)
        for config in proposed(spec, space).values():
            live = codec.decode(config)
            for leaf in layout.params:
                item = live
                for name in leaf.path:
                    item = item.get(name) if isinstance(item, dict) else None
                if item is None:
                    assert leaf.condition is not None
                    continue
                if isinstance(leaf.node, Branch):
                    (item,) = item
                assert not isinstance(leaf.node, Domain) or contains(leaf.node, item)

    def test_are_plain_data(self, spec, space):
        for config in proposed(spec, space).values():
            assert json.loads(json.dumps(config)) == config

    def test_are_determined_by_the_key(self, spec, space):
        assert asked(spec, space) == proposed(spec, space)

    def test_do_not_hang_on_the_order_of_asks_unless_learnt(self, spec, space):
        if searcher_of(spec).learns:
            pytest.skip("learns")
        order = random.Random(0).sample(range(TRIALS), TRIALS)
        assert asked(spec, space, order) == asked(spec, space)

    def test_come_in_batches_as_one_by_one(self, spec, space):
        searcher = searcher_of(spec)
        if searcher.batch is None:
            pytest.skip("proposes one by one")
        state = searcher.init(spec, space, OBJECTIVES, KEY)
        state, first = searcher.batch(spec, state, [5, 3, 17], KEY)
        state, rest = searcher.batch(spec, state, [0], KEY)
        single = asked(spec, space)
        assert [proposal.config for proposal in (*first, *rest)] == [single[trial] for trial in (5, 3, 17, 0)]

    def test_leave_the_global_generators_alone(self, spec, space):
        before = random.getstate(), np.random.get_state()[1].tolist()
        asked(spec, space)
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before

    def test_asking_leaves_the_earlier_state_as_it_was(self, spec, space):
        searcher = searcher_of(spec)
        state = searcher.init(spec, space, OBJECTIVES, KEY)
        assert searcher.ask(spec, state, 2, KEY)[1] == searcher.ask(spec, state, 2, KEY)[1]

    def test_go_on_after_failures_and_many_in_flight(self, spec, space):
        searcher = searcher_of(spec)
        draw = random.Random(5)
        state, live = searcher.init(spec, space, OBJECTIVES, KEY), []
        for trial in range(SLOW.get(spec, TRIALS)):
            state, answer = searcher.ask(spec, state, trial, KEY)
            assert isinstance(answer, Proposal)
            live.append(trial)
            while len(live) > 5:
                told = live.pop(draw.randrange(len(live)))
                status = draw.choice(["done", "done", "stopped", "reported", "failed"])
                value = draw.choice([draw.random(), draw.random(), float("nan"), float("inf"), float("-inf")])
                state = searcher.tell(spec, state, told, Observation(status, 1, (value,)))

    def test_goes_on_from_a_configuration_of_the_journal(self, spec, space):
        searcher = searcher_of(spec)
        if searcher.force is None:
            pytest.skip("adopts none")
        found = []
        for _ in range(1 if spec in SLOW else 2):
            state = searcher.init(spec, space, OBJECTIVES, KEY)
            for trial, config in asked(RandomSearch(), space, range(4)).items():
                state, _ = searcher.ask(spec, state, trial, KEY)
                state = searcher.force(spec, state, trial, config, KEY)
                state = searcher.tell(spec, state, trial, Observation("done", 1, (trial / 4,)))
            found.append(searcher.ask(spec, state, 4, KEY)[1])
        assert isinstance(found[0], Proposal)
        assert found[0] == found[-1]
