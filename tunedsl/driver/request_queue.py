"""Takes the requests of users from the inbox, and replies once their effects are in the journal.

What a request does to the run is in `driver` and `request_handlers`.
"""

from __future__ import annotations

from collections.abc import Callable

from tunedsl.journal.requests import AddRequest, AskRequest, Inbox, Reply, Request, RequestRefused, TellRequest
from tunedsl.kernel import Event, UserTrialAdded


class RequestQueue:
    """The requests that a driver handles.

    Args:
        inbox: the requests of users; None for a run without any.

    Attributes:
        asked: requests to ask and to tell, by name, for the caller that steps the driver; None refuses them.
    """

    def __init__(self, inbox: Inbox | None) -> None:
        self.asked: dict[str, AskRequest | TellRequest] | None = None
        self._inbox = inbox
        self._handled_adds: set[str] = set()
        self._replies: list[tuple[str, Reply]] = []

    def follow(self, event: Event) -> None:
        """Record the requests that a resumed journal has handled."""
        if isinstance(event, UserTrialAdded):
            self._handled_adds.add(event.request)

    def handle(self, execute: Callable[[str, Request], str]) -> None:
        """Handle new requests.

        Args:
            execute: carries out a request by its name, and returns the text of the reply; raises `RequestRefused`.
        """
        if self._inbox is None:
            return
        for name, request in self._inbox.take():
            if isinstance(request, (AskRequest, TellRequest)) and self.asked is not None:
                self.asked.setdefault(name, request)
                continue
            try:
                is_handled = isinstance(request, AddRequest) and name in self._handled_adds
                text = "it has already been added" if is_handled else execute(name, request)
            except RequestRefused as error:
                self._inbox.refuse(name, str(error))
                continue
            self._replies.append((name, Reply(True, text)))

    def send_replies(self) -> None:
        """Reply to the handled requests, whose effects are in the journal."""
        replies, self._replies = self._replies, []
        for name, reply in replies:
            self.answer(name, reply)

    def answer(self, name: str, reply: Reply) -> None:
        """Answer a request, such as one of `asked`, whose effect is in the journal."""
        if self._inbox is not None:
            self._inbox.reply(name, reply)
