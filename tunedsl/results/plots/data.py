"""What pictures are drawn from: trials as columns, and parameters as numbers on an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.base.errors import NoResult
from tunedsl.base.objective import Objective
from tunedsl.base.references import format_keywords, source_repr
from tunedsl.base.types import Config, Mode
from tunedsl.results import frames
from tunedsl.results.feasibility import violation
from tunedsl.results.fidelity import Fidelity, highest, is_last, listed_counts, offered, reached, score_at
from tunedsl.results.plots import style
from tunedsl.results.ranking import rank
from tunedsl.results.selection import choose_objective, find_best, scores
from tunedsl.results.trial_history import RunHistory, Scope, TrialHistory
from tunedsl.spaces.domains import Domain
from tunedsl.spaces.layout import DeclaredParam, index_space

MAX_OPTIONS: Final = 24
"""Numbers of a choice beyond this many are an axis of numbers."""
ABSENT: Final = "(none)"


@attrs.frozen(eq=False)
class Axis:
    """A parameter over trials.

    Attributes:
        name: nested names joined by `/`.
        values: its number, or the place of its option; NaN where a trial has no such parameter.
        options: texts of its options, where it has some; empty for numbers.
        log: whether its domain is logarithmic, or where none says it, whether its values span powers of ten.
        whole: whether all its values are whole numbers.
    """

    name: str
    values: NDArray[np.float64]
    options: tuple[str, ...] = ()
    log: bool = False
    whole: bool = False

    @property
    def exists(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.values)

    @property
    def varies(self) -> bool:
        found = self.values[self.exists]
        return bool(len(found)) and (bool((found != found[0]).any()) or len(found) < len(self.values))

    @property
    def scaled(self) -> NDArray[np.float64]:
        """The values as they lie on an axis: logarithms of a logarithmic parameter."""
        return np.log10(self.values) if self.log else self.values


@attrs.frozen(eq=False)
class PlotTrials:
    """The trials of an experiment as columns, in the order proposed, compared by one number each.

    Attributes:
        values: the objective under the scope; NaN for a trial without one.
        ended: seconds at each one's last report; NaN before the first.
        fidelity: the iteration that all are compared at; None where each has its own last report.
        counts: how many trials came to each iteration where values end.
    """

    history: RunHistory
    objective: Objective
    scope: Scope
    records: Sequence[TrialHistory]
    values: NDArray[np.float64]
    ended: NDArray[np.float64]
    fidelity: int | None
    counts: dict[int, int]
    _axes: dict[str, Axis | None] = attrs.field(factory=dict, init=False, repr=False)

    @staticmethod
    def of(
        history: RunHistory,
        metric: str | None = None,
        mode: Mode | None = None,
        scope: Scope = "last",
        fidelity: Fidelity = "last",
    ) -> PlotTrials:
        """Read the trials of a run; raises `NoResult` when no trial has a finite value."""
        objective, own = choose_objective(history.plan, metric, mode), is_last(fidelity)
        scored = list(scores(history, objective, scope))
        records = [record for record, _ in scored]
        counts = reached(records, objective.metric)
        if not counts or (own and all(score is None for _, score in scored)):
            find_best(history, objective, scope)  # raises with the reason
        at = None if own else highest(counts) if fidelity == "auto" else int(fidelity)
        compared = [score if at is None else score_at(record, objective, scope, at) for record, score in scored]
        values = np.array([math.nan if score is None else score for score in compared])
        if not np.isfinite(values).any():
            raise NoResult(
                f"No trial has a finite {objective.metric!r} at iteration {at}; trials came to {listed_counts(counts)}."
            )
        ended = np.array([record.last_report_seconds for record in records])
        return PlotTrials(history, objective, scope, records, values, ended, at, counts)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def sign(self) -> float:
        return self.objective.sign

    @property
    def valued(self) -> NDArray[np.intp]:
        """The places of those that have a value."""
        return np.flatnonzero(np.isfinite(self.values))

    @property
    def ranked(self) -> NDArray[np.intp]:
        """The places of those that have a value, the best first, the earlier one among equals; failed ones last."""
        able = self.valued
        constraints = self.history.plan.constraints
        keys = [
            rank(self.records[place], self.values[place], self.objective, constraints, self.fidelity) for place in able
        ]
        return able[sorted(range(len(able)), key=keys.__getitem__)]

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Whether each trial meets the outcome constraints."""
        constraints = self.history.plan.constraints
        return np.array([violation(record, constraints, self.fidelity) == 0 for record in self.records], bool)

    @property
    def said(self) -> str:
        """The scope in words."""
        count = self.scope.removeprefix("last-").removesuffix("-avg")
        words = {"last": "last report", "all": "best report", "avg": "mean of all reports"}
        words |= {"last": "value"} if self.fidelity is not None else {}
        return words.get(self.scope, f"mean of the last {count} reports") + self._until

    @property
    def _until(self) -> str:
        if self.fidelity is None:
            return ""
        return f" {'at' if self.scope == 'last' else 'up to'} iteration {self.fidelity:,}"

    @property
    def named(self) -> str:
        """The metric, and where all trials are compared at one iteration that one; safe text for a title."""
        return f"{style.text(self.objective.metric)}{self._until}"

    @property
    def compared(self) -> str:
        """A note of which iterations the values are of, and which other ones could be compared."""
        valued = [self.records[place] for place in self.valued]
        ends = [reports for record in valued if (reports := record.iterations)]
        others = [f"{at:,}" for at in offered(self.counts) if at != self.fidelity]
        note = f"compared by the {self.said}{' of each trial' if self.fidelity is None else ''}"
        if self.fidelity is None:
            unequal = (
                f", from iteration {min(ends):,} to {max(ends):,}: fidelity={' or '.join(others)} compares equal ones"
            )
            return note + (unequal if min(ends) < max(ends) else "")
        total = sum(record.iterations > 0 for record in self.records)
        came = f"{note}, which {len(valued):,} of {total:,} trials reached"
        if not others and max(ends) == self.fidelity:
            return came
        return f"{came}; others by fidelity={', '.join([*others, repr('last')])}"

    def configs(self, places: Sequence[int] | NDArray[np.intp]) -> list[Config]:
        """The configurations that trained the values: those of the iteration compared, or of the last report."""
        return [frames.config_at(self.records[place], self.fidelity) for place in places]

    def axes(self, wanted: Sequence[str] | None = None) -> list[Axis]:
        """The parameters that are not the same in all trials, or those that are named.

        Raises:
            NoResult: for a name that is no parameter, or where none varies.
        """
        entries = {"/".join(entry.path): entry for entry in index_space(self.history.plan.space).params}
        for name in wanted or ():
            if name not in entries:
                raise NoResult(f"The space has no parameter {name!r}.\n  help: the parameters are {', '.join(entries)}")
        if not self._axes:
            configs = self.configs(range(len(self)))
            self._axes.update({name: _axis(name, entry, configs) for name, entry in entries.items()})
        found = [self._axes[name] for name in (entries if wanted is None else wanted)]
        kept = [axis for axis in found if axis is not None and (wanted is not None or axis.varies)]
        if not kept:
            raise NoResult("No parameter of the space has more than one value in these trials.")
        return kept


