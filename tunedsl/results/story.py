"""One trial's story in words: what happened to it, what was decided about it, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunedsl.base.literals import listed
from tunedsl.journal import Journal, Line
from tunedsl.kernel import (
    Adopt,
    Allot,
    Command,
    Continue,
    Ended,
    Event,
    Failed,
    Launch,
    Pause,
    Proposed,
    Reported,
    Saved,
    Started,
    Stop,
)
from tunedsl.plan import Plan
from tunedsl.results.frames import config_of
from tunedsl.results.reading import Record
from tunedsl.schedule.contract import Note
from tunedsl.stop import met_text


def story(journal: Journal, record: Record) -> str:
    """All that the journal says of one trial, a line for each thing that happened, with its second."""
    teller = _Teller(journal.plan, record)
    lines = [f"{seconds:10.2f} s  {text}" for line in journal.records() for seconds, text in teller.tell(line)]
    return "\n".join([teller.title(), *lines, teller.end()])


class _Teller:
    """Follows one trial through the records."""

    def __init__(self, plan: Plan, record: Record) -> None:
        self._plan, self._record = plan, record
        self._iteration = 0
        self._compared = False

    def title(self) -> str:
        return f"trial {self._record.name} (number {self._record.number}): {listed(config_of(self._record))}"

    def tell(self, line: Line) -> Iterator[tuple[float, str]]:
        """What a record says of the trial, with its second."""
        if line.e is None:
            return
        commands = [command for command in line.c if getattr(command, "trial", None) == self._record.number]
        own = getattr(line.e, "trial", None) == self._record.number
        texts = [self._event(line.e, commands) if own else "", *map(self._command, commands)]
        for text in filter(None, texts):
            yield line.e.seconds, text

    def _event(self, event: Event, commands: Sequence[Command]) -> str:
        match event:
            case Proposed():
                return "proposed" if commands else "proposed, and not run: the experiment was ending"
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
            case Launch(_, attempt, _, checkpoint, note) if attempt:
                start = f"the checkpoint of iteration {checkpoint}" if checkpoint else "the beginning"
                return f"launched again from {start}{f': {self._note(note)}' if note else ''}"
            case Pause(_, _, note):
                return f"paused after iteration {self._iteration}{f': {self._note(note)}' if note else ''}"
            case Adopt(_, donor, config):
                return f"took over the checkpoint of trial {donor}, with {listed(config)}"
            case Allot(_, resources):
                return f"was given {listed(resources)}"
            case Continue(_, iteration, Note() as note):
                return f"went on after iteration {iteration}: {self._note(note)}"
            case Stop(note=note):
                return f"stopped after iteration {self._iteration}: {self._note(note)}"
        return ""

    def _ending(self, event: Reported) -> str:
        if event.ends == "returned":
            return f"returned after iteration {event.last}"
        rule = "" if self._plan.stop is None else f": {met_text(self._plan.stop)}"
        return f"ended by its stop rule after iteration {event.last}{rule}" if event.ends else ""

    def _note(self, note: Note) -> str:
        """A decision's reason, with the facts that it compared."""
        if note.rule == "closing":
            return str(note.facts["reason"])
        if note.rule == "asked":
            return f"somebody asked for it: {note.facts['text']}".removesuffix(": ")
        self._compared = True
        facts = (f"{name} {f'{fact:.9g}' if isinstance(fact, float) else fact}" for name, fact in note.facts.items())
        return f"{note.rule}: {', '.join(facts)}"

    def end(self) -> str:
        """How things stand with it, and how to read the facts."""
        metrics = listed(self._record.last)
        state = f"{self._record.phase}{f' with {metrics}' if metrics else ''}"
        objective = self._plan.objectives[0] if self._plan.objectives else None
        if not self._compared or objective is None or objective.mode == "max":
            return state
        return f"{state}\nvalues of {objective.metric} have their sign turned in decisions, so that larger is better"
