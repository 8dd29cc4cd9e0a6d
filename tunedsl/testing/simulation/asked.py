"""One experiment whose trials are asked for and told, with a real study; its driver is killed, and opened again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import attrs

from tunedsl.base import codec
from tunedsl.base.keys import key
from tunedsl.driver.reopening import CONTINUE
from tunedsl.experiment import Experiment
from tunedsl.journal import FORMAT, Header, Journal, read_status
from tunedsl.kernel import initial
from tunedsl.plan import Plan
from tunedsl.plan.settings import EXTERNAL
from tunedsl.runs.provenance import Outlets
from tunedsl.runs.setup import RunSetup
from tunedsl.runs.study import Study
from tunedsl.testing.final_invariants import FinishedRun, check_final
from tunedsl.testing.invariant_listener import InvariantListener
from tunedsl.testing.invariants import InvariantViolated
from tunedsl.testing.random_stream import RandomStream
from tunedsl.testing.simulation.askers import AskedSession, Askers, Clock, Row, VirtualExternalEngine
from tunedsl.testing.simulation.cluster import JOURNAL_FILE, ClusterOutcome, KillableWriter, Killed, current_plan
from tunedsl.testing.simulation.faults import Fault, FaultInjector, Faults
from tunedsl.testing.simulation.requests import SimulatedRequests

MAX_STEPS: Final = 20_000
"""Steps of askers after which an experiment counts as endless."""
LEASES: Final = (None, 5.0, 30.0)
ASKED_INVARIANTS: Final = {
    "no_attempt_is_handed_out_twice": "No two requests get the same attempt at a trial.",
    "asked_trials_are_live": "Each attempt that an asker holds is the current one of a live trial.",
    "valid_reports_are_taken": "A valid report of an attempt that its asker holds is recorded.",
    "each_report_counts_once": "The reports of an attempt are numbered as its asker counts them.",
    "late_and_refused_reports_change_nothing": "A report that is refused or comes after its lease has no effect.",
}
"""Invariants of ask and tell, in addition to those of events and of finished experiments."""


class FileKillableWriter(KillableWriter):
    """A writer that is killed, whose journal is a file, since a study reads it; a dead one writes nothing more."""

    def __init__(self, injector: FaultInjector, folder: Path, lines: list[bytes]) -> None:
        super().__init__(injector, lines)
        self._file, self._is_dead = folder / JOURNAL_FILE, False
        self._file.write_bytes(b"".join(lines))

    def flush(self) -> bool:
        if self._is_dead or not self.unwritten():
            return False
        first = len(self.lines) - self.unwritten()
        try:
            return super().flush()
        except Killed:
            self._is_dead = True
            raise
        finally:
            with open(self._file, "ab") as file:
                file.write(b"".join(self.lines[first:]))


@attrs.frozen
class AskedExperiment:
    """An experiment that simulated askers evaluate.

    Attributes:
        row: metrics of reports.
        askers: how many there are.
        faults: how often what goes wrong, or the very faults.
        seed: of the faults and of what askers do.
        witness: gets each fault when it happens, also of a run that does not come to its end.
    """

    row: Row
    askers: int
    faults: Faults | tuple[Fault, ...]
    seed: int
    witness: list[Fault] | None = attrs.field(default=None, eq=False, repr=False)

    def run(self, experiment: Experiment | Plan) -> ClusterOutcome:
        """Run an experiment to its end despite all faults.

        Raises:
            InvariantViolated: when an invariant does not hold.
            CompileError: with every error of the experiment.
        """
        plan = experiment if isinstance(experiment, Plan) else experiment.compile(engine=EXTERNAL)
        with tempfile.TemporaryDirectory(prefix="tunedsl-") as folder:
            run = _AskedRun(self, plan, Path(folder))
            run.play()
            return run.outcome()


class _AskedRun:
    """The run of one experiment, with all its drivers."""

    def __init__(self, spec: AskedExperiment, plan: Plan, folder: Path) -> None:
        draws = RandomStream(key(spec.seed, "askers"))
        self._first, self._folder = plan, folder
        self._injector = FaultInjector(spec.faults, spec.seed, spec.witness)
        self._clock, self._lease = Clock(), draws.pick(LEASES)
        self._inbox = SimulatedRequests(plan, self._injector, EXTERNAL)
        saved = folder / "saved"
        saved.mkdir()
        self._askers = Askers(
            spec.askers, spec.row, self._inbox, self._injector, self._clock, self._lease, saved, draws
        )
        self._watch = InvariantListener(plan, initial(plan))
        self._drivers = 0
        self._writer = FileKillableWriter(self._injector, folder, [])
        self._writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {}))
        self._writer.flush()

    def play(self) -> None:
        """Let askers act until the experiment is over, and nobody resumes it with an amended plan."""
        session: AskedSession | None = None
        fault: Fault | None = None
        for _ in range(MAX_STEPS):
            try:
                if session is None:
                    session = self._opened(fault)
                    fault = None
                    self._askers.forget_calls(session)
                if session.study.is_over:
                    session.study.close()
                    fault = self._injector.next("resume")
                    if session.study.finished and (fault is None or self._amended(fault) is None):
                        return
                    session = None
                    continue
                self._askers.act(session)
                session.study.turn()
                self._check(session)
            except Killed:
                session, fault = None, self._injector.next("resume")
        raise InvariantViolated("experiments_end", f"{MAX_STEPS} steps of askers, and no end")

    def outcome(self) -> ClusterOutcome:
        """The outcome, with the final invariants checked."""
        journal = Journal(self._writer.lines)
        state, plan = self._watch.states[-1], current_plan(self._first, journal)[0]
        check_final(FinishedRun(plan, state, journal))
        return ClusterOutcome(plan, state, journal, tuple(self._injector.happened), self._drivers, state.seconds)

    def _amended(self, fault: Fault) -> object | None:
        journal = Journal(self._folder)
        plan = self._inbox.amendments.plans[current_plan(self._first, journal)[0].digest]
        return self._inbox.amendments.resume(fault, journal, plan, self._watch.states[-1])

    def _opened(self, fault: Fault | None) -> AskedSession:
        """The next study, which continues from the records that the disk holds."""
        self._drivers += 1
        journal, left = Journal(self._folder), self._watch.states
        plan, count = current_plan(self._first, journal)
        plan, amendment = self._inbox.amendments.plans[plan.digest], CONTINUE
        lines, events = [line for line, _ in journal.raw()], sum(1 for _ in journal.events())
        if fault is not None and events:
            amended = self._inbox.amendments.resume(fault, journal, plan, left[events - 1])
            if amended is not None:
                self._injector.note(fault)
                plan, amendment = amended
        self._writer = FileKillableWriter(self._injector, self._folder, lines)
        self._watch = watch = InvariantListener(self._first, initial(self._first))
        engine = VirtualExternalEngine(self._lease, self._clock)
        status = read_status(journal) if count > 1 else None
        if status is not None:
            engine.repeated = status.repeated
        setup = RunSetup(
            plan,
            engine,
            self._folder,
            self._folder,
            Outlets(),
            {},
            True,
            (engine.before, watch),
            past=None if status is None else journal,
            amendment=amendment,
            inbox=self._inbox,
        )
        self._inbox.current = lambda: plan
        study = Study(setup, self._writer, engine, status)
        self._inbox.current = lambda: study.plan
        if events and repr(left[events - 1]) != repr(watch.states[events - 1]):
            raise InvariantViolated("nothing_acknowledged_is_lost", "another state is taken up", events)
        return AskedSession(study, engine, lambda: watch.states[-1])

    def _check(self, session: AskedSession) -> None:
        """What holds between two calls."""
        if self._writer.unwritten():
            text = f"{self._writer.unwritten()} records are not written after a call"
            raise InvariantViolated("nothing_acts_before_it_is_written", text)
        state = session.state()
        for number, attempt in session.engine.attempts.items():
            trial = state.trials[number]
            if number not in state.live or trial.attempt != attempt.assignment.attempt:
                text = f"attempt {attempt.assignment.attempt} at trial {number}, which is {trial.phase}"
                raise InvariantViolated("asked_trials_are_live", text)
