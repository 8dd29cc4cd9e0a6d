"""What the views of a run share, and the view that prints lines of text.

Events only update counters; the view is drawn while the driver waits, a few times a second.
"""

from __future__ import annotations

import contextlib
import heapq
import sys
import time
from collections.abc import Sequence
from typing import Final, TextIO

from tunedsl.base.printable import printable
from tunedsl.kernel import Command, Event, RunState
from tunedsl.plan import Plan
from tunedsl.views.counters import BestTrial, Counters

LINE_SECONDS: Final = 10.0
"""Between two plain lines."""
MAX_RUNNING: Final = 6
"""Running trials that are shown one by one."""
DIGITS: Final = 6
"""Of numbers that are shown."""


class NullView:
    """Shows nothing but warnings."""

    def begin(self, text: str) -> None: ...
    def on_event(self, event: Event, commands: Sequence[Command], state: RunState) -> None: ...
    def on_wait(self, state: RunState) -> None: ...
    def on_notice(self, text: str) -> None: ...
    def close(self, state: RunState, driven: bool = False) -> None: ...

    def on_warning(self, text: str) -> None:
        """Print an urgent notice, even when the view is quiet."""
        with contextlib.suppress(OSError):
            print(printable(f"tunedsl: warning: {text}"), file=sys.stderr, flush=True)


class ProgressView(NullView):
    """The base of the views: counts each event, and shows the run at intervals and at the end.

    A closed terminal or notebook does not end the run.
    """

    interval = LINE_SECONDS

    def __init__(self, plan: Plan, name: str) -> None:
        self.tally = Counters(plan)
        self.name = name
        self._clock = (0.0, time.monotonic())
        self._shown = time.monotonic()
        self._held = False

    def begin(self, text: str) -> None:
        """Show what the run is waiting for, before it starts."""
        self.on_notice(text)

    def on_warning(self, text: str) -> None:
        self.on_notice(f"warning: {text}")

    def show(self, state: RunState, last: bool = False) -> None:
        """Show the current state; `last` when the run is over."""
        raise NotImplementedError

    def on_event(self, event: Event, commands: Sequence[Command], state: RunState) -> None:
        self.tally.take(event, commands, state)
        if event.seconds > self._clock[0]:
            self._clock = (event.seconds, time.monotonic())

    def on_wait(self, state: RunState) -> None:
        now = time.monotonic()
        if now - self._shown >= self.interval:
            if not self._held and len(self.tally.running) < min(state.width, len(state.live)):
                self._held = True  # a trial is about to take a free place; while it runs, nothing may come to be shown
                return
            self._shown, self._held = now, False
            with contextlib.suppress(OSError):
                self.show(state)

    def close(self, state: RunState, driven: bool = False) -> None:
        """Show the final state; `driven` when only the view ends and the run continues."""
        with contextlib.suppress(OSError):
            self.show(state, last=not driven)

    def counts(self, last: bool) -> list[str]:
        """Trials by status; `last` when the run is over, or was interrupted."""
        return [f"{count:,} {status}" for status, count in self.tally.counts(driven=not last).items()]

    @property
    def over(self) -> int:
        """Number of trials that ended; cancelled trials are not counted."""
        return self.tally.statuses.over

    def times(self, state: RunState, last: bool) -> list[str]:
        """Elapsed and remaining time; at the end also whether the searcher is exhausted."""
        elapsed = self.elapsed(last)
        gone = f"{clock(elapsed)} elapsed"
        if last:
            return [gone, *(["the searcher has no more configurations"] if state.exhausted else [])]
        left = self.tally.left(state, elapsed)
        return [gone, *([] if left is None else [f"about {clock(left)} left"])]

    def elapsed(self, last: bool) -> float:
        """Seconds since the run began, downtime excluded; `last` when it is over."""
        return self._clock[0] + (0.0 if last else time.monotonic() - self._clock[1])

    def workers(self, state: RunState) -> str:
        """Number of busy workers."""
        return f"{min(len(self.tally.running), state.width)} of {state.width} workers busy"

    def running(self, state: RunState) -> list[tuple[str, int]]:
        """Name and reported iterations of the running trials, at most `MAX_RUNNING`."""
        shown = heapq.nsmallest(MAX_RUNNING, self.tally.running)
        return [(state.trials[number].name, state.trials[number].iteration) for number in shown]

    def reached(self, iteration: int) -> str:
        """The iteration of a trial, and the last iteration if it is known."""
        last = self.tally.last_iteration
        return f"iteration {iteration:,}" if last is None else f"iteration {iteration:,} of {last:,}"

    def more_running(self) -> int:
        """Number of running trials that are not shown."""
        return max(0, len(self.tally.running) - MAX_RUNNING)

    def budgets(self, state: RunState, last: bool) -> list[str]:
        """The used part of each budget."""
        budget = self.tally.plan.budget
        used = [
            ("time", clock(self.elapsed(last)), None if budget.seconds is None else clock(budget.seconds)),
            ("iterations", f"{state.iterations:,}", None if budget.iterations is None else f"{budget.iterations:,}"),
            ("failures", f"{state.errored_count:,}", None if budget.failures is None else f"{budget.failures:,}"),
        ]
        return [f"{name} {spent} of {most}" for name, spent, most in used if most is not None]

    def best(self, best: BestTrial) -> str:
        """The best value, with its metric."""
        infeasible = "" if best.feasible else " (infeasible)"
        return f"{self.tally.plan.objectives[0].metric}={best.value:.{DIGITS}g}{infeasible}"


class LineView(ProgressView):
    """One line of text at intervals, and one at the end."""

    def __init__(self, plan: Plan, name: str, stream: TextIO) -> None:
        super().__init__(plan, name)
        self._stream = stream

    def on_notice(self, text: str) -> None:
        with contextlib.suppress(OSError):
            print(printable(f"{self.name}: {text}"), file=self._stream, flush=True)

    def show(self, state: RunState, last: bool = False) -> None:
        parts = [f"{self.over}/{self.tally.total} trials", *self.counts(last)]
        parts += [f"{state.iterations} iterations", *self.times(state, last)]
        if self.tally.best is not None:
            parts.append(f"best {self.best(self.tally.best)} in trial {state.trials[self.tally.best.trial].name}")
        print(printable(f"{self.name}: {', '.join(parts)}"), file=self._stream, flush=True)


def clock(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`.

    >>> clock(7), clock(3725)
    ('0:07', '1:02:05')
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
