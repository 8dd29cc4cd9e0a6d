"""One trial's story in words: what happened to it, what was decided about it, and why."""

from __future__ import annotations

from collections.abc import Iterator

from tunedsl.journal import Journal, Line
from tunedsl.kernel import Command, Continue, Ended, Failed, Launch, Proposed, Reported, Saved, Started, Stop
from tunedsl.plan import Plan
from tunedsl.results.reading import Record
from tunedsl.schedule.contract import Note
from tunedsl.stop import met_text


def story(journal: Journal, record: Record) -> str:
    """All that the journal says of one trial, a line for each thing that happened, with its second."""
    teller = _Teller(journal.plan, record)
    lines = [f"{seconds:10.2f} s  {text}" for line in journal.records() for seconds, text in teller.tell(line)]
    return "\n".join([teller.title(), *lines, teller.end()])


class _Teller:
    """Follows one trial through the records; reports are told in ranges."""

    def __init__(self, plan: Plan, record: Record) -> None:
        self._plan, self._record = plan, record
        self._told = self._iteration = 0
        self._decided = False

    def title(self) -> str:
        config = ", ".join(f"{name}={value!r}" for name, value in self._record.config.items())
        return f"trial {self._record.name} (number {self._record.number}): {config}"

    def tell(self, line: Line) -> Iterator[tuple[float, str]]:
        """What a record says of the trial."""
        event, number = line.e, self._record.number
        if event is None:
            return
        commands = [command for command in line.c if getattr(command, "trial", None) == number]
        texts = list(self._event(line, commands)) if getattr(event, "trial", None) == number else []
        for command in commands:
            texts += self._command(command)
        for text in texts:
            yield event.seconds, text

    def _event(self, line: Line, commands: list[Command]) -> Iterator[str]:
        event = line.e
        if isinstance(event, Reported):
            self._iteration = event.last
            if event.ends:
                yield from self._reports()
                yield self._ending(event)
            return
        if isinstance(event, Proposed):
            yield "proposed" if commands else "proposed, and not run: the experiment was ending"
            return
        yield from self._reports()
        if isinstance(event, Started):
            again = f", attempt {event.attempt + 1}" if event.attempt else ""
            yield f"started{f' on {event.worker}' if event.worker else ''}{again}"
        elif isinstance(event, Saved):
            yield f"saved a checkpoint at iteration {event.iteration}: {event.folder}"
        elif isinstance(event, Ended):
            yield f"ended by itself after iteration {event.iteration}"
        elif isinstance(event, Failed):
            yield f"failed ({event.kind}): {event.message}"
            if not any(isinstance(command, (Launch, Stop)) for command in commands):
                yield f"given up: the plan has retry({event.kind}={getattr(self._plan.retry, event.kind)})"

    def _command(self, command: Command) -> Iterator[str]:
        if isinstance(command, Launch) and command.attempt:
            where = f"the checkpoint of iteration {command.checkpoint}" if command.checkpoint else "the beginning"
            yield f"retried from {where}"
        elif isinstance(command, Continue) and command.note is not None:
            yield from self._reports()
            yield f"went on at iteration {command.iteration}: {self._note(command.note)}"
        elif isinstance(command, Stop):
            yield from self._reports()
            yield f"stopped at iteration {self._iteration}: {self._note(command.note)}"

    def _reports(self) -> Iterator[str]:
        """The reports that were not told yet."""
        first, self._told = self._told + 1, self._iteration
        if first == self._iteration:
            yield f"reported iteration {first}"
        elif first < self._iteration:
            yield f"reported iterations {first} to {self._iteration}"

    def _ending(self, event: Reported) -> str:
        if event.ends == "returned":
            return f"returned after iteration {event.last}"
        rule = "" if self._plan.stop is None else f": {met_text(self._plan.stop)}"
        return f"ended by its stop rule at iteration {event.last}{rule}"

    def _note(self, note: Note) -> str:
        """A decision's reason, with the facts that it compared."""
        if note.rule == "closing":
            return str(note.facts["reason"])
        if note.rule == "asked":
            return f"somebody asked for it: {note.facts['text']}".removesuffix(": ")
        self._decided = True
        return f"{note.rule}: " + ", ".join(
            f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in note.facts.items()
        )

    def end(self) -> str:
        """How things stand with it, and how to read the facts."""
        metrics = ", ".join(f"{name}={value!r}" for name, value in self._record.last.items())
        lines = [f"{self._record.phase}{f' with {metrics}' if metrics else ''}"]
        objective = self._plan.objectives[0] if self._plan.objectives else None
        if self._decided and objective is not None and objective.mode == "min":
            lines.append(f"values of {objective.metric} have their sign turned in decisions, so that larger is better")
        return "\n".join(lines)
