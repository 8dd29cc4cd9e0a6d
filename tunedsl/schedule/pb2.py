"""PB2: population based training whose new configurations a bandit chooses, from what changed scores before.

Source: Parker-Holder et al., Provably Efficient Online Hyperparameter Optimization with Population-Based Bandits
(NeurIPS 2020), arXiv:2002.02518; who takes over from whom is as in `pbt`.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import immutables
import msgspec
import numpy as np
from msgspec.structs import replace

from tunedsl.base import codec, keys
from tunedsl.base.arguments import checked, number, text
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError
from tunedsl.base.literals import FunctionRef, Literal, spell
from tunedsl.base.vocabulary import TRAINING_ITERATION, Json
from tunedsl.schedule import population
from tunedsl.schedule.contract import Scheduler, Setting, enrol
from tunedsl.schedule.explore import at, custom, rebuilt
from tunedsl.schedule.pbt import explore_fn, flag, needs, unchangeable
from tunedsl.schedule.population import Explorer, Facts, State
from tunedsl.schedule.progress import canonical
from tunedsl.space.domains import Choice, Uniform
from tunedsl.space.layout import Layout, lower
from tunedsl.space.units import contains, from_unit, has_unit, to_unit

NEWEST: Final = 200
"""How many changes of scores the bandit looks at: older ones have faded, and its cost rises with their cube."""

STARTS: Final = 10
GRID: Final = 1000
"""Choices are rounded to this part of a domain, so that the last bits of another machine seldom matter."""


@value(repr=False)
class Bounds:
    """What may be changed: dotted names, least and greatest values."""

    parts: tuple[tuple[str, float, float], ...]

    @staticmethod
    def of(subject: str, written: Any) -> Bounds:
        """What users write: names to pairs, or nested dicts of these."""
        if not isinstance(written, Mapping) or not written:
            raise ArgumentError("E003", subject, repr(written), "a dict of parameters to [low, high]")
        return Bounds(tuple(_flat(subject, "", written)))

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: [{low!r}, {high!r}]' for name, low, high in self.parts)}}}"


def _flat(subject: str, prefix: str, written: Mapping[str, Any]) -> Any:
    for name, item in written.items():
        place = f"{subject}[{name!r}]"
        if isinstance(item, Mapping):
            yield from _flat(subject, f"{prefix}{name}.", item)
        elif isinstance(item, (list, tuple)) and len(item) == 2:
            yield f"{prefix}{name}", number(place, item[0]), number(place, item[1])
        else:
            raise ArgumentError("E003", place, repr(item), "a pair [low, high]")


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
        return spell("pb2", self)


@checked
def pb2(
    perturbation_interval: float = 5,
    hyperparam_bounds: Mapping[str, Any] | None = None,
    quantile_fraction: float = 0.25,
    custom_explore_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    synch: bool = False,
    time_attr: str = TRAINING_ITERATION,
    burn_in_period: float = 0,
) -> Pb2:
    """As `pbt`, but a Gaussian process over all trials' gains so far chooses what a trial goes on with.

    Made for populations too small for chance to find good changes. Needs scikit-learn: `pip install 'tunedsl[pb2]'`.
    Choices between constants stay as the donor has them.

    Args:
        perturbation_interval: above 0, in units of `time_attr`; whole where these are iterations.
        hyperparam_bounds: which numbers change, by dotted name or in nested dicts, each between `[low, high]`, on the
            scale (linear, log, steps) that the space has for it. Without it, all numbers of the space.
        quantile_fraction: share of the population, 0 to 0.5, that counts as worst, and as best.
        custom_explore_fn: gets the chosen configuration and returns the one to take.
        synch: whether all wait for each other at each interval and are compared there.
        time_attr: the metric that measures a trial's progress; see `pbt`.
        burn_in_period: no trial changes before this time.

    Returns:
        A scheduler spec. It needs an objective and a trainable with checkpoints, and a searcher that does not learn.

    Raises:
        ArgumentError: for an argument of the wrong type.

    >>> pb2(perturbation_interval=10, hyperparam_bounds={"lr": [1e-4, 1e-1]})
    pb2(perturbation_interval=10, hyperparam_bounds={'lr': [0.0001, 0.1]})
    """
    bounds = hyperparam_bounds
    return Pb2(
        canonical(number("pb2.perturbation_interval", perturbation_interval)),
        bounds if bounds is None or isinstance(bounds, Bounds) else Bounds.of("pb2.hyperparam_bounds", bounds),
        number("pb2.quantile_fraction", quantile_fraction),
        explore_fn("pb2.custom_explore_fn", custom_explore_fn),
        flag("pb2.synch", synch),
        text("pb2.time_attr", time_attr),
        canonical(number("pb2.burn_in_period", burn_in_period)),
    )


class Gain(msgspec.Struct, frozen=True):
    """What a score gained in one interval, per unit of time: from which time and score, and where on the cube."""

    trial: int
    time: float
    before: float
    after: float
    point: tuple[float, ...]
    gain: float


class Memory(msgspec.Struct, frozen=True):
    """What the bandit learns from.

    Attributes:
        gains: the newest, in the order in which they came.
        since: time and score of each member when it got, or last reported under, its configuration.
        pending: what was chosen at the newest time, and that time.
    """

    gains: tuple[Gain, ...] = ()
    since: immutables.Map[int, tuple[float, float]] = immutables.Map()
    pending: tuple[tuple[float, ...], ...] = ()
    explored: float = 0


def init(spec: Pb2, setting: Setting) -> State:
    """Nobody yet, and nothing learnt."""
    return population.init(spec, setting, Memory())


def learn(spec: Pb2, state: State, trial: int, time: float, score: float) -> State:
    """Adds what the trial's score gained since it was last looked at."""
    memory: Memory = state.memory
    since = memory.since.get(trial)
    gains = memory.gains
    point = _point(spec, state, trial)
    if since is not None and time > since[0] and point is not None and np.isfinite([score, since[1]]).all():
        gain = Gain(trial, time, since[1], score, point, (score - since[1]) / (time - since[0]))
        gains = (*gains[-NEWEST + 1 :], gain)
    return replace(state, memory=replace(memory, gains=gains, since=memory.since.set(trial, (time, score))))


