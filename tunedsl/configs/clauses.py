"""The clauses of an experiment as entries of a file: how each is written, and the calls that it means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from tunedsl.base.diagnostics import Diagnostic, SourceLocation
from tunedsl.base.errors import ArgumentError
from tunedsl.configs import foreign
from tunedsl.configs.entries import Entry
from tunedsl.configs.expressions import program_functions, read_expression
from tunedsl.configs.references import import_object
from tunedsl.configs.values import ValueReader
from tunedsl.experiment import Experiment


@attrs.frozen
class Clause:
    """How a clause is written.

    Attributes:
        example: a line of a file, for hints.
        reads: `text` is taken unchanged; `value` may be an expression; `expression` is one, or a function's name.
        repeats: whether each item of a list is a call.
        takes_keywords: whether a mapping is the keywords of a call.
        is_data: whether it needs no code, so that `--set` takes it.
    """

    example: str
    reads: Literal["text", "value", "expression", "reference"] = "value"
    repeats: bool = False
    takes_keywords: bool = False
    is_data: bool = True


CLAUSES: Final = {
    "space": Clause("space: {lr: 'loguniform(1e-4, 1e-1)'}", is_data=False),
    "where": Clause('where: ref("low") < ref("high")', "expression", repeats=True, is_data=False),
    "trainable": Clause("trainable: train:train", is_data=False),
    "command": Clause("command: python train.py --lr {lr}", is_data=False),
    "data": Clause("data: {folder: digits}", takes_keywords=True, is_data=False),
    "minimize": Clause("minimize: loss", "text", repeats=True),
    "maximize": Clause("maximize: accuracy", "text", repeats=True),
    "subject_to": Clause("subject_to: metric('latency_ms') <= 20", "expression", repeats=True),
    "searcher": Clause("searcher: tpe", "expression"),
    "scheduler": Clause("scheduler: asha(max_t=81)", "expression"),
    "stop": Clause("stop: {training_iteration: 10}", "expression", repeats=True, takes_keywords=True),
    "until": Clause("until: best() <= 0.05", "expression", repeats=True),
    "budget": Clause("budget: {seconds: 3600}", takes_keywords=True),
    "samples": Clause("samples: 100"),
    "resources": Clause("resources: {cpu: 1, gpu: 1}", "expression", takes_keywords=True),
    "parallel": Clause("parallel: 4"),
    "order": Clause("order: logical", "text"),
    "seed": Clause("seed: 1"),
    "retry": Clause("retry: 3", takes_keywords=True),
    "fail_fast": Clause("fail_fast: true"),
    "timeout": Clause("timeout: {seconds: 60}", takes_keywords=True),
    "isolate": Clause("isolate: process", "text"),
    "checkpoint": Clause("checkpoint: {every: 5, keep: 2}", takes_keywords=True),
    "named": Clause("named: digits", "text"),
    "store": Clause("store: results", "text"),
    "name_trials": Clause("name_trials: train:name", "reference", is_data=False),
    "log_to_file": Clause("log_to_file: true"),
    "sinks": Clause("sinks: [csv, tensorboard]", "expression", repeats=True),
}
"""All clauses of a file, by name."""


def written_at(before: Experiment, after: Experiment, place: SourceLocation | None) -> Experiment:
    """The experiment after a change, whose diagnostics name a place."""
    if place is None:
        return after
    changed = {name: place if before.places.get(name) != found else found for name, found in after.places.items()}
    return Experiment(after.clauses, changed)


@attrs.define
class ExperimentReader:
    """Makes an experiment from the entries of a file; collects what is wrong.

    Attributes:
        folder: the file's folder, where its modules are; None without a file.
        experiment: the experiment so far.
        problems: what is wrong so far.
    """

    folder: Path | None
    experiment: Experiment = attrs.field(factory=Experiment)
    problems: list[Diagnostic] = attrs.field(factory=list)

    def read(self, root: Entry) -> None:
        """Applies all clauses of a file, in their order."""
        if not isinstance(root.content, dict) or not root.content:
            self.problems.append(root.wrong("The description of an experiment", "a mapping of clauses", _EXAMPLE))
            return
        space = root.content.get("space", root).content
        values = ValueReader(self.problems, self.folder, frozenset(space if isinstance(space, dict) else ()))
        for name, entry in root.content.items():
            if name not in CLAUSES:
                hint = foreign.for_key(str(name), entry, {each: clause.example for each, clause in CLAUSES.items()})
                self.problems.append(entry.error("E001", str(name), f"An experiment has no clause {name!r}.", hint))
            elif entry.content is None:
                message = f"The clause {name} has no value."
                self.problems.append(entry.error("E003", name, message, f"write {CLAUSES[name].example}"))
            elif name == "space":
                self._space(entry, values)
            elif name in ("trainable", "command"):
                self._trainable(name, entry, root, values)
            else:
                self._clause(name, entry, values)

    def _space(self, entry: Entry, values: ValueReader) -> None:
        if not isinstance(entry.content, dict):
            self.problems.append(entry.wrong("space", "a mapping of parameters", f"write {CLAUSES['space'].example}"))
            return
        for name, part in entry.content.items():
            self._apply("space", part, partial(_one_param, values, name, part), {})
            places = {subject: place for subject, place in _places(f"space.{name}", part) if place is not None}
            self.experiment = attrs.evolve(self.experiment, places={**self.experiment.places, **places})

    def _trainable(self, name: str, entry: Entry, root: Entry, values: ValueReader) -> None:
        if name == "command" and "trainable" in root.content:
            first = root.content["trainable"].place
            message = f"The trainable is already set{f' ({first})' if first is not None else ''}."
            self.problems.append(entry.error("E004", "command", message, "remove trainable or command"))
            return

        def made() -> tuple[Any, ...]:
            text = entry.content
            if name == "command":
                return (values.command(entry),)
            if isinstance(text, str) and text.lstrip().startswith("command("):
                return (read_expression("trainable", text, program_functions()),)
            return (text if callable(text) else import_object("trainable", entry.plain(), self.folder),)

        self._apply("trainable", entry, made, {})

    def _clause(self, name: str, entry: Entry, values: ValueReader) -> None:
        clause = CLAUSES[name]
        parts = entry.content if clause.repeats and isinstance(entry.content, list) else [entry]
        for part in parts:
            if clause.takes_keywords and isinstance(part.content, dict):
                self._apply(name, part, tuple, part.content, values)
            else:
                self._apply(name, part, partial(_argument, clause, name, part, values), {})

    def _apply(
        self,
        name: str,
        entry: Entry,
        arguments: Callable[[], tuple[Any, ...]],
        keywords: dict[str, Entry],
        values: ValueReader | None = None,
    ) -> None:
        """Calls a clause, unless an argument is wrong; its errors are at the line of the argument."""
        known, before = len(self.problems), self.experiment
        try:
            words = {word: values.keyword(name, word, part) for word, part in keywords.items() if values is not None}
            positional = arguments()
            if len(self.problems) == known:
                self.experiment = written_at(before, getattr(before, name)(*positional, **words), entry.place)
        except ArgumentError as error:
            self.problems.append(entry.located(error.diagnostic))


_EXAMPLE: Final = "write " + CLAUSES["space"].example


def _one_param(values: ValueReader, name: str, entry: Entry) -> tuple[Any, ...]:
    return ({name: values.param(f"space.{name}", entry)},)


def _argument(clause: Clause, name: str, entry: Entry, values: ValueReader) -> tuple[Any, ...]:
    return (_read(clause, name, entry, values),)


def _read(clause: Clause, name: str, entry: Entry, values: ValueReader) -> Any:
    match clause.reads:
        case "text":
            return entry.plain()
        case "value":
            return values.value(name, entry)
        case "reference":
            return entry.content if callable(entry.content) else import_object(name, entry.plain(), values.folder)
    return values.expression(name, entry)


def _places(subject: str, entry: Entry) -> Iterator[tuple[str, SourceLocation | None]]:
    """The places of a parameter and of those inside it."""
    yield subject, entry.place
    for name, part in entry.content.items() if isinstance(entry.content, dict) else ():
        yield from _places(f"{subject}.{name}", part)
