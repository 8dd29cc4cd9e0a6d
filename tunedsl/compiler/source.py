"""Facts from a trainable's source: the parameters it mentions, the metrics it reports, whether it saves.

Only literal code is read; where code is dynamic, the fact is unknown.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, TypeGuard

import attrs

from tunedsl.plan.command import Command
from tunedsl.plan.metric_sources import Pattern
from tunedsl.plan.plan import Form
from tunedsl.plan.templates import placeholders

_LOOKUPS = ("get", "pop", "setdefault")
_CALLBACK: Final = "Callback"
"""The end of the names of callbacks. The callback of an integration reports, and by default saves."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_ENDLESS = (ast.While, ast.AsyncFor, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
"""Statements and expressions whose body may run any number of times."""


@attrs.frozen
class SourceFacts:
    """Facts from the source of a trainable.

    Attributes:
        mentioned_params: names that may be parameters; None if the config is passed on, so its use is unknown.
        reported_metrics: metrics that are reported; None if unknown.
        saves_checkpoints: whether a checkpoint is or may be reported.
    """

    mentioned_params: frozenset[str] | None
    reported_metrics: frozenset[str] | None
    saves_checkpoints: bool


@lru_cache(maxsize=8)
def restores_learning_rate(trainable: Any) -> bool:
    """Whether code loads an optimiser's state and does not set `param_groups` after that."""
    try:
        root = ast.parse(textwrap.dedent(inspect.getsource(trainable)))
    except (OSError, TypeError, SyntaxError):
        return False
    attributes = [node for node in ast.walk(root) if isinstance(node, ast.Attribute)]
    loads = (node for node in attributes if node.attr == "load_state_dict")
    restored = any("optim" in ast.unparse(node.value).lower() or ast.unparse(node.value) == "opt" for node in loads)
    return restored and not any(node.attr == "param_groups" for node in attributes)


@lru_cache(maxsize=8)
def read_source(trainable: Any, form: Form) -> SourceFacts | None:
    """The facts from a function's or class's source; None if the source is not available."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(trainable)))
    except (OSError, TypeError, SyntaxError):
        return None
    root = next((node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))), None)
    if root is None:
        return None
    entry = _method(root, "setup") if isinstance(root, ast.ClassDef) else root
    mentions = None if entry is None or _escapes(root, entry, form) else frozenset(_mentions(root))
    found, known = _reported(root, form)
    calls = [node for node in ast.walk(root) if isinstance(node, ast.Call)]
    saves = any(map(_saves, calls)) or _delegates(root)
    return SourceFacts(mentions, frozenset(found) if known and found else None, saves)


def _method(root: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((node for node in root.body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def _mentions(root: ast.AST) -> Iterator[str]:
    for node in ast.walk(root):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from node.value.split(".")
        elif isinstance(node, ast.Attribute):
            yield node.attr


def _escapes(root: ast.AST, entry: ast.FunctionDef, form: Form) -> bool:
    """Whether the config, or another name for it, is used in other ways than lookups of constant keys."""
    arguments = [*entry.args.posonlyargs, *entry.args.args]
    at = 1 if form == "class" else 0
    if len(arguments) <= at:
        return True
    names = {arguments[at].arg}
    for node in ast.walk(root):
        if isinstance(node, ast.Assign) and ast.unparse(node.value) in names:
            names |= {ast.unparse(target) for target in node.targets}
    parents = {child: node for node in ast.walk(root) for child in ast.iter_child_nodes(node)}
    return any(
        _escapes_at(node, parents)
        for node in ast.walk(root)
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load) and ast.unparse(node) in names
    )


def _escapes_at(node: ast.expr, parents: dict[ast.AST, ast.AST]) -> bool:
    match parents[node]:
        case ast.Subscript(slice=ast.Constant()) | ast.Compare() | ast.Assign():
            return False
        case ast.Match(cases=cases):
            patterns = [pattern for case in cases for pattern in ast.walk(case.pattern)]
            return any(isinstance(pattern, ast.MatchMapping) and pattern.rest for pattern in patterns)
        case ast.Attribute(attr=attr) as lookup:
            call = parents.get(lookup)
            plain = isinstance(call, ast.Call) and bool(call.args) and isinstance(call.args[0], ast.Constant)
            return attr not in _LOOKUPS or not plain
        case _:
            return True


def _reported(root: ast.FunctionDef | ast.ClassDef, form: Form) -> tuple[set[str], bool]:
    """The metrics that are reported, and whether these are all."""
    found: set[str] = set()
    known = True
    for names in _reports(root, form):
        known = known and names is not None
        found |= names or set()
    return found, known


def _reports(root: ast.FunctionDef | ast.ClassDef, form: Form) -> Iterator[set[str] | None]:
    for node in ast.walk(root):
        if _is_report(node):
            yield from map(_keys, node.args)
            yield from (
                _keys(word.value) if word.arg is None else {word.arg} - {"checkpoint"} for word in node.keywords
            )
    body = _method(root, "step") if isinstance(root, ast.ClassDef) else root
    for node in _own_nodes(body) if body is not None else ():
        returned = isinstance(node, ast.Return) and form != "generator"
        if (returned or isinstance(node, ast.Yield)) and node.value is not None and not _is_none(node.value):
            yield _keys(node.value)


def _delegates(root: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether all reports are made by code that this code calls."""
    own = any(map(_is_report, ast.walk(root))) or any(isinstance(node, ast.Yield) for node in _own_nodes(root))
    returned = (node.value for node in _own_nodes(root) if isinstance(node, ast.Return) and node.value is not None)
    literal = any(_keys(value) is not None for value in returned)
    return not own and not literal and any(isinstance(node, ast.Call) for node in ast.walk(root))


