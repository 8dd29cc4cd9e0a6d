"""What every scheduler must hold, as checks of one spec, and `scheduler_suite` that makes tests of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, Final

from tunedsl.base import codec
from tunedsl.base.arguments import public
from tunedsl.base.errors import ArgumentError
from tunedsl.base.keys import key
from tunedsl.base.objective import Objective
from tunedsl.schedulers.contract import At, Every, Exploit, Never, Report, Resize, SchedulerContext, scheduler_of
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.sampling import sample
from tunedsl.spaces.space import Space
from tunedsl.testing.fuzz import FuzzTarget, check_seed
from tunedsl.testing.invariants import InvariantViolated
from tunedsl.testing.random_stream import RandomStream
from tunedsl.testing.scenarios import SPACE
from tunedsl.testing.scheduler_harness import SchedulerHarness

Check = Callable[[Any, Space], None]

LOSS: Final = Objective("loss", "min")
GOALS: Final = (LOSS, Objective("size", "min"))
TRIALS: Final = 20
HARNESS_RUNS: Final = 30
"""Worlds that a scheduler is put through; each second one is calm."""
RACERS: Final = 12
RACE_WIDTH: Final = 4
BEST_TRIAL: Final = 3
BEST: Final = 2.0
"""What the best trial of a race reports; all others report less."""
SEEDS: Final = 40
"""Default number of whole experiments with faults."""
BATCH: Final = 10


def expect(holds: bool, law: str, text: str) -> None:
    """Raises `Broken` where a check does not hold."""
    if not holds:
        raise InvariantViolated(law, text)


def is_a_value(spec: Any, space: Space) -> None:
    """A spec is a frozen value: data gives it back, equal and with an equal hash."""
    back = codec.from_json(codec.to_json(spec))
    expect(back == spec, "is_a_value", f"{spec!r} came back from data as {back!r}")
    expect(hash(back) == hash(spec), "is_a_value", f"{spec!r} came back from data with another hash")


def describes_itself(spec: Any, space: Space) -> None:
    """A scheduler describes a spec in one line, finds no fault with it, and says what it needs."""
    scheduler = scheduler_of(spec)
    line = scheduler.describe(spec)
    expect(bool(line) and "\n" not in line, "describes_itself", f"describe gives {line!r}, not one line")
    expect(not scheduler.validate(spec), "describes_itself", f"validate gives {scheduler.validate(spec)}")
    expect(isinstance(scheduler.metrics_used(spec), tuple), "describes_itself", "reads gives no tuple of names")
    points = scheduler.decision_points(spec)
    expect(isinstance(points, (Never, At, Every)), "describes_itself", f"decision_points gives {points!r}")


def answers_alike(spec: Any, space: Space) -> None:
    """The same state and report give the same answer, and leave the state as it was."""
    for width in (1, 2) if scheduler_of(spec).requirements(spec).objectives > 1 else (1,):
        _answers_alike(spec, space, width)


def _answers_alike(spec: Any, space: Space, width: int) -> None:
    scheduler, state = scheduler_of(spec), _begun(spec, space, width=width)
    for report in _reports(key(0, "alike"), width=width):
        before = repr(state)
        first, again = scheduler.on_report(spec, state, report), scheduler.on_report(spec, state, report)
        expect(repr(first) == repr(again), "answers_alike", f"{report} is answered {first[1:]}, and then {again[1:]}")
        expect(repr(state) == before, "answers_alike", f"on_report changed its argument state, at {report}")
        ended = scheduler.on_end(spec, first[0], report)
        expect(
            repr(ended) == repr(scheduler.on_end(spec, first[0], report)), "answers_alike", "on_end gives two states"
        )
        state = ended if first[1] == "stop" else first[0]


def answers_any_report(spec: Any, space: Space) -> None:
    """Every report is answered: NaN, infinities, unexpected numbers, unknown trials."""
    scheduler, state = scheduler_of(spec), _begun(spec, space, None)
    needs = scheduler.requirements(spec)
    strange = [Report(99, 1, math.nan, 0.0, {}), Report(0, 10**6, -0.0, 1e300, {"epochs": "x"})]
    for report in [*_reports(key(1, "any")), *strange]:
        state, decision, note = scheduler.on_report(spec, state, report)
        named = decision in ("continue", "stop", "pause") or isinstance(decision, (Exploit, Resize))
        expect(named, "answers_any_report", f"{report} is answered {decision!r}")
        allowed = decision in ("continue", "stop") or needs.checkpoints
        expect(allowed, "answers_any_report", f"{decision!r} takes checkpoints, and needs do not say so")
        expect(decision != "pause" or needs.pause, "answers_any_report", "it pauses, and its needs do not say so")
        expect(decision == "continue" or note is not None, "answers_any_report", f"{decision!r} without a note of why")
        plain = note is None or codec.encode(note.facts) == note.facts
        expect(plain, "answers_any_report", f"the facts of {note} are not plain data")


def all_trials_end(spec: Any, space: Space) -> None:
    """Driven by its contract alone, whatever happens, a scheduler brings every trial to its end."""
    needed = scheduler_of(spec).requirements(spec).trials
    for seed in range(HARNESS_RUNS):
        draws = RandomStream(key(seed, "world"))
        trials = needed or draws.pick((1, 2, 5, 12, 30))
        SchedulerHarness(spec, draws.below(10**6), 1 + draws.below(6), trials, seed % 2 == 1, space).run()


class _Race(SchedulerHarness):
    """Trials of constant worth that report in turn, of which the first goes wrong.

    Args:
        first: what the first trial reports, or None where it fails.
    """

    def __init__(self, spec: Any, first: float | None, space: Space) -> None:
        trials = scheduler_of(spec).requirements(spec).trials or RACERS
        super().__init__(spec, 0, RACE_WIDTH, trials, calm=True, space=space)
        self._first = first

    def next(self) -> int:
        return min(self.running, key=lambda trial: (self.running[trial], trial))

    def value(self, trial: int, iteration: int) -> float:
        if trial == 0:
            return math.nan if self._first is None else self._first
        return BEST if trial == BEST_TRIAL else trial * 7 % RACERS / RACERS

    def _happen(self, trial: int) -> None:
        if trial == 0 and self._first is None:
            return self._leave(trial, self.running)
        return super()._happen(trial)


def a_bad_first_trial_blocks_no_other(spec: Any, space: Space) -> None:
    """After a first trial that reports NaN or an infinite loss, or fails, the others are judged as after a poor one."""

    def judged(first: float | None) -> set[int]:
        race = _Race(spec, first, space)
        race.run()
        return race.judged - {0}

    usual, law = judged(-1.0), "a_bad_first_trial_blocks_no_other"
    for first, what in ((math.nan, "reports NaN"), (-math.inf, "reports an infinite loss"), (None, "fails")):
        found = judged(first)
        text = f"where the first trial {what}, none of the others is stopped or changed; usually {sorted(usual)} are"
        expect(bool(found) or not usual, law, text)
        text = f"where the first trial {what}, the best trial ({BEST_TRIAL}) is stopped or changed; usually it is not"
        expect(BEST_TRIAL not in found or BEST_TRIAL in usual, law, text)


CHECKS: Final[tuple[Check, ...]] = (
    is_a_value,
    describes_itself,
    answers_alike,
    answers_any_report,
    all_trials_end,
    a_bad_first_trial_blocks_no_other,
)
"""The checks of a scheduler by itself."""


@public
def scheduler_suite(spec: Any, *, seeds: int = SEEDS, space: Space = SPACE) -> Callable[..., None]:
    """Tests of a scheduler, for pytest: `test_mine = scheduler_suite(Mine(3))`.

    It is held to the contract, driven through worlds in which trials fail and end in any order, and run in whole
    experiments on the simulated cluster with faults, each event held to every law.

    Args:
        spec: of a scheduler that is registered.
        seeds: how many experiments.
        space: of the experiments; floats `x` and `y` without it.

    Returns:
        A parametrised test function.

    Raises:
        ArgumentError: when no scheduler is registered for the spec's class.
    """
    scheduler_of(spec)
    target = FuzzTarget(schedulers=(spec,), space=space, words=command_words("scheduler", spec))
    return suite([functools.partial(check, spec, space) for check in CHECKS], target, seeds)


def suite(checks: list[Any], target: FuzzTarget, seeds: int) -> Callable[..., None]:
    """A test function over checks, and over batches of random experiments."""
    try:
        import pytest
    except ImportError as error:
        message = "The test suite of schedulers needs pytest, which is not installed."
        raise ArgumentError("E049", "testing", message, 'pip install "tunedsl[testing]"') from error

    ranges = [(first, min(first + BATCH, seeds)) for first in range(0, seeds, BATCH)]
    batches = [functools.partial(holds_in_experiments, target, *part) for part in ranges]
    names = [check.func.__name__ for check in checks]
    names += [f"experiments-{first}-{end - 1}" for first, end in ranges]

    @pytest.mark.parametrize("check", [*checks, *batches], ids=names)
    def test(check: Callable[[], None]) -> None:
        check()

    return test


def holds_in_experiments(target: FuzzTarget, first: int, end: int) -> None:
    """Whole experiments on the simulated cluster with faults hold to every law.

    Raises:
        InvariantViolated: with the scenario, the same in small, and the command that repeats it.
    """
    for seed in range(first, end):
        _, _, finding = check_seed(seed, target)
        if finding is not None:
            raise InvariantViolated(finding.law, str(finding))


def command_words(option: str, spec: Any) -> str:
    """The words of the hunt's command line that choose a policy."""
    return f" --{option} {type(spec).__module__ + ':' + repr(spec)!r}"


def _begun(spec: Any, space: Space, objective: Objective | None = LOSS, width: int = 1) -> Any:
    """The state with trials added."""
    scheduler = scheduler_of(spec)
    state = scheduler.init(spec, SchedulerContext(1, TRIALS, objective, space, objectives=GOALS if width > 1 else ()))
    if scheduler.on_add is not None:
        for trial, config in enumerate(sample(resolve_space(space), 1, range(TRIALS))):
            state = scheduler.on_add(spec, state, trial, codec.encode(config))
    return state


def _reports(seed: int, iterations: int = 30, width: int = 1) -> Iterator[Report]:
    """Reports of trials in any order, with any values."""
    draws = RandomStream(seed)
    clock = dict.fromkeys(range(TRIALS), 0)
    while clock:
        trial = draws.pick(list(clock))
        clock[trial] += 1
        value = draws.pick([draws.number(), draws.number(), math.nan, math.inf, -math.inf])
        iteration = clock[trial]
        metrics = {"loss": value, "epochs": 2 * iteration}
        values = (value, draws.number()) if width > 1 else ()
        yield Report(trial, iteration, value, float(iteration), metrics, values)
        if iteration == iterations:
            del clock[trial]
