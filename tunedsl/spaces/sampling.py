"""Draws configurations, uniformly by key or at points of the unit cube.

A trial's configuration depends on its number and the key only, not on the order or selection of trials.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.base import keys
from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import ArgumentError, SpaceError
from tunedsl.base.references import Literal
from tunedsl.base.types import Config
from tunedsl.spaces.domains import SampleFrom
from tunedsl.spaces.evaluation import NULL, compile_expr
from tunedsl.spaces.expressions import Expr, Ref, When, as_literal
from tunedsl.spaces.layout import BranchShape, Layout, ResolvedParam, Tree, is_accepted
from tunedsl.spaces.unit_interval import Floats, from_unit

TrialNumbers = Sequence[int] | NDArray[Any]

MAX_ATTEMPTS: Final = 1_000
"""Maximum number of draws of a trial's configuration before its constraints count as impossible."""

ABSENT: Final = object()

_EMPTY_CUBE: Final[Floats] = np.empty((1, 0))

ParamColumns = dict[str, list[Any]]
_RowIndex = tuple[ParamColumns, int]
_RowFunction = Callable[[_RowIndex], Any]


def cell_count(layout: Layout) -> int:
    """The number of grid cells that meet the constraints; 1 without a grid."""
    return math.prod(layout.grid_sizes) if layout.grid_cells is None else len(layout.grid_cells)


def sample(layout: Layout, key: int, trials: TrialNumbers) -> list[Config]:
    """Uniformly drawn configurations of several trials.

    Args:
        layout: the layout from `resolve_space`.
        key: the random key; together with a trial's number it determines the configuration.
        trials: trial numbers, from 0.

    Returns:
        One configuration for each trial.

    Raises:
        SpaceError: if the constraints are not met in `MAX_ATTEMPTS` draws, or an expression fails.

    Example:
        >>> from tunedsl.spaces import Space, resolve_space, randint, ref
        >>> layout = resolve_space(Space.of({"depth": randint(1, 9), "width": ref("depth") * 2}))
        >>> sample(layout, 1, range(9))[7] == sample(layout, 1, [7])[0]
        True
    """

    return [config for config, _ in sample_with_rejections(layout, key, trials)]


def sample_with_rejections(layout: Layout, key: int, trials: TrialNumbers) -> list[tuple[Config, int]]:
    """Configurations like `sample`, each with the number of earlier draws that broke the constraints."""

    def cube_at(attempt: int, pending: NDArray[np.int64]) -> Floats:
        return uniform_points(layout, key, attempt, pending)

    return rejection_sample(layout, cube_at, trials, key)


def uniform_points(layout: Layout, key: int, attempt: int, trials: NDArray[np.int64]) -> Floats:
    """Points of the cube, uniformly drawn, one for each trial's attempt."""
    return keys.uniforms(_column_keys(layout, key, attempt), trials[:, None])


def rejection_sample(
    layout: Layout, cube_at: Callable[[int, NDArray[np.int64]], Floats], trials: TrialNumbers, key: int
) -> list[tuple[Config, int]]:
    """Configurations of several trials at points of the cube, drawn again if they break a constraint.

    Args:
        layout: the layout from `resolve_space`.
        cube_at: returns points of shape (n, dims) for an attempt, from 0, and trials of shape (n,).
        trials: trial numbers, from 0.
        key: the random key of `sample_from`.

    Returns:
        For each trial its configuration, and the number of earlier draws that broke a constraint.

    Raises:
        SpaceError: if the constraints are not met in `MAX_ATTEMPTS` draws, or an expression fails.
    """
    pending = np.arange(len(trials))
    numbers = np.asarray(trials, np.int64)
    found: dict[int, tuple[Config, int]] = {}
    drawn = 0
    for attempt in range(MAX_ATTEMPTS):
        if not len(pending):
            break
        now = numbers[pending]
        columns = evaluate_params(layout, cube_at(attempt, now), now, keys.key(key, "attempt", attempt))
        if not layout.constraints:
            return [(config, 0) for config in _build_configs(layout, columns, len(now))]
        accepted = accepted_rows(layout, columns, len(now))
        drawn += len(now)
        for row in np.flatnonzero(accepted).tolist():
            found[int(pending[row])] = _build_config(layout.tree, columns, row), attempt
        pending = pending[~accepted]
    if len(pending):
        raise SpaceError(
            f"Trial {numbers[pending[0]]} has no configuration that meets the constraints after "
            f"{MAX_ATTEMPTS:,} draws; {len(found) / drawn:.2%} of {drawn:,} draws met them.\n"
            "  help: relax the constraints, or narrow the domains"
        )
    return [found[row] for row in range(len(numbers))]


