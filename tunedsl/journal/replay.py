"""Folding the kernel over a journal again, and proving that each record gave these commands."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import msgspec

from tunedsl.base.arguments import check_arguments
from tunedsl.base.errors import Divergence, JournalError, TunedslError
from tunedsl.base.references import forbid_imports
from tunedsl.base.types import Json
from tunedsl.journal.reader import Digest, Journal
from tunedsl.journal.records import Line
from tunedsl.kernel import Event, Proposed, Reported, RunState, UserTrialAdded, initial, plan_after, step


@attrs.frozen
class Proof:
    """What a replay proved.

    Attributes:
        records: how many records were read, header and marks included.
        digest: the journal's digest.
        state: the kernel's state at the end.
        torn: bytes of a torn tail that were passed over.
    """

    records: int
    digest: str
    state: RunState
    torn: int

    def __str__(self) -> str:
        trials = f"{len(self.state.trials)} trials, {self.state.iterations} iterations"
        torn = f"; {self.torn} bytes of a torn tail passed over" if self.torn else ""
        return f"proved {self.records} records ({trials}), digest {self.digest}{torn}"


@contextmanager
def gc_paused() -> Iterator[None]:
    """For a pass over a whole journal: what it makes is kept and holds no cycles, so looking for them would only cost.

    Half the time of reading 100,000 trials goes into that otherwise.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def fold(journal: Journal) -> Iterator[tuple[Line, RunState]]:
    """Each record with the state after it, every decision proved.

    Raises:
        Divergence: when the kernel decides otherwise than the record says.
        JournalError: when the journal is damaged, or an event cannot happen where it stands.
    """
    with name_states(journal, 0):
        plan = journal.first_plan
        state = initial(plan)
    names: set[str] = set()
    for line in journal.records():
        if line.e is not None:
            with name_states(journal, line.n):
                _check(state, line.e, names)
                plan = plan_after(plan, line.e)
                state, commands = step(plan, state, line.e)
            if tuple(commands) != line.c:
                expected, actual = msgspec.to_builtins(line.c), msgspec.to_builtins(tuple(commands))
                raise Divergence(line.n, expected, actual, _difference(expected, actual, "commands"))
        yield line, state


class name_states:
    """Names the record for what an event that cannot happen makes of the kernel; a class, as it is entered often."""

    __slots__ = ("_journal", "_number")

    def __init__(self, journal: Journal, number: int) -> None:
        self._journal, self._number = journal, number

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, (JournalError, Divergence)):
            what = str(error) if isinstance(error, TunedslError) else f"{type(error).__name__}: {error}"
            text = f"cannot follow what stands before it: {what}" if self._number else f"the plan cannot begin: {what}"
            raise JournalError(self._journal.path, text, self._number) from error


def _check(state: RunState, event: Event, names: set[str]) -> None:
    """What the kernel takes on trust from its driver, and a journal from somebody else need not keep to."""
    if isinstance(event, Proposed):
        asked = isinstance(event, UserTrialAdded) or 0 <= event.trial < state.next_trial
        if not asked or event.trial in state.trials:
            raise ImpossibleEvent(f"trial {event.trial} was not asked for")
        if event.name in names:
            raise ImpossibleEvent(f"a second trial by the name of {event.name!r}")
        names.add(event.name)
    elif isinstance(event, Reported):
        before = state.trials[event.trial].iteration
        if event.first != before + 1:
            raise ImpossibleEvent(f"trial {event.trial} reports iteration {event.first} after {before}")


class ImpossibleEvent(TunedslError):
    """An event that no driver writes where it stands."""


@check_arguments
def replay(source: str | os.PathLike[str] | Journal) -> Proof:
    """Re-folds a journal and proves each decision in it.

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
    """The path of the first place where two JSON values differ."""
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
