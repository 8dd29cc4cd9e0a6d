"""Libraries that propose points: what stands between their `PointModel` and a searcher's asks and tells.

Trials are matched by number, never by values. A point that breaks a constraint counts as failed, and another is
asked for. What a library cannot hear (failures, NaN) is told as the worst that it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np

from tunedsl.base import codec, keys
from tunedsl.base.types import Config
from tunedsl.searchers.adapters.dimensions import Dimension, Point, make_reader
from tunedsl.searchers.adapters.libraries import LibraryContext, to_losses
from tunedsl.searchers.contract import Observation, Proposal
from tunedsl.spaces.encoding import column_values
from tunedsl.spaces.layout import Layout, ResolvedParam
from tunedsl.spaces.sampling import assemble_config, sample_with_rejections
from tunedsl.spaces.unit_interval import from_unit

MAX_REJECTIONS: Final = 100
"""How many points may break the constraints before one is drawn uniformly from those that meet them."""

_MAX_LOSS: Final = 1e100
"""Libraries square what they are told, and fail where that is no number any more."""

_MIDDLE: Final = np.array([0.5])

Losses = tuple[float, ...]


class PointModel(Protocol):
    """A library's object; it knows proposals by a handle, counted from 0.

    Beside these it has `waits` where it can come to wait, as of `Live`; and, where it does not hear with the losses
    soon enough what its proposals came to, `settle(handle, point)`, which is called with what a proposal was rounded
    to, None where a parameter does not exist. That comes again, or with a handle for which nothing was suggested, where
    a configuration is adopted.
    """

    def suggest(self, handle: int) -> Point | None:
        """A raw value for each dimension; None if the library has nothing to say now."""

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        """The losses of a settled proposal, smaller is better; None if it failed, unless `PointOptimizer.fill_failures` is set."""


class PointOptimizer:
    """A `PointModel` as the `Live` object of an adapter.

    Args:
        context: what it is made for.
        dims: its dimensions.
        make: makes the library's object; not called for a space of a single configuration.
        fill_failures: whether failures are told as the worst losses so far.
    """

    def __init__(
        self,
        context: LibraryContext,
        dims: Sequence[Dimension],
        make: Callable[[], PointModel],
        fill_failures: bool = True,
    ) -> None:
        self._context = context
        self._dims = dims
        self._read = [make_reader(dim) for dim in dims]
        self._index = {id(dim.param): index for index, dim in enumerate(dims)}
        self._plain = [(dim.name, make_reader(dim)) for dim in dims] if _is_plain(context.layout, dims) else None
        model = make() if dims else None
        self._model: Any = model
        self.waits: Callable[[], bool] | None = getattr(model, "waits", None)
        self._settle: Callable[[int, Point], None] | None = getattr(model, "settle", None)
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
                if self._settle is not None:
                    self._settle(handle, exact)
                return Proposal(config)
            config, met, point = self._assemble(trial, raws)
            if self._settle is not None:
                self._settle(handle, point)
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

    def force(self, trial: int, config: Config) -> None:
        held = dict(
            zip(map(id, self._context.layout.cube_params), column_values(self._context.layout, config), strict=True)
        )
        found = (held[id(dim.param)] for dim in self._dims)
        point = [dim.to_raw(item[0]) if item else None for dim, item in zip(self._dims, found, strict=True)]
        if not point:
            return
        handle = self._pending[trial][0] if trial in self._pending else self._count
        self._count = max(self._count, handle + 1)
        self._pending[trial] = handle, point
        if self._settle is not None:
            self._settle(handle, point)

    def tell(self, trial: int, observation: Observation) -> None:
        if observation.status == "reported":
            return
        out = self._pending.pop(trial, None)
        if out is None:
            return
        losses = to_losses(observation, self._context.objectives)
        if losses is not None and (max(losses) > _MAX_LOSS or min(losses) < -_MAX_LOSS):
            losses = tuple(min(max(loss, -_MAX_LOSS), _MAX_LOSS) for loss in losses)
        if losses is not None and observation.status == "stopped" and self._best_done is not None:
            # What a trial reached early is not what it would have come to: it never beats a finished one.
            losses = _maximum(losses, self._best_done)
        elif losses is not None and observation.status == "done":
            self._best_done = losses if self._best_done is None else _minimum(losses, self._best_done)
        self._observe(*out, losses)

    def _assemble(self, trial: int, raws: Point) -> tuple[Config, bool, Point]:
        point: list[Any] = [None] * len(self._dims)

        def give(leaf: ResolvedParam) -> Any:
            index = self._index.get(id(leaf))
            if index is None:
                return from_unit(leaf.node, _MIDDLE)[0]  # the only value that it has
            raw = raws[index]
            value, point[index] = self._read[index](self._dims[index].middle if raw is None else raw)
            return value

        config, met = assemble_config(self._context.layout, give, trial, self._context.key)
        return config, met, point

    def _observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        if self._fill_failures:
            if losses is None and self._worst is None:
                self._failed.append((handle, point))  # nothing to compare with yet
                return
            if losses is not None:
                self._worst = losses if self._worst is None else _maximum(losses, self._worst)
            for earlier in self._failed:
                self._model.observe(*earlier, self._worst)
            self._failed.clear()
        self._model.observe(handle, point, losses or self._worst)


def _is_plain(layout: Layout, dims: Sequence[Dimension]) -> bool:
    """Whether a space is nothing but these dimensions, whose values are data as they stand."""
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
