"""Libraries that propose points: what stands between their `Model` and a searcher's asks and tells.

Trials are matched by number, never by values. A point that breaks a constraint counts as failed, and another is
asked for. What a library cannot hear (failures, NaN) is told as the worst that it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np

from tunedsl.base import codec, keys
from tunedsl.base.vocabulary import Config
from tunedsl.search.adapters.dimensions import Dimension, Point, reader
from tunedsl.search.adapters.libraries import Setting, losses_of
from tunedsl.search.contract import Observation, Proposal
from tunedsl.space.encoding import values
from tunedsl.space.layout import Layout, Leaf
from tunedsl.space.sampling import assemble, counted
from tunedsl.space.units import from_unit

REJECTIONS: Final = 100
"""How many points may break the constraints before one is drawn uniformly from those that meet them."""

_MOST: Final = 1e100
"""Libraries square what they are told, and fail where that is no number any more."""

_MIDDLE: Final = np.array([0.5])

Losses = tuple[float, ...]


class Model(Protocol):
    """A library's object; it knows proposals by a handle, counted from 0.

    Beside these it has `waits` where it can come to wait, as of `Live`; and, where it does not hear with the losses
    soon enough what its proposals came to, `settle(handle, point)`, which is called with what a proposal was rounded
    to, None where a parameter does not exist. That comes again, or with a handle for which nothing was suggested, where
    a configuration is adopted.
    """

    def suggest(self, handle: int) -> Point | None:
        """A raw value for each dimension; None if the library has nothing to say now."""

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        """The losses of a settled proposal, smaller is better; None if it failed, unless `Points.worst` is set."""


class Points:
    """A `Model` as the `Live` object of an adapter.

    Args:
        setting: what it is made for.
        dims: its dimensions.
        make: makes the library's object; not called for a space of a single configuration.
        worst: whether failures are told as the worst losses so far.
    """

    def __init__(
        self, setting: Setting, dims: Sequence[Dimension], make: Callable[[], Model], worst: bool = True
    ) -> None:
        self._setting = setting
        self._dims = dims
        self._read = [reader(dim) for dim in dims]
        self._index = {id(dim.leaf): index for index, dim in enumerate(dims)}
        self._plain = [(dim.name, reader(dim)) for dim in dims] if _is_plain(setting.layout, dims) else None
        model = make() if dims else None
        self._model: Any = model
        self.waits: Callable[[], bool] | None = getattr(model, "waits", None)
        self._settle: Callable[[int, Point], None] | None = getattr(model, "settle", None)
        self._fills = worst
        self._out: dict[int, tuple[int, Point]] = {}
        self._count = 0
        self._failed: list[tuple[int, Point]] = []
        self._worst: Losses | None = None
        self._best_done: Losses | None = None

    def ask(self, trial: int) -> Proposal:
        model, rejected = self._model, 0
        while model is not None and rejected < REJECTIONS:
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
                self._out[trial] = handle, exact
                if self._settle is not None:
                    self._settle(handle, exact)
                return Proposal(config)
            config, met, point = self._assembled(trial, raws)
            if self._settle is not None:
                self._settle(handle, point)
            if met:
                self._out[trial] = handle, point
                return Proposal.of(config, rejected)
            self._observe(handle, point, None)
            rejected += 1
        ((config, drawn),) = counted(self._setting.layout, keys.key(self._setting.key, "instead"), [trial])
        self.adopt(trial, config)
        return Proposal.of(config, rejected + drawn)

    def adopt(self, trial: int, config: Config) -> None:
        held = dict(zip(map(id, self._setting.layout.columns), values(self._setting.layout, config), strict=True))
        found = (held[id(dim.leaf)] for dim in self._dims)
        point = [dim.raw(item[0]) if item else None for dim, item in zip(self._dims, found, strict=True)]
        if not point:
            return
        handle = self._out[trial][0] if trial in self._out else self._count
        self._count = max(self._count, handle + 1)
        self._out[trial] = handle, point
        if self._settle is not None:
            self._settle(handle, point)

    def tell(self, trial: int, observation: Observation) -> None:
        if observation.status == "reported":
            return
        out = self._out.pop(trial, None)
        if out is None:
            return
        losses = losses_of(observation, self._setting.objectives)
        if losses is not None and (max(losses) > _MOST or min(losses) < -_MOST):
            losses = tuple(min(max(loss, -_MOST), _MOST) for loss in losses)
        if losses is not None and observation.status == "stopped" and self._best_done is not None:
            # What a trial reached early is not what it would have come to: it never beats a finished one.
            losses = _greatest(losses, self._best_done)
        elif losses is not None and observation.status == "done":
            self._best_done = losses if self._best_done is None else _least(losses, self._best_done)
        self._observe(*out, losses)

    def _assembled(self, trial: int, raws: Point) -> tuple[Config, bool, Point]:
        point: list[Any] = [None] * len(self._dims)

        def give(leaf: Leaf) -> Any:
            index = self._index.get(id(leaf))
            if index is None:
                return from_unit(leaf.node, _MIDDLE)[0]  # the only value that it has
            raw = raws[index]
            value, point[index] = self._read[index](self._dims[index].middle if raw is None else raw)
            return value

        config, met = assemble(self._setting.layout, give, trial, self._setting.key)
        return config, met, point

    def _observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        if self._fills:
            if losses is None and self._worst is None:
                self._failed.append((handle, point))  # nothing to compare with yet
                return
            if losses is not None:
                self._worst = losses if self._worst is None else _greatest(losses, self._worst)
            for earlier in self._failed:
                self._model.observe(*earlier, self._worst)
            self._failed.clear()
        self._model.observe(handle, point, losses or self._worst)


def _is_plain(layout: Layout, dims: Sequence[Dimension]) -> bool:
    """Whether a space is nothing but these dimensions, whose values are data as they stand."""
    names = [name for name, item in layout.tree if item == name]
    alone = names == [dim.name for dim in dims] and len(dims) == len(layout.leaves) == len(layout.tree)
    if not alone or layout.constraints:
        return False
    return all(dim.leaf.condition is None and _are_data(dim) for dim in dims)


def _are_data(dim: Dimension) -> bool:
    options = (option.object for option in dim.leaf.node.options) if dim.kind == "choice" else ()
    return all(codec.encode(option) is option for option in options)


def _least(one: Losses, other: Losses) -> Losses:
    return min(one, other) if len(one) == 1 else tuple(map(min, one, other))


def _greatest(one: Losses, other: Losses) -> Losses:
    return max(one, other) if len(one) == 1 else tuple(map(max, one, other))
