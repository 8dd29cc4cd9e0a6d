"""The view in a notebook: one piece of HTML that is put in its own place again once a second."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any, Final

from tunedsl.base.codec import decode
from tunedsl.base.references import format_keywords
from tunedsl.kernel import RunState
from tunedsl.plan import Plan
from tunedsl.views.base import DIGITS, ProgressView

FRAME_SECONDS: Final = 1.0
WIDTH, HEIGHT = 360, 60


class NotebookView(ProgressView):
    """A bar and a table: times, workers, trials by state, budgets, the best with its curve, the last failures."""

    interval = FRAME_SECONDS

    def __init__(self, plan: Plan, name: str) -> None:
        from IPython import display

        super().__init__(plan, name)
        self._html: Any = display.HTML
        self._display: Any = display.display
        self._handle: Any = None
        self._notices: list[str] = []
        self._shown = -math.inf

    def begin(self, text: str) -> None:
        self._put(f"<b>{html.escape(self.name)}</b> {html.escape(text)}")

    def on_notice(self, text: str) -> None:
        self._notices.append(text)

    def show(self, state: RunState, last: bool = False) -> None:
        self._put(self.page(state, last))

    def _put(self, content: str) -> None:
        page = self._html(content)
        if self._handle is None:
            self._handle = self._display(page, display_id=True)
        else:
            self._handle.update(page)

    def page(self, state: RunState, last: bool = False) -> str:
        """The whole view as HTML; everything that a user has named is escaped."""
        over, whole = self.over, self.tally.total
        done, most = self.tally.progress
        rows = [
            ("time", ", ".join(self.times(state, last))),
            ("trials", ", ".join(self.counts(last))),
            ("iterations", f"{state.iterations:,}"),
        ]
        if not last:
            rows.insert(1, ("workers", self.workers(state)))
            rows += [("running", f"{name}: {self.reached(iteration)}") for name, iteration in self.running(state)]
            if self.more_running():
                rows.append(("", f"and {self.more_running():,} more"))
        budgets = self.budgets(state, last)
        if budgets:
            rows.append(("budget", ", ".join(budgets)))
        best = self.tally.best
        if best is not None:
            trial = state.trials[best.trial]
            rows.append(
                ("best", f"{self.best(best)} in trial {trial.name}: {format_keywords(decode(trial.config), DIGITS)}")
            )
        for failure in self.tally.failures:
            rows.append(("failed", f"{state.trials[failure.trial].name}: {failure.kind}: {failure.message}"))
        rows += [("note", text) for text in self._notices]
        cells = "".join(
            f'<tr><th style="text-align:left;padding-right:1em">{name}</th>'
            f'<td style="text-align:left">{html.escape(text)}</td></tr>'
            for name, text in rows
        )
        return (
            f"<div><b>{html.escape(self.name)}</b> "
            f'<progress max="{max(most, 1)}" value="{done}"></progress> {over:,}/{whole:,}'
            f"<table>{cells}</table>{curve(self.tally.history, self.elapsed(last))}</div>"
        )


def curve(history: Sequence[tuple[float, float]], seconds: float) -> str:
    """The best over time as a small SVG picture with its greatest and least value; empty below two values."""
    if len(history) < 2:
        return ""
    low, high = min(value for _, value in history), max(value for _, value in history)
    across, up = WIDTH / max(seconds, history[-1][0], 1e-9), HEIGHT / ((high - low) or 1.0)
    points, before = [], history[0][1]
    for at, value in [*history, (max(seconds, history[-1][0]), history[-1][1])]:
        points += [f"{at * across:.1f},{(high - before) * up:.1f}", f"{at * across:.1f},{(high - value) * up:.1f}"]
        before = value
    return (
        f'<svg width="{WIDTH + 90}" height="{HEIGHT + 20}" role="img" aria-label="the best over time">'
        f'<g transform="translate(2,10)"><polyline fill="none" stroke="#1f77b4" stroke-width="1.5" '
        f'points="{" ".join(points)}"/>'
        f'<text x="{WIDTH + 6}" y="4" font-size="11" fill="currentColor">{high:.4g}</text>'
        f'<text x="{WIDTH + 6}" y="{HEIGHT}" font-size="11" fill="currentColor">{low:.4g}</text></g></svg>'
    )