def _own_nodes(function: ast.AST) -> Iterator[Any]:
    """The nodes of a function without those of inner functions."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, _FUNCTIONS):
            yield node
            yield from _own_nodes(node)


def _keys(node: ast.expr) -> set[str] | None:
    """The keys of a literal dict, else None."""
    if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
        return {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        names = [word.arg for word in node.keywords]
        return None if None in names else {name for name in names if name is not None}
    return None


def _is_report(node: Any) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and _called(node) == "report"


def _called(call: ast.Call) -> str:
    """The name of the function that is called."""
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _saves(call: ast.Call) -> bool:
    """Whether a call reports a checkpoint, or creates a callback that does so by default."""
    if _called(call).endswith(_CALLBACK):
        return not any(word.arg == "checkpoint" and ast.unparse(word.value) == "False" for word in call.keywords)
    return _is_report(call) and any(
        word.arg is None or (word.arg == "checkpoint" and not _is_none(word.value)) for word in call.keywords
    )


def max_reports(trainable: Any) -> int | None:
    """The maximum number of reports of one trial, by the loops over `range` in the function's source.

    None for a class, and for a function with a loop of unknown length or without a report of its own.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(trainable)))
    except (OSError, TypeError, SyntaxError):
        return None
    root = next((node for node in tree.body if isinstance(node, ast.FunctionDef)), None)
    function = inspect.unwrap(trainable)
    if root is None or not inspect.isfunction(function):
        return None
    local = function.__code__.co_varnames
    numbers = {name: item for name, item in function.__globals__.items() if type(item) is int and name not in local}
    return _sum(_most(node, numbers, inspect.isgeneratorfunction(function)) for node in root.body) or None


def _most(node: ast.AST, numbers: Mapping[str, int], generator: bool | None) -> int | None:
    """The maximum number of reports of a node; `generator` is `None` inside inner functions."""
    if isinstance(node, ast.Call) and _called(node).endswith(_CALLBACK):
        return None
    own = isinstance(node, _FUNCTIONS)
    inside = _sum(_most(part, numbers, None if own else generator) for part in ast.iter_child_nodes(node))
    if inside != 0 and isinstance(node, ast.For):
        length = _length(node.iter, numbers)
        return None if inside is None or length is None else length * inside
    if inside != 0 and (own or isinstance(node, _ENDLESS)):
        return None
    if isinstance(node, ast.YieldFrom) and generator is not None:
        return None
    returned = isinstance(node, ast.Return) and generator is False and node.value is not None
    result = returned and not _is_none(node.value)  # type: ignore[attr-defined]
    yielded = isinstance(node, ast.Yield) and generator is not None
    return _sum((inside, int(_is_report(node) or result or yielded)))


def _sum(counts: Iterable[int | None]) -> int | None:
    """The sum of counts, None where one is not known."""
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)


def _length(node: ast.expr, numbers: Mapping[str, int]) -> int | None:
    """The maximum length of a literal `range(...)`; an unknown start counts as 0."""
    match node:
        case ast.Call(func=ast.Name(id="range"), args=[end], keywords=[]):
            start, stop, step = 0, _number(end, numbers), 1
        case ast.Call(func=ast.Name(id="range"), args=[first, end, *rest], keywords=[]):
            start, stop = _number(first, numbers) or 0, _number(end, numbers)
            step = 1 if not rest else _number(rest[0], numbers) or 1
        case _:
            return None
    return None if stop is None else len(range(start, stop, step))


def _number(node: ast.expr, numbers: Mapping[str, int]) -> int | None:
    """The value of a literal whole number, a module's constant, or a sum or difference of these."""
    match node:
        case ast.Constant(value=int(found)):
            return found
        case ast.Name(id=name):
            return numbers.get(name)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            sides = _number(left, numbers), _number(right, numbers)
            if sides[0] is None or sides[1] is None:
                return None
            return sides[0] + sides[1] if isinstance(op, ast.Add) else sides[0] - sides[1]
        case _:
            return None


def command_facts(command: Command) -> SourceFacts:
    """The same facts about a program, from its placeholders and its sources of metrics."""
    names = {name for text in command.templates() for name in placeholders(text)}
    patterns = [source for source in command.metrics if isinstance(source, Pattern)]
    groups = frozenset(name for source in patterns for name in re.compile(source.regex).groupindex)
    return SourceFacts(
        mentioned_params=None
        if "config" in names or command.env_prefix is not None
        else frozenset(part for name in names for part in name.split(".")),
        reported_metrics=groups if len(patterns) == len(command.metrics) else None,
        saves_checkpoints=True,
    )
