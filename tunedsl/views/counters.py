"""Counters of a run, updated at each event at a cost independent of the number of trials."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs

from tunedsl.base.objective import Objective
from tunedsl.base.types import TrialStatus
from tunedsl.journal import ENDED, Line, TrialStatuses
from tunedsl.kernel import Command, Event, Failed, Reopen, Reported, RetryRequested, RunState, UserTrialAdded
from tunedsl.kernel.amending import max_trials, plan_after
from tunedsl.kernel.feasibility import constrained_after, violation_of
from tunedsl.plan import Plan
from tunedsl.stopping import Budget
from tunedsl.stopping.reading import last_iteration

_SLACK = 1_000
"""How many outdated ranks may pile up before they are swept out."""
_MAX_FAILURES = 3
_MAX_HISTORY = 1_000
SHOWN: Final[tuple[TrialStatus, ...]] = (
    "running",
    "paused",
    "pending",
    "completed",
    "stopped",
    "failed",
    "cancelled",
)
"""The order in which counts are shown."""
_Rank = tuple[bool, bool, float, float]
"""Of a trial's last value: whether it is no number, whether the trial failed, its total violation of the outcome
constraints, and the value; smaller is better."""


@attrs.frozen
class BestTrial:
    """The best of the trials' last values, its trial, and whether it meets the outcome constraints."""

    trial: int
    value: float
    feasible: bool = True


