"""HTML for notebooks: an experiment, a trial, and the story of a trial."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING, Any, Final

from tunedsl.base import markup
from tunedsl.base.errors import NoResult
from tunedsl.base.printable import printable
from tunedsl.base.references import format_keywords, source_repr

if TYPE_CHECKING:
    from tunedsl.results.results import Results
    from tunedsl.results.trial import TrialResult

DIGITS: Final = 6
MAX_SHOWN: Final = 10
"""Trials in a table."""
MAX_CHARS: Final = 300
"""Characters of a value."""


def trial_html(trial: TrialResult) -> str:
    """HTML of a trial: status, configuration, last report, folders, and error."""
    parts = [
        markup.paragraph(
            f"(number {trial.number}): {trial.status} after {trial.iterations} iterations", f"trial {trial.id}"
        ),
        markup.table(((name, value_text(item)) for name, item in trial.config.items()), ("configuration", "")),
        markup.table(((name, value_text(item)) for name, item in trial.metrics.items()), ("last report", "")),
        markup.table(((name, value_text(item)) for name, item in trial.violations.items()), ("violation of", "")),
        markup.paragraph(trial.path, "folder"),
    ]
    if trial.checkpoint is not None:
        parts.append(markup.paragraph(trial.checkpoint, "checkpoint"))
    if trial.error is not None:
        parts.append(markup.preformatted(trial.error))
    return "".join(parts)


def results_html(results: Results) -> str:
    """HTML of an experiment: state, best trial, and a table of the best trials."""
    frame, goals = results.dataframe(), results.plan.objectives
    shown = f", the {MAX_SHOWN} {'best' if goals else 'first'} shown" if len(frame) > MAX_SHOWN else ""
    parts = [markup.paragraph(f"{results.state}, {results.stats.said}{shown}", f"{results.plan.name}:")]
    if goals:
        parts.append(_best(results))
    if results.feasibility is not None:
        parts.append(markup.paragraph(str(results.feasibility), "outcome constraints:"))
    if goals:
        frame = frame.iloc[results.order(goals[0])]
    rows = frame.head(MAX_SHOWN).map(lambda item: printable(item) if isinstance(item, str) else item)
    parts.append(rows.rename(columns=printable).to_html(index=False, max_cols=20, border=0))
    return "".join(parts)


def _best(results: Results) -> str:
    """The best trial in a line, or the reason why there is no best trial."""
    try:
        best = results.best
    except NoResult as reason:
        return markup.paragraph(reason, "no best trial:")
    goal = results.plan.objectives[0]
    score = results.reading.records[best.number].score(goal, "last")
    line = markup.paragraph(f"{goal.metric} {value_text(score)} in trial {best.id}: {value_text(best.config)}", "best")
    return line if results.peak is None else line + markup.paragraph(str(results.peak))


def value_text(item: Any) -> str:
    """A user's value in one line of limited length."""
    if isinstance(item, float):
        return f"{item:.{DIGITS}g}"
    if isinstance(item, str):
        plain = item
    else:
        plain = format_keywords(item, DIGITS) if type(item) is dict else source_repr(item)
    return shorten(plain, MAX_CHARS, placeholder=" ...") if len(plain) > MAX_CHARS else plain
