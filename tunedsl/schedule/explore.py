"""How a donor's configuration is changed: each parameter drawn anew or perturbed, and the whole still of the space.

Source: Jaderberg et al., Population Based Training of Neural Networks (2017), arXiv:1711.09846; resampling,
perturbation and neighbours as in Ray Tune's PBT, within the bounds and on the steps of the domains.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, Final

from tunedsl.base import codec, keys
from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError, CodecError, SpaceError
from tunedsl.base.literals import FunctionRef, Literal, loaded, show
from tunedsl.base.vocabulary import Json
from tunedsl.space.domains import Branch, Choice, Domain, Grid, QNormal, SampleFrom
from tunedsl.space.evaluation import NULL, evaluate
from tunedsl.space.expressions import Expr, Ref, constant
from tunedsl.space.layout import Layout, Leaf, meets
from tunedsl.space.units import from_unit, has_unit, is_discrete, lattice, multiple, steps, support

ATTEMPTS: Final = 100
"""How often a change is drawn before the space's constraints count as in its way."""

Mutation = Domain | FunctionRef
Config = dict[str, Json]
_MISSING: Final = object()


@value(repr=False)
class Mutations:
    """What may be changed, and where new values come from.

    Attributes:
        parts: dotted name of a parameter, and its domain (a `Choice` for a list) or function.
    """

    parts: tuple[tuple[str, Mutation], ...]

    @staticmethod
    def of(subject: str, written: Any) -> Mutations:
        """What users write: names to lists, domains, functions or nested dicts of these."""
        if not isinstance(written, Mapping) or not written:
            raise ArgumentError("E003", subject, repr(written), "a dict of parameters: lists, domains or functions")
        return Mutations(tuple(_flat(subject, "", written)))

    def __repr__(self) -> str:
        shown = (
            f"{name!r}: {show(list(part.options)) if isinstance(part, Choice) else show(part)}"
            for name, part in self.parts
        )
        return f"{{{', '.join(shown)}}}"


def _flat(subject: str, prefix: str, written: Mapping[str, Any]) -> Any:
    for name, item in written.items():
        path, place = f"{prefix}{name}", f"{subject}[{name!r}]"
        if isinstance(item, Mapping):
            yield from _flat(subject, f"{path}.", item)
        elif isinstance(item, (list, tuple)) and item:
            yield path, Choice(tuple(constant(f"{place}[{i}]", option) for i, option in enumerate(item)))
        elif has_unit(item) and not isinstance(item, Branch):
            yield path, item
        elif callable(item):
            try:
                yield path, FunctionRef.of(item)
            except CodecError as error:
                raise ArgumentError("E003", place, str(error), "a function written by def or lambda") from None
        else:
            raise ArgumentError("E003", place, repr(item), "a list, a domain such as uniform(0, 1), or a function")


def mutable(node: Any) -> bool:
    """Whether values of a parameter of the space can be changed one by one: numbers and choices."""
    return has_unit(node) and not isinstance(node, Branch)


@functools.lru_cache(maxsize=64)
def all_of(layout: Layout) -> Mutations:
    """Changes of every numeric and categorical parameter, within its domain."""
    return Mutations(tuple((leaf.name, leaf.node) for leaf in layout.columns if mutable(leaf.node)))


def explored(
    layout: Layout,
    donor: Config,
    mutations: Mutations,
    key: int,
    resample_probability: float = 0.25,
    perturbation_factors: tuple[float, ...] = (1.2, 0.8),
) -> tuple[Config, dict[str, str]]:
    """A configuration near the donor's.

    Args:
        layout: of the space.
        donor: the donor's configuration, as canonical data.
        mutations: what may change, and how; parameters that the donor does not have stay away.
        key: determines the result.
        resample_probability: how likely a parameter is drawn anew.
        perturbation_factors: one of these multiplies a number that is not.

    Returns:
        The configuration, and for each changed parameter `old, operation -> new`. It is the donor's own where no
        change met the space's constraints.
    """
    for attempt in range(ATTEMPTS):
        again = key if not attempt else keys.key(key, "again", attempt)
        changes: dict[str, Any] = {}
        facts = {}
        for name, mutation in mutations.parts:
            for old in map(codec.decode, at(donor, name)):
                own = keys.key(again, name)
                new, how = mutated(mutation, old, own, resample_probability, perturbation_factors)
                changes[name] = new
                facts[f"config/{name}"] = f"{_shown(old)}, {how} -> {_shown(new)}"
        config = rebuilt(layout, donor, changes, again)
        if config is not None:
            return config, facts
    return donor, {"unchanged": f"no change met the constraints in {ATTEMPTS} attempts"}


def mutated(
    mutation: Mutation, old: Any, key: int, resample_probability: float, perturbation_factors: tuple[float, ...]
) -> tuple[Any, str]:
    """A new value in place of `old`, and what was done.

    Two numbers of `key` decide: whether to resample, and by which value, factor or direction.

    >>> from tunedsl.space import choice, randint
    >>> mutated(choice([16, 32, 64]), 32, 1, 0.0, (1.2, 0.8))
    (64, 'shift right')
    >>> mutated(randint(1, 9), 2, 1, 0.0, (1.2,))
    (3, '* 1.2')
    """
    coin, pick = keys.uniforms(key, [0, 1]).tolist()
    if isinstance(mutation, Choice):
        options = mutation.options
        at = next((place for place, option in enumerate(options) if _same(option, old)), None)
        if coin < resample_probability or at is None:
            return options[int(pick * len(options))].fresh(), "resample"
        shift = -1 if pick < 0.5 else 1
        to = min(max(at + shift, 0), len(options) - 1)
        return options[to].fresh(), f"shift {'left' if shift < 0 else 'right'}{' (noop)' if to == at else ''}"
    numeric = isinstance(old, (int, float)) and math.isfinite(old)
    if coin < resample_probability or not numeric:
        if isinstance(mutation, FunctionRef):
            with keys.fenced(key):
                return _typed(mutation.resolve()(), old), "resample"
        return from_unit(mutation, keys.uniforms(key, [1]))[0], "resample"
    factor = perturbation_factors[int(pick * len(perturbation_factors))]
    if isinstance(mutation, FunctionRef):
        return _typed(old * factor, old), f"* {factor:g}"
    return perturbed(mutation, old, old * factor), f"* {factor:g}"


