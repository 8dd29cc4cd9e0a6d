"""Every scheduler in a world of its own, driven by its contract alone: whatever happens, all trials end.

Trials report, fail, end and are stopped from outside in an order that a seed chooses; places are given first to those
that the scheduler promotes, then to new trials. In no state is work left with nothing under way.
"""

import math
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tunedsl.base.objective import Objective
from tunedsl.schedule import (
    asha,
    asha_promote,
    distribute,
    distribute_to_top,
    fifo,
    hyperband,
    median_stopping,
    pasha,
    pb2,
    pbt,
    pbt_replay,
    resource_changing,
)
from tunedsl.schedule.contract import Exploit, Note, Report, Resize, Setting, enrolled, is_due, scheduler_of
from tunedsl.space import Space, uniform

SPACE = Space.of({"x": uniform(0, 1), "y": uniform(1, 2)})
LONGEST = 12
"""No trial reports more often."""

SPECS = [
    fifo(),
    asha(max_t=9, reduction_factor=3, brackets=2),
    asha(max_t=9, reduction_factor=2.5, stop_last_trials=False),
    asha_promote(max_t=9, reduction_factor=3),
    asha_promote(max_t=8, reduction_factor=2, grace_period=2, time_attr="epochs"),
    pasha(max_t=9, reduction_factor=2),
    pasha(max_t=9, reduction_factor=2, epsilon=0.1, time_attr="epochs"),
    hyperband(max_t=4, reduction_factor=2),
    hyperband(max_t=9),
    hyperband(max_t=9, bohb=True),
    hyperband(max_t=6, reduction_factor=2.5, stop_last_trials=False),
    hyperband(max_t=9, time_attr="epochs"),
    median_stopping(time_attr="training_iteration", grace_period=2),
    median_stopping(grace_period=1, min_samples_required=1, min_time_slice=2, hard_stop=False),
    median_stopping(time_attr="epochs", grace_period=0, min_samples_required=5, min_time_slice=1),
    pbt(perturbation_interval=2),
    pbt(perturbation_interval=3, burn_in_period=4, synch=True),
    pbt(perturbation_interval=5, time_attr="epochs", quantile_fraction=0.5),
    pbt(perturbation_interval=5, time_attr="epochs", synch=True),
    pb2(perturbation_interval=6),
    pb2(perturbation_interval=6, synch=True),
    pbt_replay([(0, {"x": 0.5, "y": 1.5}), (4, {"x": 0.25, "y": 1.5}), (9, {"x": 0.1, "y": 1.2})]),
    resource_changing(fifo(), distribute(cpu=9)),
    resource_changing(hyperband(max_t=9), distribute_to_top(cpu=30)),
    resource_changing(pbt(perturbation_interval=2, synch=True), distribute(cpu=8)),
]


