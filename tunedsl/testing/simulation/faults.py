"""What can go wrong in a simulated cluster, as data: how often each fault happens, or which did happen.

Whether the 17th message is lost is drawn by its number, from one seed; what was drawn can be written down as a tuple
of `Fault`s, which makes it happen again, and from which faults can be left out one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import attrs

from tunedsl.base.codec import data_fields, value
from tunedsl.base.errors import ArgumentError, wrong_value
from tunedsl.base.keys import key
from tunedsl.base.references import call_repr
from tunedsl.base.types import FAILURE_KINDS
from tunedsl.testing.random_stream import RandomStream

Channel = Literal["message", "halt", "write", "look", "resume"]
"""What a fault happens to: a worker's message, an order to halt, a write to the journal, a look for users' requests, or
the end of a driver, after which the run can be resumed."""

CHANNELS: Final[dict[str, Channel]] = {
    **dict.fromkeys(("crash", "oom", "timeout", "bad_report", "idle", "lost", "node", "delay", "duplicate"), "message"),
    **dict.fromkeys(("late", "driver_slow", "storage_slow", "storage_fails", "drain"), "message"),
    "unheard": "halt",
    **dict.fromkeys(("driver_killed", "driver_asleep", "write_delayed"), "write"),
    **dict.fromkeys(("stop_asked", "end_asked", "add_asked", "pause_asked", "amend_asked"), "look"),
    "resume_amended": "resume",
}
"""Each kind of fault, with what it happens to."""

SPREAD_SECONDS: Final = 4.0
"""The longest that a message is on its way, or a driver busy; an iteration takes about one second."""


@value
class Faults:
    """Probability of each fault, from 0 to 1, per message or per point where it can happen.

    Attributes:
        crash, oom, timeout, bad_report, idle: an attempt fails by itself.
        lost: its worker dies, with the message or just after it.
        node: a node dies, and all workers on it at the same moment.
        delay: the message is on its way for up to four seconds, while others arrive.
        duplicate: it arrives twice, the second time up to four seconds later.
        late: the worker is treated as lost but keeps running for a while; or a command to halt reaches it late.
        driver_slow: the driver is busy, and what arrives meanwhile it gets all at once.
        storage_slow: a checkpoint takes up to four seconds.
        storage_fails: a checkpoint cannot be written.
        drain: a node is drained: its trials leave at their next report. It ends within eight seconds, and a new node
            replaces it after the same time again.
        driver_killed: of the writes: the driver dies in it, a part of that write lost; it is started again.
        stop_asked, end_asked: a user asks to stop a trial, or all; a share of the driver's looks for requests.
        add_asked, pause_asked: a user adds a trial; or pauses the run, which is then resumed.
        amend_asked: a user amends the plan while trials run.
        driver_asleep: of the writes: the driver sleeps in it, as a laptop does, until another driver has taken the
            journal over and written; then it writes again.
        write_delayed: of the writes: the driver dies in it, and the write arrives after another driver has written.
        resume_amended: of the drivers: after its end the run is resumed with an amended plan, also a finished run.
    """

    crash: float = 0.0
    oom: float = 0.0
    timeout: float = 0.0
    bad_report: float = 0.0
    idle: float = 0.0
    lost: float = 0.0
    node: float = 0.0
    delay: float = 0.0
    duplicate: float = 0.0
    late: float = 0.0
    driver_slow: float = 0.0
    storage_slow: float = 0.0
    storage_fails: float = 0.0
    drain: float = 0.0
    driver_killed: float = 0.0
    stop_asked: float = 0.0
    end_asked: float = 0.0
    add_asked: float = 0.0
    pause_asked: float = 0.0
    amend_asked: float = 0.0
    resume_amended: float = 0.0
    driver_asleep: float = 0.0
    write_delayed: float = 0.0

    def __repr__(self) -> str:
        return call_repr("faults", self)


def faults(**shares: float) -> Faults:
    """How often what goes wrong in a simulated cluster.

    Args:
        shares: by kind, as in `Faults`: the share of messages that it happens to, from 0 to 1.

    Raises:
        ArgumentError: for an unknown kind, or a value outside 0 to 1.

    >>> faults(crash=0.01, driver_killed=0.02)
    faults(crash=0.01, driver_killed=0.02)
    """
    known = [field.name for field in data_fields(Faults)]
    for name, share in shares.items():
        if name not in known:
            hint = f"the kinds are {', '.join(known)}"
            raise ArgumentError("E001", f"faults.{name}", f"faults() has no argument {name!r}.", hint)
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise wrong_value(f"faults.{name}", share, "a share from 0 to 1")
    return Faults(**shares)


@attrs.frozen
class Fault:
    """One fault that happened.

    Attributes:
        kind: which, of `CHANNELS`.
        at: the number of the message, halt or write that it happened to, from 0, in the whole experiment.
        amount: how much of it, from 0 to 1: of the longest delay, of the nodes, of the bytes that were written.
    """

    kind: str
    at: int
    amount: float = 0.5

    def __repr__(self) -> str:
        return f"Fault({self.kind!r}, {self.at}, {self.amount!r})"


class FaultInjector:
    """Says for one message, halt or write after the other what happens to it, and remembers what did.

    Args:
        source: shares to draw by, or the faults that are to happen.
        seed: of the draws.
        happened: where those that happen are written down.
    """

    def __init__(self, source: Faults | Sequence[Fault], seed: int, happened: list[Fault] | None = None) -> None:
        self.happened: list[Fault] = [] if happened is None else happened
        self._count: dict[Channel, int] = dict.fromkeys(CHANNELS.values(), 0)
        self._given: dict[tuple[Channel, int], Fault] | None = None
        self._limits: dict[Channel, list[tuple[float, str]]] = {}
        self._draws = {channel: RandomStream(key(seed, "faults", channel)) for channel in self._count}
        if isinstance(source, Faults):
            self._limits = {channel: _limits(source, channel) for channel in self._count}
        else:
            self._given = {(CHANNELS[fault.kind], fault.at): fault for fault in source}

    def next(self, channel: Channel) -> Fault | None:
        """What happens to the next message, halt or write."""
        at = self._count[channel]
        self._count[channel] = at + 1
        if self._given is not None:
            return self._given.get((channel, at))
        if not self._limits[channel]:
            return None
        draws = self._draws[channel]
        number, amount = draws.number(), draws.number()
        for limit, kind in self._limits[channel]:
            if number < limit:
                return Fault(kind, at, round(amount, 3))
        return None

    def note(self, fault: Fault) -> None:
        """Remembers a fault that did happen: some can not, such as a storage that fails where nothing is saved."""
        self.happened.append(fault)


def _limits(faults: Faults, channel: Channel) -> list[tuple[float, str]]:
    """The kinds of a channel, each with the sum of its share and of those before it."""
    total, limits = 0.0, []
    for kind, place in CHANNELS.items():
        share = getattr(faults, "late" if kind == "unheard" else kind) if place == channel else 0.0
        if share:
            total += share
            limits.append((total, kind))
    return limits


def failing(kind: str) -> str:
    """The failure kind that the kernel receives for a fault; empty for a fault that is not a failure.

    >>> failing("node"), failing("oom"), failing("delay")
    ('lost', 'oom', '')
    """
    named = {"node": "lost", "late": "lost", "storage_fails": "storage"}.get(kind, kind)
    return named if named in FAILURE_KINDS else ""
