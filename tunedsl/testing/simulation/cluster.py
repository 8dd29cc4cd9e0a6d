"""One experiment on a simulated cluster under the real driver, kernel and journal, each event held to the laws.

A driver that is killed leaves what its journal held at that instant, down to a part of the last write, and another
one takes up there, on a new engine.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import attrs

from tunedsl.backends.simulated import Cost, Curve, CurveModel
from tunedsl.base import codec
from tunedsl.base.arguments import public
from tunedsl.base.errors import ArgumentError, wrong_value
from tunedsl.base.references import referenced_objects
from tunedsl.driver.driver import Driver
from tunedsl.driver.reopening import CONTINUE
from tunedsl.experiment import Experiment
from tunedsl.journal import FORMAT, Header, Journal, MemoryWriter, fold
from tunedsl.kernel import RunState, initial, plan_after
from tunedsl.plan import Plan
from tunedsl.plan.amending import changed_fields
from tunedsl.testing.final_invariants import FinishedRun, check_final
from tunedsl.testing.invariant_listener import InvariantListener
from tunedsl.testing.invariants import InvariantViolated
from tunedsl.testing.simulation.backend import ClusterEngine, Storage
from tunedsl.testing.simulation.faults import CHANNELS, Channel, Fault, FaultInjector, Faults, failing
from tunedsl.testing.simulation.requests import SimulatedRequests
from tunedsl.testing.simulation.store import SharedStore
from tunedsl.worker import Shipment

JOURNAL_FILE: Final = "journal.jsonl"
NO_STORAGE: Final = os.path.join(tempfile.gettempdir(), f"tunedsl-{secrets.token_hex(8)}")
"""A folder that does not exist, since nothing writes checkpoints."""


NONE: Final = Faults()
REQUESTED: Final[tuple[Channel, ...]] = ("look", "resume")
"""What users cause."""
LATE: Final = ("driver_asleep", "write_delayed")
"""Faults that need a journal which drivers take over from each other."""
DRIVER_INVARIANTS: Final = {
    "nothing_acts_before_it_is_written": "No command reaches the engine before its records are in the journal.",
    "one_attempt_at_a_time": "No trial is assigned while another attempt at it runs.",
    "nothing_acknowledged_is_lost": "A driver that continues a journal has the state of the previous driver.",
    "searchers_are_rebuilt": "A searcher that is rebuilt from its record repeats its proposals.",
    "experiments_end": "Every experiment ends.",
}
"""Invariants that the cluster checks, in addition to those of events and of finished experiments."""


class Killed(BaseException):
    """Kills the driver; not an `Exception`, so the driver cannot catch it."""


class KillableWriter(MemoryWriter):
    """A journal in memory whose writer dies at a write that is drawn; `lines` then is what a disk would hold.

    Args:
        injector: says at which write, and how many of its bytes are there afterwards.
        lines: the complete records that it continues after.
        store: where they are written, if drivers take the journal over from each other.
    """

    def __init__(self, injector: FaultInjector, lines: Sequence[bytes] = (), store: SharedStore | None = None) -> None:
        super().__init__()
        self.store = store
        if store is not None:
            store.take_over(len(lines))
        self.lines = list(lines)
        self.count = self._written = len(self.lines)
        self._injector = injector

    def unwritten(self) -> int:
        """Number of records that are not written yet."""
        return len(self.lines) - self._written

    def flush(self) -> bool:
        if not self.unwritten():
            return False
        fault = self._injector.next("write") if self._written else None  # without a header there is no run
        if fault is not None:
            self._injector.note(fault)
            self.lines[self._written :] = self._lose(fault, self.lines[self._written :])
            raise Killed
        if self.store is not None:
            self.store.write(self.lines[self._written :])
        self._written = len(self.lines)
        return False

    def _lose(self, fault: Fault, lines: list[bytes]) -> list[bytes]:
        """What the disk holds of the lines in whose write the driver is lost."""
        if fault.kind in LATE:
            if self.store is not None:
                self.store.delay(lines, fault.kind == "driver_asleep", fault.amount)
            return []
        if self.store is not None:  # an object is written or not
            kept = lines if fault.amount > 0.5 else []
            if kept:
                self.store.write(kept)
            return kept
        whole = b"".join(lines)
        return whole[: round(fault.amount * len(whole))].splitlines(keepends=True)


@attrs.frozen
class ClusterOutcome:
    """The outcome of an experiment on a simulated cluster.

    Attributes:
        plan: the plan.
        state: the kernel's state at the end.
        journal: the journal; equal seeds give equal journals.
        faults: those that happened.
        drivers: how many it took.
        seconds: on the virtual clock.
    """

    plan: Plan
    state: RunState
    journal: Journal
    faults: tuple[Fault, ...]
    drivers: int
    seconds: float

    def __str__(self) -> str:
        ended, errored = self.state.terminated_count, self.state.errored_count
        trials = f"{ended} of {len(self.state.trials)} trials ended, {errored} failed"
        return f"{trials}; {len(self.faults)} faults, {self.drivers} drivers, {self.seconds:.0f} virtual seconds"


@attrs.frozen
class Cluster:
    """A simulated cluster; `cluster(...)` makes one.

    Attributes:
        witness: gets each fault when it happens, also of a run that does not come to its end.
    """

    workers: int | None
    nodes: int
    faults: Faults | tuple[Fault, ...]
    seed: int
    curve: Curve | CurveModel | None
    cost: float | Cost
    iterations: int | None
    witness: list[Fault] | None = attrs.field(default=None, eq=False, repr=False)

    def run(self, experiment: Experiment | Plan) -> ClusterOutcome:
        """Run an experiment to its end despite all faults; its training code is not called.

        If a logical order makes the outcome independent of faults, it is also run without them, and compared.

        Raises:
            InvariantViolated: when an invariant does not hold.
            CompileError: with every error of the experiment.
        """
        plan = experiment if isinstance(experiment, Plan) else experiment.compile(engine="simulated")
        outcome = self._played(plan)
        end = FinishedRun(outcome.plan, outcome.state, outcome.journal)
        asked = any(CHANNELS[fault.kind] in REQUESTED and fault.kind != "pause_asked" for fault in outcome.faults)
        closed = outcome.state.closing_reason or outcome.state.errored_count
        if outcome.faults and _is_repeatable(plan) and not asked and not closed:
            calm = attrs.evolve(self, faults=(), witness=None)._played(plan)
            same = not any(failing(fault.kind) for fault in outcome.faults)
            end = attrs.evolve(end, undisturbed=FinishedRun(plan, calm.state, calm.journal), same_journal=same)
        check_final(end)
        return outcome

    def engine(self) -> ClusterEngine:
        """The cluster as an engine for `experiment.run(engine=...)`, which has its own driver and folder.

        Raises:
            ArgumentError: where the driver is to be killed or asked: that takes `run` of this cluster.
        """
        given = {fault.kind for fault in self.faults} if isinstance(self.faults, tuple) else set()
        for kind, channel in CHANNELS.items():
            if channel in ("write", *REQUESTED) and (kind in given or getattr(self.faults, kind, False)):
                message = f"The fault {kind} needs a simulated driver, which cluster(...).engine() does not have."
                raise ArgumentError("E003", "cluster.engine", message, "write cluster(...).run(experiment)")
        return self._engine(FaultInjector(self.faults, self.seed), Storage())

    def _engine(self, injector: FaultInjector, storage: Storage) -> ClusterEngine:
        return ClusterEngine(injector, self.curve, self.cost, self.iterations, self.workers, self.nodes, storage)

    def _played(self, plan: Plan) -> ClusterOutcome:
        injector, storage = FaultInjector(self.faults, self.seed, self.witness), Storage()
        kinds = {fault.kind for fault in self.faults} if isinstance(self.faults, tuple) else set()
        is_shared = any(kind in kinds or getattr(self.faults, kind, 0.0) for kind in LATE)
        writer = KillableWriter(injector, store=SharedStore() if is_shared else None)
        writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {}))
        writer.flush()
        requests = SimulatedRequests(plan, injector)
        session = ClusterRun(plan, self._engine(injector, storage), writer, requests)
        _write_checkpoints(())
        drivers = 1
        while True:
            is_over, fault = session.ran(), injector.next("resume")
            left, found = session, session.reopened(self._engine(injector, storage), injector, fault)
            if is_over and not found.is_amended:
                break
            drivers, session = drivers + 1, found
            _compare(left, session)
        state = session.driver.state
        if session.writer.store is not None:
            session.writer.store.check(session.writer.lines)
        return ClusterOutcome(
            session.driver.plan, state, Journal(session.writer.lines), tuple(injector.happened), drivers, state.seconds
        )


class ClusterRun:
    """One driver, from its start to its death or the end of the experiment.

    Args:
        plan: the plan that it continues with.
        first: the plan of the journal's header.

    Attributes:
        is_amended: whether it amends the plan of the driver before it.
    """

    def __init__(
        self,
        plan: Plan,
        engine: ClusterEngine,
        writer: KillableWriter,
        requests: SimulatedRequests,
        first: Plan | None = None,
    ) -> None:
        self.first = plan if first is None else first
        self.engine, self.writer, self.requests = engine, writer, requests
        self.is_amended = False
        self.watch = InvariantListener(self.first, initial(self.first))
        objects = referenced_objects(plan)
        # checkpoints are names here: they are folders only while a driver looks for those that are missing
        shipment = Shipment.of(plan, {}, objects, NO_STORAGE, str(_storage_folder()))
        journal = Journal(writer.lines)
        self.driver = Driver(
            plan, engine, writer, shipment, objects.__getitem__, (self.watch,), requests, journal=journal
        )
        engine.unwritten = writer.unwritten

    def ran(self) -> bool:
        """Runs; says whether the experiment came to its end, and not by a condition of `.until(...)`: it is resumed."""
        self.requests.current = lambda: self.driver.plan
        self.requests.before_amendment = lambda: _write_checkpoints(self.watch.stored)
        with contextlib.suppress(Killed):
            self.driver.run()
            return self.driver.state.finished
        return False

    def reopened(self, engine: ClusterEngine, injector: FaultInjector, fault: Fault | None) -> ClusterRun:
        """The next driver, which continues from the records that the disk would hold.

        Args:
            fault: the amendment with which it does, if any.
        """
        engine.begin_at(self.engine.now())
        file = Path(_disk().name) / JOURNAL_FILE
        file.write_bytes(b"".join(self.writer.lines))
        past = Journal(file)
        plan, whole = current_plan(self.first, past)
        plan = self.requests.amendments.plans[plan.digest]
        past = Journal(self.writer.lines[:whole])
        amended = None
        if fault is not None:
            state = next(islice(fold(past), whole - 1, None))[1]
            amended = self.requests.amendments.resume(fault, past, plan, state)
        writer = KillableWriter(injector, self.writer.lines[:whole], self.writer.store)
        new, amendment = (plan, CONTINUE) if amended is None else amended
        session = ClusterRun(new, engine, writer, self.requests, self.first)
        session.driver.follow(Journal(writer.lines), amendment)
        if amended is not None and fault is not None:
            injector.note(fault)
            session.is_amended = True
            _write_checkpoints(session.watch.stored)
            session.driver.reopen(changed_fields(plan, new))
        return session


def current_plan(first: Plan, journal: Journal) -> tuple[Plan, int]:
    """The plan after the last record of a journal, and the number of records."""
    plan, count = first, 0
    for line in journal.records():
        count += 1
        plan = plan if line.e is None else plan_after(plan, line.e)
    return plan, count


def _storage_folder() -> Path:
    return Path(_disk().name) / "checkpoints"


def _write_checkpoints(folders: Iterable[str]) -> None:
    """Writes empty checkpoints, for a driver that looks for those that are missing."""
    shutil.rmtree(_storage_folder(), ignore_errors=True)
    for folder in folders:
        (_storage_folder() / folder).mkdir(parents=True)


@functools.cache
def _disk() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder in which journals are read back by the real reader; removed with the process."""
    return tempfile.TemporaryDirectory(prefix="tunedsl-")


