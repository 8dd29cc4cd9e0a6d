"""PB2: population based training with a bandit that chooses new configurations by earlier changes of scores.

Source: Parker-Holder et al., Provably Efficient Online Hyperparameter Optimization with Population-Based Bandits
(NeurIPS 2020), arXiv:2002.02518; which trial continues from
which is as in `pbt`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import immutables
import msgspec
import numpy as np
from msgspec.structs import replace

from tunedsl.base import codec, keys
from tunedsl.base.arguments import as_bool, as_number, as_text, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import wrong_value
from tunedsl.base.objective import violation_in
from tunedsl.base.references import FunctionRef, Literal, call_repr
from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.schedulers import population
from tunedsl.schedulers.contract import EncodedConfig, SchedulerContext, register_scheduler
from tunedsl.schedulers.perturb import apply_custom_explore, flatten_names, items_at, rebuild_config
from tunedsl.schedulers.population import Explorer, PopulationState, ReasonFacts, population_scheduler
from tunedsl.schedulers.population_spec import (
    as_explore_fn,
    check_changeable,
    describe_population,
    has_own_time,
    validate_population,
)
from tunedsl.schedulers.time_attr import canonical_number
from tunedsl.spaces.domains import Choice, Uniform
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.unit_interval import contains, from_unit, has_unit_interval, to_unit

MAX_GAINS: Final = 200
"""Limit of changes that the bandit uses, the newest ones; its cost is cubic in their number."""

ACQUISITION_STARTS: Final = 10
ROUNDING: Final = 1000
"""Choices are rounded to this fraction of a domain, so that rounding errors of another machine rarely matter."""


@value(repr=False)
class Bounds:
    """The parameters that may change: dotted names, smallest and largest values."""

    parts: tuple[tuple[str, float, float], ...]

    @staticmethod
    def of(subject: str, written: Any) -> Bounds:
        """Bounds from what users write: names with pairs, or nested dicts of these."""
        if not isinstance(written, Mapping) or not written:
            raise wrong_value(subject, written, "a dict such as {'lr': [1e-4, 0.1]}")
        return Bounds(tuple((name, *_as_bounds(at, item)) for at, name, item in flatten_names(subject, written)))

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: [{low!r}, {high!r}]' for name, low, high in self.parts)}}}"


def _as_bounds(subject: str, item: Any) -> tuple[float, float]:
    if not isinstance(item, (list, tuple)) or len(item) != 2:
        raise wrong_value(subject, item, "a pair [low, high]")
    return as_number(subject, item[0]), as_number(subject, item[1])


@value
class Pb2:
    """The settings of PB2; see `pb2`."""

    perturbation_interval: float = 5
    hyperparam_bounds: Bounds | None = None
    quantile_fraction: float = 0.25
    custom_explore_fn: FunctionRef | None = None
    synch: bool = False
    time_attr: str = TRAINING_ITERATION
    burn_in_period: float = 0

    def __repr__(self) -> str:
        return call_repr("pb2", self)


@check_arguments
def pb2(
    perturbation_interval: float = 5,
    hyperparam_bounds: Mapping[str, Any] | None = None,
    quantile_fraction: float = 0.25,
    custom_explore_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    synch: bool = False,
    time_attr: str = TRAINING_ITERATION,
    burn_in_period: float = 0,
) -> Pb2:
    """Like `pbt`, but a Gaussian process over the gains of all trials chooses the new configurations.

    It suits populations that are too small for random changes. It needs scikit-learn: `pip install 'tunedsl[pb2]'`.
    Choices between constants remain those of the donor.

    Args:
        perturbation_interval: time between comparisons, in units of `time_attr`, above 0; whole for iterations.
        hyperparam_bounds: the numbers that change, by dotted name or in nested dicts, each between `[low, high]`, on
            the scale (linear, log, steps) of the space. By default, all numbers of the space.
        quantile_fraction: share of the population that counts as worst, and as best, in [0, 0.5].
        custom_explore_fn: receives the chosen configuration and returns the one to use.
        synch: whether all trials wait for each other at each interval and are compared there.
        time_attr: the metric that measures a trial's progress; see `pbt`.
        burn_in_period: time before which no trial changes, at least 0.

    Returns:
        A scheduler spec. It needs an objective, a trainable with checkpoints, and a searcher that does not learn.

    Raises:
        ArgumentError: for an argument of the wrong type.

    >>> pb2(perturbation_interval=10, hyperparam_bounds={"lr": [1e-4, 1e-1]})
    pb2(perturbation_interval=10, hyperparam_bounds={'lr': [0.0001, 0.1]})
    """
    bounds = hyperparam_bounds
    return Pb2(
        canonical_number(as_number("pb2.perturbation_interval", perturbation_interval)),
        bounds if bounds is None or isinstance(bounds, Bounds) else Bounds.of("pb2.hyperparam_bounds", bounds),
        as_number("pb2.quantile_fraction", quantile_fraction),
        as_explore_fn("pb2.custom_explore_fn", custom_explore_fn),
        as_bool("pb2.synch", synch),
        as_text("pb2.time_attr", time_attr),
        canonical_number(as_number("pb2.burn_in_period", burn_in_period)),
    )


class Gain(msgspec.Struct, frozen=True):
    """The gain of a score per unit of time in one interval, the time and score before it, and the point of the cube."""

    trial: int
    time: float
    before: float
    after: float
    point: tuple[float, ...]
    gain: float


class Pb2Memory(msgspec.Struct, frozen=True):
    """What the bandit learns from.

    Attributes:
        gains: the newest gains, the oldest first.
        last_scores: time and score of each member when it received its configuration or last reported with it.
        pending: the points chosen at the newest time.
        explored_until: that time.
    """

    gains: tuple[Gain, ...] = ()
    last_scores: immutables.Map[int, tuple[float, float]] = immutables.Map()
    pending: tuple[tuple[float, ...], ...] = ()
    explored_until: float = 0


def init(spec: Pb2, context: SchedulerContext) -> PopulationState:
    """An empty population and no gains."""
    return population.init(spec, context, Pb2Memory())


def learn(spec: Pb2, state: PopulationState, trial: int, time: float, score: float) -> PopulationState:
    """Adds the gain of the trial's score since its last interval."""
    memory: Pb2Memory = state.explorer_state
    since = memory.last_scores.get(trial)
    gains = memory.gains
    point = _member_point(spec, state, trial)
    comparable = (
        since is not None and np.isfinite([score, since[1]]).all() and violation_in(min(score, since[1])) is None
    )
    if since is not None and time > since[0] and point is not None and comparable:
        gain = Gain(trial, time, since[1], score, point, (score - since[1]) / (time - since[0]))
        gains = (*gains[-MAX_GAINS + 1 :], gain)
    return replace(
        state, explorer_state=replace(memory, gains=gains, last_scores=memory.last_scores.set(trial, (time, score)))
    )


