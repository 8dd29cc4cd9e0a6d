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

from tunedsl.base.arguments import checked, number, text
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError, CodecError
from tunedsl.base.literals import FunctionRef, spell
from tunedsl.base.names import did_you_mean
from tunedsl.base.vocabulary import TRAINING_ITERATION, Json
from tunedsl.schedule import population
from tunedsl.schedule.contract import UNLEARNED, Needs, Scheduler, Setting, enrol
from tunedsl.schedule.explore import Mutations, all_of, custom, explored
from tunedsl.schedule.population import Explorer, Facts, State
from tunedsl.schedule.progress import canonical, fault
from tunedsl.space.domains import Branch
from tunedsl.space.expressions import Expr
from tunedsl.space.layout import lower
from tunedsl.space.space import Space


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
        return spell("pbt", self)


@checked
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
        canonical(number("pbt.perturbation_interval", perturbation_interval)),
        canonical(number("pbt.burn_in_period", burn_in_period)),
        None if hyperparam_mutations is None else mutations_of("pbt.hyperparam_mutations", hyperparam_mutations),
        number("pbt.quantile_fraction", quantile_fraction),
        number("pbt.resample_probability", resample_probability),
        _factors(perturbation_factors),
        explore_fn("pbt.custom_explore_fn", custom_explore_fn),
        flag("pbt.synch", synch),
        text("pbt.time_attr", time_attr),
    )


def mutations_of(subject: str, written: Any) -> Mutations:
    """What users write for `hyperparam_mutations`."""
    return written if isinstance(written, Mutations) else Mutations.of(subject, written)


def flag(subject: str, item: Any) -> bool:
    """`item` as a bool."""
    if not isinstance(item, (bool, np.bool_)):
        raise ArgumentError("E003", subject, repr(item), "True or False")
    return bool(item)


def explore_fn(subject: str, function: Any) -> FunctionRef | None:
    """A function of the configuration, by reference."""
    if function is None or isinstance(function, FunctionRef):
        return function
    if not callable(function):
        raise ArgumentError("E003", subject, repr(function), "a function of the configuration")
    try:
        return FunctionRef.of(function)
    except CodecError as error:
        raise ArgumentError("E003", subject, str(error), "a function written by def or lambda") from None


def _factors(factors: Any) -> tuple[float, ...]:
    if not isinstance(factors, (list, tuple)) or not factors:
        raise ArgumentError("E003", "pbt.perturbation_factors", repr(factors), "numbers such as (1.2, 0.8)")
    return tuple(number(f"pbt.perturbation_factors[{i}]", factor) for i, factor in enumerate(factors))


def init(spec: Pbt, setting: Setting) -> State:
    """Nobody yet."""
    return population.init(spec, setting)


def renew(spec: Pbt, state: State, trial: int, donor: int, key: int) -> tuple[State, dict[str, Json], Facts]:
    """The donor's configuration, explored."""
    layout = lower(state.setting.space)
    config, facts = explored(
        layout,
        state.members[donor].config,
        all_of(layout) if spec.hyperparam_mutations is None else spec.hyperparam_mutations,
        key,
        spec.resample_probability,
        spec.perturbation_factors,
    )
    if spec.custom_explore_fn is None:
        return state, config, {**facts}
    config = custom(spec.custom_explore_fn, config, key)
    return state, config, {**facts, "custom": spec.custom_explore_fn.name}


EXPLORER = Explorer("pbt", renew)


def validate(spec: Pbt) -> list[Diagnostic]:
    """Settings under which the algorithm has no meaning."""
    found = population.faults(spec)
    if not 0 <= spec.resample_probability <= 1:
        found.append(fault(spec, "E073", "resample_probability", "between 0 and 1"))
    if not all(math.isfinite(factor) and factor > 0 for factor in spec.perturbation_factors):
        found.append(fault(spec, "E073", "perturbation_factors", "finite numbers above 0", "(1.2, 0.8) is usual"))
    return found


def fits(spec: Pbt, setting: Setting) -> list[Diagnostic]:
    """Mutations of what cannot be changed, or nothing to change."""
    parts = spec.hyperparam_mutations.parts if spec.hyperparam_mutations else ()
    found = unchangeable("hyperparam_mutations", [name for name, _ in parts], setting.space)
    if spec.hyperparam_mutations is None and spec.custom_explore_fn is None and not all_of(lower(setting.space)).parts:
        expected = "a number or choice that may change"
        hint = "hyperparam_mutations={...} or custom_explore_fn=..."
        found.append(Diagnostic("E071", "scheduler", "a space without domains", expected, hint))
    return found


def unchangeable(option: str, names: Sequence[str], space: Space) -> list[Diagnostic]:
    """Names that stand for nothing that a scheduler can change."""
    nodes = {leaf.name: leaf.node for leaf in lower(space).leaves}
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
    return population.described(spec, f"with {changed} changed{custom_text}")


def needs(spec: Any) -> Needs:
    """What every population needs."""
    return Needs(checkpoints=True, pause=True, objective=True, searcher=UNLEARNED)


enrol(
    Pbt,
    Scheduler(
        "pbt",
        init,
        functools.partial(population.on_report, EXPLORER),
        population.decision_points,
        describe,
        on_add=population.on_add,
        on_end=functools.partial(population.on_end, EXPLORER),
        on_leave=functools.partial(population.on_leave, EXPLORER),
        on_full=functools.partial(population.on_full, EXPLORER),
        promote=functools.partial(population.promote, EXPLORER),
        needs=needs,
        reads=population.reads,
        validate=validate,
        fits=fits,
    ),
)
