"""Evaluates conditions over the study, from an immutable tally of the reports and ends of trials.

The work for a report depends on the size of the condition, not on the number of trials. The kernel stores the tally.
"""

from __future__ import annotations

import bisect
import math
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import attrs
import immutables
import msgspec
import numpy as np

from tunedsl.base.diagnostics import must_be
from tunedsl.base.errors import FunctionError
from tunedsl.base.objective import Objective
from tunedsl.base.references import FunctionRef
from tunedsl.base.standard_types import scalar
from tunedsl.spaces.evaluation import compile_expr
from tunedsl.spaces.expressions import Expr, Or, leaves
from tunedsl.stopping.study import Best, Converged, Failing, NoImprovement, RegretBelow, StudyCalls, StudySummary, Total

States = tuple[Any, ...]
"""One state for each leaf of a condition, in their order."""


class StudyTally(msgspec.Struct, frozen=True):
    """The states of a condition's leaves, and keys that identify leaves in an amended condition."""

    identities: tuple[Any, ...]
    states: States


class TrialEnd(msgspec.Struct, frozen=True):
    """The end of a trial: failure or success, and the number of equal failures before any success."""

    trial: int
    failed: bool = False
    succeeded: bool = False
    alike: int = 0


class Improvement(msgspec.Struct, frozen=True):
    """The best value, the trial that reported it, and how many other trials have ended since."""

    value: float | None = None
    trial: int = -1
    since: int = 0


class TopValues(msgspec.Struct, frozen=True):
    """The best values so far, ascending, and the number of reports in a row at which they were close together."""

    values: tuple[float, ...] = ()
    is_close: bool = False
    in_a_row: int = 0


class EndedTrial(msgspec.Struct, frozen=True):
    """A trial's last loss, and the number of its reports with a finite one."""

    trial: int
    loss: float
    iteration: int


class RegretState(msgspec.Struct, frozen=True):
    """The data of a bound on the regret.

    Attributes:
        running: the trials that have not ended.
        ended: the trials that have, by their number in that order.
        bound: the newest bound; infinite before the first.
        bounded_at: the number of ended trials at the newest bound.
    """

    running: immutables.Map[int, EndedTrial] = immutables.Map()
    ended: immutables.Map[int, EndedTrial] = immutables.Map()
    bound: float = math.inf
    bounded_at: int = 0


def _better(sign: float, old: float | None, new: float, delta: float = 0) -> bool:
    return old is None or sign * (new - old) > delta


def _best_value(leaf: Best, state: float | None, sign: float, trial: int, value: float) -> float | None:
    return value if _better(sign, state, value) else state


def _total_value(leaf: Total, state: float, sign: float, trial: int, value: float) -> float:
    return state + value


def _improved(leaf: Any, state: Improvement, sign: float, trial: int, value: float) -> Improvement:
    delta = leaf.min_delta if isinstance(leaf, NoImprovement) else 0
    return Improvement(value, trial) if _better(sign, state.value, value, delta) else state


def _not_improved(leaf: Any, state: Improvement, end: TrialEnd) -> Improvement:
    if state.value is None or end.failed or end.trial == state.trial:
        return state
    return Improvement(state.value, state.trial, state.since + 1)


def _top_value(leaf: Converged, state: TopValues, sign: float, trial: int, value: float) -> TopValues:
    values, is_close = state.values, state.is_close
    worst = None if len(values) < leaf.top else values[0 if sign > 0 else -1]
    if worst is None or _better(sign, worst, value):
        place = bisect.bisect(values, value)
        values = (*values[:place], value, *values[place:])
        values = values[-leaf.top :] if sign > 0 else values[: leaf.top]
        is_close = len(values) == leaf.top and bool(np.std(values) <= leaf.std)
    return TopValues(values, is_close, state.in_a_row + 1 if is_close else 0)


def _last_loss(leaf: RegretBelow, state: RegretState, sign: float, trial: int, value: float) -> RegretState:
    known = state.running.get(trial)
    last = EndedTrial(trial, -sign * value, 1 if known is None else known.iteration + 1)
    return msgspec.structs.replace(state, running=state.running.set(trial, last))


def _with_ended(leaf: RegretBelow, state: RegretState, end: TrialEnd) -> RegretState:
    last = state.running.get(end.trial)
    if last is None:
        return state
    ended = state.ended if end.failed else state.ended.set(len(state.ended), last)
    return msgspec.structs.replace(state, running=state.running.delete(end.trial), ended=ended)


def _failed_alike(leaf: Failing, state: int, end: TrialEnd) -> int:
    return 0 if end.succeeded else max(state, end.alike)


