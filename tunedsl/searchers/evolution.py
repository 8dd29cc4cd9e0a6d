"""Regularised evolution: the best of a few of the youngest configurations, with one parameter changed.

Source: Real, Aggarwal, Huang and Le, Regularized Evolution for Image Classifier Architecture Search, AAAI 2019. There,
with thousands of evaluations, the population is 100 and the sample 25; the defaults here are for hundreds.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tunedsl.base import keys
from tunedsl.base.arguments import as_int, as_number, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.objective import Objective
from tunedsl.base.references import call_repr
from tunedsl.searchers.contract import UNLIMITED, Answer, Searcher, Supports, out_of_range, register_searcher
from tunedsl.searchers.density import option_counts
from tunedsl.searchers.history import DONE, STOPPED, History, HistoryArrays, force_history, tell_history
from tunedsl.searchers.sampling import draw_candidates, propose_at, propose_initial
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.space import Space
from tunedsl.spaces.unit_interval import Floats

_MUTANT_COUNT: Final = 16


@value(repr=False)
class Evolution:
    """The spec of `evolution`."""

    population_size: int = 20
    sample_size: int = 5
    mutation_sd: float = 0.1

    def __repr__(self) -> str:
        return call_repr("evolution", self)


@check_arguments
def evolution(population_size: int = 20, sample_size: int = 5, mutation_sd: float = 0.1) -> Evolution:
    """Regularised (aging) evolution: whoever is too old leaves, however good.

    Args:
        population_size: how many of the trials that ended last are the population; until then, proposals lie evenly.
        sample_size: how many of them are drawn, the best of which is the parent.
        mutation_sd: how far a number is moved, as the standard deviation in shares of its range.

    Raises:
        ArgumentError: for what is no number.

    Example:
        >>> evolution(population_size=50)
        evolution(population_size=50)
    """
    return Evolution(
        as_int("evolution.population_size", population_size),
        as_int("evolution.sample_size", sample_size),
        float(as_number("evolution.mutation_sd", mutation_sd)),
    )


def _validate(spec: Evolution) -> list[Diagnostic]:
    return out_of_range(
        spec,
        population_size=(spec.population_size >= 1, "at least 1"),
        sample_size=(1 <= spec.sample_size <= spec.population_size, "from 1 to population_size"),
        mutation_sd=(0 < spec.mutation_sd <= 1, "above 0 and at most 1"),
    )


def _init(spec: Evolution, space: Space, objectives: tuple[Objective, ...], key: int) -> History:
    return History.empty(resolve_space(space), objectives)


def _ask(spec: Evolution, state: History, trial: int, key: int) -> tuple[History, Answer]:
    facts = state.to_arrays()
    if not state.layout.dims or np.count_nonzero(facts.usable) < spec.population_size:
        return propose_initial(state, trial, key, spec.population_size)
    parent = facts.points[_select_parent(spec, state, facts, keys.key(key, "parent", trial))]

    def mutants(generator: keys.Generator) -> Floats:
        return _mutate(spec, state, parent, generator)

    found, rejected = draw_candidates(state.layout, mutants, trial, key, "evolution")
    same = (found == parent) | (np.isnan(found) & np.isnan(parent))
    return propose_at(state, found[int(np.argmin(same.all(axis=1)))], trial, key, rejected)


def _select_parent(spec: Evolution, state: History, facts: HistoryArrays, key: int) -> int:
    """The row of the best of some of the youngest."""
    told = state.observations.rows
    ended = np.isin(told[:, 1], (DONE, STOPPED))
    rows = told[ended, 0].astype(np.int64)
    population = rows[facts.usable[rows]][-spec.population_size :]
    drawn = keys.generator(key).permutation(population)[: spec.sample_size]
    return int(facts.best_rows(np.sort(drawn), 1)[0])


def _mutate(spec: Evolution, state: History, parent: Floats, generator: keys.Generator) -> Floats:
    """Copies of the parent, each with one of its parameters changed; those that it lacks are drawn evenly."""
    kinds, exists = option_counts(state.layout), np.flatnonzero(~np.isnan(parent))
    even = generator.random((_MUTANT_COUNT, len(parent)))
    made = np.where(np.isnan(parent), even, parent)
    rows, dims = np.arange(_MUTANT_COUNT), exists[generator.integers(0, len(exists), _MUTANT_COUNT)]
    moved = made[rows, dims] + spec.mutation_sd * generator.standard_normal(_MUTANT_COUNT)
    moved = 1 - np.abs(1 - np.abs(moved) % 2)  # reflected at the ends
    count = np.maximum(kinds[dims], 1)
    other = (made[rows, dims] + generator.integers(1, np.maximum(count, 2)) / count) % 1.0
    made[rows, dims] = np.where(kinds[dims] > 0, other, moved)
    return made


register_searcher(
    Evolution,
    Searcher(
        name="evolution",
        supports=Supports(
            conditions=True,
            log=True,
            quantised=True,
            integer=True,
            categorical=True,
            constraints=True,
            objectives=UNLIMITED,
            intermediate=False,
            pending=True,
        ),
        init=_init,
        ask=_ask,
        tell=tell_history,
        force=force_history,
        validate=_validate,
    ),
)