def _typed(new: Any, old: Any) -> Any:
    """A value of a function as what it replaces: a bool, or a whole number."""
    if isinstance(old, bool):
        return bool(new)
    return round(new) if isinstance(old, int) and isinstance(new, float) else new


def perturbed(domain: Any, old: float, wanted: float) -> float:
    """The value of a numeric domain nearest to `wanted`, but not `old` itself while there is one on that side.

    >>> from tunedsl.space import quniform, uniform
    >>> perturbed(uniform(0, 1), 0.9, 1.08), perturbed(quniform(0, 1, 0.1), 0.2, 0.24)
    (1.0, 0.3)
    """
    low, high = support(domain)
    if not is_discrete(domain):
        return min(max(float(wanted), low), high)
    # A step that rounding would swallow could never be taken: 2 * 1.2 is 2.4.
    k = steps(domain, wanted)
    at = steps(domain, old)
    if k == at and wanted != old:
        k += 1 if wanted > old else -1
    if not isinstance(domain, QNormal):
        first, last = lattice(domain)
        k = min(max(k, first), last)
    return multiple(domain, k)


def rebuilt(layout: Layout, donor: Config, changes: Mapping[str, Any], key: int) -> Config | None:
    """The donor's configuration with changes, and with all that follows from them.

    Expressions are computed again; parameters whose condition holds no more go, those that come to life are drawn
    by `key`.

    Returns:
        The configuration as canonical data; None where it breaks a constraint, or would bring to life a parameter
        that no single draw determines.
    """
    config = _copy(donor)
    live: dict[str, Any] = {}

    def lookup(leaf: Expr) -> Any:
        found = live.get(leaf.path) if isinstance(leaf, Ref) else None
        return NULL if found is None and isinstance(leaf, Ref) and leaf.path in live else found

    for leaf in layout.leaves:
        if leaf.condition is not None and not evaluate(leaf.condition, lookup):
            _remove(config, leaf.path)
            continue
        if isinstance(leaf.node, Expr):
            found = evaluate(leaf.node, lookup)
            if found is None:
                _remove(config, leaf.path)
                continue
            new = None if found is NULL else found
        elif leaf.name in changes:
            new = changes[leaf.name]
        else:
            held = _held(leaf, config)
            if held is not _MISSING:
                live[leaf.name] = held
                continue
            new = _born(leaf, key)
            if new is _MISSING:
                return None
        live[leaf.name] = new
        _put(config, leaf.path, {new: {}} if isinstance(leaf.node, Branch) else codec.encode(new))
    return config if all(meets(evaluate(each, lookup)) for each in layout.constraints) else None


def custom(function: FunctionRef, config: Config, key: int) -> Config:
    """What a function of the user's makes of a configuration, its global random numbers drawn from `key`."""
    with keys.fenced(key):
        made = function.resolve()(codec.decode(config, loaded))
    if not isinstance(made, Mapping):
        raise SpaceError(f"custom_explore_fn {function!r} returned {made!r}: expected a configuration")
    encoded: Config = codec.encode(dict(made))
    return encoded


def _held(leaf: Leaf, config: Config) -> Any:
    """The live value that a configuration has of a parameter."""
    found = at(config, leaf.name)
    if not found:
        return _MISSING
    if isinstance(leaf.node, Branch):
        return next(iter(found[0]))
    item = codec.decode(found[0])
    options: tuple[Literal, ...] = ()
    if isinstance(leaf.node, Choice):
        options = leaf.node.options
    elif isinstance(leaf.node, Grid):
        options = leaf.node.values
    return next((option.object for option in options if _same(option, item)), item)


def _born(leaf: Leaf, key: int) -> Any:
    if isinstance(leaf.node, Literal):
        return leaf.node.fresh()
    if isinstance(leaf.node, (Grid, SampleFrom)):
        return _MISSING
    return from_unit(leaf.node, keys.uniforms(keys.key(key, "born", leaf.name), [0]))[0]


def _same(option: Literal, item: Any) -> bool:
    try:
        return option.text == codec.to_json(item)
    except CodecError:
        return False


def _shown(item: Any) -> str:
    return f"{item:.6g}" if isinstance(item, float) else show(item)


def _copy(config: Any) -> Any:
    return {name: _copy(part) for name, part in config.items()} if type(config) is dict else config


def at(config: Any, name: str) -> list[Json]:
    """What stands at a dotted name in a configuration's data, in a list; an empty one where nothing does."""
    for part in name.split("."):
        if type(config) is not dict or part not in config:
            return []
        config = config[part]
    return [config]


def _put(config: Config, path: tuple[str, ...], item: Json) -> None:
    *outer, name = path
    for part in outer:
        config = config.setdefault(part, {})
    config[name] = item


def _remove(config: Config, path: tuple[str, ...]) -> None:
    *outer, name = path
    for part in outer:
        if type(config.get(part)) is not dict:
            return
        config = config[part]
    config.pop(name, None)
