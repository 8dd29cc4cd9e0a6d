"""The maps between domains and the unit interval, for sampling and encoding.

`from_unit` maps numbers of [0, 1] to values, so that uniform numbers have the domain's distribution. `to_unit` is its
inverse; for discrete domains it returns the middle of the interval that maps to the value. Discrete values are whole
multiples k of a rational step, each rounded to the nearest float.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tunedsl.base import codec
from tunedsl.base.errors import CodecError, SpaceError
from tunedsl.spaces.domains import Branch, Choice, Domain, Grid, LogRandInt, Normal, QNormal, RandInt, SampleFrom

Floats = NDArray[np.float64]

MAX_EXACT_INT: Final = 2**53
"""Floats represent every whole number up to this one exactly."""

_EDGE: Final = 2.0**-53
_ROUNDING: Final = 1e-13


def has_unit_interval(domain: object) -> bool:
    """Whether a node's values come from one number of the unit interval."""
    return isinstance(domain, Domain) and not isinstance(domain, (Grid, SampleFrom))


def from_unit(domain: Any, u: Floats) -> list[Any]:
    """The values at positions of the unit interval.

    Args:
        domain: a domain for which `has_unit_interval` is true.
        u: shape (n,), in [0, 1].

    Returns:
        n Python values; for a branch, the names.

    Example:
        >>> from tunedsl.spaces import quniform
        >>> from_unit(quniform(0, 1, 0.1), np.array([0.0, 0.3, 0.999]))
        [0.0, 0.3, 1.0]
    """
    if isinstance(domain, Choice):
        options = domain.options
        return [options[index].copy() for index in _bin_index(u, len(options)).tolist()]
    if isinstance(domain, Branch):
        return [domain.options[index][0] for index in _bin_index(u, len(domain.options)).tolist()]
    if not is_discrete(domain):
        x = _quantile(domain, u)
        if domain.belief is not None:  # so that the centre that the user wrote is tried, without rounding
            centre = domain.belief.centre.object
            x[np.abs(x - centre) <= _ROUNDING * abs(centre)] = centre
        return x.tolist()  # type: ignore[no-any-return]
    return _values_at_steps(domain, _step_numbers(domain, u))


def unit_bins(domain: Any, u: Floats) -> tuple[Floats, Floats]:
    """The intervals of numbers with the same values as `u`; for continuous domains, `u` itself.

    Args:
        domain: a domain for which `has_unit_interval` is true.
        u: shape (n,), in [0, 1].

    Returns:
        Lower and upper ends, each of shape (n,).

    Example:
        >>> from tunedsl.spaces import randint
        >>> unit_bins(randint(0, 4), np.array([0.3]))
        (array([0.25]), array([0.5]))
    """
    if isinstance(domain, (Choice, Branch)):
        count = len(domain.options)
        index = _bin_index(u, count)
        return index / count, (index + 1) / count
    return _bin_edges(domain, _step_numbers(domain, u)) if is_discrete(domain) else (u, u)


def to_unit(domain: Any, values: Sequence[Any]) -> Floats:
    """The positions of values on the unit interval.

    Args:
        domain: a domain for which `has_unit_interval` is true.
        values: n values of the domain; for a branch, names.

    Returns:
        Shape (n,), in [0, 1].

    Raises:
        SpaceError: for a value outside the domain.
    """
    for item in values:
        if not contains(domain, item):
            raise SpaceError(f"{item!r} is not a value of {domain!r}.")
    if isinstance(domain, (Choice, Branch)):
        places = _option_indices(domain)
        return (np.array([places[_canonical_text(item)] for item in values], float) + 0.5) / len(domain.options)
    x = np.asarray(values, float)
    if not is_discrete(domain):
        return _cdf(domain, x)
    lower, upper = _bin_edges(domain, np.rint(x / float(_step_size(domain))))
    return (lower + upper) / 2


def contains(domain: Any, item: Any) -> bool:
    """Whether `item` is a value of the domain; an int counts as the equal float.

    Example:
        >>> from tunedsl.spaces import quniform
        >>> contains(quniform(0, 1, 0.1), 0.3), contains(quniform(0, 1, 0.1), 0.1 + 0.2)
        (True, False)
    """
    if isinstance(domain, (Choice, Branch, Grid)):
        try:
            return _canonical_text(item) in _option_indices(domain)
        except CodecError:
            return False
    if isinstance(domain, SampleFrom):
        return True
    if isinstance(item, bool) or not isinstance(item, int if domain.integer else (int, float)):
        return False
    if not math.isfinite(item):
        return False
    low, high = support(domain)
    if not is_discrete(domain) or not low <= item <= high:
        return low <= item <= high
    k = round(Fraction(str(item)) / _step_size(domain))
    return bool(_values_at_steps(domain, np.array([k]))[0] == item)


def support(domain: Any) -> tuple[float, float]:
    """The smallest and the largest value of a numeric domain."""
    if isinstance(domain, (Normal, QNormal)):
        return -math.inf, math.inf
    if not is_discrete(domain):
        return domain.low, domain.high
    first, last = step_range(domain)
    step = _step_size(domain)
    return _value_at_step(domain, first, step), _value_at_step(domain, last, step)


