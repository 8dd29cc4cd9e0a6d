"""The registry of sinks: what clauses and the compiler know of each kind, and sinks of users as values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from tunedsl.base.arguments import describe_mismatch, public
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import ArgumentError, CodecError, wrong_value
from tunedsl.base.names import did_you_mean
from tunedsl.base.references import FunctionRef, Literal, source_repr
from tunedsl.base.requirements import PackageRequirement
from tunedsl.sinks.contract import SINK_HOOKS


@attrs.frozen
class SinkKind:
    """One kind of sink.

    Attributes:
        name: the function by which users write its spec.
        writer: `module:class` of the sink, which takes the spec; only this module imports the package that it needs.
        package: what that is, None for nothing.
        extra: the extra of this package by which it is installed.
    """

    name: str
    writer: str
    package: PackageRequirement | None = None
    extra: str = ""


_kinds: dict[type, SinkKind] = {}


def register(spec: type, kind: SinkKind) -> None:
    """Register a kind of sink for specs of a class, which is a `base.codec.value`."""
    _kinds[spec] = kind


def registered() -> Mapping[type, SinkKind]:
    """All registered kinds of sinks, by the class of their spec."""
    return MappingProxyType(_kinds)


def missing_package(spec: Any) -> tuple[str, str] | None:
    """The missing package of a sink with its reason, and how to install it; None if nothing is missing."""
    kind = _kinds.get(type(spec))
    problem = kind.package.unmet_reason() if kind is not None and kind.package is not None else ""
    if kind is None or not problem:
        return None
    return f"{kind.package}, but {problem}", f"pip install 'tunedsl[{kind.extra}]'"


@value
class UserSink:
    """A sink of the user's: the class or function that makes it, by reference, and its keywords."""

    make: FunctionRef
    options: tuple[tuple[str, Literal], ...] = ()

    def __repr__(self) -> str:
        options = "".join(f", {name}={source_repr(item)}" for name, item in self.options)
        return f"user_sink({self.make!r}{options})" if options else repr(self.make)


@public
def user_sink(make: Callable[..., Any], /, **options: Any) -> UserSink:
    """Define a sink by a subclass of `Sink`, or by a function that returns a sink.

    It is made when a run starts and called in a thread of the process that runs the experiment.

    Args:
        make: the class or function.
        options: its keywords; plain data. Without any, `.sinks(MySink)` says the same.

    Raises:
        ArgumentError: for what is no such class or function, or does not take these keywords.

    >>> from tunedsl.sinks import Sink
    >>> class Bell(Sink):
    ...     def __init__(self, tone="low"): self.tone = tone
    ...     def on_end(self, trial): print(self.tone, trial.id)
    >>> user_sink(Bell, tone="high")
    user_sink(Bell, tone='high')
    """
    expected = "a subclass of Sink, or a function that returns one"
    if not callable(make):
        raise wrong_value("A sink", make, expected, subject="sinks")
    if isinstance(make, type):
        lacks = [hook for hook in SINK_HOOKS if not callable(getattr(make, hook, None))]
        if lacks:
            message = f"{make.__qualname__} is not a sink, because it has no {', '.join(lacks)}."
            raise ArgumentError("E003", "sinks", message, "subclass Sink: from tunedsl.sinks import Sink")
    try:
        reference = FunctionRef.of(make)
        written = tuple((name, Literal.of(item)) for name, item in options.items())
        inspect.signature(make, follow_wrapped=False).bind(**options)
    except CodecError as error:
        hint = "pass a class or function with a name, and plain data"
        raise ArgumentError("E003", "sinks", f"The plan cannot store the sink: {reason(error)}.", hint) from None
    except TypeError as error:
        name = source_repr(make)
        hint = f"pass its keywords: user_sink({name}, name=...)"
        raise ArgumentError("E002", "sinks", f"{describe_mismatch(name, error)}.", hint) from None
    except ValueError:  # a class without a signature that can be read
        pass
    return UserSink(reference, written)


def sink_of(item: Any) -> Any:
    """An argument of `.sinks(...)` as a value: a spec, or a user's own sink.

    Raises:
        ArgumentError: for what is neither.
    """
    if type(item) in _kinds or isinstance(item, UserSink):
        return item
    names = [kind.name for kind in _kinds.values()]
    called = getattr(item, "__name__", item)
    if called in names:
        hint = f"from tunedsl.sinks import {called}; {called}()"
        raise wrong_value("A sink", item, "the result of a call", hint, subject="sinks")
    if callable(item):
        return user_sink(item)
    hint = did_you_mean(item, names) if isinstance(item, str) else ""
    if all(callable(getattr(item, hook, None)) for hook in SINK_HOOKS):
        hint = (
            f"give the class, {type(item).__qualname__}, and its keywords by user_sink({type(item).__qualname__}, ...)"
        )
    raise wrong_value("The argument of sinks(...)", item, "a sink such as tensorboard()", hint, subject="sinks")
