"""Random experiments as data: policies, number of trials, reports, and faults.

A scenario is a frozen value whose `repr` evaluates back; `scenario(seed)` makes one up, any scheduler with any
searcher that goes with it, and any policy of the experiment.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from tunedsl import schedulers as schedule
from tunedsl import searchers as search
from tunedsl.base.codec import value
from tunedsl.base.errors import CompileError
from tunedsl.base.keys import key, uniforms
from tunedsl.base.references import call_repr
from tunedsl.base.types import Order
from tunedsl.experiment import Experiment, space
from tunedsl.plan import Plan
from tunedsl.plan.settings import EXTERNAL
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.spaces.constructors import uniform as between
from tunedsl.spaces.space import Space
from tunedsl.stopping import failing, metric
from tunedsl.testing.bowl import Bowl
from tunedsl.testing.random_stream import RandomStream
from tunedsl.testing.simulation.asked import AskedExperiment
from tunedsl.testing.simulation.cluster import Cluster, ClusterOutcome, cluster
from tunedsl.testing.simulation.faults import Fault, Faults

MAX_ITERATIONS: Final = 12
"""No trial reports more often."""
MAX_FAULTS_SHARE: Final = 0.15

SCHEDULERS: Final[tuple[Any, ...]] = (
    schedule.fifo(),
    schedule.asha(max_t=9, reduction_factor=3, brackets=2),
    schedule.asha(max_t=9, reduction_factor=2.5, stop_last_trials=False),
    schedule.asha_promote(max_t=9, reduction_factor=3),
    schedule.asha_promote(max_t=8, reduction_factor=2, grace_period=2, time_attr="epochs"),
    schedule.pasha(max_t=9, reduction_factor=2),
    schedule.pasha(max_t=9, reduction_factor=2, epsilon=0.1, time_attr="epochs"),
    schedule.hyperband(max_t=4, reduction_factor=2),
    schedule.hyperband(max_t=9),
    schedule.hyperband(max_t=9, bohb=True),
    schedule.hyperband(max_t=6, reduction_factor=2.5, stop_last_trials=False),
    schedule.hyperband(max_t=9, time_attr="epochs"),
    schedule.median_stopping(time_attr="training_iteration", grace_period=2),
    schedule.median_stopping(grace_period=1, min_samples_required=1, min_time_slice=2, hard_stop=False),
    schedule.median_stopping(time_attr="epochs", grace_period=0, min_samples_required=5, min_time_slice=1),
    schedule.pbt(perturbation_interval=2),
    schedule.pbt(perturbation_interval=3, burn_in_period=4, synch=True),
    schedule.pbt(perturbation_interval=5, time_attr="epochs", quantile_fraction=0.5),
    schedule.pbt(perturbation_interval=5, time_attr="epochs", synch=True),
    schedule.pb2(perturbation_interval=6),
    schedule.pb2(perturbation_interval=6, synch=True),
    schedule.pbt_replay([(0, {"x": 0.5, "y": 1.5}), (4, {"x": 0.25, "y": 1.5}), (9, {"x": 0.1, "y": 1.2})]),
    schedule.resource_changing(schedule.fifo(), schedule.distribute(cpu=9)),
    schedule.resource_changing(schedule.hyperband(max_t=9), schedule.distribute_to_top(cpu=30)),
    schedule.resource_changing(schedule.pbt(perturbation_interval=2, synch=True), schedule.distribute(cpu=8)),
)
"""Every scheduler of the package, with options that make it decide early."""

SEARCHERS: Final[tuple[Any, ...]] = (
    search.random_search(),
    search.sobol(),
    search.tpe(n_startup_trials=5),
    search.bohb(min_points_in_model=3),
    search.gp(n_startup_trials=4, n_candidates=32),
    search.auto(),
    search.evolution(population_size=5, sample_size=3),
    search.zoopt(train_size=5, positive_size=2),
    search.limit(search.random_search(), 2),
    search.limit(search.evolution(population_size=5, sample_size=3), 3, batch=True),
    search.repeat(search.random_search(), 2),
    search.repeat(search.tpe(n_startup_trials=2), 4, race=search.wilcoxon(0.2)),
    search.dedupe(search.tpe(n_startup_trials=4)),
    search.switch(search.random_search(), search.tpe(n_startup_trials=3), after=6),
    search.try_first(search.tpe(n_startup_trials=4), [{"x": 0.5, "y": 1.5}, {"x": 0.25}]),
    search.with_results(search.tpe(n_startup_trials=2), [({"x": 0.5, "y": 1.5}, 0.25)]),
)
"""Every searcher and combinator of the package that needs no other library."""

SPACE: Final = Space.of({"x": between(0, 1), "y": between(1, 2)})

FAULTY: Final[tuple[Faults, ...]] = (
    Faults(),
    Faults(crash=0.04, lost=0.04),
    Faults(crash=0.02, oom=0.02, timeout=0.02, bad_report=0.02, idle=0.02, storage_fails=0.05),
    Faults(lost=0.03, node=0.05, late=0.08),
    Faults(delay=0.3, storage_slow=0.3, driver_slow=0.1),
    Faults(duplicate=0.2, late=0.1, delay=0.1),
    Faults(duplicate=0.2, driver_slow=0.2, lost=0.05),
    Faults(driver_killed=0.05),
    Faults(driver_killed=0.1, delay=0.1, duplicate=0.05),
    Faults(stop_asked=0.03, add_asked=0.03, lost=0.03),
    Faults(stop_asked=0.01, end_asked=0.01, add_asked=0.05, pause_asked=0.03, driver_killed=0.05),
    Faults(pause_asked=0.05, driver_killed=0.03),
    Faults(drain=0.1),
    Faults(drain=0.1, lost=0.02, delay=0.1, duplicate=0.05, driver_slow=0.05),
    Faults(amend_asked=0.05),
    Faults(amend_asked=0.04, driver_killed=0.05, lost=0.02, delay=0.1),
    Faults(amend_asked=0.02, resume_amended=0.5, driver_killed=0.04),
    Faults(amend_asked=0.02, resume_amended=0.3, pause_asked=0.03, add_asked=0.02, stop_asked=0.02, crash=0.02),
    Faults(amend_asked=0.03, resume_amended=0.3, drain=0.05, driver_slow=0.1, duplicate=0.1, driver_killed=0.02),
    Faults(drain=0.08, driver_killed=0.05, stop_asked=0.02, pause_asked=0.02),
    Faults(driver_asleep=0.06, write_delayed=0.06, driver_killed=0.03, lost=0.02),
    Faults(
        crash=0.02,
        oom=0.01,
        lost=0.03,
        node=0.02,
        delay=0.1,
        duplicate=0.08,
        late=0.05,
        driver_slow=0.08,
        storage_slow=0.1,
        storage_fails=0.03,
        drain=0.03,
        driver_killed=0.04,
    ),
)
"""Mixtures of faults that scenarios choose from."""


def _space(given: Space | Experiment) -> Space:
    """A space, also as `space(...)` writes it."""
    return given.clauses.space if isinstance(given, Experiment) else given


@value
class Scenario:
    """One random experiment.

    Attributes:
        scheduler, searcher, space: as in an experiment.
        trials, width: how many there are, and at a time; asked trials of width 0 have no limit.
        order: `arrival` or `logical`.
        stop: the iteration at which a rule ends each trial.
        retry: failures of each kind that are run again, -1 for all.
        budget: limits by name.
        fail_fast: whether one failure ends the experiment.
        every, keep: as of `.checkpoint(...)`.
        noise: how much of a metric is chance.
        cost: least seconds an iteration takes; chance adds up to one.
        faults: how often what goes wrong, or the very faults.
        asked: whether askers evaluate the trials, by ask and tell, instead of workers.
        seed: of the experiment, its curves and its faults.
        constrained: whether only losses near 0.2 are feasible.
    """

    scheduler: Any = schedule.fifo()
    searcher: Any = search.random_search()
    space: Space = attrs.field(default=SPACE, converter=_space)
    trials: int = 4
    width: int = 2
    order: Order = "logical"
    stop: int = MAX_ITERATIONS
    retry: int = -1
    budget: tuple[tuple[str, int], ...] = ()
    fail_fast: bool = False
    every: int | None = None
    keep: int | None = None
    noise: float = 0.0
    cost: float = 1.0
    faults: Faults | tuple[Fault, ...] = Faults()
    asked: bool = False
    seed: int = 0
    constrained: bool = False

    def __repr__(self) -> str:
        return call_repr("Scenario", self)

    def changed(self, **parts: Any) -> Scenario:
        """The scenario with some of its parts changed."""
        made: Scenario = attrs.evolve(self, **parts)  # type: ignore[misc]  # a value is an attrs class
        return made

    def experiment(self) -> Experiment:
        """The experiment."""
        made = (
            _begun(self.asked)
            .space(**dict(self.space.params))
            .scheduler(self.scheduler)
            .searcher(self.searcher)
            .samples(self.trials)
            .stop(training_iteration=self.stop)
            .retry(self.retry)
            .seed(self.seed)
            .until(failing(same=0))  # every trial has to come to its end, whatever fails
        )
        if self.width:
            made = made.parallel(self.width)
        if not self.asked:
            made = made.order(self.order)
        if self.fail_fast:
            made = made.fail_fast()
        if self.budget:
            made = made.budget(**dict(self.budget))
        if self.every is not None or self.keep is not None:
            made = made.checkpoint(every=self.every, keep=self.keep)
        if self.constrained:
            made = made.subject_to(abs(metric("loss") - 0.2) <= 0.1)
        return made

    def plan(self) -> Plan:
        """The plan of its experiment.

        Raises:
            CompileError: where its parts do not go together.
        """
        return self.experiment().compile(engine=EXTERNAL if self.asked else "simulated")

    def cluster(self) -> Cluster | AskedExperiment:
        """The cluster that it runs on, or its askers."""
        if self.asked:
            return AskedExperiment(Curves(self.seed, self.noise).row, 1 + self.width, self.faults, self.seed)
        pace, least = key(self.seed, "pace"), self.cost
        costs = [least + drawn for drawn in uniforms(pace, range(97)).tolist()]
        return cluster(
            faults=self.faults,
            seed=self.seed,
            curve=Curves(self.seed, self.noise),
            cost=lambda config, iteration: costs[(hash(_first(config)) + 7 * iteration) % 97],
        )

    def run(self) -> ClusterOutcome:
        """Run the scenario, and check every invariant.

        Raises:
            InvariantViolated: when one does not hold.
        """
        return self.cluster().run(self.plan())


class Curves:
    """Metrics by trial and iteration, drawn from a seed; some trials return early, some report NaN."""

    def __init__(self, seed: int, noise: float) -> None:
        self._key, self._noise = key(seed, "curves"), noise
        self._drawn: dict[int, list[float]] = {}

    def row(self, trial: int, config: Mapping[str, Any], iteration: int) -> dict[str, float] | None:
        if iteration > MAX_ITERATIONS:
            return None
        row = self._drawn.get(trial)
        if row is None:
            first = trial * MAX_ITERATIONS
            row = self._drawn[trial] = uniforms(self._key, range(first, first + MAX_ITERATIONS)).tolist()
        chance = row[iteration - 1]
        if chance < 0.02 and iteration > 1:  # one that reports nothing fails, and may be retried without limit
            return None
        loss = math.nan if chance > 0.97 else _first(config) / iteration + self._noise * chance
        return {"loss": loss, "epochs": 2 * iteration}


def _first(config: Mapping[str, Any]) -> float:
    """The first number in a configuration."""
    return next((float(item) for item in config.values() if isinstance(item, (int, float))), 0.5)


@functools.cache
def _begun(asked: bool) -> Experiment:
    """What all scenarios have in common; the trainable's source is read once."""
    begun = space().minimize("loss")
    return begun if asked else begun.trainable(Bowl)


