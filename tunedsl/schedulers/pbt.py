"""Population based training: the worst of a population go on from the best, with configurations near theirs.

Source: Jaderberg et al., Population Based Training of Neural Networks (2017), arXiv:1711.09846; compares and pairs
trials as `PopulationBasedTraining` of Ray Tune does on the same reports.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tunedsl.base.arguments import as_number, as_text, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError, CodecError
from tunedsl.base.names import did_you_mean
from tunedsl.base.references import FunctionRef, call_repr
from tunedsl.base.types import TRAINING_ITERATION, Json
from tunedsl.schedulers import population
from tunedsl.schedulers.contract import NON_LEARNING, Requirements, Scheduler, SchedulerContext, register_scheduler
from tunedsl.schedulers.perturb import Mutations, apply_custom_explore, default_mutations, perturb_config
from tunedsl.schedulers.population import Explorer, PopulationState, ReasonFacts
from tunedsl.schedulers.time_attr import canonical_number, spec_diagnostic
from tunedsl.spaces.domains import Branch
from tunedsl.spaces.expressions import Expr
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.space import Space


@value
class Pbt:
    """The settings of PBT; see `pbt`."""

    perturbation_interval: float = 5
    burn_in_period: float = 0
    hyperparam_mutations: Mutations | None = None
    quantile_fraction: float = 0.25
    resample_probability: float = 0.25
    perturbation_factors: tuple[float, ...] = (1.2, 0.8)
    custom_explore_fn: FunctionRef | None = None
    synch: bool = False
    time_attr: str = TRAINING_ITERATION

    def __repr__(self) -> str:
        return call_repr("pbt", self)


@check_arguments
def pbt(
    perturbation_interval: float = 5,
    burn_in_period: float = 0,
    hyperparam_mutations: Mapping[str, Any] | None = None,
    quantile_fraction: float = 0.25,
    resample_probability: float = 0.25,
    perturbation_factors: Sequence[float] = (1.2, 0.8),
    custom_explore_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    synch: bool = False,
    time_attr: str = TRAINING_ITERATION,
) -> Pbt:
    """At each interval, a trial among the worst goes on from the checkpoint of one of the best, changed a little.

    All trials of the experiment are one population. Where they outnumber the places they take turns, an interval
    each. A trial whose metric has become NaN takes over from a better one too.

    A trial that takes over gets its new configuration in `setup`, then the donor's checkpoint in `load`. The state of
    an optimiser holds the donor's learning rate: set the new one after loading it, in PyTorch by
    `for group in optimizer.param_groups: group["lr"] = config["lr"]`.

    Args:
        perturbation_interval: above 0, in units of `time_attr`; whole where these are iterations.
        burn_in_period: no trial changes before this time.
        hyperparam_mutations: which parameters change, by dotted name or in nested dicts, each to a list (an
            unchanged order matters: neighbours are tried), a domain such as `loguniform(1e-4, 1e-1)`, or a function
            of no arguments that draws a value. Without it, all numbers and choices of the space, within their
            domains. Leave out what shapes the checkpoint, such as a layer's width.
        quantile_fraction: share of the population, 0 to 0.5, that counts as worst, and as best.
        resample_probability: how likely a parameter is drawn anew instead of perturbed.
        perturbation_factors: one of these multiplies a number that is perturbed; bounds and steps hold.
        custom_explore_fn: gets the changed configuration and returns the one to take.
        synch: whether all wait for each other at each interval and are compared there.
        time_attr: the metric that measures a trial's progress, rising with its reports. With the default, trials wait
            and save at intervals alone; with any other, at every report. Intervals of time such as `time_total_s`
            make the outcome depend on the machine.

    Returns:
        A scheduler spec. It needs an objective and a trainable with checkpoints, and a searcher that does not learn.

    Raises:
        ArgumentError: for an argument of the wrong type.

    >>> pbt(perturbation_interval=4, hyperparam_mutations={"lr": [0.1, 0.01, 0.001]})
    pbt(perturbation_interval=4, hyperparam_mutations={'lr': [0.1, 0.01, 0.001]})
    """
    return Pbt(
        canonical_number(as_number("pbt.perturbation_interval", perturbation_interval)),
        canonical_number(as_number("pbt.burn_in_period", burn_in_period)),
        None if hyperparam_mutations is None else as_mutations("pbt.hyperparam_mutations", hyperparam_mutations),
        as_number("pbt.quantile_fraction", quantile_fraction),
        as_number("pbt.resample_probability", resample_probability),
        _as_factors(perturbation_factors),
        as_explore_fn("pbt.custom_explore_fn", custom_explore_fn),
        as_bool("pbt.synch", synch),
        as_text("pbt.time_attr", time_attr),
    )


def as_mutations(subject: str, written: Any) -> Mutations:
    """What users write for `hyperparam_mutations`."""
    return written if isinstance(written, Mutations) else Mutations.of(subject, written)


def as_bool(subject: str, item: Any) -> bool:
    """`item` as a bool."""
    if not isinstance(item, (bool, np.bool_)):
        raise ArgumentError("E003", subject, repr(item), "True or False")
    return bool(item)


def as_explore_fn(subject: str, function: Any) -> FunctionRef | None:
    """A function of the configuration, by reference."""
    if function is None or isinstance(function, FunctionRef):
        return function
    if not callable(function):
        raise ArgumentError("E003", subject, repr(function), "a function of the configuration")
    try:
        return FunctionRef.of(function)
    except CodecError as error:
        raise ArgumentError("E003", subject, str(error), "a function written by def or lambda") from None


def _as_factors(factors: Any) -> tuple[float, ...]:
    if not isinstance(factors, (list, tuple)) or not factors:
        raise ArgumentError("E003", "pbt.perturbation_factors", repr(factors), "numbers such as (1.2, 0.8)")
    return tuple(as_number(f"pbt.perturbation_factors[{i}]", factor) for i, factor in enumerate(factors))


def init(spec: Pbt, context: SchedulerContext) -> PopulationState:
    """Nobody yet."""
    return population.init(spec, context)


def explore(
    spec: Pbt, state: PopulationState, trial: int, donor: int, key: int
) -> tuple[PopulationState, dict[str, Json], ReasonFacts]:
    """The donor's configuration, explored."""
    layout = resolve_space(state.context.space)
    config, facts = perturb_config(
        layout,
        state.members[donor].config,
        default_mutations(layout) if spec.hyperparam_mutations is None else spec.hyperparam_mutations,
        key,
        spec.resample_probability,
        spec.perturbation_factors,
    )
    if spec.custom_explore_fn is None:
        return state, config, {**facts}
    config = apply_custom_explore(spec.custom_explore_fn, config, key)
    return state, config, {**facts, "custom": spec.custom_explore_fn.name}


