"""Checks of the searcher contract for one spec on one space, and `searcher_suite`, which makes tests of them."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from typing import Any, Final

from tunedsl.base import codec
from tunedsl.base.arguments import public
from tunedsl.base.errors import SpaceError
from tunedsl.base.keys import global_state, key
from tunedsl.base.objective import Objective
from tunedsl.base.types import FAILURE_KINDS
from tunedsl.searchers.contract import Exhausted, Observation, ObservationStatus, Proposal, Wait, searcher_of
from tunedsl.spaces.encoding import to_cube
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.space import Space
from tunedsl.testing.fuzz import FuzzTarget
from tunedsl.testing.invariants import InvariantViolated
from tunedsl.testing.random_stream import RandomStream
from tunedsl.testing.scenarios import SPACE
from tunedsl.testing.schedulers import Check, command_words, expect, is_a_value, suite

OBJECTIVES: Final = (Objective("loss", "min"),)
KEY: Final = 11
TRIALS: Final = 24
BAD: Final[tuple[tuple[ObservationStatus, float], ...]] = (
    ("done", math.nan),
    ("done", math.inf),
    ("stopped", math.nan),
    ("failed", math.nan),
)
"""Bad first trials: status and loss."""
SEEDS: Final = 30
"""Default number of whole experiments with faults."""

Record = tuple[str, int, Any]
"""`ask` or `tell`, the trial, and the configuration or the observation."""


def has_no_faults(spec: Any, space: Space) -> None:
    """The searcher accepts the spec and the space."""
    searcher = searcher_of(spec)
    found = [*searcher.validate(spec), *searcher.check_compatibility(spec, space, OBJECTIVES)]
    expect(not found, "has_no_faults", "; ".join(map(str, found)))


def proposes_values_of_the_space(spec: Any, space: Space) -> None:
    """Proposals are plain data, inside the space, and meet its constraints."""
    layout = resolve_space(space)
    for kind, trial, config in _played(spec, space)[0]:
        if kind == "ask":
            text = f"trial {trial} gets {config!r}"
            expect(json.loads(json.dumps(config)) == config, "proposes_values_of_the_space", f"{text}: no plain data")
            try:
                to_cube(layout, codec.decode(config))
            except SpaceError as error:
                raise InvariantViolated("proposes_values_of_the_space", f"{text}: {error}") from error


def is_determined_by_its_key(spec: Any, space: Space) -> None:
    """The same asks and tells give the same proposals, without use of global random generators."""
    before = repr(global_state())
    first, again = _played(spec, space)[0], _played(spec, space)[0]
    expect(repr(first) == repr(again), "is_determined_by_its_key", "the same search went another way")
    expect(repr(global_state()) == before, "is_determined_by_its_key", "it draws from the global generators")


def asking_leaves_the_state(spec: Any, space: Space) -> None:
    """Asking and telling do not change an earlier state: asked again, it gives the same answer."""
    searcher = searcher_of(spec)
    records, state = _played(spec, space, 12)
    trial = 1 + max(trial for _, trial, _ in records)
    first = searcher.ask(spec, state, trial, KEY)
    for other in range(trial + 1, trial + 6):
        after, answer = searcher.ask(spec, state, other, KEY)
        if isinstance(answer, Proposal):
            searcher.tell(spec, after, other, Observation("done", 1, (-1.0,)))
    again = searcher.ask(spec, state, trial, KEY)[1]
    expect(repr(first[1]) == repr(again), "asking_leaves_the_state", f"the state answered {first[1]}, and then {again}")


def goes_on_whatever_it_is_told(spec: Any, space: Space) -> None:
    """With concurrent trials that end in any order, fail, or report NaN, it proposes until it is exhausted."""
    for seed in range(5):
        records, state = _played(spec, space, TRIALS, 6, seed)
        if sum(kind == "ask" for kind, _, _ in records) < TRIALS:
            answer = searcher_of(spec).ask(spec, state, TRIALS, KEY)[1]
            text = f"it answered {answer} with no trial in flight"
            expect(isinstance(answer, Exhausted), "goes_on_whatever_it_is_told", text)


def a_bad_first_trial_blocks_no_other(spec: Any, space: Space, trials: int = TRIALS) -> None:
    """After a first trial with a NaN or infinite value, or a failure, later observations still matter."""
    if not _learns(spec, space, Observation("done", 1, (1.0,)), trials):
        return
    for status, value in BAD:
        bad = Observation(status, 1, (value,))
        text = f"after a first trial with {bad}, proposals ignore all later observations"
        expect(_learns(spec, space, bad, trials), "a_bad_first_trial_blocks_no_other", text)


def is_rebuilt_from_its_record(spec: Any, space: Space) -> None:
    """Rebuilt from its own asks and tells, as in a resume, a searcher continues identically."""
    searcher = searcher_of(spec)
    records, state = _played(spec, space)
    again = searcher.init(spec, space, OBJECTIVES, KEY)
    for kind, trial, item in records:
        if kind == "tell":
            again = searcher.tell(spec, again, trial, item)
            continue
        again, answer = searcher.ask(spec, again, trial, KEY)
        same = isinstance(answer, Proposal) and answer.config == item
        expect(same, "is_rebuilt_from_its_record", f"trial {trial} got {item}, and when rebuilt {answer}")
    for trial in range(TRIALS, TRIALS + 6):
        state, expected = searcher.ask(spec, state, trial, KEY)
        again, found = searcher.ask(spec, again, trial, KEY)
        text = f"trial {trial} would get {expected}, and when rebuilt {found}"
        expect(repr(expected) == repr(found), "is_rebuilt_from_its_record", text)


def batches_are_asks(spec: Any, space: Space) -> None:
    """Batched proposals equal single proposals."""
    searcher = searcher_of(spec)
    if searcher.batch is None:
        return
    state = searcher.init(spec, space, OBJECTIVES, KEY)
    state, first = searcher.batch(spec, state, [5, 3, 17], KEY)
    single = searcher.init(spec, space, OBJECTIVES, KEY)
    for number, proposal in zip((5, 3, 17), first, strict=False):
        single, answer = searcher.ask(spec, single, number, KEY)
        expect(answer == proposal, "batches_are_asks", f"trial {number} gets {proposal} in a batch, alone {answer}")


CHECKS: Final[tuple[Check, ...]] = (
    is_a_value,
    has_no_faults,
    proposes_values_of_the_space,
    is_determined_by_its_key,
    asking_leaves_the_state,
    goes_on_whatever_it_is_told,
    a_bad_first_trial_blocks_no_other,
    is_rebuilt_from_its_record,
    batches_are_asks,
)
"""The checks of a searcher by itself."""


@public
def searcher_suite(spec: Any, space: Any = SPACE, *, seeds: int = SEEDS) -> Callable[..., None]:
    """Tests of a searcher, for pytest: `test_mine = searcher_suite(Mine(), space(x=uniform(0, 1)))`.

    It is held to the contract on the space, with trials that end in any order, and run in whole experiments on the
    simulated cluster with faults, drivers that die among them.

    Args:
        spec: of a searcher that is registered.
        space: an experiment or a space with the parameters; floats `x` and `y` without it.
        seeds: how many experiments.

    Returns:
        A parametrised test function.

    Raises:
        ArgumentError: when no searcher is registered for the spec's class.
    """
    searcher_of(spec)
    over: Space = space if isinstance(space, Space) else space.clauses.space
    target = FuzzTarget(searchers=(spec,), space=over, words=command_words("searcher", spec))
    return suite([functools.partial(check, spec, over) for check in CHECKS], target, seeds)


def _played(spec: Any, space: Space, trials: int = TRIALS, width: int = 6, seed: int = 0) -> tuple[list[Record], Any]:
    """A search with trials in flight that end in any order; its calls of ask and tell, and the state at its end."""
    searcher, draws = searcher_of(spec), RandomStream(key(seed, "search"))
    state = searcher.init(spec, space, OBJECTIVES, KEY)
    records: list[Record] = []
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
        expect(bool(flying), "goes_on_whatever_it_is_told", f"it waits at trial {number}, and no trial is in flight")
        trial = draws.pick(flying)
        told = [_observation(draws, searcher.supports.outcome_constraints)]
        if draws.chance(0.3) and searcher.supports.intermediate:
            told.insert(0, Observation("reported", 1, (draws.number(),)))
        flying.remove(trial)
        for observation in told:
            records.append(("tell", trial, observation))
            state = searcher.tell(spec, state, trial, observation)
    return records, state


def _observation(draws: RandomStream, constrained: bool) -> Observation:
    """How a trial ended: most of them well; with violations for searchers that learn them."""
    violations = tuple(draws.pick([-1.0, draws.number(), math.nan]) for _ in range(2)) if constrained else ()
    if draws.chance(0.15):
        failure = draws.pick(FAILURE_KINDS) if constrained else ""
        return Observation("failed", draws.below(9), (math.nan,), violations, failure)
    value = draws.pick([draws.number(), draws.number(), math.nan, math.inf])
    return Observation(draws.pick(("done", "done", "stopped")), 1 + draws.below(9), (value,), violations)


def _learns(spec: Any, space: Space, first: Observation, trials: int) -> bool:
    """Whether proposals after a first trial depend on later observations."""
    worse, better = (_proposed_after(spec, space, first, trials, slope) for slope in (1.0, -1.0))
    return worse != better


def _proposed_after(spec: Any, space: Space, first: Observation, trials: int, slope: float) -> list[Any]:
    """What is proposed one by one, where the loss of trials after the first rises or falls from one to the next."""
    searcher, found = searcher_of(spec), []
    state = searcher.init(spec, space, OBJECTIVES, KEY)
    for trial in range(trials):
        state, answer = searcher.ask(spec, state, trial, KEY)
        if not isinstance(answer, Proposal):
            break
        found.append(answer.config)
        told = first if trial == 0 else Observation("done", 1, (slope * trial / trials,))
        state = searcher.tell(spec, state, trial, told)
    return found
