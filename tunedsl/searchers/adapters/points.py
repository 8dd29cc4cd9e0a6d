"""The optimizer of libraries that propose points: it maps points to configurations and observations to losses.

Trials are matched by number, never by value. A point that breaks a constraint counts as failed, and the library is
asked for another one. A library that cannot learn failures or NaN is told the worst loss so far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np

from tunedsl.base import codec, keys
from tunedsl.base.types import Config
from tunedsl.searchers.adapters.dimensions import Dimension, Point, dimensions, make_reader
from tunedsl.searchers.adapters.libraries import ExternalOptimizer, LibraryContext, to_losses
from tunedsl.searchers.contract import Observation, Proposal
from tunedsl.spaces.encoding import column_values
from tunedsl.spaces.layout import Layout, ResolvedParam
from tunedsl.spaces.sampling import assemble_config, sample_with_rejections
from tunedsl.spaces.unit_interval import from_unit

MAX_REJECTIONS: Final = 100
"""Limit of suggestions in a row that break the constraints; after that, a valid point is drawn uniformly."""

_MAX_LOSS: Final = 1e100
"""Libraries square losses, and fail where the square is not finite."""

_MIDDLE: Final = np.array([0.5])

Losses = tuple[float, ...]


class PointModel(Protocol):
    """A library's model of points; adapters inherit from this class.

    It knows its suggestions by a handle, counted from 0.
    """

    def suggest(self, handle: int) -> Point | None:
        """A raw value for each dimension; None if the library has no suggestion now."""
        ...

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        """Learns the losses of a point, smaller is better; None if it failed, and only without `fill_failures`."""
        ...

    def settle(self, handle: int, point: Point) -> None:
        """Receives the exact point of a suggestion after rounding; None for a parameter that does not exist.

        For a forced configuration it is called again, or with a handle that has no suggestion.
        """
        return

    def waits(self) -> bool:
        """Whether it cannot suggest before the next `observe`; changes nothing."""
        return False


class MakeModel(Protocol):
    """Makes the library's model for a spec; not called for a space of a single configuration."""

    def __call__(self, spec: Any, dims: Sequence[Dimension], context: LibraryContext, /) -> PointModel: ...


class DimensionsOf(Protocol):
    """Returns the parameters of a space as the library sees them."""

    def __call__(self, layout: Layout, /) -> Sequence[Dimension]: ...


def start_points(
    make: MakeModel, dims_of: DimensionsOf = dimensions, *, fill_failures: bool = True
) -> Callable[[Any, LibraryContext], PointOptimizer]:
    """For `Library.start`: makes the optimizer of a model.

    Args:
        make: makes the model.
        dims_of: returns its dimensions.
        fill_failures: whether the model is told failures as the worst losses so far.
    """

    def start(spec: Any, context: LibraryContext) -> PointOptimizer:
        dims = dims_of(context.layout)
        return PointOptimizer(context, dims, make(spec, dims, context) if dims else None, fill_failures)

    return start


