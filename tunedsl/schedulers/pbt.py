"""Population based training: the worst members continue from the best, with configurations near theirs.

Source: Jaderberg et al., Population Based Training of Neural Networks (2017), arXiv:1711.09846; compares and pairs
trials as `PopulationBasedTraining` of Ray Tune does on the same reports.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tunedsl.base.arguments import as_bool, as_number, as_text, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import wrong_value
from tunedsl.base.references import FunctionRef, call_repr
from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.schedulers.contract import EncodedConfig, SchedulerContext, register_scheduler
from tunedsl.schedulers.perturb import Mutations, apply_custom_explore, default_mutations, perturb_config
from tunedsl.schedulers.population import Explorer, PopulationState, ReasonFacts, population_scheduler
from tunedsl.schedulers.population_spec import (
    as_explore_fn,
    check_changeable,
    describe_population,
    validate_population,
)
from tunedsl.schedulers.time_attr import canonical_number, spec_diagnostic
from tunedsl.spaces.layout import resolve_space


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
    """At each interval, the worst trials continue from checkpoints of the best, with slightly changed configurations.

    All trials of the experiment are one population. If there are more trials than slots, they take turns, one interval
    each. A trial whose metric has become NaN also continues from a better one.

    Such a trial receives its new configuration in `setup`, then the donor's checkpoint in `load`. The state of an
    optimiser contains the donor's learning rate: set the new one after loading it, in PyTorch with
    `for group in optimizer.param_groups: group["lr"] = config["lr"]`.

    Args:
        perturbation_interval: time between comparisons, in units of `time_attr`, above 0; whole for iterations.
        burn_in_period: time before which no trial changes, at least 0.
        hyperparam_mutations: the parameters that change, by dotted name or in nested dicts, and where their values
            come from: a list (its order matters, since neighbours are tried), a domain such as
            `loguniform(1e-4, 1e-1)`, or a function without arguments that draws a value. By default, all numbers and
            choices of the space, within their domains. Leave out parameters that a checkpoint depends on, such as a
            layer's width.
        quantile_fraction: share of the population that counts as worst, and as best, in [0, 0.5].
        resample_probability: probability that a parameter is drawn again instead of perturbed, in [0, 1].
        perturbation_factors: factors above 0; a random one multiplies a perturbed number, within bounds and steps.
        custom_explore_fn: receives the changed configuration and returns the one to use.
        synch: whether all trials wait for each other at each interval and are compared there.
        time_attr: the metric that measures a trial's progress, rising with its reports. With the default, trials wait
            and save at intervals only; with any other, at every report. With seconds such as `time_total_s`, the
            outcome depends on the machine.

    Returns:
        A scheduler spec. It needs an objective, a trainable with checkpoints, and a searcher that does not learn.

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
    """`Mutations` from what users write for `hyperparam_mutations`."""
    return written if isinstance(written, Mutations) else Mutations.of(subject, written)


def _as_factors(factors: Any) -> tuple[float, ...]:
    if not isinstance(factors, (list, tuple)) or not factors:
        raise wrong_value("pbt.perturbation_factors", factors, "a list of numbers such as (1.2, 0.8)")
    return tuple(as_number(f"pbt.perturbation_factors[{i}]", factor) for i, factor in enumerate(factors))


def explore(
    spec: Pbt, state: PopulationState, trial: int, donor: int, key: int
) -> tuple[PopulationState, EncodedConfig, ReasonFacts]:
    """The donor's configuration with changes."""
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
    """Diagnostics of invalid settings."""
    found = validate_population(spec)
    if not 0 <= spec.resample_probability <= 1:
        found.append(spec_diagnostic(spec, "E073", "resample_probability", "between 0 and 1"))
    if not all(math.isfinite(factor) and factor > 0 for factor in spec.perturbation_factors):
        found.append(
            spec_diagnostic(spec, "E073", "perturbation_factors", "finite numbers above 0", "(1.2, 0.8) is usual")
        )
    return found


def check_compatibility(spec: Pbt, context: SchedulerContext) -> list[Diagnostic]:
    """Diagnostics of parameters that cannot change, or of a space without any that can."""
    parts = spec.hyperparam_mutations.parts if spec.hyperparam_mutations else ()
    found = check_changeable("hyperparam_mutations", [name for name, _ in parts], context.space)
    if (
        spec.hyperparam_mutations is None
        and spec.custom_explore_fn is None
        and not default_mutations(resolve_space(context.space)).parts
    ):
        hint = "write hyperparam_mutations={...} or custom_explore_fn=..."
        found.append(Diagnostic("E071", "scheduler", "The space has no parameter that pbt can change.", hint))
    return found


def describe(spec: Pbt) -> str:
    """One line: the interval, who continues from whom, and which parameters change."""
    if spec.hyperparam_mutations is not None:
        changed = ", ".join(name for name, _ in spec.hyperparam_mutations.parts)
    else:
        changed = "the space's numbers and choices"
    custom_text = f", then {spec.custom_explore_fn.name}" if spec.custom_explore_fn else ""
    return describe_population(spec, f"with {changed} changed{custom_text}")


register_scheduler(Pbt, population_scheduler(EXPLORER, describe, validate, check_compatibility))
