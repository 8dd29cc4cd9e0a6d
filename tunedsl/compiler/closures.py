"""Pass 10: whether the trainable can be sent to workers, and is small enough."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Iterator
from typing import Any

from tunedsl.base.diagnostics import Diagnostic, reason
from tunedsl.compiler.context import CompileContext

MAX_CLOSURE_BYTES = 10 * 2**20
"""Maximum size of a pickled trainable."""


def check(context: CompileContext) -> Iterator[Diagnostic]:
    """Pickles the trainable like the engine does, and names the captured objects that fail or are too large."""
    if context.trainable is None or context.engine not in ("ray", "local"):
        return
    name = context.clauses.trainable.name if context.clauses.trainable is not None else ""
    size = _pickled_size(context.trainable)
    if isinstance(size, Exception):
        part = next(_unpicklable_parts(context.trainable, {id(context.trainable)}), None)
        what = f"captures {part}, which cannot be" if part else "cannot be"
        message = f"{name} {what} sent to workers: {type(size).__name__}: {reason(size)}."
        yield Diagnostic("E034", "trainable", message, "create the object inside the trainable")
    elif size <= MAX_CLOSURE_BYTES:
        return
    heavy = sorted(_large_parts(context.trainable, {id(context.trainable)}), reverse=True)
    total = sum(weight for weight, _ in heavy) if isinstance(size, Exception) else size
    if total > MAX_CLOSURE_BYTES:
        parts = ", ".join(f"{part} ({weight / 2**20:.1f} MiB)" for weight, part in heavy)
        limit = f"more than the limit of {MAX_CLOSURE_BYTES / 2**20:g} MiB"
        message = f"{name} captures {parts or 'objects'}: {total / 2**20:.1f} MiB in all, {limit}."
        names = [part.split("'")[1].rpartition(".")[2] for _, part in heavy] or ["name"]
        words = ", ".join(f"{word}={word}" for word in names)
        taker = "setup(self, config" if context.form == "class" else f"{name}(config"
        hint = f"ship it once with .data({words}) and take it as a keyword: def {taker}, {', '.join(names)})"
        yield Diagnostic("E035", "trainable", message, hint)


def _pickled_size(item: Any) -> int | Exception:
    """The size of the pickled object in bytes, or the exception if it cannot be pickled."""
    import cloudpickle

    try:
        return len(cloudpickle.dumps(item))
    except Exception as error:
        return error


def _unpicklable_parts(item: Any, seen: set[int], prefix: str = "") -> Iterator[str]:
    """The captured objects of `item` that cannot be pickled, the innermost first."""
    for how, name, held in captured_objects(item):
        if id(held) in seen or not isinstance(_pickled_size(held), Exception):
            continue
        seen.add(id(held))
        yield from _unpicklable_parts(held, seen, f"{prefix}{name}.")
        yield f"'{prefix}{name}' ({how}, {type(held).__module__}.{type(held).__qualname__})"


def _large_parts(item: Any, seen: set[int], prefix: str = "") -> Iterator[tuple[int, str]]:
    """The captured objects of `item` that are larger than a tenth of the limit, with their size."""
    for how, name, held in captured_objects(item):
        if id(held) in seen:
            continue
        seen.add(id(held))
        weight = _pickled_size(held)
        if isinstance(weight, Exception):
            yield from _large_parts(held, seen, f"{prefix}{name}.")
        elif weight > MAX_CLOSURE_BYTES // 10:
            yield weight, f"'{prefix}{name}' ({how}, {type(held).__qualname__})"


def captured_objects(item: Any) -> Iterator[tuple[str, str, Any]]:
    """How, under which name and which objects are pickled with a function or class.

    >>> def outer(scale):
    ...     return lambda config, shift=1: config["x"] * scale + shift
    >>> list(captured_objects(outer(2)))
    [('closure variable', 'scale', 2), ('default', 'shift', 1)]
    """
    if inspect.isclass(item):
        for name, held in vars(item).items():
            if isinstance(held, types.FunctionType):
                yield from captured_objects(held)
            elif not name.startswith("__"):
                yield "class attribute", name, held
    elif isinstance(item, types.FunctionType):
        for name, cell in zip(item.__code__.co_freevars, item.__closure__ or (), strict=True):
            try:
                yield "closure variable", name, cell.cell_contents
            except ValueError:  # a name that is not assigned yet
                continue
        for name, parameter in inspect.signature(item, follow_wrapped=False).parameters.items():
            if parameter.default is not parameter.empty:
                yield "default", name, parameter.default
        if _is_pickled_by_value(item):
            for name in sorted(_global_names(item.__code__) & item.__globals__.keys()):
                yield "global variable", name, item.__globals__[name]


def _is_pickled_by_value(function: types.FunctionType) -> bool:
    """Whether a function's globals are pickled with it, since workers cannot import it."""
    module = sys.modules.get(function.__module__)
    return function.__module__ == "__main__" or module is None or "<locals>" in function.__qualname__


def _global_names(code: types.CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(_global_names, inner))
