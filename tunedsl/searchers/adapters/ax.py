"""Ax: its client, for one objective or several.

A parameter that does not exist has its middle value, in an arm of its own.
Source: Olson et al., Ax: A Platform for Adaptive Experimentation, AutoML 2025.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.searchers.adapters.dimensions import Dimension, Point, fill_missing
from tunedsl.searchers.adapters.libraries import (
    Library,
    LibraryContext,
    LibrarySpec,
    Options,
    PackageRequirement,
    decode_options,
    encode_options,
    options_of,
    register_library,
)
from tunedsl.searchers.adapters.points import Losses, PointModel, start_points
from tunedsl.searchers.contract import UNLIMITED, Supports

_DEFAULTS: Final = {"allow_exceeding_initialization_budget": True}
"""Otherwise it refuses to propose while the first trials run."""


@value(repr=False)
class Ax(LibrarySpec):
    """The spec of `ax`."""

    options: Options = ()


@check_arguments
def ax(**options: Any) -> Ax:
    """Bayesian optimisation with the platform Ax.

    Args:
        options: of the library's `configure_generation_strategy`, such as `initialization_budget=8` or
            `method="quality"`.

    Raises:
        ArgumentError: for an option that is not data.

    Example:
        >>> ax(initialization_budget=8)
        ax(initialization_budget=8)
    """
    return Ax(encode_options("ax", options))


class _AxClient(PointModel):
    """The library's client and its trials by handle."""

    def __init__(self, spec: Ax, dims: Sequence[Dimension], context: LibraryContext) -> None:
        from ax.api.client import Client

        self._dims = dims
        self._metrics = [f"loss{index}" for index in range(len(context.objectives))]
        self._trials: dict[int, int] = {}
        self._suggested: dict[int, Point] = {}
        with _quiet_logging():
            self._client = Client(random_seed=context.seed)
            self._client.configure_experiment(parameters=[_parameter(dim) for dim in dims])
            self._client.configure_optimization(objective=", ".join(f"-{name}" for name in self._metrics))
            chosen = {**_DEFAULTS, **decode_options(spec.options), "initialization_random_seed": context.seed}
            self._client.configure_generation_strategy(**chosen)

    def suggest(self, handle: int) -> Point | None:
        from ax.exceptions.core import DataRequiredError, SearchSpaceExhausted

        try:
            with _quiet_logging():
                proposed = self._client.get_next_trials(max_trials=1)
        except (DataRequiredError, SearchSpaceExhausted):
            return None
        for trial, parameters in proposed.items():
            self._trials[handle] = trial
            self._suggested[handle] = [parameters[dim.name] for dim in self._dims]
            return self._suggested[handle]
        return None

    def settle(self, handle: int, point: Point) -> None:
        if self._suggested.pop(handle, None) == point:
            return
        raws = zip(self._dims, fill_missing(self._dims, point), strict=True)
        with _quiet_logging():
            if handle in self._trials:
                self._client.mark_trial_abandoned(self._trials[handle])
            self._trials[handle] = self._client.attach_trial({dim.name: raw for dim, raw in raws})

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        trial = self._trials.pop(handle)
        with _quiet_logging():
            if losses is None:
                self._client.mark_trial_failed(trial)
            else:
                self._client.complete_trial(trial, raw_data=dict(zip(self._metrics, losses, strict=True)))


@contextlib.contextmanager
def _quiet_logging() -> Iterator[None]:
    """Hides the library's message on each step: its loggers have levels of their own, and one handler."""
    before = [(handler, handler.level) for handler in logging.getLogger("ax").handlers]
    for handler, _ in before:
        handler.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for handler, level in before:
            handler.setLevel(level)


def _parameter(dim: Dimension) -> Any:
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    if dim.kind == "choice":
        values = list(range(dim.size))
        return ChoiceParameterConfig(name=dim.name, values=values, parameter_type="int", is_ordered=False)
    number = int if dim.kind == "int" else float
    return RangeParameterConfig(
        name=dim.name,
        bounds=(number(dim.low), number(dim.high)),
        parameter_type=dim.kind,
        scaling="log" if dim.log else "linear",
    )


register_library(
    Ax,
    Library(
        name="ax",
        packages=(PackageRequirement("torch", "torch"), PackageRequirement("ax", "ax-platform", "1.3")),
        install="pip install 'tunedsl[ax]'",
        supports=Supports.whole_space(UNLIMITED),
        start=start_points(_AxClient, fill_failures=False),
        option_names=options_of("ax.api.client:Client.configure_generation_strategy", "initialization_random_seed"),
        is_isolated=True,
        noisy="throughout",
    ),
)
