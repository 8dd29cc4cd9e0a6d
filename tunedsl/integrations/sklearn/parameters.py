"""Turns a search space, or the parameter distributions of scikit-learn, into an experiment's space and back.

Distributions of scipy and options that are not data have no domain here. The space draws a quantile, a seed or an index
instead, and `Parameters.of` converts it to the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from tunedsl.base.types import Config
from tunedsl.experiment import Experiment, space
from tunedsl.plan.definition import Definition
from tunedsl.spaces import choice, loguniform, randint, randn, uniform
from tunedsl.spaces.space import Space

ALTERNATIVE: Final = "alternative"
"""The parameter that chooses between several dicts of distributions."""
_SEEDS: Final = 2**31

Decoder = Callable[[Any], Any]


@attrs.frozen
class Parameters:
    """Converts a configuration to the parameters of the estimator.

    Attributes:
        decoders: functions from the drawn number to the value, by the estimator's parameter.
    """

    decoders: Mapping[str, Decoder]

    def of(self, config: Config) -> dict[str, Any]:
        """The estimator's parameters: nested names joined by `__`, in the order of the space.

        >>> Parameters({"kind": ["a", "b"].__getitem__}).of({"kind": 1, "svc": {"C": 2.0}})
        {'kind': 'b', 'svc__C': 2.0}
        """
        chosen = config.get(ALTERNATIVE)
        prefix = ""
        if isinstance(chosen, Mapping):
            [(name, config)] = chosen.items()
            prefix = f"{name}/"
        flat = _flat(config)
        return {
            name: self.decoders[prefix + name](item) if prefix + name in self.decoders else item
            for name, item in flat.items()
        }


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, item in config.items():
        flat |= _flat(item, f"{prefix}{name}__") if isinstance(item, Mapping) else {f"{prefix}{name}": item}
    return flat


def parameters_of(given: Any) -> tuple[Experiment, Parameters]:
    """An experiment with the space of a search, and the conversion of its configurations to parameters.

    Args:
        given: `space(...)`; or a dict from parameter to domain, distribution of scipy, list of options or constant; or
            a list of such dicts, of which each trial takes one.

    Raises:
        ValueError: for another object, an empty space, or an empty list of options.
    """
    if isinstance(given, Definition):
        return Experiment(given.clauses, given.places), Parameters({})
    decoders: dict[str, Decoder] = {}
    if isinstance(given, Mapping):
        params = _params(given, "", decoders)
    elif isinstance(given, Sequence) and given and all(isinstance(each, Mapping) for each in given):
        spaces = {f"space_{at}": _params(each, f"space_{at}/", decoders) for at, each in enumerate(given)}
        params = {ALTERNATIVE: choice(spaces)}
    else:
        raise ValueError(f"space must be space(...), a dict of parameters, or a list of such dicts, not {given!r:.200}")
    return space(**params), Parameters(decoders)


def _params(given: Mapping[str, Any], prefix: str, decoders: dict[str, Decoder]) -> dict[str, Any]:
    params = {}
    for name, item in given.items():
        params[name], decoder = _param(name, item)
        if decoder is not None:
            decoders[prefix + name] = decoder
    return params


def _param(name: str, item: Any) -> tuple[Any, Decoder | None]:
    """A parameter of the space, and the function that decodes it, if it needs one."""
    if hasattr(item, "rvs"):
        return _distribution(item)
    if not _is_options(item):
        return item, None
    options = list(item)
    if not options:
        raise ValueError(f"space[{name!r}] must have at least one option")
    if all(each is None or isinstance(each, (bool, int, float, str)) for each in options):
        return choice(options), None
    return choice(range(len(options))), options.__getitem__


def _is_options(item: Any) -> bool:
    """Whether an item is a list of options, as for `RandomizedSearchCV`."""
    return not isinstance(item, (str, bytes, Mapping, Space)) and hasattr(item, "__len__") and hasattr(item, "__iter__")


def _distribution(found: Any) -> tuple[Any, Decoder | None]:
    """A frozen distribution of scipy as a domain, or as its quantile or seed."""
    name = getattr(getattr(found, "dist", None), "name", "")
    exact = _EXACT.get(name)
    if exact is not None:
        return exact(found), None
    if hasattr(found, "ppf"):
        return uniform(0, 1), _Quantile(found)
    return randint(0, _SEEDS), _Seeded(found)


def _bounds(found: Any) -> tuple[float, float]:
    low, high = found.support()
    return float(low), float(high)


_EXACT: Final[dict[str, Callable[[Any], Any]]] = {
    "uniform": lambda found: uniform(*_bounds(found)),
    "loguniform": lambda found: loguniform(*_bounds(found)),
    "reciprocal": lambda found: loguniform(*_bounds(found)),
    "randint": lambda found: randint(int(found.support()[0]), int(found.support()[1]) + 1),
    "norm": lambda found: randn(float(found.mean()), float(found.std())),
}
"""Distributions that have an equal domain, by their names in scipy."""


@attrs.frozen
class _Quantile:
    """The value of a distribution at a probability."""

    distribution: Any

    def __call__(self, probability: float) -> Any:
        value = self.distribution.ppf(probability)
        is_discrete = hasattr(self.distribution.dist, "pmf") if hasattr(self.distribution, "dist") else False
        return int(value) if is_discrete else float(value)


@attrs.frozen
class _Seeded:
    """The value that an object with `rvs` draws from a seed."""

    distribution: Any

    def __call__(self, seed: int) -> Any:
        return self.distribution.rvs(random_state=seed)
