"""The progress view: live on a terminal, elsewhere a plain line at intervals.

Events are only counted; what is seen is drawn while the driver waits, a few times a second.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TextIO

from tunedsl.base.codec import decode
from tunedsl.base.literals import listed
from tunedsl.kernel import Command, Event, State
from tunedsl.plan import Plan
from tunedsl.sinks.tally import Best, Tally

if TYPE_CHECKING:
    from rich.console import RenderableType

LINE_SECONDS: Final = 10.0
"""Between two plain lines."""
FRAME_SECONDS: Final = 0.25
"""Between two pictures on a terminal."""
DIGITS: Final = 6
"""Of numbers that are shown."""


class Silence:
    """Hears everything and says nothing."""

    def on_event(self, event: Event, commands: Sequence[Command], state: State) -> None: ...
    def on_wait(self, state: State) -> None: ...
    def on_notice(self, text: str) -> None: ...
    def close(self, state: State) -> None: ...


class Lines(Silence):
    """One line of text at intervals, and one at the end."""

    interval = LINE_SECONDS

    def __init__(self, plan: Plan, name: str, stream: TextIO) -> None:
        self.tally = Tally(plan)
        self.name = name
        self._stream = stream
        self._clock = (0.0, time.monotonic())
        self._shown = time.monotonic()

    def on_event(self, event: Event, commands: Sequence[Command], state: State) -> None:
        self.tally.take(event, commands, state)
        if event.seconds > self._clock[0]:
            self._clock = (event.seconds, time.monotonic())

    def on_wait(self, state: State) -> None:
        now = time.monotonic()
        if now - self._shown >= self.interval:
            self._shown = now
            with contextlib.suppress(OSError):  # a terminal that is gone does not end a run
                self.show(state)

    def on_notice(self, text: str) -> None:
        with contextlib.suppress(OSError):
            print(f"{self.name}: {text}", file=self._stream, flush=True)

    def close(self, state: State) -> None:
        with contextlib.suppress(OSError):
            self.show(state, last=True)

    def show(self, state: State, last: bool = False) -> None:
        """Shows how things stand; `last` when the run is over."""
        print(f"{self.name}: {', '.join(self.parts(state, last))}", file=self._stream, flush=True)

    def parts(self, state: State, last: bool) -> list[str]:
        """The line, part by part."""
        parts = [f"{state.ended + state.errored}/{self.tally.total} trials"]
        parts += [f"{count} {name}" for name, count in self.tally.counts(state).items()]
        parts += [f"{state.iterations} iterations", *self.times(state, last)]
        if self.tally.best is not None:
            parts.append(f"best {self.best(self.tally.best)} in trial {state.trials[self.tally.best.trial].name}")
        return parts

    def times(self, state: State, last: bool) -> list[str]:
        """Time gone by and, unless it is over, time left."""
        elapsed = self._clock[0] + (0.0 if last else time.monotonic() - self._clock[1])
        left = None if last else self.tally.left(state, elapsed)
        return [f"{clock(elapsed)} elapsed", *([] if left is None else [f"about {clock(left)} left"])]

    def best(self, best: Best) -> str:
        """The best value, with its metric."""
        return f"{self.tally.plan.objectives[0].metric}={best.value:.{DIGITS}g}"


class View(Lines):
    """A picture that is redrawn in its place."""

    interval = FRAME_SECONDS

    def __init__(self, plan: Plan, name: str, stream: TextIO) -> None:
        super().__init__(plan, name, stream)
        from rich.console import Console
        from rich.live import Live

        # What the user prints meanwhile goes above the picture, but never into another stream than it was for.
        self._live = Live(
            console=Console(file=stream), auto_refresh=False, redirect_stdout=sys.stdout.isatty(), redirect_stderr=True
        )

    def on_notice(self, text: str) -> None:
        if self._live.is_started:
            self._live.console.print(f"{self.name}: {text}", markup=False, highlight=False)
        else:
            super().on_notice(text)

    def close(self, state: State) -> None:
        super().close(state)
        with contextlib.suppress(OSError):
            self._live.stop()

    def show(self, state: State, last: bool = False) -> None:
        if not self._live.is_started:
            self._live.start()
        self._live.update(self.picture(state, last), refresh=True)

    def picture(self, state: State, last: bool = False) -> RenderableType:
        """A bar, and below it a line each for counts, the best trial and the last failure."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        over, total = state.ended + state.errored, self.tally.total
        head = Table.grid(padding=(0, 1))
        head.add_row(
            Text(self.name, "bold"), ProgressBar(total, over, 24), f"{over}/{total}", ", ".join(self.times(state, last))
        )
        counts = [f"{count} {name}" for name, count in self.tally.counts(state).items()]
        lines = [Text(", ".join([*counts, f"{state.iterations} iterations"]))]
        best, failure = self.tally.best, self.tally.failure
        if best is not None:
            trial = state.trials[best.trial]
            config = listed(decode(trial.config), DIGITS)
            lines.append(Text.assemble("best ", (self.best(best), "green"), f" in trial {trial.name}: {config}"))
        if failure is not None:
            name = state.trials[failure.trial].name
            lines.append(
                Text.assemble("last failure ", (f"{failure.kind}: {failure.message}", "red"), f" in trial {name}")
            )
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(head, *lines)


def progress(plan: Plan, name: str, stream: TextIO | None = None, quiet: bool = False) -> Silence:
    """A listener that shows how a run goes on.

    Args:
        name: what the run is called.
        stream: where to; standard error without it.
        quiet: whether to show nothing.
    """
    if quiet:
        return Silence()
    stream = stream or sys.stderr
    return (View if stream.isatty() else Lines)(plan, name, stream)


def clock(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`.

    >>> clock(7), clock(3725)
    ('0:07', '1:02:05')
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
