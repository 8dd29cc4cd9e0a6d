"""Properties of native searchers and combinators over a whole search: concurrent trials, failures, resume."""

from __future__ import annotations

import json
import math
import random
import sys
from typing import Any

import numpy as np
import pytest

import tunedsl.searchers as faces
from tests.conformance.test_searchers import FLAT, KEY, OBJECTIVES, SPACES
from tests.natives import COMBINED, LEARNING, NATIVES, WARM
from tunedsl.base import codec
from tunedsl.searchers import (
    Exhausted,
    Observation,
    Proposal,
    Wait,
    combinators,
    dedupe,
    random_search,
    searcher_of,
    tpe,
)
from tunedsl.spaces import Space, choice, randint, resolve_space, to_cube, uniform
from tunedsl.testing.searchers import a_bad_first_trial_blocks_no_other

ALL = [*NATIVES, *COMBINED, WARM]
NAMED = [name for name in SPACES if name != "grid"]
Records = list[tuple[str, int, Any]]


def outcome(draw: random.Random) -> Observation:
    """How a trial ended: most of them well."""
    status = draw.choice(["done", "done", "done", "stopped", "failed"])
    value = draw.choice([draw.random(), draw.random(), math.nan, math.inf]) if status != "failed" else math.nan
    return Observation(status, draw.randint(1, 9), (value,))  # type: ignore[arg-type]


def played(spec: Any, space: Space, trials: int = 30, width: int = 6, seed: int = 0) -> tuple[Records, Any]:
    """A search with up to `width` concurrent trials that end in any order; returns proposals, results and state."""
    searcher, draw = searcher_of(spec), random.Random(seed)
    state = searcher.init(spec, space, OBJECTIVES, KEY)
    records: Records = []
    flying: list[int] = []
    number = 0
    while number < trials:
        answer: Any = Wait()
        if len(flying) < width:
            after, answer = searcher.ask(spec, state, number, KEY)
        if isinstance(answer, Exhausted):
            break
        if isinstance(answer, Proposal):
            state = after
            records.append(("ask", number, answer.config))
            flying.append(number)
            number += 1
            continue
        assert flying, "waits for nothing"
        trial = draw.choice(flying)
        if draw.random() < 0.3:
            records.append(("tell", trial, Observation("reported", 1, (draw.random(),))))
            state = searcher.tell(spec, state, *records[-1][1:])
        flying.remove(trial)
        records.append(("tell", trial, outcome(draw)))
        state = searcher.tell(spec, state, *records[-1][1:])
    return records, state


def rebuilt(spec: Any, space: Space, records: Records) -> Any:
    """The state after the same proposals and results."""
    searcher = searcher_of(spec)
    state = searcher.init(spec, space, OBJECTIVES, KEY)
    for kind, trial, item in records:
        if kind == "ask":
            state, answer = searcher.ask(spec, state, trial, KEY)
            assert isinstance(answer, Proposal) and answer.config == item
        else:
            state = searcher.tell(spec, state, trial, item)
    return state


def continued(spec: Any, state: Any, first: int, count: int = 8) -> list[Any]:
    """The next proposals, each observed at once."""
    searcher, answers = searcher_of(spec), []
    for trial in range(first, first + count):
        state, answer = searcher.ask(spec, state, trial, KEY)
        answers.append(answer)
        if isinstance(answer, Proposal):
            state = searcher.tell(spec, state, trial, Observation("done", 9, (trial % 7 / 7,)))
    return answers


@pytest.mark.parametrize("spec", COMBINED, ids=repr)
def test_a_bad_first_trial_blocks_no_other(spec):
    a_bad_first_trial_blocks_no_other(spec, FLAT)


def test_every_combinator_is_held_to_this():
    inside: set[type] = set()

    def collect(spec: Any) -> None:
        if type(spec) in combinators():
            inside.add(type(spec))
            collect(spec.searcher)

    for spec in COMBINED:
        collect(spec)
    assert {name for kind, name in combinators().items() if kind not in inside} == {"warm_start"}


@pytest.mark.parametrize("spec", [*COMBINED, faces.warm_start(tpe(), "results/digits")], ids=repr)
def test_combinators_are_values(spec):
    assert codec.from_json(codec.to_json(spec)) == spec
    assert eval(repr(spec), vars(faces)) == spec
    assert list(searcher_of(spec).validate(spec)) == []
    assert searcher_of(spec).name == combinators()[type(spec)]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("spec", ALL, ids=repr)
def test_many_in_flight_end_in_any_order_and_badly(spec, name):
    space, _ = SPACES[name]
    layout = resolve_space(space)
    before = random.getstate(), np.random.get_state()[1].tolist()
    records, _ = played(spec, space)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    asks = [config for kind, _, config in records if kind == "ask"]
    assert len(asks) == 30
    for config in asks:
        assert json.loads(json.dumps(config)) == config
        to_cube(layout, codec.decode(config))  # refuses what is not the space's
        if space.constraints:
            assert config["a"] < config["b"]
    assert played(spec, space)[0] == records


