"""Conditions over the whole study, for `Experiment.until`, which the kernel evaluates when trials end.

They are expressions, combined by `&`, `|` and `~`, like conditions over a trial.
"""

from __future__ import annotations

import re
from typing import Final

from tunedsl.base.arguments import as_int, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.references import call_repr
from tunedsl.base.types import FailureKind
from tunedsl.spaces.evaluation import evaluate
from tunedsl.spaces.expressions import Expr

DEFAULT_SAME: Final = 5
"""The default number of trials that must fail with the same error for a run to end."""
_MAX_CHARS: Final = 200


@value(eq=False)
class Failing(Expr):
    """A number of trials failed with the same error, and none has succeeded; see `failing`."""

    same: int = DEFAULT_SAME

    def __repr__(self) -> str:
        return call_repr("failing", self)


@check_arguments
def failing(same: int = DEFAULT_SAME) -> Failing:
    """Met when `same` trials failed with the same error and no trial has succeeded.

    A trial succeeds when it completes, or is stopped after it reported all objectives. Failures that are retried do not
    count. Two errors are the same if their kind and message are equal without numbers and addresses.

    Args:
        same: how many trials; 0 for a condition that is never met.

    Raises:
        ArgumentError: for a number that is not a whole number of at least 0.

    >>> failing(same=3)
    failing(same=3)
    """
    return Failing(as_int("failing.same", same, minimum=0))


def met_study(condition: Expr, alike: int) -> bool:
    """Whether a study condition is met.

    Args:
        condition: the condition.
        alike: the number of trials that failed with the same error, 0 after a trial has succeeded.
    """

    def lookup(leaf: Expr) -> bool | None:
        return 0 < leaf.same <= alike if isinstance(leaf, Failing) else None

    return evaluate(condition, lookup) is True


_SUBSTITUTES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"0x[0-9a-fA-F]+"), "#"),
    (re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\b"), "#"),
    (re.compile(r"\b(?:nan|inf|NaN|Infinity)\b"), "#"),
    (re.compile(r"\w*(?:#|\d)\w*"), "#"),
    (re.compile(r"[-+]?#(?:[\s.,:;x/-]+#)+"), "#"),
)


def error_signature(kind: FailureKind, message: str) -> str:
    """The signature of an error: kind, type and message, without numbers and addresses.

    >>> error_signature("crash", "ValueError: x is 0.73 at <f object at 0x7f10>")
    'crash: ValueError: x is # at <f object at #>'
    >>> error_signature("crash", "RuntimeError: shapes (3, 4) and (5,)") == error_signature(
    ...     "crash", "RuntimeError: shapes (12, 7) and (1,)")
    True
    """
    line = message.strip().partition("\n")[0][: 10 * _MAX_CHARS]
    for pattern, substitute in _SUBSTITUTES:
        line = pattern.sub(substitute, line)
    return f"{kind}: {line[:_MAX_CHARS]}"
