"""Proposals from points of the cube, and the first points, before a searcher has results to learn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tunedsl.base import keys
from tunedsl.base.errors import SpaceError
from tunedsl.searchers.beliefs import agreement
from tunedsl.searchers.contract import Proposal
from tunedsl.searchers.density import snap_to_bins
from tunedsl.searchers.history import History
from tunedsl.spaces.encoding import to_cube
from tunedsl.spaces.layout import Layout
from tunedsl.spaces.priors import blend, space_prior
from tunedsl.spaces.sampling import ABSENT, accepted_rows, configs_at, evaluate_params, rejection_sample
from tunedsl.spaces.unit_interval import Floats

MAX_ROUNDS: Final = 100
"""Limit of draws of candidates; after that, the constraints count as impossible to meet."""


def propose_initial(history: History, trial: int, key: int, count: int) -> tuple[History, Proposal]:
    """The proposal of an early trial: the first `count` are a Latin hypercube, later ones are uniform.

    With priors in the space, the first trial is their centre, and half of the others are drawn from
    them, fewer if the results so far contradict them.
    Source: McKay, Beckman and Conover, Technometrics 21, 1979.
    """
    layout = history.layout
    prior = space_prior(layout)
    width = layout.dims + (prior is not None)  # one more column chooses between uniform and prior
    trust = 0.0 if prior is None else agreement(prior, history.to_arrays())

    def cube_at(attempt: int, trials: NDArray[np.int64]) -> Floats:
        if attempt == 0 and 0 <= trial < count:
            generator = keys.generator(keys.key(key, "start"))
            cells = generator.permuted(np.tile(np.arange(count), (width, 1)), axis=1)
            cube = ((cells.T + generator.random((count, width))) / count)[trials]
        else:
            cube = keys.generator(keys.key(key, "start", trial, attempt)).random((1, width))
        return cube if prior is None else blend(layout, cube[:, :-1], trials, cube[:, -1], attempt, trust)

    ((config, rejected),) = rejection_sample(layout, cube_at, [trial], key)
    return history.with_proposal(trial, to_cube(layout, config)), Proposal.of(config, rejected)


def propose_at(history: History, point: Floats, trial: int, key: int, rejected: int = 0) -> tuple[History, Proposal]:
    """The proposal of the configuration at a point, and the history with it; `rejected` candidates came before it."""
    (config,) = configs_at(history.layout, np.nan_to_num(point, nan=0.5)[None, :], [trial], key)
    return history.with_proposal(trial, point), Proposal.of(config, rejected)


def feasible_points(layout: Layout, cube: Floats, trial: int, key: int) -> Floats:
    """The points that meet the constraints, snapped to bins; NaN for parameters that do not exist there."""
    points, _ = snap_to_bins(layout, cube)
    conditional = [dim for dim, leaf in enumerate(layout.cube_params) if leaf.condition is not None]
    if not conditional and not layout.constraints:
        return points
    # With the key of `configs_at`, so that `sample_from` returns the same values there.
    columns = evaluate_params(layout, points, np.full(len(points), trial), keys.key(key, "attempt", 0))
    for dim in conditional:
        absent = [item is ABSENT for item in columns[layout.cube_params[dim].name]]
        points[absent, dim] = np.nan
    return points[accepted_rows(layout, columns, len(points))]


def draw_candidates(
    layout: Layout, draw_points: Callable[[keys.Generator], Floats], trial: int, key: int, name: str
) -> tuple[Floats, int]:
    """Draws points until at least one meets the constraints.

    Returns:
        The points that meet them, and the number of the others.

    Raises:
        SpaceError: when no point meets the constraints in `MAX_ROUNDS` rounds.
    """
    generator = keys.generator(keys.key(key, name, trial))
    drawn = 0
    for _ in range(MAX_ROUNDS):
        some = draw_points(generator)
        drawn += len(some)
        found = feasible_points(layout, some, trial, key)
        if len(found):
            return found, drawn - len(found)
    raise SpaceError(
        f"Trial {trial} has no configuration: none of {drawn:,} candidates meets the constraints.\n"
        "  help: relax the constraints, or narrow the domains"
    )
