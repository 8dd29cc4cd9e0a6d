"""Bayesian optimisation with a Gaussian process that knows how long each trial was trained.

It proposes the configuration with the largest expected improvement at the longest training known. Running trials
count as if they had ended with the value that the process expects.
Sources: Hvarfner, Hellsten and Nardi, Vanilla Bayesian Optimization Performs Great in High Dimensions, ICML 2024;
Ament et al., Unexpected Improvements to Expected Improvement, NeurIPS 2023; the iteration as an input: Klein et al.,
Model-based Asynchronous Hyperparameter and Neural Architecture Search, 2020, arXiv:2003.10865; running trials:
Ginsbourger, Le Riche and Carraro, Kriging Is Well-Suited to Parallelize Optimization, 2010; several objectives:
Knowles, ParEGO, IEEE Transactions on Evolutionary Computation 10, 2006.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import attrs
import numpy as np

from tunedsl.base import keys
from tunedsl.base.arguments import as_int, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import SpaceError
from tunedsl.base.objective import Objective
from tunedsl.base.references import call_repr
from tunedsl.base.types import Json
from tunedsl.searchers.acquisition import Box, Score, log_expected_improvement, maximize_score, trust_region
from tunedsl.searchers.beliefs import WeightedBelief, log_belief, startup_trials, weigh_beliefs
from tunedsl.searchers.branches import ChosenOption, due_branch
from tunedsl.searchers.contract import (
    UNLIMITED,
    Answer,
    Observation,
    Searcher,
    Supports,
    out_of_range,
    register_searcher,
)
from tunedsl.searchers.density import option_counts, snap_to_bins
from tunedsl.searchers.feasibility import Feasibility, Fits
from tunedsl.searchers.gaussian_process import Features, Hyperparameters, Posterior, fit
from tunedsl.searchers.history import History, HistoryArrays, init_history, learn_run_history
from tunedsl.searchers.sampling import MAX_ROUNDS, feasible_points, propose_at, propose_initial
from tunedsl.searchers.tpe import earlier_run, tpe
from tunedsl.searchers.training_data import TrainingData, best_and_spread, training_data
from tunedsl.spaces.layout import Layout
from tunedsl.spaces.space import Space
from tunedsl.spaces.unit_interval import Floats

_MAX_FIT_ROWS: Final = 200
"""Hyperparameters are fitted to at most this much of the data."""

_DENSITIES: Final = tpe()
"""The model of earlier runs."""

_REPEATED: Final = 1e9
"""What a configuration that was proposed before loses in the logarithm of its expected improvement."""

_MAX_GLOBAL_DIMS: Final = 15
"""In more dimensions, candidates are drawn in a trust region."""


@value(repr=False)
class Gp:
    """The spec of `gp`."""

    n_startup_trials: int = 8
    n_candidates: int = 512

    def __repr__(self) -> str:
        return call_repr("gp", self)


@check_arguments
def gp(n_startup_trials: int = 8, n_candidates: int = 512) -> Gp:
    """Bayesian optimisation with a Gaussian process, for trials that cost more than some milliseconds.

    It learns from each decision point of a scheduler and from stopped trials, at the iteration that they reached.
    Failed trials count as the worst value seen. Each branch of a conditional space gets some trials, which a model of
    this branch alone proposes. With several objectives, each proposal weighs them at random. Priors
    and earlier runs count as in `tpe`.

    Outcome constraints, and failures that a configuration can cause, have models of their own: the expected improvement
    on the best feasible trial is multiplied by the probability to meet each constraint and not to fail. While no trial
    is feasible, this probability alone decides.

    Args:
        n_startup_trials: number of trials with results before the model is used, at least 2; the first configurations
            are spread evenly.
        n_candidates: number of points at which the expected improvement is first computed, at least 16.

    Raises:
        ArgumentError: for a value that is not a whole number.

    Example:
        >>> gp(n_startup_trials=5)
        gp(n_startup_trials=5)
    """
    return Gp(as_int("gp.n_startup_trials", n_startup_trials), as_int("gp.n_candidates", n_candidates))


def _validate(spec: Gp) -> list[Diagnostic]:
    return out_of_range(
        spec,
        n_startup_trials=(spec.n_startup_trials >= 2, "at least 2"),
        n_candidates=(spec.n_candidates >= 16, "at least 16"),
    )


@attrs.frozen(eq=False)
class GpState:
    """Proposals and observations, the last hyperparameters, and the number of observations that they were fitted to.

    Attributes:
        feasibility: the hyperparameters of the models of constraints and failures.
    """

    history: History
    hyperparameters: Hyperparameters | None = None
    fitted: int = 0
    feasibility: Fits = ()


def _init(spec: Gp, space: Space, objectives: tuple[Objective, ...], key: int) -> GpState:
    return GpState(init_history(spec, space, objectives, key))


def _tell(spec: Gp, state: GpState, trial: int, observation: Observation) -> GpState:
    return attrs.evolve(state, history=state.history.with_observation(trial, observation))


def _force(spec: Gp, state: GpState, trial: int, config: Json, key: int) -> GpState:
    return attrs.evolve(state, history=state.history.with_forced(trial, config))


def _learn_run(spec: Gp, state: GpState, run: Sequence[tuple[Json, Observation]], key: int) -> GpState:
    return attrs.evolve(state, history=learn_run_history(spec, state.history, run, key))


def _ask(spec: Gp, state: GpState, trial: int, key: int) -> tuple[GpState, Answer]:
    history = state.history
    weights_key = keys.key(key, "weights", trial)
    data = training_data(history, weights_key)
    facts = history.to_arrays()
    beliefs = weigh_beliefs(history, facts, lambda run: earlier_run(_DENSITIES, run))
    learnt = data.trials + int(facts.failed_by_configuration.sum())
    if data.trials < 2 or learnt < startup_trials(spec.n_startup_trials, beliefs) or not history.layout.dims:
        history, proposal = propose_initial(history, trial, key, spec.n_startup_trials)
        return attrs.evolve(state, history=history), proposal
    ask = _Ask(spec, history.layout, Features.of(history.layout), facts, beliefs, trial, key)
    branch, found = due_branch(history.layout, facts), None
    if branch is not None:
        own = training_data(history, weights_key, branch.contains)
        found = ask.in_branch(branch, own, state.feasibility)
    if found is None:
        x = ask.features.rows(data.points, data.fidelity)
        state = _refitted(state, ask.features, x, data.losses)
        hyperparameters = state.hyperparameters
        assert hyperparameters is not None  # fitted above
        feasibility = Feasibility.of(facts, ask.features, data.running, state.feasibility)
        state = attrs.evolve(state, feasibility=feasibility.fits)
        found = ask.in_space(data, hyperparameters, feasibility)
    point, rejected = found
    history, proposal = propose_at(history, point, trial, key, rejected)
    return attrs.evolve(state, history=history), proposal


@attrs.frozen(eq=False)
class _Ask:
    """What one ask knows, and its search for the point with the largest expected improvement."""

    spec: Gp
    layout: Layout
    features: Features
    facts: HistoryArrays
    beliefs: Sequence[WeightedBelief]
    trial: int
    key: int

    def in_branch(self, branch: ChosenOption, data: TrainingData, earlier: Fits) -> tuple[Floats, int] | None:
        """A point of a branch by a model of the branch's data alone, and the number of rejected ones.

        None if no new point of it is found.
        """
        generator = keys.generator(keys.key(self.key, "gp", self.trial))

        def feasible(cube: Floats) -> Floats:
            points = self._feasible(branch.set_in(cube))
            return points[branch.contains(points)]

        if not data.trials:
            points = feasible(generator.random((self.spec.n_candidates, self.layout.dims)))
            return (points[0], self.spec.n_candidates - len(points)) if len(points) else None
        x = self.features.rows(data.points, data.fidelity)
        hyperparameters = _fitted(self.features, x, data.losses, None)
        feasibility = Feasibility.of(self.facts, self.features, data.running, earlier)
        score, good, box = self._score(data, hyperparameters, feasibility)
        point, rejected = self._maximized(score, feasible, good, box, generator)
        return None if point is None or score(point[None])[0] < -_REPEATED / 2 else (point, rejected)

    def in_space(
        self, data: TrainingData, hyperparameters: Hyperparameters, feasibility: Feasibility
    ) -> tuple[Floats, int]:
        """A point of the whole space, and the number of rejected ones."""
        score, good, box = self._score(data, hyperparameters, feasibility)
        generator, rejected = keys.generator(keys.key(self.key, "gp", self.trial)), 0
        for _ in range(MAX_ROUNDS):
            point, some = self._maximized(score, self._feasible, good, box, generator)
            rejected += some
            if point is not None:
                return point, rejected
        raise SpaceError(
            f"Trial {self.trial} has no configuration: none of {rejected:,} candidates meets the constraints.\n"
            "  help: relax the constraints, or narrow the domains"
        )

    def _feasible(self, cube: Floats) -> Floats:
        return feasible_points(self.layout, cube, self.trial, self.key)

    def _score(
        self, data: TrainingData, hyperparameters: Hyperparameters, feasibility: Feasibility
    ) -> tuple[Score, Floats, Box]:
        """The score of points, the known points, the most promising first, and where to draw candidates."""
        features, pending = self.features, self.facts.points[data.running]
        x, losses = features.rows(data.points, data.fidelity), data.losses
        model = Posterior.of(hyperparameters, features.groups, x, losses)
        if len(pending):
            running = features.rows(pending, 1.0)
            x, losses = np.concatenate([x, running]), np.append(losses, model.mean(running))
            model = Posterior.of(hyperparameters, features.groups, x, losses)
        known = np.concatenate([data.points, pending])
        expected = model.mean(features.rows(known, 1.0))
        violation = feasibility.total[np.concatenate([data.rows, data.running])]
        order = np.lexsort((expected, violation))[:8]
        is_feasible = violation[order[0]] == 0 or not feasibility.models
        best = float(expected[order[0]])

        def score(points: Floats) -> Floats:
            rows = features.rows(points, 1.0)
            found = feasibility.log_probability(rows) + log_belief(self.beliefs, points)
            return found + log_expected_improvement(*model.predict(rows), best) if is_feasible else found

        box = Box.cube(self.layout.dims)
        if self.layout.dims > _MAX_GLOBAL_DIMS:
            box = trust_region(known[order[0]], hyperparameters.lengths[:-1], data.side)
        return _without_repeats(self.layout, score, known), known[order], box

    def _maximized(
        self, score: Score, feasible: Callable[[Floats], Floats], good: Floats, box: Box, generator: keys.Generator
    ) -> tuple[Floats | None, int]:
        believed = [each.belief.draw(math.ceil(64 * min(1.0, each.weight)), generator) for each in self.beliefs]
        more = np.concatenate([np.empty((0, self.layout.dims)), *believed])
        counts = option_counts(self.layout)
        return maximize_score(score, feasible, good, more, counts, box, generator, self.spec.n_candidates)


def _without_repeats(layout: Layout, score: Score, known: Floats) -> Score:
    """A score with which known configurations are proposed again only if there are no others.

    The process expects noise, so near a good discrete configuration it would propose the same one for many trials.
    """

    def keys_of(points: Floats) -> list[bytes]:
        rounded = np.nan_to_num(points, nan=-1.0).round(9)
        found: list[bytes] = rounded.view(np.dtype((np.void, rounded.itemsize * layout.dims)))[:, 0].tolist()
        return found

    seen = set(keys_of(snap_to_bins(layout, known)[0]))

    def fresh(points: Floats) -> Floats:
        return score(points) - _REPEATED * np.array([each in seen for each in keys_of(points)], float)

    return fresh


def _refitted(state: GpState, features: Features, x: Floats, losses: Floats) -> GpState:
    """The state with hyperparameters for its data, which are fitted again after each tenth more observations."""
    observed = state.history.observations.size
    due = state.hyperparameters is None or observed >= state.fitted + max(1, observed // 12)
    if not due and len(state.history.objectives) == 1:
        return state
    found = _fitted(features, x, losses, state.hyperparameters)
    return attrs.evolve(state, hyperparameters=found, fitted=observed, feasibility=() if due else state.feasibility)


def _fitted(features: Features, x: Floats, losses: Floats, earlier: Hyperparameters | None) -> Hyperparameters:
    rows = best_and_spread(losses, _MAX_FIT_ROWS)
    return fit(x[rows], losses[rows], features.groups, earlier, 20)


register_searcher(
    Gp,
    Searcher(
        name="gp",
        supports=Supports.whole_space(UNLIMITED, intermediate=True, priors=True, outcome_constraints=True),
        init=_init,
        ask=_ask,
        tell=_tell,
        force=_force,
        learn_run=_learn_run,
        validate=_validate,
    ),
)
