"""The searcher's desk in the driver: asks for proposals, tells what became of them.

On resume the same `follow` is fed from the journal: the searcher is rebuilt by its own asks and
tells, and where it now answers otherwise, the record wins.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tunedsl.base.codec import decode
from tunedsl.base.errors import ArgumentError
from tunedsl.base.keys import key
from tunedsl.base.names import is_portable
from tunedsl.base.types import Json
from tunedsl.driver.error_attribution import attribute_to_searcher, attribute_to_user_function
from tunedsl.kernel import (
    Command,
    Event,
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
from tunedsl.kernel.events import FIRST_USER_TRIAL, report_metrics
from tunedsl.plan import Plan
from tunedsl.searchers.contract import Exhausted as NoMore
from tunedsl.searchers.contract import Observation, Proposal, check_answer, searcher_of


class SearcherSession:
    """Holds the searcher's state.

    Attributes:
        drifted: trials for which the rebuilt searcher proposes otherwise than the journal says.
    """

    def __init__(self, plan: Plan, resolve: Callable[[str], Any]) -> None:
        self.drifted: list[int] = []
        self._plan = plan
        self._resolve = resolve
        self._searcher = searcher_of(plan.searcher)
        self._key = key(plan.seed, "search")
        self._naming = plan.naming.resolve() if plan.naming is not None else None
        self._names: set[str] = set()
        self._asked: deque[int] = deque()
        self._answered: set[int] = set()
        self._best: dict[int, tuple[float, ...]] = {}
        with attribute_to_searcher(plan.searcher, "began", None):
            self._state = self._searcher.init(plan.searcher, plan.space, plan.objectives, self._key)

    def proposals(self, seconds: float) -> Iterator[Event]:
        """What the searcher answers to what was asked; it may leave some for later."""
        spec = self._plan.searcher
        while self._asked:
            if self._searcher.batch is not None:
                numbers = tuple(self._asked)
                with attribute_to_searcher(spec, "was asked", numbers[0]):
                    self._state, proposals = self._searcher.batch(spec, self._state, numbers, self._key)
                for number, proposal in zip(numbers, proposals, strict=False):
                    yield self._proposed(seconds, number, proposal)
                if len(proposals) < len(numbers):
                    self._asked.clear()
                    yield SearchExhausted(seconds)
                return
            number = self._asked[0]
            with attribute_to_searcher(spec, "was asked", number):
                state, answer = check_answer(self._searcher.ask(spec, self._state, number, self._key))
            if isinstance(answer, Proposal):
                self._state = state
                yield self._proposed(seconds, number, answer)
            elif isinstance(answer, NoMore):
                self._asked.clear()
                yield SearchExhausted(seconds)
            else:
                self._asked.clear()
                yield ProposalPostponed(seconds)

    def amend(self, plan: Plan) -> None:
        """From here on trials are named as another plan says; its searcher is the same."""
        self._plan = plan
        self._naming = plan.naming.resolve() if plan.naming is not None else None

    def user_trial(self, seconds: float, number: int, config: dict[str, Json], request: str) -> UserTrialAdded:
        """The event by which a user's configuration becomes a trial.

        Raises:
            ArgumentError: when the name that the user's function gives to it is none.
        """
        name = f"added-{number - FIRST_USER_TRIAL:05d}" if self._naming is None else self._name(number, config)
        return UserTrialAdded(seconds, number, config, name, request=request)

    def follow(self, event: Event, commands: Sequence[Command], state: RunState) -> None:
        """Follows one record of the journal."""
        if isinstance(event, UserTrialAdded):
            self._names.add(event.name)
            if self._searcher.force is not None:
                number = _searcher_number(event.trial)
                with attribute_to_searcher(self._plan.searcher, "was given the record", event.trial):
                    self._state = self._searcher.force(
                        self._plan.searcher, self._state, number, event.config, self._key
                    )
        elif isinstance(event, Proposed):
            self._asked.remove(event.trial)
            self._names.add(event.name)
            if event.trial in self._answered:
                self._answered.discard(event.trial)
            elif self._searcher.batch is None:
                self._rebuild(event)
        elif isinstance(event, (SearchExhausted, ProposalPostponed)):
            self._asked.clear()
        elif isinstance(event, RetryRequested):
            for number in event.trials:
                self._take_back(state.trials[number])
        elif self._searcher.observes_results:
            if self._searcher.scope == "best" and isinstance(event, Reported):
                self._update_best(event)
            self._observe(event, state)
        for command in commands:
            if isinstance(command, Propose):
                self._asked.extend(range(command.first, command.first + command.count))
            elif isinstance(command, Stop) and self._searcher.observes_results:
                self._tell(state.trials[command.trial], "stopped")

    def _rebuild(self, event: Proposed) -> None:
        spec = self._plan.searcher
        with attribute_to_searcher(spec, "was asked", event.trial):
            self._state, answer = check_answer(self._searcher.ask(spec, self._state, event.trial, self._key))
        if not isinstance(answer, Proposal) or answer.config != event.config:
            self.drifted.append(event.trial)
            if self._searcher.force is not None:
                with attribute_to_searcher(spec, "was given the record", event.trial):
                    self._state = self._searcher.force(spec, self._state, event.trial, event.config, self._key)

    def _take_back(self, trial: TrialState) -> None:
        """A trial that the searcher was told had failed is run again."""
        if self._searcher.observes_results and self._searcher.force is not None:
            with attribute_to_searcher(self._plan.searcher, "was given the record", trial.number):
                self._state = self._searcher.force(
                    self._plan.searcher, self._state, _searcher_number(trial.number), trial.config, self._key
                )

    def _observe(self, event: Event, state: RunState) -> None:
        number = getattr(event, "trial", None)
        if number is None or number not in state.trials:
            return
        trial = state.trials[number]
        if trial.phase == "ERRORED":
            self._tell(trial, "failed")
        elif trial.phase == "TERMINATED" and number not in state.live and _is_own_end(event):
            self._tell(trial, "done")
        elif isinstance(event, Reported) and event.waits and self._searcher.supports.intermediate:
            self._tell(trial, "reported")

    def _update_best(self, event: Reported) -> None:
        """Keeps the best values of a trial's reports, for searchers that are told of those."""
        best = self._best.get(event.trial, (math.nan,) * len(self._plan.objectives))
        for row in range(len(event.rows)):
            metrics = report_metrics(event, row)
            found = (float(metrics.get(goal.metric, math.nan)) for goal in self._plan.objectives)
            pairs = zip(self._plan.objectives, best, found, strict=True)
            # A comparison with NaN is false, so the first finite value stands.
            best = tuple(old if goal.sign * old >= goal.sign * new or new != new else new for goal, old, new in pairs)
        self._best[event.trial] = best

    def _tell(self, trial: TrialState, status: Any) -> None:
        metrics = trial.metrics()
        values = tuple(float(metrics.get(objective.metric, float("nan"))) for objective in self._plan.objectives)
        values = self._best.get(trial.number, values)
        if status != "reported":
            self._best.pop(trial.number, None)
        if trial.number >= FIRST_USER_TRIAL and self._searcher.force is None:
            return  # it knows nothing of that trial
        observation = Observation(status, trial.iteration, values)
        with attribute_to_searcher(self._plan.searcher, "was told the result", trial.number):
            self._state = self._searcher.tell(
                self._plan.searcher, self._state, _searcher_number(trial.number), observation
            )

    def _proposed(self, seconds: float, number: int, proposal: Proposal) -> Proposed:
        self._answered.add(number)
        name = self._name(number, proposal.config)
        return Proposed(seconds, number, proposal.config, name, proposal.rejected)

    def _name(self, number: int, config: Json) -> str:
        if self._naming is None:
            return f"{number:05d}"
        with attribute_to_user_function("name_trials", number):
            name = self._naming(number, decode(config, self._resolve))
        if not isinstance(name, str) or not is_portable(name):
            raise ArgumentError("E003", "name_trials", repr(name), "a string that is a portable folder name")
        if name in self._names:
            raise ArgumentError(
                "E003", "name_trials", f"{name!r} for a second trial", "a name of its own for each trial"
            )
        return name


def _searcher_number(number: int) -> int:
    """A trial's number for the searcher: those of others are below 0, far from what combinators put there."""
    return number if number < FIRST_USER_TRIAL else -number


def _is_own_end(event: Event) -> bool:
    return bool(event.ends) if isinstance(event, Reported) else True