def configs_at(layout: Layout, cube: Floats, trials: TrialNumbers, key: int) -> list[Config]:
    """The configurations at points of the unit cube; they may break constraints.

    Args:
        layout: the layout from `resolve_space`.
        cube: shape (n, dims), in [0, 1].
        trials: n trial numbers, which select the grid's cells.
        key: the random key of `sample_from`.

    Returns:
        n configurations.

    Raises:
        SpaceError: if an expression or a user function fails.
    """
    numbers = np.asarray(trials, np.int64)
    return _build_configs(layout, evaluate_params(layout, cube, numbers, keys.key(key, "attempt", 0)), len(numbers))


def assemble_config(
    layout: Layout, value_of: Callable[[ResolvedParam], Any], trial: int, key: int
) -> tuple[Config, bool]:
    """The configuration with given values, and whether it meets the constraints.

    Args:
        layout: the layout from `resolve_space`.
        value_of: returns the value of a parameter of the cube (the name, for a branch). It is called for existing
            parameters only, each after its dependencies.
        trial: the trial's number, which selects the grid's cell.
        key: the random key of `sample_from`.

    Raises:
        SpaceError: if an expression, a user function or `value_of` fails.

    Example:
        >>> from tunedsl.spaces import Space, resolve_space, ref, uniform
        >>> layout = resolve_space(Space.of({"a": uniform(0, 1), "b": ref("a") * 2}).where(ref("b") < 1))
        >>> assemble_config(layout, lambda leaf: 0.75, 0, 0)
        ({'a': 0.75, 'b': 1.5}, False)
    """
    columns = evaluate_params(layout, _EMPTY_CUBE, np.array([trial], np.int64), key, value_of)
    met = not layout.constraints or bool(accepted_rows(layout, columns, 1)[0])
    return _build_config(layout.tree, columns, 0), met


def evaluate_params(
    layout: Layout,
    cube: Floats,
    trials: NDArray[np.int64],
    key: int,
    value_of: Callable[[ResolvedParam], Any] | None = None,
) -> ParamColumns:
    """The n values of each parameter by name; `ABSENT` where a parameter does not exist.

    With `value_of`, parameters of the cube get their values from it instead, for one trial.
    """
    count = len(trials)
    batch = _Batch(layout, cube, _grid_indices(layout, trials), trials, key, value_of)
    nothing = [ABSENT] * count
    columns: ParamColumns = {leaf.name: nothing for leaf in layout.params}
    every = range(count)
    for step in _compile_params(layout):
        try:
            if step.exists is None:
                columns[step.param.name] = step.make_column(batch, columns, every)
            else:
                rows = [row for row in every if step.exists((columns, row))]
                column = step.make_column(batch, columns, rows)
                existing = set(rows)
                columns[step.param.name] = [column[row] if row in existing else ABSENT for row in every]
        except Exception as error:
            part = step.param.node if step.param.condition is None else When(step.param.node, step.param.condition)
            subject = f"space.{step.param.name}"
            if isinstance(error, SpaceError) and error.subject == subject:
                raise
            if isinstance(error, SpaceError):  # the message is complete already
                raise SpaceError(f"{subject} cannot be evaluated: {reason(error)}.", subject, error.hint) from error
            raise SpaceError(f"{subject} cannot be evaluated: {part!r} raised {error!r}.", subject) from error
    return columns


def accepted_rows(layout: Layout, columns: ParamColumns, count: int) -> NDArray[np.bool_]:
    """Which of n configurations meet all constraints.

    Raises:
        SpaceError: if a constraint cannot be evaluated.
    """
    accepted = np.ones(count, bool)
    for condition, test in zip(layout.constraints, _compile_constraints(layout), strict=True):
        try:
            for row in np.flatnonzero(accepted).tolist():
                accepted[row] = is_accepted(test((columns, row)))
        except Exception as error:
            subject = "space.where"
            raise SpaceError(f"{subject} cannot be evaluated: {condition!r} raised {error!r}.", subject) from error
    return accepted


@attrs.frozen(eq=False)
class _Batch:
    """The input from which the columns of several trials are computed."""

    layout: Layout
    cube: Floats
    grid: tuple[NDArray[np.int64], ...]
    trials: NDArray[np.int64]
    key: int
    value_of: Callable[[ResolvedParam], Any] | None


@attrs.frozen(eq=False)
class _ParamStep:
    """One compiled parameter: in which rows it exists, and its values, which are valid at these rows only."""

    param: ResolvedParam
    exists: _RowFunction | None
    make_column: Callable[[_Batch, ParamColumns, Sequence[int]], list[Any]]


