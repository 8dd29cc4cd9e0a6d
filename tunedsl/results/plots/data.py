"""What pictures are drawn from: trials as columns, and parameters as numbers on an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.base.errors import NoResult
from tunedsl.base.objective import Objective
from tunedsl.base.references import format_keywords, source_repr
from tunedsl.base.types import Config, Mode
from tunedsl.results import frames
from tunedsl.results.ranking import rank
from tunedsl.results.trial_history import Scope, TrialHistory
from tunedsl.spaces.domains import Domain
from tunedsl.spaces.layout import DeclaredParam, index_space

if TYPE_CHECKING:
    from tunedsl.results.results import Results

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
        log: whether its domain is logarithmic.
    """

    name: str
    values: NDArray[np.float64]
    options: tuple[str, ...] = ()
    log: bool = False

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
        values: the objective under the scope; NaN where there is none.
        ended: seconds at each one's last report; NaN before the first.
    """

    results: Results
    objective: Objective
    scope: Scope
    records: Sequence[TrialHistory]
    values: NDArray[np.float64]
    ended: NDArray[np.float64]
    _axes: dict[str, Axis | None] = attrs.field(factory=dict, init=False, repr=False)

    @staticmethod
    def of(results: Results, metric: str | None = None, mode: Mode | None = None, scope: Scope = "last") -> PlotTrials:
        """Reads them; raises `NoResult` when no trial has a finite value."""
        objective = results.objective(metric, mode)
        scored = list(results.scores(objective, scope))
        values = np.array([math.nan if score is None else score for _, score in scored])
        if not np.isfinite(values).any():
            results.best_trial(metric, mode, scope)  # says why there is none
        records = [record for record, _ in scored]
        ended = [record.has_reports for record in records]
        return PlotTrials(results, objective, scope, records, values, np.array(ended))

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
        keys = [rank(self.records[place], self.values[place], self.objective) for place in able]
        return able[sorted(range(len(able)), key=keys.__getitem__)]

    @property
    def said(self) -> str:
        """The scope in words."""
        count = self.scope.removeprefix("last-").removesuffix("-avg")
        words = {"last": "last report", "all": "best report", "avg": "mean of all reports"}
        return words.get(self.scope, f"mean of the last {count} reports")

    def configs(self, places: Sequence[int] | NDArray[np.intp]) -> list[Config]:
        return [frames.config_of(self.records[place]) for place in places]

    def axes(self, wanted: Sequence[str] | None = None) -> list[Axis]:
        """The parameters that are not the same in all trials, or those that are named.

        Raises:
            NoResult: for a name that is no parameter, or where none varies.
        """
        entries = {"/".join(entry.path): entry for entry in index_space(self.results.plan.space).params}
        for name in wanted or ():
            if name not in entries:
                raise NoResult(f"there is no parameter {name!r}: there are {', '.join(entries)}")
        if not self._axes:
            configs = self.configs(range(len(self)))
            self._axes.update({name: _axis(name, entry, configs) for name, entry in entries.items()})
        found = [self._axes[name] for name in (entries if wanted is None else wanted)]
        kept = [axis for axis in found if axis is not None and (wanted is not None or axis.varies)]
        if not kept:
            raise NoResult("no parameter of the space has more than one value in these trials")
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
        log = isinstance(entry.node, Domain) and entry.node.log and bool((values[~np.isnan(values)] > 0).all())
        return Axis(name, values, log=log)
    texts = [None if item is None else item if isinstance(item, str) else source_repr(item) for item in items]
    options = sorted({each for each in texts if each is not None}, key=_order(items, texts, numeric))
    place = {option: index for index, option in enumerate(options)}
    return Axis(name, np.array([math.nan if each is None else place[each] for each in texts]), tuple(options))


def _order(items: list[Any], texts: list[str | None], numeric: bool) -> Any:
    """Options that are numbers stand by their size, others by their name."""
    number = dict(zip(texts, items, strict=True)) if numeric else {}
    return (lambda option: number[option]) if numeric else (lambda option: option)


def described(record: TrialHistory, longest: int = 300) -> str:
    """A trial's configuration in a line."""
    plain = format_keywords(frames.config_of(record), 4)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"
