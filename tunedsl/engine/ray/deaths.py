"""Why a worker died, as far as Ray and this machine say.

Ray's own memory monitor is told apart by Ray. The kernel's killer leaves nothing but a SIGKILL: on this machine it is
known by the kernel's count of such kills, on other nodes it counts as `lost`, which is what Ray says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError

from tunedsl.base.vocabulary import FailureKind
from tunedsl.kernel import Failed
from tunedsl.trainable import Assignment, Message

LOW_MEMORY: Final = "running low on memory"
"""What Ray says where its memory monitor killed a worker; other deaths only mention it as possible."""


def oom_kills() -> int:
    """How many processes this machine's kernel has killed for lack of memory; 0 where it does not say."""
    try:
        counts = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(counts.get("oom_kill", 0))


def failure_of(assignment: Assignment, error: Exception, killed: bool) -> Message:
    """The failure of the trial that a dead worker ran; `killed` says that the kernel killed for memory meanwhile."""
    text = str(error).strip()
    kind: FailureKind = "lost"
    if isinstance(error, OutOfMemoryError) or LOW_MEMORY in text:
        kind, what = "oom", "Ray killed its worker, since the node ran low on memory"
    elif killed:
        kind, what = "oom", "its worker was killed, and the kernel of this machine killed a process for lack of memory"
    elif getattr(error, "preempted", False):
        what = "its node was preempted"
    elif isinstance(error, NodeDiedError) or "node died" in text.lower():
        what = "its node died"
    else:
        what = "its worker died" if isinstance(error, RayActorError) else f"{type(error).__name__}"
    given = dict(assignment.resources) if kind == "oom" else {}
    event = Failed(0.0, assignment.trial, kind, what, text, given)
    return Message(assignment.trial, assignment.attempt, event)