def scenario(
    seed: int,
    schedulers: Sequence[Any] = SCHEDULERS,
    searchers: Sequence[Any] = SEARCHERS,
    over: Space = SPACE,
    mixtures: Sequence[Faults] = FAULTY,
) -> Scenario:
    """The scenario of a seed: any of the policies, any width, order, budget and mixture of faults.

    Args:
        seed: equal seeds, equal scenarios.
        schedulers, searchers: the choices; random search replaces a searcher that does not fit the scheduler.
        over: the space.
        mixtures: of faults, to choose from.
    """
    draws = RandomStream(key(seed, "scenario"))
    scheduler = draws.pick(schedulers)
    contract = scheduler_of(scheduler)
    needs = contract.requirements(scheduler)
    timed = "time_total_s" in contract.metrics_used(scheduler)
    made = Scenario(
        scheduler=scheduler,
        searcher=draws.pick(searchers),
        space=over,
        trials=needs.trials or draws.pick((1, 2, 3, 5, 9, 9, 20, 40)),
        width=draws.pick((1, 2, 3, 8)),
        order=draws.pick(("arrival", "logical")),
        stop=draws.pick((1, 4, 9, MAX_ITERATIONS)),
        retry=draws.pick((-1, -1, -1, 0, 1, 3)),
        fail_fast=draws.chance(0.05),
        noise=draws.pick((0.0, 0.1, 2.0)),
        cost=draws.pick((0.0, 0.5, 1.0)),
        faults=draws.pick(mixtures),
        seed=seed,
    )
    if timed:
        made = made.changed(order="arrival")
    if draws.chance(0.15):
        limits = ("iterations", "failures", "trials", "seconds" if made.order == "arrival" else "iterations")
        made = made.changed(budget=((draws.pick(limits), 1 + draws.below(40)),))
    if draws.chance(0.3):
        made = made.changed(every=1 + draws.below(3), keep=draws.pick((None, 1, 2)))
    if draws.chance(0.2):
        made = made.changed(constrained=True)
    return made if _goes_together(made.scheduler, made.searcher, over) else made.changed(**_plain(made, searchers))


