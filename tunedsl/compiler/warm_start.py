"""Replaces `warm_start(searcher, path)` by the results of the earlier experiment that fit, as part of the plan.

The caller of the compiler passes the function that reads journals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from tunedsl.base import codec
from tunedsl.base.diagnostics import Diagnostic, reason
from tunedsl.base.errors import CodecError, SpaceError, TunedslError
from tunedsl.base.objective import Objective
from tunedsl.base.references import Literal
from tunedsl.base.types import Config
from tunedsl.searchers import KnownResult, WarmStart, WithResults
from tunedsl.searchers.contract import ObservationStatus, is_combinator
from tunedsl.searchers.per_grid_cell import cell_space
from tunedsl.searchers.user_configs import fill_config
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.sampling import cell_count
from tunedsl.spaces.space import Space

_CELLS: Final = 100
_REASONS: Final = 3


@attrs.frozen
class PriorTrial:
    """A trial of an earlier experiment: its configuration, last report, last iteration, and how it ended."""

    config: Config
    metrics: Mapping[str, Any]
    iteration: int
    status: ObservationStatus


PriorReader = Callable[[str], Iterable[PriorTrial]]


def with_prior_results(
    spec: Any, space: Space, objectives: tuple[Objective, ...], read: PriorReader | None
) -> tuple[Any, list[Diagnostic]]:
    """A searcher's spec with the results in place of each `warm_start`, and diagnostics about them.

    Args:
        spec: the spec of any searcher or combinator.
        space: the space of the new experiment.
        objectives: the objectives of the new experiment.
        read: reads the trials of an experiment's folder; raises `TunedslError`.
    """
    found: list[Diagnostic] = []

    def visit(part: Any) -> Any:
        if not is_combinator(part):
            return part
        changed = attrs.evolve(
            part, **{field.name: visit(getattr(part, field.name)) for field in attrs.fields(type(part))}
        )
        return _prior_results(changed, space, objectives, read, found) if isinstance(changed, WarmStart) else changed

    return visit(spec), found


def _prior_results(
    spec: WarmStart, space: Space, objectives: tuple[Objective, ...], read: PriorReader | None, found: list[Diagnostic]
) -> WithResults:
    try:
        if read is None:
            raise TunedslError("No reader of journals was passed.")
        past = list(read(spec.path))
    except TunedslError as error:
        message = f"{spec!r} cannot read earlier results: {reason(error)}."
        found.append(Diagnostic("E082", "searcher", message, "give the folder of an earlier experiment"))
        return WithResults(spec.searcher, ())
    layout = resolve_space(space)
    layouts = [resolve_space(cell_space(layout, cell)) for cell in range(min(cell_count(layout), _CELLS))]
    results: list[KnownResult] = []
    reasons: dict[str, list[str]] = {}
    for trial in past:
        try:
            results.append(_result(trial, layouts, objectives))
        except (SpaceError, CodecError) as error:
            # All invalid values of one parameter count as one reason.
            subject = getattr(error, "subject", "")
            why = reason(error)
            reasons.setdefault(subject if subject.startswith("space.") else why, []).append(why)
    if reasons or not past:
        frequent = sorted(reasons.values(), key=len, reverse=True)[:_REASONS]
        texts = [f"{len(same)} ({same[0]}{', or similar' * (len(set(same)) > 1)})" for same in frequent]
        more = len(reasons) - len(texts)
        unused = ", ".join([*texts, *([f"and {more} more reasons"] if more > 0 else [])])
        text = f"Unused trials: {unused}." if past else "The run has no trials."
        message = f"{spec!r} uses {len(results)} of {len(past)} trials. {text}"
        hint = "it can use ended trials that have the parameters and objectives of this experiment"
        found.append(Diagnostic("W080", "searcher", message, hint))
    return WithResults(spec.searcher, tuple(results))


def _result(trial: PriorTrial, layouts: list[Layout], objectives: tuple[Objective, ...]) -> KnownResult:
    """A trial as a result in this space; raises `SpaceError` with the reason if it does not fit."""
    if trial.status == "reported":
        raise SpaceError("The trial has not ended.")
    missing = [goal.metric for goal in objectives if goal.metric not in trial.metrics]
    if missing and trial.status != "failed":
        raise SpaceError(f"The trial did not report {', '.join(missing)}.")
    values = tuple(float(trial.metrics.get(goal.metric, float("nan"))) for goal in objectives)
    why: SpaceError | None = None
    for layout in layouts:
        try:
            config = fill_config(layout, trial.config, 0, 0, require_all=True, allow_unknown=True)
        except SpaceError as error:
            why = why or error
            continue
        return KnownResult(Literal.of(codec.decode(codec.encode(config))), values, trial.iteration, trial.status)
    raise why or SpaceError("The grid has no cell.")
