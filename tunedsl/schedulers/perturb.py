"""Changes of a donor's configuration: each parameter is drawn again or perturbed, and the result is in the space.

Source: Jaderberg et al., Population Based Training of Neural Networks (2017), arXiv:1711.09846; resampling,
perturbation and neighbours as in Ray Tune's PBT, within the bounds and on the steps of the domains.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tunedsl.base import codec, keys
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import ArgumentError, CodecError, SpaceError, wrong_value
from tunedsl.base.references import FunctionRef, Literal, find_loaded, source_repr
from tunedsl.base.types import Json
from tunedsl.schedulers.contract import EncodedConfig
from tunedsl.spaces.domains import Branch, Choice, Domain, Grid, QNormal, SampleFrom
from tunedsl.spaces.evaluation import NULL, evaluate
from tunedsl.spaces.expressions import Expr, Ref, as_literal
from tunedsl.spaces.layout import Layout, ResolvedParam, is_accepted
from tunedsl.spaces.unit_interval import (
    from_unit,
    has_unit_interval,
    is_discrete,
    step_of_value,
    step_range,
    support,
    value_at_step,
)

MAX_ATTEMPTS: Final = 100
"""Limit of draws of a change that breaks the space's constraints."""

Mutation = Domain | FunctionRef
_MISSING: Final = object()


@value(repr=False)
class Mutations:
    """The parameters that may change, and where their new values come from.

    Attributes:
        parts: dotted name of a parameter, and its domain (a `Choice` for a list) or function.
    """

    parts: tuple[tuple[str, Mutation], ...]

    @staticmethod
    def of(subject: str, written: Any) -> Mutations:
        """Mutations from what users write: names with lists, domains, functions or nested dicts of these."""
        if isinstance(written, Mutations):
            return written
        if not isinstance(written, Mapping) or not written:
            raise wrong_value(subject, written, "a dict of parameters to lists, domains or functions")
        return Mutations(tuple((name, _as_mutation(at, item)) for at, name, item in flatten_names(subject, written)))

    def __repr__(self) -> str:
        shown = (
            f"{name!r}: {source_repr(list(part.options)) if isinstance(part, Choice) else source_repr(part)}"
            for name, part in self.parts
        )
        return f"{{{', '.join(shown)}}}"


