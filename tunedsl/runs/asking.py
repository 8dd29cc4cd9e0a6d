"""Ask and tell from another process, through the run's folder: for `tunedsl ask`, `tunedsl tell` and other programs.

A request is a file, which the run's driver answers. If no driver runs, this process opens the run, answers all waiting
requests, and closes it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from typing import Any

import msgspec

from tunedsl.base import codec
from tunedsl.base.errors import JournalTaken
from tunedsl.journal import Journal, Location
from tunedsl.journal.lease import current_holder
from tunedsl.journal.requests import (
    AskRequest,
    Reply,
    Request,
    RequestRefused,
    TellRequest,
    read_reply,
    send_request,
    withdraw,
)
from tunedsl.runs.control import POLL_SECONDS, WAIT_SECONDS, locate_driver, requester
from tunedsl.runs.opening import open_path

ASK_AGAIN_SECONDS = 0.5
"""Time between two requests of a waiting asker."""


def ask(path: Location, wait: float = 0.0) -> Reply:
    """Ask a run for a trial.

    Args:
        path: the run's folder or address.
        wait: seconds to wait while no trial is available.

    Returns:
        The reply; `data` is the trial, or its entry `over` says whether the experiment is over.

    Raises:
        RequestRefused: when workers run the trials of the run.
        JournalError: when there is no run, or it is damaged.
    """
    deadline = time.monotonic() + wait
    while True:
        reply = _answered(path, AskRequest(requester()))
        data = reply.data or {}
        if "trial" in data or data.get("over") or time.monotonic() >= deadline:
            return reply
        time.sleep(max(0.0, min(ASK_AGAIN_SECONDS, deadline - time.monotonic())))


def tell(path: Location, request: TellRequest) -> Reply:
    """Tell a run the result of a trial.

    Returns:
        The reply; `data["continue"]` says whether the trial continues.

    Raises:
        RequestRefused: for an invalid report, or a trial that is not outstanding.
        JournalError: as for `ask`.
    """
    return _answered(path, request)


def metrics_of(words: Iterable[str]) -> dict[str, Any]:
    """Parse `name=value` words as metrics, as canonical data; a value is a number, JSON, or else text.

    Raises:
        RequestRefused: when a word is not `name=value`, or a name is repeated.

    >>> metrics_of(["loss=0.5", "epochs=3", "text=done", "bad=nan"])
    {'loss': 0.5, 'epochs': 3, 'text': 'done', 'bad': {'$float': 'nan'}}
    """
    metrics: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise RequestRefused(f"{word!r} is not a metric.\n  help: write NAME=VALUE, such as loss=0.1")
        if name in metrics:
            raise RequestRefused(f"The metric {name!r} is repeated.")
        metrics[name] = codec.encode(_value(text))
    return metrics


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        with contextlib.suppress(ValueError):  # nan, inf, .5, 1_000
            return float(text)
        return text


def _answered(path: Location, request: Request) -> Reply:
    """Send a request, make sure that a driver handles it, and return the reply."""
    journal = Journal(path)
    journal.header  # noqa: B018  # raises when there is no experiment
    store, root = locate_driver(journal)
    name, deadline = send_request(root, request), time.monotonic() + WAIT_SECONDS
    try:
        while True:
            reply = read_reply(root, name)
            if reply is not None:
                if not reply.accepted:
                    raise RequestRefused(reply.text)
                return reply
            holder = current_holder(store)
            if holder is None:
                _drive(path)
            elif time.monotonic() >= deadline:
                raise RequestRefused(f"The driver ({holder}) did not answer within {WAIT_SECONDS:g} s.")
            else:
                time.sleep(POLL_SECONDS)
    finally:
        withdraw(root, name)


def _drive(path: Location) -> None:
    """Answer the waiting requests as the run's driver, unless another process is the driver."""
    with contextlib.suppress(JournalTaken), open_path(path, quiet=True) as study:
        study.turn()
