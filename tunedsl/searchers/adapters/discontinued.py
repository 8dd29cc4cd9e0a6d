"""Searchers of Ray Tune whose library no longer works or whose service is closed; using one is a compile error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import SpaceError
from tunedsl.base.objective import Objective
from tunedsl.searchers.adapters.libraries import LibrarySpec, Options, encode_options
from tunedsl.searchers.contract import UNLIMITED, Searcher, Supports, register_searcher
from tunedsl.spaces.space import Space

_REASONS: Final = {
    "dragonfly": (
        "the library dragonfly-opt was last released in 2022 and does not run with NumPy 2",
        "botorch() and bayesopt() also do Bayesian optimisation with Gaussian processes",
    ),
    "sigopt": (
        "the hosted service SigOpt is closed",
        "ax() and botorch() also do Bayesian optimisation, on your own machines",
    ),
}


@value(repr=False)
class Dragonfly(LibrarySpec):
    """The spec of `dragonfly`."""

    options: Options = ()


@value(repr=False)
class SigOpt(LibrarySpec):
    """The spec of `sigopt`."""

    options: Options = ()


@check_arguments
def dragonfly(**options: Any) -> Dragonfly:
    """Dragonfly, which no longer runs: an experiment with it does not compile; the error names alternatives.

    Args:
        options: any options; they have no effect.

    Example:
        >>> dragonfly(optimizer="bandit")
        dragonfly(optimizer='bandit')
    """
    return Dragonfly(encode_options("dragonfly", options))


@check_arguments
def sigopt(**options: Any) -> SigOpt:
    """SigOpt, whose service is closed: an experiment with it does not compile; the error names alternatives.

    Args:
        options: any options; they have no effect.

    Example:
        >>> sigopt()
        sigopt()
    """
    return SigOpt(encode_options("sigopt", options))


def _register(spec: type, name: str) -> None:
    why, instead = _REASONS[name]

    def validate(written: Any) -> Sequence[Diagnostic]:
        return [Diagnostic("E038", "searcher", f"{written!r} cannot run, because {why}.", instead)]

    def init(written: Any, space: Space, objectives: tuple[Objective, ...], key: int) -> NoReturn:
        raise SpaceError(f"{name} cannot run, because {why}.", "searcher", instead)

    def ask(written: Any, state: Any, trial: int, key: int) -> NoReturn:
        raise AssertionError("init always raises")

    supports = Supports.whole_space(UNLIMITED)
    register_searcher(spec, Searcher(name, supports, init, ask, validate=validate))


_register(Dragonfly, "dragonfly")
_register(SigOpt, "sigopt")
