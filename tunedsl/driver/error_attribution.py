"""Attributes an exception to the searcher, scheduler or user function that raised it.

Errors of trials are not handled here: workers turn those into events.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from tunedsl.base.errors import CodeError, FunctionError, SchedulerError, SearcherError, SpaceError, TunedslError
from tunedsl.kernel import Event, Proposed
from tunedsl.plan import Plan
from tunedsl.worker import tracing

_PACKAGE: Final = Path(__file__).resolve().parent.parent
_OWN_FOLDERS: Final = (str(_PACKAGE / "kernel"), *(str(_PACKAGE / name) for name in ("driver", "backends", "runs")))
_MAX_SPEC_TEXT: Final = 200


@contextlib.contextmanager
def attribute_to_searcher(spec: Any, what: str, trial: int | None) -> Iterator[None]:
    """Turns an exception of a searcher into `SearcherError`, and one of a space's function into `FunctionError`."""
    try:
        yield
    except SpaceError as error:
        raise _code_error(FunctionError, error.subject, "was evaluated", trial, error.__cause__ or error) from error
    except Exception as error:
        raise _code_error(SearcherError, f"The searcher {spec!r:.{_MAX_SPEC_TEXT}}", what, trial, error) from error


@contextlib.contextmanager
def attribute_to_scheduler(spec: Any, trial: int | None, what: str = "decided") -> Iterator[None]:
    """Turns an exception of a scheduler into `SchedulerError`; the kernel's own exceptions pass unchanged."""
    try:
        yield
    except TunedslError:
        raise
    except Exception as error:
        if not _is_raised_elsewhere(error):
            raise
        raise _code_error(SchedulerError, f"The scheduler {spec!r:.{_MAX_SPEC_TEXT}}", what, trial, error) from error


@contextlib.contextmanager
def attribute_record(plan: Plan, event: Event) -> Iterator[None]:
    """Attributes a record that cannot be written to the searcher or scheduler; workers check their own messages."""
    try:
        yield
    except TunedslError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        trial = getattr(event, "trial", None)
        if isinstance(event, Proposed):
            who = f"The searcher {plan.searcher!r:.{_MAX_SPEC_TEXT}}"
            raise _code_error(
                SearcherError, who, "proposed a configuration that cannot be written to the journal", trial, error
            ) from error
        who = f"The scheduler {plan.scheduler!r:.{_MAX_SPEC_TEXT}}"
        raise _code_error(
            SchedulerError, who, "made a decision that cannot be written to the journal", trial, error
        ) from error


@contextlib.contextmanager
def attribute_to_user_function(clause: str, trial: int) -> Iterator[None]:
    """Turns an exception of a user's function into `FunctionError`."""
    try:
        yield
    except Exception as error:
        raise _code_error(FunctionError, f"The function of {clause}", "was called", trial, error) from error


def _code_error(kind: type[CodeError], who: str, what: str, trial: int | None, error: BaseException) -> CodeError:
    return kind(who, what, trial, tracing.message_of(error), tracing.format_error(error))


def _is_raised_elsewhere(error: BaseException) -> bool:
    """Whether the exception was raised outside the kernel, the driver and the backends."""
    trace = error.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_OWN_FOLDERS):
            return True
        trace = trace.tb_next
    return False
