"""The driver's loop: engine's messages in order, into the journal and the kernel, commands out.

One pass takes all that is there, writes it, and only then acts on it: write ahead, in batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol, cast

from msgspec.structs import replace

from tunedsl.backends.protocol import Engine, EngineLost
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
from tunedsl.plan import Plan, Resources
from tunedsl.worker import Assignment, Message, Notice, Shipment
from tunedsl.worker.checkpoints import CheckpointStorage
from tunedsl.worker.commands import Assign, Halt, Proceed, WorkerCommand
from tunedsl.worker.tracing import clean_text

PAUSE_SECONDS: Final = 60.0
"""How long a pause waits for trials to reach their next report."""
POLL_SECONDS: Final = 0.2
"""How long one wait for the engine is, so that signals and budgets are seen in time."""


class Listener(Protocol):
    """Receives each event once it is in the journal. Subclass it for the hooks that you need; the others do nothing."""

    def on_event(self, event: Event, commands: Sequence[Command], state: RunState) -> None:
        """Receives an event, the commands it caused, and the state after it."""

    def on_wait(self, state: RunState) -> None:
        """Is called after each pass of the driver's loop, at least every `POLL_SECONDS`."""

    def on_notice(self, text: str) -> None:
        """Receives a message for the user; each kind of message comes once in a run."""

    def on_warning(self, text: str) -> None:
        """Receives an urgent message; by default as any other."""
        self.on_notice(text)

    def close(self, state: RunState) -> None:
        """Is called once, when the run ends."""


