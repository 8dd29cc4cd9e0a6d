"""The functions that build domains.

They reject arguments of the wrong type. Relations between values, such as the order of bounds, are checked in `check`,
so that all errors of an experiment are reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Set
from typing import Any

from tunedsl.base.arguments import as_int, as_number, check_arguments
from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import ArgumentError, CodecError, wrong_value
from tunedsl.base.references import FunctionRef, Literal
from tunedsl.spaces.domains import (
    Branch,
    Choice,
    Grid,
    LogRandInt,
    LogUniform,
    Normal,
    QLogRandInt,
    QLogUniform,
    QNormal,
    QRandInt,
    QUniform,
    RandInt,
    SampleFrom,
    Uniform,
)
from tunedsl.spaces.expressions import as_literal
from tunedsl.spaces.space import Space


def _as_float(subject: str, item: Any) -> float:
    try:
        return float(as_number(subject, item))
    except OverflowError:
        raise ArgumentError("E003", subject, f"{subject} is beyond the range of floats.") from None


@check_arguments
def uniform(low: float, high: float) -> Uniform:
    """Floats between two bounds, uniformly distributed.

    Args:
        low: smallest value.
        high: largest value.

    Raises:
        ArgumentError: for an argument that is not a number.

    Example:
        >>> uniform(0, 1)
        uniform(0.0, 1.0)
    """
    return Uniform(_as_float("uniform.low", low), _as_float("uniform.high", high))


@check_arguments
def quniform(low: float, high: float, q: float) -> QUniform:
    """Multiples of a step between two bounds, all equally likely.

    Args:
        low: lower bound.
        high: upper bound.
        q: step, above 0. The values are the floats nearest to k * q in [low, high], so 0.3 for q=0.1.

    Raises:
        ArgumentError: for an argument that is not a number.

    Example:
        >>> quniform(0, 1, q=0.25)
        quniform(0.0, 1.0, 0.25)
    """
    return QUniform(_as_float("quniform.low", low), _as_float("quniform.high", high), _as_float("quniform.q", q))


@check_arguments
def loguniform(low: float, high: float) -> LogUniform:
    """Floats between two bounds whose logarithm is uniformly distributed.

    Args:
        low: smallest value, above 0.
        high: largest value.

    Raises:
        ArgumentError: for an argument that is not a number.

    Example:
        >>> loguniform(1e-4, 1e-1)
        loguniform(0.0001, 0.1)
    """
    return LogUniform(_as_float("loguniform.low", low), _as_float("loguniform.high", high))


@check_arguments
def qloguniform(low: float, high: float, q: float) -> QLogUniform:
    """Log-uniform numbers, rounded to multiples of a step.

    Args:
        low: lower bound, above 0.
        high: upper bound.
        q: step, above 0.

    Raises:
        ArgumentError: for an argument that is not a number.

    Example:
        >>> qloguniform(1e-4, 1e-1, q=1e-4)
        qloguniform(0.0001, 0.1, 0.0001)
    """
    return QLogUniform(
        _as_float("qloguniform.low", low), _as_float("qloguniform.high", high), _as_float("qloguniform.q", q)
    )


@check_arguments
def randn(mean: float = 0.0, sd: float = 1.0) -> Normal:
    """Normally distributed floats.

    Args:
        mean: mean.
        sd: standard deviation, above 0.

    Raises:
        ArgumentError: for an argument that is not a number.

    Example:
        >>> randn(10, 0.5)
        randn(10.0, 0.5)
    """
    return Normal(_as_float("randn.mean", mean), _as_float("randn.sd", sd))


@check_arguments
def qrandn(mean: float, sd: float, q: float) -> QNormal:
    """Normally distributed floats, rounded to multiples of a step.

    Args:
        mean: mean.
        sd: standard deviation, above 0.
        q: step, above 0.

    Raises:
        ArgumentError: for an argument that is not a number.

    Example:
        >>> qrandn(10, 2, q=0.2)
        qrandn(10.0, 2.0, 0.2)
    """
    return QNormal(_as_float("qrandn.mean", mean), _as_float("qrandn.sd", sd), _as_float("qrandn.q", q))


@check_arguments
def randint(low: int, high: int) -> RandInt:
    """Ints from a range, all equally likely.

    Args:
        low: smallest value.
        high: upper bound, excluded.

    Raises:
        ArgumentError: for an argument that is not a whole number.

    Example:
        >>> randint(1, 10)
        randint(1, 10)
    """
    return RandInt(as_int("randint.low", low), as_int("randint.high", high))


@check_arguments
def qrandint(low: int, high: int, q: int = 1) -> QRandInt:
    """Multiples of a whole step, all equally likely.

    Args:
        low: lower bound.
        high: upper bound, included.
        q: step, at least 1.

    Raises:
        ArgumentError: for an argument that is not a whole number.

    Example:
        >>> qrandint(16, 64, q=16)
        qrandint(16, 64, 16)
    """
    return QRandInt(as_int("qrandint.low", low), as_int("qrandint.high", high), as_int("qrandint.q", q))


@check_arguments
def lograndint(low: int, high: int) -> LogRandInt:
    """Log-uniform numbers, rounded down to ints.

    Args:
        low: smallest value, at least 1.
        high: upper bound, excluded.

    Raises:
        ArgumentError: for an argument that is not a whole number.

    Example:
        >>> lograndint(1, 1000)
        lograndint(1, 1000)
    """
    return LogRandInt(as_int("lograndint.low", low), as_int("lograndint.high", high))


@check_arguments
def qlograndint(low: int, high: int, q: int = 1) -> QLogRandInt:
    """Log-uniform numbers, rounded to multiples of a whole step.

    Args:
        low: lower bound, at least 1.
        high: upper bound, included.
        q: step, at least 1.

    Raises:
        ArgumentError: for an argument that is not a whole number.

    Example:
        >>> qlograndint(8, 1024, q=8)
        qlograndint(8, 1024, 8)
    """
    return QLogRandInt(as_int("qlograndint.low", low), as_int("qlograndint.high", high), as_int("qlograndint.q", q))


@check_arguments
def choice(options: Collection[Any] | Mapping[str, Any]) -> Choice | Branch:
    """One of several constants, or one of several named spaces.

    Args:
        options: constants, in a list, tuple, range or array; or a dict from name to a space or a dict of parameters.
            Only the parameters of the chosen space exist: the configuration has `{"model": {"svm": {"C": 1.0}}}`, and
            `ref("model")` is the chosen name.

    Raises:
        ArgumentError: for `options` of another kind, or an option that is not a constant.

    Example:
        >>> choice(["sgd", "adam"])
        choice(['sgd', 'adam'])
        >>> choice({"svm": {"C": loguniform(0.1, 10)}, "forest": {"trees": randint(10, 100)}})
        choice({'svm': space(C=loguniform(0.1, 10.0)), 'forest': space(trees=randint(10, 100))})
    """
    if isinstance(options, Mapping):
        spaces = Space.of(options).params
        for name, space in spaces:
            if not isinstance(space, Space):
                hint = "write a list to choose between constants"
                raise wrong_value(f"choice.options[{name!r}]", space, "a space or a dict of parameters", hint)
        return Branch(spaces)  # type: ignore[arg-type]  # checked by the loop above
    return Choice(_as_literals("choice.options", options))


@check_arguments
def grid(values: Collection[Any]) -> Grid:
    """Each of several constants in turn, combined with all other grids of the space.

    Trial t gets cell t modulo the number of cells; the grid that is written first varies slowest. A constraint over
    grids alone removes the cells that do not meet it.

    Args:
        values: constants, in a list, tuple, range or array.

    Raises:
        ArgumentError: for `values` that are not a sequence of constants.

    Example:
        >>> grid([16, 32, 64])
        grid([16, 32, 64])
    """
    return Grid(_as_literals("grid.values", values))


@check_arguments
def sample_from(f: Callable[..., Any]) -> SampleFrom:
    """The result of a function of the configuration so far.

    The function sees all parameters except those that depend on its result and later `sample_from` parameters. The
    global generators of `random` and NumPy are seeded for the call and restored after it.

    Args:
        f: `f(config)`, or `f(config, rng)` with the trial's own NumPy generator.

    Raises:
        ArgumentError: for an object that cannot be called or has no name.

    Example:
        >>> def twice(config):
        ...     return 2 * config["width"]
        >>> sample_from(twice)
        sample_from(twice)
    """
    if not callable(f):
        raise wrong_value("sample_from.f", f, "a function of the configuration")
    try:
        return SampleFrom(FunctionRef.of(f))
    except CodecError as error:
        hint = "write the function by def or lambda"
        raise ArgumentError("E003", "sample_from.f", f"sample_from.f has no name: {reason(error)}.", hint) from None


def _as_literals(subject: str, items: Any) -> tuple[Literal, ...]:
    # A set has no fixed order, and an iterator may have no end.
    listed = isinstance(items, Collection) and not isinstance(items, (str, bytes, Set, Mapping))
    if not listed or getattr(items, "ndim", 1) == 0:
        hint = ""
        if isinstance(items, Iterator):
            hint = "write list(...) around it if it ends"
        elif isinstance(items, Set):
            hint = "write a list, which keeps its order, instead of a set"
        elif not isinstance(items, Mapping):
            hint = f"write {subject.partition('.')[0]}([{items!r}])"
        raise wrong_value(subject, items, "a list of constants", hint)
    return tuple(as_literal(f"{subject}[{index}]", item) for index, item in enumerate(items))
