"""Sends requests to a run from outside: stop it or a trial, add a configuration, amend its plan, or pause.

The driver reads requests from the run's folder and writes their effect to the journal. Without a driver they wait for
the next one. The driver's side is in `journal.requests` and `driver.request_handlers`.
"""

from __future__ import annotations

import getpass
import os
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from tunedsl.base import codec
from tunedsl.base.arguments import public
from tunedsl.base.errors import SpaceError
from tunedsl.base.references import Literal, source_repr
from tunedsl.driver.live_amendments import live_changes
from tunedsl.driver.reopening import Amendment
from tunedsl.driver.request_handlers import complete_config
from tunedsl.journal import Address, Journal, read_status
from tunedsl.journal.lease import LeaseStore, current_holder
from tunedsl.journal.opening import lease_store
from tunedsl.journal.requests import (
    AddRequest,
    AmendRequest,
    PauseRequest,
    Request,
    RequestRefused,
    StopRequest,
    read_reply,
    send_request,
    withdraw,
)
from tunedsl.kernel.events import Continuation
from tunedsl.plan import Diff, Plan
from tunedsl.plan.amending import check_amendment
from tunedsl.plan.contents import functions_of
from tunedsl.plan.definition import Definition
from tunedsl.results import load
from tunedsl.runs.amendments import amendment_of, difference
from tunedsl.runs.locations import STORE
from tunedsl.runs.resume_command import next_command
from tunedsl.searchers.user_configs import as_config_literal
from tunedsl.spaces.encoding import column_values
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.space import Space
from tunedsl.spaces.unit_interval import contains

WAIT_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.05


@public
def stop(
    path: str | Path, trial: str | int | None = None, *, wait: float = WAIT_SECONDS, why: str = "", by: str = ""
) -> str:
    """Stop an experiment or one of its trials; existing results are kept.

    Args:
        path: the experiment's folder; or its address, in the working directory of its driver.
        trial: a trial's id or number; without it the experiment stops.
        wait: seconds to wait for the reply. Without a driver the request is kept for the next one.
        why: the reason, which the journal keeps.
        by: who asks; without it this account on this machine.

    Returns:
        The driver's reply.

    Raises:
        RequestRefused: when the driver refuses, or the experiment is finished.
        JournalError: when there is no experiment.
    """
    return _send_request(Journal(path), StopRequest(None if trial is None else str(trial), _asked(why, by)), wait)


@public
def add(path: str | Path, config: Mapping[str, Any], *, wait: float = WAIT_SECONDS, why: str = "", by: str = "") -> str:
    """Run a configuration in addition to those of the searcher, which learns from it if it can.

    The trial does not count among those of `.samples(...)`, and starts in the next free slot.

    Args:
        path: the experiment's folder.
        config: a complete configuration of the space, nested as trainables receive it. Constants and expressions may
            be omitted.
        wait, why, by: as for `stop`.

    Returns:
        The driver's reply.

    Raises:
        ArgumentError: when it is not a configuration.
        RequestRefused: when it is not in the space, or the experiment is finished.
        JournalError: when there is no experiment.
    """
    data = codec.encode(as_config_literal("add.config", config).object)
    journal = Journal(path)
    if not any(functions_of(journal.plan.space)):  # only the driver calls those
        complete_config(journal.plan.space, data, 0)
    return _send_request(journal, AddRequest(data, _asked(why, by)), wait)


@public
def pause(path: str | Path, *, wait: float = WAIT_SECONDS, why: str = "", by: str = "") -> str:
    """Free the workers and end the driver; `resume` continues the run.

    Running trials end at their next report and keep their newest checkpoint. In the driver's process the run raises
    `Paused`; the exit code is 130, as after Ctrl+C.

    Args:
        path: the experiment's folder.
        wait, why, by: as for `stop`.

    Returns:
        The driver's reply.

    Raises:
        RequestRefused: when no driver runs.
        JournalError: when there is no experiment.
    """
    return _send_request(Journal(path), PauseRequest(_asked(why, by)), wait)


@public
def amend(
    path: str | Path,
    experiment: Definition,
    *,
    ended: Continuation = "continue",
    defaults: Mapping[str, Any] | None = None,
    wait: float = WAIT_SECONDS,
    why: str = "",
    by: str = "",
) -> str:
    """Change the plan of a run in progress.

    Trials, budgets, stop rules, time limits, retries, checkpoints, the space, the searcher and the scheduler can change
    while trials run. Running trials use the new stop rule from their next report. For other changes, `pause` the run
    and resume it with `amend=True`.

    Args:
        path: the experiment's folder; or its address, in the working directory of its driver.
        experiment: the changed experiment.
        ended: what happens to ended trials that it would have continued: they `continue` from their checkpoints,
            `restart`, or stay ended (`keep`).
        defaults: the values of new parameters for earlier trials, by dotted name.
        wait, why, by: as for `stop`.

    Returns:
        The driver's reply.

    Raises:
        AmendError: when the run cannot continue with this experiment.
        RequestRefused: when no driver runs, or the driver cannot make the change while trials run.
        JournalError: when there is no experiment.
    """
    journal = Journal(path)
    plan, differences, _ = difference(experiment, journal, amend=True, engine=read_status(journal).engine)
    return _send_amendment(
        journal, plan, differences, amendment_of(journal, plan, ended, defaults or {}), wait, why, by
    )


