"""Random amendments of an experiment: what a simulated user changes in a run, and how earlier trials are treated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from tunedsl import schedulers, searchers
from tunedsl.base.errors import TunedslError
from tunedsl.base.keys import key
from tunedsl.base.types import Json
from tunedsl.driver.live_amendments import live_changes
from tunedsl.driver.reopening import Amendment
from tunedsl.experiment import Experiment
from tunedsl.journal import Journal
from tunedsl.journal.requests import AmendRequest
from tunedsl.kernel import RunState
from tunedsl.plan import Plan
from tunedsl.plan.amending import changed_fields, check_amendment
from tunedsl.plan.definition import Definition
from tunedsl.runs.amendments import amendment_of, check_fits, compile_for_run
from tunedsl.runs.compiling import compile_plan
from tunedsl.spaces.constructors import choice, uniform
from tunedsl.testing.random_stream import RandomStream
from tunedsl.testing.simulation.faults import Fault

ENDED: Final = ("continue", "continue", "restart", "keep")
"""How ended trials are treated."""
DEFAULTS: Final[dict[str, Json]] = {"added": 0.5}
"""The values of earlier trials for new parameters."""
SCHEDULERS: Final[tuple[Any, ...]] = (
    schedulers.fifo(),
    schedulers.asha(max_t=9, reduction_factor=3),
    schedulers.asha_promote(max_t=9, reduction_factor=3),
    schedulers.median_stopping(time_attr="training_iteration", grace_period=2),
    schedulers.hyperband(max_t=9),
    schedulers.pasha(max_t=9, reduction_factor=2),
    schedulers.pbt(perturbation_interval=3),
)
SEARCHERS: Final[tuple[Any, ...]] = (
    searchers.random_search(),
    searchers.sobol(),
    searchers.tpe(n_startup_trials=3),
    searchers.evolution(population_size=5, sample_size=3),
)

Edit = Callable[[Experiment, RandomStream], Definition]


def _without(experiment: Experiment, **clauses: Any) -> Experiment:
    """The experiment with other values of some clauses."""
    return Experiment(attrs.evolve(experiment.clauses, **clauses))


def _samples(experiment: Experiment, draws: RandomStream) -> Definition:
    return experiment.samples(max(1, (experiment.clauses.samples or 1) + draws.pick((-5, -1, 1, 3, 10))))


def _stop(experiment: Experiment, draws: RandomStream) -> Definition:
    return _without(experiment, stop=()).stop(training_iteration=draws.pick((1, 3, 6, 10, 14)))


def _budget(experiment: Experiment, draws: RandomStream) -> Definition:
    plain = _without(experiment, budget=None)
    limit = draws.pick(("", "iterations", "trials", "failures"))
    return plain.budget(**{limit: 1 + draws.below(120)}) if limit else plain


def _domain(experiment: Experiment, draws: RandomStream) -> Definition:
    changed = draws.pick((uniform(0, 2), uniform(0, 0.5), choice([0.1, 0.25, 0.75]), 0.5))
    return experiment.replace(x=changed)


def _parameter(experiment: Experiment, draws: RandomStream) -> Definition:
    return experiment.space(added=draws.pick((uniform(0, 1), 0.5)))


def _max_t(experiment: Experiment, draws: RandomStream) -> Definition:
    spec = experiment.clauses.scheduler
    inner = getattr(spec, "max_t", None)
    return experiment if inner is None else experiment.scheduler(attrs.evolve(spec, max_t=inner + draws.pick((-1, 3))))


EDITS: Final[tuple[Edit, ...]] = (
    _samples,
    _stop,
    _budget,
    _domain,
    _parameter,
    _max_t,
    lambda experiment, draws: experiment.scheduler(draws.pick(SCHEDULERS)),
    lambda experiment, draws: experiment.searcher(draws.pick(SEARCHERS)),
    lambda experiment, draws: experiment.retry(draws.pick((-1, 0, 2))).checkpoint(keep=draws.pick((1, 2))),
    lambda experiment, draws: experiment.parallel(draws.pick((1, 2, 4, 8))),
    lambda experiment, draws: _stop(Experiment(_samples(experiment, draws).clauses), draws),
)
"""What a user changes."""


class SimulatedAmendments:
    """Amendments of one run; each is a function of the run's seed and of the place where it happens.

    Args:
        plan: the compiled plan of the experiment; one that was read from data is never amended.
        engine: whose plans they are.

    Attributes:
        plans: every plan that was asked for, by its digest: with live objects and its definition.
    """

    def __init__(self, plan: Plan, engine: str) -> None:
        self._engine = engine
        self.plans = {plan.digest: plan}

    def request(self, fault: Fault, before: Plan) -> AmendRequest | None:
        """A request to a running driver; None where the edit that was drawn is not possible."""
        drawn = self._drawn(fault, before)
        if drawn is None:
            return None
        after, ended = drawn
        try:
            return AmendRequest(before.digest, live_changes(before, after), ended, _new_values(before, after))
        except TunedslError:
            return None

    def resume(self, fault: Fault, journal: Journal, before: Plan, state: RunState) -> tuple[Plan, Amendment] | None:
        """The plan to resume with, and how it treats earlier trials; None where the edit is not possible."""
        drawn = self._drawn(fault, before)
        if drawn is None:
            return None
        after, ended = drawn
        try:
            check_amendment("memory", before, after, amend=True)
            check_fits("memory", before, after, state)
            return after, amendment_of(journal, after, ended, _new_values(before, after))
        except TunedslError:
            return None

    def _drawn(self, fault: Fault, before: Plan) -> tuple[Plan, Any] | None:
        """The first edit, from the one that is drawn, that changes the plan and gives a valid one."""
        definition = self.plans[before.digest].definition
        if definition is None:
            return None
        draws = RandomStream(key(before.seed, "amended", fault.kind, fault.at))
        first = int(fault.amount * len(EDITS))
        for edit in (*EDITS[first:], *EDITS[:first]):
            try:
                edited = edit(Experiment(definition.clauses), draws)
                after, _ = compile_for_run(edited, before, compile_plan(edited, self._engine))
            except TunedslError:
                continue
            if changed_fields(before, after):
                self.plans.setdefault(after.digest, after)
                return after, draws.pick(ENDED)
        return None


def _new_values(before: Plan, after: Plan) -> dict[str, Json]:
    """The values of earlier trials for the parameters that a plan adds."""
    old, new = dict(before.space.params), dict(after.space.params)
    return {name: item for name, item in DEFAULTS.items() if name in new and name not in old}