@attrs.frozen
class LeafRules:
    """How one kind of leaf is evaluated.

    Attributes:
        initial: the state before the first report.
        read: `(leaf, state) -> value`, None while undecided.
        on_value: `(leaf, state, sign, trial, value) -> state`, for each finite value of its metric.
        on_end: `(leaf, state, end) -> state`, for each trial that ends.
    """

    initial: Any
    read: Callable[[Any, Any], Any] = lambda leaf, state: state
    on_value: Callable[[Any, Any, float, int, float], Any] | None = None
    on_end: Callable[[Any, Any, TrialEnd], Any] | None = None


_RULES: Final[dict[type[Expr], LeafRules]] = {
    Best: LeafRules(None, on_value=_best_value),
    Total: LeafRules(0.0, on_value=_total_value),
    NoImprovement: LeafRules(Improvement(), lambda leaf, state: state.since >= leaf.trials, _improved, _not_improved),
    Converged: LeafRules(
        TopValues(), lambda leaf, state: state.is_close and state.in_a_row >= leaf.patience, _top_value
    ),
    RegretBelow: LeafRules(RegretState(), lambda leaf, state: state.bound <= leaf.regret, _last_loss, _with_ended),
    Failing: LeafRules(0, lambda leaf, state: 0 < leaf.same <= state, on_end=_failed_alike),
    StudyCalls: LeafRules(Improvement(), on_value=_improved, on_end=_not_improved),
}


@attrs.frozen
class _Moment:
    """The input of a condition's evaluation; `failing` says whether equal failures count."""

    states: States
    summary: Callable[[Improvement], StudySummary]
    failing: bool = True


@attrs.frozen(eq=False)
class StudyCondition:
    """A condition over the study that is ready to be evaluated; see `compile_study`."""

    condition: Expr
    leaves: tuple[Expr, ...]
    metrics: tuple[str | None, ...]
    signs: tuple[float, ...]
    parts: tuple[tuple[Expr, Callable[[_Moment], Any]], ...]

    @property
    def counts_failures_only(self) -> bool:
        """Whether the condition changes only when a trial fails."""
        return all(isinstance(leaf, Failing) for leaf in self.leaves)

    @property
    def bounds_regret(self) -> bool:
        """Whether the condition needs `with_bounds`."""
        return any(isinstance(leaf, RegretBelow) for leaf in self.leaves)

    def initial(self) -> StudyTally:
        """The tally before the first report."""
        identities = tuple(zip(self.leaves, self.metrics, self.signs, strict=True))
        return StudyTally(identities, tuple(_RULES[type(leaf)].initial for leaf in self.leaves))

    def carried_over(self, earlier: StudyTally | None) -> StudyTally:
        """The tally of this condition after an amendment: common leaves keep their states, new ones start."""
        fresh = self.initial()
        known = {} if earlier is None else dict(zip(earlier.identities, earlier.states, strict=True))
        return StudyTally(fresh.identities, tuple(map(known.get, fresh.identities, fresh.states)))

    def after_report(
        self,
        tally: StudyTally,
        trial: int,
        keys: Sequence[str],
        rows: Iterable[Sequence[bool | float | str]],
        feasible: Sequence[bool] | None = None,
    ) -> StudyTally:
        """The tally after reports of one trial, in their order.

        Args:
            feasible: whether each row meets the outcome constraints; others count for totals only. None without any.
        """
        columns = [
            (index, keys.index(metric), _RULES[type(leaf)].on_value, leaf)
            for index, (leaf, metric) in enumerate(zip(self.leaves, self.metrics, strict=True))
            if metric in keys
        ]
        if not columns:
            return tally
        after = list(tally.states)
        for place, row in enumerate(rows):
            for index, column, on_value, leaf in columns:
                if feasible is not None and not feasible[place] and not isinstance(leaf, Total):
                    continue
                value = float(row[column])
                if math.isfinite(value) and on_value is not None:
                    after[index] = on_value(leaf, after[index], self.signs[index], trial, value)
        return StudyTally(tally.identities, tuple(after))

    def after_end(self, tally: StudyTally, end: TrialEnd) -> StudyTally:
        """The tally after the end of one trial."""
        rules = [
            (leaf, state, _RULES[type(leaf)].on_end) for leaf, state in zip(self.leaves, tally.states, strict=True)
        ]
        states = tuple(state if on_end is None else on_end(leaf, state, end) for leaf, state, on_end in rules)
        return StudyTally(tally.identities, states)

    def with_bounds(self, tally: StudyTally, bound: Callable[[tuple[EndedTrial, ...]], float]) -> StudyTally:
        """The tally with new bounds on the regret, if a tenth more trials have ended than at the last ones."""
        states = list(tally.states)
        for index, leaf in enumerate(self.leaves):
            state = states[index]
            if isinstance(leaf, RegretBelow) and len(state.ended) >= max(leaf.trials, 1.1 * state.bounded_at):
                ended = tuple(state.ended[place] for place in range(len(state.ended)))
                states[index] = msgspec.structs.replace(state, bound=bound(ended), bounded_at=len(ended))
        return StudyTally(tally.identities, tuple(states)) if states != list(tally.states) else tally

    def met(self, tally: StudyTally, summary: Callable[[Improvement], StudySummary]) -> tuple[Expr, bool] | None:
        """The first part of the condition that is met, and whether only failures met it; None if none is met.

        Args:
            tally: the tally of this condition.
            summary: makes the argument of user functions.

        Raises:
            Exception: what a user function raises.
        """
        for part, truth in self.parts:
            if truth(_Moment(tally.states, summary)) is True:
                return part, truth(_Moment(tally.states, summary, failing=False)) is not True
        return None

    def facts(self, tally: StudyTally, part: Expr) -> str:
        """A text with the values that a part compares; empty if it compares none."""
        by_leaf = dict(zip(self.leaves, tally.states, strict=True))
        values: dict[str, float | None] = {}
        for leaf in leaves(part):
            if isinstance(leaf, RegretBelow):
                values["the bound"] = by_leaf[leaf].bound
            elif isinstance(leaf, (Best, Total)):
                values[f"{'best' if isinstance(leaf, Best) else 'total'} {leaf.metric}"] = by_leaf[leaf]
        return ", ".join(f"{name} is {value:.6g}" for name, value in values.items() if value is not None)