class Driver:
    """Carries a plan out on an engine.

    Args:
        plan: the plan.
        engine: where trials run.
        writer: the journal, its header written.
        shipment: what workers get.
        resolve: gives the live object that a configuration names by reference.
        listeners: who hears of events.
        inbox: where users ask for something.
        first: events that come before any of the engine.

    Attributes:
        paused: who asked for a pause, once the run has ended by one.
        suspended: why the run ended unfinished by its condition over the study, once it has; else empty.
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
        self._taken: set[str] = set()
        self._answers: list[tuple[str, Reply]] = []
        self._reopening: list[Event] = []
        self.plan = plan
        with attribute_to_scheduler(plan.scheduler, None, "began"):
            self.state = initial(plan)
        self.searcher_session = SearcherSession(plan, resolve)
        self._engine = engine
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
        self._leaving = False

    def follow(self, journal: Journal) -> None:
        """Takes up where a journal ends, each of its decisions proved on the way."""
        with gc_paused():
            for line, state in fold(journal):
                self._follow_record(line, state)
        self._offset = self.state.seconds

    def run(self) -> None:
        """Runs to the end.

        Raises:
            KeyboardInterrupt: when the user asked for it; all that happened is in the journal.
        """
        is_mine = this_process()
        with Interrupts() as interrupts:
            self._writer.set_cancel_check(lambda: interrupts.requested)
            capacity = self._engine.open(self.plan, self._shipment)
            self._began = self._engine.now()
            try:
                for event in (*self._first, *self._reopening):
                    self._advance(replace(event, seconds=self._seconds()))
                found = (capacity.width, capacity.ahead, capacity.max_resources)
                known = (self.state.width, self.state.ahead, self.state.max_resources)
                if found != known or self.state.suspended:
                    self._advance(CapacityChanged(self._seconds(), *found))
                self._orders += [self._assign(*found) for found in self._unfinished()]
                self._flush_and_apply()
                while not self.state.finished and self.paused is None and not self.suspended:
                    if interrupts.requested:
                        self._stop_trials()
                        raise KeyboardInterrupt
                    self._process(self._engine.poll(POLL_SECONDS))
                if self.paused is not None and not self.state.finished:
                    self._stop_trials(PAUSE_SECONDS)
            except EngineLost as error:  # all that happened is in the journal, and a resume goes on from there
                self.paused = str(error)
                self._notify(Notice("engine lost", self.paused, urgent=True))
            finally:
                if is_mine():
                    self._close(interrupts.force_quit)

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
        """Has the run go on by the driver's plan, and failed trials run again.

        Args:
            changed: the fields of the plan that are not as the journal has them.
            retry_failed: whether the trials that failed for good run again.

        Raises:
            TunedslError: when a budget is used up, so that they cannot.
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
                    f"{len(failed)} failed trials cannot run again: {state.closing_reason}\n"
                    "help: raise the budget in the experiment, and resume with amend=True and retry_failed=True"
                )

    def _missing(self, trials: Iterable[int]) -> tuple[str, ...]:
        """The folders of checkpoints, from which trials would start, that somebody has removed."""
        found = [self.state.trials[number] for number in trials]
        wanted = {
            folder
            for trial in found
            for folder in (trial.folder, *(item.folder for item in trial.checkpoints))
            if folder
        }
        return (
            tuple(sorted(wanted.difference(CheckpointStorage(self._shipment.storage).list_checkpoints())))
            if wanted
            else ()
        )

    def _stop_trials(self, *seconds: float) -> None:
        """Has all trials end at their next report; what is decided meanwhile is for those who resume."""
        self._leaving = True
        self._engine.interrupt(*seconds)
        self._process(self._engine.poll(0.0))

    def _handle_requests(self, inbox: Inbox) -> None:
        """Makes events of what users have asked for since the last look."""
        for name, request in inbox.take():
            try:
                event, text = self._handle_request(name, request)
            except RequestRefused as error:
                inbox.refuse(name, str(error))
                continue
            if event is not None:
                self._advance(event)
            self._answers.append((name, Reply(True, text)))

    def _handle_request(self, name: str, request: Request) -> tuple[Event | None, str]:
        if isinstance(request, PauseRequest):
            self.paused = request.text[:MAX_TEXT]
            return None, f"paused with {len(self.state.live)} trials under way; tunedsl resume goes on with them"
        if isinstance(request, StopRequest):
            return handle_stop(request, self.state, self._seconds())
        if name in self._taken:
            return None, "it was added already"
        return handle_add(
            request, name, self.plan, self.state, self.searcher_session, self._shipment.objects, self._seconds()
        )

    def _send_replies(self) -> None:
        """Answers what is in the journal; who asked for a pause hears of it when the workers are free."""
        answers, self._answers = self._answers, []
        for name, answer in answers:
            if self._inbox is not None:
                self._inbox.reply(name, answer)

    def _follow_record(self, line: Line, state: RunState) -> None:
        if line.e is None:
            return
        self.state = state
        if isinstance(line.e, UserTrialAdded):
            self._taken.add(line.e.request)
        self._sequencer.follow(line.e, line.c)
        self.searcher_session.follow(line.e, line.c, state)
        for listener in self._listeners:
            listener.on_event(line.e, line.c, state)

    def _unfinished(self) -> Iterator[tuple[int, bool, float]]:
        """Trials that the journal leaves live, whether it knows that their attempt began, and how long they wait."""
        launched = {order.assignment.trial for order in self._orders if isinstance(order, Assign)}
        for number in sorted(self.state.live):
            if number not in launched:
                trial = self.state.trials[number]
                begun = trial.phase == "RUNNING"
                yield number, begun, 0.0 if begun else max(0.0, trial.not_before - self._offset)

    def _process(self, messages: list[Message]) -> None:
        """One pass: order, journal, decide; then act."""
        budget = self.plan.budget.seconds
        if budget is not None and not self.state.closing_reason and self._seconds() >= budget:
            self._advance(ClockAdvanced(self._seconds()))
        if self._inbox is not None and self.paused is None:
            self._handle_requests(self._inbox)
        for message in messages:
            if self.suspended:  # what comes now is for those who resume: its trials are under way then
                break
            if isinstance(message.event, Notice):
                self._notify(message.event)
                continue
            # one by one: what the one before it did may have made this one that of a former attempt
            if message.event is not None and message.attempt == self.state.trials[message.trial].attempt:
                self._sequencer.push(((message.trial, message.event),))
                self._advance_ready()
        self._flush_and_apply()
        for listener in self._listeners:
            listener.on_wait(self.state)

    def _notify(self, notice: Notice) -> None:
        """Tells the user, and the journal beside what decides; of each kind the first one."""
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
        """Takes what the searcher answers and what the sequencer gives out, into journal and kernel."""
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
            self._offset -= self._engine.now() - before  # while the storage is away the experiment's time stands
        if self.paused is None:
            self._send_replies()
        orders, self._orders = self._orders, []
        if not self._leaving:
            self._engine.apply(orders)
        if self._discarded:
            self._discarded = CheckpointStorage(self._shipment.storage).discard(self._discarded)

    def _is_late(self, event: Event) -> bool:
        """Whether an event of a trial came after the trial's end, or says again what is known."""
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
            self.suspended, self._leaving = command.reason, True

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
        given = self.state.trials[number].resources
        if given is not None:
            return allotted(tuple(sorted(given.items())))
        if isinstance(self.plan.resources, Resources):
            return self.plan.resources
        assert self._resources is not None  # the plan's resources are a function then
        with attribute_to_user_function("resources", number):
            asked = self._resources(decode(self.state.trials[number].config, self._resolve))
            return asked if isinstance(asked, Resources) else Resources.of(**asked)

    def _seconds(self) -> float:
        # the difference first: the clock's own number may be so large that it swallows what is small
        return self._offset + (self._engine.now() - self._began)


@lru_cache(maxsize=256)
def allotted(amounts: tuple[tuple[str, float], ...]) -> Resources:
    """Resources of amounts by the names of `.resources(...)`, custom ones among them."""
    given = dict(amounts)
    memory = given.pop("memory", None)
    cpu, gpu = given.pop("cpu", 0.0), given.pop("gpu", 0.0)
    return Resources.of(cpu=cpu, gpu=gpu, memory=None if memory is None else int(memory), custom=given)


@lru_cache(maxsize=256)
def _shape(resources: Resources) -> str:
    return to_json(resources)
