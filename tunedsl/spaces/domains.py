"""Domains: the sets and distributions of parameter values, as frozen values.

A new domain adds its class here, its arithmetic to `unit_interval`, its errors to `check`, and the function that builds
it to `constructors`. `ARCHITECTURE.md` lists the other files.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from tunedsl.base.codec import data_fields, value
from tunedsl.base.references import FunctionRef, Literal, source_repr
from tunedsl.spaces.expressions import Confidence, Node
from tunedsl.spaces.space import Space


@value(repr=False)
class Prior:
    """A user's belief where the good values of a domain are: around a centre, with some confidence."""

    centre: Literal
    confidence: Confidence = "medium"

    def __repr__(self) -> str:
        rest = "" if self.confidence == "medium" else f", confidence={self.confidence!r}"
        return f".prior({self.centre!r}{rest})"


@value(repr=False)
class Domain(Node):
    """The set and distribution that a parameter's value is drawn from.

    Attributes:
        constructor: the name of the function that builds it.
        log: whether the logarithm of the value, instead of the value, is uniformly distributed.
        quantised: whether values are whole multiples of a step `q`.
        integer: whether values are ints.
        belief: where the user expects good values, if the user said so.
    """

    constructor: ClassVar[str]
    log: ClassVar[bool] = False
    quantised: ClassVar[bool] = False
    integer: ClassVar[bool] = False
    belief: Prior | None = attrs.field(default=None, kw_only=True, metadata={"later": True})

    def _call_repr(self) -> str:
        """The call that builds it, without the belief."""
        fields = (getattr(self, field.name) for field in data_fields(type(self)) if field.name != "belief")
        return f"{self.constructor}({', '.join(map(source_repr, fields))})"

    def __repr__(self) -> str:
        return self._call_repr() + ("" if self.belief is None else repr(self.belief))


@value(repr=False)
class Uniform(Domain):
    """Floats in [low, high], uniformly distributed."""

    constructor = "uniform"
    low: float
    high: float


@value(repr=False)
class QUniform(Domain):
    """Multiples of q in [low, high], all equally likely."""

    constructor, quantised = "quniform", True
    low: float
    high: float
    q: float


@value(repr=False)
class LogUniform(Domain):
    """Floats in [low, high] whose logarithm is uniformly distributed."""

    constructor, log = "loguniform", True
    low: float
    high: float


@value(repr=False)
class QLogUniform(Domain):
    """A log-uniform number, rounded to the multiples of q in [low, high]."""

    constructor, log, quantised = "qloguniform", True, True
    low: float
    high: float
    q: float


@value(repr=False)
class Normal(Domain):
    """Normally distributed floats."""

    constructor = "randn"
    mean: float
    sd: float


@value(repr=False)
class QNormal(Domain):
    """Normally distributed floats, rounded to multiples of q."""

    constructor, quantised = "qrandn", True
    mean: float
    sd: float
    q: float


@value(repr=False)
class RandInt(Domain):
    """Ints from low to high - 1, all equally likely."""

    constructor, integer = "randint", True
    low: int
    high: int


@value(repr=False)
class QRandInt(Domain):
    """Multiples of q from low to high, both included, all equally likely."""

    constructor, quantised, integer = "qrandint", True, True
    low: int
    high: int
    q: int


@value(repr=False)
class LogRandInt(Domain):
    """A log-uniform number rounded down to an int from low to high - 1."""

    constructor, log, integer = "lograndint", True, True
    low: int
    high: int


@value(repr=False)
class QLogRandInt(Domain):
    """A log-uniform number, rounded to the multiples of q from low to high, both included."""

    constructor, log, quantised, integer = "qlograndint", True, True, True
    low: int
    high: int
    q: int


@value(repr=False)
class Choice(Domain):
    """One of several constants, all equally likely."""

    constructor = "choice"
    options: tuple[Literal, ...]

    def _call_repr(self) -> str:
        return f"choice({source_repr(list(self.options))})"


@value(repr=False)
class Branch(Domain):
    """One of several named spaces; only the parameters of the chosen one exist.

    A configuration has `{"model": {"svm": {"C": 1.0}}}`, which suits `match`. In expressions the branch's value is
    the chosen name.
    """

    constructor = "choice"
    options: tuple[tuple[str, Space], ...]

    def _call_repr(self) -> str:
        return f"choice({{{', '.join(f'{name!r}: {space!r}' for name, space in self.options)}}})"


@value(repr=False)
class Grid(Domain):
    """Each of several constants in turn, combined with all other grids of the space."""

    constructor = "grid"
    values: tuple[Literal, ...]

    def _call_repr(self) -> str:
        return f"grid({source_repr(list(self.values))})"


@value(repr=False)
class SampleFrom(Domain):
    """The result of a user function of the configuration so far."""

    constructor = "sample_from"
    function: FunctionRef