def flatten_names(subject: str, written: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """The leaves of nested dicts: the subject of messages, the dotted name, the item."""
    for name, item in written.items():
        if isinstance(item, Mapping):
            yield from flatten_names(subject, item, f"{prefix}{name}.")
        else:
            yield f"{subject}[{name!r}]", f"{prefix}{name}", item


def _as_mutation(subject: str, item: Any) -> Mutation:
    if isinstance(item, (list, tuple)) and item:
        return Choice(tuple(as_literal(f"{subject}[{i}]", option) for i, option in enumerate(item)))
    if is_mutable(item):
        return item  # type: ignore[no-any-return]
    if not callable(item):
        raise wrong_value(subject, item, "a list, a domain such as uniform(0, 1), or a function")
    try:
        return FunctionRef.of(item)
    except CodecError as error:
        raise ArgumentError(
            "E003", subject, f"{subject} has no name: {reason(error)}.", "write it by def or lambda"
        ) from None


def is_mutable(node: Any) -> bool:
    """Whether a parameter of the space can change alone: numbers and choices."""
    return has_unit_interval(node) and not isinstance(node, Branch)


@functools.lru_cache(maxsize=64)
def default_mutations(layout: Layout) -> Mutations:
    """Mutations of every number and choice of the space, within its domain."""
    return Mutations(tuple((leaf.name, leaf.node) for leaf in layout.cube_params if is_mutable(leaf.node)))


def perturb_config(
    layout: Layout,
    donor: EncodedConfig,
    mutations: Mutations,
    key: int,
    resample_probability: float = 0.25,
    perturbation_factors: tuple[float, ...] = (1.2, 0.8),
) -> tuple[EncodedConfig, dict[str, str]]:
    """A configuration near the donor's.

    Args:
        layout: of the space.
        donor: the donor's configuration, as canonical data.
        mutations: the parameters that may change; those that the donor lacks remain absent.
        key: determines the result.
        resample_probability: probability that a parameter is drawn again, in [0, 1].
        perturbation_factors: a random one multiplies each other number.

    Returns:
        The configuration, and for each changed parameter `old, operation -> new`. It is the donor's own if no change
        met the space's constraints.
    """
    for attempt in range(MAX_ATTEMPTS):
        again = key if not attempt else keys.key(key, "again", attempt)
        changes: dict[str, Any] = {}
        facts = {}
        for name, mutation in mutations.parts:
            for old in map(codec.decode, items_at(donor, name)):
                own = keys.key(again, name)
                new, how = mutate(mutation, old, own, resample_probability, perturbation_factors)
                changes[name] = new
                facts[f"config/{name}"] = f"{_format_value(old)}, {how} -> {_format_value(new)}"
        config = rebuild_config(layout, donor, changes, again)
        if config is not None:
            return config, facts
    return donor, {"unchanged": f"no change met the constraints in {MAX_ATTEMPTS} attempts"}


def mutate(
    mutation: Mutation, old: Any, key: int, resample_probability: float, perturbation_factors: tuple[float, ...]
) -> tuple[Any, str]:
    """A new value in place of `old`, and the operation.

    Two numbers of `key` decide: whether to resample, and which value, factor or direction to use.

    >>> from tunedsl.spaces import choice, randint
    >>> mutate(choice([16, 32, 64]), 32, 1, 0.0, (1.2, 0.8))
    (64, 'shift right')
    >>> mutate(randint(1, 9), 2, 1, 0.0, (1.2,))
    (3, '* 1.2')
    """
    coin, pick = keys.uniforms(key, [0, 1]).tolist()
    if isinstance(mutation, Choice):
        options = mutation.options
        at = next((place for place, option in enumerate(options) if _is_option(option, old)), None)
        if coin < resample_probability or at is None:
            return options[int(pick * len(options))].copy(), "resample"
        shift = -1 if pick < 0.5 else 1
        to = min(max(at + shift, 0), len(options) - 1)
        return options[to].copy(), f"shift {'left' if shift < 0 else 'right'}{' (noop)' if to == at else ''}"
    numeric = isinstance(old, (int, float)) and math.isfinite(old)
    if coin < resample_probability or not numeric:
        if isinstance(mutation, FunctionRef):
            with keys.seeded_globals(key):
                return _cast_like(mutation.resolve()(), old), "resample"
        return from_unit(mutation, keys.uniforms(key, [1]))[0], "resample"
    factor = perturbation_factors[int(pick * len(perturbation_factors))]
    if isinstance(mutation, FunctionRef):
        return _cast_like(old * factor, old), f"* {factor:g}"
    return perturb_number(mutation, old, old * factor), f"* {factor:g}"


def _cast_like(new: Any, old: Any) -> Any:
    """The result of a function with the type of the value that it replaces: a bool or a whole number."""
    if isinstance(old, bool):
        return bool(new)
    return round(new) if isinstance(old, int) and isinstance(new, float) else new


def perturb_number(domain: Any, old: float, target: float) -> float:
    """The value of a numeric domain nearest to `target`, except `old` if there is another one on that side.

    >>> from tunedsl.spaces import quniform, uniform
    >>> perturb_number(uniform(0, 1), 0.9, 1.08), perturb_number(quniform(0, 1, 0.1), 0.2, 0.24)
    (1.0, 0.3)
    """
    low, high = support(domain)
    if not is_discrete(domain):
        return min(max(float(target), low), high)
    # Otherwise rounding could undo every perturbation: 2 * 1.2 is 2.4.
    k = step_of_value(domain, target)
    at = step_of_value(domain, old)
    if k == at and target != old:
        k += 1 if target > old else -1
    if not isinstance(domain, QNormal):
        first, last = step_range(domain)
        k = min(max(k, first), last)
    return value_at_step(domain, k)


def rebuild_config(layout: Layout, donor: EncodedConfig, changes: Mapping[str, Any], key: int) -> EncodedConfig | None:
    """The donor's configuration with changes and their consequences.

    Expressions are computed again; parameters whose condition no longer holds are removed, and new ones are drawn by
    `key`.

    Returns:
        The configuration as canonical data; None if it breaks a constraint, or needs a new parameter that a single
        draw does not determine.
    """
    config = _copy_config(donor)
    live: dict[str, Any] = {}

    def lookup(leaf: Expr) -> Any:
        found = live.get(leaf.path) if isinstance(leaf, Ref) else None
        return NULL if found is None and isinstance(leaf, Ref) and leaf.path in live else found

    for leaf in layout.params:
        if leaf.condition is not None and not evaluate(leaf.condition, lookup):
            _remove_item(config, leaf.path)
            continue
        if isinstance(leaf.node, Expr):
            found = evaluate(leaf.node, lookup)
            if found is None:
                _remove_item(config, leaf.path)
                continue
            new = None if found is NULL else found
        elif leaf.name in changes:
            new = changes[leaf.name]
        else:
            held = _current_value(leaf, config)
            if held is not _MISSING:
                live[leaf.name] = held
                continue
            new = _draw_value(leaf, key)
            if new is _MISSING:
                return None
        live[leaf.name] = new
        _set_item(config, leaf.path, {new: {}} if isinstance(leaf.node, Branch) else codec.encode(new))
    return config if all(is_accepted(evaluate(each, lookup)) for each in layout.constraints) else None


def apply_custom_explore(function: FunctionRef, config: EncodedConfig, key: int) -> EncodedConfig:
    """A configuration changed by a user function, whose global random numbers derive from `key`."""
    with keys.seeded_globals(key):
        changed = function.resolve()(codec.decode(config, find_loaded))
    if not isinstance(changed, Mapping):
        raise SpaceError(f"custom_explore_fn {function!r} must return a configuration, not {changed!r}.")
    encoded: EncodedConfig = codec.encode(dict(changed))
    return encoded


def _current_value(param: ResolvedParam, config: EncodedConfig) -> Any:
    """The live value of a parameter in a configuration."""
    found = items_at(config, param.name)
    if not found:
        return _MISSING
    if isinstance(param.node, Branch):
        return next(iter(found[0]))
    item = codec.decode(found[0])
    options: tuple[Literal, ...] = ()
    if isinstance(param.node, Choice):
        options = param.node.options
    elif isinstance(param.node, Grid):
        options = param.node.values
    return next((option.object for option in options if _is_option(option, item)), item)


def _draw_value(param: ResolvedParam, key: int) -> Any:
    if isinstance(param.node, Literal):
        return param.node.copy()
    if isinstance(param.node, (Grid, SampleFrom)):
        return _MISSING
    return from_unit(param.node, keys.uniforms(keys.key(key, "born", param.name), [0]))[0]


def _is_option(option: Literal, item: Any) -> bool:
    try:
        return option.text == codec.to_json(item)
    except CodecError:
        return False


def _format_value(item: Any) -> str:
    return f"{item:.6g}" if isinstance(item, float) else source_repr(item)


def _copy_config(config: Any) -> Any:
    return {name: _copy_config(part) for name, part in config.items()} if type(config) is dict else config


def items_at(config: Any, name: str) -> list[Json]:
    """The item at a dotted name of a configuration's data, as a list of one; an empty list if it is missing."""
    for part in name.split("."):
        if type(config) is not dict or part not in config:
            return []
        config = config[part]
    return [config]


def _set_item(config: EncodedConfig, path: tuple[str, ...], item: Json) -> None:
    *outer, name = path
    for part in outer:
        config = config.setdefault(part, {})
    config[name] = item


def _remove_item(config: EncodedConfig, path: tuple[str, ...]) -> None:
    *outer, name = path
    for part in outer:
        if type(config.get(part)) is not dict:
            return
        config = config[part]
    config.pop(name, None)
