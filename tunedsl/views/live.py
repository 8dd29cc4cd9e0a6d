"""The view on a terminal: a picture that is redrawn in its place a few times a second."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Final, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tunedsl.base.codec import decode
from tunedsl.base.printable import printable
from tunedsl.base.references import format_keywords
from tunedsl.kernel import RunState
from tunedsl.plan import Plan
from tunedsl.views.base import DIGITS, ProgressView

FRAME_SECONDS: Final = 0.25
"""Between two pictures."""
BAR: Final = 24
CURVE: Final = 40
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


class LiveView(ProgressView):
    """A bar; below it times, workers, trials by state, budgets, the best, the last failures, and who runs.

    The bar counts iterations where every trial's last one is known, and trials where not.
    """

    interval = FRAME_SECONDS

    def __init__(self, plan: Plan, name: str, stream: TextIO) -> None:
        super().__init__(plan, name)
        # What the user prints meanwhile goes above the picture, but never into another stream than it was for.
        self._live = Live(
            console=Console(file=stream), auto_refresh=False, redirect_stdout=sys.stdout.isatty(), redirect_stderr=True
        )

    def on_notice(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._live.console.print(printable(f"{self.name}: {text}"), markup=False, highlight=False)

    def close(self, state: RunState, driven: bool = False) -> None:
        super().close(state, driven)
        with contextlib.suppress(OSError):
            self._live.stop()

    def show(self, state: RunState, last: bool = False) -> None:
        if not self._live.is_started:
            self._live.start()
        self._live.update(self.picture(state, last), refresh=True)

    def picture(self, state: RunState, last: bool = False) -> RenderableType:
        """The whole view; each line is cut where the terminal ends."""
        over, whole = self.over, self.tally.total
        done, most = self.tally.progress
        head = Table.grid(padding=(0, 1))
        head.add_row(Text(self.name, "bold"), ProgressBar(most, done, BAR), f"{over:,}/{whole:,}")
        times = [*self.times(state, last), *([] if last else [self.workers(state)])]
        counts = [*self.counts(last), f"{state.iterations:,} iterations"]
        lines = [Text(", ".join(times)), Text(", ".join(counts))]
        budgets = self.budgets(state, last)
        if budgets:
            lines.append(Text(f"budget: {', '.join(budgets)}"))
        best = self.tally.best
        if best is not None:
            trial = state.trials[best.trial]
            curve = sparkline(self.tally.history, self.elapsed(last), CURVE)
            lines.append(Text.assemble("best ", (self.best(best), "green"), "  ", (curve, "cyan")))
            lines.append(Text(f"  trial {trial.name}: {format_keywords(decode(trial.config), DIGITS)}"))
        for failure in self.tally.failures:
            what = f"{failure.kind}: {failure.message}".partition("\n")[0]
            lines.append(Text.assemble(f"failed {state.trials[failure.trial].name}  ", (what, "red")))
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(head, *lines, *([] if last else self._running(state)))

    def _running(self, state: RunState) -> Sequence[RenderableType]:
        """A line for each running trial, with a bar where its last iteration is known."""
        trials, last, more = self.running(state), self.tally.last_iteration, self.more_running()
        table = Table.grid(padding=(0, 1))
        for name, iteration in trials:
            bar = [] if last is None else [ProgressBar(last, min(iteration, last), BAR)]
            table.add_row(Text(f"running {name}", no_wrap=True), *bar, Text(self.reached(iteration), no_wrap=True))
        return [table] * bool(trials) + [Text(f"and {more:,} more")] * bool(more)


def sparkline(history: Sequence[tuple[float, float]], seconds: float, width: int) -> str:
    """Values over time as a line of blocks, the lowest block for the least value.

    Args:
        history: seconds and values, in order of time.
        seconds: where the line ends.
        width: columns; fewer where there are fewer than two values.

    >>> sparkline([(0, 4.0), (5, 2.0), (8, 0.0)], 10, 10)
    '█████▅▅▅▁▁'
    """
    if len(history) < 2:
        return ""
    values, at = [], 0
    for column in range(width):
        while at + 1 < len(history) and history[at + 1][0] <= seconds * column / width:
            at += 1
        values.append(history[at][1])
    values[-1] = history[-1][1]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BLOCKS[round((value - low) / span * (len(_BLOCKS) - 1))] for value in values)
