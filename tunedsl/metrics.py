"""The sources of a program's metrics, for `command(..., metrics=...)`.

The names are implemented in `tunedsl.plan.metric_sources`.
"""

from __future__ import annotations

from tunedsl.plan.metric_sources import (
    JsonLines,
    KeyValues,
    Pattern,
    TensorboardEvents,
    jsonl,
    key_values,
    pattern,
    tensorboard_events,
)

__all__ = [
    "JsonLines",
    "KeyValues",
    "Pattern",
    "TensorboardEvents",
    "jsonl",
    "key_values",
    "pattern",
    "tensorboard_events",
]