EXPLORER = Explorer("pbt", explore)


def validate(spec: Pbt) -> list[Diagnostic]:
    """Settings under which the algorithm has no meaning."""
    found = population.validate_population(spec)
    if not 0 <= spec.resample_probability <= 1:
        found.append(spec_diagnostic(spec, "E073", "resample_probability", "between 0 and 1"))
    if not all(math.isfinite(factor) and factor > 0 for factor in spec.perturbation_factors):
        found.append(
            spec_diagnostic(spec, "E073", "perturbation_factors", "finite numbers above 0", "(1.2, 0.8) is usual")
        )
    return found


def check_compatibility(spec: Pbt, context: SchedulerContext) -> list[Diagnostic]:
    """Mutations of what cannot be changed, or nothing to change."""
    parts = spec.hyperparam_mutations.parts if spec.hyperparam_mutations else ()
    found = check_changeable("hyperparam_mutations", [name for name, _ in parts], context.space)
    if (
        spec.hyperparam_mutations is None
        and spec.custom_explore_fn is None
        and not default_mutations(resolve_space(context.space)).parts
    ):
        expected = "a number or choice that may change"
        hint = "hyperparam_mutations={...} or custom_explore_fn=..."
        found.append(Diagnostic("E071", "scheduler", "a space without domains", expected, hint))
    return found


def check_changeable(option: str, names: Sequence[str], space: Space) -> list[Diagnostic]:
    """Names that stand for nothing that a scheduler can change."""
    nodes = {leaf.name: leaf.node for leaf in resolve_space(space).params}
    found = []
    for name in names:
        subject, expected = f"scheduler.{option}", "a parameter of the space"
        if name not in nodes:
            found.append(Diagnostic("E071", subject, repr(name), expected, did_you_mean(name, nodes)))
        elif isinstance(nodes[name], (Branch, Expr)):
            what = "chooses other parameters" if isinstance(nodes[name], Branch) else "is computed from others"
            found.append(Diagnostic("E071", subject, f"{name!r}, which {what}", expected, "change those themselves"))
    return found


def describe(spec: Pbt) -> str:
    """One line: when, who, and what changes."""
    if spec.hyperparam_mutations is not None:
        changed = ", ".join(name for name, _ in spec.hyperparam_mutations.parts)
    else:
        changed = "the space's numbers and choices"
    custom_text = f", then {spec.custom_explore_fn.name}" if spec.custom_explore_fn else ""
    return population.describe_population(spec, f"with {changed} changed{custom_text}")


def requirements(spec: Any) -> Requirements:
    """What every population needs."""
    return Requirements(checkpoints=True, pause=True, objective=True, searcher=NON_LEARNING)


register_scheduler(
    Pbt,
    Scheduler(
        "pbt",
        init,
        functools.partial(population.on_report, EXPLORER),
        population.decision_points,
        describe,
        on_add=population.on_add,
        on_end=functools.partial(population.on_end, EXPLORER),
        on_remove=functools.partial(population.on_remove, EXPLORER),
        on_all_proposed=functools.partial(population.on_all_proposed, EXPLORER),
        promote=functools.partial(population.promote, EXPLORER),
        requirements=requirements,
        first_decision=population.first_decision,
        metrics_used=population.metrics_used,
        validate=validate,
        check_compatibility=check_compatibility,
    ),
)
