"""Folding the kernel over a journal again, and proving that each record gave these commands."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import attrs
import msgspec

from tunedsl.base.errors import Divergence, JournalError
from tunedsl.base.vocabulary import Json
from tunedsl.journal.reader import Journal
from tunedsl.journal.records import Line
from tunedsl.kernel import IllegalMove, State, initial, step


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
    state: State
    torn: int

    def __str__(self) -> str:
        trials = f"{len(self.state.trials)} trials, {self.state.iterations} iterations"
        torn = f"; {self.torn} bytes of a torn tail passed over" if self.torn else ""
        return f"proved {self.records} records ({trials}), digest {self.digest}{torn}"


def fold(journal: Journal) -> Iterator[tuple[Line, State]]:
    """Each record with the state after it, every decision proved.

    Raises:
        Divergence: when the kernel decides otherwise than the record says.
        JournalError: when the journal is damaged, or an event cannot happen where it stands.
    """
    plan = journal.plan
    state = initial(plan)
    for line in journal.records():
        if line.e is not None:
            try:
                state, commands = step(plan, state, line.e)
            except (IllegalMove, KeyError) as error:
                raise JournalError(journal.path, f"cannot follow what stands before it: {error}", line.n) from error
            if tuple(commands) != line.c:
                expected, actual = msgspec.to_builtins(line.c), msgspec.to_builtins(tuple(commands))
                raise Divergence(line.n, expected, actual, _difference(expected, actual, "commands"))
        yield line, state


def replay(source: str | Path | Journal) -> Proof:
    """Re-folds a journal and proves each decision in it.

    Args:
        source: an experiment's folder, its journal file, or an open `Journal`.

    Raises:
        Divergence: with record number, expected and actual commands, and the first field that differs.
        JournalError: when the journal is damaged.
    """
    journal = source if isinstance(source, Journal) else Journal(source)
    ((line, state),) = deque(fold(journal), maxlen=1)  # a journal without a record is refused by `fold`
    return Proof(line.n + 1, journal.digest, state, journal.torn)


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
