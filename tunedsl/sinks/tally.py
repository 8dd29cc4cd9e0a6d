"""Counts of a run, kept up with each event at a cost that does not grow with the number of trials."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from tunedsl.base.objective import Objective
from tunedsl.kernel import Command, Event, Failed, Proposed, Reported, State, Stop
from tunedsl.plan import Plan


@attrs.frozen
class Best:
    """The best value reported so far, and the trial that reported it."""

    trial: int
    value: float


class Tally:
    """How a run stands.

    Attributes:
        total: how many trials there will be, at most.
        running: numbers of the trials that workers run.
        stopped: how many trials were ended from outside.
        best: by the objective, None before the first finite value.
        failure: the last failure.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.total = min(plan.trials, plan.budget.trials or plan.trials)
        self.running: set[int] = set()
        self.stopped = 0
        self.best: Best | None = None
        self.failure: Failed | None = None
        self._objective: Objective | None = plan.objectives[0] if plan.objectives else None

    def take(self, event: Event, commands: Sequence[Command], state: State) -> None:
        """Follows one record."""
        number = getattr(event, "trial", None)
        if number is not None:
            phase = state.trials[number].phase
            if phase == "RUNNING":
                self.running.add(number)
            else:
                self.running.discard(number)
                self.stopped += isinstance(event, Proposed) and phase == "TERMINATED"
        for command in commands:
            if isinstance(command, Stop):
                self.stopped += 1
                self.running.discard(command.trial)
        if isinstance(event, Reported):
            self._compare(event)
        elif isinstance(event, Failed):
            self.failure = event

    def _compare(self, event: Reported) -> None:
        objective = self._objective
        if objective is None or objective.metric not in event.keys:
            return
        place = event.keys.index(objective.metric)
        finite = [row[place] for row in event.rows if not isinstance(row[place], str)]
        if finite:
            value = float(min(finite) if objective.mode == "min" else max(finite))
            if self.best is None or objective.sign * value > objective.sign * self.best.value:
                self.best = Best(event.trial, value)

    def counts(self, state: State) -> dict[str, int]:
        """Trials by what became of them; what is 0 and needs no saying is left out."""
        counts = {
            "running": len(self.running),
            "paused": len(state.paused),
            "pending": len(state.live) - len(self.running),
            "done": state.ended - self.stopped,
            "stopped early": self.stopped,
            "failed": state.errored,
        }
        return {name: count for name, count in counts.items() if count or name in ("running", "done")}

    def left(self, state: State, seconds: float) -> float | None:
        """Seconds to go: at the pace up to now, or until a budget is used up; None before there is a pace."""
        budget = self.plan.budget
        over = state.ended + state.errored
        estimates = [
            seconds / over * (self.total - over) if over else math.inf,
            math.inf if budget.seconds is None else budget.seconds - seconds,
            seconds / state.iterations * (budget.iterations - state.iterations)
            if budget.iterations is not None and state.iterations
            else math.inf,
        ]
        least = max(0.0, min(estimates))
        return least if math.isfinite(least) else None
