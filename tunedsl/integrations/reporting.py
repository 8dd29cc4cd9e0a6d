"""Shared code of the framework callbacks: selects the metrics to report, and finds a trial's checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tunedsl.base.errors import ReportError
from tunedsl.base.names import did_you_mean
from tunedsl.worker import report, trial

Metrics = Mapping[str, str] | Sequence[str] | None
"""The metrics to report: a dict from the reported name to the framework's, a list of names, or None for all."""

NO_METRICS: Final = "it has computed none; give it data to evaluate on, such as eval_set= or validation_data="


def select(found: Mapping[str, Any], metrics: Metrics) -> dict[str, Any]:
    """The metrics to report, from those that the framework has computed.

    Raises:
        ReportError: for a metric that the framework has not computed; it names the computed ones.

    >>> select({"val_loss": 0.5, "loss": 0.4}, {"loss": "val_loss"})
    {'loss': 0.5}
    """
    if metrics is None:
        return dict(found)
    names = [metrics] if isinstance(metrics, str) else metrics
    wanted = names if isinstance(names, Mapping) else {name: name for name in names}
    for name in wanted.values():
        if name not in found:
            hint = did_you_mean(name, found) or NO_METRICS
            raise ReportError(f"The framework has no metric {name!r}.\n  help: {hint}")
    return {name: found[source] for name, source in wanted.items()}


def report_selected(found: Mapping[str, Any], metrics: Metrics, save: Callable[[Path], object] | None) -> None:
    """Report the selected metrics of one iteration.

    Args:
        save: writes a checkpoint into a folder; called if one is due. None to save no checkpoints.
    """
    report(select(found, metrics), checkpoint=save)


def restored(name: str) -> Path | None:
    """A file or folder in the checkpoint that the trial starts from; None without a checkpoint.

    Args:
        name: the name in the checkpoint's folder.
    """
    checkpoint = trial().checkpoint
    return None if checkpoint is None else checkpoint / name
