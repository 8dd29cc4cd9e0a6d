"""Golden journals: written once, replayed in every test run, and compared with later runs event by event."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import attrs
import msgspec

from tunedsl.base.errors import ArgumentError, TunedslError, wrong_value
from tunedsl.journal import Header, Journal, MemoryWriter, Proof, replay
from tunedsl.kernel import Event
from tunedsl.kernel.events import DigestView
from tunedsl.plan import diff
from tunedsl.results import Results
from tunedsl.runs.forecast import Forecast
from tunedsl.testing.simulation.cluster import ClusterOutcome

Run = Results | Journal | ClusterOutcome | Forecast | str | Path


class GoldenError(TunedslError):
    """A golden journal is missing, or a run differs from it."""


def check_golden(file: Path, found: Run | None = None, new: bool = False) -> Proof:
    """Replay a golden journal, check each decision, and compare a run with it.

    Args:
        file: the journal; it is never overwritten.
        found: a run of the same plan: results, a journal, a forecast, the outcome of a simulated cluster, or the
            folder of a run. Its events have to be those of the golden journal, timings aside.
        new: whether a journal that is not there is written from `found`: without provenance and times of day.

    Returns:
        What the replay proved.

    Raises:
        GoldenError: when there is no such journal, or `found` differs; it names the first difference.
        Divergence: when the kernel now decides otherwise than the journal says.
        JournalError: when the journal is damaged.
    """
    if not file.exists():
        if not new:
            raise GoldenError(f"The golden journal {file} does not exist.\n  help: pytest --golden-new writes it once")
        if found is None:
            message = f"check_golden(...) needs a run to write {file.name} from."
            raise ArgumentError("E003", "golden", message, "pass found=results")
        _write(file, _journal(found))
    proof = replay(file)
    if found is not None:
        difference = first_difference(Journal(file), _journal(found))
        if difference:
            raise GoldenError(f"{difference}\n  at {file}")
    return proof


def first_difference(golden: Journal, found: Journal) -> str:
    """The first difference of two journals, timings aside, as text; empty if they are equal.

    Where the training code stands and how it is written is not compared: what it reports is.
    """
    plan = attrs.evolve(found.plan, trainable=golden.plan.trainable)  # type: ignore[misc]  # a value is an attrs class
    if plan != golden.plan:
        return f"The plan is different.\n{diff(golden.plan, plan)}"
    for number, (old, new) in enumerate(zip_longest(_events(golden), _events(found)), 1):
        if old != new:
            hint = ""
            if golden.plan.order == "arrival":
                hint = "\n  help: write order('logical'), since in arrival order events depend on timing"
            return f"Event {number} is different.\n  golden: {_shown(old)}\n  found:  {_shown(new)}{hint}"
    return ""


def _events(journal: Journal) -> Iterator[Any]:
    """What the digest sees of each event."""
    seen = map(DigestView().view, journal.events())
    return (msgspec.to_builtins(event) for event in seen if event is not None)


def _shown(event: Event | None) -> str:
    return "nothing, since the journal ends here" if event is None else msgspec.json.encode(event).decode()


def _journal(found: Run) -> Journal:
    if isinstance(found, Journal):
        return found
    if isinstance(found, (Results, ClusterOutcome, Forecast)):
        return found.journal
    if isinstance(found, (str, Path)):
        return Journal(found)
    raise wrong_value("golden", found, "results, a journal, a forecast or a run's folder")


def _write(file: Path, journal: Journal) -> None:
    """Write the header and the events, without machine and date."""
    writer = MemoryWriter()
    header = journal.header
    writer.header(Header(header.format, header.plan, header.digest, {}))
    for line in journal.records():
        if line.e is not None:
            writer.event(line.e, line.c)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"".join(writer.lines))
