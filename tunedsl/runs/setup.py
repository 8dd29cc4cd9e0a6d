"""Executes one run, described by a frozen `RunSetup`, from opening its journal to reading its results.

How the setup is chosen is in `runs.runs`; what happens during the run is in `driver`.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from tunedsl.backends.protocol import Engine, Telling
from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import Interrupted, Paused, ResourceError
from tunedsl.base.forks import this_process
from tunedsl.base.interrupts import announced, handled_interrupts
from tunedsl.base.printable import printable
from tunedsl.base.references import import_reference, referenced_objects
from tunedsl.driver.driver import Driver, Listener
from tunedsl.driver.reopening import CONTINUE, Amendment
from tunedsl.driver.searcher_session import SearcherSession
from tunedsl.export import export_during_run
from tunedsl.journal import Address, Journal, Location, Mark, Writer
from tunedsl.journal.requests import Inbox
from tunedsl.kernel import Event
from tunedsl.plan import Plan
from tunedsl.plan.explain import search_setting
from tunedsl.results import Results, load
from tunedsl.results.failures import failures
from tunedsl.runs.amendments import changed_plan_fields, check_fits, without_effect
from tunedsl.runs.provenance import Outlets, stamp
from tunedsl.runs.resume_command import resume_command
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.searchers import auto
from tunedsl.searchers.delegation import describe_search
from tunedsl.spaces.layout import resolve_space
from tunedsl.views.base import NullView
from tunedsl.views.progress import progress
from tunedsl.worker import Shipment
from tunedsl.worker.checkpoints import CheckpointStorage
from tunedsl.worker.output import restore_streams
from tunedsl.worker.tracing import message_of

MAX_NAMED: Final = 10
_MIN_TRIALS: Final = 10
"""With fewer trials, a searcher learns next to nothing."""


@attrs.frozen
class RunSetup:
    """Everything that one run needs.

    Attributes:
        plan: the plan.
        engine: where trials run.
        home: the folder or address of journal and checkpoints.
        root: the local folder of the run.
        outlets: sinks, and files of trials' output.
        data: the objects of `.data(...)`.
        quiet: whether to print nothing.
        listeners: receive each event.
        first: events that precede all others in a new journal.
        past: the journal that is resumed; None for a new run.
        storage: the location of checkpoints, when not `home`.
        retry_failed: whether failed trials of `past` run again.
        amendment: how an amended plan treats the trials of `past`.
        inbox: the requests of users; by default those in the run's folder.
    """

    plan: Plan
    engine: Engine
    home: Location
    root: Path
    outlets: Outlets
    data: Mapping[str, Any] = attrs.field(factory=dict)
    quiet: bool = False
    listeners: tuple[Listener, ...] = ()
    first: tuple[Event, ...] = ()
    past: Journal | None = None
    storage: str | None = None
    retry_failed: bool = False
    amendment: Amendment = CONTINUE
    inbox: Inbox | None = None

    def say(self, lines: Iterable[str]) -> None:
        """Prints lines on standard error, unless the run is quiet."""
        for line in () if self.quiet else lines:
            print(printable(line), file=sys.stderr, flush=True)


def carry_out(setup: RunSetup, writer: Writer) -> Results:
    """Run a plan to its end and read the results.

    Args:
        writer: the journal, with its header already written.

    Raises:
        Interrupted: when the user interrupts the run; the journal is complete.
    """
    is_mine = this_process()
    view = progress(setup.plan, setup.root.name, quiet=setup.quiet)
    why, closing = "failed", contextlib.ExitStack()
    with handled_interrupts() as interrupts:  # outside of all, so that a further Ctrl+C does not interrupt the closing
        try:
            with interrupts.raising():
                driver = begin_driver(setup, writer, view)
            open_outlets(setup, writer, closing)
            if isinstance(setup.engine, Telling):
                setup.engine.tell = view.begin
            before = driver.state
            driver.run()
            why = "finished"
            if setup.past is not None and changed_plan_fields(setup.past, setup.plan):
                setup.say(without_effect(before, driver.state))
            if driver.paused is not None and not driver.state.finished:
                why = f"paused: {driver.paused}"
                raise announced(Paused(str(setup.home), resume_command(setup.plan, setup.home)))
            if driver.suspended:
                why = f"suspended: {driver.suspended}"
        except KeyboardInterrupt as error:
            if isinstance(error, Paused) or not is_mine():
                raise
            why = "interrupted"
            raise announced(Interrupted(str(setup.home), resume_command(setup.plan, setup.home)), interrupts) from None
        except ResourceError as error:
            why = f"paused: {message_of(error).partition(chr(10))[0]}"
            raise ResourceError(f"{error}\nto resume: {resume_command(setup.plan, setup.home)}") from error
        except Exception as error:
            why = f"failed: {message_of(error).partition(chr(10))[0]}"
            raise
        finally:
            if is_mine():  # a forked child has nothing to close
                with closing:  # sinks receive the last records as well
                    writer.mark(Mark(closed=why))
                    writer.close()
                    restore_streams()
    return _results(setup)


def begin_driver(setup: RunSetup, writer: Writer, view: NullView) -> Driver:
    """The driver of a run; for a resumed one, at the end of its journal."""
    plan, objects = setup.plan, referenced_objects(setup.plan)
    storage = setup.home if isinstance(setup.home, Address) else setup.storage
    shipment = Shipment.of(plan, setup.data, objects, str(setup.root.resolve()), storage, setup.outlets.output)
    if setup.past is None:
        setup.say(map(str, plan.warnings))
    inbox = setup.inbox or Inbox(setup.root, lambda text: setup.say([text]))
    resolve = _resolver(objects)
    driver = Driver(
        plan, setup.engine, writer, shipment, resolve, (view, *setup.listeners), inbox, setup.first, Journal(setup.home)
    )
    if setup.past is not None:
        _follow(setup, driver, setup.past, shipment.storage)
    return driver


def _follow(setup: RunSetup, driver: Driver, past: Journal, storage: str) -> None:
    driver.follow(past, setup.amendment)
    check_fits(setup.home, past.plan, setup.plan, driver.state)
    driver.reopen(changed_plan_fields(past, setup.plan), setup.retry_failed)
    known = (kept.folder for trial in driver.state.trials.values() for kept in trial.checkpoints)
    CheckpointStorage(storage).sweep(known)
    setup.say(_searcher_notes(driver.searcher_session))
    if driver.continued:
        what = "ended trial continues" if driver.continued == 1 else "ended trials continue, the best first"
        setup.say([f"{driver.continued} {what}"])
    drifted = driver.searcher_session.drifted
    if drifted:
        trials = ", ".join(map(str, drifted[:MAX_NAMED]))
        setup.say([f"the searcher now proposes other configurations for {len(drifted)} trials ({trials}): "
                   "the journal takes precedence"])  # fmt: skip


def _searcher_notes(session: SearcherSession) -> list[str]:
    """Messages about the earlier trials that an amended searcher learns from."""
    total = session.recalled + len(session.left_out)
    if not session.left_out:
        return [f"the searcher learns from all {total} earlier trials"] if total else []
    ((why, _),) = Counter(session.left_out.values()).most_common(1)
    lines = f"the searcher learns from {session.recalled} of {total} earlier trials"
    return [f"{lines}; {len(session.left_out)} do not fit, for example: {reason(why)}"]


def open_outlets(
    setup: RunSetup, writer: Writer, closing: contextlib.ExitStack, more: Mapping[str, Any] | None = None
) -> None:
    """Mark the journal as open, with `more` about this session, and start the sinks, which `closing` ends."""
    opened = {"engine": setup.engine.name, "at": stamp(), "host": platform.node(), "pid": os.getpid(), **(more or {})}
    writer.mark(Mark(opened=opened))
    writer.flush()
    closing.enter_context(export_during_run(setup.home, setup.root, setup.outlets.sinks, setup.quiet))


def _results(setup: RunSetup) -> Results:
    results = load(setup.home)
    results.definition = setup.plan.definition
    failed = failures(results, resume_command(setup.plan, setup.home))
    if failed:
        setup.say([failed])
    setup.say(_advice(setup.plan))
    return results


def _advice(plan: Plan) -> list[str]:
    """What `auto()` would be, for an experiment that sets no searcher and could learn from its trials."""
    definition = plan.definition
    if definition is None or definition.clauses.searcher is not None or not plan.objectives:
        return []
    learns_nothing = scheduler_of(plan.scheduler).requirements(plan.scheduler).searcher != "any"
    if learns_nothing or plan.trials < _MIN_TRIALS or not resolve_space(plan.space).dims:
        return []
    found = describe_search(auto(), search_setting(plan))
    return [f"random search proposed the trials; .searcher(auto()) would be: {found}"]


def _resolver(objects: Mapping[str, Any]) -> Callable[[str], Any]:
    return lambda reference: objects[reference] if reference in objects else import_reference(reference)