def _axis(name: str, entry: DeclaredParam, configs: Sequence[Config]) -> Axis | None:
    """A parameter as an axis, None where no trial has it."""
    items = [frames.parameter(config, entry) for config in configs]
    held = [item for item in items if item is not None]
    if not held:
        return None
    numeric = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in held)
    drawn = isinstance(entry.node, Domain) and hasattr(entry.node, "low")
    if numeric and (drawn or len(set(held)) > MAX_OPTIONS):
        values = np.array([math.nan if item is None else float(item) for item in items])
        found = values[~np.isnan(values)]
        said = isinstance(entry.node, Domain) and entry.node.log and bool((found > 0).all())
        log = said or (not drawn and style.is_log(found))
        return Axis(name, values, log=log, whole=bool((found == np.round(found)).all()) and all(map(_is_int, held)))
    texts = [None if item is None else item if isinstance(item, str) else source_repr(item) for item in items]
    options = sorted({each for each in texts if each is not None}, key=_order(items, texts, numeric))
    place = {option: index for index, option in enumerate(options)}
    return Axis(name, np.array([math.nan if each is None else place[each] for each in texts]), tuple(options))


def _is_int(item: Any) -> bool:
    return isinstance(item, int)


def _order(items: list[Any], texts: list[str | None], numeric: bool) -> Any:
    """Options that are numbers stand by their size, others by their name."""
    number = dict(zip(texts, items, strict=True)) if numeric else {}
    return (lambda option: number[option]) if numeric else (lambda option: option)


def described(record: TrialHistory, longest: int = 300) -> str:
    """A trial's configuration in a line."""
    plain = format_keywords(frames.config_of(record), 4)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"
