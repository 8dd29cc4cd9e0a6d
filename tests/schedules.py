"""Random schedules of drivers that share one journal: they sleep, die, write slowly, and take the journal over.

Each driver is a thread that stops before and after each of its operations on the storage. One step of a schedule lets
one driver continue to its next stop. The clock and the age of a lease are the schedule's: a driver renews its lease
while it is awake. An operation of a driver that dies may be on its way, and takes effect at any later moment.
"""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.journals import opened, reported, write
from tests.plans import make_plan
from tunedsl.base.errors import JournalError, JournalTaken
from tunedsl.journal import (
    Journal,
    Line,
    Location,
    Tail,
    create,
    epochs,
    fold,
    lease,
    location_of,
    objects,
    opening,
    read_status,
    reopen,
    replay,
)
from tunedsl.journal import segments as segment_files
from tunedsl.journal import writer as file_writer
from tunedsl.kernel import Started, step

STEPS: Final = 1500
DRIVERS: Final = 4
"""The most drivers that live at the same time."""
HOOKED: Final = {
    objects: ("write_object", "remove_object"),
    epochs: ("write_object", "remove_object", "create_object", "read_file", "list_names"),
    segment_files: ("list_names", "open_location"),
}


SMALL: Final = ((objects, "MAX_BATCH", 4), (objects, "CLOSED_BYTES", 2000), (file_writer, "SEGMENT_BYTES", 1500))
"""Sizes, so small that drivers pack."""


class FakeLock:
    """A lock that its machine gives to its driver."""

    def __init__(self, file: Path) -> None:
        self.lock_file = str(file.with_suffix(".lock"))

    def release(self) -> None: ...


class Killed(BaseException):
    """Ends a driver's thread as the end of its process would."""


class DriverThread:
    """A driver in a thread of its own, which continues only when the schedule says so.

    Attributes:
        name: identifies it, as a machine of its own.
        acknowledged: the records that it wrote and acted on, by number.
        wakes: the step until which it sleeps.
        last_seen: the step at which it last renewed its lease.
        pending: the operation on the storage that it is about to do.
        error: what its code raised, other than that another driver has the journal.
    """

    def __init__(self, schedule: Schedule, name: str, place: Location, records: int) -> None:
        self.name, self._schedule, self._place, self._records = name, schedule, place, records
        self.acknowledged: dict[int, bytes] = {}
        self.wakes = self.last_seen = 0
        self.pending: Callable[[], Any] | None = None
        self.error: BaseException | None = None
        self.is_over = self._is_killed = False
        self._is_stoppable = True
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._stopped.acquire()

    def step(self) -> None:
        """Continues to the next stop."""
        self._go.release()
        self._stopped.acquire()

    def kill(self) -> None:
        """Ends at once."""
        self._is_killed = True
        while not self.is_over:
            self.step()

    def pause(self, action: Callable[[], Any] | None = None) -> None:
        """Stops here until the schedule continues."""
        if not self._is_stoppable:
            return
        self.pending = action
        self._stopped.release()
        self._go.acquire()
        self.pending = None
        if self._is_killed:
            raise Killed

    def _run(self) -> None:
        self._schedule.threads[threading.get_ident()] = self
        try:
            self.pause()
            self._drive()
        except (Killed, JournalTaken):
            pass
        except BaseException as error:
            self.error = error
        finally:
            self.is_over = True
            self._stopped.release()

    def _drive(self) -> None:
        journal = Journal(str(self._place))
        self._is_stoppable = False  # a cached property of one journal locks those of all, up to Python 3.11
        assert journal.first_plan
        self._is_stoppable = True
        writer: Any = reopen(journal, read_status(journal).count, lambda text: None)
        *_, (_, state) = fold(journal, writer.count)
        plan = make_plan(trials=4, parallel=4)
        draws = random.Random(self.name)
        for _ in range(self._records):
            first = writer.count - len(writer.lines)
            trial = draws.randrange(4)
            event = reported(trial, [draws.random()], first=state.trials[trial].iteration + 1)
            state, commands = step(plan, state, event)
            writer.event(event, commands)
            if draws.random() < 0.3:
                continue
            lines, writer._urgent = list(writer.lines), True
            writer.flush()
            self.acknowledged |= dict(enumerate(lines, first))
        writer.close()


