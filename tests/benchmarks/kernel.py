"""Kernel events a second under FIFO and ASHA, and the cost of an event at 100,000 trials."""

from __future__ import annotations

import random
import time

from tests.benchmarks.measure import show
from tests.plans import make_plan
from tunedsl.kernel import CapacityChanged, Propose, Proposed, Reported, RunState, Started, initial, step
from tunedsl.plan import Plan
from tunedsl.schedulers import asha, fifo
from tunedsl.schedulers.contract import is_due

WIDTH = 64


class History:
    """Plays a plan, timing only `step`."""

    def __init__(self, plan: Plan, iterations: int) -> None:
        self.plan, self.iterations = plan, iterations
        self.random = random.Random(0)
        self.state: RunState = initial(plan)
        self.proposals: list[int] = []
        self.running: list[int] = []
        self.counts: list[tuple[int, float]] = []
        self.events, self.spent = 0, 0.0

    def step(self, event: object) -> None:
        began = time.perf_counter()
        self.state, commands = step(self.plan, self.state, event)  # type: ignore[arg-type]
        self.spent += time.perf_counter() - began
        self.events += 1
        for command in commands:
            if isinstance(command, Propose):
                self.proposals += range(command.first, command.first + command.count)

    def play(self) -> None:
        self.step(CapacityChanged(0.0, WIDTH))
        while not self.state.finished:
            while self.proposals:
                trial = self.proposals.pop()
                self.step(Proposed(0.0, trial, {"x": 0.5}))
                self.step(Started(0.0, trial, 0))
                self.running.append(trial)
            place = self.random.randrange(len(self.running))
            trial = self.running[place]
            iteration = self.state.trials[trial].iteration + 1
            ends = "rule" if iteration == self.iterations else ""
            waits = not ends and is_due(self.plan.decision_points, iteration)
            value = self.random.random()
            self.step(Reported(0.0, trial, iteration, ("loss",), ((value,),), (1.0,), waits, ends))
            if trial not in self.state.live:
                self.running[place] = self.running[-1]
                self.running.pop()
            if self.events % 1_000 == 0:
                self.counts.append((len(self.state.trials), self.spent))

    def cost(self, low: int, high: int) -> float:
        """Seconds an event while there were between `low` and `high` trials."""
        inside = [(index, spent) for index, (trials, spent) in enumerate(self.counts) if low <= trials <= high]
        (first, began), (last, ended) = inside[0], inside[-1]
        return (ended - began) / (1_000 * (last - first))


def main() -> None:
    for name, scheduler, iterations in (("FIFO", fifo(), 5), ("ASHA", asha(max_t=81, reduction_factor=3), 81)):
        for trials in (1_000, 10_000):
            history = History(make_plan(trials=trials, scheduler=scheduler), iterations)
            history.play()
            show(f"{name}, {trials:,} trials", f"{history.events / history.spent:,.0f} events a second")
        history = History(make_plan(trials=110_000, scheduler=scheduler), iterations)
        history.play()
        early, late = history.cost(500, 3_000), history.cost(97_000, 103_000)
        show(
            f"{name}, cost of an event at 1,000 and 100,000 trials",
            f"{early * 1e6:.1f} and {late * 1e6:.1f} us: {late / early:.2f} x",
        )


if __name__ == "__main__":
    main()
