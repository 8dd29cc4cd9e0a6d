"""Journals made by hand: events that a test writes down, with the commands that the kernel gives to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.plans import make_plan
from tunedsl.base import codec
from tunedsl.journal import FORMAT, Header, Journal, MemoryWriter, Writer
from tunedsl.kernel import CapacityChanged, Ended, Event, Proposed, Reported, Started, initial, plan_after, step
from tunedsl.kernel.events import Ending, Number
from tunedsl.plan import Plan
from tunedsl.results import Results


def write(writer: Writer, plan: Plan, events: Iterable[Event]) -> None:
    """Writes a header and events to a journal."""
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {}))
    state = initial(plan)
    for event in events:
        plan = plan_after(plan, event)
        state, commands = step(plan, state, event)
        writer.event(event, commands)
    writer.flush()


def journal(plan: Plan, events: Iterable[Event]) -> Journal:
    """A journal in memory."""
    writer = MemoryWriter()
    write(writer, plan, events)
    return Journal(writer.lines)


def opened(trials: int) -> list[Event]:
    """Room for all trials, and their configurations `x=0.0`, `x=0.1` and so on."""
    proposed = [Proposed(0.0, trial, {"x": trial / 10}, f"{trial:05d}") for trial in range(trials)]
    return [CapacityChanged(0.0, trials), *proposed]


def reported(trial: int, values: Sequence[Number], metric: str = "loss", first: int = 1, **more: Any) -> Reported:
    """A batch of reports of one metric, a second each."""
    rows = tuple((value,) for value in values)
    times = tuple(float(first + place) for place in range(len(values)))
    return Reported(times[-1], trial, first, (metric,), rows, times, **more)


def whole(trial: int, values: Sequence[Number], metric: str = "loss", ends: Ending = "") -> list[Event]:
    """A trial from start to end."""
    events: list[Event] = [Started(0.0, trial, 0)]
    if values:
        events.append(reported(trial, values, metric, ends=ends))
    return events if ends else [*events, Ended(float(len(values)), trial, len(values))]


def results(events: Sequence[Event], trials: int, **changes: Any) -> Results:
    """The results of a plan with changes, after these events of its trials."""
    return Results(journal(make_plan(trials=trials, **changes), [*opened(trials), *events]))


def of_values(*values: Sequence[Number], **changes: Any) -> Results:
    """Results with one trial for each list of values."""
    events = [event for trial, row in enumerate(values) for event in whole(trial, row)]
    return results(events, len(values), **changes)