def asked_scenario(
    seed: int, schedulers: Sequence[Any] = SCHEDULERS, searchers: Sequence[Any] = SEARCHERS, over: Space = SPACE
) -> Scenario:
    """The scenario of a seed whose trials are asked for; arguments as for `scenario`."""
    made = scenario(seed, schedulers, searchers, over).changed(asked=True, order="arrival")
    if RandomStream(key(seed, "asked")).chance(0.3):
        made = made.changed(width=0)
    try:
        made.plan()
    except CompileError:
        return made.changed(scheduler=schedule.fifo(), space=over)
    return made


def _plain(made: Scenario, searchers: Sequence[Any]) -> dict[str, Any]:
    """What is changed of a scenario whose policies do not go together."""
    if len(searchers) == 1:  # it is the searcher that is asked for
        return {"scheduler": schedule.fifo()}
    fixed = scheduler_of(made.scheduler).requirements(made.scheduler).trials is not None
    if fixed or not _goes_together(made.scheduler, search.random_search(), made.space):
        return {"searcher": search.random_search(), "space": FIXED}
    return {"searcher": search.random_search()}


FIXED: Final = Space.of({"x": 0.5, "y": 1.5})
"""For schedulers that say themselves what a trial runs."""


@functools.cache
def _goes_together(scheduler: Any, searcher: Any, over: Space) -> bool:
    """Whether the compiler takes a scheduler with a searcher."""
    trials = scheduler_of(scheduler).requirements(scheduler).trials or 5
    try:
        Scenario(scheduler=scheduler, searcher=searcher, space=over, trials=trials).plan()
    except CompileError:
        return False
    return True
