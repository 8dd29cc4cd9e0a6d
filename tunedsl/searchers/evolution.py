"""Regularised evolution: the best of a few of the youngest configurations, with one parameter changed.

Source: Real, Aggarwal, Huang and Le, Regularized Evolution for Image Classifier Architecture Search, AAAI 2019. The
paper has a population of 100 and a sample of 25 for thousands of evaluations; the defaults here are for hundreds.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tunedsl.base import keys
from tunedsl.base.arguments import as_int, as_number, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.references import call_repr
from tunedsl.searchers.contract import UNLIMITED, Answer, Searcher, Supports, out_of_range, register_searcher
from tunedsl.searchers.density import option_counts
from tunedsl.searchers.history import DONE, STOPPED, History, HistoryArrays, force_history, init_history, tell_history
from tunedsl.searchers.sampling import draw_candidates, propose_at, propose_initial
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
    """Regularised (aging) evolution: the oldest configurations leave the population, however good they are.

    Args:
        population_size: size of the population, which is the trials that ended last, at least 1. The first proposals
            are spread evenly, until the population is complete.
        sample_size: number of members that are drawn, of which the best is the parent, from 1 to `population_size`.
        mutation_sd: standard deviation of the change of a number, as a share of its range, in (0, 1].

    Raises:
        ArgumentError: for an argument of the wrong type.

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
    """The row of the best of a sample of the population."""
    observed = state.observations.rows
    ended = np.isin(observed[:, 1], (DONE, STOPPED))
    rows = observed[ended, 0].astype(np.int64)
    population = rows[facts.usable[rows]][-spec.population_size :]
    drawn = keys.generator(key).permutation(population)[: spec.sample_size]
    return int(facts.best_rows(np.sort(drawn), 1)[0])


def _mutate(spec: Evolution, state: History, parent: Floats, generator: keys.Generator) -> Floats:
    """Copies of the parent, each with one changed parameter; parameters that it lacks are drawn uniformly."""
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
        supports=Supports.whole_space(UNLIMITED, priors=True),
        init=init_history,
        ask=_ask,
        tell=tell_history,
        force=force_history,
        validate=_validate,
    ),
)