@pytest.mark.parametrize("spec", ALL, ids=repr)
def test_a_search_that_is_rebuilt_from_its_record_goes_on_as_it_would_have(spec):
    records, state = played(spec, FLAT)
    again = rebuilt(spec, FLAT, records)
    assert continued(spec, again, 30) == continued(spec, state, 30)


@pytest.mark.parametrize("spec", ALL, ids=repr)
def test_old_states_stay_what_they_were(spec):
    records, _ = played(spec, FLAT)
    half = rebuilt(spec, FLAT, records[: len(records) // 2])
    first = sum(kind == "ask" for kind, _, _ in records[: len(records) // 2])
    expected = continued(spec, half, first)
    searcher = searcher_of(spec)
    for trial in range(first, first + 20):  # another future of the same state
        state, _ = searcher.ask(spec, half, trial, KEY + 1)
        searcher.tell(spec, state, trial, Observation("done", 1, (-1.0,)))
    assert continued(spec, half, first) == expected


@pytest.mark.parametrize("spec", [spec for spec in ALL if searcher_of(spec).force is not None], ids=repr)
def test_what_the_record_says_wins_over_what_was_answered(spec):
    """Two searchers that propose differently are equal after adopting the same configurations."""
    searcher = searcher_of(spec)
    configs = [config for kind, _, config in played(random_search(), FLAT)[0] if kind == "ask"]
    states = []
    for key in (1, 2):
        state = searcher.init(spec, FLAT, OBJECTIVES, KEY)
        for trial, config in enumerate(configs):
            after, answer = searcher.ask(spec, state, trial, key)
            state = searcher.force(spec, state if isinstance(answer, Wait) else after, trial, config, KEY)
            state = searcher.tell(spec, state, trial, Observation("done", 1, (trial % 5 / 5,)))
        states.append(state)
    if not any(name in repr(spec) for name in ("dedupe", "repeat")):  # these remember what was answered, too
        assert continued(spec, states[0], 30) == continued(spec, states[1], 30)


@pytest.mark.parametrize("spec", LEARNING, ids=repr)
def test_small_spaces_come_to_their_end_without_repeats(spec):
    space = Space.of({"n": randint(0, 4), "c": choice(["a", "b", "c"])})
    records, state = played(dedupe(spec), space, trials=30)
    asks = [json.dumps(config, sort_keys=True) for kind, _, config in records if kind == "ask"]
    assert len(asks) == len(set(asks)) == 12
    assert isinstance(searcher_of(dedupe(spec)).ask(dedupe(spec), state, 12, KEY)[1], Exhausted)
    assert sum(kind == "ask" for kind, _, _ in played(spec, space)[0]) == 30


@pytest.mark.parametrize("spec", LEARNING, ids=repr)
def test_spaces_without_a_choice_are_searched(spec):
    asks = [config for kind, _, config in played(spec, Space.of({"x": 3}), trials=12)[0] if kind == "ask"]
    assert asks == [{"x": 3}] * 12


@pytest.mark.parametrize("spec", LEARNING, ids=repr)
def test_learning_pays(spec):
    """After 60 trials the best is better than what random search finds, on a bowl."""
    space = Space.of({"x": uniform(0, 1), "y": uniform(0, 1), "z": uniform(0, 1)})

    def best(searched: Any, key: int) -> float:
        searcher, values = searcher_of(searched), []
        state = searcher.init(searched, space, OBJECTIVES, key)
        for trial in range(60):
            state, answer = searcher.ask(searched, state, trial, key)
            values.append(sum((x - 0.3) ** 2 for x in answer.config.values()))
            state = searcher.tell(searched, state, trial, Observation("done", 1, (values[-1],)))
        return min(values)

    assert np.median([best(spec, key) for key in range(5)]) < np.median(
        [best(random_search(), key) for key in range(5)]
    )


@pytest.mark.slow
@pytest.mark.parametrize("spec", [*LEARNING, COMBINED[0], COMBINED[4]], ids=repr)
def test_an_ask_does_at_most_n_log_n(spec):
    """Counted in calls, which no busy machine changes; seconds are in the benchmark of adapters."""
    searcher = searcher_of(spec)
    configs = searcher_of(random_search()).batch(random_search(), resolve_space(FLAT), range(1_000), KEY)[1]
    state, taken = searcher.init(spec, FLAT, OBJECTIVES, KEY), {}
    for trial, proposal in enumerate(configs):
        state = searcher.force(spec, state, trial, proposal.config, KEY)
        state = searcher.tell(spec, state, trial, Observation("done", 1, (trial % 97 / 97,)))
        if trial + 1 in (20, 200, 1_000):
            taken[trial + 1] = _calls(lambda state=state: searcher.ask(spec, state, 5_000, KEY))
    growth = 5 * math.log(1_000) / math.log(200)
    assert taken[1_000] < growth * taken[200] and taken[200] < 2 * growth * taken[20], taken


def _calls(work: Any) -> int:
    """How many functions are called, of Python and of C."""
    count = 0

    def note(frame: Any, event: str, what: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