def renew(spec: Pb2, state: State, trial: int, donor: int, key: int) -> tuple[State, dict[str, Json], Facts]:
    """What the bandit chooses for the donor's weights; the donor's own configuration while nothing is known of it."""
    memory: Memory = state.memory
    member, better = state.members[trial], state.members[donor]
    config, facts = better.config, _Facts()
    known = next((gain for gain in reversed(memory.gains) if gain.trial == donor), None)
    domains = changed(spec, lower(state.setting.space))
    if known is None or not domains:
        facts["bandit"] = "no gain of the donor is known yet"
    else:
        newest = max(gain.time for gain in memory.gains)
        pending = memory.pending if newest <= memory.explored else ()
        point = _choice(memory, known, pending, key)
        new = {name: from_unit(domain, np.array([u]))[0] for (name, domain), u in zip(domains, point, strict=True)}
        made = rebuilt(lower(state.setting.space), config, {n: v for n, v in new.items() if at(config, n)}, key)
        if made is None:
            facts["unchanged"] = "the bandit's choice breaks a constraint"
        else:
            for name in new:
                for old in at(config, name):
                    facts[f"config/{name}"] = f"{codec.decode(old):.6g} -> {new[name]:.6g}"
            config = made
        memory = replace(memory, pending=(*pending, point), explored=newest)
    if spec.custom_explore_fn is not None:
        config = custom(spec.custom_explore_fn, config, key)
        facts["custom"] = spec.custom_explore_fn.name
    own = member.trained if population.counts_itself(spec) else better.trained
    if better.score is not None:
        memory = replace(memory, since=memory.since.set(trial, (own, better.score)))
    return replace(state, memory=memory), config, facts


_Facts = dict[str, int | float | str]


