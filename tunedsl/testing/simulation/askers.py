"""Simulated askers: they ask for trials and tell results, by calls and by requests, while they and the driver fail."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from tunedsl.backends.external import ExternalEngine
from tunedsl.base import codec
from tunedsl.base.errors import ReportError, StorageError
from tunedsl.base.types import Json
from tunedsl.journal.requests import AskRequest, Reply, TellRequest
from tunedsl.kernel import RunState
from tunedsl.runs.asked_trial import AskedTrial
from tunedsl.runs.study import Study
from tunedsl.testing.invariants import InvariantViolated
from tunedsl.testing.random_stream import RandomStream
from tunedsl.testing.simulation.faults import SPREAD_SECONDS, Fault, FaultInjector
from tunedsl.testing.simulation.requests import SimulatedRequests

Row = Callable[[int, Mapping[str, Any], int], "Mapping[str, Any] | None"]
"""`row(trial, config, iteration)`: the metrics of a report, or None where the trial ends."""

FAILURES: Final = ("crash", "oom", "timeout", "idle")
"""Faults after which the asker says that its trial failed."""
VANISHING: Final = ("lost", "node")
"""Faults after which the asker sends nothing more."""
SLOW: Final = ("delay", "storage_slow", "driver_slow")
SHARE_OF_TELLS: Final = 0.1
"""How often an asker ends its trial before its stop rule does."""


@attrs.define
class Clock:
    """The virtual clock of a run."""

    seconds: float = 0.0


class VirtualExternalEngine(ExternalEngine):
    """The external engine on a virtual clock."""

    def __init__(self, lease: float | None, clock: Clock) -> None:
        super().__init__(lease)
        self._virtual = clock

    def now(self) -> float:
        return self._virtual.seconds

    def wall_clock(self) -> float:
        return self._virtual.seconds


@attrs.frozen
class Held:
    """A trial that an asker holds.

    Attributes:
        iteration: how many iterations the asker has evaluated.
        handle: of an asker in the driver's process; None for one that sends requests.
    """

    number: int
    attempt: int
    config: Mapping[str, Any]
    iteration: int
    handle: AskedTrial | None = None


@attrs.define
class Asker:
    """An asker.

    Attributes:
        sends: whether it sends requests, as a program on another machine does; else it calls the study.
        held: the trial that it evaluates.
        request: the name of its request that was not answered yet.
        next: what it holds once the request is answered with yes.
    """

    name: str
    sends: bool
    held: Held | None = None
    request: str = ""
    next: Held | None = None


@attrs.frozen
class AskedSession:
    """An open study, and what the laws need of it.

    Attributes:
        state: returns the kernel's state.
    """

    study: Study
    engine: ExternalEngine
    state: Callable[[], RunState]

    def holds(self, held: Held) -> bool:
        """Whether an asker still holds its attempt."""
        attempt = self.engine.attempts.get(held.number)
        return attempt is not None and attempt.assignment.attempt == held.attempt

    def held_by(self, trial: AskedTrial) -> Held:
        """What an asker in the driver's process holds that continues with a trial."""
        iteration = self.engine.attempts[trial.number].reports.iteration
        return Held(trial.number, trial.attempt, trial.config, iteration, trial)

    def check_count(self, held: Held | None) -> None:
        """Check that the reports of an asker are numbered as it counts them, if it still holds its attempt."""
        if held is None or not self.holds(held):
            return
        counted = self.engine.attempts[held.number].reports.iteration
        if counted != held.iteration:
            text = f"trial {held.number} is at iteration {counted}, and its asker has made {held.iteration}"
            raise InvariantViolated("each_report_counts_once", text)

    def iteration(self, number: int) -> int:
        """The last iteration of a trial in the journal."""
        return self.state().trials[number].iteration


