"""Reads the package's imports from its source: type hints and imports inside functions included."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tunedsl"


@attrs.frozen
class Import:
    """One imported module.

    Attributes:
        file: the importing file, relative to the package.
        line: from 1.
        module: the imported module; for `from package import module` that module.
        function: the outermost enclosing function, None at module level.
        for_types: whether it is under `if TYPE_CHECKING`.
    """

    file: Path
    line: int
    module: str
    function: str | None
    for_types: bool

    @property
    def package(self) -> str:
        """The package or top-level module of tunedsl that is imported; `__init__` for tunedsl's own names."""
        parts = self.module.split(".")
        return parts[1] if len(parts) > 1 else "__init__"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: import of {self.module}"


def source_files() -> list[Path]:
    """All modules of the package, without the documentation's configuration."""
    return sorted(file for file in PACKAGE.rglob("*.py") if "docs" not in file.relative_to(PACKAGE).parts)


def module_name(file: Path) -> str:
    """`tunedsl.base.keys` for `tunedsl/base/keys.py`."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def package_of(file: Path) -> str:
    """The package below tunedsl, or the top-level module, that a file belongs to."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


MODULES = frozenset(map(module_name, source_files()))


def imports_of(file: Path) -> Iterator[Import]:
    """Every import of a file, wherever it is written."""
    path = file.relative_to(PACKAGE)

    def walk(node: ast.AST, function: str | None, for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            enclosing, types = function, for_types
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                enclosing = function or child.name
            elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                types = True
            for module in _modules(child):
                yield Import(path, child.lineno, module, function, for_types)  # type: ignore[attr-defined]
            yield from walk(child, enclosing, types)

    yield from walk(ast.parse(file.read_text(encoding="utf-8")), None, False)


def _modules(node: ast.AST) -> Iterable[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        if node.level:
            raise ValueError(f"line {node.lineno}: a relative import; write the module's full name")
        module = node.module or ""
        names = [f"{module}.{alias.name}" for alias in node.names]
        return sorted({name if name in MODULES else module for name in names})
    return []


def graph() -> dict[str, set[str]]:
    """The modules that each module of the package imports."""
    return {module_name(file): {each.module for each in imports_of(file)} & MODULES for file in source_files()}


def cycles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other, each sorted (Tarjan's strongly connected components).

    Source: R. Tarjan, Depth-first search and linear graph algorithms, SIAM J. Comput. 1972.

    >>> cycles({"a": ["b"], "b": ["a", "c"], "c": []})
    [['a', 'b']]
    """
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = lowest[node] = len(index)
        stack.append(node)
        for target in edges.get(node, ()):
            if target not in index:
                visit(target)
                lowest[node] = min(lowest[node], lowest[target])
            elif target in stack:
                lowest[node] = min(lowest[node], index[target])
        if lowest[node] == index[node]:
            at = stack.index(node)
            group, stack[at:] = stack[at:], []
            if len(group) > 1:
                found.append(sorted(group))

    for node in edges:
        if node not in index:
            visit(node)
    return found
