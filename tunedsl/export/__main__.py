"""The process in which sinks work beside a run: it is told of one by the first line of its input.

The input's end is the run's end, or that of the process that has it. Output is one JSON value a line: how many
records were told, or a message. What libraries print goes to standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from pathlib import Path

from tunedsl.base import codec
from tunedsl.export.delivery import sink_handle
from tunedsl.export.dispatch import dispatch_journal
from tunedsl.journal import location_of


def main() -> None:
    """Tells the sinks, until the run is over and all was told."""
    task = json.loads(sys.stdin.readline())
    with contextlib.suppress(OSError):
        os.nice(5)  # trials come first
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    over = threading.Event()

    def listen() -> None:
        while sys.stdin.readline():
            pass
        over.set()

    def say(message: str | int) -> None:
        with contextlib.suppress(OSError):  # nobody hears it any more
            print(json.dumps(message), file=answers)

    threading.Thread(target=listen, daemon=True).start()
    seats = [sink_handle(spec, say) for spec in codec.decode(task["sinks"])]
    dispatch_journal(location_of(task["home"]), seats, Path(task["root"]), over=over.is_set, told=say)


if __name__ == "__main__":
    main()