def _compare(left: ClusterRun, found: ClusterRun) -> None:
    """Compares a driver that has followed a journal with the one that wrote it, at the same event."""
    events = len(found.watch.states)
    if events and repr(found.driver.state) != repr(left.watch.states[events - 1]):
        raise InvariantViolated(
            "nothing_acknowledged_is_lost", "the state that is taken up is not the one that was left", events
        )
    if found.driver.searcher_session.drifted:
        trials = ", ".join(map(str, found.driver.searcher_session.drifted[:10]))
        raise InvariantViolated(
            "searchers_are_rebuilt", f"the searcher now proposes otherwise for trials {trials}", events
        )


def _is_repeatable(plan: Plan) -> bool:
    """Whether a plan gives the same whatever is slow or run again: no budget that looks at time, a logical order."""
    return plan.order == "logical" and plan.budget.seconds is None and plan.timeout is None


@public
def cluster(
    workers: int | None = None,
    *,
    nodes: int = 2,
    faults: Faults | Sequence[Fault] = NONE,
    seed: int = 0,
    curve: Curve | CurveModel | None = None,
    cost: float | Cost = 1.0,
    iterations: int | None = None,
) -> Cluster:
    """A simulated cluster on a virtual clock, whose faults are a function of one seed.

    Args:
        workers: trials at a time, where the plan does not say `parallel(n)`.
        nodes: how many the workers are spread over.
        faults: how often what goes wrong, by `faults(...)`; or the very faults that are to happen.
        seed: of the faults.
        curve: `curve(config, iteration)` gives the objective, a mapping of metrics, or None where the trial returns;
            or `Recorded(path)` of an earlier run. Made up without one.
        cost: seconds an iteration takes: a number, or `cost(config, iteration)`.
        iterations: reports of a trial that no rule ends.

    Raises:
        ArgumentError: for fewer than one node or worker, or for an unknown kind of fault.

    >>> from tunedsl import asha, space, uniform
    >>> from tunedsl.testing import Bowl, cluster, faults
    >>> tuned = space(x=uniform(0, 1)).trainable(Bowl).minimize("loss").scheduler(asha(max_t=9)).samples(20).retry(-1)
    >>> outcome = cluster(workers=8, faults=faults(crash=0.05, driver_killed=0.05), seed=7).run(tuned.seed(1))
    >>> outcome.state.terminated_count, outcome.drivers > 1
    (20, True)
    """
    for name, number in (("workers", workers), ("nodes", nodes)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise wrong_value(f"cluster.{name}", number, "a whole number of at least 1")
    given = faults if isinstance(faults, Faults) else tuple(faults)
    for fault in given if isinstance(given, tuple) else ():
        if fault.kind not in CHANNELS:
            raise wrong_value(
                "The kind of a fault", fault.kind, f"one of {', '.join(CHANNELS)}", subject="cluster.faults"
            )
    return Cluster(workers, nodes, given, seed, curve, cost, iterations)
