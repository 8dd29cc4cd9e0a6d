"""Simulated users: requests to a driver, made up as it looks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from tunedsl.base import codec
from tunedsl.base.keys import key
from tunedsl.journal.requests import (
    AddRequest,
    AmendRequest,
    AskRequest,
    Inbox,
    PauseRequest,
    Reply,
    Request,
    StopRequest,
    TellRequest,
)
from tunedsl.plan import Plan
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.sampling import sample
from tunedsl.testing.simulation.amendments import SimulatedAmendments
from tunedsl.testing.simulation.faults import Fault, FaultInjector

MAX_ADDED: Final = 50
"""Trials that users add to one run. Without a limit they could add trials faster than trials end."""


class SimulatedRequests(Inbox):
    """Requests of users, made up as the driver looks for them; one that was not answered is there still.

    Args:
        plan: whose space added trials are of.
        injector: says when there is which.
        engine: whose plans amendments are.

    Attributes:
        current: the driver's present plan.
        before_amendment: called before the driver gets a request to amend the plan.
        amendments: those that were made up.
        answers: the replies to requests to ask and to tell, by name.
    """

    def __init__(self, plan: Plan, injector: FaultInjector, engine: str = "simulated") -> None:
        self.current: Callable[[], Plan] = lambda: plan
        self.before_amendment: Callable[[], None] = lambda: None
        self.amendments = SimulatedAmendments(plan, engine)
        self._plan, self._injector = plan, injector
        self.answers: dict[str, Reply] = {}
        self._open: dict[str, Request] = {}
        self._made = self._added = 0

    def take(self) -> Iterator[tuple[str, Request]]:
        fault = self._injector.next("look")
        request = None if fault is None else self._request(fault)
        if fault is not None and request is not None:
            self._injector.note(fault)
            self.post(request)
        for name, request in list(self._open.items()):
            if isinstance(request, AmendRequest):
                self.before_amendment()
            yield name, request

    def post(self, request: Request) -> str:
        """Adds a request, and returns its name."""
        name = f"{self._made:020d}-{0:08x}.json"
        self._open[name] = request
        self._made += 1
        return name

    def reply(self, name: str, answer: Reply) -> None:
        if isinstance(self._open.pop(name), (AskRequest, TellRequest)):
            self.answers[name] = answer

    def refuse(self, name: str, why: str) -> None:
        self.reply(name, Reply(False, why))

    def _request(self, fault: Fault) -> Request | None:
        if fault.kind == "amend_asked":
            return self.amendments.request(fault, self.current())
        if fault.kind == "add_asked":
            if self._added == MAX_ADDED:
                return None
            self._added += 1
            (config,) = sample(resolve_space(self.current().space), key(self._plan.seed, "asked"), [self._made])
            return AddRequest(codec.encode(config))
        if fault.kind == "pause_asked":
            return PauseRequest("at random")
        if fault.kind == "end_asked":
            return StopRequest(None, "at random")
        return StopRequest(str(int(fault.amount * self._plan.trials)), "at random")
