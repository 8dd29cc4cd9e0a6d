"""Whole experiments at random, on the simulated engine: any scheduler, any width and order, workers that fail.

Each must end with all its trials, and its journal must prove itself. A few hundred run with the tests; many more by

    python -m tests.laws.many_experiments --count 10000 --seed 0
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.experiments import Quadratic
from tests.laws.test_scheduler_laws import SPECS
from tunedsl import space, uniform
from tunedsl.base import codec
from tunedsl.base.keys import key
from tunedsl.base.keys import uniform as drawn
from tunedsl.base.literals import live_objects
from tunedsl.base.vocabulary import FAILURE_KINDS
from tunedsl.engine.driver import Driver
from tunedsl.engine.simulated import SimulatedEngine
from tunedsl.experiment import Experiment
from tunedsl.journal import FORMAT, Header, Journal, MemoryWriter, replay
from tunedsl.kernel import Failed, State, Stop
from tunedsl.plan import Plan
from tunedsl.schedule.contract import scheduler_of
from tunedsl.search import evolution, limit, random_search, sobol
from tunedsl.trainable import Message, Shipment

LONGEST = 12
"""No trial reports more often."""


class Failing(SimulatedEngine):
    """Loses what a worker sends now and then, and says that it failed."""

    def __init__(self, seed: int, share: float, **options: Any) -> None:
        super().__init__(**options)
        self._random, self._share = random.Random(seed), share

    def poll(self, seconds: float) -> list[Message]:
        messages = super().poll(seconds)
        attempt = (messages[-1].trial, messages[-1].attempt)
        if attempt not in self._runs or self._random.random() >= self._share:
            return messages
        del self._runs[attempt]
        self._free += 1
        self._start()
        kind = self._random.choice(FAILURE_KINDS)
        return [Message(*attempt, Failed(0.0, attempt[0], kind, "at random"))]


class Curves:
    """Metrics by trial and iteration, drawn from a seed; some trials return early, some report NaN."""

    def __init__(self, seed: int, noise: float) -> None:
        self._seed, self._noise = seed, noise

    def row(self, trial: int, config: Mapping[str, Any], iteration: int) -> dict[str, float] | None:
        chance = drawn(key(self._seed, "row", trial), iteration)
        if iteration > LONGEST or chance < 0.02:
            return None
        loss = math.nan if chance > 0.97 else config["x"] / iteration + self._noise * chance
        return {"loss": loss, "epochs": 2 * iteration}


def plan_may_time(experiment: Experiment) -> bool:
    """Whether measured time may decide."""
    return experiment.clauses.order != "logical"


def random_plan(rng: random.Random) -> Plan:
    """A plan of any scheduler, with policies that go with it."""
    spec = rng.choice(SPECS)
    needs, timed = scheduler_of(spec).needs(spec), "time_total_s" in scheduler_of(spec).reads(spec)
    searchers = [random_search(), random_search(), sobol()]
    if needs.searcher == "any":
        searchers.append(evolution())
    if needs.searcher == "any" and not needs.pause:  # the compiler refuses the pair: paused trials are in flight
        searchers += [limit(random_search(), rng.randint(1, 3)), limit(evolution(), 2)]
    first = getattr(spec, "policy", None) or getattr(getattr(spec, "base", None), "policy", None)
    params = {"x": 0.5, "y": 1.5} if first else {"x": uniform(0, 1), "y": uniform(1, 2)}
    experiment = (
        space(**params)
        .trainable(Quadratic)
        .minimize("loss")
        .scheduler(spec)
        .searcher(random_search() if first else rng.choice(searchers))
        .samples(needs.trials or rng.choice([1, 2, 5, 20, 40]))
        .parallel(rng.choice([1, 2, 3, 8]))
        .order("arrival" if timed else rng.choice(["arrival", "logical"]))
        .stop(training_iteration=rng.choice([1, 4, 9, LONGEST]))
        .seed(rng.randint(0, 10**6))
    )
    if rng.random() < 0.5:
        waits = rng.choice([0, 0.5, 7])
        experiment = experiment.retry(rng.choice([0, 1, 3]), wait=waits, in_a_row=rng.choice([None, -1, 0, 2]))
        if rng.random() < 0.3:
            experiment = experiment.resources(memory="1MB").retry(3, oom=5, grow=1.5, wait=waits)
    if plan_may_time(experiment) and rng.random() < 0.2:
        experiment = experiment.timeout(rng.choice([None, 3.0, 20.0]), idle=rng.choice([0.8, 1.5, 30.0]))
    if rng.random() < 0.1:
        experiment = experiment.fail_fast()
    if rng.random() < 0.2:
        limits = {rng.choice(["iterations", "failures", "trials"]): rng.randint(1, 40)}
        experiment = experiment.budget(**limits)
    return experiment.compile(engine="simulated")


def carried_out(plan: Plan, engine: SimulatedEngine) -> tuple[Journal, State]:
    """The plan's journal on an engine, and the state at its end."""
    writer = MemoryWriter()
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {}))
    objects = live_objects(plan)
    driver = Driver(plan, engine, writer, Shipment.of(plan, {}, objects, "."), objects.__getitem__)
    driver.run()
    return Journal(writer.lines), driver.state


def one(seed: int) -> Plan:
    """Runs one experiment, and proves it.

    Raises:
        AssertionError: when it does not end as it must.
    """
    rng = random.Random(seed)
    plan = random_plan(rng)
    share, curves, cost = rng.choice([0.0, 0.02, 0.2]), Curves(seed, rng.choice([0.0, 0.1, 2.0])), rng.random()
    pace = key(seed, "pace")
    engine = Failing(
        seed, share, curve=curves, cost=lambda config, iteration: cost + drawn(pace, int(config["x"] * 1e6) + iteration)
    )
    journal, state = carried_out(plan, engine)
    phases = Counter(trial.phase for trial in state.trials.values())
    assert state.finished and not state.live and not state.paused, phases
    assert set(phases) <= {"TERMINATED", "ERRORED"}, phases
    most = plan.trials if plan.budget.trials is None else min(plan.trials, plan.budget.trials)
    assert state.closing or len(state.trials) == most, f"{len(state.trials)} of {most} trials"
    notes = [command.note for line in journal.records() for command in line.c if isinstance(command, Stop)]
    assert state.closing or not any(note.rule == "left over" for note in notes), "the scheduler forgot a paused trial"
    proof = replay(journal)
    assert repr(proof.state) == repr(state) and proof.digest == journal.digest  # by text, since NaN is not equal to NaN
    if plan.order == "logical" and not share:
        again, _ = carried_out(plan, SimulatedEngine(curve=curves, cost=1.0))
        assert again.digest == journal.digest, "timing changed what logical order did"
    return plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300, help="how many experiments")
    parser.add_argument("--seed", type=int, default=0, help="of the first; each has one more than that before")
    options = parser.parse_args()
    began, schedulers, trials = time.perf_counter(), Counter[str](), 0
    for seed in range(options.seed, options.seed + options.count):
        try:
            plan = one(seed)
        except Exception as error:
            error.add_note(f"python -m tests.laws.many_experiments --count 1 --seed {seed}")
            raise
        schedulers[scheduler_of(plan.scheduler).name] += 1
        trials += plan.trials
    print(
        f"{options.count} experiments, {trials} trials, in {time.perf_counter() - began:.0f} s: all ended, all proved"
    )
    print(", ".join(f"{name} {count}" for name, count in sorted(schedulers.items())))


if __name__ == "__main__":
    main()