class Counters:
    """Current counts of a run.

    Attributes:
        plan: the plan that holds now.
        statuses: of all trials.
        running: numbers of the trials that workers run.
        last_iteration: the iteration at which every trial ends, where the plan says so.
        failures: the last failures, the newest last.
        history: the best value reported up to then, with the second of it, whenever a better one came.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._added = 0
        self.statuses = TrialStatuses()
        self.running: set[int] = set()
        self.last_iteration = last_iteration(plan.stop)
        self._iterations: dict[int, int] = {}
        self._open_iterations = 0
        self._last: dict[int, _Rank] = {}
        self._constrained: dict[int, tuple[float, ...]] = {}
        self._ranks: list[tuple[_Rank, int]] = []
        self.failures: deque[Failed] = deque(maxlen=_MAX_FAILURES)
        self.history: list[tuple[float, float]] = []
        self._objective: Objective | None = plan.objectives[0] if plan.objectives else None

    @property
    def total(self) -> int:
        """How many trials there will be, at most; an amendment to fewer trials leaves those that have begun."""
        return max(max_trials(self.plan) + self._added, self.statuses.over + len(self.running))

    def take(self, event: Event, commands: Sequence[Command], state: RunState | None = None) -> None:
        """Follows one record; without the kernel's state after it, the records must begin with the journal's first."""
        plan = plan_after(self.plan, event)
        self._added = self._added + isinstance(event, UserTrialAdded) if state is None else state.user_trial_count
        if plan is not self.plan:
            judged_again = plan.constraints != self.plan.constraints
            self.plan, self.last_iteration = plan, last_iteration(plan.stop)
            for trial, (_, failed, _, rank) in tuple(self._last.items()) if judged_again else ():
                self._rank(trial, self._violation(trial, state), rank, failed)
        changes = self.statuses.take(Line(0, e=event, c=tuple(commands)))
        if isinstance(event, Reported):
            self._count(event.trial, event.last)
        for change in changes:
            if change.status == "running":
                self.running.add(change.trial)
            else:
                self.running.discard(change.trial)
            if change.status in ENDED:
                self._count(change.trial, 0)
        if isinstance(event, Reported):
            if state is None and plan.constraints:
                before = self._constrained.get(event.trial, ())
                self._constrained[event.trial] = constrained_after(plan, before, event)
            self._compare(event, self._violation(event.trial, state))
        elif isinstance(event, Failed) and event.kind != "preempted":
            self.failures.append(event)
        for change in changes:
            back = isinstance(change.cause, (Reopen, RetryRequested))
            if change.trial in self._last and (change.status == "failed" or back):
                _, _, violation, rank = self._last[change.trial]
                self._rank(change.trial, violation, rank, change.status == "failed")

    def _violation(self, trial: int, state: RunState | None) -> float:
        """The total violation of a trial, by the kernel's state or by the records so far."""
        constrained = self._constrained.get(trial, ()) if state is None else state.trials[trial].constrained
        return violation_of(self.plan, constrained)

    def _count(self, trial: int, iterations: int) -> None:
        """How far a trial has come that has not ended; 0 for one that has."""
        self._open_iterations += iterations - self._iterations.pop(trial, 0)
        if iterations:
            self._iterations[trial] = iterations

    @property
    def progress(self) -> tuple[int, int]:
        """How much is done and how much there is: iterations where every trial's last is known, else trials.

        A trial that has ended counts whole, wherever it ended.
        """
        over, last = self.statuses.over, self.last_iteration
        if last is None:
            return over, self.total
        return min(over * last + self._open_iterations, self.total * last), self.total * last

    def _compare(self, event: Reported, violation: float) -> None:
        objective = self._objective
        if objective is None or objective.metric not in event.keys:
            return
        value = event.rows[-1][event.keys.index(objective.metric)]
        rank = math.inf if isinstance(value, str) else -objective.sign * float(value)
        self._rank(event.trial, violation, rank, failed=False)
        if math.isfinite(rank) and not violation and (not self.history or rank < -objective.sign * self.history[-1][1]):
            self._remember(event.seconds, -objective.sign * rank)

    def _rank(self, trial: int, violation: float, rank: float, failed: bool) -> None:
        """Infeasible trials rank after feasible ones, and failed ones after these, as in `results.best`."""
        self._last[trial] = place = (math.isinf(rank), failed, violation, rank)
        heapq.heappush(self._ranks, (place, trial))
        if len(self._ranks) > 2 * len(self._last) + _SLACK:
            self._ranks = [(last, trial) for trial, last in self._last.items()]
            heapq.heapify(self._ranks)

    def _remember(self, seconds: float, value: float) -> None:
        if len(self.history) >= _MAX_HISTORY:
            del self.history[1::2]
        self.history.append((seconds, value))

    @property
    def best(self) -> BestTrial | None:
        """By the last report of each trial, as `results.best`; None before the first finite value."""
        while self._ranks and self._last[self._ranks[0][1]] != self._ranks[0][0]:
            heapq.heappop(self._ranks)  # what its trial reported before
        if not self._ranks or self._objective is None or math.isinf(self._ranks[0][0][2]):
            return None
        (_, _, violation, rank), trial = self._ranks[0]
        return BestTrial(trial, -self._objective.sign * rank, violation == 0)

    def counts(self, driven: bool = True) -> dict[TrialStatus, int]:
        """Trials by status; what is 0 and needs no saying is left out.

        Args:
            driven: whether a driver runs; without one no trial runs, and trials in progress wait for a resume.
        """
        counts = self.statuses.counts
        found = {status: counts[status] for status in SHOWN}
        if not driven:
            found["pending"] += found.pop("running")
        always = ("running", "completed")
        return {status: count for status, count in found.items() if count or status in always}

    def left(self, state: RunState, seconds: float) -> float | None:
        """Seconds to go; see `time_left`."""
        return time_left(self.plan.budget, seconds, self.statuses.over, self.total, state.iterations)


def time_left(budget: Budget, seconds: float, ended: int, total: int, iterations: int) -> float | None:
    """Seconds to go: at the pace up to now, or until a budget is used up; None before there is a pace.

    Args:
        seconds: since the run began.
        ended: trials that have ended, of `total`.
        iterations: reports of all trials.
    """
    estimates = [
        seconds / ended * (total - ended) if ended else math.inf,
        math.inf if budget.seconds is None else budget.seconds - seconds,
        seconds / iterations * (budget.iterations - iterations)
        if budget.iterations is not None and iterations
        else math.inf,
    ]
    least = max(0.0, min(estimates))
    return least if math.isfinite(least) else None
