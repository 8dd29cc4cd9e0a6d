"""All error classes of tunedsl. Each has its parts as attributes, not only a message."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

from tunedsl.base.diagnostics import Diagnostic, Diagnostics, caller_location, must_be, with_help


class TunedslError(Exception):
    """The base of all errors of this package. `Interrupted` is not an error but a `KeyboardInterrupt`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (type(self), self.args, self.__dict__)


def _unpickle(cls: type[TunedslError], args: tuple[Any, ...], attributes: dict[str, Any]) -> TunedslError:
    """An error with its message and attributes; `__init__`, which composes the message, is not called."""
    error = cls.__new__(cls, *args)
    error.__dict__.update(attributes)
    return error


class ArgumentError(TunedslError, ValueError, TypeError):
    """A call has a wrong argument; raised at the call.

    Attributes:
        diagnostic: the argument, what is wrong in a sentence, a hint, and the place of the call.
    """

    def __init__(self, code: str, subject: str, message: str, hint: str = "") -> None:
        self.diagnostic = Diagnostic(code, subject, message, hint, caller_location())
        super().__init__(str(self.diagnostic))


def wrong_value(name: str, value: Any, requirement: str, hint: str = "", subject: str = "") -> ArgumentError:
    """The error for an argument with a wrong value.

    Args:
        name: the argument, such as `asha.max_t`, or other words for it.
        value: what the user passed.
        requirement: what it must be, as in "must be a finite number above 0".
        hint: what to type; may be empty.
        subject: the part of the experiment, if it differs from the name.
    """
    return ArgumentError("E003", subject or name, must_be(name, value, requirement), hint)


class CompileError(TunedslError):
    """The experiment has errors. `diagnostics` has all errors and warnings."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(str(Diagnostics(self.diagnostics)))


class CodecError(TunedslError, ValueError):
    """A value cannot be written as data, or data cannot be read as a value."""


class SpaceError(TunedslError):
    """A configuration could not be drawn from a space.

    Attributes:
        subject: the part with the error, such as `space.lr`.
        hint: what to type; may be empty.
    """

    def __init__(self, message: str, subject: str = "space", hint: str = "") -> None:
        self.subject, self.hint = subject, hint
        super().__init__(with_help(message, hint))


class ResourceError(TunedslError):
    """No node of the cluster has the resources of a trial, or there is no such cluster."""


class JournalError(TunedslError):
    """A journal cannot be read or written.

    Attributes:
        path: the journal's file.
        record: the number of the invalid record, or None.
    """

    def __init__(self, path: object, message: str, record: int | None = None, hint: str = "") -> None:
        self.path, self.record = str(path), record
        at = "" if record is None else f", record {record}"
        super().__init__(with_help(f"{message}\n  at {path}{at}", hint))


class JournalTaken(JournalError):
    """Another driver runs the experiment."""


class Divergence(TunedslError):
    """A replay's decision differs from the journal.

    Attributes:
        record: number of the record.
        expected: the commands in the journal.
        actual: the commands that the kernel returns now.
        field: path of the first difference between the two.
    """

    def __init__(self, record: int, expected: Any, actual: Any, field: str) -> None:
        self.record, self.expected, self.actual, self.field = record, expected, actual, field
        super().__init__(
            f"The kernel's decision differs from the journal's at {field}.\n  at record {record}\n"
            f"  journal: {expected!r}\n  kernel: {actual!r}"
        )


class Interrupted(KeyboardInterrupt):
    """The run was interrupted and can be resumed from `path`.

    It is no `TunedslError` and no `Exception`: like Ctrl+C itself, it passes `except Exception`. Uncaught in a script,
    it ends the process with the exit code that shells expect after a signal.

    Attributes:
        path: the experiment's folder; empty when the run was interrupted before it began or continued.
        command: the terminal command or line of Python that resumes it.
        is_announced: whether the message was printed.
        exit_code: of a process that it ends: 130 after Ctrl+C, 143 after SIGTERM, 129 after SIGHUP.
    """

    action = "interrupted"

    def __init__(self, path: str = "", command: str = "") -> None:
        self.path = path
        self.command = command or (f"tunedsl resume {shlex.quote(path)}" if path else "")
        self.is_announced = False
        self.exit_code = 130
        begun = f"The run was {self.action}.\n  help: {self.command}"
        unchanged = "The run was interrupted before it began: nothing was written.\n  help: run it again"
        super().__init__(begun if path else unchanged)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.command)


class Paused(Interrupted):
    """A user paused the run: its workers are free, and it can be resumed from `path`."""

    action = "paused"


class ReportError(TunedslError):
    """A trainable made an invalid report, or reported at the wrong time or place."""


class ProgramError(TunedslError):
    """The program of a `command(...)` could not be started, or ended with an error.

    Attributes:
        out_of_memory: whether it ran out of memory.
        output: the last lines that it wrote to standard error.
    """

    def __init__(self, message: str, output: str = "", out_of_memory: bool = False) -> None:
        self.output, self.out_of_memory = output, out_of_memory
        super().__init__(message)


class CodeError(TunedslError):
    """A searcher, scheduler or user function raised an exception. The run ended, and can be resumed.

    Attributes:
        who: the name of the searcher, scheduler or function.
        trial: the number of the trial that it handled, or None.
        reason: the exception in one line.
        traceback: the full traceback of the exception.
    """

    def __init__(self, who: str, what: str, trial: int | None, reason: str, traceback: str) -> None:
        self.who, self.trial, self.reason, self.traceback = who, trial, reason, traceback
        about = "" if trial is None else f" for trial {trial}"
        super().__init__(f"{who} failed when it {what}{about}: {reason.rstrip('.')}.\n{traceback.rstrip()}")


class SearcherError(CodeError):
    """A searcher raised an exception."""


class SchedulerError(CodeError):
    """A scheduler raised an exception."""


class FunctionError(CodeError):
    """A user function of the space, of resources or of names raised an exception."""


class StorageError(TunedslError):
    """A checkpoint or a folder of an experiment could not be written."""


class NoResult(TunedslError):
    """The results do not have the requested item, such as the best trial when none has finished."""
