"""The driver: passes the engine's messages to the journal and the kernel, and the kernel's commands to the engine.

Each pass takes all messages, writes their records, and then acts on them: write-ahead logging in batches.
The kernel decides what to do. The sequencer decides the order of events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from msgspec.structs import replace

from tunedsl.backends.protocol import Capacity, Engine, EngineLost, Scaling, ahead_of
from tunedsl.base.errors import TunedslError
from tunedsl.base.forks import this_process
from tunedsl.base.interrupts import Interrupts, handled_interrupts
from tunedsl.driver.assignments import Assignments
from tunedsl.driver.error_attribution import attribute_record, attribute_to_scheduler
from tunedsl.driver.listener import Listener as Listener
from tunedsl.driver.live_amendments import amended_plan, recalled_session, settings_of
from tunedsl.driver.reopening import (
    CONTINUE,
    SEARCH_FIELDS,
    Amendment,
    amended_event,
    lacks_checkpoints,
    retry_events,
    searcher_start,
    unmet_trials,
)
from tunedsl.driver.request_handlers import MAX_TEXT, handle_add, handle_stop
from tunedsl.driver.request_queue import RequestQueue
from tunedsl.driver.searcher_session import SearcherSession
from tunedsl.driver.sequencer import ArrivalOrder, LogicalOrder, Sequencer, is_outdated
from tunedsl.journal import Journal, Line, Mark, Writer, events_before, fold, gc_paused
from tunedsl.journal.requests import (
    AmendRequest,
    AskRequest,
    Inbox,
    PauseRequest,
    Request,
    RequestRefused,
    StopRequest,
    TellRequest,
)
from tunedsl.kernel import (
    CapacityChanged,
    ClockAdvanced,
    Command,
    Continue,
    DeleteCheckpoints,
    Event,
    Launch,
    Pause,
    ProposalPostponed,
    Reopen,
    RunState,
    Stop,
    Suspend,
    initial,
    step,
)
from tunedsl.kernel.demand import wanted_trials
from tunedsl.plan import Plan
from tunedsl.plan.amending import changed_fields
from tunedsl.worker import Message, Notice, Shipment
from tunedsl.worker.checkpoints import CheckpointStorage
from tunedsl.worker.commands import Assign, Halt, Proceed, WorkerCommand
from tunedsl.worker.tracing import clean_text

PAUSE_SECONDS: Final = 60.0
"""How long a pause waits for trials to reach their next report."""
POLL_SECONDS: Final = 0.2
"""Longest wait for a message, so that signals and budgets are noticed in time."""


class Driver:
    """Executes a plan on an engine.

    Args:
        plan: the plan.
        engine: where trials run.
        writer: the journal, with its header already written.
        shipment: what every worker receives.
        resolve: returns the live object for a reference in a configuration.
        listeners: receive each event.
        inbox: the requests of users.
        first: events that precede those of the engine.
        journal: the journal of the writer, for amendments.

    Attributes:
        paused: why the run pauses; None while it does not.
        continued: how many ended trials an amendment continues.
        suspended: why a study-wide condition suspended the run; empty while none has.
        wanted: how many proposals are taken next; None takes all that the kernel requests.
        requests: the requests of users.
    """

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        writer: Writer,
        shipment: Shipment,
        resolve: Callable[[str], Any],
        listeners: Iterable[Listener] = (),
        inbox: Inbox | None = None,
        first: Sequence[Event] = (),
        journal: Journal | None = None,
    ) -> None:
        self.paused: str | None = None
        self.suspended = ""
        self.continued = 0
        self.wanted: int | None = None
        self.requests = RequestQueue(inbox)
        self._journal = journal
        self._first = first
        self._reopening: list[Event] = []
        self.plan = plan
        with attribute_to_scheduler(plan.scheduler, None, "began"):
            self.state = initial(plan)
        self.searcher_session = SearcherSession(plan, resolve)
        self._engine = engine
        self._scaling = engine if isinstance(engine, Scaling) else None
        self._writer = writer
        self._shipment = shipment
        self._listeners = tuple(listeners)
        self._sequencer: Sequencer = LogicalOrder() if plan.order == "logical" else ArrivalOrder()
        self._orders: list[WorkerCommand] = []
        self._discarded: list[str] = []
        self._amendment = CONTINUE
        self._stale: set[int] = set()  # trials that were running when the stop rule changed
        self._notified_kinds: set[str] = set()
        self._assignments, self._resolve = Assignments(plan, resolve), resolve
        self._offset = self._began = 0.0
        self._shutting_down = False

    def follow(self, journal: Journal, amendment: Amendment = CONTINUE) -> None:
        """Replays a journal and verifies its decisions, so that `run` continues where it ends.

        Args:
            journal: the journal.
            amendment: how an amended plan treats its trials.
        """
        self._journal, self._amendment = journal, amendment
        start, self.searcher_session.defaults = searcher_start(journal, self.plan)
        self.searcher_session.defaults.update(self._amendment.defaults)
        with gc_paused():
            for line, state in fold(journal, self._writer.count):  # not what a fenced driver still adds
                self._follow_record(line, state, recalled=line.n < start)
        self._offset = self.state.seconds

    def run(self) -> None:
        """Run the plan to its end.

        Raises:
            KeyboardInterrupt: when the user interrupts the run; the journal is complete.
        """
        is_mine = this_process()
        with handled_interrupts() as interrupts:
            self._writer.set_cancel_check(lambda: interrupts.requested)
            with interrupts.graceful():
                capacity = self._open_engine()
            interrupts.install()  # Ray has set a handler of its own
            try:
                with interrupts.graceful():
                    self._loop(capacity, interrupts)
            except EngineLost as error:  # the journal is complete, so the run can be resumed
                self.paused = str(error)
                self._notify(Notice("engine lost", self.paused, urgent=True))
            finally:
                if is_mine():
                    self.close(interrupts.force_quit)

    def _loop(self, capacity: Capacity, interrupts: Interrupts) -> None:
        self._begin(capacity)
        while not self.state.finished and self.paused is None and not self.suspended:
            if interrupts.requested:
                self._stop_trials()
                raise KeyboardInterrupt
            self._process(self._engine.poll(POLL_SECONDS))
        if self.paused is not None and not self.state.finished:
            self._stop_trials(PAUSE_SECONDS)

    def _change_capacity(self, width: int, ahead: int, max_resources: dict[str, float]) -> None:
        """Record a capacity that differs from the recorded one, or that continues a suspended run."""
        state = self.state
        if state.finished:
            return
        if (width, ahead, max_resources) != (state.width, state.ahead, state.max_resources) or state.suspended:
            self._advance(CapacityChanged(self.seconds(), width, ahead, max_resources))

    def start(self, downtime: float = 0.0) -> None:
        """Begin or continue the run for a caller that steps it by `turn`, instead of `run`.

        Args:
            downtime: seconds without a driver that count as time of the run.
        """
        self._offset += downtime
        self._begin(self._open_engine())

    def turn(self) -> None:
        """One pass of the loop: take what has arrived, write and decide, then act."""
        self._process(self._engine.poll(0.0))

    def widen(self) -> None:
        """Raise the number of concurrent trials by one."""
        self._advance(CapacityChanged(self.seconds(), self.state.width + 1, self.state.ahead, self.state.max_resources))

    def _open_engine(self) -> Capacity:
        capacity = self._engine.open(self.plan, self._shipment)
        self._began = self._engine.now()
        return capacity

    def _begin(self, capacity: Capacity) -> None:
        """Record what precedes the engine's events, and launch the live trials of a resumed journal again."""
        for event in (*self._first, *self._reopening):
            self._advance(replace(event, seconds=self.seconds()))
        self._change_capacity(capacity.width, capacity.ahead, capacity.max_resources)
        self._orders += [self._assign(*trial) for trial in self._unfinished()]
        self._flush_and_apply()

    def close(self, force_quit: bool = False) -> None:
        """Release the engine, and close the listeners."""
        if self.paused is not None:
            self.requests.send_replies()
        if force_quit:  # a second Ctrl+C skips the graceful shutdown
            self._engine.abandon()
        else:
            self._engine.close()
        for listener in self._listeners:
            listener.close(self.state)

    def reopen(self, changed: tuple[str, ...], retry_failed: bool = False) -> None:
        """Record what a resume changes: an amended plan, and a retry of the failed trials.

        Args:
            changed: the fields in which the plan differs from the journal's.
            retry_failed: whether the failed trials run again.

        Raises:
            TunedslError: when the budget is used up, so that they cannot.
        """
        storage, history = self._shipment.storage, self._history
        if changed or (self._journal is not None and lacks_checkpoints(self._journal, self.state, storage)):
            event = amended_event(self.plan, self.state, changed, self._amendment, history(), storage)
            self.continued = sum(isinstance(each, Reopen) for each in step(self.plan, self.state, event, history)[1])
            self._reopening.append(event)
        if retry_failed:
            self._reopening += retry_events(self.plan, self.state, self._reopening, history, storage)

    def _amend(self, plan: Plan, changed: tuple[str, ...], amendment: Amendment) -> str:
        """Continue with another plan; return a text about the effect.

        Raises:
            RequestRefused: when a searcher or scheduler does not accept the earlier trials.
        """
        assert self._journal is not None  # every run with an inbox has a journal
        self._writer.flush()
        before, session = self.state, self.searcher_session
        storage, seconds = self._shipment.storage, self.seconds()
        event = replace(amended_event(plan, before, changed, amendment, self._history(), storage), seconds=seconds)
        try:
            if SEARCH_FIELDS.intersection(changed):
                defaults = {**session.defaults, **amendment.defaults}
                session = recalled_session(plan, self._resolve, self._journal, self._writer.count, defaults)
            with attribute_to_scheduler(plan.scheduler, None):
                _, commands = step(plan, before, event, self._history)
        except TunedslError as error:
            raise RequestRefused(str(error)) from error
        session.amend(plan)
        self.plan, self.searcher_session, settings = plan, session, settings_of(plan)
        self._shipment = settings.applied(self._shipment)
        self._orders.append(settings)
        self._stale |= set(before.live) if "stop" in changed else set()
        self._advance(event)
        ahead = min(before.ahead, ahead_of(plan))
        self._change_capacity(before.width, ahead, before.max_resources)
        return (
            f"amended: {', '.join(changed)}; {sum(isinstance(each, Reopen) for each in commands)} ended trials continue"
        )

    def _history(self) -> Iterator[Event]:
        """The events in the journal up to the last flush."""
        assert self._journal is not None  # only runs with a journal are amended
        return events_before(self._journal, self._writer.count)

    def _stop_trials(self, *seconds: float) -> None:
        """Ends all trials at their next report; the driver that resumes the run sends the commands that this causes."""
        self._shutting_down = True
        self._engine.interrupt(*seconds)
        self._process(self._engine.poll(0.0))

    def _execute_request(self, name: str, request: Request) -> str:
        """Carry out a request of a user; return the text of the reply."""
        if isinstance(request, PauseRequest):
            self.paused = request.text[:MAX_TEXT]
            return f"paused with {len(self.state.live)} unfinished trials; tunedsl resume continues them"
        if isinstance(request, (AskRequest, TellRequest)):
            raise RequestRefused(f"Workers of {self._engine.name} run the trials, so this run has no ask and tell.")
        if isinstance(request, AmendRequest):
            plan, amendment = amended_plan(request, self.plan, self.state)
            changed = changed_fields(self.plan, plan)
            return self._amend(plan, changed, amendment) if changed else "the plan is already amended"
        if isinstance(request, StopRequest):
            event, text = handle_stop(request, self.state, self.seconds())
        else:
            objects = self._shipment.objects
            event, text = handle_add(
                request, name, self.plan, self.state, self.searcher_session, objects, self.seconds()
            )
        if event is not None:
            self._advance(event)
        return text

    def _follow_record(self, line: Line, state: RunState, recalled: bool) -> None:
        if line.e is None:
            return
        self.state = state
        self.requests.follow(line.e)
        self._sequencer.follow(line.e, line.c)
        self.searcher_session.follow(line.e, line.c, state, recalled)
        for listener in self._listeners:
            listener.on_event(line.e, line.c, state)

    def _unfinished(self) -> Iterator[tuple[int, bool, float]]:
        """The live trials of a resumed journal: number, whether the attempt has started, and seconds until it may."""
        launched = {order.assignment.trial for order in self._orders if isinstance(order, Assign)}
        for number in sorted(self.state.live):
            if number not in launched:
                trial = self.state.trials[number]
                begun = trial.phase == "RUNNING"
                yield number, begun, 0.0 if begun else max(0.0, trial.not_before - self._offset)

    def _process(self, messages: list[Message]) -> None:
        """One pass of the loop: order the messages, write and decide, then act."""
        budget = self.plan.budget.seconds
        if budget is not None and not self.state.closing_reason and self.seconds() >= budget:
            self._advance(ClockAdvanced(self.seconds()))
        if self.paused is None:
            self.requests.handle(self._execute_request)
        for message in messages:
            if self.suspended:  # these trials run again when the run is resumed
                break
            if isinstance(message.event, Notice):
                self._notify(message.event)
                continue
            # one by one: the previous message may have ended the attempt that this one belongs to
            if isinstance(message.event, CapacityChanged):
                self._follow_capacity(message.event)
            elif message.event is not None and message.attempt == self.state.trials[message.trial].attempt:
                self._sequencer.push(((message.trial, message.event),))
                self._advance_ready()
        stale = [number for number in self._stale if self.state.trials[number].ended_by == "rule"]
        if stale and not (self.state.closing_reason or self.suspended):
            self._stale.difference_update(stale)
            self._writer.flush()
            if unmet_trials(self.plan, stale, self._history()):
                self._amend(self.plan, ("stop",), CONTINUE)  # their workers used the stop rule of an earlier plan
        self._flush_and_apply()
        for listener in self._listeners:
            listener.on_wait(self.state)

    def _follow_capacity(self, event: CapacityChanged) -> None:
        """Record the current machines; in logical order the number of concurrent trials stays that of the plan."""
        slots = self.state if self.plan.order == "logical" else event
        self._change_capacity(slots.width, slots.ahead, event.max_resources)

    def _notify(self, notice: Notice) -> None:
        """Passes a notice to the journal and the listeners, the first one of each kind."""
        if notice.kind in self._notified_kinds:
            return
        self._notified_kinds.add(notice.kind)
        text = clean_text(notice.text)
        self._writer.mark(Mark(note=text))
        for listener in self._listeners:
            if notice.urgent:
                listener.on_warning(text)
            else:
                listener.on_notice(text)

    def _advance_ready(self) -> None:
        """Advances by the searcher's proposals and by the events whose turn has come."""
        while not self.suspended:
            if self.wanted != 0:
                for event in islice(self.searcher_session.proposals(self.seconds(), self.wanted), self.wanted):
                    self.wanted = None if self.wanted is None else self.wanted - 1
                    self._advance(event)
            if self.wanted is not None and self.state.closing_reason and self.state.proposing:
                self._advance(ProposalPostponed(self.seconds()))  # the caller will not ask for them
            reported = self._sequencer.next()
            if reported is None:
                break
            if not is_outdated(self.state, reported):
                self._advance(replace(reported, seconds=self.seconds()))

    def _flush_and_apply(self) -> None:
        self._advance_ready()
        before = self._engine.now()
        if self._writer.flush():
            self._offset -= self._engine.now() - before  # a wait for storage does not count as time
        if self.paused is None:
            self.requests.send_replies()
        orders, self._orders = self._orders, []
        if not self._shutting_down:
            self._engine.apply(orders)
            if self._scaling is not None:
                self._scaling.want(wanted_trials(self.plan, self.state))
        if self._discarded:
            self._discarded = CheckpointStorage(self._shipment.storage).discard(self._discarded)

    def _advance(self, event: Event) -> None:
        with attribute_to_scheduler(self.plan.scheduler, getattr(event, "trial", None)):
            self.state, commands = step(self.plan, self.state, event, self._history)
        with attribute_record(self.plan, event):
            self._writer.event(event, commands)
        self._sequencer.follow(event, commands)
        self.searcher_session.follow(event, commands, self.state)
        for command in commands:
            self._queue_command(command)
        for listener in self._listeners:
            listener.on_event(event, commands, self.state)

    def _queue_command(self, command: Command) -> None:
        if isinstance(command, Launch):
            self._orders.append(self._assign(command.trial, False, command.wait))
        elif isinstance(command, Continue):
            self._orders.append(Proceed(command.trial, self.state.trials[command.trial].attempt))
        elif isinstance(command, (Stop, Pause)):
            self._orders.append(Halt(command.trial, command.attempt))
        elif isinstance(command, DeleteCheckpoints):
            self._discarded += command.folders
        elif isinstance(command, Suspend):
            self.suspended, self._shutting_down = command.reason, True

    def _assign(self, number: int, begun: bool, wait: float = 0.0) -> Assign:
        return Assign(self._assignments.assign(self.state.trials[number], begun), wait)

    def seconds(self) -> float:
        """The run's clock: seconds since it began, without downtime."""
        # subtract first: a small offset would be lost in a large clock value
        return self._offset + (self._engine.now() - self._began)