class Askers:
    """All askers of one run.

    Args:
        count: how many there are.
        row: metrics of reports.
        inbox: where requests go.
        injector: says what goes wrong.
        clock: the run's virtual clock.
        lease: seconds, None for no limit.
        saved: a folder that is told as a checkpoint.
        draws: of what they do.
    """

    def __init__(
        self,
        count: int,
        row: Row,
        inbox: SimulatedRequests,
        injector: FaultInjector,
        clock: Clock,
        lease: float | None,
        saved: Path,
        draws: RandomStream,
    ) -> None:
        self._all = [Asker(f"asker-{number}", draws.chance(0.5)) for number in range(count)]
        self._row, self._inbox, self._injector, self._clock = row, inbox, injector, clock
        self._lease, self._saved, self._draws = lease, saved, draws
        self._claimed: set[tuple[int, int]] = set()

    def act(self, session: AskedSession) -> None:
        """One of them does the next thing."""
        self._clock.seconds += self._draws.number()
        asker = self._draws.pick(self._all)
        if asker.request:
            self._read_reply(asker)
            if not asker.request:
                session.check_count(asker.held)
        elif asker.held is not None:
            self._evaluate(session, asker, asker.held)
        else:
            self._ask(session, asker)

    def forget_calls(self, session: AskedSession) -> None:
        """After the driver's death, those in its process have lost their handles; some continue their trial."""
        for asker in self._all:
            if not asker.sends and asker.held is not None:
                found = [trial for trial in session.study.outstanding if trial.number == asker.held.number]
                same = found and found[0].attempt == asker.held.attempt and self._draws.chance(0.5)
                asker.held = session.held_by(found[0]) if same else None

    def _ask(self, session: AskedSession, asker: Asker) -> None:
        if asker.sends:
            left = self._left(session) if self._lease is None and self._draws.chance(0.2) else None
            lost = None if left is None else TellRequest(f"{left.number}:{left.attempt}", failed="its asker is gone")
            asker.request = self._inbox.post(lost or AskRequest(asker.name))
            return
        trial = session.study.ask() or self._left(session)
        if trial is not None:
            asker.held = session.held_by(trial)

    def _left(self, session: AskedSession) -> AskedTrial | None:
        """An outstanding trial that no asker holds, where none of them expires; the clock advances where they do."""
        if self._lease is not None:
            self._clock.seconds += self._lease / 4
            return None
        if any(asker.request and asker.held is None for asker in self._all):
            return None  # one may hold a trial by a reply that it has not read
        held = {asker.held.number for asker in self._all if asker.held is not None}
        held |= {asker.next.number for asker in self._all if asker.next is not None}
        return next((trial for trial in session.study.outstanding if trial.number not in held), None)

    def _read_reply(self, asker: Asker) -> None:
        """Reads the reply to a request, if there is one."""
        if asker.request not in self._inbox.answers:
            return
        reply = self._inbox.answers.pop(asker.request)
        asker.request, asked = "", asker.held is None
        if asked:
            asker.held = self._claimed_by(reply)
        else:
            asker.held = asker.next if reply.accepted and reply.data and reply.data["continue"] else None
        asker.next = None

    def _claimed_by(self, reply: Reply) -> Held | None:
        data: dict[str, Any] = dict(reply.data or {})
        if "number" not in data:
            if self._lease is not None:
                self._clock.seconds += self._lease / 4
            return None
        claim = (data["number"], data["attempt"])
        if claim in self._claimed:
            raise InvariantViolated("no_attempt_is_handed_out_twice", f"attempt {claim[1]} at trial {claim[0]}")
        self._claimed.add(claim)
        return Held(*claim, data["config"], data["iteration"])

    def _evaluate(self, session: AskedSession, asker: Asker, held: Held) -> None:
        fault = self._injector.next("message")
        kind = "" if fault is None else fault.kind
        if fault is not None:
            self._injector.note(fault)
            self._delay(fault)
        if kind in VANISHING:
            asker.held = None
            return
        row = self._row(held.number, held.config, held.iteration + 1)
        failed = f"{kind}, at random" if kind in FAILURES else None
        ends = row is None or self._draws.chance(SHARE_OF_TELLS)
        metrics = dict(row or {})
        if kind == "bad_report":
            metrics = {"loss": "no number"}
        checkpoint = self._saved / "missing" if kind == "storage_fails" else self._saved
        if asker.sends:
            told = TellRequest(
                f"{held.number}:{held.attempt}",
                {name: _encoded(item) for name, item in metrics.items()} if failed is None else {},
                ends,
                failed,
                str(checkpoint),
            )
            asker.next = attrs.evolve(held, iteration=held.iteration + 1)
            asker.request = self._inbox.post(told)
            return
        for _ in range(2 if kind == "duplicate" and ends else 1):
            self._call(session, asker, held, metrics, ends, failed, checkpoint, kind)

    def _delay(self, fault: Fault) -> None:
        if fault.kind == "late" and self._lease is not None:
            self._clock.seconds += 1.1 * self._lease
        elif fault.kind in SLOW:
            self._clock.seconds += fault.amount * SPREAD_SECONDS

    def _call(
        self,
        session: AskedSession,
        asker: Asker,
        held: Held,
        metrics: dict[str, Any],
        ends: bool,
        failed: str | None,
        checkpoint: Path,
        kind: str,
    ) -> None:
        """Tells by a call; one that is refused, and one of an attempt that is over, changes nothing."""
        trial = held.handle
        assert trial is not None  # it calls
        before, was_held = session.iteration(held.number), session.holds(held)
        is_late = kind == "late" and self._lease is not None
        asker.held, refusal, goes_on = None, "", False
        try:
            if failed is not None:
                trial.fail(failed)
            elif not metrics:
                trial.end()
            elif ends:
                session.study.tell(trial, metrics, checkpoint=checkpoint)
            else:
                goes_on = trial.report(metrics, checkpoint=checkpoint)
        except (ReportError, StorageError) as error:
            refusal = str(error)
        changed = session.iteration(held.number) != before
        if changed and (refusal or is_late or not was_held):
            text = f"trial {held.number}, attempt {held.attempt}, by a report that does not count: {refusal}"
            raise InvariantViolated("late_and_refused_reports_change_nothing", text)
        if not refusal:
            asker.held = attrs.evolve(held, iteration=held.iteration + 1) if goes_on else None
            session.check_count(asker.held)
        elif session.holds(held):
            if metrics and failed is None and kind not in ("bad_report", "storage_fails"):
                raise InvariantViolated("valid_reports_are_taken", f"trial {held.number}: {refusal}")
            trial.fail(refusal)


def _encoded(item: Any) -> Json:
    encoded: Json = codec.encode(math.nan if item is None else item)
    return encoded