class PointOptimizer(ExternalOptimizer):
    """The optimizer of a `PointModel`.

    Args:
        context: what it optimizes.
        dims: the model's dimensions.
        model: the model; None for a space of a single configuration.
        fill_failures: whether failures are told as the worst losses so far.
    """

    def __init__(
        self,
        context: LibraryContext,
        dims: Sequence[Dimension],
        model: PointModel | None,
        fill_failures: bool = True,
    ) -> None:
        self._context = context
        self._dims = dims
        self._read = [make_reader(dim) for dim in dims]
        self._index = {id(dim.param): index for index, dim in enumerate(dims)}
        self._plain = [(dim.name, make_reader(dim)) for dim in dims] if _is_plain(context.layout, dims) else None
        self._model: Any = model  # without a model there are no points, and none of its methods is called
        self._fill_failures = fill_failures
        self._pending: dict[int, tuple[int, Point]] = {}
        self._count = 0
        self._failed: list[tuple[int, Point]] = []
        self._worst: Losses | None = None
        self._best_done: Losses | None = None

    def ask(self, trial: int) -> Proposal:
        model, rejected = self._model, 0
        while model is not None and rejected < MAX_REJECTIONS:
            handle = self._count
            self._count = handle + 1
            raws = model.suggest(handle)
            if raws is None:
                break
            if self._plain is not None:
                config, exact = {}, []
                for (name, read), raw in zip(self._plain, raws, strict=True):
                    config[name], settled = read(raw)
                    exact.append(settled)
                self._pending[trial] = handle, exact
                model.settle(handle, exact)
                return Proposal(config)
            config, met, point = self._assemble(trial, raws)
            model.settle(handle, point)
            if met:
                self._pending[trial] = handle, point
                return Proposal.of(config, rejected)
            self._observe(handle, point, None)
            rejected += 1
        ((config, drawn),) = sample_with_rejections(
            self._context.layout, keys.key(self._context.key, "instead"), [trial]
        )
        self.force(trial, config)
        return Proposal.of(config, rejected + drawn)

    def waits(self) -> bool:
        return self._model is not None and bool(self._model.waits())

    def force(self, trial: int, config: Config) -> None:
        layout = self._context.layout
        values = dict(zip(map(id, layout.cube_params), column_values(layout, config), strict=True))
        columns = (values[id(dim.param)] for dim in self._dims)
        point = [dim.to_raw(column[0]) if column else None for dim, column in zip(self._dims, columns, strict=True)]
        if not point:
            return
        handle = self._pending[trial][0] if trial in self._pending else self._count
        self._count = max(self._count, handle + 1)
        self._pending[trial] = handle, point
        self._model.settle(handle, point)

    def tell(self, trial: int, observation: Observation) -> None:
        if observation.status == "reported":
            return
        pending = self._pending.pop(trial, None)
        if pending is None:
            return
        losses = to_losses(observation, self._context.objectives)
        if losses is not None and (max(losses) > _MAX_LOSS or min(losses) < -_MAX_LOSS):
            losses = tuple(min(max(loss, -_MAX_LOSS), _MAX_LOSS) for loss in losses)
        if losses is not None and observation.status == "stopped" and self._best_done is not None:
            # The value of a stopped trial is not its final one: it never beats a completed trial.
            losses = _maximum(losses, self._best_done)
        elif losses is not None and observation.status == "done":
            self._best_done = losses if self._best_done is None else _minimum(losses, self._best_done)
        self._observe(*pending, losses)

    def _assemble(self, trial: int, raws: Point) -> tuple[Config, bool, Point]:
        point: list[Any] = [None] * len(self._dims)

        def value_of(leaf: ResolvedParam) -> Any:
            index = self._index.get(id(leaf))
            if index is None:
                return from_unit(leaf.node, _MIDDLE)[0]  # its only value
            raw = raws[index]
            value, point[index] = self._read[index](self._dims[index].middle if raw is None else raw)
            return value

        config, met = assemble_config(self._context.layout, value_of, trial, self._context.key)
        return config, met, point

    def _observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        if self._fill_failures:
            if losses is None and self._worst is None:
                self._failed.append((handle, point))  # no loss is known yet
                return
            if losses is not None:
                self._worst = losses if self._worst is None else _maximum(losses, self._worst)
            for earlier in self._failed:
                self._model.observe(*earlier, self._worst)
            self._failed.clear()
        self._model.observe(handle, point, losses or self._worst)


def _is_plain(layout: Layout, dims: Sequence[Dimension]) -> bool:
    """Whether a space has only these dimensions, and their values are already data."""
    names = [name for name, item in layout.tree if item == name]
    alone = names == [dim.name for dim in dims] and len(dims) == len(layout.params) == len(layout.tree)
    if not alone or layout.constraints:
        return False
    return all(dim.param.condition is None and _are_data(dim) for dim in dims)


def _are_data(dim: Dimension) -> bool:
    options = (option.object for option in dim.param.node.options) if dim.kind == "choice" else ()
    return all(codec.encode(option) is option for option in options)


def _minimum(one: Losses, other: Losses) -> Losses:
    return min(one, other) if len(one) == 1 else tuple(map(min, one, other))


def _maximum(one: Losses, other: Losses) -> Losses:
    return max(one, other) if len(one) == 1 else tuple(map(max, one, other))
