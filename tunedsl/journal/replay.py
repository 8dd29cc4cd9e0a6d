"""Replays a journal: runs the kernel over its events again and compares the commands with the recorded ones."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice

import attrs
import msgspec

from tunedsl.base.arguments import check_arguments
from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import Divergence, JournalError, TunedslError
from tunedsl.base.references import forbid_imports
from tunedsl.base.types import Json
from tunedsl.journal.forking import PrefixCheck
from tunedsl.journal.reader import Digest, Journal
from tunedsl.journal.records import Line
from tunedsl.kernel import Event, Proposed, Reported, RunState, UserTrialAdded, initial, plan_after, step


@attrs.frozen
class Proof:
    """The result of a successful replay.

    Attributes:
        records: how many records were read, with header and marks.
        digest: the journal's digest.
        state: the kernel's state at the end.
        torn: bytes of a torn tail that was skipped.
    """

    records: int
    digest: str
    state: RunState
    torn: int

    def __str__(self) -> str:
        trials = f"{len(self.state.trials)} trials, {self.state.iterations} iterations"
        torn = f"; {self.torn} bytes of a torn tail skipped" if self.torn else ""
        return f"proved {self.records} records ({trials}), digest {self.digest}{torn}"


@contextmanager
def gc_paused() -> Iterator[None]:
    """Disables garbage collection while building acyclic data.

    It takes half the time of reading 100,000 trials otherwise.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def fold(journal: Journal, count: int | None = None) -> Iterator[tuple[Line, RunState]]:
    """Yield each record with the state after it, and verify its commands.

    Args:
        count: how many records to read; by default all.

    Raises:
        Divergence: when the kernel's commands differ from the record's.
        JournalError: when the journal is damaged, or an event cannot follow the records before it.
    """
    with name_states(journal, 0):
        plan = journal.first_plan
        state = initial(plan)
    prefix = PrefixCheck(journal)
    names: set[str] = set()
    for line in islice(journal.records(), count):
        if line.e is not None:
            with name_states(journal, line.n):
                _check(state, line.e, names)
                plan = plan_after(plan, line.e)
                state, commands = step(plan, state, line.e, partial(events_before, journal, line.n))
            if tuple(commands) != line.c:
                expected, actual = msgspec.to_builtins(line.c), msgspec.to_builtins(tuple(commands))
                raise Divergence(line.n, expected, actual, _difference(expected, actual, "commands"))
        if prefix.is_open:
            prefix.add(line)
        yield line, state
    prefix.close()


def events_before(journal: Journal, count: int) -> Iterator[Event]:
    """The events among the first `count` records of a journal."""
    return (line.e for line in islice(journal.records(), count) if line.e is not None)


class name_states:
    """Turns the kernel's exception for an impossible event into a `JournalError` that names the record.

    It is a class, and not a generator, since it is entered for every record.
    """

    __slots__ = ("_journal", "_number")

    def __init__(self, journal: Journal, number: int) -> None:
        self._journal, self._number = journal, number

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, (JournalError, Divergence)):
            what = reason(error) if isinstance(error, TunedslError) else f"{type(error).__name__}: {reason(error)}"
            wrong = "The event cannot follow the records before it" if self._number else "The plan cannot begin"
            text = f"{wrong}: {what}."
            raise JournalError(self._journal.path, text, self._number) from error


def _check(state: RunState, event: Event, names: set[str]) -> None:
    """Checks what the kernel trusts its driver with; a journal is untrusted input."""
    if isinstance(event, Proposed):
        asked = isinstance(event, UserTrialAdded) or 0 <= event.trial < state.next_trial
        if not asked or event.trial in state.trials:
            raise ImpossibleEvent(f"Trial {event.trial} was not requested.")
        if event.name in names:
            raise ImpossibleEvent(f"A second trial is named {event.name!r}.")
        names.add(event.name)
    elif isinstance(event, Reported):
        before = state.trials[event.trial].iteration
        if event.first != before + 1:
            raise ImpossibleEvent(f"Trial {event.trial} reports iteration {event.first} after {before}.")


class ImpossibleEvent(TunedslError):
    """An event that no driver writes after the records before it."""


@check_arguments
def replay(source: str | os.PathLike[str] | Journal) -> Proof:
    """Replay a journal and verify each decision in it.

    Args:
        source: an experiment's folder or address, its journal file, or an open `Journal`.

    Raises:
        Divergence: with record number, expected and actual commands, and the first field that differs.
        JournalError: when the journal is damaged.
    """
    journal = source if isinstance(source, Journal) else Journal(source)
    digest = Digest(journal.header)
    with gc_paused(), forbid_imports():
        for line, state in fold(journal):  # noqa: B007 - the last one counts; a journal without a record is refused by `fold`
            if line.e is not None:
                digest.add(line.e)
    return Proof(line.n + 1, digest.text, state, journal.torn)


def _difference(expected: Json, actual: Json, path: str) -> str:
    """The path to the first difference between two JSON values."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for name in [*expected, *(name for name in actual if name not in expected)]:
            if expected.get(name) != actual.get(name):
                return _difference(expected.get(name), actual.get(name), f"{path}.{name}")
    if isinstance(expected, (list, tuple)) and isinstance(actual, (list, tuple)):
        for index, (left, right) in enumerate(zip(expected, actual, strict=False)):
            if left != right:
                return _difference(left, right, f"{path}[{index}]")
        if len(expected) != len(actual):
            return f"{path}[{min(len(expected), len(actual))}]"
    return path
