"""The normal form of a function's source, by which functions are compared.

If the source is available, the normal form is its syntax tree without positions, comments and docstrings. It is the
same in every version of Python and for any formatting. The tree counts only if compiling the current file gives the
live code object, so a file that was edited after its import does not count. Lambdas on one line differ by the columns
of their instructions. Without a source (`python -c`, standard input, generated code) the form is the code object:
instructions, constants, names and exceptions. That form includes the version of Python.
"""

from __future__ import annotations

import ast
import dis
import hashlib
import linecache
import sys
import tokenize
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import Any, Final
from weakref import WeakKeyDictionary

CHANGING: Final = frozenset(
    (
        "add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft", "insert",
        "intersection_update", "pop", "popitem", "popleft", "put", "put_nowait", "remove", "reverse", "setdefault",
        "sort", "symmetric_difference_update", "update", "write",
    )
)  # fmt: skip
"""Methods that change their object."""
_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
_SILENT: Final = ("ctx", "kind", "type_comment")

_forms: WeakKeyDictionary[CodeType, bytes] = WeakKeyDictionary()
_changes: WeakKeyDictionary[CodeType, frozenset[str]] = WeakKeyDictionary()


def mixed(tag: str, *parts: bytes | memoryview[int]) -> bytes:
    """16 bytes that are equal only for equal tags and parts."""
    state = hashlib.blake2b(tag.encode(), digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.digest()


def form_of_code(code: CodeType) -> bytes:
    """The digest of a function's normal form, cached for each live code object."""
    form = _forms.get(code)
    if form is None:
        node = node_of(code)
        form = _of_code(code) if node is None else mixed("source", dumped(node).encode())
        _forms[code] = form
    return form


def _of_code(code: CodeType) -> bytes:
    version = f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}"
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars)
    plain = repr((shape, names)).encode()
    constants = map(_constant, code.co_consts)
    return mixed(f"code {version}", plain, code.co_code, code.co_exceptiontable, *constants)


def _constant(item: Any) -> bytes:
    if isinstance(item, CodeType):
        return _of_code(item)
    if isinstance(item, frozenset):  # it has no fixed order
        return mixed("frozenset", *sorted(map(_constant, item)))
    if isinstance(item, tuple):
        return mixed("tuple", *map(_constant, item))
    return mixed(type(item).__name__, repr(item).encode())


def dumped(node: Any) -> str:
    """A syntax tree as text that does not depend on formatting or on the version of Python."""
    if isinstance(node, list):
        return f"[{','.join(map(dumped, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name, found in ast.iter_fields(node):
        part = found
        if name == "body" and isinstance(node, _DEFINITIONS) and ast.get_docstring(node, clean=False) is not None:
            part = found[1:]
        if name not in _SILENT and part is not None and part != []:
            parts.append(f"{name}={dumped(part)}")
    return f"{type(node).__name__}({','.join(parts)})"


def node_of(code: CodeType) -> ast.AST | None:
    """The syntax tree of a live code object; None if it has no source, or its file has changed."""
    text = text_of(code.co_filename)
    return _nodes(code.co_filename, text).get(code) if text else None


def text_of(file: str) -> str:
    """The current text of a source file or notebook cell; empty if not available."""
    try:
        with tokenize.open(file) as source:
            return source.read()
    except (OSError, SyntaxError, UnicodeDecodeError, ValueError):
        return "".join(linecache.getlines(file))


@lru_cache(maxsize=32)
def _nodes(file: str, text: str) -> dict[CodeType, ast.AST]:
    """The syntax trees of the functions in a file, by their code objects."""
    tree = parsed(text)
    if tree is None:
        return {}
    try:
        codes = list(_inner(compile(tree, file, "exec", dont_inherit=True)))
    except (SyntaxError, ValueError, RecursionError):
        return {}
    by_line: dict[tuple[str, int], list[ast.AST]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            by_line.setdefault(("<lambda>", node.lineno), []).append(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            by_line.setdefault((node.name, first), []).append(node)
    found = {}
    for code in codes:
        candidates = by_line.get((code.co_name, code.co_firstlineno), [])
        match = candidates[0] if len(candidates) == 1 else _by_columns(code, candidates)
        if match is not None:
            found[code] = match
    return found


@lru_cache(maxsize=32)
def parsed(text: str) -> ast.Module | None:
    """The syntax tree of a file; None if it cannot be parsed."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _by_columns(code: CodeType, lambdas: list[ast.AST]) -> ast.AST | None:
    """The innermost of several lambdas on one line whose body contains all instructions of the code."""
    places = ((line or 0, column or 0, last or 0, end or 0) for line, last, column, end in code.co_positions())
    spans = [place for place in places if place[0] and place[:2] != place[2:]]
    if not spans:
        return None
    first, final = min(span[:2] for span in spans), max(span[2:] for span in spans)
    inside = [
        (node.body.lineno, node.body.col_offset, node)
        for node in lambdas
        if isinstance(node, ast.Lambda)
        and (node.body.lineno, node.body.col_offset) <= first
        and final <= (node.body.end_lineno or 0, node.body.end_col_offset or 0)
    ]
    return max(inside, key=lambda place: place[:2])[2] if inside else None


def _inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _inner(constant)


def names_in(code: CodeType) -> frozenset[str]:
    """The names of globals and attributes in a function's code, inner functions included."""
    return frozenset(name for each in _inner(code) for name in each.co_names)


def changed_in(code: CodeType) -> frozenset[str]:
    """The names of outer objects that a function changes, such as a list that it appends to or a counter.

    Their values are state of a run, not part of the function.
    """
    found = _changes.get(code)
    if found is None:
        found = _changes[code] = frozenset(filter(None, _all_changed(code)))
    return found


def _all_changed(code: CodeType) -> Iterator[str]:
    node = node_of(code)
    if node is None:
        stores = ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF")
        for inner in _inner(code):
            yield from (each.argval for each in dis.get_instructions(inner) if each.opname in stores)
    else:
        for each in ast.walk(node):
            yield from _changed(each)


def _changed(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            yield from names
        case ast.Call(func=ast.Attribute(value=owner, attr=method)) if method in CHANGING:
            yield _name(owner)
        case ast.Call(func=ast.Name(id="next"), args=[owner, *_]):
            yield _name(owner)
        case ast.Subscript(value=owner, ctx=ast.Store() | ast.Del()):
            yield _name(owner)
        case ast.Attribute(value=owner, attr=attribute, ctx=ast.Store() | ast.Del()):
            yield _name(owner)
            if _name(owner) != "self":
                yield attribute
        case ast.AugAssign(target=ast.Name(id=name)):
            yield name


def _name(node: ast.AST) -> str:
    """The last name of expressions such as `a`, `module.a` and `a[0]`; empty for others."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=owner):
            return _name(owner)
    return ""


def imports_in(code: CodeType) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """The import statements in a function: the number of dots, the module, and the imported names."""
    for inner in _inner(code):
        before: list[Any] = [None, None]
        for each in dis.get_instructions(inner):
            if each.opname == "IMPORT_NAME":
                level, names = before
                yield level if isinstance(level, int) else 0, each.argval, names if isinstance(names, tuple) else ()
            before = [before[1], each.argval]
