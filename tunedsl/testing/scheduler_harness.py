"""A harness that drives a scheduler by its contract alone: trials report, fail and end in a seeded order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tunedsl.base import codec
from tunedsl.base.keys import key
from tunedsl.base.objective import Objective
from tunedsl.schedulers.contract import Exploit, Reason, Report, Resize, SchedulerContext, is_due, scheduler_of
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.sampling import sample
from tunedsl.spaces.space import Space
from tunedsl.testing.invariants import InvariantViolated
from tunedsl.testing.random_stream import RandomStream
from tunedsl.testing.scenarios import MAX_ITERATIONS, SPACE


class SchedulerHarness:
    """Trials, slots and a scheduler; a seed decides the next event.

    Args:
        spec: the scheduler's.
        seed: of what happens.
        width, trials: places, and trials in all.
        calm: whether nothing fails and nobody stops a trial.
        space: what configurations are drawn from.

    Attributes:
        judged: trials that the scheduler stopped, or restarted from another trial's checkpoint.
    """

    def __init__(self, spec: Any, seed: int, width: int, trials: int, calm: bool = False, space: Space = SPACE) -> None:
        self.spec, self.scheduler, self.draws = spec, scheduler_of(spec), RandomStream(key(seed, "world"))
        self.width, self.trials, self.calm = width, trials, calm
        setting = SchedulerContext(seed, trials, Objective("loss", "min"), space, {"cpu": 1.0, "gpu": 0.0})
        self.state = self.scheduler.init(spec, setting)
        self.configs = [codec.encode(config) for config in sample(resolve_space(space), seed, range(trials))]
        self.running: dict[int, int] = {}
        self.paused: dict[int, int] = {}
        self.ended: dict[int, int] = {}
        self.judged: set[int] = set()
        self.added, self.full = 0, False
        draws = self.draws
        self.curve: Callable[[], float] = draws.pick(
            [
                draws.number,
                lambda: float(draws.below(3)),
                lambda: draws.pick([math.nan, math.inf, 0.5, -0.5]),
            ]
        )

    def run(self) -> None:
        """Runs until every trial has ended.

        Raises:
            InvariantViolated: when work remains and no trial runs, or an answer is invalid.
        """
        for _ in range(self.trials * (MAX_ITERATIONS + 2) * 3):
            self._fill()
            if not self.running:
                break
            self._happen(self.next())
        left = f"{len(self.running)} trials run, {len(self.paused)} are paused, {self.trials - self.added} to come"
        done = self.full and not self.paused and not self.running
        self._expect(done, f"work is left, but nothing is in progress: {left}")
        self._expect(sorted(self.ended) == list(range(self.added)), "not every trial has ended")

    def next(self) -> int:
        """The running trial to which something happens."""
        return self.draws.pick(sorted(self.running))

    def value(self, trial: int, iteration: int) -> float:
        """What a trial reports, larger being better."""
        return self.curve()

    def _expect(self, holds: bool, text: str) -> None:
        if not holds:
            world = f"{len(self.ended)} of {self.added} trials ended, {self.width} places"
            raise InvariantViolated("all_trials_end", f"{text} ({world}, {self.spec!r})")

    def _fill(self) -> None:
        """Gives free places away, as the kernel does."""
        while len(self.running) < self.width:
            if self.paused and self.scheduler.promote:
                before = self.state
                self.state, chosen = self.scheduler.promote(self.spec, before)
                again = self.scheduler.promote(self.spec, before)
                self._expect(repr(again) == repr((self.state, chosen)), "promote gives two answers")
                if chosen is not None:
                    trial, note = chosen[:2]
                    self._expect(isinstance(note, Reason), f"trial {trial} is promoted without a note of why")
                    self._expect(trial in self.paused, f"trial {trial} is promoted, and is not paused")
                    if len(chosen) == 3 and isinstance(chosen[2], Exploit):
                        self._exploit(trial, chosen[2])
                    self.running[trial] = self.paused.pop(trial)
                    continue
            if self.added < self.trials and not (self.full or (not self.calm and self.draws.chance(0.005))):
                self.running[self.added] = 0
                if self.scheduler.on_add:
                    self.state = self.scheduler.on_add(self.spec, self.state, self.added, self.configs[self.added])
                self.added += 1
                continue
            if self.full:
                return
            self.full = True
            if self.scheduler.on_all_proposed:
                self.state = self.scheduler.on_all_proposed(self.spec, self.state)
            self._cull()

    def _happen(self, trial: int) -> None:
        """One event of a running trial, or of a paused one."""
        chance = 1.0 if self.calm else self.draws.number()
        if chance < 0.02:
            return self._leave(trial, self.running)
        if chance < 0.03 and self.paused:
            return self._leave(self.draws.pick(sorted(self.paused)), self.paused)
        iteration = self.running[trial] = self.running[trial] + 1
        value = self.value(trial, iteration)
        report = Report(trial, iteration, value, float(iteration), {"loss": value, "epochs": 2 * iteration})
        last = self.scheduler.last_iteration(self.spec) or MAX_ITERATIONS
        if iteration >= min(last, MAX_ITERATIONS) or chance < 0.06:
            self.ended[trial] = self.running.pop(trial)
            self.state = self.scheduler.on_end(self.spec, self.state, report)
        elif is_due(self.scheduler.decision_points(self.spec), iteration):
            self._decide(trial, report)
        return self._cull()

    def _decide(self, trial: int, report: Report) -> None:
        self.state, decision, note = self.scheduler.on_report(self.spec, self.state, report)
        self._expect(decision == "continue" or isinstance(note, Reason), f"{decision!r} without a note of why")
        if decision == "stop":
            self.judged.add(trial)
            self.ended[trial] = self.running.pop(trial)
        elif decision == "pause":
            self._expect(self.scheduler.requirements(self.spec).pause, "it pauses, and its needs do not say so")
            self.paused[trial] = self.running.pop(trial)
        elif isinstance(decision, Exploit):
            self._exploit(trial, decision)
        else:
            self._expect(decision == "continue" or isinstance(decision, Resize), f"it answers {decision!r}")

    def _exploit(self, trial: int, change: Exploit) -> None:
        self.judged.add(trial)
        self._expect(change.donor < self.added, f"trial {change.donor} is to be taken over, and is not there")
        self._expect(self.scheduler.requirements(self.spec).checkpoints, "it exploits, and its needs do not say so")

    def _leave(self, trial: int, where: dict[int, int]) -> None:
        self.ended[trial] = where.pop(trial)
        if self.scheduler.on_remove:
            self.state = self.scheduler.on_remove(self.spec, self.state, trial)
        self._cull()

    def _cull(self) -> None:
        if self.scheduler.cull is None:
            return
        self.state, culled = self.scheduler.cull(self.spec, self.state)
        for trial, note in culled:
            self._expect(isinstance(note, Reason), f"trial {trial} is culled without a note of why")
            self._expect(trial in self.paused, f"trial {trial} is culled, and is not paused")
            self.judged.add(trial)
            self.ended[trial] = self.paused.pop(trial)
        self._expect(self.scheduler.cull(self.spec, self.state)[1] == (), "cull gives the same trials twice")