def _choice(memory: Memory, known: Gain, pending: tuple[tuple[float, ...], ...], key: int) -> tuple[float, ...]:
    from tunedsl.schedule import bandit

    gains, dims = memory.gains, len(known.point)
    starts = keys.uniforms(keys.key(key, "starts"), range(STARTS * dims)).reshape(STARTS, dims)
    found = bandit.chosen(
        np.array([[gain.time, gain.before] for gain in gains], float),
        np.array([gain.point for gain in gains], float),
        np.array([gain.gain for gain in gains], float),
        np.array(pending, float).reshape(len(pending), dims),
        np.array([known.time, known.before], float),
        starts,
    )
    return tuple((np.rint(found * GRID) / GRID).tolist())


def changed(spec: Pb2, layout: Layout) -> tuple[tuple[str, Any], ...]:
    """The parameters that the bandit chooses, and the domains that it chooses from."""
    if spec.hyperparam_bounds is None:
        return tuple((leaf.name, leaf.node) for leaf in layout.columns if _numeric(leaf.node))
    nodes = {leaf.name: leaf.node for leaf in layout.leaves}
    return tuple((name, _within(nodes.get(name), low, high)) for name, low, high in spec.hyperparam_bounds.parts)


def _numeric(node: Any) -> bool:
    return has_unit(node) and hasattr(node, "integer") and (hasattr(node, "low") or hasattr(node, "sd"))


def _within(node: Any, low: float, high: float) -> Any:
    """The space's domain between other bounds; a uniform one where it has none."""
    if not hasattr(node, "low"):
        return Uniform(float(low), float(high))
    bounds = (int(low), int(high)) if node.integer else (float(low), float(high))
    return attrs.evolve(node, low=bounds[0], high=bounds[1])


def _point(spec: Pb2, state: State, trial: int) -> tuple[float, ...] | None:
    """Where a member's configuration lies among what the bandit chooses from; None if it is outside."""
    config = state.members[trial].config
    point = []
    for name, domain in changed(spec, lower(state.setting.space)):
        found = [codec.decode(item) for item in at(config, name)]
        if not found:
            point.append(0.5)  # it does not exist there, and has no say
        elif contains(domain, found[0]):
            point.append(float(to_unit(domain, found)[0]))
        else:
            return None
    return tuple(point)


EXPLORER = Explorer("pb2", renew, learn)


def validate(spec: Pb2) -> list[Diagnostic]:
    """Settings under which the algorithm has no meaning, and a missing package."""
    found = population.faults(spec)
    for name, low, high in spec.hyperparam_bounds.parts if spec.hyperparam_bounds else ():
        if not (np.isfinite([low, high]).all() and low < high):
            expected = "finite bounds, low < high"
            found.append(Diagnostic("E073", "scheduler.hyperparam_bounds", f"{name!r}: [{low!r}, {high!r}]", expected))
    if importlib.util.find_spec("sklearn") is None:
        hint = "pip install 'tunedsl[pb2]'"
        found.append(Diagnostic("E074", "scheduler", "pb2 without scikit-learn", "scikit-learn", hint))
    return found


def fits(spec: Pb2, setting: Setting) -> list[Diagnostic]:
    """Bounds of what is no number that can be changed, or nothing to change."""
    layout = lower(setting.space)
    names = [name for name, _, _ in spec.hyperparam_bounds.parts] if spec.hyperparam_bounds else []
    found = unchangeable("hyperparam_bounds", names, setting.space)
    for leaf in layout.leaves:
        constant = isinstance(leaf.node, Literal) and not isinstance(leaf.node.object, (int, float))
        if leaf.name in names and (isinstance(leaf.node, Choice) or constant):
            expected, hint = "a number", "pbt() changes choices too"
            found.append(Diagnostic("E071", "scheduler.hyperparam_bounds", f"{leaf.name!r}", expected, hint))
    if not names and not changed(spec, layout):
        hint = "hyperparam_bounds={...}"
        found.append(Diagnostic("E071", "scheduler", "a space without numbers", "a number that may change", hint))
    return found


def describe(spec: Pb2) -> str:
    """One line: when, who, and what is chosen."""
    names = [name for name, _, _ in spec.hyperparam_bounds.parts] if spec.hyperparam_bounds else []
    return population.described(spec, f"with {', '.join(names) or 'the numbers of the space'} chosen by a bandit")


enrol(
    Pb2,
    Scheduler(
        "pb2",
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