class World:
    """Trials, places and a scheduler; `random` decides what happens next."""

    def __init__(self, spec, seed, width, trials, calm=False):
        self.spec, self.scheduler, self.random = spec, scheduler_of(spec), random.Random(seed)
        self.width, self.trials, self.calm = width, trials, calm
        setting = Setting(seed, trials, Objective("loss", "min"), SPACE, {"cpu": 1.0, "gpu": 0.0})
        self.state = self.scheduler.init(spec, setting)
        self.running, self.paused, self.ended, self.added, self.full = {}, {}, {}, 0, False
        self.curve = self.random.choice(
            [
                lambda: self.random.random(),
                lambda: float(self.random.randint(0, 2)),
                lambda: self.random.choice([math.nan, math.inf, 0.5, -0.5]),
            ]
        )

    def run(self):
        """Runs until every trial has ended."""
        for _ in range(self.trials * (LONGEST + 2) * 3):
            self.fill()
            if not self.running:
                break
            self.happen(self.random.choice(sorted(self.running)))
        assert self.full and not self.paused and not self.running, "work is left, and nothing is under way"
        assert sorted(self.ended) == list(range(self.added))

    def fill(self):
        """Gives free places away, as the kernel does."""
        while len(self.running) < self.width:
            if self.paused and self.scheduler.promote:
                before = self.state
                self.state, chosen = self.scheduler.promote(self.spec, before)
                assert self.scheduler.promote(self.spec, before) == (self.state, chosen)
                if chosen is not None:
                    trial, note = chosen[:2]
                    assert isinstance(note, Note)
                    if len(chosen) == 3 and isinstance(chosen[2], Exploit):
                        self.exploit(trial, chosen[2])
                    self.running[trial] = self.paused.pop(trial)
                    continue
            if self.added < self.trials and not (self.full or (not self.calm and self.random.random() < 0.005)):
                self.running[self.added] = 0
                if self.scheduler.on_add:
                    config = {"x": self.random.random(), "y": 1.5}
                    self.state = self.scheduler.on_add(self.spec, self.state, self.added, config)
                self.added += 1
                continue
            if self.full:
                return
            self.full = True
            if self.scheduler.on_full:
                self.state = self.scheduler.on_full(self.spec, self.state)
            self.cull()

    def happen(self, trial):
        """One event of a running trial, or of a paused one."""
        chance = 1.0 if self.calm else self.random.random()
        if chance < 0.02:
            return self.leave(trial, self.running)
        if chance < 0.03 and self.paused:
            return self.leave(self.random.choice(sorted(self.paused)), self.paused)
        iteration = self.running[trial] = self.running[trial] + 1
        report = Report(trial, iteration, self.curve(), float(iteration), {"loss": 0.0, "epochs": 2 * iteration})
        last = self.scheduler.last_iteration(self.spec) or LONGEST
        if iteration >= min(last, LONGEST) or chance < 0.06:
            self.ended[trial] = self.running.pop(trial)
            self.state = self.scheduler.on_end(self.spec, self.state, report)
        elif is_due(self.scheduler.decision_points(self.spec), iteration):
            before, (self.state, decision, note) = self.state, self.scheduler.on_report(self.spec, self.state, report)
            assert self.scheduler.on_report(self.spec, before, report) == (self.state, decision, note)
            assert decision == "continue" or isinstance(note, Note)
            if decision == "stop":
                self.ended[trial] = self.running.pop(trial)
            elif decision == "pause":
                assert self.scheduler.needs(self.spec).pause
                self.paused[trial] = self.running.pop(trial)
            elif isinstance(decision, Exploit):
                self.exploit(trial, decision)
            else:
                assert decision == "continue" or isinstance(decision, Resize)
        self.cull()

    def exploit(self, trial, change):
        assert change.donor < self.added and set(change.config) == {"x", "y"}
        assert self.scheduler.needs(self.spec).checkpoints

    def leave(self, trial, where):
        self.ended[trial] = where.pop(trial)
        if self.scheduler.on_leave:
            self.state = self.scheduler.on_leave(self.spec, self.state, trial)
        self.cull()

    def cull(self):
        if self.scheduler.cull is None:
            return
        self.state, culled = self.scheduler.cull(self.spec, self.state)
        for trial, note in culled:
            assert isinstance(note, Note)
            self.ended[trial] = self.paused.pop(trial)
        assert self.scheduler.cull(self.spec, self.state)[1] == ()


worlds = st.tuples(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 30))


@pytest.mark.parametrize("spec", SPECS, ids=repr)
@settings(max_examples=40)
@given(worlds, st.booleans())
@example((0, 1, 1), True)
@example((1, 1, 30), True)
@example((2, 6, 30), False)
def test_all_trials_end_whatever_happens(spec, world, calm):
    seed, width, trials = world
    World(spec, seed, width, scheduler_of(spec).needs(spec).trials or trials, calm).run()


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec != fifo()], ids=repr)
def test_large_worlds_end_too(spec):
    for seed in range(3):
        World(spec, seed, 8, scheduler_of(spec).needs(spec).trials or 150).run()


def test_every_scheduler_of_the_package_lives_in_it():
    inside = {spec for spec in enrolled() if spec.__module__.startswith("tunedsl.")}
    assert inside == {type(spec) for spec in SPECS}
