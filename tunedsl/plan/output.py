"""What a run writes beside its journal: sinks as values, their registry, and the files of trials' output.

Which sinks there are stands in `sinks/`; here is only what clauses and the compiler must know of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from tunedsl.base.arguments import public
from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError, CodecError
from tunedsl.base.names import did_you_mean, is_portable
from tunedsl.base.references import FunctionRef, Literal, source_repr
from tunedsl.base.requirements import PackageRequirement

SINK_HOOKS: Final = ("on_start", "on_trial", "on_report", "on_end", "flush", "close")
"""The methods of a sink, in the order of a run."""
PARAMS_FILE: Final = "params.json"
RESERVED_FILES: Final = (PARAMS_FILE, "progress.csv", "reports.jsonl", "checkpoints", "cleanup-error.txt")
"""Names in a trial's folder that are in use."""


@attrs.frozen
class SinkKind:
    """One kind of sink.

    Attributes:
        name: the function by which users write its spec.
        make: gives a sink for a spec; only this imports the package that it needs.
        package: what that is, None for nothing.
        extra: the extra of this package by which it is installed.
    """

    name: str
    make: Callable[[Any], Any]
    package: PackageRequirement | None = None
    extra: str = ""


_kinds: dict[type, SinkKind] = {}


def register(spec: type, kind: SinkKind) -> None:
    """Makes `kind` the one for specs of a class, which `base.codec.value` has made."""
    _kinds[spec] = kind


def registered() -> Mapping[type, SinkKind]:
    """All kinds of sinks that are loaded, by the class of their spec."""
    return MappingProxyType(_kinds)


def missing_package(spec: Any) -> tuple[str, str, str] | None:
    """What a sink's spec lacks to work: what was found, what is expected, and what to do. None for nothing."""
    kind = _kinds.get(type(spec))
    problem = kind.package.unmet_reason() if kind is not None and kind.package is not None else ""
    if kind is None or not problem:
        return None
    return problem, str(kind.package), f"pip install 'tunedsl[{kind.extra}]'"


@value
class UserSink:
    """A sink of the user's: the class or function that makes it, by reference, and its keywords."""

    make: FunctionRef
    options: tuple[tuple[str, Literal], ...] = ()

    def __repr__(self) -> str:
        options = "".join(f", {name}={source_repr(item)}" for name, item in self.options)
        return f"own({self.make!r}{options})" if options else repr(self.make)


@public
def user_sink(make: Callable[..., Any], /, **options: Any) -> UserSink:
    """A sink of your own: a subclass of `Sink`, or a function that returns one.

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
    >>> own(Bell, tone="high")
    own(Bell, tone='high')
    """
    expected = "a subclass of Sink, or a function that returns one"
    if not callable(make):
        raise ArgumentError("E003", "sinks", repr(make), expected)
    if isinstance(make, type):
        lacks = [hook for hook in SINK_HOOKS if not callable(getattr(make, hook, None))]
        if lacks:
            found = f"{make.__qualname__}, which has no {', '.join(lacks)}"
            raise ArgumentError("E003", "sinks", found, expected, "from tunedsl.sinks import Sink")
    try:
        reference = FunctionRef.of(make)
        written = tuple((name, Literal.of(item)) for name, item in options.items())
        inspect.signature(make).bind(**options)
    except CodecError as error:
        raise ArgumentError("E003", "sinks", str(error), "a class or function with a name, and plain data") from None
    except TypeError as error:
        raise ArgumentError(
            "E002", "sinks", f"{source_repr(make)}: {error}", f"keywords of {source_repr(make)}"
        ) from None
    except ValueError:  # a class without a signature that can be read
        pass
    return UserSink(reference, written)


def sink_of(item: Any) -> Any:
    """What `.sinks(...)` was given, as a value: a spec, or a user's own.

    Raises:
        ArgumentError: for what is neither.
    """
    if type(item) in _kinds or isinstance(item, UserSink):
        return item
    names = [kind.name for kind in _kinds.values()]
    called = getattr(item, "__name__", item)
    if called in names:
        raise ArgumentError(
            "E003", "sinks", source_repr(item), "a sink", f"from tunedsl.sinks import {called}; {called}()"
        )
    if callable(item):
        return user_sink(item)
    hint = did_you_mean(item, names) if isinstance(item, str) else ""
    if all(callable(getattr(item, hook, None)) for hook in SINK_HOOKS):
        hint = f"give the class, {type(item).__qualname__}, and its keywords by own({type(item).__qualname__}, ...)"
    raise ArgumentError("E003", "sinks", repr(item), "a sink such as tensorboard(), or a class of yours", hint)


@value
class Output:
    """Where the output of trials goes, in each trial's folder.

    Attributes:
        out, err: file names; equal ones for one file.
        whole: whether it was asked for: then the files are there for each trial, and hold what C code and
            subprocesses write too, where a worker is a process of its own.
    """

    out: str = "stdout.log"
    err: str = "stderr.log"
    whole: bool = False


def output_of(to: bool | str | tuple[str, str] | None) -> Output | None:
    """What `log_to_file(to)` means; None for output that is left where it goes.

    Raises:
        ArgumentError: for a name that is no file's, or that another file has.
    """
    if to is None:
        return Output()
    if to is False:
        return None
    names = (Output().out, Output().err) if to is True else (to, to) if isinstance(to, str) else to
    for name in names:
        if not is_portable(name) or name in RESERVED_FILES:
            found = f"{name!r}, which is taken" if name in RESERVED_FILES else repr(name)
            raise ArgumentError("E003", "log_to_file.to", found, "a file name of letters, digits and . _ -")
    return Output(*names, whole=True)