@lru_cache(maxsize=64)
def compile_study(condition: Expr, objective: Objective | None) -> StudyCondition:
    """Compiles a condition over the study.

    Args:
        condition: the condition; its leaves name their metrics and directions.
        objective: the first objective, whose best value user functions receive.

    >>> from tunedsl.stopping import best, total
    >>> study = compile_study((best("loss", "min") < 0.1) | (total("usd") >= 5), None)
    >>> tally = study.after_report(study.initial(), 0, ("loss", "usd"), [(0.5, 2.0), (0.2, 3.0)])
    >>> part, _ = study.met(tally, lambda improvement: None)
    >>> part, study.facts(tally, part)
    (total('usd') >= 5, 'total usd is 5')
    """
    distinct = tuple(dict.fromkeys(leaf for leaf in leaves(condition) if type(leaf) in _RULES))
    goals = [objective if isinstance(leaf, StudyCalls) else leaf for leaf in distinct]
    return StudyCondition(
        condition,
        distinct,
        tuple(getattr(goal, "metric", None) for goal in goals),
        tuple(1.0 if getattr(goal, "mode", None) == "max" else -1.0 for goal in goals),
        tuple((part, compile_expr(part, lambda leaf: _reader(leaf, distinct))) for part in disjuncts(condition)),
    )


def _reader(leaf: Expr, distinct: Sequence[Expr]) -> Callable[[_Moment], Any]:
    """A function that returns the leaf's value at a moment, None while it is undecided."""
    place = distinct.index(leaf)
    if isinstance(leaf, StudyCalls):
        function = leaf.function
        return lambda moment: _call(function, moment.summary(moment.states[place]))
    read = _RULES[type(leaf)].read
    if isinstance(leaf, Failing):
        return lambda moment: moment.failing and read(leaf, moment.states[place])
    return lambda moment: read(leaf, moment.states[place])


def disjuncts(condition: Expr) -> tuple[Expr, ...]:
    """The parts of a condition that are joined by or at its top, from left to right."""
    if isinstance(condition, Or):
        return (*disjuncts(condition.left), *disjuncts(condition.right))
    return (condition,)


def _call(function: FunctionRef, summary: StudySummary) -> bool:
    code = function.resolve()
    try:
        found = scalar(code(summary))
        if not isinstance(found, bool):
            raise TypeError(must_be("its value", found, "True or False"))
        return found
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        who = f"{function.name} of until"
        raise FunctionError(who, "was called", None, reason, traceback.format_exc()) from error


def without_failures(tally: StudyTally) -> StudyTally:
    """The tally from which a resumed run continues: equal failures are counted from 0."""
    pairs = zip(tally.identities, tally.states, strict=True)
    return StudyTally(tally.identities, tuple(0 if isinstance(each[0], Failing) else state for each, state in pairs))
