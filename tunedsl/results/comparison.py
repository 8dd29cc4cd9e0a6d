"""Comparison of two experiments: configurations, outcomes, and the differences of their plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from tunedsl.base import markup
from tunedsl.base.errors import NoResult, wrong_value
from tunedsl.base.references import format_keywords, source_repr
from tunedsl.plan import Diff, diff

if TYPE_CHECKING:
    import pandas as pd

    from tunedsl.results.results import Results

DIGITS = 6


@attrs.frozen(repr=False)
class Comparison:
    """Outcomes of two experiments, side by side.

    Attributes:
        names: labels: the names of the folders or experiments, or the paths, whichever differ.
        rows: name, and the value in each experiment; None for a missing value.
        diff: differences of the second plan from the first.
    """

    names: tuple[str, str]
    rows: tuple[tuple[str, Any, Any], ...]
    diff: Diff

    @property
    def frame(self) -> pd.DataFrame:
        """One row per fact, by its name; one column per experiment."""
        import pandas as pd

        content = {name: [row[place] for row in self.rows] for place, name in enumerate(self.names, 1)}
        return pd.DataFrame(content, index=pd.Index([row[0] for row in self.rows], name="what"), dtype=object)

    def __str__(self) -> str:
        cells = [("", *self.names), *((name, _text(one), _text(two)) for name, one, two in self.rows)]
        widths = [max(len(row[place]) for row in cells) for place in range(3)]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        return "\n".join([*table, "", "plans:", *(f"  {line}" for line in str(self.diff).splitlines())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = ((name, _text(one), _text(two)) for name, one, two in self.rows)
        return markup.table(rows, ("", *self.names)) + self.diff._repr_html_()


def compare(one: Results, two: Results) -> Comparison:
    """Puts two results side by side; see `Results.compare`."""
    from tunedsl.results.results import Results

    if not isinstance(two, Results):
        raise wrong_value("compare.other", two, "results", "load(path) returns the results of a run")
    named = ((each.path.name, each.plan.name, str(each.path)) for each in (one, two))
    names = next((pair for pair in zip(*named, strict=True) if pair[0] != pair[1]), ("first", "second"))
    facts = _facts(one), _facts(two)
    rows = [(name, facts[0].get(name), facts[1].get(name)) for name in dict.fromkeys((*facts[0], *facts[1]))]
    return Comparison(names, tuple(rows), diff(one.plan, two.plan))


def _facts(results: Results) -> dict[str, Any]:
    stats = results.stats
    facts: dict[str, Any] = {"state": results.state}
    for goal in results.plan.objectives:
        try:
            best = results.best_trial(goal.metric, goal.mode, "last")
        except NoResult as reason:
            facts[f"best {goal.metric} ({goal.mode}, last)"] = str(reason)
            continue
        facts[f"best {goal.metric} ({goal.mode}, last)"] = best.metrics[goal.metric]
        if results.plan.constraints and not best.feasible:
            facts[f"best {goal.metric} ({goal.mode}, last)"] = f"{best.metrics[goal.metric]:.{DIGITS}g}, infeasible"
        facts[f"its trial, for {goal.metric}"] = best.id
        facts[f"its configuration, for {goal.metric}"] = format_keywords(best.config, DIGITS)
    if results.feasibility is not None:
        facts["trials feasible"] = results.feasibility.feasible
    facts |= {
        "trials": stats.trials,
        **{f"trials {name}": count for name, count in stats.statuses.items()},
        "iterations": stats.iterations,
        "seconds": stats.seconds,
        "seconds of training": stats.training_seconds,
        "seed": results.plan.seed,
    }
    return facts


def _text(item: Any) -> str:
    if item is None:
        return "-"
    return f"{item:.{DIGITS}g}" if isinstance(item, float) else item if isinstance(item, str) else source_repr(item)
