"""Regularised evolution: the best of a few of the youngest configurations, with one parameter changed.

Source: Real, Aggarwal, Huang and Le, Regularized Evolution for Image Classifier Architecture Search, AAAI 2019. There,
with thousands of evaluations, the population is 100 and the sample 25; the defaults here are for hundreds.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tunedsl.base import keys
from tunedsl.base.arguments import checked, number, whole
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.literals import spell
from tunedsl.base.objective import Objective
from tunedsl.search.contract import ANY_NUMBER, Answer, Searcher, Takes, enrol, out_of_range
from tunedsl.search.density import options
from tunedsl.search.history import DONE, STOPPED, Facts, History, adopt, tell
from tunedsl.search.proposing import candidates, proposed, started
from tunedsl.space.layout import lower
from tunedsl.space.space import Space
from tunedsl.space.units import Floats

_TRIES: Final = 16


@value(repr=False)
class Evolution:
    """The spec of `evolution`."""

    population_size: int = 20
    sample_size: int = 5
    mutation_sd: float = 0.1

    def __repr__(self) -> str:
        return spell("evolution", self)


@checked
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
        whole("evolution.population_size", population_size),
        whole("evolution.sample_size", sample_size),
        float(number("evolution.mutation_sd", mutation_sd)),
    )


def _validate(spec: Evolution) -> list[Diagnostic]:
    return out_of_range(
        spec,
        population_size=(spec.population_size >= 1, "at least 1"),
        sample_size=(1 <= spec.sample_size <= spec.population_size, "from 1 to population_size"),
        mutation_sd=(0 < spec.mutation_sd <= 1, "above 0 and at most 1"),
    )


def _init(spec: Evolution, space: Space, objectives: tuple[Objective, ...], key: int) -> History:
    return History.of(lower(space), objectives)


def _ask(spec: Evolution, state: History, trial: int, key: int) -> tuple[History, Answer]:
    facts = state.facts()
    if not state.layout.dims or np.count_nonzero(facts.usable) < spec.population_size:
        return started(state, trial, key, spec.population_size)
    parent = facts.points[_parent(spec, state, facts, keys.key(key, "parent", trial))]

    def mutants(generator: keys.Generator) -> Floats:
        return _mutants(spec, state, parent, generator)

    found, rejected = candidates(state.layout, mutants, trial, key, "evolution")
    same = (found == parent) | (np.isnan(found) & np.isnan(parent))
    return proposed(state, found[int(np.argmin(same.all(axis=1)))], trial, key, rejected)


def _parent(spec: Evolution, state: History, facts: Facts, key: int) -> int:
    """The row of the best of some of the youngest."""
    told = state.told.rows
    ended = np.isin(told[:, 1], (DONE, STOPPED))
    rows = told[ended, 0].astype(np.int64)
    population = rows[facts.usable[rows]][-spec.population_size :]
    drawn = keys.generator(key).permutation(population)[: spec.sample_size]
    return int(facts.ranked(np.sort(drawn), 1)[0])


def _mutants(spec: Evolution, state: History, parent: Floats, generator: keys.Generator) -> Floats:
    """Copies of the parent, each with one of its parameters changed; those that it lacks are drawn evenly."""
    kinds, exists = options(state.layout), np.flatnonzero(~np.isnan(parent))
    even = generator.random((_TRIES, len(parent)))
    made = np.where(np.isnan(parent), even, parent)
    rows, dims = np.arange(_TRIES), exists[generator.integers(0, len(exists), _TRIES)]
    moved = made[rows, dims] + spec.mutation_sd * generator.standard_normal(_TRIES)
    moved = 1 - np.abs(1 - np.abs(moved) % 2)  # reflected at the ends
    count = np.maximum(kinds[dims], 1)
    other = (made[rows, dims] + generator.integers(1, np.maximum(count, 2)) / count) % 1.0
    made[rows, dims] = np.where(kinds[dims] > 0, other, moved)
    return made


enrol(
    Evolution,
    Searcher(
        name="evolution",
        takes=Takes(
            conditions=True,
            log=True,
            quantised=True,
            integer=True,
            categorical=True,
            constraints=True,
            objectives=ANY_NUMBER,
            intermediate=False,
            pending=True,
        ),
        init=_init,
        ask=_ask,
        tell=tell,
        adopt=adopt,
        validate=_validate,
    ),
)
