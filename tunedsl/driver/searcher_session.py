"""The driver's session with the searcher: asks it for proposals and tells it the results.

On resume, `follow` replays the journal: the searcher is asked and told again. If it now proposes another configuration,
the journal takes precedence. When to ask is the kernel's decision.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal

from tunedsl.base.codec import decode
from tunedsl.base.diagnostics import shorten
from tunedsl.base.errors import ArgumentError, SpaceError, wrong_value
from tunedsl.base.keys import key
from tunedsl.base.names import is_portable
from tunedsl.base.objective import total_violation
from tunedsl.base.types import FailureKind, Json
from tunedsl.driver.error_attribution import attribute_to_searcher, attribute_to_user_function
from tunedsl.driver.reopening import SpaceFit
from tunedsl.kernel import (
    Command,
    Event,
    Failed,
    ProposalPostponed,
    Propose,
    Proposed,
    Reported,
    RetryRequested,
    RunState,
    SearchExhausted,
    Stop,
    TrialState,
    UserTrialAdded,
)
from tunedsl.kernel.amending import with_defaults
from tunedsl.kernel.events import FIRST_USER_TRIAL, report_metrics
from tunedsl.plan import Plan
from tunedsl.searchers.contract import (
    Exhausted,
    Observation,
    Proposal,
    ProposalReason,
    check_answer,
    searcher_of,
    visible,
)
from tunedsl.stopping.constraints import compile_constraints


class SearcherSession:
    """Holds the state of a plan's searcher.

    Args:
        plan: the plan.
        resolve: returns the live object for a reference in a configuration.

    Attributes:
        drifted: trials for which the rebuilt searcher proposes another configuration than the journal has.
        recalled: how many trials of an earlier searcher it has received.
        left_out: trials of an earlier searcher that it does not receive, with the reasons.
        defaults: the values that earlier trials have for new parameters, by dotted name.
    """

    def __init__(self, plan: Plan, resolve: Callable[[str], Any]) -> None:
        self.drifted: list[int] = []
        self.recalled = 0
        self.left_out: dict[int, str] = {}
        self.defaults: dict[str, Json] = {}
        self._fit = SpaceFit(plan.space, resolve)
        self._plan = plan
        self._resolve = resolve
        self._searcher = searcher_of(plan.searcher)
        self._key = key(plan.seed, "search")
        self._naming = plan.naming.resolve() if plan.naming is not None else None
        self._names: set[str] = set()
        self._requested: deque[int] = deque()
        self._proposed_live: set[int] = set()
        self._best: dict[int, tuple[float, ...]] = {}
        self._constraints = compile_constraints(plan.constraints) if plan.constraints else None
        self._constrained: dict[int, tuple[float, ...]] = {}
        with attribute_to_searcher(plan.searcher, "began", None):
            self._state = self._searcher.init(plan.searcher, plan.space, plan.objectives, self._key)

    def proposals(self, seconds: float, limit: int | None = None) -> Iterator[Event]:
        """The searcher's proposals for the open requests; some requests may stay open.

        Args:
            limit: the maximum number of proposals to take; None for all.
        """
        spec = self._plan.searcher
        while self._requested:
            if self._searcher.batch is not None:
                numbers = tuple(islice(self._requested, limit))
                with attribute_to_searcher(spec, "was asked", numbers[0]):
                    self._state, proposals = self._searcher.batch(spec, self._state, numbers, self._key)
                for number, proposal in zip(numbers, proposals, strict=False):
                    yield self._proposed(seconds, number, proposal)
                if len(proposals) < len(numbers):
                    self._requested.clear()
                    yield SearchExhausted(seconds)
                return
            number = self._requested[0]
            with attribute_to_searcher(spec, "was asked", number):
                state, answer = check_answer(self._searcher.ask(spec, self._state, number, self._key))
            if isinstance(answer, Proposal):
                self._state = state
                yield self._proposed(seconds, number, answer)
            elif isinstance(answer, Exhausted):
                self._requested.clear()
                yield SearchExhausted(seconds)
            else:
                self._requested.clear()
                yield ProposalPostponed(seconds)

    def amend(self, plan: Plan) -> None:
        """Uses an amended plan with the same space and searcher."""
        self._plan = plan
        self._naming = plan.naming.resolve() if plan.naming is not None else None

    def user_trial(self, seconds: float, number: int, config: dict[str, Json], request: str) -> UserTrialAdded:
        """The event that adds a user's configuration as a trial.

        Raises:
            ArgumentError: when the user's naming function returns an invalid name.
        """
        name = f"added-{number - FIRST_USER_TRIAL:05d}" if self._naming is None else self._name(number, config)
        return UserTrialAdded(seconds, number, config, name, request=request)

    def follow(self, event: Event, commands: Sequence[Command], state: RunState, recalled: bool = False) -> None:
        """Updates the searcher by one record of the journal.

        Args:
            event, commands, state: the record, and the state after it.
            recalled: whether another searcher proposed the trials of this record.
        """
        if recalled and isinstance(event, Proposed):
            self._recall(event)
        elif isinstance(event, UserTrialAdded):
            self._names.add(event.name)
            if self._searcher.force is not None:
                number = _searcher_number(event.trial)
                with attribute_to_searcher(self._plan.searcher, "received the journal's configuration", event.trial):
                    self._state = self._searcher.force(
                        self._plan.searcher, self._state, number, event.config, self._key
                    )
        elif isinstance(event, Proposed):
            self._requested.remove(event.trial)
            self._names.add(event.name)
            if event.trial in self._proposed_live:
                self._proposed_live.discard(event.trial)
            elif self._searcher.batch is None:
                self._rebuild(event)
        elif isinstance(event, (SearchExhausted, ProposalPostponed)):
            self._requested.clear()
        elif isinstance(event, RetryRequested):
            for number in event.trials:
                self._withdraw_failure(state.trials[number])
        elif self._searcher.observes_results:
            if isinstance(event, Reported) and (self._searcher.scope == "best" or self._constraints is not None):
                self._follow_reports(event)
            self._observe(event, state)
        for command in commands:
            if isinstance(command, Propose):
                self._requested.extend(range(command.first, command.first + command.count))
            elif isinstance(command, Stop) and self._searcher.observes_results:
                self._tell(state.trials[command.trial], "stopped")

    def _recall(self, event: Proposed) -> None:
        """Pass the configuration of an earlier trial to the searcher, if the present space contains it."""
        self._names.add(event.name)
        if not isinstance(event, UserTrialAdded):
            self._requested.remove(event.trial)
        if self._searcher.force is None:
            if self._searcher.learns:
                self.left_out[event.trial] = "The searcher cannot learn from trials that it did not propose."
            return
        try:
            config = self._fit.fitted(with_defaults(event.config, self.defaults))
        except SpaceError as error:
            self.left_out[event.trial] = str(error)
            return
        self.recalled += 1
        with attribute_to_searcher(self._plan.searcher, "received the journal's configuration", event.trial):
            self._state = self._searcher.force(
                self._plan.searcher, self._state, _searcher_number(event.trial), config, self._key
            )

    def _rebuild(self, event: Proposed) -> None:
        spec = self._plan.searcher
        with attribute_to_searcher(spec, "was asked", event.trial):
            self._state, answer = check_answer(self._searcher.ask(spec, self._state, event.trial, self._key))
        if not isinstance(answer, Proposal) or answer.config != event.config:
            self.drifted.append(event.trial)
            if self._searcher.force is not None:
                with attribute_to_searcher(spec, "received the journal's configuration", event.trial):
                    self._state = self._searcher.force(spec, self._state, event.trial, event.config, self._key)

    def _withdraw_failure(self, trial: TrialState) -> None:
        """Withdraws a failure that was told to the searcher: the trial runs again."""
        if self._searcher.observes_results and self._searcher.force is not None and trial.number not in self.left_out:
            with attribute_to_searcher(self._plan.searcher, "received the journal's configuration", trial.number):
                self._state = self._searcher.force(
                    self._plan.searcher, self._state, _searcher_number(trial.number), trial.config, self._key
                )

    def _observe(self, event: Event, state: RunState) -> None:
        number = getattr(event, "trial", None)
        if number is None or number not in state.trials:
            return
        trial = state.trials[number]
        if trial.phase == "ERRORED":
            self._tell(trial, "failed", event.kind if isinstance(event, Failed) else "")
        elif trial.phase == "TERMINATED" and number not in state.live and _is_completion(event):
            self._tell(trial, "done")
        elif isinstance(event, Reported) and event.waits and self._searcher.supports.intermediate:
            self._tell(trial, "reported")

    def _follow_reports(self, event: Reported) -> None:
        """Keeps the newest values of constrained metrics, and for scope `best` the best values of feasible reports."""
        best = self._best.get(event.trial, (math.nan,) * len(self._plan.objectives))
        measured = self._constrained.get(event.trial, ())
        for row, cells in enumerate(event.rows):
            if self._constraints is not None:
                time = event.times[row] if event.times else math.nan
                measured = self._constraints.newest(measured, event.keys, cells, event.first + row, time)
            if self._searcher.scope != "best" or total_violation(self._violations(measured)):
                continue
            metrics = report_metrics(event, row)
            values = (float(metrics.get(goal.metric, math.nan)) for goal in self._plan.objectives)
            pairs = zip(self._plan.objectives, best, values, strict=True)
            # A comparison with NaN is false, so the first finite value replaces NaN.
            best = tuple(old if goal.sign * old >= goal.sign * new or new != new else new for goal, old, new in pairs)
        if self._searcher.scope == "best":
            self._best[event.trial] = best
        if self._constraints is not None:
            self._constrained[event.trial] = measured

    def _violations(self, measured: tuple[float, ...]) -> tuple[float, ...]:
        return () if self._constraints is None else self._constraints.violations(measured)

    def _tell(self, trial: TrialState, status: Any, failure: FailureKind | Literal[""] = "") -> None:
        if trial.number in self.left_out:
            return
        metrics = trial.metrics()
        values = tuple(float(metrics.get(objective.metric, float("nan"))) for objective in self._plan.objectives)
        values = self._best.get(trial.number, values)
        if status != "reported":
            self._best.pop(trial.number, None)
        if trial.number >= FIRST_USER_TRIAL and self._searcher.force is None:
            return  # the searcher does not know this trial
        violations = self._violations(self._constrained.get(trial.number, ()))
        observation = visible(self._searcher, Observation(status, trial.iteration, values, violations, failure))
        with attribute_to_searcher(self._plan.searcher, "was told the result", trial.number):
            self._state = self._searcher.tell(
                self._plan.searcher, self._state, _searcher_number(trial.number), observation
            )

    def _proposed(self, seconds: float, number: int, proposal: Proposal) -> Proposed:
        self._proposed_live.add(number)
        name = self._name(number, proposal.config)
        why = proposal.reason or ProposalReason("")
        return Proposed(seconds, number, proposal.config, name, proposal.rejected, "", why.text, why.trials)

    def _name(self, number: int, config: Json) -> str:
        if self._naming is None:
            return f"{number:05d}"
        with attribute_to_user_function("name_trials", number):
            name = self._naming(number, decode(config, self._resolve))
        if not isinstance(name, str) or not is_portable(name):
            raise wrong_value("A name from name_trials", name, "a portable folder name", subject="name_trials")
        if name in self._names:
            message = f"name_trials returned {shorten(repr(name))}, which another trial has already."
            raise ArgumentError("E003", "name_trials", message, "include the trial's number in the name")
        return name


def _searcher_number(number: int) -> int:
    """A trial's number for the searcher: negative for users' trials, out of the range that combinators use."""
    return number if number < FIRST_USER_TRIAL else -number


def _is_completion(event: Event) -> bool:
    return bool(event.ends) if isinstance(event, Reported) else True
