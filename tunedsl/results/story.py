"""The story of one trial as text: its events, the decisions about it, and their reasons."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
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


class StoryIndex:
    """The numbers of the records that each trial's story needs, so that others need not be decoded for it.

    It also keeps the values that ASHA compared, since a trial's rank among them depends on other trials' records.
    """

    def __init__(self) -> None:
        self._of: defaultdict[int, array[int]] = defaultdict(lambda: array("I"))
        self._amendments = array("I")
        self._compared: defaultdict[tuple[Any, Any], tuple[array[int], array[float]]]
        self._compared = defaultdict(lambda: (array("I"), array("d")))

    @staticmethod
    def of(journal: Journal, lines: int) -> StoryIndex:
        """The index of the first lines of a journal."""
        made = StoryIndex()
        for line in islice(journal.records(), lines):
            made.take(line)
        return made

    def take(self, line: Line) -> set[int]:
        """Add the next record; return the trials that it is about."""
        event = line.e
        if event is None:
            return set()
        trials = {number for each in (event, *line.c) if isinstance(number := getattr(each, "trial", None), int)}
        trials.update(getattr(event, "trials", ()), event.about if isinstance(event, Proposed) else ())
        if isinstance(event, Amended):
            self._amendments.append(line.n)
            return trials
        for trial in trials:
            self._of[trial].append(line.n)
        for each in line.c:
            if isinstance(each, (Continue, Stop)) and each.reason is not None and each.reason.rule == "asha":
                value = each.reason.facts.get("value")
                if isinstance(value, (int, float)):
                    numbers, values = self._compared[_comparison(each.reason)]
                    numbers.append(line.n)
                    values.append(value)
        return trials

    def records_of(self, trial: int) -> Sequence[int]:
        """The numbers of the records of a trial's story, ascending."""
        return sorted([*self._of.get(trial, ()), *self._amendments])

    def rank(self, note: Reason, number: int) -> int:
        """The place that the reason in a record gives a trial among those compared with it; 0 if it is not known."""
        value = note.facts.get("value")
        numbers, values = self._compared.get(_comparison(note), ((), ()))
        earlier = values[: bisect_left(numbers, number)]
        if not isinstance(value, (int, float)) or len(earlier) != note.facts.get("competitors"):
            return 0
        return 1 + sum(other > value for other in earlier)


def _comparison(note: Reason) -> tuple[Any, Any]:
    return note.facts.get("bracket"), note.facts.get("milestone")


def tell_stories(journal: Journal, records: Iterable[TrialHistory], index: StoryIndex) -> list[Story]:
    """The stories of trials as far as a journal's index goes, one line per event with its time in seconds."""
    tellers = [_Teller(journal.first_plan, record, index) for record in records]
    needed: defaultdict[int, list[_Teller]] = defaultdict(list)
    for teller in tellers:
        for number in index.records_of(teller.record.number):
            needed[number].append(teller)
    for line in journal.picked(sorted(needed)):
        for teller in needed[line.n]:
            teller.events.extend(teller.tell(line))
    return [Story(teller.title(), teller.events, teller.end()) for teller in tellers]


class _Teller:
    """Follows one trial through the records."""

    def __init__(self, plan: Plan, record: TrialHistory, index: StoryIndex) -> None:
        self.record = record
        self.events: list[tuple[float, str]] = []
        self._plan, self._index = plan, index
        self._number = self._iteration = 0
        self._statuses = TrialStatuses()

    def title(self) -> str:
        return f"trial {self.record.name} (number {self.record.number}): {format_keywords(config_of(self.record))}"

    def tell(self, line: Line) -> Iterator[tuple[float, str]]:
        """The trial's events in a record, with their seconds."""
        if line.e is None:
            return
        self._number = line.n
        if isinstance(line.e, Amended):
            self._plan = plan_after(self._plan, line.e)
            if self.record.number in self._statuses.open:
                asked = f", {line.e.text}" if line.e.text else ""
                what = f"the plan was amended: {', '.join(line.e.changed)}{asked}"
                yield line.e.seconds, what if line.e.changed else "the fork continues without missing checkpoints"
        commands = [command for command in line.c if getattr(command, "trial", None) == self.record.number]
        own = self.record.number in (getattr(line.e, "trial", None), *getattr(line.e, "trials", ()))
        changes = [change.status for change in self._statuses.take(line) if change.trial == self.record.number]
        told = line.e.text if isinstance(line.e, Proposed) and self.record.number in line.e.about else ""
        texts = [self._event(line.e, changes) if own else told, *map(self._command, commands)]
        for text in filter(None, texts):
            yield line.e.seconds, text

    def _why(self, note: Reason) -> str:
        """The reason of a decision, with the trial's rank where all that it was compared with are known."""
        return reason_text(note, self._plan, self._index.rank(note, self._number))

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
        metrics = format_keywords(self.record.last)
        constraints = self._plan.constraints if self.record.iterations else ()
        why = violated(self.record, constraints)
        feasible = f"; infeasible: {why}" if why else "; feasible" if constraints else ""
        return f"{self.record.status}{f' with {metrics}' if metrics else ''}{feasible}"


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
