"""Runs trials: the protocol of a backend, and the backends `inline`, `local`, `simulated` and `ray`.

Only `ray` imports Ray. A backend receives commands and returns messages. It makes no decisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunedsl.base.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from tunedsl.backends.inline import InlineEngine
    from tunedsl.backends.local import LocalEngine
    from tunedsl.backends.protocol import Engine
    from tunedsl.backends.simulated import Recorded, SimulatedEngine

__all__ = ["Engine", "InlineEngine", "LocalEngine", "Recorded", "SimulatedEngine"]

lazy_attributes(
    __name__,
    {
        "inline": "InlineEngine",
        "local": "LocalEngine",
        "protocol": "Engine",
        "simulated": "Recorded SimulatedEngine",
    },
)
