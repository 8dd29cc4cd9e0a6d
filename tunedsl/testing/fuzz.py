"""Fuzzing: one scenario per seed, checked against every invariant. Failures are shrunk."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, count, islice
from typing import Any, Final

import attrs

from tunedsl.schedulers.contract import scheduler_of
from tunedsl.searchers.contract import searcher_of
from tunedsl.testing.scenarios import SCHEDULERS, SEARCHERS, SPACE, Scenario, asked_scenario, scenario
from tunedsl.testing.shrinking import complaint, shrink

CHUNK: Final = 25
"""Seeds that a process runs at a time."""


@attrs.frozen
class Finding:
    """A failing seed.

    Attributes:
        law: the name of the violated invariant, or of the error.
        text: the complaint.
        small: the same failure in a smaller scenario.
        command: the command that repeats it.
    """

    seed: int
    law: str
    text: str
    scenario: Scenario
    small: Scenario
    command: str

    def __str__(self) -> str:
        return "\n".join(
            [
                f"seed {self.seed}: {self.text}",
                f"  {self.scenario!r}",
                "reduced to:",
                f"  {self.small!r}.run()",
                f"repeat with: {self.command}",
            ]
        )


@attrs.frozen
class FuzzTarget:
    """The policies and space that fuzzing draws from.

    Attributes:
        schedulers, searchers: to choose from.
        words: of the command line that choose the same.
        asked: whether trials are asked for and told.
    """

    schedulers: tuple[Any, ...] = SCHEDULERS
    searchers: tuple[Any, ...] = SEARCHERS
    space: Any = SPACE
    words: str = ""
    asked: bool = False

    def scenario(self, seed: int) -> Scenario:
        """The scenario of a seed."""
        draw = asked_scenario if self.asked else scenario
        return draw(seed, self.schedulers, self.searchers, self.space)


ALL: Final = FuzzTarget()


def check_seed(seed: int, target: FuzzTarget = ALL, small: bool = True) -> tuple[Scenario, int, Finding | None]:
    """Runs the scenario of a seed: the scenario, how many faults happened, and what is wrong, if anything.

    Args:
        small: whether what fails is shrunk.
    """
    made = target.scenario(seed)
    try:
        return made, len(made.run().faults), None
    except Exception as error:
        law = complaint(made) or type(error).__name__
        command = f"python -m tunedsl.testing --seed {seed}{target.words}"
        text = str(error) if law in str(error) else f"{type(error).__name__}: {error}"
        return made, 0, Finding(seed, law, text, made, shrink(made) if small else made, command)


@attrs.define
class Tally:
    """The progress of fuzzing."""

    seeds: int = 0
    trials: int = 0
    faults: int = 0
    began: float = attrs.field(factory=time.perf_counter)
    schedulers: Counter[str] = attrs.field(factory=Counter)
    searchers: Counter[str] = attrs.field(factory=Counter)
    findings: list[Finding] = attrs.field(factory=list)

    def add(self, found: tuple[Scenario, int, Finding | None]) -> None:
        """Counts one more scenario."""
        made, faults, finding = found
        self.seeds += 1
        self.trials += made.trials
        self.faults += faults
        self.schedulers[scheduler_of(made.scheduler).name] += 1
        self.searchers[searcher_of(made.searcher).name] += 1
        if finding is not None:
            self.findings.append(finding)

    def __str__(self) -> str:
        seconds = time.perf_counter() - self.began
        end = f"{len(self.findings)} failed" if self.findings else "all ended, every invariant held"
        return "\n".join(
            [
                f"{self.seeds} experiments, {self.trials} trials, {self.faults} faults in {seconds:.0f} s: {end}",
                *(
                    ", ".join(f"{name} {number}" for name, number in sorted(counted.items()))
                    for counted in (self.schedulers, self.searchers)
                ),
            ]
        )


def fuzz(
    seeds: Iterable[int],
    target: FuzzTarget = ALL,
    jobs: int = 1,
    seconds: float | None = None,
    heard: Callable[[Finding], None] = lambda finding: None,
    most: int = 3,
) -> Tally:
    """Runs one scenario a seed.

    Args:
        seeds: which.
        target: the policies.
        jobs: processes.
        seconds: of real time after which no more are begun.
        heard: receives each failure immediately.
        most: failures after which it ends.
    """
    tally = Tally()
    for found in _found(seeds, target, jobs):
        tally.add(found)
        if found[2] is not None:
            heard(found[2])
        if len(tally.findings) >= most or (seconds is not None and time.perf_counter() - tally.began >= seconds):
            break
    return tally


def _found(seeds: Iterable[int], target: FuzzTarget, jobs: int) -> Iterator[tuple[Scenario, int, Finding | None]]:
    if jobs == 1:
        yield from (check_seed(seed, target) for seed in seeds)
        return
    numbers = iter(seeds)
    with ProcessPoolExecutor(jobs) as pool:
        try:
            while chunks := [chunk for _ in range(2 * jobs) if (chunk := _taken(numbers))]:
                yield from chain.from_iterable(pool.map(_checked, chunks, [target] * len(chunks)))
        finally:
            pool.shutdown(cancel_futures=True)


def _taken(numbers: Iterator[int]) -> tuple[int, ...]:
    return tuple(islice(numbers, CHUNK))


def _checked(seeds: Sequence[int], target: FuzzTarget) -> list[tuple[Scenario, int, Finding | None]]:
    return [check_seed(seed, target) for seed in seeds]


def from_seed(first: int, number: int | None) -> Iterable[int]:
    """Seeds starting at the first: the given number, or without end."""
    return count(first) if number is None else range(first, first + number)


def cores() -> int:
    """Number of processes for fuzzing."""
    return os.cpu_count() or 1
