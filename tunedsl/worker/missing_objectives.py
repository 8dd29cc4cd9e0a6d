"""Tracks which objectives a trial has not reported, and words the warning and the failure for them."""

from __future__ import annotations

from collections.abc import Iterable

from tunedsl.base.names import nearest
from tunedsl.base.objective import not_in
from tunedsl.kernel.events import Failed


class MissingObjectives:
    """The objectives that one trial has not reported yet.

    Args:
        name: the name of the trial.
        unreported: the metrics of the objectives that it has not reported yet.
        is_command: whether the trial is a program, whose reports are read from its output.

    Attributes:
        reported: the names that this attempt has reported, in order.
    """

    def __init__(self, name: str, unreported: tuple[str, ...], is_command: bool = False) -> None:
        self.unreported = unreported
        self.reported: dict[str, None] = {}
        self._name, self._is_command = name, is_command

    def remove(self, keys: tuple[str, ...]) -> None:
        """Mark metrics as reported."""
        self.unreported = not_in(self.unreported, keys)

    def warning(self) -> str:
        """Return the warning after a trial's first report; empty where no objective is missing."""
        if not self.unreported:
            return ""
        return f"trial {self._name} {self._problem()}; a trial that ends without it fails{self._help()}"

    def failure(self, trial: int) -> Failed | None:
        """Return the failure of an attempt that ends now; None where no objective is missing."""
        if not self.unreported:
            return None
        return Failed(0.0, trial, "bad_report", f"the trial ended, and {self._problem()}{self._help()}")

    def _problem(self) -> str:
        missing = f"the objective{'s' if len(self.unreported) > 1 else ''} {_quoted(self.unreported)}"
        if not self.reported:
            return f"reported nothing, not {missing}"
        return f"did not report {missing}: it reported {_quoted(self.reported)}"

    def _help(self) -> str:
        if self._is_command:
            pairs_to_print = " ".join(f"{metric}=0.5" for metric in self.unreported)
            return f"\n  help: the program must print {pairs_to_print}, or pass command(..., metrics=...)"
        pairs = [(metric, nearest(metric, self.reported)) for metric in self.unreported]
        hints = [
            f"did you mean {near!r}? {_report_call(metric)}, or change the objective" for metric, near in pairs if near
        ]
        return "".join(f"\n  help: {hint}" for hint in hints or [_report_call(*self.unreported)])


def _report_call(*metrics: str) -> str:
    if all(map(str.isidentifier, metrics)):
        return f"report({', '.join(f'{metric}=...' for metric in metrics)})"
    return f"report({{{', '.join(f'{metric!r}: ...' for metric in metrics)}}})"


def _quoted(names: Iterable[str], max_count: int = 10) -> str:
    """Return at most `max_count` names in quotes, and the number of the others."""
    shown = list(names)
    more = f" and {len(shown) - max_count} more" if len(shown) > max_count else ""
    return ", ".join(f"{name!r:.80}" for name in shown[:max_count]) + more
