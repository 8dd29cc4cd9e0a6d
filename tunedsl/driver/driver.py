"""The driver: passes the engine's messages to the journal and the kernel, and the kernel's commands to the engine.

Each pass takes all messages, writes their records, and acts on them only then: write-ahead logging in batches.
What to do is the kernel's decision, in which order events count the sequencer's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol, cast

from msgspec.structs import replace

from tunedsl.backends.protocol import Engine, EngineLost, Scaling
from tunedsl.base.codec import decode, encode, to_json
from tunedsl.base.errors import TunedslError
from tunedsl.base.forks import this_process
from tunedsl.base.keys import trial_seed
from tunedsl.driver.error_attribution import attribute_record, attribute_to_scheduler, attribute_to_user_function
from tunedsl.driver.interrupts import Interrupts
from tunedsl.driver.request_handlers import MAX_TEXT, handle_add, handle_stop
from tunedsl.driver.searcher_session import SearcherSession
from tunedsl.driver.sequencer import ArrivalOrder, LogicalOrder, Sequencer
from tunedsl.journal import Journal, Line, Mark, Writer, fold, gc_paused
from tunedsl.journal.requests import Inbox, PauseRequest, Reply, Request, RequestRefused, StopRequest
from tunedsl.kernel import (
    Amended,
    CapacityChanged,
    ClockAdvanced,
    Command,
    Continue,
    DeleteCheckpoints,
    Event,
    Launch,
    Pause,
    Reported,
    RetryRequested,
    RunState,
    Saved,
    Started,
    Stop,
    Suspend,
    UserTrialAdded,
    initial,
    step,
)
from tunedsl.kernel.demand import wanted_trials
from tunedsl.plan import Plan, Resources
from tunedsl.worker import Assignment, Message, Notice, Shipment
from tunedsl.worker.checkpoints import CheckpointStorage
from tunedsl.worker.commands import Assign, Halt, Proceed, WorkerCommand
from tunedsl.worker.tracing import clean_text

PAUSE_SECONDS: Final = 60.0
"""How long a pause waits for trials to reach their next report."""
POLL_SECONDS: Final = 0.2
"""Longest wait for a message, so that signals and budgets are noticed in time."""


class Listener(Protocol):
    """Receives each event once it is in the journal. Subclass it for the hooks that you need; the others do nothing."""

    def on_event(self, event: Event, commands: Sequence[Command], state: RunState) -> None:
        """Receives an event, the commands it caused, and the state after it."""
        return None

    def on_wait(self, state: RunState) -> None:
        """Is called after each pass of the driver's loop, at least every `POLL_SECONDS`."""
        return None

    def on_notice(self, text: str) -> None:
        """Receives a message for the user; each kind of message comes once in a run."""
        return None

    def on_warning(self, text: str) -> None:
        """Receives an urgent message; by default as any other."""
        self.on_notice(text)

    def close(self, state: RunState) -> None:
        """Is called once, when the run ends."""
        return None


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

    Attributes:
        paused: who asked for a pause; None while nobody has.
        suspended: why a study-wide condition suspended the run; empty while none has.
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
    ) -> None:
        self.paused: str | None = None
        self.suspended = ""
        self._inbox = inbox
        self._first = first
        self._handled_adds: set[str] = set()
        self._replies: list[tuple[str, Reply]] = []
        self._reopening: list[Event] = []
        self.plan = plan
        with attribute_to_scheduler(plan.scheduler, None, "began"):
            self.state = initial(plan)
        self.searcher_session = SearcherSession(plan, resolve)
        self._engine = engine
        self._scaling = engine if isinstance(engine, Scaling) else None
        self._writer = writer
        self._shipment = shipment
        self._resolve = resolve
        self._listeners = tuple(listeners)
        self._sequencer: Sequencer = LogicalOrder() if plan.order == "logical" else ArrivalOrder()
        self._orders: list[WorkerCommand] = []
        self._discarded: list[str] = []
        self._notified_kinds: set[str] = set()
        self._resources = plan.resources.resolve() if not isinstance(plan.resources, Resources) else None
        self._offset = self._began = 0.0
        self._shutting_down = False

    def follow(self, journal: Journal) -> None:
        """Replays a journal and verifies its decisions, so that `run` continues where it ends."""
        with gc_paused():
            for line, state in fold(journal):
                self._follow_record(line, state)
        self._offset = self.state.seconds

    def run(self) -> None:
        """Run the plan to its end.

        Raises:
            KeyboardInterrupt: when the user interrupts the run; the journal is complete.
        """
        is_mine = this_process()
        with Interrupts() as interrupts:
            self._writer.set_cancel_check(lambda: interrupts.requested)
            capacity = self._engine.open(self.plan, self._shipment)
            self._began = self._engine.now()
            try:
                for event in (*self._first, *self._reopening):
                    self._advance(replace(event, seconds=self._seconds()))
                self._change_capacity(capacity.width, capacity.ahead, capacity.max_resources)
                self._orders += [self._assign(*trial) for trial in self._unfinished()]
                self._flush_and_apply()
                while not self.state.finished and self.paused is None and not self.suspended:
                    if interrupts.requested:
                        self._stop_trials()
                        raise KeyboardInterrupt
                    self._process(self._engine.poll(POLL_SECONDS))
                if self.paused is not None and not self.state.finished:
                    self._stop_trials(PAUSE_SECONDS)
            except EngineLost as error:  # the journal is complete, so the run can be resumed
                self.paused = str(error)
                self._notify(Notice("engine lost", self.paused, urgent=True))
            finally:
                if is_mine():
                    self._close(interrupts.force_quit)

    def _change_capacity(self, width: int, ahead: int, max_resources: dict[str, float]) -> None:
        """Record a capacity that differs from the recorded one, or that continues a suspended run."""
        current, state = (width, ahead, max_resources), self.state
        if current != (state.width, state.ahead, state.max_resources) or state.suspended:
            self._advance(CapacityChanged(self._seconds(), *current))

    def _close(self, force_quit: bool) -> None:
        if self.paused is not None:
            self._send_replies()
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
        failed = [number for number, trial in self.state.trials.items() if trial.phase == "ERRORED"]
        if changed:
            self._reopening.append(Amended(self.state.seconds, encode(self.plan), changed))
        if retry_failed and failed:
            self._reopening.append(RetryRequested(self.state.seconds, tuple(sorted(failed)), self._missing(failed)))
            state = self.state
            for event in self._reopening:
                state, _ = step(self.plan, state, event)
            if state.closing_reason:
                raise TunedslError(
                    f"{len(failed)} failed trials cannot run again: {state.closing_reason}.\n"
                    "  help: raise the budget in the experiment, and resume with amend=True and retry_failed=True"
                )

    def _missing(self, trials: Iterable[int]) -> tuple[str, ...]:
        """The checkpoints that the trials need and that no longer exist."""
        needed = {
            folder
            for trial in map(self.state.trials.__getitem__, trials)
            for folder in (trial.folder, *(item.folder for item in trial.checkpoints))
            if folder
        }
        if not needed:
            return ()
        return tuple(sorted(needed.difference(CheckpointStorage(self._shipment.storage).list_checkpoints())))

    def _stop_trials(self, *seconds: float) -> None:
        """Ends all trials at their next report; commands of that time are left to the driver that resumes the run."""
        self._shutting_down = True
        self._engine.interrupt(*seconds)
        self._process(self._engine.poll(0.0))

    def _handle_requests(self, inbox: Inbox) -> None:
        """Turns new requests of users into events."""
        for name, request in inbox.take():
            try:
                event, text = self._handle_request(name, request)
            except RequestRefused as error:
                inbox.refuse(name, str(error))
                continue
            if event is not None:
                self._advance(event)
            self._replies.append((name, Reply(True, text)))

    def _handle_request(self, name: str, request: Request) -> tuple[Event | None, str]:
        if isinstance(request, PauseRequest):
            self.paused = request.text[:MAX_TEXT]
            return None, f"paused with {len(self.state.live)} running trials; tunedsl resume continues them"
        if isinstance(request, StopRequest):
            return handle_stop(request, self.state, self._seconds())
        if name in self._handled_adds:
            return None, "it has already been added"
        return handle_add(
            request, name, self.plan, self.state, self.searcher_session, self._shipment.objects, self._seconds()
        )

    def _send_replies(self) -> None:
        """Answers the requests that are in the journal; a pause is answered once the workers are free."""
        replies, self._replies = self._replies, []
        for name, reply in replies:
            if self._inbox is not None:
                self._inbox.reply(name, reply)

    def _follow_record(self, line: Line, state: RunState) -> None:
        if line.e is None:
            return
        self.state = state
        if isinstance(line.e, UserTrialAdded):
            self._handled_adds.add(line.e.request)
        self._sequencer.follow(line.e, line.c)
        self.searcher_session.follow(line.e, line.c, state)
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
        if budget is not None and not self.state.closing_reason and self._seconds() >= budget:
            self._advance(ClockAdvanced(self._seconds()))
        if self._inbox is not None and self.paused is None:
            self._handle_requests(self._inbox)
        for message in messages:
            if self.suspended:  # these trials run again when the run is resumed
                break
            if isinstance(message.event, Notice):
                self._notify(message.event)
                continue
            if isinstance(message.event, CapacityChanged):
                self._follow_capacity(message.event)
                continue
            # one by one: the previous message may have ended the attempt that this one belongs to
            if message.event is not None and message.attempt == self.state.trials[message.trial].attempt:
                self._sequencer.push(((message.trial, message.event),))
                self._advance_ready()
        self._flush_and_apply()
        for listener in self._listeners:
            listener.on_wait(self.state)

    def _follow_capacity(self, event: CapacityChanged) -> None:
        """Follow the machines that are there now; in logical order the number of concurrent trials stays the plan's."""
        width, ahead = event.width, event.ahead
        if self.plan.order == "logical":
            width, ahead = self.state.width, self.state.ahead
        if not self.state.finished:
            self._change_capacity(width, ahead, event.max_resources)

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
            for event in self.searcher_session.proposals(self._seconds()):
                self._advance(event)
            reported = self._sequencer.next()
            if reported is None:
                break
            if not self._is_late(reported):
                self._advance(replace(reported, seconds=self._seconds()))

    def _flush_and_apply(self) -> None:
        self._advance_ready()
        before = self._engine.now()
        if self._writer.flush():
            self._offset -= self._engine.now() - before  # a wait for storage does not count as time
        if self.paused is None:
            self._send_replies()
        orders, self._orders = self._orders, []
        if not self._shutting_down:
            self._engine.apply(orders)
            if self._scaling is not None:
                self._scaling.want(wanted_trials(self.plan, self.state))
        if self._discarded:
            self._discarded = CheckpointStorage(self._shipment.storage).discard(self._discarded)

    def _is_late(self, event: Event) -> bool:
        """Whether an event is outdated: its trial has ended, or the journal already has the event."""
        number = getattr(event, "trial", None)
        trial = self.state.trials[cast(int, number)]  # engines only send events of trials
        if trial.number not in self.state.live:
            return True
        if isinstance(event, Started):
            return trial.phase == "RUNNING"
        if isinstance(event, Reported):
            return event.last <= trial.iteration
        return isinstance(event, Saved) and event.iteration < trial.iteration

    def _advance(self, event: Event) -> None:
        with attribute_to_scheduler(self.plan.scheduler, getattr(event, "trial", None)):
            self.state, commands = step(self.plan, self.state, event)
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
        trial = self.state.trials[number]
        resources = self._resources_of(number)
        return Assign(
            Assignment(
                trial=number,
                name=trial.name,
                attempt=trial.attempt,
                config=trial.config,
                seed=trial_seed(self.plan.seed, number),
                resources=resources.amounts(),
                shape=_shape(resources),
                known=trial.iteration,
                begun=begun,
                iteration=trial.checkpoint,
                checkpoint=trial.folder,
                elapsed=trial.time,
                unreported=trial.unreported,
            ),
            wait,
        )

    def _resources_of(self, number: int) -> Resources:
        amounts = self.state.trials[number].resources
        if amounts is not None:
            return allotted(tuple(sorted(amounts.items())))
        if isinstance(self.plan.resources, Resources):
            return self.plan.resources
        assert self._resources is not None  # otherwise the resources are a function
        with attribute_to_user_function("resources", number):
            resources = self._resources(decode(self.state.trials[number].config, self._resolve))
            return resources if isinstance(resources, Resources) else Resources.of(**resources)

    def _seconds(self) -> float:
        # subtract first: a small offset would be lost in a large clock value
        return self._offset + (self._engine.now() - self._began)


@lru_cache(maxsize=256)
def allotted(amounts: tuple[tuple[str, float], ...]) -> Resources:
    """Resources from pairs of name and amount, with names as in `.resources(...)`."""
    custom = dict(amounts)
    memory = custom.pop("memory", None)
    cpu, gpu = custom.pop("cpu", 0.0), custom.pop("gpu", 0.0)
    return Resources.of(cpu=cpu, gpu=gpu, memory=None if memory is None else int(memory), custom=custom)


@lru_cache(maxsize=256)
def _shape(resources: Resources) -> str:
    return to_json(resources)
