"""Configurations that break the constraints are counted, journaled and reported."""

from __future__ import annotations

import msgspec
import pytest

from tunedsl import ref, space, uniform
from tunedsl.base.objective import Objective
from tunedsl.journal import replay
from tunedsl.kernel import Proposed
from tunedsl.kernel.events import without_timings
from tunedsl.searchers import (
    Observation,
    cmaes,
    dedupe,
    evolution,
    optuna,
    random_search,
    repeat,
    searcher_of,
    sobol,
    tpe,
)

SPACE = space(a=uniform(0, 1), b=uniform(0, 1)).where(ref("a") * 4 < ref("b"))
OBJECTIVES = (Objective("loss", "min"),)
SEARCHERS = [
    random_search(),
    sobol(),
    tpe(n_startup_trials=3),
    evolution(population_size=3, sample_size=2),
    dedupe(random_search()),
    repeat(random_search(), 2),
]


def asked(spec, trials=8, within=SPACE):
    searcher = searcher_of(spec)
    state, found = searcher.init(spec, within.__space__(), OBJECTIVES, 1), []
    for trial in range(trials):
        state, answer = searcher.ask(spec, state, trial, 1)
        found.append(answer)
        state = searcher.tell(spec, state, trial, Observation("done", 1, (answer.config["a"],)))
    return found, state


@pytest.mark.parametrize("spec", SEARCHERS, ids=repr)
def test_they_are_counted_and_none_are_where_there_is_no_constraint(spec):
    free = space(a=uniform(0, 1), b=uniform(0, 1))
    assert sum(answer.rejected for answer in asked(spec)[0]) > 0
    assert [answer.rejected for answer in asked(spec, within=free)[0]] == [0] * 8


def test_a_configuration_that_is_repeated_is_counted_once():
    found, _ = asked(repeat(random_search(), 2))
    single, _ = asked(random_search(), 4)
    assert [answer.rejected for answer in found[::2]] == [answer.rejected for answer in single]
    assert [answer.rejected for answer in found[1::2]] == [0] * 4


def test_a_library_is_asked_once_more_for_each():
    pytest.importorskip("optuna")
    found, state = asked(optuna("random"))
    rejected = sum(answer.rejected for answer in found)
    assert rejected > 0
    assert len(state.log.optimizer._study.trials) == len(found) + rejected


def test_after_a_hundred_of_a_library_one_is_drawn_and_those_before_it_count_too():
    pytest.importorskip("cmaes")
    narrow = space(a=uniform(0, 1), b=uniform(0, 1)).where(ref("a") < 0.01)
    (answer, *others), _ = asked(cmaes(), 4, narrow)
    assert all(each.config["a"] < 0.01 for each in (answer, *others))
    assert answer.rejected > 100


def test_the_count_is_journaled_and_told(tmp_path):
    results = SPACE.trainable(_train).minimize("loss").samples(6).seed(1).store(tmp_path).run("inline", quiet=True)
    counts = {event.trial: event.rejected for event in results.journal.events() if isinstance(event, Proposed)}
    assert len(counts) == 6 and max(counts.values()) > 0
    for trial, count in counts.items():
        told = f"proposed after {count:,} that broke the constraints" in results.why(trial)
        assert told is (count > 0)
    assert replay(results.path).digest == results.journal.digest


def test_a_count_of_nothing_leaves_the_digest_as_it_was():
    event = Proposed(2.5, 0, {"a": 0.5}, "00000")
    assert msgspec.json.encode(without_timings(event)) == b'["proposed",0.0,0,{"a":0.5},"00000"]'
    counted = msgspec.structs.replace(event, rejected=3)
    assert msgspec.json.encode(without_timings(counted)) == b'["proposed",0.0,0,{"a":0.5},"00000",3]'


def _train(config):
    return {"loss": config["a"]}
