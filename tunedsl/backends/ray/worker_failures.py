"""Why a worker died, as far as Ray and this machine say.

Ray's own memory monitor is told apart by Ray. The kernel's killer leaves nothing but a SIGKILL: on this machine it is
known by the kernel's count of such kills, on other nodes it counts as `lost`, which is all that Ray says.
"""

from __future__ import annotations

import re
from typing import Final

from ray.exceptions import ActorUnavailableError, NodeDiedError, OutOfMemoryError

from tunedsl.base.types import FailureKind
from tunedsl.kernel import Failed
from tunedsl.worker import Assignment, Message

LOW_MEMORY: Final = "running low on memory"
"""What Ray says where its memory monitor killed a worker; other deaths only mention it as possible."""
_USED: Final = re.compile(r"\bwas (\S+ used / \S+ limit)")
_PLACE: Final = re.compile(r"\bpid: (\d+).*?\bip: (\S+)", re.DOTALL)
_EXIT: Final = re.compile(r"Worker exit detail: (.*?)(?:\.? Some common causes.*)?$", re.DOTALL)
_SHUT_DOWN: Final = "node was terminated expectedly"
"""Ray's text about a node that was shut down and did not crash."""
_NO_CAUSE: Final = "End of file"
_MAX_TEXT: Final = 300


def failure_of(assignment: Assignment, error: Exception, killed: bool, preempted: bool = False) -> Message:
    """The message with the failure of the trial that a dead worker ran.

    Args:
        killed: whether the kernel has just killed a process for lack of memory.
        preempted: whether the worker's node was being drained.
    """
    kind, message = _cause(error, str(error).strip(), killed)
    if preempted and kind == "lost":
        kind = "preempted"
    given = dict(assignment.resources) if kind == "oom" else {}
    return Message(assignment.trial, assignment.attempt, Failed(0.0, assignment.trial, kind, message, "", given))


def is_out_of_memory(error: Exception) -> bool:
    """Whether Ray's memory monitor killed the worker."""
    return isinstance(error, OutOfMemoryError) or LOW_MEMORY in str(error)


def cause_of(error: Exception) -> str:
    """The cause of a worker's death, in one line."""
    return _cause(error, str(error).strip(), killed=False)[1]


def _cause(error: Exception, text: str, killed: bool) -> tuple[FailureKind, str]:
    if is_out_of_memory(error):
        used = _USED.search(text)
        return "oom", f"Ray killed its worker, since the node ran low on memory{f': {used[1]}' if used else ''}"
    place = _PLACE.search(text)
    where = f"its worker (pid {place[1]} on {place[2]})" if place else "its worker"
    if killed:
        return "oom", f"{where} was killed, and the kernel of this machine killed a process for lack of memory"
    if getattr(error, "preempted", False):
        return "preempted", f"the node of {where} was preempted"
    if _SHUT_DOWN in text:
        return "preempted", f"the node of {where} was shut down"
    if isinstance(error, NodeDiedError) or "node died" in text.lower():
        return "lost", f"the node of {where} has died"
    if isinstance(error, ActorUnavailableError):
        return "lost", f"{where} cannot be reached any more: its process or its node has died"
    found = _EXIT.search(text)
    if found is None:
        return "lost", f"{where} was lost: {type(error).__name__}: {text.splitlines()[0] if text else ''}"[:_MAX_TEXT]
    if _NO_CAUSE in found[1]:
        return "lost", f"{where} ended without a message: killed, crashed outside Python, or left by os._exit"
    return "lost", f"{where} ended: {' '.join(found[1].split())}"[:_MAX_TEXT]