class Schedule:
    """One random schedule.

    Args:
        seed: decides everything.
        place: the experiment's folder or address, with a journal of `begin`.

    Attributes:
        restarts: how often the reader met records that no longer belonged to the journal.
    """

    def __init__(self, seed: int, place: Location) -> None:
        self._draws, self._place = random.Random(seed), place
        self.now = self._started = 0
        self.threads: dict[int, DriverThread] = {}
        self.drivers: list[DriverThread] = []
        self._in_flight: list[Callable[[], Any]] = []
        self._tail, self._followed = Tail(str(place)), list[Line]()
        self.restarts = 0

    def run(self) -> int:
        """Runs it and checks its journal; returns how many records were acknowledged.

        Raises:
            AssertionError: when a driver failed, or an acknowledged record is missing.
            JournalError: when the journal cannot be read or replayed.
        """
        with self._hooks():
            for _ in range(STEPS):
                self._step()
            for driver in self.drivers:
                driver.kill()
            for _ in range(2):  # before and after a driver that finds the journal alone
                for action in self._in_flight:
                    _ignoring_errors(action)
                self.now += 1000
                self._check()
                last = self._start(records=3)
                while not last.is_over:
                    last.step()
                self._check()
                assert len(last.acknowledged) <= 3
                while self._follow():
                    pass
                assert self._followed == list(Journal(str(self._place)).records())
        return sum(len(driver.acknowledged) for driver in self.drivers)

    def _step(self) -> None:
        self.now += 1
        alive = [driver for driver in self.drivers if not driver.is_over]
        awake = [driver for driver in alive if driver.wakes <= self.now]
        for driver in awake:
            driver.last_seen = self.now
        chance = self._draws.random()
        if (chance < 0.02 and len(alive) < DRIVERS) or not alive:
            self._start(records=self._draws.randrange(1, 25))
        elif not awake:
            self.now = min(driver.wakes for driver in alive)
        elif chance < 0.05:
            self._draws.choice(awake).wakes = self.now + self._draws.choice([5, 40, 100, 200, 400])
        elif chance < 0.056:
            dies = self._draws.choice(awake)
            if dies.pending is not None and self._draws.random() < 0.7:
                self._in_flight.append(dies.pending)
            dies.kill()
        elif chance < 0.07 and self._in_flight:
            _ignoring_errors(self._in_flight.pop(self._draws.randrange(len(self._in_flight))))
        elif chance < 0.075:
            self._check()
        elif chance < 0.12:
            self._follow()
        else:
            self._draws.choice(awake).step()

    def _start(self, records: int) -> DriverThread:
        self._started += 1
        driver = DriverThread(self, f"driver {self._started}", self._place, records)
        driver.last_seen = self.now
        self.drivers.append(driver)
        return driver

    def _follow(self) -> bool:
        """Reads the next records; returns whether there may be more."""
        try:
            lines = self._tail.read()
        except JournalTaken:
            self._tail, self._followed = Tail(str(self._place)), []
            self.restarts += 1
            return True
        self._followed += lines
        return bool(lines)

    def _check(self) -> None:
        for driver in self.drivers:
            if isinstance(driver.error, JournalError) and "changes faster" in str(driver.error):
                driver.error = None
            if driver.error is not None:
                raise AssertionError(f"{driver.name} failed") from driver.error
        replay(Journal(str(self._place)))
        lines = [line for line, _ in Journal(str(self._place)).raw()]
        for driver in self.drivers:
            for number, line in driver.acknowledged.items():
                assert lines[number : number + 1] == [line], f"record {number} of {driver.name} is lost"

    def _current(self) -> DriverThread | None:
        return self.threads.get(threading.get_ident())

    def _age(self, machine: str) -> float:
        seen = [driver.last_seen for driver in self.drivers if driver.name == machine]
        return float(self.now - seen[0]) if seen else float(self.now)

    @contextmanager
    def _hooks(self) -> Iterator[None]:
        with contextlib.ExitStack() as undo:

            def replace(owner: Any, name: str, new: Any) -> None:
                undo.callback(setattr, owner, name, getattr(owner, name))
                setattr(owner, name, new)

            for module, names in HOOKED.items():
                for name in names:
                    replace(module, name, self._hooked(getattr(module, name)))
            for method in ("_put", "_check_epochs"):
                replace(file_writer.FileWriter, method, self._hooked(getattr(file_writer.FileWriter, method)))
            replace(epochs.EpochLease, "_renew", lambda mine: None)
            replace(lease.Lease, "_renew", lambda mine: None)
            for kind in (epochs.Claims, lease.FileLeaseStore):
                replace(kind, "age", lambda store: self._age(getattr(lease.last_holder(store), "machine", "")))
            replace(lease, "machine_id", lambda: getattr(self._current(), "name", "tests"))
            replace(opening, "machine_id", lambda: getattr(self._current(), "name", "tests"))
            if isinstance(self._place, Path):
                replace(opening, "try_lock", self._lock)
            for owner, name, small in SMALL:
                replace(owner, name, small)
            yield

    def _lock(self, file: Path) -> FakeLock | None:
        """The first driver has the lock of its own machine; others do not see it."""
        driver = self._current()
        return FakeLock(file) if driver is None or driver is self.drivers[0] else None

    def _hooked(self, action: Callable[..., Any]) -> Callable[..., Any]:
        def stopping(*args: Any, **options: Any) -> Any:
            driver = self._current()
            if driver is None:
                return action(*args, **options)
            driver.pause(lambda: action(*args, **options))
            result = action(*args, **options)
            driver.pause()
            return result

        return stopping


def _ignoring_errors(action: Callable[[], Any]) -> None:
    with contextlib.suppress(Exception):
        action()


def begin(place: Location) -> None:
    """Writes a journal with four running trials."""
    writer = create(place)
    write(writer, make_plan(trials=4, parallel=4), [*opened(4), *(Started(0.0, trial, 0) for trial in range(4))])
    writer.close()


def main(count: int) -> None:
    """Plays schedules for both kinds of store and prints what was acted on and stayed."""
    with tempfile.TemporaryDirectory() as name:
        for store in (location_of("memory://schedules"), Path(name)):
            drivers = records = restarts = 0
            for seed in range(count):
                place = store / f"{seed}"
                begin(place)
                schedule = Schedule(seed, place)
                records += schedule.run()
                drivers, restarts = drivers + len(schedule.drivers), restarts + schedule.restarts
            kind = "folder without locks" if isinstance(store, Path) else "address"
            print(f"{kind}: {count} schedules, {drivers} drivers: each of {records} records that one acted on stayed;")
            print(f"  the reader met a takeover {restarts} times and then followed the same journal", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
