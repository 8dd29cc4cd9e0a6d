"""What users ask of a run from outside: to stop it or a trial, to run a configuration too, to pause.

The driver takes a request at its next look into its folder and writes it into the journal; where none runs, it waits
for the next one.
"""

from __future__ import annotations

import getpass
import os
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec

from tunedsl.base import codec
from tunedsl.base.arguments import public
from tunedsl.base.errors import SpaceError
from tunedsl.base.references import FunctionRef, Literal, source_repr
from tunedsl.driver.request_handlers import complete_config
from tunedsl.journal import Address, Journal
from tunedsl.journal.lease import FileLeaseStore, LeaseStore, current_holder, lease_file
from tunedsl.journal.objects import LEASE_OBJECT, ObjectLeaseStore
from tunedsl.journal.requests import (
    AddRequest,
    PauseRequest,
    Request,
    RequestRefused,
    StopRequest,
    read_reply,
    send_request,
    withdraw,
)
from tunedsl.results import load
from tunedsl.runs.runs import STORE
from tunedsl.searchers.user_configs import as_config_literal
from tunedsl.spaces.encoding import column_values
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.space import Space
from tunedsl.spaces.unit_interval import contains

WAIT_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.05


@public
def stop(path: str | Path, trial: str | int | None = None, *, wait: float = WAIT_SECONDS) -> str:
    """Ends an experiment, or one of its trials, as the journal then says. What it has found stays.

    Args:
        path: the experiment's folder. Of a run at an address, in the working directory of its driver, the address.
        trial: a trial's id or number; without it the experiment ends.
        wait: seconds to wait for the driver. Where none runs, the request is kept for the next one.

    Returns:
        What came of it.

    Raises:
        Refused: when the driver says that it cannot be done, or the experiment is over.
        JournalError: when there is no experiment.
    """
    return _send_request(path, StopRequest(None if trial is None else str(trial), f"asked for by {_requester()}"), wait)


@public
def add(path: str | Path, config: Mapping[str, Any], *, wait: float = WAIT_SECONDS) -> str:
    """Runs a configuration beside those that the searcher proposes; the searcher learns from it, if it can.

    It is a trial more than `.samples(...)` says, by a number of its own, and has the next free place.

    Args:
        path: the experiment's folder.
        config: a whole configuration of the space, nested as trainables get it. Constants and expressions may be left
            out.
        wait: as in `stop`.

    Returns:
        What came of it.

    Raises:
        ArgumentError: for what is no configuration.
        Refused: when it is none of this space, or the experiment is over.
        JournalError: when there is no experiment.
    """
    data = codec.encode(as_config_literal("add.config", config).object)
    space = Journal(path).plan.space
    if not _has_functions(space):  # those are the driver's to call
        complete_config(space, data, 0)
    return _send_request(path, AddRequest(data), wait)


@public
def pause(path: str | Path, *, wait: float = WAIT_SECONDS) -> str:
    """Frees the workers and ends the driver, which `resume` takes up again.

    Live trials go off at their next report, with their newest checkpoint kept. In the driver's process the run raises
    `Paused`; its exit code is 130, as after Ctrl+C.

    Args:
        path: the experiment's folder.
        wait: as in `stop`; where no driver runs there is nothing to pause.

    Returns:
        What came of it.

    Raises:
        Refused: when no driver runs.
        JournalError: when there is no experiment.
    """
    return _send_request(path, PauseRequest(f"asked for by {_requester()}"), wait)


def configuration(space: Space, words: Iterable[str]) -> dict[str, Any]:
    """The configuration that `name=value` words of a terminal spell; names of nested parameters have dots.

    A value is JSON, or the text itself; where the parameter is a choice, also the name of an option.

    Raises:
        Refused: for a word that is none.

    >>> from tunedsl.spaces import choice, uniform
    >>> configuration(Space.of({"lr": uniform(0, 1), "by": choice(["sgd", "adam"])}), ["lr=0.1", "by=sgd"])
    {'lr': 0.1, 'by': 'sgd'}
    """
    config: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise RequestRefused(f"{word!r} should be NAME=VALUE")
        *path, last = name.split(".")
        inner = config
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise RequestRefused(f"{name} lies in {part}, which was given a value of its own")
        if last in inner:
            raise RequestRefused(f"{name} is given twice")
        inner[last] = _value(text)
    return _named_options(space, config)


def _named_options(space: Space, config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with options in the place of their names."""
    layout = resolve_space(space)
    try:
        found = column_values(layout, config)
    except (SpaceError, TypeError, AttributeError):
        return config  # the check says what is wrong
    for leaf, items in zip(layout.cube_params, found, strict=True):
        options = [option.object for option in getattr(leaf.node, "options", ()) if isinstance(option, Literal)]
        for item in items:
            if isinstance(item, str) and options and not contains(leaf.node, item):
                meant = [option for option in options if source_repr(option) == item]
                if len(meant) == 1:
                    _put(config, leaf.path, meant[0])
    return config


def _put(config: dict[str, Any], path: tuple[str, ...], item: Any) -> None:
    for name in path[:-1]:
        config = config[name]
    config[path[-1]] = item


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _has_functions(item: Any) -> bool:
    if isinstance(item, FunctionRef):
        return True
    if isinstance(item, tuple):
        return any(map(_has_functions, item))
    if attrs.has(type(item)):
        return any(_has_functions(getattr(item, field.name)) for field in codec.data_fields(type(item)))
    return False


def _send_request(path: str | Path, request: Request, wait: float) -> str:
    journal = Journal(path)
    journal.header  # noqa: B018  # raises where there is no experiment
    slot, root = _locate_driver(journal)
    if current_holder(slot) is None:
        if isinstance(request, PauseRequest):
            raise RequestRefused("no driver runs this experiment: there is nothing to pause")
        results = load(path)
        if results.finished:
            raise RequestRefused(f"the experiment is over ({results.state}); resume it with more samples: --amend")
    name = send_request(root, request)
    deadline = time.monotonic() + wait
    while True:
        held = current_holder(slot)
        answer = read_reply(root, name)
        if answer is not None:
            if not answer.accepted:
                raise RequestRefused(answer.text)
            return answer.text
        if held is None:
            if isinstance(request, PauseRequest) and withdraw(root, name):
                raise RequestRefused("no driver runs this experiment any more: there is nothing to pause")
            return f"no driver runs this experiment: it takes effect with tunedsl resume {journal.folder}"
        if time.monotonic() >= deadline:
            return f"the driver ({held}) has not taken it yet: it will when it next looks"
        time.sleep(POLL_SECONDS)


def _locate_driver(journal: Journal) -> tuple[LeaseStore, Path]:
    """Where the hold of a run is, and the folder in which its driver looks for requests."""
    if not isinstance(journal.path, Address):
        return FileLeaseStore(lease_file(journal.path)), journal.path.parent
    root = Path(STORE) / journal.path.parent.name
    if not root.is_dir():
        where = f"on the driver's machine, in its working directory, where {root} is"
        raise RequestRefused(f"a run at an address is asked {where}; there is none here")
    return ObjectLeaseStore(journal.path.parent / LEASE_OBJECT), root


def _requester() -> str:
    try:
        return f"{getpass.getuser()} on {platform.node()}"
    except (OSError, KeyError, ImportError):  # no such account, or no accounts: a container, Windows
        return f"process {os.getpid()} on {platform.node()}"
