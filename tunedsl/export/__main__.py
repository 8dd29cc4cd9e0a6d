"""The process that delivers a run to its sinks; the first line of its input describes the run.

The input ends when the run or its process ends. Output is one JSON value per line: the number of records
delivered, or a message. Output of libraries goes to standard error.
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
    """Deliver records until the run has ended and every record is delivered."""
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
        with contextlib.suppress(OSError):  # the driver has exited
            print(json.dumps(message), file=answers)

    threading.Thread(target=listen, daemon=True).start()
    handles = [sink_handle(spec, say) for spec in codec.decode(task["sinks"])]
    dispatch_journal(location_of(task["home"]), handles, Path(task["root"]), over=over.is_set, delivered=say)


if __name__ == "__main__":
    main()