def amend_plan(
    path: str | Path,
    plan: Plan,
    *,
    ended: Continuation = "continue",
    defaults: Mapping[str, Any] | None = None,
    wait: float = WAIT_SECONDS,
    why: str = "",
    by: str = "",
) -> str:
    """Change the plan of a run in progress; as `amend`, with the whole new plan."""
    journal = Journal(path)
    differences = check_amendment(journal.folder, journal.plan, plan, True)
    return _send_amendment(
        journal, plan, differences, amendment_of(journal, plan, ended, defaults or {}), wait, why, by
    )


def _send_amendment(
    journal: Journal, plan: Plan, differences: Diff, amendment: Amendment, wait: float, why: str, by: str
) -> str:
    if not differences:
        raise RequestRefused(f"The experiment of {journal.folder} has not changed: there is nothing to amend.")
    store, _ = locate_driver(journal)
    if current_holder(store) is None:
        raise RequestRefused(
            f"No driver runs this experiment.\n  help: tunedsl resume {journal.folder} --amend, or "
            f"experiment.resume({str(journal.folder)!r}, amend=True)"
        )
    before, defaults = journal.plan, dict(amendment.defaults)
    request = AmendRequest(before.digest, live_changes(before, plan), amendment.ended, defaults, _asked(why, by))
    return _send_request(journal, request, wait)


def configuration(space: Space, words: Iterable[str]) -> dict[str, Any]:
    """Parse `name=value` words of a terminal as a configuration; names of nested parameters have dots.

    A value is JSON, or else text; for a choice it may also be the name of an option.

    Raises:
        RequestRefused: when a word is not `name=value`, or a name is repeated.

    >>> from tunedsl.spaces import choice, uniform
    >>> configuration(Space.of({"lr": uniform(0, 1), "by": choice(["sgd", "adam"])}), ["lr=0.1", "by=sgd"])
    {'lr': 0.1, 'by': 'sgd'}
    """
    config: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise RequestRefused(f"The text {word!r} is not NAME=VALUE.")
        *path, last = name.split(".")
        inner = config
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise RequestRefused(f"The parameter {name} is inside {part}, which another word sets as a whole.")
        if last in inner:
            raise RequestRefused(f"The parameter {name} is repeated.")
        inner[last] = parse_value(text)
    return _named_options(space, config)


def _named_options(space: Space, config: dict[str, Any]) -> dict[str, Any]:
    """Replaces the names of options by the options."""
    layout = resolve_space(space)
    try:
        found = column_values(layout, config)
    except (SpaceError, TypeError, AttributeError):
        return config  # the later check reports what is wrong
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


def parse_value(text: str) -> Any:
    """The value of a word in the terminal: JSON, or else text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _send_request(journal: Journal, request: Request, wait: float) -> str:
    journal.header  # noqa: B018  # raises when there is no experiment
    store, root = locate_driver(journal)
    if current_holder(store) is None:
        if isinstance(request, PauseRequest):
            raise RequestRefused("No driver runs this experiment, so there is nothing to pause.")
        results = load(str(journal.folder))
        if results.finished:
            raise RequestRefused(
                f"The experiment is {results.state}.\n"
                "  help: to run more trials, resume it with more samples and --amend"
            )
    name = send_request(root, request)
    deadline = time.monotonic() + wait
    while True:
        holder = current_holder(store)
        reply = read_reply(root, name)
        if reply is not None:
            if not reply.accepted:
                raise RequestRefused(reply.text)
            return reply.text
        if holder is None:
            if isinstance(request, PauseRequest) and withdraw(root, name):
                raise RequestRefused("The driver of this experiment has ended, so there is nothing to pause.")
            return f"no driver runs this experiment: the request takes effect with {next_command(journal)}"
        if time.monotonic() >= deadline:
            return f"the driver ({holder}) has not read the request yet, and will do so later"
        time.sleep(POLL_SECONDS)


def locate_driver(journal: Journal) -> tuple[LeaseStore, Path]:
    """Return the lease store of a run, which names its driver, and the local folder that takes the driver's requests.

    Raises:
        RequestRefused: when the run is at an address and its local folder is not on this machine.
    """
    if not isinstance(journal.path, Address):
        return lease_store(journal.path), journal.path.parent
    root = Path(STORE) / journal.path.parent.name
    if not root.is_dir():
        raise RequestRefused(
            f"The run's local folder {root} does not exist here.\n"
            "  help: use the driver's machine and working directory"
        )
    return lease_store(journal.path), root


def _asked(why: str, by: str) -> str:
    """Who asks, and the reason if there is one."""
    return f"requested by {by or requester()}{f': {why}' if why else ''}"


def requester() -> str:
    """This account on this machine."""
    try:
        return f"{getpass.getuser()} on {platform.node()}"
    except (OSError, KeyError, ImportError):  # no account, as in a container, or no accounts, as on Windows
        return f"process {os.getpid()} on {platform.node()}"
