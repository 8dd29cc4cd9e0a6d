"""The story of one trial as text: its events, the decisions about it, and their reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Self

from tunedsl.base import markup
from tunedsl.base.printable import printable
from tunedsl.base.references import format_keywords
from tunedsl.base.types import TrialStatus
from tunedsl.journal import Journal, Line, TrialStatuses
from tunedsl.kernel import (
    Amended,
    Command,
    Continue,
    CopyCheckpoint,
    Ended,
    Event,
    Failed,
    GiveUp,
    Launch,
    Pause,
    Proposed,
    Reopen,
    Reported,
    RetryRequested,
    Saved,
    SetResources,
    Started,
    Stop,
    UserTrialAdded,
    plan_after,
)
from tunedsl.plan import Plan
from tunedsl.results.feasibility import violated
from tunedsl.results.frames import config_of
from tunedsl.results.reasons import reason_text
from tunedsl.results.trial_history import TrialHistory
from tunedsl.schedulers.contract import Reason
from tunedsl.stopping import describe_condition


class Story(str):
    """A trial's story: text, which a notebook shows as a table.

    Attributes:
        heading: the trial's name and configuration.
        events: seconds and text of each event.
        outcome: the trial's current status.
    """

    heading: str
    events: tuple[tuple[float, str], ...]
    outcome: str

    def __new__(cls, heading: str, events: Sequence[tuple[float, str]], outcome: str) -> Self:
        lines = (f"{seconds:10.2f} s  {text}" for seconds, text in events)
        made = super().__new__(cls, printable("\n".join([heading, *lines, outcome])))
        made.heading, made.events, made.outcome = heading, tuple(events), outcome
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Story, (self.heading, self.events, self.outcome)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        rows = [(f"{seconds:.2f} s", text) for seconds, text in self.events]
        table = markup.table(rows, ("at", "what happened"))
        return markup.paragraph(self.heading) + table + markup.paragraph(self.outcome)


def tell_stories(journal: Journal, records: Iterable[TrialHistory], lines: int) -> list[Story]:
    """The stories of trials from the first lines of a journal, one line per event with its time in seconds."""
    tellers = [_Teller(journal.first_plan, record) for record in records]
    told: list[list[tuple[float, str]]] = [[] for _ in tellers]
    for line in islice(journal.records(), lines):
        for teller, events in zip(tellers, told, strict=True):
            events.extend(teller.tell(line))
    return [Story(teller.title(), events, teller.end()) for teller, events in zip(tellers, told, strict=True)]


class _Teller:
    """Follows one trial through the records."""

    def __init__(self, plan: Plan, record: TrialHistory) -> None:
        self._plan, self._record = plan, record
        self._iteration = 0
        self._statuses = TrialStatuses()
        self._compared: dict[tuple[Any, Any], list[float]] = {}

    def title(self) -> str:
        return f"trial {self._record.name} (number {self._record.number}): {format_keywords(config_of(self._record))}"

    def tell(self, line: Line) -> Iterator[tuple[float, str]]:
        """The trial's events in a record, with their seconds."""
        if line.e is None:
            return
        if isinstance(line.e, Amended):
            self._plan = plan_after(self._plan, line.e)
            if self._record.number in self._statuses.open:
                asked = f", {line.e.text}" if line.e.text else ""
                what = f"the plan was amended: {', '.join(line.e.changed)}{asked}"
                yield line.e.seconds, what if line.e.changed else "the fork continues without missing checkpoints"
        commands = [command for command in line.c if getattr(command, "trial", None) == self._record.number]
        own = self._record.number in (getattr(line.e, "trial", None), *getattr(line.e, "trials", ()))
        changes = [change.status for change in self._statuses.take(line) if change.trial == self._record.number]
        told = line.e.text if isinstance(line.e, Proposed) and self._record.number in line.e.about else ""
        texts = [self._event(line.e, changes) if own else told, *map(self._command, commands)]
        for text in filter(None, texts):
            yield line.e.seconds, text
        for each in line.c:
            if isinstance(each, (Continue, Stop)) and each.reason is not None and each.reason.rule == "asha":
                self._compare(each.reason.facts)

    def _compare(self, facts: Mapping[str, Any]) -> None:
        """Keep the value that a trial had at a milestone."""
        value = facts.get("value")
        if isinstance(value, (int, float)):
            self._compared.setdefault((facts.get("bracket"), facts.get("milestone")), []).append(value)

    def _why(self, note: Reason) -> str:
        """The reason of a decision, with the trial's rank where all that it was compared with are known."""
        facts, rank = note.facts, 0
        value, others = facts.get("value"), self._compared.get((facts.get("bracket"), facts.get("milestone")), [])
        if isinstance(value, (int, float)) and len(others) == facts.get("competitors"):
            rank = 1 + sum(other > value for other in others)
        return reason_text(note, self._plan, rank)

    def _event(self, event: Event, changes: Sequence[TrialStatus]) -> str:
        match event:
            case UserTrialAdded(text=asked):
                return f"added by a user{f', {asked}' if asked else ''}"
            case Proposed():
                others = f" after {event.rejected:,} that broke the constraints" if event.rejected else ""
                ending = ", and not run: the experiment was ending" if "cancelled" in changes else ""
                why = f": {event.text}" if event.text else ""
                return f"proposed{others}{ending}{why}"
            case Started(_, _, attempt, worker):
                return f"started{f' on {worker}' if worker else ''}{f', attempt {attempt + 1}' if attempt else ''}"
            case Reported():
                self._iteration = event.last
                saved = f"saved a checkpoint at iteration {event.last}: {event.saved}" if event.saved else ""
                return "; ".join(filter(None, (saved, self._ending(event))))
            case Saved(_, _, iteration, folder):
                return f"saved a checkpoint at iteration {iteration}: {folder}"
            case Ended(_, _, iteration):
                return f"ended by itself after iteration {iteration}"
            case Failed(_, _, "preempted", message):
                saved = f", with a checkpoint in {event.saved}" if event.saved else ""
                return f"preempted after iteration {self._iteration}: {message}{saved}"
            case Failed(_, _, kind, message):
                given_up = f"; given up, the plan has retry({kind}={getattr(self._plan.retry, kind)})"
                over = given_up if "failed" in changes else ""
                return f"failed after iteration {self._iteration} ({kind}): {message}{over}"
            case RetryRequested():
                return "a user asked for failed trials to be run again"
        return ""

    def _command(self, command: Command) -> str:
        match command:
            case Launch(_, attempt, _, checkpoint, note, wait) if attempt:
                start = f"the checkpoint of iteration {checkpoint}" if checkpoint else "the beginning"
                after = f", after {wait:g} seconds" if wait else ""
                return f"launched again from {start}{after}{f': {self._why(note)}' if note else ''}"
            case GiveUp(_, Reason(_, facts)):
                times = f"died {facts['losses']} times in a row after iteration {facts['iteration']}"
                return f"given up: its worker {times}, and the plan has retry(in_a_row={facts['in_a_row']})"
            case Reopen(_, status):
                return f"continues although it was {status}: the amended plan would not have ended it"
            case Pause(_, _, note):
                return f"paused after iteration {self._iteration}{f': {self._why(note)}' if note else ''}"
            case CopyCheckpoint(_, donor, config):
                return f"took over the checkpoint of trial {donor}, with {format_keywords(config)}"
            case SetResources(_, resources):
                return f"received {format_keywords(resources)}"
            case Continue(_, iteration, Reason() as note):
                return f"continued after iteration {iteration}: {self._why(note)}"
            case Stop(reason=note):
                return f"stopped after iteration {self._iteration}: {self._why(note)}"
        return ""

    def _ending(self, event: Reported) -> str:
        if event.ends == "returned":
            return f"returned after iteration {event.last}"
        rule = "" if self._plan.stop is None else f": {describe_condition(self._plan.stop)}"
        return f"ended by its stop rule after iteration {event.last}{rule}" if event.ends else ""

    def end(self) -> str:
        """The trial's current status."""
        metrics = format_keywords(self._record.last)
        constraints = self._plan.constraints if self._record.iterations else ()
        why = violated(self._record, constraints)
        feasible = f"; infeasible: {why}" if why else "; feasible" if constraints else ""
        return f"{self._record.status}{f' with {metrics}' if metrics else ''}{feasible}"


def stop_reason(record: TrialHistory, plan: Plan, finish: str = "") -> str:
    """The reason why a trial ended; empty if its code returned, and before it has ended.

    Args:
        finish: why the experiment is over, or empty.
    """
    match record.cause:
        case Reported(ends="rule"):
            return "" if plan.stop is None else describe_condition(plan.stop)
        case Failed(_, _, kind, message) if record.status == "failed":
            return f"{kind}: {message}".partition("\n")[0]
        case Proposed() if record.status == "cancelled":
            return finish or "the experiment was ending"
        case Stop(reason=note):
            return f"{reason_text(note, plan)}{_failing(record)}"
    return ""


def _failing(record: TrialHistory) -> str:
    """What the last attempt failed with, of a trial that was to be tried again when it was ended."""
    if not record.failures or (record.spans and record.spans[-1].outcome != "failed"):
        return ""
    last = record.failures[-1]
    return f"; its last attempt failed, {last.kind}: {last.message}".partition("\n")[0]
