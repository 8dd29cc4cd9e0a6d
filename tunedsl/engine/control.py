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
from tunedsl.base.errors import SpaceError
from tunedsl.base.literals import FunctionRef, Literal, show
from tunedsl.engine.heeding import checked
from tunedsl.engine.requests import (
    AddRequest,
    PauseRequest,
    Refused,
    Request,
    StopRequest,
    answer_of,
    put,
    withdraw,
)
from tunedsl.engine.runs import STORE
from tunedsl.journal import Address, Journal
from tunedsl.journal.hold import FileSlot, Slot, hold_file, holder
from tunedsl.journal.objects import HOLD, ObjectSlot
from tunedsl.results import load
from tunedsl.search.given import given
from tunedsl.space.encoding import values
from tunedsl.space.layout import lower
from tunedsl.space.space import Space
from tunedsl.space.units import contains

WAIT_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.05


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
    return _ask(path, StopRequest(None if trial is None else str(trial), f"asked for by {_who()}"), wait)


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
    data = codec.encode(given("add.config", config).object)
    space = Journal(path).plan.space
    if not _has_functions(space):  # those are the driver's to call
        checked(space, data, 0)
    return _ask(path, AddRequest(data), wait)


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
    return _ask(path, PauseRequest(f"asked for by {_who()}"), wait)


def configuration(space: Space, words: Iterable[str]) -> dict[str, Any]:
    """The configuration that `name=value` words of a terminal spell; names of nested parameters have dots.

    A value is JSON, or the text itself; where the parameter is a choice, also the name of an option.

    Raises:
        Refused: for a word that is none.

    >>> from tunedsl.space import choice, uniform
    >>> configuration(Space.of({"lr": uniform(0, 1), "by": choice(["sgd", "adam"])}), ["lr=0.1", "by=sgd"])
    {'lr': 0.1, 'by': 'sgd'}
    """
    config: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise Refused(f"{word!r} should be NAME=VALUE")
        *path, last = name.split(".")
        inner = config
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise Refused(f"{name} lies in {part}, which was given a value of its own")
        if last in inner:
            raise Refused(f"{name} is given twice")
        inner[last] = _value(text)
    return _named_options(space, config)


def _named_options(space: Space, config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with options in the place of their names."""
    layout = lower(space)
    try:
        found = values(layout, config)
    except (SpaceError, TypeError, AttributeError):
        return config  # the check says what is wrong
    for leaf, items in zip(layout.columns, found, strict=True):
        options = [option.object for option in getattr(leaf.node, "options", ()) if isinstance(option, Literal)]
        for item in items:
            if isinstance(item, str) and options and not contains(leaf.node, item):
                meant = [option for option in options if show(option) == item]
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
        return any(_has_functions(getattr(item, field.name)) for field in codec.written_fields(type(item)))
    return False


def _ask(path: str | Path, request: Request, wait: float) -> str:
    journal = Journal(path)
    journal.header  # noqa: B018  # raises where there is no experiment
    slot, root = _reached(journal)
    if holder(slot) is None:
        if isinstance(request, PauseRequest):
            raise Refused("no driver runs this experiment: there is nothing to pause")
        results = load(path)
        if results.finished:
            raise Refused(f"the experiment is over ({results.state}); resume it with more samples: --amend")
    name = put(root, request)
    deadline = time.monotonic() + wait
    while True:
        held = holder(slot)
        answer = answer_of(root, name)
        if answer is not None:
            if not answer.taken:
                raise Refused(answer.text)
            return answer.text
        if held is None:
            if isinstance(request, PauseRequest) and withdraw(root, name):
                raise Refused("no driver runs this experiment any more: there is nothing to pause")
            return f"no driver runs this experiment: it takes effect with tunedsl resume {journal.folder}"
        if time.monotonic() >= deadline:
            return f"the driver ({held}) has not taken it yet: it will when it next looks"
        time.sleep(LOOK_SECONDS)


def _reached(journal: Journal) -> tuple[Slot, Path]:
    """Where the hold of a run is, and the folder in which its driver looks for requests."""
    if not isinstance(journal.path, Address):
        return FileSlot(hold_file(journal.path)), journal.path.parent
    root = Path(STORE) / journal.path.parent.name
    if not root.is_dir():
        where = f"on the driver's machine, in its working directory, where {root} is"
        raise Refused(f"a run at an address is asked {where}; there is none here")
    return ObjectSlot(journal.path.parent / HOLD), root


def _who() -> str:
    try:
        return f"{getpass.getuser()} on {platform.node()}"
    except (OSError, KeyError, ImportError):  # no such account, or no accounts: a container, Windows
        return f"process {os.getpid()} on {platform.node()}"
