"""Replaces `warm_start(searcher, *paths)` by the results of earlier runs that fit, as part of the plan.

The caller of the compiler passes the function that reads journals.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import attrs
import numpy as np

from tunedsl.base import codec
from tunedsl.base.diagnostics import Diagnostic, reason
from tunedsl.base.errors import CodecError, SpaceError, TunedslError
from tunedsl.base.objective import Objective, total_violation
from tunedsl.base.pareto import nondominated_order
from tunedsl.base.references import Literal as LiteralValue
from tunedsl.base.types import Config, FailureKind
from tunedsl.searchers import KnownResult, PriorRun, TryFirst, WarmStart, WarmStarted, WithResults
from tunedsl.searchers.contract import ObservationStatus, is_combinator, searcher_of
from tunedsl.searchers.per_grid_cell import cell_space
from tunedsl.searchers.user_configs import fill_config
from tunedsl.spaces.domains import Branch
from tunedsl.spaces.encoding import column_values
from tunedsl.spaces.expressions import Compare
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.sampling import cell_count
from tunedsl.spaces.space import Space
from tunedsl.stopping.constraints import compile_constraints

_CELLS: Final = 100
_REASONS: Final = 3
_MAX_FIRST: Final = 6
"""The most runs whose best configurations are tried first: one of each, because it shows whether a run is related."""


@attrs.frozen
class PriorTrial:
    """A trial of an earlier experiment: its configuration, newest metrics, last iteration, and how it ended."""

    config: Config
    metrics: Mapping[str, Any]
    iteration: int
    status: ObservationStatus
    failure: FailureKind | Literal[""] = ""


PriorReader = Callable[[str], Iterable[PriorTrial]]


def with_prior_results(
    spec: Any,
    space: Space,
    objectives: tuple[Objective, ...],
    read: PriorReader | None,
    constraints: tuple[Compare, ...] = (),
) -> tuple[Any, list[Diagnostic]]:
    """A searcher's spec with the results in place of each `warm_start`, and diagnostics about them.

    Args:
        spec: the spec of any searcher or combinator.
        space: the space of the new experiment.
        objectives: the objectives of the new experiment.
        read: reads the trials of an experiment's folder; raises `TunedslError`.
        constraints: the outcome constraints of the new experiment.
    """
    found: list[Diagnostic] = []

    def visit(part: Any) -> Any:
        if not is_combinator(part):
            return part
        changed = attrs.evolve(
            part, **{field.name: visit(getattr(part, field.name)) for field in attrs.fields(type(part))}
        )
        if not isinstance(changed, WarmStart):
            return changed
        return _prior_results(changed, space, objectives, read, found, constraints)

    return visit(spec), found


def _prior_results(
    spec: WarmStart,
    space: Space,
    objectives: tuple[Objective, ...],
    read: PriorReader | None,
    found: list[Diagnostic],
    constraints: tuple[Compare, ...],
) -> Any:
    layout, weighs = resolve_space(space), searcher_of(spec.searcher).learn_run is not None
    runs: list[PriorRun] = []
    for path in spec.paths:
        try:
            if read is None:
                raise TunedslError("No reader of journals was passed.")
            past = list(read(path))
        except TunedslError as error:
            message = f"{spec!r} cannot read earlier results of {path!r}: {reason(error)}."
            found.append(Diagnostic("E082", "searcher", message, "give the folder of an earlier experiment"))
            continue
        results, message = _results(past, layout, objectives, weighs, constraints)
        runs.append(PriorRun(path, tuple(results)))
        if message:
            hint = "it can use ended trials that have the parameters and objectives of this experiment"
            found.append(Diagnostic("W080", "searcher", f"warm_start(...) of {path!r} {message}", hint))
    if weighs:
        inner: Any = WarmStarted(spec.searcher, tuple(runs))
    else:
        inner = WithResults(spec.searcher, tuple(each for run in runs for each in run.results))
    best = _best_configs(runs, objectives)
    return TryFirst(inner, best) if best else inner


def _results(
    past: list[PriorTrial],
    layout: Layout,
    objectives: tuple[Objective, ...],
    weighs: bool,
    constraints: tuple[Compare, ...],
) -> tuple[list[KnownResult], str]:
    """The results of a run that fit, and what to say about the others; a model that weighs runs takes partial ones."""
    layouts = [resolve_space(cell_space(layout, cell)) for cell in range(min(cell_count(layout), _CELLS))]
    results: list[KnownResult] = []
    unused: dict[str, list[str]] = {}
    partial: dict[str, list[str]] = {}
    for trial in past:
        try:
            result, lacks = _result(trial, layouts, objectives, constraints, weighs)
            results.append(result)
            if lacks:
                partial.setdefault(lacks, []).append(lacks)
        except (SpaceError, CodecError) as error:
            # All invalid values of one parameter count as one reason.
            subject = getattr(error, "subject", "")
            why = reason(error)
            unused.setdefault(subject if subject.startswith("space.") else why, []).append(why)
    if past and not unused and not partial:
        return results, ""
    texts = [
        *([f"Unused trials: {_frequent(unused)}."] if unused else []),
        *([f"Partly known: {_frequent(partial)}."] if partial else []),
        *([] if past else ["The run has no trials."]),
    ]
    return results, f"uses {len(results)} of {len(past)} trials. {' '.join(texts)}"


def _frequent(reasons: dict[str, list[str]]) -> str:
    """The most frequent reasons, each with its number of trials."""
    frequent = sorted(reasons.values(), key=len, reverse=True)[:_REASONS]
    texts = [f"{len(same)} ({same[0]}{', or similar' * (len(set(same)) > 1)})" for same in frequent]
    more = len(reasons) - len(texts)
    return ", ".join([*texts, *([f"and {more} more reasons"] if more > 0 else [])])


def _best_configs(runs: list[PriorRun], objectives: tuple[Objective, ...]) -> tuple[LiteralValue, ...]:
    """The best configuration of each run, or its next one where an earlier run has the same; each once."""
    found: dict[LiteralValue, None] = {}
    for run in runs[:_MAX_FIRST]:
        new = (each for each in _best_first(run.results, objectives) if each is not None and each not in found)
        found.update(dict.fromkeys(itertools.islice(new, 1)))
    return tuple(found)


def _best_first(results: Sequence[KnownResult], objectives: tuple[Objective, ...]) -> list[LiteralValue]:
    """The configurations of completed trials, best first; of stopped ones if none completed."""
    for status in ("done", "stopped"):
        usable = [each for each in results if each.status == status and all(map(math.isfinite, each.values))]
        least = min((total_violation(each.constraints) for each in usable), default=0.0)
        usable = [each for each in usable if total_violation(each.constraints) == least]
        if usable:
            signs = np.array([-goal.sign for goal in objectives])
            losses = np.array([each.values for each in usable]) * signs
            return [usable[index].config for index in nondominated_order(losses, _MAX_FIRST)[:_MAX_FIRST].tolist()]
    return []


def _result(
    trial: PriorTrial,
    layouts: list[Layout],
    objectives: tuple[Objective, ...],
    constraints: tuple[Compare, ...],
    weighs: bool,
) -> tuple[KnownResult, str]:
    """A trial as a result in this space, and what it lacks; raises `SpaceError` with the reason if it does not fit."""
    if trial.status == "reported":
        raise SpaceError("The trial has not ended.")
    missing = [goal.metric for goal in objectives if goal.metric not in trial.metrics]
    if missing and trial.status != "failed":
        raise SpaceError(f"The trial did not report {', '.join(missing)}.")
    values = tuple(float(trial.metrics.get(goal.metric, float("nan"))) for goal in objectives)
    why: SpaceError | None = None
    for layout in layouts:
        lacks = ""
        try:
            config = fill_config(layout, trial.config, 0, 0, require_all=True, allow_unknown=True)
        except SpaceError as error:
            why = why or error
            config = _known_part(layout, trial.config) if weighs else {}
            if not config:
                continue
            lacks = reason(error)
        known = LiteralValue.of(codec.decode(codec.encode(config)))
        violations = _violations(trial, constraints)
        return KnownResult(known, values, trial.iteration, trial.status, violations, trial.failure), lacks
    raise why or SpaceError("The grid has no cell.")


def _violations(trial: PriorTrial, constraints: tuple[Compare, ...]) -> tuple[float, ...]:
    """By how much a trial violates each of this experiment's outcome constraints."""
    compiled = compile_constraints(constraints)
    return compiled.violations(tuple(float(trial.metrics.get(name, math.nan)) for name in compiled.metrics))


def _known_part(layout: Layout, config: Config) -> Config:
    """The parameters of a configuration that this space has too; empty if the others are not all that is wrong."""
    part: Config = {}
    try:
        fill_config(layout, config, 0, 0, allow_unknown=True)
        found = column_values(layout, config)
    except SpaceError:
        return part
    for leaf, items in zip(layout.cube_params, found, strict=True):
        for item in items:
            *outer, last = leaf.path
            inside = part
            for name in outer:
                inside = inside.setdefault(name, {})
            inside[last] = {item: {}} if isinstance(leaf.node, Branch) else item
    return part
