"""Resolves a space: parameters in evaluation order, absolute references, one column of the unit cube each.

`index_space` walks any space, so that `check` can report its errors. `resolve_space` builds the layout for sampling and
encoding, and needs a space without errors.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.base.errors import SpaceError
from tunedsl.base.names import did_you_mean
from tunedsl.base.references import Literal
from tunedsl.spaces.domains import Branch, Grid, SampleFrom
from tunedsl.spaces.evaluation import NULL, compile_expr
from tunedsl.spaces.expressions import Constant, Expr, Node, Ref, When, leaves, map_leaves
from tunedsl.spaces.space import Space
from tunedsl.spaces.unit_interval import has_unit_interval

ParamPath = tuple[str, ...]

_MAX_CELLS: Final = 100_000
"""Larger grids are not filtered by constraints in advance; the constraints still apply."""


@attrs.frozen
class DeclaredParam:
    """A parameter as written.

    Attributes:
        path: names from the root.
        node: the domain, expression or constant, without conditions.
        conditions: its own conditions, references as written.
        branch_condition: the condition of its branch, with absolute references.
    """

    path: ParamPath
    node: Node | Literal
    conditions: tuple[Expr, ...]
    branch_condition: Expr | None

    @property
    def name(self) -> str:
        return ".".join(self.path)

    def expressions(self) -> Iterator[Expr]:
        """The expressions in it, as written."""
        if isinstance(self.node, Expr):
            yield self.node
        yield from self.conditions


@attrs.frozen
class BranchShape:
    """A branch in the shape of configurations: its parameter's name and a tree for each option."""

    name: str
    options: Mapping[str, Tree]


Tree = tuple[tuple[str, "str | BranchShape | Tree"], ...]
"""The shape of configurations: key and parameter name, branch or nested tree, in the order written."""


@attrs.frozen
class SpaceIndex:
    """All parts of a space, nested ones included.

    Attributes:
        params: parameters, in the order written.
        constraints: scope and condition, as written.
        space_paths: paths of the nested spaces and of branches' options.
        tree: the shape of configurations.
    """

    params: tuple[DeclaredParam, ...]
    constraints: tuple[tuple[ParamPath, Expr], ...]
    space_paths: tuple[ParamPath, ...]
    tree: Tree


@attrs.frozen(eq=False)
class ResolvedParam:
    """A parameter after resolution.

    Attributes:
        name: dotted path from the root, by which expressions refer to it.
        path: the same, as names.
        node: the domain, expression (with absolute references) or constant.
        condition: when it exists; None for always.
        dim: its column of the unit cube, if it has one.
        grid_axis: its index among the grids, if it is a grid.
    """

    name: str
    path: ParamPath
    node: Any
    condition: Expr | None
    dim: int | None
    grid_axis: int | None

    @property
    def dependencies(self) -> set[str]:
        """The names that its expression and its condition refer to."""
        expressions = (part for part in (self.node, self.condition) if isinstance(part, Expr))
        return {name for expr in expressions for name in referenced_names(expr)}


@attrs.frozen(eq=False)
class Layout:
    """A space after resolution; compared by identity.

    Attributes:
        space: the space that was resolved.
        params: parameters, each after all parameters that it refers to.
        cube_params: the parameters on the unit cube, in the order written.
        grid_sizes: number of values of each grid, in the order written.
        grid_cells: numbers of the grid's cells that meet the constraints over grids alone; None for all.
        constraints: the other constraints, with absolute references.
        tree: the shape of configurations.
    """

    space: Space
    params: tuple[ResolvedParam, ...]
    cube_params: tuple[ResolvedParam, ...]
    grid_sizes: tuple[int, ...]
    grid_cells: NDArray[np.int64] | None
    constraints: tuple[Expr, ...]
    tree: Tree

    @property
    def dims(self) -> int:
        """The number of columns of the unit cube."""
        return len(self.cube_params)


def index_space(space: Space) -> SpaceIndex:
    """The index of a space; see `SpaceIndex`."""
    entries: list[DeclaredParam] = []
    constraints: list[tuple[ParamPath, Expr]] = []
    spaces: list[ParamPath] = []

    def walk(inner: Space, scope: ParamPath, guard: Expr | None) -> Tree:
        constraints.extend((scope, condition) for condition in inner.constraints)
        return tuple((name, place(item, (*scope, name), guard)) for name, item in inner.params)

    def place(item: Node | Literal | Space, path: ParamPath, guard: Expr | None) -> str | BranchShape | Tree:
        if isinstance(item, Space):
            spaces.append(path)
            return walk(item, path, guard)
        node: Node | Literal = item
        conditions: list[Expr] = []
        while isinstance(node, When):
            conditions.insert(0, node.condition)
            node = node.node
        entry = DeclaredParam(path, node, tuple(conditions), guard)
        entries.append(entry)
        if not isinstance(node, Branch):
            return entry.name
        options = {}
        for name, inner in node.options:
            spaces.append((*path, name))
            options[name] = walk(inner, (*path, name), Ref(entry.name) == name)
        return BranchShape(entry.name, options)

    tree = walk(space, (), None)
    return SpaceIndex(tuple(entries), tuple(constraints), tuple(spaces), tree)


def resolve_path(path: str, scope: ParamPath, known: Collection[str]) -> str | None:
    """The parameter that `ref(path)` refers to, looked up from `scope` outward; None if not found."""
    for depth in range(len(scope), -1, -1):
        name = ".".join((*scope[:depth], path))
        if name in known:
            return name
    return None


