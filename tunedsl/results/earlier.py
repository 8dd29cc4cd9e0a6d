"""An earlier experiment's trials, as a searcher of another one can be told of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tunedsl.compiler import Past
from tunedsl.journal import Journal
from tunedsl.results.frames import config_of
from tunedsl.results.reading import Reading, Record
from tunedsl.search.contract import Status

_ENDS: Final[dict[str, Status]] = {"TERMINATED": "done", "ERRORED": "failed"}


def earlier(path: str) -> Iterator[Past]:
    """The trials of the experiment in a folder, in the order proposed.

    Raises:
        JournalError: when there is no journal, or it is damaged.
    """
    for record in Reading.of(Journal(path)).records.values():
        yield Past(config_of(record), record.metrics(), record.iterations, _status(record))


def _status(record: Record) -> Status:
    if record.phase == "TERMINATED" and record.stopped:
        return "stopped"
    return _ENDS.get(record.phase, "reported")