def is_discrete(domain: Any) -> bool:
    """Whether the values of a numeric domain are discrete."""
    return bool(domain.quantised or domain.integer)


@functools.lru_cache(maxsize=1024)
def step_range(domain: Any) -> tuple[int, int]:
    """The first and last k of a bounded discrete domain, whose values are k steps.

    The last is below the first if no value is within the bounds.
    """
    if isinstance(domain, (RandInt, LogRandInt)):
        return domain.low, domain.high - 1
    step = _step_size(domain)
    return math.ceil(Fraction(str(domain.low)) / step), math.floor(Fraction(str(domain.high)) / step)


def value_at_step(domain: Any, k: int) -> float:
    """The value of a bounded discrete domain at k steps.

    Example:
        >>> from tunedsl.spaces import quniform
        >>> value_at_step(quniform(0, 1, 0.1), 3)
        0.3
    """
    return _value_at_step(domain, k, _step_size(domain))


def step_of_value(domain: Any, item: float) -> int:
    """The number of steps of a value of a bounded discrete domain."""
    return round(Fraction(str(item)) / _step_size(domain))


@functools.lru_cache(maxsize=1024)
def _step_size(domain: Any) -> Fraction:
    """The step as its decimal text, so that 0.1 is one tenth."""
    return Fraction(str(domain.q)) if domain.quantised else Fraction(1)


def _step_numbers(domain: Any, u: Floats) -> NDArray[np.int64]:
    """The numbers of steps of a discrete domain's values at positions."""
    step = float(_step_size(domain))
    if isinstance(domain, QNormal):
        return np.rint(_quantile(domain, u) / step).astype(np.int64)
    first, last = step_range(domain)
    if not domain.log:
        return first + _bin_index(u, last - first + 1)
    x = _quantile(domain, u) / step
    k = np.floor(x) if isinstance(domain, LogRandInt) else np.rint(x)
    return np.clip(k, first, last).astype(np.int64)


def _bin_edges(domain: Any, k: NDArray[Any]) -> tuple[Floats, Floats]:
    """The intervals of numbers that map to k steps of a discrete domain."""
    step = float(_step_size(domain))
    if isinstance(domain, QNormal):
        return _cdf(domain, (k - 0.5) * step), _cdf(domain, (k + 0.5) * step)
    first, last = step_range(domain)
    if not domain.log:
        count = last - first + 1
        return (k - first) / count, (k - first + 1) / count
    below, above = (0.0, 1.0) if isinstance(domain, LogRandInt) else (0.5, 0.5)
    lower = np.where(k == first, domain.low, (k - below) * step)
    upper = np.where(k == last, domain.high, (k + above) * step)
    return _cdf(domain, lower), _cdf(domain, upper)


def _value_at_step(domain: Any, k: int, step: Fraction) -> float:
    # Division of ints rounds correctly, so the result is the float nearest to k steps.
    return k * step.numerator if domain.integer else k * step.numerator / step.denominator


def _values_at_steps(domain: Any, k: NDArray[np.int64]) -> list[Any]:
    step = _step_size(domain)
    largest = int(np.abs(k).max(initial=0)) * step.numerator
    if largest > MAX_EXACT_INT or step.denominator > MAX_EXACT_INT:
        return [_value_at_step(domain, number, step) for number in k.tolist()]
    whole = k * step.numerator
    return (whole if domain.integer else whole / step.denominator).tolist()  # type: ignore[no-any-return]


def _bin_index(u: Floats, count: int) -> NDArray[np.int64]:
    return np.minimum(u * count, count - 1).astype(np.int64)


def _quantile(domain: Any, u: Floats) -> Floats:
    """The inverse of `_cdf`."""
    if isinstance(domain, (Normal, QNormal)):
        normal = NormalDist(domain.mean, domain.sd)
        return np.array([normal.inv_cdf(p) for p in np.clip(u, _EDGE, 1 - _EDGE).tolist()])
    low, high = domain.low, domain.high
    x: Floats = low * np.exp(u * _log_ratio(high, low)) if domain.log else low * (1 - u) + high * u
    return x.clip(low, high)


def _cdf(domain: Any, x: Floats) -> Floats:
    """The probability of a value below x; for a discrete domain, of its continuous form."""
    if isinstance(domain, (Normal, QNormal)):
        normal = NormalDist(domain.mean, domain.sd)
        return np.array([normal.cdf(point) for point in x.tolist()])
    low, high = float(domain.low), float(domain.high)
    if low == high:
        return np.full(x.shape, 0.5)
    inside = np.clip(x, low, high)
    share: Floats = (
        (np.log(inside) - math.log(low)) / _log_ratio(high, low) if domain.log else (inside - low) / (high - low)
    )
    return share


def _log_ratio(high: float, low: float) -> float:
    return math.log(high) - math.log(low)  # the ratio itself could overflow


@functools.lru_cache(maxsize=1024)
def _option_indices(domain: Choice | Branch | Grid) -> dict[str, int]:
    """The first index of each option, by its canonical text."""
    if isinstance(domain, Branch):
        texts = [_canonical_text(name) for name, _ in domain.options]
    else:
        texts = [option.text for option in (domain.options if isinstance(domain, Choice) else domain.values)]
    return {text: texts.index(text) for text in texts}


def _canonical_text(item: Any) -> str:
    return codec.to_json(item)
