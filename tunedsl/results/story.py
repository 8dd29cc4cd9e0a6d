"""One trial's story in words: what happened to it, what was decided about it, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from tunedsl.base.references import format_keywords
from tunedsl.journal import Journal, Line
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
    Reported,
    Saved,
    SetResources,
    Started,
    Stop,
    UserTrialAdded,
    plan_after,
)
from tunedsl.plan import Plan
from tunedsl.results.displays import Story
from tunedsl.results.frames import config_of
from tunedsl.results.trial_history import TrialHistory
from tunedsl.schedulers.contract import OBJECTIVE_FACTS, Reason
from tunedsl.stopping import describe_condition

_NEGATED = {"inf": "-inf", "-inf": "inf"}


def tell_story(journal: Journal, record: TrialHistory, lines: int) -> Story:
    """All that the journal's first lines say of one trial, a line for each thing that happened, with its second."""
    teller = _Teller(journal.first_plan, record)
    told = (item for line in islice(journal.records(), lines) for item in teller.tell(line))
    return Story(teller.title(), list(told), teller.end())


class _Teller:
    """Follows one trial through the records."""

    def __init__(self, plan: Plan, record: TrialHistory) -> None:
        self._plan, self._record = plan, record
        self._iteration = 0
        self._under_way = False
        self._turned = bool(plan.objectives) and plan.objectives[0].mode == "min"

    def title(self) -> str:
        return f"trial {self._record.name} (number {self._record.number}): {format_keywords(config_of(self._record))}"

    def tell(self, line: Line) -> Iterator[tuple[float, str]]:
        """What a record says of the trial, with its second."""
        if line.e is None:
            return
        if isinstance(line.e, Amended):
            self._plan = plan_after(self._plan, line.e)
            if self._under_way:
                yield line.e.seconds, f"the plan was amended: {', '.join(line.e.changed)}"
        commands = [command for command in line.c if getattr(command, "trial", None) == self._record.number]
        own = getattr(line.e, "trial", None) == self._record.number
        texts = [self._event(line.e, commands) if own else "", *map(self._command, commands)]
        for text in filter(None, texts):
            yield line.e.seconds, text
        if own:
            ended = isinstance(line.e, Ended) or (isinstance(line.e, Reported) and bool(line.e.ends))
            again = any(isinstance(command, Launch) for command in commands)
            self._under_way = not ended and (again or not isinstance(line.e, Failed))
        if any(isinstance(command, Stop) for command in commands):
            self._under_way = False

    def _event(self, event: Event, commands: Sequence[Command]) -> str:
        match event:
            case UserTrialAdded():
                return "added by a user"
            case Proposed():
                others = f" after {event.rejected:,} that broke the constraints" if event.rejected else ""
                return f"proposed{others}{'' if commands else ', and not run: the experiment was ending'}"
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
            case Failed(_, _, kind, message):
                over = "" if commands else f"; given up, the plan has retry({kind}={getattr(self._plan.retry, kind)})"
                return f"failed after iteration {self._iteration} ({kind}): {message}{over}"
        return ""

    def _command(self, command: Command) -> str:
        match command:
            case Launch(_, attempt, _, checkpoint, note, wait) if attempt:
                start = f"the checkpoint of iteration {checkpoint}" if checkpoint else "the beginning"
                after = f", after {wait:g} seconds" if wait else ""
                return f"launched again from {start}{after}{f': {self._note(note)}' if note else ''}"
            case GiveUp(_, Reason(_, facts)):
                times = f"died {facts['losses']} times in a row after iteration {facts['iteration']}"
                return f"given up: its worker {times}, and the plan has retry(in_a_row={facts['in_a_row']})"
            case Pause(_, _, note):
                return f"paused after iteration {self._iteration}{f': {self._note(note)}' if note else ''}"
            case CopyCheckpoint(_, donor, config):
                return f"took over the checkpoint of trial {donor}, with {format_keywords(config)}"
            case SetResources(_, resources):
                return f"was given {format_keywords(resources)}"
            case Continue(_, iteration, Reason() as note):
                return f"went on after iteration {iteration}: {self._note(note)}"
            case Stop(reason=note):
                return f"stopped after iteration {self._iteration}: {self._note(note)}"
        return ""

    def _ending(self, event: Reported) -> str:
        if event.ends == "returned":
            return f"returned after iteration {event.last}"
        rule = "" if self._plan.stop is None else f": {describe_condition(self._plan.stop)}"
        return f"ended by its stop rule after iteration {event.last}{rule}" if event.ends else ""

    def _note(self, note: Reason) -> str:
        """A decision's reason, with the facts that it compared."""
        if note.rule == "closing":
            return str(note.facts["reason"])
        if note.rule == "asked":
            return f"somebody asked for it: {note.facts['text']}".removesuffix(": ")
        return f"{note.rule}: {', '.join(f'{name} {self._fact(name, fact)}' for name, fact in note.facts.items())}"

    def _fact(self, name: str, fact: Any) -> str:
        """A fact; scores, which are larger where they are better, as values of the metric."""
        if self._turned and name.rpartition(" ")[2] in OBJECTIVE_FACTS:
            fact = _NEGATED.get(fact, fact) if isinstance(fact, str) else 0 - fact
        return f"{fact:.9g}" if isinstance(fact, float) else str(fact)

    def end(self) -> str:
        """How things stand with it."""
        metrics = format_keywords(self._record.last)
        return f"{self._record.phase}{f' with {metrics}' if metrics else ''}"