def resolve_references(expr: Expr, scope: ParamPath, known: Collection[str]) -> Expr:
    """`expr` with absolute references; raises `SpaceError` for an unknown one."""

    def change(leaf: Expr) -> Expr:
        name = resolve_path(leaf.path, scope, known) if isinstance(leaf, Ref) else None
        if name is None:
            hint = did_you_mean(leaf.path, known) if isinstance(leaf, Ref) else ""
            raise SpaceError(f"{leaf!r} in {expr!r} is not a parameter of the space.", hint=hint)
        return Ref(name)

    return map_leaves(change, expr)


def referenced_names(expr: Expr) -> Iterator[str]:
    """The paths of all references in an expression."""
    return (leaf.path for leaf in leaves(expr) if isinstance(leaf, Ref))


def topological_order(dependencies: Mapping[str, Collection[str]], last: Collection[str]) -> list[str]:
    """Names after all their dependencies, else in the given order, with those of `last` as late as possible.

    Returns:
        The names, without those that are on a cycle or depend on one.
    """
    place = {name: (name in last, index, name) for index, name in enumerate(dependencies)}
    waiting = {name: len(set(needed)) for name, needed in dependencies.items()}
    users: dict[str, list[str]] = {name: [] for name in dependencies}
    for name, needed in dependencies.items():
        for other in set(needed):
            users[other].append(name)
    ready = [place[name] for name, count in waiting.items() if not count]
    heapq.heapify(ready)
    done = []
    while ready:
        name = heapq.heappop(ready)[2]
        done.append(name)
        for user in users[name]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, place[user])
    return done


def resolve_space(space: Space) -> Layout:
    """The layout of a space without errors.

    Layouts are cached by identity of the space, since equal spaces may have different live functions.

    Raises:
        SpaceError: for an unknown or cyclic reference; `check.diagnose_space` explains it.
    """
    return _resolve_space(_ByIdentity(space))


class _ByIdentity:
    __slots__ = ("space",)

    def __init__(self, space: Space) -> None:
        self.space = space

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and self.space is other.space

    def __hash__(self) -> int:
        return id(self.space)


@functools.lru_cache(maxsize=64)
def _resolve_space(wrapped: _ByIdentity) -> Layout:
    space = wrapped.space
    found = index_space(space)
    known = {entry.name for entry in found.params}
    dims, axes = itertools.count(), itertools.count()
    leaf_of = {entry.name: _resolve_param(entry, known, dims, axes) for entry in found.params}
    needs = {name: leaf.dependencies for name, leaf in leaf_of.items()}
    late = {name for name, leaf in leaf_of.items() if isinstance(leaf.node, SampleFrom)}
    order = topological_order(needs, late)
    if len(order) < len(leaf_of):
        raise SpaceError(f"The parameters {', '.join(sorted(known - set(order)))} depend on each other in a cycle.")
    constraints = [resolve_references(condition, scope, known) for scope, condition in found.constraints]
    grids = [leaf for leaf in leaf_of.values() if leaf.grid_axis is not None]
    sizes = tuple(len(leaf.node.values) for leaf in grids)
    filters = []
    if grids and math.prod(sizes) <= _MAX_CELLS:
        filters = [
            each for each in constraints if all(_is_fixed_by_grid(name, leaf_of) for name in referenced_names(each))
        ]
    return Layout(
        space,
        tuple(leaf_of[name] for name in order),
        tuple(leaf for leaf in leaf_of.values() if leaf.dim is not None),
        sizes,
        _accepted_cells(grids, sizes, filters, leaf_of) if filters else None,
        tuple(each for each in constraints if not any(each is other for other in filters)),
        found.tree,
    )


def _resolve_param(
    declared: DeclaredParam, known: Collection[str], dims: Iterator[int], axes: Iterator[int]
) -> ResolvedParam:
    scope, node = declared.path[:-1], declared.node
    conditions = [resolve_references(condition, scope, known) for condition in declared.conditions]
    if declared.branch_condition is not None:
        conditions.insert(0, declared.branch_condition)
    return ResolvedParam(
        declared.name,
        declared.path,
        resolve_references(node, scope, known) if isinstance(node, Expr) else node,
        functools.reduce(lambda left, right: left & right, conditions) if conditions else None,
        next(dims) if has_unit_interval(node) else None,
        next(axes) if isinstance(node, Grid) else None,
    )


def _is_fixed_by_grid(name: str, params: Mapping[str, ResolvedParam]) -> bool:
    """Whether the grid's cell alone determines a parameter."""
    leaf = params[name]
    if leaf.condition is not None:
        return False
    if isinstance(leaf.node, Expr):
        return all(_is_fixed_by_grid(other, params) for other in referenced_names(leaf.node))
    return isinstance(leaf.node, (Grid, Literal))


def _accepted_cells(
    grids: list[ResolvedParam], sizes: tuple[int, ...], filters: list[Expr], params: Mapping[str, ResolvedParam]
) -> NDArray[np.int64]:
    """The numbers of the grid's cells that meet `filters`."""

    def compiled(leaf: Expr) -> Callable[[Mapping[str, int]], Any]:
        assert isinstance(leaf, Ref)  # `resolve_references` rejects other leaves
        node, name = params[leaf.path].node, leaf.path
        if isinstance(node, Expr):
            return compile_expr(node, compiled)
        if isinstance(node, Literal):
            return compile_expr(Constant(node), compiled)
        values = [NULL if each.object is None else each.object for each in node.values]
        return lambda cell: values[cell[name]]

    tests = [compile_expr(each, compiled) for each in filters]
    names = [leaf.name for leaf in grids]
    cells = (dict(zip(names, cell, strict=True)) for cell in np.ndindex(*sizes))
    met = [all(is_accepted(test(cell)) for test in tests) for cell in cells]
    return np.flatnonzero(np.array(met, bool))


def is_accepted(result: Any) -> bool:
    """Whether a constraint's value accepts a configuration; None, for a missing parameter, does."""
    return result is None or bool(result)
