"""The kernel under random histories: pure, never above its concurrency limit, and always running or finished."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plans import make_plan
from tunedsl.base.types import FAILURE_KINDS
from tunedsl.kernel import (
    CapacityChanged,
    Ended,
    Event,
    Failed,
    Finish,
    GiveUp,
    IllegalMove,
    Launch,
    Propose,
    Proposed,
    Reported,
    RunState,
    SetResources,
    Started,
    StopRequested,
    initial,
    step,
)
from tunedsl.plan import Plan, Resources, Retry, backoff
from tunedsl.schedulers import asha, fifo
from tunedsl.schedulers.contract import is_due
from tunedsl.stopping import Budget

plans = st.builds(
    make_plan,
    trials=st.integers(1, 12),
    scheduler=st.sampled_from(
        [fifo(), asha(max_t=9, reduction_factor=3), asha(max_t=8, reduction_factor=2, brackets=2)]
    ),
    retry=st.builds(
        Retry.of,
        crash=st.integers(0, 2),
        lost=st.sampled_from([-1, 0, 3]),
        oom=st.sampled_from([0, 4]),
        grow=st.sampled_from([1.0, 1.5]),
        backoff=st.builds(backoff, initial=st.sampled_from([0.0, 0.5])),
        max_consecutive=st.sampled_from([None, -1, 0, 2]),
    ),
    resources=st.sampled_from([Resources(), Resources.of(memory=1000)]),
    budget=st.builds(Budget, iterations=st.none() | st.integers(1, 40), failures=st.none() | st.integers(1, 3)),
    fail_fast=st.booleans(),
)


class World:
    """Answers commands as workers do, in an order that depends on a seed."""

    def __init__(self, plan: Plan, seed: int, width: int, ahead: int) -> None:
        self.plan, self.random, self.width, self.ahead = plan, random.Random(seed), width, ahead
        self.state = initial(plan)
        self.events: list[Event] = []
        self.proposals: list[int] = []
        self.seconds = 0.0

    def advance(self, event: Event) -> None:
        before = self.state
        self.state, commands = step(self.plan, before, event)
        again, commands_again = step(self.plan, before, event)
        assert (again, commands_again) == (self.state, commands), "the same state and event gave something else"
        self.events.append(event)
        for command in commands:
            if isinstance(command, Propose):
                self.proposals += range(command.first, command.first + command.count)
        self.check(commands)

    def check(self, commands: list[Any]) -> None:
        state = self.state
        live = {number for number, trial in state.trials.items() if trial.phase in ("PENDING", "RUNNING")}
        assert live == set(state.live)
        assert len(live) + state.proposing <= self.width + self.ahead
        phases = [trial.phase for trial in state.trials.values()]
        assert state.terminated_count == phases.count("TERMINATED") and state.errored_count == phases.count("ERRORED")
        assert state.iterations == sum(trial.iteration for trial in state.trials.values())
        assert state.finished or state.live or state.proposing, "work is left, but nothing is in progress"
        assert all(command.trial in state.live for command in commands if isinstance(command, Launch))
        assert state.finished or not any(isinstance(command, Finish) for command in commands)
        for command in commands:
            if isinstance(command, Launch):
                assert 0 <= command.wait <= self.plan.retry.wait_most
                assert command.wait == 0 or state.trials[command.trial].not_before == state.seconds + command.wait
            if isinstance(command, SetResources):
                assert 1000 < command.resources["memory"] <= 3000
            if isinstance(command, GiveUp):
                trial = state.trials[command.trial]
                assert trial.phase == "ERRORED" and trial.consecutive_losses > self.plan.retry.in_a_row >= 0

    def run(self) -> None:
        self.advance(CapacityChanged(0.0, self.width, self.ahead, {"memory": 3000.0}))
        for _ in range(3_000):
            if self.state.finished:
                return
            self.seconds += self.random.random()
            self.advance(self.choose())
        raise AssertionError("the experiment does not end")

    def choose(self) -> Event:
        choice = self.random.random()
        if self.proposals and (choice < 0.3 or not self.state.live):
            return Proposed(self.seconds, self.proposals.pop(0), {"x": self.random.random()})
        number = self.random.choice(sorted(self.state.live))
        trial = self.state.trials[number]
        if choice > 0.995:
            return StopRequested(self.seconds, number if choice > 0.996 else None, "test")
        if choice > 0.93:
            return Failed(self.seconds, number, self.random.choice(FAILURE_KINDS), "test")
        if trial.phase == "PENDING":
            return Started(self.seconds, number, trial.attempt)
        if choice > 0.85:
            return Ended(self.seconds, number, trial.iteration)
        iteration = trial.iteration + 1
        ends = "rule" if iteration >= 9 else ""
        waits = not ends and is_due(self.plan.decision_points, iteration)
        value = self.random.choice([0.5, self.random.random(), "nan"])
        return Reported(self.seconds, number, iteration, ("loss",), ((value,),), (float(iteration),), waits, ends)


@given(plans, st.integers(0, 10_000), st.integers(1, 5), st.integers(0, 4))
def test_every_history_ends_and_keeps_the_invariants(plan, seed, width, ahead):
    World(plan, seed, width, ahead).run()


@given(plans, st.integers(0, 10_000))
def test_old_states_stay_what_they_were(plan, seed):
    world = World(plan, seed, 3, 0)
    world.run()
    states: list[RunState] = [initial(plan)]
    for event in world.events:
        states.append(step(plan, states[-1], event)[0])
    for before, event, after in zip(states, world.events, states[1:], strict=False):
        assert step(plan, before, event)[0] == after


@given(st.integers(0, 10_000))
def test_an_event_that_cannot_happen_is_refused(seed):
    plan = make_plan()
    world = World(plan, seed, 2, 0)
    world.run()
    over = next(number for number, trial in world.state.trials.items() if trial.phase in ("TERMINATED", "ERRORED"))
    for event in (
        Started(9.0, over, 0),
        Ended(9.0, over, 1),
        Failed(9.0, over, "crash", "late"),
        Reported(9.0, over, 1, ("loss",), ((1.0,),), (1.0,)),
    ):
        with pytest.raises(IllegalMove):
            step(plan, world.state, event)
