"""Searchers of Ray Tune whose library is dead or whose service is closed: each compiles to a diagnostic of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import SpaceError
from tunedsl.base.objective import Objective
from tunedsl.searchers.adapters.libraries import Options, encode_options, library_call_repr
from tunedsl.searchers.contract import UNLIMITED, Searcher, Supports, register_searcher
from tunedsl.spaces.space import Space

_REASONS: Final = {
    "dragonfly": (
        "the library dragonfly-opt was last released in 2022 and does not run with NumPy 2",
        "botorch() and bayesopt() are Bayesian optimisation over Gaussian processes too",
    ),
    "sigopt": (
        "the hosted service SigOpt is closed",
        "ax() and botorch() are Bayesian optimisation too, on your own machines",
    ),
}


@value(repr=False)
class Dragonfly:
    """The spec of `dragonfly`."""

    options: Options = ()

    def __repr__(self) -> str:
        return library_call_repr("dragonfly", self.options)


@value(repr=False)
class SigOpt:
    """The spec of `sigopt`."""

    options: Options = ()

    def __repr__(self) -> str:
        return library_call_repr("sigopt", self.options)


@check_arguments
def dragonfly(**options: Any) -> Dragonfly:
    """Dragonfly, which runs no more: an experiment with it does not compile, and is told what stands nearest.

    Args:
        options: whatever it was called with.

    Example:
        >>> dragonfly(optimizer="bandit")
        dragonfly(optimizer='bandit')
    """
    return Dragonfly(encode_options("dragonfly", options))


@check_arguments
def sigopt(**options: Any) -> SigOpt:
    """SigOpt, whose service is closed: an experiment with it does not compile, and is told what stands nearest.

    Args:
        options: whatever it was called with.

    Example:
        >>> sigopt()
        sigopt()
    """
    return SigOpt(encode_options("sigopt", options))


def _register(spec: type, name: str) -> None:
    why, instead = _REASONS[name]

    def validate(written: Any) -> Sequence[Diagnostic]:
        return [Diagnostic("E038", "searcher", f"{written!r}: {why}", "a searcher that is alive", instead)]

    def init(written: Any, space: Space, objectives: tuple[Objective, ...], key: int) -> NoReturn:
        raise SpaceError(f"{name}: {why}; {instead}", "searcher")

    def ask(written: Any, state: Any, trial: int, key: int) -> NoReturn:
        raise AssertionError("there is no state to ask")

    supports = Supports(
        conditions=True,
        log=True,
        quantised=True,
        integer=True,
        categorical=True,
        constraints=True,
        objectives=UNLIMITED,
        intermediate=False,
        pending=True,
    )
    register_searcher(spec, Searcher(name, supports, init, ask, validate=validate))


_register(Dragonfly, "dragonfly")
_register(SigOpt, "sigopt")
