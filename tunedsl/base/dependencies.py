"""The helpers, classes and constants of the user's modules that user code uses, each with a digest.

The search follows the globals that code mentions, from module to module, and the files of modules that functions import
when called. It does not follow installed packages.
"""

from __future__ import annotations

import ast
import enum
import functools
import sys
import types
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import resolve_name
from pathlib import PurePath
from typing import Any, Final

import numpy as np

from tunedsl.base.codec import module_name
from tunedsl.base.content import Content, content_of, is_library_file, is_of_library, is_of_user
from tunedsl.base.sources import changed_in, dumped, imports_in, mixed, names_in, parsed, text_of


def uses_of(contents: Iterable[Content]) -> dict[str, str]:
    """The digests of the globals and modules that the functions in some objects use, by `module:name` or module."""
    search = _Search()
    for content in contents:
        search.follow(content.functions)
    return search.found()


_LASTING: Final = (
    bool, int, float, complex, str, bytes, type(None), type(...), tuple, frozenset, enum.Enum, PurePath, np.ndarray,
    np.generic, type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial,
)  # fmt: skip
"""Types of globals that keep their content, unless code changes them."""


class _Search:
    def __init__(self) -> None:
        self._held: dict[str, tuple[types.ModuleType, str, Any]] = {}
        self._digests: dict[str, str] = {}
        self._changed: set[str] = set()
        self._seen: set[Any] = set()
        self._files: dict[str, str] = {}

    def follow(self, functions: Iterable[types.FunctionType]) -> None:
        """Adds the dependencies of functions, and their dependencies in turn."""
        waiting = list(functions)
        while waiting:
            function = waiting.pop()
            code, module = function.__code__, sys.modules.get(function.__module__ or "")
            if id(function) in self._seen or module is None or not is_of_user(function.__module__):
                continue
            self._seen.add(id(function))
            self._changed |= changed_in(code)
            for level, name, taken in imports_in(code):
                self._import(level, name, taken, module)
            names = names_in(code)
            for name in names & function.__globals__.keys():
                waiting += self._use(module, name, function.__globals__[name], names)

    def _use(
        self, module: types.ModuleType, name: str, item: Any, names: frozenset[str]
    ) -> Iterator[types.FunctionType]:
        """Adds a global, and yields the functions in it."""
        if issubclass(type(item), types.ModuleType):
            if is_of_user(item.__name__) and (item.__name__, names) not in self._seen:
                self._seen.add((item.__name__, names))
                for inner in names & vars(item).keys():
                    yield from self._use(item, inner, vars(item)[inner], names)
            return
        key = f"{module_name(module.__name__)}:{name}"
        if name.startswith("__") or key in self._held:
            return
        if is_of_library(item):
            return
        self._held[key] = module, name, item
        content = content_of(item)
        self._digests[key] = content.digest
        yield from content.functions

    def _import(self, level: int, name: str, taken: tuple[str, ...], module: types.ModuleType) -> None:
        """Adds modules that a function imports when called, loaded or not."""
        package = getattr(module, "__package__", None) or ""
        try:
            absolute = resolve_name("." * level + name, package) if level else name
        except ImportError:
            return
        for each in (absolute, *(f"{absolute}.{part}" for part in taken)):
            self._take_file(each)

    def _take_file(self, name: str) -> None:
        if name in self._files or name.partition(".")[0] in sys.stdlib_module_names:
            return
        self._files[name] = ""
        spec = _spec(name)
        if spec is None or not spec.origin or not spec.origin.endswith(".py") or is_library_file(spec.origin):
            return
        if name.partition(".")[0] == "tunedsl":
            return
        tree = _tree(spec.origin)
        if tree is None:
            return
        self._files[name] = mixed("file", dumped(tree).encode()).hex()
        package = name if spec.submodule_search_locations else name.rpartition(".")[0]
        for node in ast.walk(tree):
            for inner in _imported(node, package):
                self._take_file(inner)

    def found(self) -> dict[str, str]:
        """All digests, by name.

        For a global that may change while the program runs, the digest is that of the statements that define it,
        followed by `~` and its current content: other content may be another program, or a later state of the same
        one. For objects without content, and objects that code changes, only the statements count.
        """
        digests = {name: digest for name, digest in self._files.items() if digest}
        for key, (module, name, item) in self._held.items():
            digest, kind = self._digests[key], type(item)
            written = _statements(module, name)
            made = mixed("made", written, kind.__qualname__.encode()).hex()
            if _wraps(item):
                digest = mixed(made, digest.partition("~")[0].encode()).hex()
            elif name in self._changed or _is_generator(kind) or ("~" in digest and written):
                digest = made
            elif not issubclass(kind, _LASTING) and not kind.__module__.startswith("pandas"):
                digest = f"{made}~{digest.partition('~')[2] or digest[:16]}"
            digests[key] = digest
        return digests


def _wraps(item: Any) -> bool:
    """Whether a decorator such as `functools.cache` built this object from a function."""
    try:
        return not isinstance(item, (types.FunctionType, type)) and callable(item.__wrapped__)
    except Exception:  # a user's object may raise anything
        return False


def _is_generator(kind: type) -> bool:
    """Whether this is a random generator, whose state changes with use."""
    return any(base.__module__ == "random" or base.__module__.startswith("numpy.random") for base in kind.__mro__)


def _statements(module: types.ModuleType, name: str) -> bytes:
    """The top-level statements of a module's file that assign a name."""
    file = getattr(module, "__file__", None)
    tree = _tree(file) if file else None
    if tree is None:
        return b""
    return "".join(dumped(node) for node in tree.body if name in _bound(node)).encode()


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement assigns, without those inside functions and classes."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _tree(file: str) -> ast.Module | None:
    return parsed(text_of(file))


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """The modules that an import statement may refer to."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        try:
            base = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
        except ImportError:
            return
        yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


def _spec(name: str) -> ModuleSpec | None:
    """The spec of a module, without importing it or its package."""
    path: list[str] | None = None
    spec, done = None, ""
    for part in name.split("."):
        done = f"{done}.{part}" if done else part
        loaded = sys.modules.get(done)
        try:
            spec = getattr(loaded, "__spec__", None) or PathFinder.find_spec(done, path)
        except (ImportError, ValueError, AttributeError):
            return None
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    return spec