@functools.lru_cache(maxsize=64)
def _compile_params(layout: Layout) -> tuple[_ParamStep, ...]:
    return tuple(
        _ParamStep(
            leaf, None if leaf.condition is None else compile_expr(leaf.condition, _compile_ref), _column_maker(leaf)
        )
        for leaf in layout.params
    )


@functools.lru_cache(maxsize=64)
def _compile_constraints(layout: Layout) -> tuple[_RowFunction, ...]:
    return tuple(compile_expr(condition, _compile_ref) for condition in layout.constraints)


def _compile_ref(leaf: Expr) -> _RowFunction:
    assert isinstance(leaf, Ref)  # `resolve_references` rejects other leaves
    name = leaf.path

    def read(at: _RowIndex) -> Any:
        columns, row = at
        item = columns[name][row]
        return None if item is ABSENT else NULL if item is None else item

    return read


def _column_maker(param: ResolvedParam) -> Callable[[_Batch, ParamColumns, Sequence[int]], list[Any]]:
    node, dim, axis = param.node, param.dim, param.grid_axis
    if dim is not None:
        return lambda batch, columns, rows: (
            from_unit(node, batch.cube[:, dim])
            if batch.value_of is None
            else [batch.value_of(param) for _ in rows] or [ABSENT]
        )
    if axis is not None:
        return lambda batch, columns, rows: [node.values[index].copy() for index in batch.grid[axis].tolist()]
    if isinstance(node, Literal):
        return lambda batch, columns, rows: [node.copy() for _ in batch.trials]
    if isinstance(node, SampleFrom):
        return _sample_from_maker(param.name, node)
    function = compile_expr(node, _compile_ref)

    def column(batch: _Batch, columns: ParamColumns, rows: Sequence[int]) -> list[Any]:
        values = [ABSENT] * len(batch.trials)
        for row in rows:
            item = function((columns, row))
            values[row] = ABSENT if item is None else None if item is NULL else item
        return values

    return column


def _sample_from_maker(name: str, node: SampleFrom) -> Callable[[_Batch, ParamColumns, Sequence[int]], list[Any]]:
    function = node.function.resolve()
    wants_generator = _takes_generator(function)

    def column(batch: _Batch, columns: ParamColumns, rows: Sequence[int]) -> list[Any]:
        values = [ABSENT] * len(batch.trials)
        for row in rows:
            key = keys.key(batch.key, "sample_from", name, int(batch.trials[row]))
            config = _build_config(batch.layout.tree, columns, row)
            with keys.seeded_globals(key):
                item = function(config, keys.generator(key)) if wants_generator else function(config)
            values[row] = _check_returned(name, node, item.item() if isinstance(item, np.generic) else item)
        return values

    return column


def _check_returned(name: str, node: SampleFrom, item: Any) -> Any:
    """The result of a user function, if it can be written into the journal; else raises `SpaceError`."""
    if not isinstance(item, (bool, int, float, str, type(None))):
        try:
            as_literal(f"space.{name}", item)
        except ArgumentError as error:
            found = reason(error.diagnostic.message)
            raise SpaceError(
                f"space.{name} cannot be evaluated: {node!r} did not return a constant: {found}.", f"space.{name}"
            ) from error
    return item


def _takes_generator(function: Callable[..., Any]) -> bool:
    """Whether a function accepts a generator as second argument, and so does a function that it wraps."""
    try:
        for wrapped in (False, True):
            inspect.signature(function, follow_wrapped=wrapped).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True


def _grid_indices(layout: Layout, trials: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """The index of each grid's value in each trial."""
    if not layout.grid_sizes:
        return ()
    if not cell_count(layout):
        raise SpaceError("No cell of the grid meets the constraints.")
    cell = trials % cell_count(layout)
    return np.unravel_index(cell if layout.grid_cells is None else layout.grid_cells[cell], layout.grid_sizes)


def _build_configs(layout: Layout, columns: ParamColumns, count: int) -> list[Config]:
    return [_build_config(layout.tree, columns, row) for row in range(count)]


def _build_config(tree: Tree, columns: ParamColumns, row: int) -> Config:
    config: Config = {}
    for key, item in tree:
        if isinstance(item, str):
            found = columns[item][row]
            if found is not ABSENT:
                config[key] = found
        elif isinstance(item, BranchShape):
            chosen = columns[item.name][row]
            if chosen is not ABSENT:
                config[key] = {chosen: _build_config(item.options[chosen], columns, row)}
        else:
            config[key] = _build_config(item, columns, row)
    return config


@functools.lru_cache(maxsize=256)
def _column_keys(layout: Layout, key: int, attempt: int) -> NDArray[np.uint64]:
    """One key for each column of the cube, by the parameter's name."""
    return np.array([keys.key(key, "space", leaf.name, attempt) for leaf in layout.cube_params], np.uint64)
