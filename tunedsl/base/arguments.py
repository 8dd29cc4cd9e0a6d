"""Checks of arguments at a call: unknown keywords, wrong types, wrong counts.

An error in one call raises at once, with a traceback that ends at the user's line. How the parts of an experiment fit
together is checked by the compiler.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Sequence
from enum import Enum
from types import FunctionType
from typing import Any, Final, ParamSpec, TypeVar

from tunedsl.base.diagnostics import outside
from tunedsl.base.errors import ArgumentError, CompileError, wrong_value
from tunedsl.base.standard_types import scalar
from tunedsl.base.suggestions import for_call, for_keyword

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_BINARY: Final = "add sub mul truediv floordiv mod pow and or"
_OPERATORS: Final = frozenset(
    {
        *(f"__{name}__" for name in f"{_BINARY} lt le gt ge eq ne neg abs invert bool getitem init".split()),
        *(f"__r{name}__" for name in _BINARY.split()),
    }
)


def check_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a wrong call raise `ArgumentError` with a hint and a traceback that ends at the user's line.

    Scalars of NumPy and instances of subclasses of `str` become Python's own types. Members of an enum stay unchanged.
    """
    return _checked(function, _plain)


def check_names(function: Callable[P, R]) -> Callable[P, R]:
    """The same as `check_arguments`, but the function receives the very objects of the call."""
    return _checked(function, lambda item: item)


def _checked(function: Callable[P, R], convert: Callable[[Any], Any]) -> Callable[P, R]:
    signature = inspect.signature(function)
    known = [
        name
        for name, parameter in signature.parameters.items()
        if name != "self" and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    is_method = next(iter(signature.parameters), None) == "self"
    owner, _, name = function.__qualname__.rpartition(".")
    if name == "of":  # a constructor, which users know by the name of its clause
        name = owner.rpartition(".")[2].lower()
    elif name == "__init__":
        name = owner.rpartition(".")[2]
    shown = signature.replace(parameters=list(signature.parameters.values())[is_method:])
    written = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(shown))

    @public
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        args, kwargs = tuple(map(convert, args)), {str.__str__(key): convert(item) for key, item in kwargs.items()}  # type: ignore[assignment]  # the same arguments
        unknown = None if takes_any else next((keyword for keyword in kwargs if keyword not in known), None)
        if unknown is not None:
            hint = for_call(name, args[is_method:], kwargs, known) or for_keyword(name, unknown, known)
            hint = hint or (f"its arguments are {', '.join(known)}" if known else f"write {name}()")
            raise ArgumentError("E001", name, f"{name}() has no argument {unknown!r}.", hint)
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            hint = for_call(name, args[is_method:], kwargs, known) or f"the call is {name}{written}"
            raise ArgumentError("E002", name, f"{describe_mismatch(name, error)}.", hint) from None
        return function(*args, **kwargs)

    return call


def describe_mismatch(name: str, error: TypeError) -> str:
    """An error of `Signature.bind` with the function's name, as a sentence without its full stop.

    >>> describe_mismatch("f", TypeError("missing a required argument: 'x'"))
    "f() is missing a required argument: 'x'"
    >>> describe_mismatch("f", TypeError("too many positional arguments"))
    'f() got too many positional arguments'
    """
    text = str(error)
    verb = "is " if text.startswith("missing") else "" if text.startswith("got") else "got "
    return f"{name}() {verb}{text}"


def public(function: Callable[P, R]) -> Callable[P, R]:
    """Removes this package's frames from tracebacks of user errors, so that they end at the user's line."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (ArgumentError, CompileError) as error:
            _remove_own_frames(error)
            raise  # a bare `raise` adds no frame

    return call


def public_class(cls: type[T]) -> type[T]:
    """Applies `public` to the methods and operators of a class."""
    for name, item in list(vars(cls).items()):
        if isinstance(item, FunctionType) and (name in _OPERATORS or not name.startswith("_")):
            setattr(cls, name, public(item))
    return cls


def _remove_own_frames(error: BaseException) -> None:
    seen: BaseException | None = error
    while seen is not None:
        seen.__traceback__ = outside(seen.__traceback__)
        seen = seen.__cause__


def _plain(item: Any) -> Any:
    return item if isinstance(item, Enum) else scalar(item)


def as_number(subject: str, value: Any) -> float:
    """`value` if it is a real number, NaN and infinity included, else `ArgumentError`."""
    if isinstance(value, str):
        raise wrong_value(subject, value, "a number", _unquoted(value))
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise wrong_value(subject, value, "a number")
    plain = scalar(value.item() if hasattr(value, "item") else value)
    return plain if isinstance(plain, (int, float)) else float(plain)


def as_int(subject: str, value: Any, minimum: int | None = None) -> int:
    """`value` as an int if it is a whole number of at least `minimum`, else `ArgumentError`."""
    plain = as_number(subject, value)
    requirement = "a whole number" if minimum is None else f"a whole number of at least {minimum}"
    if not math.isfinite(plain) or plain != int(plain) or (minimum is not None and plain < minimum):
        raise wrong_value(subject, value, requirement)
    return int(plain)


def _unquoted(text: str) -> str:
    """The hint for a number in quotes; empty for other text."""
    try:
        float(text)
    except ValueError:
        return ""
    return f"write it without quotes: {text.strip()}"


def as_positive(subject: str, value: Any) -> float:
    """`value` if it is a finite number above 0, else `ArgumentError`."""
    plain = as_number(subject, value)
    if not (math.isfinite(plain) and plain > 0):
        raise wrong_value(subject, value, "a finite number above 0")
    return plain


def check_callback(subject: str, f: Callable[..., Any], *example: Any, expected_call: str) -> None:
    """Raises `ArgumentError` unless `f` accepts the example arguments; `expected_call` describes the call."""
    try:
        inspect.signature(f, follow_wrapped=False).bind(*example)
    except TypeError as error:
        message = f"{subject} must be a function that accepts {expected_call}: {describe_mismatch(subject, error)}."
        raise ArgumentError("E003", subject, message) from None
    except ValueError:
        return  # a builtin without a signature


def as_text(subject: str, value: Any, hint: str = "") -> str:
    """`value` as Python's own `str` if it is a nonempty string, else `ArgumentError` with the hint.

    Names may be instances of `numpy.str_`, of a `StrEnum` or of other subclasses of `str`.
    """
    if not isinstance(value, str) or not value:
        raise wrong_value(subject, value, "a nonempty string", hint)
    return str.__str__(value)


def has_password(address: str) -> bool:
    """Whether an address has a password in it.

    >>> has_password("sftp://user:secret@host/tuning"), has_password("sftp://user@host/tuning")
    (True, False)
    """
    login, at, _ = address.partition("://")[2].partition("/")[0].rpartition("@")
    return bool(at) and ":" in login


def as_bool(subject: str, value: Any) -> bool:
    """`value` if it is a boolean, NumPy's included, else `ArgumentError`."""
    found = scalar(value)
    if not isinstance(found, bool):
        raise wrong_value(subject, value, "True or False")
    return found


def as_choice(subject: str, value: Any, options: Sequence[str], hint: str = "") -> Any:
    """`value` as Python's own `str` if it is one of the options, else `ArgumentError`."""
    if not isinstance(value, str) or value not in options:
        words = [repr(option) for option in options]
        raise wrong_value(subject, value, f"{', '.join(words[:-1])} or {words[-1]}", hint)
    return str.__str__(value)
