"""A `param_space` of Ray Tune as an experiment's space, domain by domain.

Domains are known by their classes' names, so that Ray is not loaded for it. Source: `ray/tune/search/sample.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tunedsl.base.arguments import check_arguments
from tunedsl.base.errors import ArgumentError
from tunedsl.experiment import Experiment, space
from tunedsl.spaces import (
    choice,
    grid,
    lograndint,
    loguniform,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    sample_from,
    uniform,
)

_DOMAINS: Final = "ray.tune.search.sample"
_GRID: Final = "grid_search"
_MAKERS: Final[dict[tuple[str, str], tuple[Callable[..., Any], Callable[..., Any]]]] = {
    ("Float", "_Uniform"): (uniform, quniform),
    ("Float", "_LogUniform"): (loguniform, qloguniform),
    ("Float", "_Normal"): (randn, qrandn),
    ("Integer", "_Uniform"): (randint, qrandint),
    ("Integer", "_LogUniform"): (lograndint, qlograndint),
}


@check_arguments
def space_from_ray(param_space: Mapping[str, Any]) -> Experiment:
    """An experiment with the parameters of a `param_space` of Ray Tune.

    Args:
        param_space: names to constants, nested dicts, domains of `ray.tune` (`tune.uniform(0, 1)`, ...), or
            `tune.grid_search([...])`.

    Raises:
        ArgumentError: for what has no equal here: domains inside lists or among the options of a choice.

    Example:
        >>> from ray import tune  # doctest: +SKIP
        >>> space_from_ray({"lr": tune.loguniform(1e-4, 1e-1), "layers": tune.randint(1, 4)})  # doctest: +SKIP
        space(lr=loguniform(0.0001, 0.1), layers=randint(1, 4))
    """
    if not isinstance(param_space, Mapping):
        raise ArgumentError("E003", "param_space", repr(param_space), "a dict of parameters")
    return space(**_mapping("param_space", param_space))


def _mapping(place: str, found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _node(f"{place}.{name}", item) for name, item in found.items()}


def _node(place: str, item: Any) -> Any:
    if isinstance(item, Mapping):
        if set(item) == {_GRID}:
            return grid(_plain(place, item[_GRID]))
        return _mapping(place, item)
    if _is_domain(item):
        return _domain(place, item)
    _plain(place, item)
    return item


def _domain(place: str, domain: Any) -> Any:
    kind = type(domain).__name__
    if kind == "Categorical":
        return choice(_plain(place, list(domain.categories)))
    if kind == "Function":
        if not domain.pass_config:
            raise ArgumentError(
                "E003", place, "sample_from(f) with f()", "f(config)", "def f(config): ... may ignore it"
            )
        return sample_from(domain.func)
    sampler = domain.get_sampler()
    quantum = getattr(sampler, "q", None)
    inner = sampler if quantum is None else sampler.get_sampler()
    how = next((base.__name__ for base in type(inner).__mro__ if (kind, base.__name__) in _MAKERS), None)
    if how is None:
        raise ArgumentError("E003", place, f"{domain!r} by {type(inner).__name__}", "a domain of ray.tune")
    plain, quantised = _MAKERS[kind, how]
    bounds = (inner.mean, inner.sd) if how == "_Normal" else (domain.lower, domain.upper)
    if quantum is None or (kind == "Integer" and quantum == 1):  # such ints leave their upper bound out
        return plain(*bounds)
    return quantised(*bounds, quantum)


def _plain(place: str, item: Any) -> Any:
    """The item, if no domain is hidden in it."""
    if _is_domain(item) or (isinstance(item, Mapping) and _GRID in item):
        hint = 'choice({"a": space(...), "b": space(...)}) makes parameters of one option; a dict may be nested freely'
        raise ArgumentError("E003", place, f"a domain inside: {item!r}", "constants there", hint)
    for part in item.values() if isinstance(item, Mapping) else item if isinstance(item, (list, tuple)) else ():
        _plain(place, part)
    return item


def _is_domain(item: Any) -> bool:
    return any(base.__module__ == _DOMAINS and base.__name__ == "Domain" for base in type(item).__mro__)