def explore(
    spec: Pb2, state: PopulationState, trial: int, donor: int, key: int
) -> tuple[PopulationState, EncodedConfig, ReasonFacts]:
    """The bandit's choice for the donor's weights; the donor's own configuration while it has no gain yet."""
    memory: Pb2Memory = state.explorer_state
    member, better = state.members[trial], state.members[donor]
    config, facts = better.config, _Facts()
    known = next((gain for gain in reversed(memory.gains) if gain.trial == donor), None)
    domains = tuned_params(spec, resolve_space(state.context.space))
    if known is None or not domains:
        facts["bandit"] = "no gain of the donor is known yet"
    else:
        newest = max(gain.time for gain in memory.gains)
        pending = memory.pending if newest <= memory.explored_until else ()
        point = _choose_point(memory, known, pending, key)
        new = {name: from_unit(domain, np.array([u]))[0] for (name, domain), u in zip(domains, point, strict=True)}
        made = rebuild_config(
            resolve_space(state.context.space), config, {n: v for n, v in new.items() if items_at(config, n)}, key
        )
        if made is None:
            facts["unchanged"] = "the bandit's choice breaks a constraint"
        else:
            for name in new:
                for old in items_at(config, name):
                    facts[f"config/{name}"] = f"{codec.decode(old):.6g} -> {new[name]:.6g}"
            config = made
        memory = replace(memory, pending=(*pending, point), explored_until=newest)
    if spec.custom_explore_fn is not None:
        config = apply_custom_explore(spec.custom_explore_fn, config, key)
        facts["custom"] = spec.custom_explore_fn.name
    own = member.trained_until if has_own_time(spec) else better.trained_until
    if better.score is not None:
        memory = replace(memory, last_scores=memory.last_scores.set(trial, (own, better.score)))
    return replace(state, explorer_state=memory), config, facts


_Facts = dict[str, int | float | str]


