"""The schedule of configurations that trained a trial's weights, over all takeovers.

Read from a journal, or from the policy file that Ray Tune writes for a trial of its PBT.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

from tunedsl.base import codec
from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import NoResult
from tunedsl.base.references import find_loaded
from tunedsl.base.types import Config, Json
from tunedsl.journal import Journal
from tunedsl.kernel import CopyCheckpoint, Failed, Proposed, Reported, Saved

Policy = tuple[tuple[int, Config], ...]
_Encoded = tuple[tuple[int, dict[str, Json]], ...]


@attrs.define
class _Line:
    """One trial so far: the schedule of its weights, and of those in its newest checkpoint.

    Attributes:
        began, length: its own iteration at its last takeover, and how long its weights had been trained then.
        saved: schedule and length of the checkpoint.
    """

    schedule: _Encoded
    began: int = 0
    length: int = 0
    iteration: int = 0
    saved: tuple[_Encoded, int] = ((), 0)

    def trained(self, iteration: int) -> int:
        return self.length + iteration - self.began


def policy_of(journal: Journal, trial: int) -> tuple[Policy, int]:
    """The schedule that trained a trial's last weights, and its length in iterations.

    Returns:
        Iterations of training, starting at 0, with the configuration after each; and their total, including donors'.
    """
    lines: dict[int, _Line] = {}
    for record in journal.records():
        event = record.e
        if isinstance(event, Proposed):
            lines[event.trial] = _Line(((0, event.config),))
        elif isinstance(event, Reported):
            lines[event.trial].iteration = event.last
        if isinstance(event, Saved) or (isinstance(event, (Reported, Failed)) and event.saved):
            line = lines[event.trial]
            at = event.iteration if isinstance(event, Saved) else line.iteration
            line.saved = (line.schedule, line.trained(at))
        for command in record.c:
            if isinstance(command, CopyCheckpoint):
                line = lines[command.trial]
                schedule, length = lines[command.donor].saved
                line.schedule = (*schedule, (length, command.config))
                line.began, line.length, line.saved = line.iteration, length, (line.schedule, length)
    line = lines[trial]
    total = line.trained(line.iteration)
    held = dict(entry for entry in line.schedule if entry[0] < total or entry[0] == 0)  # the later of equal ones
    return tuple((at, codec.decode(config, find_loaded)) for at, config in held.items()), total


def ray_policy(path: str | Path) -> Policy:
    """The schedule in a policy file that Ray Tune's PBT wrote (`pbt_policy_*.txt`), for `pbt_replay`.

    Args:
        path: of the file: a JSON array a line, of old and new tag, old and new step, old and new configuration.

    Returns:
        Iterations, with the configuration after each; the first iteration is 0.

    Raises:
        NoResult: when there is no such file, or it holds something else.
    """
    try:
        rows = [json.loads(line) for line in Path(path).expanduser().read_text().splitlines() if line.strip()]
        policy: list[tuple[int, Config]] = []
        first: Any = None
        tag = None
        for old_tag, new_tag, _, step, old, new in reversed(rows):
            if tag is not None and old_tag != tag:
                break  # what was before was overwritten by this takeover
            tag, first = new_tag, old
            policy.append((int(step), dict(new)))
        if first is None:
            raise ValueError("it is empty")
        return ((0, dict(first)), *reversed(policy))
    except (OSError, ValueError, TypeError) as error:
        raise NoResult(f"The file {path} is not a policy file of Ray Tune's PBT: {reason(error)}.") from None