def _choose_point(
    memory: Pb2Memory, known: Gain, pending: tuple[tuple[float, ...], ...], key: int
) -> tuple[float, ...]:
    from tunedsl.schedulers import bandit

    gains, dims = memory.gains, len(known.point)
    starts = keys.uniforms(keys.key(key, "starts"), range(ACQUISITION_STARTS * dims)).reshape(ACQUISITION_STARTS, dims)
    found = bandit.maximize_ucb(
        np.array([[gain.time, gain.before] for gain in gains], float),
        np.array([gain.point for gain in gains], float),
        np.array([gain.gain for gain in gains], float),
        np.array(pending, float).reshape(len(pending), dims),
        np.array([known.time, known.before], float),
        starts,
    )
    return tuple((np.rint(found * ROUNDING) / ROUNDING).tolist())


def tuned_params(spec: Pb2, layout: Layout) -> tuple[tuple[str, Any], ...]:
    """The parameters that the bandit chooses, and their domains."""
    if spec.hyperparam_bounds is None:
        return tuple((leaf.name, leaf.node) for leaf in layout.cube_params if _is_numeric(leaf.node))
    nodes = {leaf.name: leaf.node for leaf in layout.params}
    return tuple((name, _with_bounds(nodes.get(name), low, high)) for name, low, high in spec.hyperparam_bounds.parts)


def _is_numeric(node: Any) -> bool:
    return has_unit_interval(node) and hasattr(node, "integer") and (hasattr(node, "low") or hasattr(node, "sd"))


def _with_bounds(node: Any, low: float, high: float) -> Any:
    """The space's domain with other bounds; a uniform one if the space has no domain."""
    if not hasattr(node, "low"):
        return Uniform(float(low), float(high))
    bounds = (int(low), int(high)) if node.integer else (float(low), float(high))
    return attrs.evolve(node, low=bounds[0], high=bounds[1])


def _member_point(spec: Pb2, state: PopulationState, trial: int) -> tuple[float, ...] | None:
    """The point of a member's configuration in the bandit's domains; None if it is outside."""
    config = state.members[trial].config
    point = []
    for name, domain in tuned_params(spec, resolve_space(state.context.space)):
        found = [codec.decode(item) for item in items_at(config, name)]
        if not found:
            point.append(0.5)  # it does not exist there; the middle is neutral
        elif contains(domain, found[0]):
            point.append(float(to_unit(domain, found)[0]))
        else:
            return None
    return tuple(point)


EXPLORER = Explorer("pb2", explore, learn)


def validate(spec: Pb2) -> list[Diagnostic]:
    """Diagnostics of invalid settings and of a missing package."""
    found = validate_population(spec)
    for name, low, high in spec.hyperparam_bounds.parts if spec.hyperparam_bounds else ():
        if not (np.isfinite([low, high]).all() and low < high):
            message = f"The bounds of {name} must be finite with low < high, not [{low!r}, {high!r}]."
            found.append(Diagnostic("E073", "scheduler.hyperparam_bounds", message))
    if importlib.util.find_spec("sklearn") is None:
        hint = "pip install 'tunedsl[pb2]'"
        found.append(Diagnostic("E074", "scheduler", "pb2 needs scikit-learn, which is not installed.", hint))
    return found


def check_compatibility(spec: Pb2, context: SchedulerContext) -> list[Diagnostic]:
    """Diagnostics of bounds for something else than a number, or of a space without numbers."""
    layout = resolve_space(context.space)
    names = [name for name, _, _ in spec.hyperparam_bounds.parts] if spec.hyperparam_bounds else []
    found = check_changeable("hyperparam_bounds", names, context.space)
    for leaf in layout.params:
        constant = isinstance(leaf.node, Literal) and not isinstance(leaf.node.object, (int, float))
        if leaf.name in names and (isinstance(leaf.node, Choice) or constant):
            message = f"pb2 changes only numbers, but the parameter {leaf.name} is not a number."
            hint = "use pbt(), which also changes choices"
            found.append(Diagnostic("E071", "scheduler.hyperparam_bounds", message, hint))
    if not names and not tuned_params(spec, layout):
        hint = "name the parameters in hyperparam_bounds={...}"
        found.append(Diagnostic("E071", "scheduler", "The space has no number that pb2 can change.", hint))
    return found


def describe(spec: Pb2) -> str:
    """One line: the interval, who continues from whom, and what the bandit chooses."""
    names = [name for name, _, _ in spec.hyperparam_bounds.parts] if spec.hyperparam_bounds else []
    return describe_population(spec, f"with {', '.join(names) or 'the numbers of the space'} chosen by a bandit")


register_scheduler(Pb2, population_scheduler(EXPLORER, describe, validate, check_compatibility, init))
